//! The volume of a claim, as the storage knows it.

use std::fmt;
use std::sync::Arc;

use colocate_engine::{AccessModes, Text, object, parse_bool};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::custom_resource::{LINSTOR, LONGHORN};
use super::node_selector::NodeSelector;

/// The fields of a `PersistentVolume` that lead to its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// The name of the `PersistentVolume`; empty for a volume that a pod names directly.
    pub name: Box<str>,
    /// The name under which the storage knows it: the handle of a CSI volume, the id of an in-tree Portworx volume, or else the
    /// name of the `PersistentVolume`.
    pub handle: Box<str>,
    /// The nodes from which it can be accessed: `spec.nodeAffinity.required`. Many volumes have the same, which they may share.
    pub affinity: Option<Arc<NodeSelector>>,
    /// Whether it is a disk or a directory of a node: `spec.local`.
    pub is_local: bool,
    /// Whether the storage serves it to all nodes over NFS.
    pub is_served: bool,
}

#[derive(Deserialize)]
struct PersistentVolume<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    spec: Option<Spec<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'a> {
    #[serde(borrow, deserialize_with = "object")]
    csi: Option<Csi<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    portworx_volume: Option<InTree<'a>>,
    #[serde(deserialize_with = "object")]
    node_affinity: Option<Affinity>,
    local: Option<IgnoredAny>,
    access_modes: AccessModes,
    #[serde(borrow)]
    volume_mode: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Csi<'a> {
    #[serde(borrow, default)]
    driver: Option<Text<'a>>,
    #[serde(borrow, default)]
    volume_handle: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    volume_attributes: Option<Attributes<'a>>,
}

#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow, default)]
    migratable: Option<Text<'a>>,
}

impl Csi<'_> {
    /// Returns true if the storage serves the volume over NFS. Longhorn does this for each `ReadWriteMany` volume that is not `migratable`
    /// (`csi/node_server.go` of `longhorn/longhorn-manager`); nodes attach a migratable volume themselves. LINSTOR does it for
    /// `ReadWriteMany` file systems since `linstor-csi` 1.9.0 (its pull request 364); nodes attach block volumes themselves.
    fn is_served(&self, modes: AccessModes, volume_mode: Option<&str>) -> bool {
        let Self { driver, volume_attributes, .. } = self;
        let migratable = volume_attributes.as_ref().and_then(|attributes| attributes.migratable.as_deref());
        modes.contains("ReadWriteMany")
            && match driver.as_deref() {
                Some(LONGHORN) => migratable.and_then(parse_bool) != Some(true),
                Some(LINSTOR) => volume_mode != Some("Block"),
                _ => false,
            }
    }
}

#[derive(Deserialize)]
struct InTree<'a> {
    #[serde(borrow, default, rename = "volumeID")]
    id: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Affinity {
    #[serde(default)]
    required: Option<NodeSelector>,
}

impl Volume {
    /// Reads a `PersistentVolume` from its JSON.
    ///
    /// # Errors
    /// A field that is read has another type than in Kubernetes.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        let PersistentVolume { metadata, spec } = serde_json::from_str(json)?;
        let Spec { csi, portworx_volume, node_affinity, local, access_modes, volume_mode } = spec.unwrap_or_default();
        let name: Box<str> = metadata.map_or("".into(), |metadata| (*metadata.name).into());
        let is_served = csi.as_ref().is_some_and(|csi| csi.is_served(access_modes, volume_mode.as_deref()));
        let handle = csi.and_then(|csi| csi.volume_handle).or_else(|| portworx_volume.and_then(|volume| volume.id));
        let handle = handle.filter(|handle| !handle.is_empty()).map_or_else(|| name.clone(), |handle| (*handle).into());
        let affinity = node_affinity.and_then(|affinity| affinity.required).map(Arc::new);
        Ok(Self { name, handle, affinity, is_local: local.is_some(), is_served })
    }

    /// Reads an entry of a pod's `volumes` that names its volume directly: an in-tree Portworx volume.
    pub fn inline(entry: &Value) -> Option<Self> {
        let handle = entry.pointer("/portworxVolume/volumeID")?.as_str().filter(|id| !id.is_empty())?;
        Some(Self { handle: handle.into(), ..Self::default() })
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.name.is_empty() { &self.handle } else { &self.name })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_handle_is_that_of_the_storage() {
        let handle = |spec: Value| {
            let volume = json!({"metadata": {"name": "pvc-1"}, "spec": spec}).to_string();
            Volume::parse(&volume).unwrap().handle.to_string()
        };
        assert_eq!(handle(json!({"csi": {"driver": "d", "volumeHandle": "1088"}})), "1088");
        assert_eq!(handle(json!({"portworxVolume": {"volumeID": "data"}})), "data");
        for none in [json!({}), json!(null), json!({"csi": {"driver": "d"}}), json!({"csi": {"volumeHandle": ""}})] {
            assert_eq!(handle(none), "pvc-1");
        }
        assert!(Volume::parse(r#"{"spec":{"csi":{"volumeHandle":1}}}"#).is_err());
    }

    #[test]
    fn a_local_volume_has_the_source_local() {
        for (spec, expected) in [
            (json!({"local": {"path": "/mnt/a"}}), true),
            (json!({"hostPath": {"path": "/a"}}), false),
            (json!({"local": null}), false),
        ] {
            let volume = Volume::parse(&json!({"metadata": {"name": "a"}, "spec": spec}).to_string()).unwrap();
            assert_eq!(volume.is_local, expected, "{spec}");
        }
    }

    #[test]
    fn some_drivers_serve_volumes_that_several_nodes_write() {
        for (driver, access, mode, attributes, expected) in [
            (LONGHORN, "ReadWriteMany", "Filesystem", json!({"share": "true"}), true),
            (LONGHORN, "ReadWriteMany", "Filesystem", json!(null), true),
            (LONGHORN, "ReadWriteMany", "Filesystem", json!({"migratable": "false"}), true),
            (LONGHORN, "ReadWriteMany", "Block", json!({"migratable": "true", "share": "true"}), false),
            (LONGHORN, "ReadWriteOnce", "Filesystem", json!({}), false),
            (LINSTOR, "ReadWriteMany", "Filesystem", json!({}), true),
            (LINSTOR, "ReadWriteMany", "Block", json!({}), false),
            (LINSTOR, "ReadWriteOnce", "Filesystem", json!({}), false),
            ("other.example.com", "ReadWriteMany", "Filesystem", json!({}), false),
        ] {
            let csi = json!({"driver": driver, "volumeHandle": "a", "volumeAttributes": attributes});
            let spec = json!({"csi": csi, "accessModes": [access], "volumeMode": mode});
            let volume = Volume::parse(&json!({"metadata": {"name": "a"}, "spec": spec}).to_string()).unwrap();
            assert_eq!(volume.is_served, expected, "{spec}");
        }
    }

    #[test]
    fn a_pod_may_name_an_in_tree_volume() {
        let inline = |entry| Volume::inline(&entry).map(|volume| volume.to_string());
        assert_eq!(inline(json!({"name": "a", "portworxVolume": {"volumeID": "data"}})).as_deref(), Some("data"));
        assert_eq!(inline(json!({"name": "a", "csi": {"driver": "pxd.portworx.com"}})), None);
    }
}
