//! Kubernetes' storage objects, decoded as far as is asked of them: everything else of an object is skipped, so that a
//! million of them can be read, and that an odd value elsewhere in one is nobody's trouble.

use std::borrow::Cow;

use serde::Deserialize;

use super::facts::{AccessModes, Claim, Class, Volume};
use super::fields::Fields;
use super::json::{Text, object};

/// What is read of any object's metadata.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    resource_version: Option<Text<'a>>,
    #[serde(borrow)]
    creation_timestamp: Option<Text<'a>>,
    #[serde(borrow, default)]
    annotations: Fields<'a>,
}

/// An object of which nothing but its metadata is read.
#[derive(Debug, Deserialize)]
pub struct Named<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<Metadata<'a>>,
}

/// A `PersistentVolumeClaim` of `v1`.
#[derive(Debug, Deserialize)]
pub struct PersistentVolumeClaim<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    spec: Option<ClaimSpec<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    status: Option<ClaimStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSpec<'a> {
    #[serde(borrow)]
    storage_class_name: Option<Text<'a>>,
    #[serde(borrow)]
    volume_name: Option<Text<'a>>,
    #[serde(default)]
    access_modes: AccessModes,
}

#[derive(Debug, Deserialize)]
struct ClaimStatus<'a> {
    #[serde(borrow)]
    phase: Option<Text<'a>>,
}

/// A `StorageClass` of `storage.k8s.io/v1`.
#[derive(Debug, Deserialize)]
pub struct StorageClass<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    provisioner: Option<Text<'a>>,
    /// A map of strings to strings, as annotations are.
    #[serde(borrow, default)]
    parameters: Fields<'a>,
}

/// A `PersistentVolume` of `v1`.
#[derive(Debug, Deserialize)]
pub struct PersistentVolume<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    spec: Option<VolumeSpec<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeSpec<'a> {
    portworx_volume: Option<serde::de::IgnoredAny>,
    #[serde(borrow, default, deserialize_with = "object")]
    csi: Option<CsiSource<'a>>,
}

#[derive(Debug, Deserialize)]
struct CsiSource<'a> {
    #[serde(borrow)]
    driver: Option<Text<'a>>,
}

/// An object with a name.
pub trait Object {
    /// Its metadata, if it has any.
    fn metadata(&self) -> Option<&Metadata<'_>>;

    /// `metadata.name`, which only an object that never was in a cluster can lack.
    fn name(&self) -> Option<&str> {
        self.metadata()?.name.as_deref().filter(|text| !text.is_empty())
    }

    /// `metadata.namespace`; none where it names none.
    fn namespace(&self) -> Option<&str> {
        self.metadata()?.namespace.as_deref().filter(|text| !text.is_empty())
    }

    /// `metadata.resourceVersion`, which only an object that never was in a cluster can lack.
    fn resource_version(&self) -> Option<&str> {
        self.metadata()?.resource_version.as_deref().filter(|text| !text.is_empty())
    }

    /// The value of an annotation.
    fn annotation(&self, key: &str) -> Option<Cow<'_, str>> {
        self.metadata()?.annotations.get(key)
    }
}

macro_rules! objects {
    ($($kind:ident),+) => {
        $(impl Object for $kind<'_> {
            fn metadata(&self) -> Option<&Metadata<'_>> {
                self.metadata.as_ref()
            }
        })+
    };
}

objects!(Named, PersistentVolumeClaim, StorageClass, PersistentVolume);

impl PersistentVolumeClaim<'_> {
    /// What matters of it.
    pub fn facts(&self) -> Claim<'_> {
        let spec = self.spec.as_ref();
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        Claim::new(
            |key| self.annotation(key),
            spec.and_then(|spec| spec.storage_class_name.as_deref()),
            self.volume_name(),
        )
        .with_use(spec.map(|spec| spec.access_modes).unwrap_or_default(), phase == Some("Bound"))
    }

    /// The volume that it is bound to, or asks to be.
    pub fn volume_name(&self) -> Option<&str> {
        Text::non_empty(self.spec.as_ref()?.volume_name.as_ref())
    }
}

impl StorageClass<'_> {
    /// What matters of it.
    pub fn facts(&self) -> Class<'_> {
        let created = self.metadata.as_ref().and_then(|metadata| metadata.creation_timestamp.as_deref());
        let created = created.and_then(|time| time.parse::<jiff::Timestamp>().ok());
        Class::new(
            |key| self.annotation(key),
            self.provisioner(),
            created.map_or(0, jiff::Timestamp::as_second),
            |key| self.parameters.get(key),
        )
    }

    /// The provisioner; empty where it names none.
    pub fn provisioner(&self) -> &str {
        self.provisioner.as_deref().unwrap_or_default()
    }
}

