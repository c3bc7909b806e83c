//! The nodes of a document, each with its range in the text.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::scalar::{Scalar, TagResolution};
use colocate_companion::{FieldPath, PathSegment};

/// The index of a node in its [`Tree`].
pub(super) type NodeId = usize;

/// The nodes of one document as written. Aliases and merge keys are separate nodes.
#[derive(Debug)]
pub(super) struct Tree<'t> {
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) root: NodeId,
}

#[derive(Debug)]
pub(super) struct Node<'t> {
    /// The range of the node, without its tag and anchor.
    ///
    /// A block mapping starts at its first entry, including an anchor, a tag or a `?` before the first key. A missing value
    /// has an empty range before its `:`.
    pub(super) span: Range<usize>,
    pub(super) kind: NodeKind<'t>,
    /// Whether an alias refers to this node, so that a change of the node also applies to the alias.
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

/// The entry of a mapping for a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedEntry {
    pub(super) entry: MappingEntry,
    /// The merge key that includes the entry from another mapping; `None` for the mapping's own entry.
    pub(super) merge_key: Option<NodeId>,
}

impl<'t> Tree<'t> {
    pub(super) fn node(&self, id: NodeId) -> &Node<'t> {
        &self.nodes[id]
    }

    /// The target of an alias; any other node is its own target.
    pub(super) fn target(&self, id: NodeId) -> NodeId {
        match self.node(id).kind {
            // An alias refers to an anchor, and an alias cannot have one, so one step is enough.
            NodeKind::Alias(target) => target,
            _ => id,
        }
    }

    /// Returns the entry of the mapping `id` for `key`. The last one wins, as in kubectl's YAML parser.
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

    /// Returns true if a key is the merge key.
    pub(super) fn is_merge(&self, key: NodeId) -> bool {
        matches!(
            &self.node(key).kind,
            NodeKind::Scalar(Scalar { text, resolution: TagResolution::Plain | TagResolution::Merge, .. }) if text == "<<"
        )
    }

    /// A key as text, if Kubernetes accepts it: a string, or a number or boolean.
    pub(super) fn key(&self, id: NodeId) -> Option<Cow<'_, str>> {
        let NodeKind::Scalar(scalar) = &self.node(self.target(id)).kind else { return None };
        if !matches!(scalar.resolution, TagResolution::Plain | TagResolution::Tagged(_)) {
            return Some(Cow::Borrowed(&scalar.text));
        }
        match scalar.value().ok()? {
            Value::String(_) => Some(Cow::Borrowed(&scalar.text)),
            // Unparsed, so that `1.10` does not become `1.1`.
            Value::Number(number) if number.is_f64() => Some(Cow::Borrowed(&scalar.text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(Cow::Owned(value.to_string())),
            _ => None,
        }
    }

    /// Returns the key, if any, and the value at the end of `path`. Aliases and merge keys are followed.
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
