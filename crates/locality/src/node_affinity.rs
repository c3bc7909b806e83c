//! The adapter `nodeAffinity`: a local volume names its nodes itself.

use std::collections::HashMap;
use std::sync::Arc;

use super::gap::Gap;
use super::layout::Layout;
use super::node::Nodes;
use super::node_selector::NodeSelector;
use super::replicas::{Replica, Replicas};
use super::volume::Volume;

/// Finds the nodes of volumes by their node affinity: `spec.nodeAffinity.required` of `PersistentVolume`, which every local volume
/// has (`k8s.io/api/core/v1`, `VolumeNodeAffinity`).
///
/// For a volume of a zone, these are all nodes of the zone. Such a volume is not local, and its driver should not have this
/// adapter.
///
/// The volumes may be those of several drivers, whose handles may be equal, so the layout has the names of the objects.
pub fn layout_of_affinity<'a>(volumes: impl IntoIterator<Item = &'a Volume>, nodes: &Nodes) -> Layout {
    let replicas_of = |affinity: Option<&NodeSelector>| {
        let mut replicas = Replicas::default();
        match affinity {
            Some(affinity) => {
                for node in nodes.iter().filter(|node| affinity.selects(node)) {
                    replicas.add((*node.name).into(), Replica { healthy: true, created: None });
                }
            }
            None => replicas.gap = Some(Gap::NoNodeAffinity),
        }
        Arc::new(replicas)
    };
    let mut layout = Layout::with_object_names();
    // All volumes of a zone have the same nodes.
    let mut shared = HashMap::new();
    for Volume { name, affinity, .. } in volumes {
        let affinity = affinity.as_deref();
        let replicas = shared.entry(affinity).or_insert_with(|| replicas_of(affinity));
        layout.insert(name, replicas.clone());
    }
    layout
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Node;

    #[test]
    fn a_local_volume_is_on_the_nodes_that_it_selects() {
        let mut nodes = Nodes::default();
        for name in ["n1", "n2"] {
            let labels = [("kubernetes.io/hostname".to_owned(), name.to_owned())].into();
            nodes.insert(Node { name: name.into(), labels, ..Node::default() });
        }
        let volume = |name: &str, affinity: serde_json::Value| {
            // Handles are unique only within a driver.
            let csi = json!({"driver": format!("{name}.csi"), "volumeHandle": "1"});
            let volume = json!({"metadata": {"name": name}, "spec": {"csi": csi, "nodeAffinity": affinity}});
            Volume::parse(&volume.to_string()).unwrap()
        };
        let hostname = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]});
        let terms = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}});
        let volumes = [volume("a", terms), volume("b", json!(null)), volume("c", json!({}))];
        let layout = layout_of_affinity(&volumes, &nodes);
        let [a, b, c] = volumes.each_ref().map(|volume| layout.find_volume(volume).unwrap());
        assert_eq!(a.healthy().map(|node| &**node).collect::<Vec<_>>(), ["n2"]);
        assert_eq!(b.is_on("n1"), Err(&Gap::NoNodeAffinity));
        assert_eq!(c.is_on("n1"), Err(&Gap::NoNodeAffinity));
    }
}
