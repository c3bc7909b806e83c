//! A document as its nodes, each with the bytes that it stands in.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::scalar::{Scalar, TagResolution};
use colocate_companion::{FieldPath, PathSegment};

/// A node's place in its [`Tree`].
pub(super) type NodeId = usize;

/// The nodes of one document, as they are written: aliases and merge keys are nodes of their own.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) root: NodeId,
}

#[derive(Debug)]
pub(super) struct Node<'t> {
    /// The bytes of the node itself, without its tag and anchor.
    ///
    /// A block mapping begins where its first entry does (an anchor, a tag or a `?` before the first key included) and a
    /// value that is not there is an empty range before its `:`.
    pub(super) span: Range<usize>,
    pub(super) kind: NodeKind<'t>,
    /// Whether an alias stands for this node somewhere: what is changed in it changes there too.
    pub(super) aliased: bool,
}

#[derive(Debug)]
pub(super) enum NodeKind<'t> {
    Scalar(Scalar<'t>),
    Sequence(Vec<NodeId>),
    Mapping { flow: bool, entries: Vec<MappingEntry> },
    Alias(NodeId),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct MappingEntry {
    pub(super) key: NodeId,
    pub(super) value: NodeId,
}

/// The entry that a mapping has for a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedEntry {
    pub(super) entry: MappingEntry,
    /// The merge key that brings the entry in from another mapping; `None` for the mapping's own.
    pub(super) merge_key: Option<NodeId>,
}

impl<'t> Tree<'t> {
    pub(super) fn node(&self, id: NodeId) -> &Node<'t> {
        &self.nodes[id]
    }

    /// The node that `id` stands for: itself, if it is no alias.
    pub(super) fn target(&self, id: NodeId) -> NodeId {
        match self.node(id).kind {
            // An alias names an anchor, and an alias has none: one hop is enough.
            NodeKind::Alias(target) => target,
            _ => id,
        }
    }

    /// The entry that the mapping `id` has for `key`; the last that names it wins, as kubectl's YAML reader has it.
    pub(super) fn lookup(&self, id: NodeId, key: &str) -> Option<ResolvedEntry> {
        let NodeKind::Mapping { entries, .. } = &self.node(id).kind else { return None };
        entries.iter().rev().find_map(|&entry| {
            if self.is_merge(entry.key) {
                let merged = self.merged(entry.value, key)?;
                return Some(ResolvedEntry { entry: merged.entry, merge_key: Some(entry.key) });
            }
            (self.key(entry.key).as_deref() == Some(key)).then_some(ResolvedEntry { entry, merge_key: None })
        })
    }

    /// The entry for `key` in the value of a merge key: a mapping, or a sequence of mappings.
    fn merged(&self, id: NodeId, key: &str) -> Option<ResolvedEntry> {
        let id = self.target(id);
        match &self.node(id).kind {
            NodeKind::Sequence(items) => items.iter().find_map(|&item| self.lookup(self.target(item), key)),
            _ => self.lookup(id, key),
        }
    }

    /// Whether a key is the merge key.
    pub(super) fn is_merge(&self, key: NodeId) -> bool {
        matches!(
            &self.node(key).kind,
            NodeKind::Scalar(Scalar { text, resolution: TagResolution::Plain | TagResolution::Merge, .. }) if text == "<<"
        )
    }

    /// A key as text, if Kubernetes could read it: text, or a number or boolean, which stands for its own text.
    pub(super) fn key(&self, id: NodeId) -> Option<Cow<'_, str>> {
        let NodeKind::Scalar(scalar) = &self.node(self.target(id)).kind else { return None };
        if !matches!(scalar.resolution, TagResolution::Plain | TagResolution::Tagged(_)) {
            return Some(Cow::Borrowed(&scalar.text));
        }
        match scalar.value().ok()? {
            Value::String(_) => Some(Cow::Borrowed(&scalar.text)),
            // As it is written: `1.10` is no `1.1` to a person.
            Value::Number(number) if number.is_f64() => Some(Cow::Borrowed(&scalar.text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(Cow::Owned(value.to_string())),
            _ => None,
        }
    }

    /// The entry or item at the end of `path`; its key, if it has one, and its value. Aliases and merge keys are followed.
    pub(super) fn find(&self, path: &FieldPath) -> Option<(Option<NodeId>, NodeId)> {
        path.segments().iter().try_fold((None, self.root), |(_, id), segment| {
            let id = self.target(id);
            match (segment, &self.node(id).kind) {
                (PathSegment::Field(key) | PathSegment::Key(key), _) => {
                    let entry = self.lookup(id, key)?.entry;
                    Some((Some(entry.key), entry.value))
                }
                (PathSegment::Index(index), NodeKind::Sequence(items)) => Some((None, *items.get(*index)?)),
                _ => None,
            }
        })
    }
}
