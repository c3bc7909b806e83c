//! The adapter `customResource`: replicas, or local volumes, as custom resources.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::layout::Layout;
use super::replicas::Replica;

/// A custom resource with one object per replica, and the fields that name its volume and its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomResource {
    /// The group.
    pub group: Box<str>,
    /// The version; `None` for the one that the API server prefers.
    pub version: Option<Box<str>>,
    /// The resource, in the plural.
    pub resource: Box<str>,
    /// The JSON pointer of the volume's name: the handle of the CSI volume.
    pub volume: Box<str>,
    /// The JSON pointer of the Kubernetes node's name.
    pub node: Box<str>,
    /// The conditions of an object that is a replica. Objects that do not meet all of them are left out.
    pub select: Vec<Condition>,
    /// The conditions of a replica that is healthy.
    pub health: Vec<Condition>,
    /// Whether the names of volumes and nodes are compared in lower case.
    pub ignore_case: bool,
}

/// A condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The JSON pointer of the field.
    pub path: Box<str>,
    /// The test of the value.
    pub test: Test,
}

/// The test of a field's value. An absent field, and null, have the value `""`. Numbers and booleans are compared as JSON writes
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The value is one of these.
    In(Vec<Box<str>>),
    /// The value is none of these.
    NotIn(Vec<Box<str>>),
    /// The value is a number that has none of these bits.
    WithoutBits(u64),
}

/// The CSI drivers of Longhorn and LINSTOR, which are also the provisioners of their volumes.
pub(super) const LONGHORN: &str = "driver.longhorn.io";
pub(super) const LINSTOR: &str = "linstor.csi.linbit.com";

/// The names of the custom resources that are built in, each with the provisioner of its volumes.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("longhorn", LONGHORN),
    ("hwameistor", "lvm.hwameistor.io"),
    ("topolvm", "topolvm.io"),
    ("openebs-lvm", "local.csi.openebs.io"),
    ("linstor", LINSTOR),
];

impl FromStr for CustomResource {
    type Err = String;

    /// Finds a custom resource that is built in by its name.
    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "longhorn" => Self::longhorn(),
            "hwameistor" => Self::hwameistor(),
            "topolvm" => Self::topolvm(),
            "openebs-lvm" => Self::openebs_lvm(),
            "linstor" => Self::linstor(),
            _ => {
                let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                return Err(format!(
                    "`{name}` is not a built-in custom resource: use one of {}, or a mapping with `group`, `resource`, `volume` and `node`",
                    names.join(", ")
                ));
            }
        })
    }
}

impl CustomResource {
    fn new(resource: &str, group: &str, version: &str, volume: &str, node: &str) -> Self {
        Self {
            group: group.into(),
            version: Some(version.into()),
            resource: resource.into(),
            volume: volume.into(),
            node: node.into(),
            select: Vec::new(),
            health: Vec::new(),
            ignore_case: false,
        }
    }

    /// Source: `k8s/pkg/apis/longhorn/v1beta2/replica.go` and `instancemanager.go` (`InstanceSpec`) of `longhorn/longhorn-manager`
    /// v1.7.2. `healthyAt` is set when a replica becomes readable and is cleared before a rebuild; `failedAt` is set when it fails.
    /// A replica keeps its data while it is stopped.
    fn longhorn() -> Self {
        Self {
            health: vec![Condition::not_empty("/spec/healthyAt"), Condition::equal("/spec/failedAt", "")],
            ..Self::new("replicas", "longhorn.io", "v1beta2", "/spec/volumeName", "/spec/nodeID")
        }
    }

    /// Source: `pkg/apis/hwameistor/v1alpha1/localvolumereplica_types.go` of `hwameistor/hwameistor`. A replica that is replicated is
    /// `Ready` only while it is consistent. `spec.delete` asks for its deletion.
    fn hwameistor() -> Self {
        let (group, version) = ("hwameistor.io", "v1alpha1");
        let kept = Condition { path: "/spec/delete".into(), test: Test::NotIn(vec!["true".into()]) };
        Self {
            health: vec![Condition::equal("/status/state", "Ready"), kept],
            ..Self::new("localvolumereplicas", group, version, "/spec/volumeName", "/spec/nodeName")
        }
    }

    /// Source: `api/v1/logicalvolume_types.go` and `docs/crd-logical-volume.md` of `topolvm/topolvm`. The handle of the CSI volume is
    /// `status.volumeID`, which is set once the volume exists.
    fn topolvm() -> Self {
        Self {
            health: vec![Condition::not_empty("/status/volumeID")],
            ..Self::new("logicalvolumes", "topolvm.io", "v1", "/status/volumeID", "/spec/nodeName")
        }
    }

