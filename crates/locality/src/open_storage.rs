//! The adapter `openStorage`: the REST gateway of the `OpenStorage` SDK, which Portworx implements.
//!
//! Source: `api/api.proto` and `api/server/sdk/rest_gateway.go` of `libopenstorage/openstorage` v9.4.47, whose annotations
//! `google.api.http` have the paths. The gateway is grpc-gateway v1 with its default marshaler: fields have their names in the
//! protocol, enums are strings, 64-bit numbers are strings, and fields with the default value are absent. This module also reads
//! what other marshalers write: names in lowerCamelCase, enums as numbers, and null.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::gap::Gap;
use super::layout::Layout;
use super::node_selector::nullable;
use super::replicas::{Replica, Replicas};

/// The path of `OpenStorageVolume.InspectWithFilters`. A `POST` of `{}` returns all volumes that the token may see.
pub const VOLUMES_PATH: &str = "/v1/volumes/inspectwithfilters";

/// The path of `OpenStorageNode.EnumerateWithFilters`. A `GET` returns all nodes. `Enumerate` returns only their ids.
pub const NODES_PATH: &str = "/v1/nodes/filters";

/// The nodes of the storage by their id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageNodes(HashMap<Box<str>, StorageNode>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct StorageNode {
    /// `scheduler_node_name`: the name of the node in Kubernetes; empty if Portworx could not get it.
    name: Arc<str>,
    serves_data: bool,
}

/// `SdkNodeEnumerateWithFiltersResponse`.
#[derive(Deserialize)]
struct NodeList {
    #[serde(default, deserialize_with = "nullable")]
    nodes: Vec<RawNode>,
}

/// `StorageNode`.
#[derive(Deserialize)]
struct RawNode {
    #[serde(default, deserialize_with = "nullable")]
    id: Box<str>,
    #[serde(default, deserialize_with = "nullable", alias = "schedulerNodeName")]
    scheduler_node_name: Box<str>,
    #[serde(default)]
    status: Option<EnumValue>,
}

/// `SdkVolumeInspectWithFiltersResponse`.
#[derive(Deserialize)]
struct VolumeList {
    #[serde(default, deserialize_with = "nullable")]
    volumes: Vec<InspectedVolume>,
}

/// `SdkVolumeInspectResponse`.
#[derive(Deserialize)]
struct InspectedVolume {
    #[serde(default)]
    volume: Option<RawVolume>,
    /// The name, in newer versions of the protocol.
    #[serde(default, deserialize_with = "nullable")]
    name: Box<str>,
}

/// `Volume`.
#[derive(Deserialize)]
struct RawVolume {
    #[serde(default, deserialize_with = "nullable")]
    id: Box<str>,
    #[serde(default)]
    locator: Option<Locator>,
    #[serde(default, deserialize_with = "nullable", alias = "replicaSets")]
    replica_sets: Vec<ReplicaSet>,
}

/// `VolumeLocator`.
#[derive(Deserialize)]
struct Locator {
    #[serde(default, deserialize_with = "nullable")]
    name: Box<str>,
}

/// `ReplicaSet`: the ids of the nodes that hold a part of the volume.
#[derive(Deserialize)]
struct ReplicaSet {
    #[serde(default, deserialize_with = "nullable")]
    nodes: Vec<Box<str>>,
}

/// A value of an enum: its name or its number.
#[derive(Deserialize)]
#[serde(untagged)]
enum EnumValue {
    Name(Box<str>),
    Number(u64),
}

/// The values of `Status` with which a node serves data.
///
/// Source: `mapNodeStatus` of Stork's Portworx driver maps them to `NodeOnline` and `NodeDegraded`, and `getNodeScore` gives such a
/// node the full score. `STATUS_STORAGE_DOWN` is left out: Stork does not give it that score. `STATUS_NONE` is a status that the
/// storage does not report.
const SERVING: [(&str, u64); 5] = [
    ("STATUS_NONE", 0),
    ("STATUS_OK", 2),
    ("STATUS_STORAGE_DEGRADED", 9),
    ("STATUS_STORAGE_REBALANCE", 11),
    ("STATUS_STORAGE_DRIVE_REPLACE", 12),
];

impl EnumValue {
    fn is_serving(&self) -> bool {
        SERVING.iter().any(|(name, number)| match self {
            Self::Name(own) => **own == **name,
            Self::Number(own) => own == number,
        })
    }
}

