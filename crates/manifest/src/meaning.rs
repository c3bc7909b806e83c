//! What a tree means: aliases and merge keys resolved, and every scalar of its type.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::position::Problem;
use super::tree::{MappingEntry, NodeId, NodeKind, Tree};

/// How many collections may be nested, aliases followed: as many as the YAML parser allows without aliases.
///
/// Kubernetes' own deepest type, a schema in a definition of custom resources, is written by hand with some 40.
pub(super) const MAX_DEPTH: usize = 255;

/// How many bytes the nodes that aliases stand for may take in one document, roughly.
///
/// Ten aliases to ten aliases to ten... make billions of nodes of a few lines. A document as large as etcd takes an object
/// (1.5 MB) may be repeated ten times.
const ALIAS_BUDGET: usize = 16 << 20;

/// What a node costs of the budget besides its text.
const NODE_COST: usize = 32;

/// What a document means.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) value: Value,
    /// Whether a mapping in it has a key that no Kubernetes object can have: a collection, or null.
    pub(super) foreign: bool,
}

pub(super) fn read(tree: &Tree<'_>) -> Result<Meaning, Problem> {
    let mut reader = Reader { tree, budget: ALIAS_BUDGET, aliases: 0, foreign: false };
    let value = reader.value(tree.root, 0)?;
    Ok(Meaning { value, foreign: reader.foreign })
}

struct Reader<'a, 't> {
    tree: &'a Tree<'t>,
    budget: usize,
    /// How many aliases are being followed.
    aliases: usize,
    foreign: bool,
}

impl Reader<'_, '_> {
    fn value(&mut self, id: NodeId, depth: usize) -> Result<Value, Problem> {
        let node = self.tree.node(id);
        if depth > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} collections are nested here");
            return Err(Problem::new(node.span.start, message));
        }
        match &node.kind {
            NodeKind::Scalar(scalar) => {
                self.spend(id, scalar.text.len())?;
                scalar.value().map_err(|message| Problem::new(node.span.start, message))
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

    fn spend(&mut self, id: NodeId, length: usize) -> Result<(), Problem> {
        if self.aliases == 0 {
            return Ok(());
        }
        let left = self.budget.checked_sub(NODE_COST + length);
        self.budget = left.ok_or_else(|| {
            let message = format!("aliases repeat this and other nodes to more than {} MB", ALIAS_BUDGET >> 20);
            Problem::new(self.tree.node(id).span.start, message)
        })?;
        Ok(())
    }

    fn mapping(&mut self, entries: &[MappingEntry], depth: usize) -> Result<Value, Problem> {
        let mut map = Map::new();
        // The mapping's own keys, from its first merge key on: before it, they are those of the map.
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
            if twice {
                return Err(self.duplicate(&key, &entries[..=index]));
            }
            map.insert(key.into_owned(), value);
        }
        Ok(Value::Object(map))
    }

    /// Brings in the entries of what a merge key names. As kubectl's reader has it, they take the place of what the
    /// mapping has by then, and in a sequence the first mapping that has a key wins.
    fn merge(&mut self, id: NodeId, map: &mut Map<String, Value>, depth: usize) -> Result<(), Problem> {
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
                let message = "a merge key (`<<`) takes a mapping or a list of mappings: write one, or quote the key";
                return Err(Problem::new(self.tree.node(id).span.start, message));
            }
        }
        Ok(())
    }

    /// The last of `entries` has a key that one before it has.
    fn duplicate(&self, key: &str, entries: &[MappingEntry]) -> Problem {
        let offset = |entry: &MappingEntry| self.tree.node(entry.key).span.start;
        let first = entries.iter().find(|entry| self.tree.key(entry.key).as_deref() == Some(key));
        let message = format!("the key `{key}` is in this mapping twice: keep this one, or the one in");
        Problem { see: first.map(offset), ..Problem::new(entries.last().map(offset).unwrap_or_default(), message) }
    }
}
