//! The layout of a driver's volumes.

use std::collections::HashMap;
use std::sync::Arc;

use super::gap::Gap;
use super::node::Nodes;
use super::replicas::{Replica, Replicas};
use super::volume::Volume;

/// The replicas of all volumes of a driver, by the names under which the storage knows a volume; or the reason why none of them
/// are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    volumes: Result<HashMap<Box<str>, Arc<Replicas>>, Gap>,
    /// Whether names are compared in lower case.
    ignores_case: bool,
    /// Whether the names are those of `PersistentVolumes` instead of handles.
    has_object_names: bool,
}

impl Layout {
    /// Creates a layout without volumes.
    pub fn new() -> Self {
        Self { volumes: Ok(HashMap::new()), ignores_case: false, has_object_names: false }
    }

    /// Creates a layout without volumes whose names are compared in lower case. The names of Kubernetes nodes are in lower case.
    pub fn ignoring_case() -> Self {
        Self { ignores_case: true, ..Self::new() }
    }

    /// Creates a layout without volumes whose names are those of `PersistentVolumes`.
    pub fn with_object_names() -> Self {
        Self { has_object_names: true, ..Self::new() }
    }

    /// Creates the layout of a driver of which nothing is known.
    pub const fn unknown(gap: Gap) -> Self {
        Self { volumes: Err(gap), ignores_case: false, has_object_names: false }
    }

    /// The reason why nothing is known.
    pub const fn gap(&self) -> Option<&Gap> {
        match &self.volumes {
            Ok(_) => None,
            Err(gap) => Some(gap),
        }
    }

    /// Returns true if it has replicas, and none of their nodes is a node of the cluster.
    pub fn is_foreign_to(&self, nodes: &Nodes) -> bool {
        let names = || self.volumes.iter().flat_map(HashMap::values).flat_map(|replicas| replicas.nodes());
        names().next().is_some() && !names().any(|name| nodes.get(name).is_some())
    }

    /// Adds a volume with its replicas, which several volumes may share.
    pub fn insert(&mut self, volume: &str, replicas: impl Into<Arc<Replicas>>) {
        let volume = self.fold(volume);
        if let Ok(volumes) = &mut self.volumes {
            volumes.insert(volume, replicas.into());
        }
    }

    /// Adds a replica of a volume, and the volume.
    pub fn add(&mut self, volume: &str, node: &str, replica: Replica) {
        let (volume, node) = (self.fold(volume), Arc::from(self.fold(node)));
        if let Ok(volumes) = &mut self.volumes {
            Arc::make_mut(volumes.entry(volume).or_default()).add(node, replica);
        }
    }

    /// Adds a replica whose node is not known.
    pub fn add_unnamed(&mut self, volume: &str) {
        let volume = self.fold(volume);
        if let Ok(volumes) = &mut self.volumes {
            Arc::make_mut(volumes.entry(volume).or_default()).gap = Some(Gap::NodeNotNamed);
        }
    }

    /// Finds the replicas of a volume.
    ///
    /// # Errors
    /// The reason why they are not known.
    pub fn find(&self, volume: &str) -> Result<&Replicas, Gap> {
        let volumes = self.volumes.as_ref().map_err(Clone::clone)?;
        volumes.get(&self.fold(volume)).map(|replicas| &**replicas).ok_or(Gap::NotListed)
    }

    /// Finds the replicas of a volume, by its handle or its name.
    ///
    /// # Errors
    /// The reason why they are not known.
    pub fn find_volume(&self, volume: &Volume) -> Result<&Replicas, Gap> {
        self.find(if self.has_object_names { &volume.name } else { &volume.handle })
    }

    fn fold(&self, name: &str) -> Box<str> {
        if self.ignores_case { name.to_lowercase().into() } else { name.into() }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    const HEALTHY: Replica = Replica { healthy: true, created: None };

    #[test]
    fn a_layout_is_foreign_if_none_of_its_nodes_exists() {
        let mut nodes = Nodes::new(true);
        nodes.insert(Node { name: "n1".into(), ..Node::default() });
        let mut layout = Layout::new();
        assert!(!layout.is_foreign_to(&nodes), "it has no replicas");
        layout.add("v", "n1.example.com", HEALTHY);
        assert!(layout.is_foreign_to(&nodes));
        // The other node may have been removed from the cluster.
        layout.add("w", "n1", HEALTHY);
        assert!(!layout.is_foreign_to(&nodes));
    }

    #[test]
    fn volumes_are_found_by_their_exact_name_unless_case_is_ignored() {
        for (mut layout, found) in [(Layout::new(), false), (Layout::ignoring_case(), true)] {
            layout.add("PVC-1", "NODE-1", HEALTHY);
            assert!(layout.find("PVC-1").is_ok());
            assert_eq!(layout.find("pvc-1").is_ok_and(|replicas| replicas.is_on("node-1") == Ok(true)), found);
        }
    }

    #[test]
    fn an_unlisted_volume_and_an_unknown_layout_are_gaps() {
        let mut layout = Layout::new();
        layout.add_unnamed("v");
        assert_eq!(layout.find("v").unwrap().gap, Some(Gap::NodeNotNamed));
        assert_eq!(layout.find("w"), Err(Gap::NotListed));
        let mut layout = Layout::unknown(Gap::NoSource);
        layout.add("v", "a", HEALTHY);
        assert_eq!((layout.find("v"), layout.gap()), (Err(Gap::NoSource), Some(&Gap::NoSource)));
    }
}