impl StorageNodes {
    /// Reads the response of [`NODES_PATH`].
    ///
    /// # Errors
    /// The response is not JSON, or a field that is read has another type than in the protocol.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        let NodeList { nodes } = serde_json::from_str(json)?;
        let read = |RawNode { id, scheduler_node_name, status }: RawNode| {
            let serves_data = status.is_none_or(|status| status.is_serving());
            (id, StorageNode { name: (*scheduler_node_name).into(), serves_data })
        };
        Ok(Self(nodes.into_iter().map(read).collect()))
    }

    /// Reads the response of [`VOLUMES_PATH`] into a layout. Each volume is found by its id and by its name: the handle of a CSI
    /// volume is the id, and a pod or an in-tree `PersistentVolume` may use either.
    ///
    /// A node has a replica if it is in any replica set, as for Stork. An aggregated volume has several sets, each with a part of the data.
    ///
    /// # Errors
    /// The response is not JSON, or a field that is read has another type than in the protocol.
    pub fn layout(&self, json: &str) -> serde_json::Result<Layout> {
        let VolumeList { volumes } = serde_json::from_str(json)?;
        let mut layout = Layout::new();
        // An id is found first, so a volume whose name is the id of another one does not hide it.
        let mut named = Vec::with_capacity(volumes.len());
        for InspectedVolume { volume, name } in volumes {
            let Some(RawVolume { id, locator, replica_sets }) = volume else { continue };
            let replicas = self.replicas(&replica_sets);
            let name = locator.map(|locator| locator.name).filter(|name| !name.is_empty()).unwrap_or(name);
            if name != id && !name.is_empty() {
                named.push((name, replicas.clone()));
            }
            layout.insert(&id, replicas);
        }
        for (name, replicas) in named {
            if layout.find(&name).is_err() {
                layout.insert(&name, replicas);
            }
        }
        Ok(layout)
    }

    fn replicas(&self, sets: &[ReplicaSet]) -> Replicas {
        let mut replicas = Replicas::default();
        for id in sets.iter().flat_map(|set| &set.nodes) {
            match self.0.get(id) {
                Some(StorageNode { name, serves_data }) if !name.is_empty() => {
                    replicas.add(name.clone(), Replica { healthy: *serves_data, created: None });
                }
                _ => replicas.gap = Some(Gap::NodeNotNamed),
            }
        }
        replicas
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn nodes() -> StorageNodes {
        let nodes = json!({"nodes": [
            {"id": "a", "mem_total": "16825421824", "status": "STATUS_OK", "scheduler_node_name": "node-1"},
            {"id": "b", "cpu": 1.5, "status": 2, "schedulerNodeName": "node-2", "disks": {}},
            {"id": "c", "status": "STATUS_OFFLINE", "scheduler_node_name": "node-3"},
            {"id": "d", "status": "STATUS_OK", "scheduler_node_name": ""},
            {"id": "e", "status": null, "scheduler_node_name": "node-5"},
        ]});
        StorageNodes::parse(&nodes.to_string()).unwrap()
    }

    fn volume(id: &str, name: &str, sets: &Value) -> Value {
        let spec = json!({"size": "1073741824", "ha_level": "2", "format": "FS_TYPE_EXT4"});
        json!({"volume": {"id": id, "locator": {"name": name}, "spec": spec, "replica_sets": sets}})
    }

    fn healthy(layout: &Layout, volume: &str) -> Vec<String> {
        layout.find(volume).unwrap().healthy().map(ToString::to_string).collect()
    }

    #[test]
    fn volumes_are_found_by_id_and_name() {
        let volumes = [
            volume("1", "pvc-1", &json!([{"nodes": ["a", "b", "c"]}])),
            volume("2", "1", &json!([{"nodes": ["b"]}])),
            volume("3", "", &json!(null)),
            json!({"volume": {"id": "4", "replicaSets": [{"nodes": ["a"]}, {"nodes": ["b"]}]}, "name": "pvc-4"}),
            json!({"volume": null}),
        ];
        let layout = nodes().layout(&json!({ "volumes": volumes }).to_string()).unwrap();
        assert_eq!(healthy(&layout, "1"), ["node-1", "node-2"]);
        assert_eq!(healthy(&layout, "pvc-1"), ["node-1", "node-2"]);
        assert_eq!(layout.find("1").unwrap().on("node-3"), Some(Replica { healthy: false, created: None }));
        assert_eq!(healthy(&layout, "2"), ["node-2"]);
        assert_eq!(layout.find("3").unwrap(), &Replicas::default());
        assert_eq!(healthy(&layout, "pvc-4"), ["node-1", "node-2"]);
        assert_eq!(layout.find(""), Err(Gap::NotListed));
        assert_eq!(nodes().layout("{}").unwrap(), Layout::new());
    }

    #[test]
    fn a_node_without_a_name_in_kubernetes_leaves_a_gap() {
        for id in ["d", "unknown"] {
            let volumes = json!({"volumes": [volume("1", "v", &json!([{"nodes": ["a", id]}]))]});
            let layout = nodes().layout(&volumes.to_string()).unwrap();
            let replicas = layout.find("1").unwrap();
            assert_eq!((replicas.is_on("node-1"), replicas.is_on("node-2")), (Ok(true), Err(&Gap::NodeNotNamed)));
        }
    }

    #[test]
    fn the_status_of_a_node_may_be_a_name_or_a_number() {
        for (status, expected) in [
            (json!("STATUS_OK"), true),
            (json!(2), true),
            (json!("STATUS_STORAGE_REBALANCE"), true),
            (json!(11), true),
            (json!(0), true),
            (json!("STATUS_STORAGE_DOWN"), false),
            (json!(8), false),
            (json!("STATUS_OF_THE_FUTURE"), false),
        ] {
            let nodes = json!({"nodes": [{"id": "a", "status": status}]});
            assert_eq!(StorageNodes::parse(&nodes.to_string()).unwrap().0["a"].serves_data, expected, "{status}");
        }
        for wrong in ["", "1", r#"{"nodes":{}}"#, r#"{"nodes":[{"id":1}]}"#, r#"{"nodes":[{"status":true}]}"#] {
            assert!(StorageNodes::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", r#"{"volumes":[1]}"#, r#"{"volumes":[{"volume":{"replica_sets":{}}}]}"#] {
            assert!(nodes().layout(wrong).is_err(), "{wrong}");
        }
    }
}