impl PersistentVolume<'_> {
    /// What matters of it.
    pub fn facts(&self) -> Volume<'_> {
        let spec = self.spec.as_ref();
        let csi = spec.and_then(|spec| spec.csi.as_ref());
        Volume::new(
            |key| self.annotation(key),
            spec.is_some_and(|spec| spec.portworx_volume.is_some()),
            csi.and_then(|csi| Text::non_empty(csi.driver.as_ref())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Inventory, Owner, Setting};

    fn read<'a, T: Deserialize<'a>>(text: &'a str) -> T {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_matters_of_claims_classes_and_volumes_is_read() {
        let claim: PersistentVolumeClaim<'_> = read(
            r#"{"kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":"demo","uid":"1","resourceVersion":"7",
            "managedFields":[{"manager":"x","fieldsV1":{"f:spec":{}}}],"labels":{"app":1},
            "annotations":{"placement_strategy":"sp\u0072ead"}},
            "spec":{"storageClassName":"px","volumeName":"","accessModes":["ReadWriteMany"],"volumeMode":"Filesystem"},
            "status":{"phase":"Bound","capacity":{"storage":"1Gi"}}}"#,
        );
        assert_eq!((claim.namespace(), claim.name()), (Some("demo"), Some("data")));
        assert_eq!(claim.volume_name(), None);
        let class: StorageClass<'_> = read(
            r#"{"metadata":{"name":"px","creationTimestamp":"2026-11-23T04:05:06Z"},"provisioner":"pxd.portworx.com",
            "parameters":{"repl":"2","sharedv4":"true"}}"#,
        );
        let mut inventory = Inventory::default();
        inventory.insert_claim("demo", "data", &claim.facts());
        inventory.insert_class("px", class.facts());
        assert!(matches!(
            inventory.owner("demo", "data"),
            Owner::Provisioner { provisioner, .. } if *provisioner == *"pxd.portworx.com"
        ));
        let known = inventory.claim_use("demo", "data").unwrap();
        assert!(known.bound && known.access.contains("ReadWriteMany"));
        assert_eq!(known.settings.unwrap().get(Setting::PlacementStrategy), Some("spread"));
        assert_eq!(inventory.class_parameters("px").unwrap().get(Setting::Sharedv4), Some("true"));

        let volume: PersistentVolume<'_> =
            read(r#"{"metadata":{"name":"pv"},"spec":{"portworxVolume":null,"csi":{"driver":"pxd.portworx.com"}}}"#);
        assert_eq!(volume.facts(), Volume::new(|_| None::<&str>, false, Some("pxd.portworx.com")));
        let in_tree: PersistentVolume<'_> = read(r#"{"spec":{"portworxVolume":{"volumeID":"1"}}}"#);
        assert_eq!(in_tree.facts(), Volume::new(|_| None::<&str>, true, None));
    }

    #[test]
    fn the_newest_class_is_found_by_its_creation() {
        let class = |time: &str| {
            format!(
                r#"{{"metadata":{{"creationTimestamp":"{time}","annotations":{{"storageclass.kubernetes.io/is-default-class":"true"}}}},"provisioner":"{time}"}}"#
            )
        };
        let (old, new) = (class("2025-01-01T00:00:00Z"), class("2026-01-01T00:00:00Z"));
        let mut inventory = Inventory::default();
        inventory.insert_class("a", read::<StorageClass<'_>>(&old).facts());
        inventory.insert_class("b", read::<StorageClass<'_>>(&new).facts());
        let unnamed = Claim::default();
        assert!(matches!(inventory.owner_of(&unnamed), Owner::Provisioner { class: Some(name), .. } if &*name == "b"));
    }

    #[test]
    fn nothing_is_as_good_as_null_and_an_array_is_no_object() {
        for text in ["{}", r#"{"metadata":null,"spec":null,"status":null}"#, r#"{"spec":{"accessModes":null}}"#] {
            let claim: PersistentVolumeClaim<'_> = read(text);
            assert_eq!((claim.name(), claim.facts()), (None, Claim::default()), "{text}");
        }
        for text in [r#"{"spec":[]}"#, r#"{"spec":{"storageClassName":1}}"#, r#"{"metadata":"x"}"#] {
            assert!(serde_json::from_str::<PersistentVolumeClaim<'_>>(text).is_err(), "{text}");
        }
    }
}
