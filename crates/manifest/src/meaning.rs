//! The value of a tree: aliases and merge keys are resolved, and every scalar has its type.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::position::SyntaxError;
use super::tree::{MappingEntry, NodeId, NodeKind, Tree};

/// The maximum depth of nested collections, including those behind aliases. The YAML parser has the same limit without
/// aliases.
///
/// The deepest type of Kubernetes, the schema of a custom resource, has about 40 levels when it is written by hand.
pub(super) const MAX_DEPTH: usize = 255;

/// The approximate limit of the expanded size of aliases in one document, in bytes.
///
/// A few lines of nested aliases, ten per level, expand to billions of nodes. With this limit, a document of the largest
/// size that etcd accepts (1.5 MB) may be repeated ten times.
const ALIAS_BUDGET: usize = 16 << 20;

/// The cost of a node in addition to its text, in bytes.
const NODE_COST: usize = 32;

/// The value of a document.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) value: Value,
    /// Whether a mapping in it has a key that a Kubernetes object cannot have: a collection, or null.
    pub(super) foreign: bool,
    /// The first key that a mapping has twice. The value has the last one.
    pub(super) duplicate: Option<SyntaxError>,
}

pub(super) fn read(tree: &Tree<'_>) -> Result<Meaning, SyntaxError> {
    let mut reader = Reader { tree, budget: ALIAS_BUDGET, aliases: 0, foreign: false, duplicate: None };
    let value = reader.value(tree.root, 0)?;
    Ok(Meaning { value, foreign: reader.foreign, duplicate: reader.duplicate })
}

struct Reader<'a, 't> {
    tree: &'a Tree<'t>,
    budget: usize,
    /// The number of aliases that are being followed.
    aliases: usize,
    foreign: bool,
    duplicate: Option<SyntaxError>,
}

impl Reader<'_, '_> {
    fn value(&mut self, id: NodeId, depth: usize) -> Result<Value, SyntaxError> {
        let node = self.tree.node(id);
        if depth > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} nested collections");
            return Err(SyntaxError::new(node.span.start, message));
        }
        match &node.kind {
            NodeKind::Scalar(scalar) => {
                self.spend(id, scalar.text.len())?;
                scalar.value().map_err(|message| SyntaxError::new(node.span.start, message))
            }
            NodeKind::Sequence(items) => {
                self.spend(id, 0)?;
                items.iter().map(|&item| self.value(item, depth + 1)).collect()
            }
            NodeKind::Mapping { entries, .. } => {
                self.spend(id, 0)?;
                self.mapping(entries, depth)
            }
            NodeKind::Alias(target) => {
                self.aliases += 1;
                let value = self.value(*target, depth);
                self.aliases -= 1;
                value
            }
        }
    }

    fn spend(&mut self, id: NodeId, length: usize) -> Result<(), SyntaxError> {
        if self.aliases == 0 {
            return Ok(());
        }
        let left = self.budget.checked_sub(NODE_COST + length);
        self.budget = left.ok_or_else(|| {
            let message = format!("aliases expand this document to more than {} MB: use fewer", ALIAS_BUDGET >> 20);
            SyntaxError::new(self.tree.node(id).span.start, message)
        })?;
        Ok(())
    }

    fn mapping(&mut self, entries: &[MappingEntry], depth: usize) -> Result<Value, SyntaxError> {
        let mut map = Map::new();
        // The mapping's own keys. Only needed after the first merge key: before it, they are the keys of `map`.
        let mut own: Option<HashSet<String>> = None;
        for (index, entry) in entries.iter().enumerate() {
            if self.tree.is_merge(entry.key) {
                own.get_or_insert_with(|| map.keys().cloned().collect());
                self.merge(entry.value, &mut map, depth)?;
                continue;
            }
            let value = self.value(entry.value, depth + 1)?;
            let Some(key) = self.tree.key(entry.key) else {
                self.foreign = true;
                let key = self.value(entry.key, depth + 1)?;
                map.insert(format!("? {key}"), value);
                continue;
            };
            let twice = match &mut own {
                Some(own) => !own.insert(key.clone().into_owned()),
                None => map.contains_key(&*key),
            };
            if twice && self.duplicate.is_none() {
                self.duplicate = Some(self.duplicate(&key, &entries[..=index]));
            }
            map.insert(key.into_owned(), value);
        }
        Ok(Value::Object(map))
    }

    /// Adds the entries of a merge key's value. As in kubectl's parser, they replace the entries before the merge key, and
    /// in a sequence the first mapping with a key wins.
    fn merge(&mut self, id: NodeId, map: &mut Map<String, Value>, depth: usize) -> Result<(), SyntaxError> {
        match self.value(id, depth)? {
            Value::Object(other) => map.extend(other),
            Value::Array(others) if others.iter().all(Value::is_object) => {
                for other in others.into_iter().rev() {
                    if let Value::Object(other) = other {
                        map.extend(other);
                    }
                }
            }
            _ => {
                let message = "the value of a merge key (`<<`) must be a mapping or a list of mappings: change it, or quote the key";
                return Err(SyntaxError::new(self.tree.node(id).span.start, message));
            }
        }
        Ok(())
    }

    /// Reports the duplicate key of the last of `entries`.
    fn duplicate(&self, key: &str, entries: &[MappingEntry]) -> SyntaxError {
        let offset = |entry: &MappingEntry| self.tree.node(entry.key).span.start;
        let first = entries.iter().find(|entry| self.tree.key(entry.key).as_deref() == Some(key));
        let message = format!("duplicate key `{key}`: remove it here or on");
        SyntaxError {
            see: first.map(offset),
            ..SyntaxError::new(entries.last().map(offset).unwrap_or_default(), message)
        }
    }
}