    /// Source: `pkg/apis/openebs.io/lvm/v1alpha1/lvmvolume.go` of `openebs/lvm-localpv`. The object has the name of the CSI volume.
    fn openebs_lvm() -> Self {
        let (group, version) = ("local.openebs.io", "v1alpha1");
        Self {
            health: vec![Condition::equal("/status/state", "Ready")],
            ..Self::new("lvmvolumes", group, version, "/metadata/name", "/spec/ownerNodeID")
        }
    }

    /// Source: the database of LINSTOR in Kubernetes (objects of v1-19-1, as published in tests of `deckhouse/deckhouse`), and
    /// `core/objects/Resource.java` of `LINBIT/linstor-server` for the bits of `resource_flags`: `DELETE` 2, `DISKLESS` 4 (which all
    /// diskless sorts contain), `DISK_REMOVING` 64 and `INACTIVE` 1024.
    ///
    /// Names are stored in upper case. Snapshots are stored in the same resource. The API versions change with LINSTOR, and these
    /// fields are in all of them.
    fn linstor() -> Self {
        let resource =
            Self::new("resources", "internal.linstor.linbit.com", "", "/spec/resource_name", "/spec/node_name");
        let flags = |bits| Condition { path: "/spec/resource_flags".into(), test: Test::WithoutBits(bits) };
        Self {
            version: None,
            select: vec![Condition::equal("/spec/snapshot_name", ""), flags(4)],
            health: vec![flags(2 | 64 | 1024)],
            ignore_case: true,
            ..resource
        }
    }

    /// Creates a layout for the objects of this resource.
    pub fn layout(&self) -> Layout {
        if self.ignore_case { Layout::ignoring_case() } else { Layout::new() }
    }

    /// Reads an object into a layout. An object that names no volume, or has no node yet, is left out.
    pub fn read(&self, object: &Value, layout: &mut Layout) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (volume, node) = (text(&self.volume), text(&self.node));
        if volume.is_empty() || node.is_empty() || !self.select.iter().all(|condition| condition.is_met_by(object)) {
            return;
        }
        let is_deleted = object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
        let healthy = !is_deleted && self.health.iter().all(|condition| condition.is_met_by(object));
        let created = text("/metadata/creationTimestamp").parse().ok();
        layout.add(volume, node, Replica { healthy, created });
    }
}

impl Condition {
    fn equal(path: &str, value: &str) -> Self {
        Self { path: path.into(), test: Test::In(vec![value.into()]) }
    }

    fn not_empty(path: &str) -> Self {
        Self { path: path.into(), test: Test::NotIn(vec!["".into()]) }
    }

    fn is_met_by(&self, object: &Value) -> bool {
        let value = object.pointer(&self.path);
        let text = match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        match &self.test {
            Test::In(values) => values.iter().any(|own| **own == *text),
            Test::NotIn(values) => values.iter().all(|own| **own != *text),
            // A Java long may be negative, and an absent number has no bits.
            Test::WithoutBits(_) if text.is_empty() => true,
            Test::WithoutBits(bits) => text.parse().is_ok_and(|number: i64| number.cast_unsigned() & bits == 0),
        }
    }
}

