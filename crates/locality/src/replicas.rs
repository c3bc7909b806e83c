//! The replicas of a volume.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::gap::Gap;

/// The replicas of one volume, by the Kubernetes node that holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    nodes: BTreeMap<Arc<str>, Replica>,
    /// The reason why there may be more replicas than these.
    pub gap: Option<Gap>,
}

/// A replica on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Whether it can serve the data.
    pub healthy: bool,
    /// Its creation, if the storage records it.
    pub created: Option<Timestamp>,
}

impl Replicas {
    /// Adds a replica. If a node has several, for example during a rebuild, a healthy one wins, and then the oldest.
    pub fn add(&mut self, node: Arc<str>, replica: Replica) {
        let rank = |replica: &Replica| (!replica.healthy, replica.created);
        let entry = self.nodes.entry(node).or_insert(replica);
        if rank(&replica) < rank(entry) {
            *entry = replica;
        }
    }

    /// The replica on a node.
    pub fn on(&self, node: &str) -> Option<Replica> {
        self.nodes.get(node).copied()
    }

    /// Returns whether a node has a healthy replica.
    ///
    /// # Errors
    /// The reason why this is not known.
    pub fn is_on(&self, node: &str) -> Result<bool, &Gap> {
        match (self.on(node), &self.gap) {
            (Some(Replica { healthy: true, .. }), _) => Ok(true),
            (_, Some(gap)) => Err(gap),
            (_, None) => Ok(false),
        }
    }

    /// The nodes with a replica, in the order of their names.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.keys()
    }

    /// The nodes with a healthy replica, in the order of their names.
    pub fn healthy(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.iter().filter(|(_, replica)| replica.healthy).map(|(node, _)| node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(healthy: bool, created: &str) -> Replica {
        Replica { healthy, created: Some(created.parse().unwrap()) }
    }

    #[test]
    fn the_best_replica_of_a_node_counts() {
        let (old, new) = ("2026-01-01T00:00:00Z", "2026-11-01T00:00:00Z");
        let mut replicas = Replicas::default();
        for (healthy, created) in [(true, new), (false, old), (true, old), (true, new)] {
            replicas.add("a".into(), replica(healthy, created));
        }
        replicas.add("b".into(), replica(false, old));
        assert_eq!(replicas.on("a"), Some(replica(true, old)));
        assert_eq!(replicas.healthy().map(|node| &**node).collect::<Vec<_>>(), ["a"]);
        assert_eq!([replicas.is_on("a"), replicas.is_on("b"), replicas.is_on("c")], [Ok(true), Ok(false), Ok(false)]);
    }

    #[test]
    fn with_a_gap_only_a_found_replica_is_known() {
        let mut replicas = Replicas { gap: Some(Gap::NodeNotNamed), ..Replicas::default() };
        replicas.add("a".into(), Replica { healthy: true, created: None });
        assert_eq!(replicas.is_on("a"), Ok(true));
        assert_eq!(replicas.is_on("b"), Err(&Gap::NodeNotNamed));
    }
}