impl fmt::Display for CustomResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.resource, self.group)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Gap;

    /// Reads objects as in a cluster, and returns `node` for a healthy replica and `node!` for another one.
    fn replicas(name: &str, objects: &[Value], volume: &str, nodes: &[&str]) -> Result<Vec<String>, Gap> {
        let resource: CustomResource = name.parse().unwrap();
        let mut layout = resource.layout();
        for object in objects {
            resource.read(object, &mut layout);
        }
        let replicas = layout.find(volume)?;
        let describe = |node: &&str| {
            replicas.on(node).map(|Replica { healthy, .. }| format!("{node}{}", if healthy { "" } else { "!" }))
        };
        Ok(nodes.iter().filter_map(describe).collect())
    }

    const NODES: &[&str] = &["n1", "n2", "n3", "n4"];

    #[test]
    fn longhorn_replicas_count_while_they_have_data() {
        let replica = |node: &str, healthy: &str, failed: &str, state: &str| {
            json!({"metadata": {"name": "pvc-1-r-1", "creationTimestamp": "2026-11-01T00:00:00Z"},
                "spec": {"volumeName": "pvc-1", "nodeID": node, "healthyAt": healthy, "failedAt": failed},
                "status": {"currentState": state}})
        };
        let time = "2026-11-01T00:01:00Z";
        let objects = [
            replica("n1", time, "", "running"),
            replica("n2", time, "", "stopped"),
            replica("n3", "", "", "running"),
            replica("n4", time, time, "error"),
            replica("", "", "", ""),
        ];
        assert_eq!(replicas("longhorn", &objects, "pvc-1", NODES).unwrap(), ["n1", "n2", "n3!", "n4!"]);
        assert_eq!(replicas("longhorn", &objects, "pvc-2", NODES), Err(Gap::NotListed));
    }

    #[test]
    fn hwameistor_replicas_count_while_they_are_ready() {
        let replica = |node: &str, status: Value| json!({"metadata": {"name": "x"}, "spec": {"volumeName": "pvc-1", "nodeName": node}, "status": status});
        let ready = json!({"state": "Ready", "synced": true});
        let mut deleted = replica("n4", ready.clone());
        deleted["spec"]["delete"] = true.into();
        let failed = replica("n2", json!({"state": "NotReady"}));
        let objects = [replica("n1", ready), failed, replica("n3", json!(null)), deleted];
        assert_eq!(replicas("hwameistor", &objects, "pvc-1", NODES).unwrap(), ["n1", "n2!", "n3!", "n4!"]);
    }

    #[test]
    fn topolvm_and_openebs_volumes_are_on_one_node() {
        let volume = |status: Value| json!({"spec": {"name": "pvc-1", "nodeName": "n1"}, "status": status});
        let created = [volume(json!({"volumeID": "3f1c", "currentSize": "1Gi"}))];
        assert_eq!(replicas("topolvm", &created, "3f1c", NODES).unwrap(), ["n1"]);
        assert_eq!(replicas("topolvm", &[volume(json!({}))], "3f1c", NODES), Err(Gap::NotListed));

        let volume = |state: &str| json!({"metadata": {"name": "pvc-1"}, "spec": {"ownerNodeID": "n2"}, "status": {"state": state}});
        assert_eq!(replicas("openebs-lvm", &[volume("Ready")], "pvc-1", NODES).unwrap(), ["n2"]);
        assert_eq!(replicas("openebs-lvm", &[volume("Failed")], "pvc-1", NODES).unwrap(), ["n2!"]);
    }

    #[test]
    fn linstor_resources_count_if_they_have_a_disk() {
        let resource = |node: &str, flags: i64, snapshot: &str| {
            json!({"spec": {"node_name": node, "resource_name": "PVC-31D4", "resource_flags": flags,
                "snapshot_name": snapshot, "uuid": "x"}})
        };
        let objects = [
            resource("N1", 0, ""),
            // DISKLESS, DRBD_DISKLESS and TIE_BREAKER.
            resource("N2", 388, ""),
            resource("N3", 2, ""),
            resource("N4", 0, "BACK_1"),
        ];
        assert_eq!(replicas("linstor", &objects, "pvc-31d4", NODES).unwrap(), ["n1", "n3!"]);
        for inactive in [64, 1024] {
            let objects = [resource("N1", inactive, "")];
            assert_eq!(replicas("linstor", &objects, "pvc-31d4", NODES).unwrap(), ["n1!"], "{inactive}");
        }
    }

    #[test]
    fn an_object_that_is_being_deleted_is_not_healthy() {
        let mut object = json!({"metadata": {"name": "pvc-1", "deletionTimestamp": null},
            "spec": {"ownerNodeID": "n1"}, "status": {"state": "Ready"}});
        assert_eq!(replicas("openebs-lvm", &[object.clone()], "pvc-1", NODES).unwrap(), ["n1"]);
        object["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z".into();
        assert_eq!(replicas("openebs-lvm", &[object], "pvc-1", NODES).unwrap(), ["n1!"]);
    }

    #[test]
    fn conditions_compare_values_as_text() {
        let object = json!({"flag": true, "number": 6, "text": "a", "null": null, "bits": "6", "negative": -1});
        let met = |path: &str, test: Test| Condition { path: path.into(), test }.is_met_by(&object);
        assert!(met("/flag", Test::In(vec!["true".into()])));
        assert!(met("/number", Test::In(vec!["5".into(), "6".into()])));
        assert!(!met("/text", Test::NotIn(vec!["a".into()])));
        assert!(met("/null", Test::In(vec!["".into()])) && met("/absent", Test::In(vec!["".into()])));
        assert!(met("/number", Test::WithoutBits(1)) && !met("/number", Test::WithoutBits(2)));
        assert!(met("/bits", Test::WithoutBits(9)) && !met("/negative", Test::WithoutBits(1)));
        assert!(met("/absent", Test::WithoutBits(1)) && !met("/text", Test::WithoutBits(1)));
    }

    #[test]
    fn built_in_resources_have_names() {
        for (name, _) in BUILT_IN {
            let resource: CustomResource = name.parse().unwrap();
            assert!([&resource.volume, &resource.node].iter().all(|path| path.starts_with('/')), "{resource}");
        }
        let error = "ceph".parse::<CustomResource>().unwrap_err();
        assert!(
            error.starts_with("`ceph` is not a built-in custom resource: use one of longhorn, hwameistor,"),
            "{error}"
        );
    }
}
