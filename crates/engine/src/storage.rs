//! Kubernetes' storage objects, decoded as far as decisions depend on them. All other fields are skipped, so that a million
//! objects can be read and unexpected values in other fields are harmless.

use serde::Deserialize;

use super::annotation::Annotations;
use super::decode::{Nullable, Text, object, object_or_default, present};
use super::driver::{NO_PROVISIONER, PORTWORX_IN_TREE};
use super::entries::ListEntry;
use super::evidence::{Evidence, EvidenceSet};
use super::fields::Fields;
use super::setting::Settings;
use super::storage_facts::{AccessModes, ClaimFacts, ClassFacts, VolumeFacts};

const BETA_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const BETA_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const BETA_DEFAULT_CLASS: &str = "storageclass.beta.kubernetes.io/is-default-class";

/// The annotations of a claim that its owner depends on.
pub const CLAIM_ANNOTATIONS: [&str; 3] = [BETA_STORAGE_CLASS, BETA_PROVISIONER, PROVISIONER];

/// The annotations of a class that make it the default class.
pub const CLASS_ANNOTATIONS: [&str; 2] = [DEFAULT_CLASS, BETA_DEFAULT_CLASS];

/// The annotations of a volume that name its provisioner.
pub const VOLUME_ANNOTATIONS: [&str; 1] = [PROVISIONED_BY];

/// The parts of a storage object's metadata that are read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    resource_version: Option<Text<'a>>,
    #[serde(borrow)]
    creation_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    annotations: Annotations<'a>,
}

/// An object of which only the metadata is read.
#[derive(Debug, Deserialize)]
pub struct Named<'a> {
    #[serde(borrow, default, deserialize_with = "object_or_default")]
    metadata: ObjectMeta<'a>,
}

/// A `PersistentVolumeClaim` of `v1`, or a claim template: that of a generic ephemeral volume, or an entry of a
/// `StatefulSet`'s `volumeClaimTemplates`.
#[derive(Debug, Deserialize)]
pub struct PersistentVolumeClaim<'a> {
    #[serde(borrow, default, deserialize_with = "object_or_default")]
    metadata: ObjectMeta<'a>,
    #[serde(borrow, default, deserialize_with = "object_or_default")]
    spec: ClaimSpec<'a>,
    #[serde(borrow, default, deserialize_with = "object_or_default")]
    status: ClaimStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec<'a> {
    /// Absent means the default class, and empty means no class.
    #[serde(borrow)]
    storage_class_name: Option<Text<'a>>,
    #[serde(borrow)]
    volume_name: Option<Text<'a>>,
    access_modes: AccessModes,
}

#[derive(Debug, Default, Deserialize)]
struct ClaimStatus<'a> {
    #[serde(borrow)]
    phase: Option<Text<'a>>,
}

/// A `StorageClass` of `storage.k8s.io/v1`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageClass<'a> {
    #[serde(borrow, default, deserialize_with = "object_or_default")]
    metadata: ObjectMeta<'a>,
    #[serde(borrow)]
    provisioner: Option<Text<'a>>,
    /// `Immediate` if absent.
    #[serde(borrow, default)]
    volume_binding_mode: Option<Text<'a>>,
    #[serde(borrow, default)]
    parameters: Fields<'a>,
}

/// A `PersistentVolume` of `v1`.
#[derive(Debug, Deserialize)]
pub struct PersistentVolume<'a> {
    #[serde(borrow, default, deserialize_with = "object_or_default")]
    metadata: ObjectMeta<'a>,
    #[serde(borrow, default, deserialize_with = "object_or_default")]
    spec: VolumeSpec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeSpec<'a> {
    #[serde(deserialize_with = "present")]
    portworx_volume: bool,
    #[serde(borrow, deserialize_with = "object")]
    csi: Option<CsiSource<'a>>,
    #[serde(borrow, deserialize_with = "object_or_default")]
    claim_ref: ClaimReference<'a>,
}

/// `claimRef` of a volume.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClaimReference<'a> {
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

/// `csi` of a pod's volume, or of a `PersistentVolume`.
#[derive(Debug, Deserialize)]
pub(crate) struct CsiSource<'a> {
    #[serde(borrow)]
    pub(crate) driver: Option<Text<'a>>,
}

/// An object with metadata.
pub trait HasMetadata {
    /// Its metadata; empty if it has none.
    fn metadata(&self) -> &ObjectMeta<'_>;

    /// `metadata.name`, which every object in a cluster has.
    fn name(&self) -> Option<&str> {
        Text::non_empty(self.metadata().name.as_ref())
    }

    /// `metadata.namespace`; `None` if it names none.
    fn namespace(&self) -> Option<&str> {
        Text::non_empty(self.metadata().namespace.as_ref())
    }

    /// `metadata.resourceVersion`, which every object in a cluster has.
    fn resource_version(&self) -> Option<&str> {
        Text::non_empty(self.metadata().resource_version.as_ref())
    }
}

macro_rules! has_metadata {
    ($($kind:ident),+) => {
        $(impl HasMetadata for $kind<'_> {
            fn metadata(&self) -> &ObjectMeta<'_> {
                &self.metadata
            }
        })+
    };
}

has_metadata!(Named, PersistentVolumeClaim, StorageClass, PersistentVolume);

impl<'a> PersistentVolumeClaim<'a> {
    /// Its facts, with each name truncated to a bounded length.
    pub fn facts(&self) -> ClaimFacts<'a> {
        let annotation = |key: &str| self.metadata.annotations.get(key);
        let name = |key: &str| annotation(key).map(|value| Text::from(value).to_name());
        ClaimFacts {
            class: name(BETA_STORAGE_CLASS).or_else(|| self.spec.storage_class_name.as_ref().map(Text::to_name)),
            provisioner: self.provisioner(),
            volume: self.volume().map(Text::to_name),
            settings: Settings::read(annotation),
            access: self.spec.access_modes,
            bound: self.status.phase.as_deref() == Some("Bound"),
        }
    }

    /// The provisioner that the annotations name: the beta one if both are set.
    ///
    /// `kubernetes.io/no-provisioner` in the GA annotation alone means nothing: Stork does not read it there.
    fn provisioner(&self) -> Option<(Text<'a>, EvidenceSet)> {
        let [beta, ga] = [BETA_PROVISIONER, PROVISIONER].map(|key| self.metadata.annotations.get(key).map(Text::from));
        let (beta_only, ga_only) =
            (Evidence::BetaProvisionerAnnotation.into(), Evidence::GaProvisionerAnnotation.into());
        let (name, evidence) = match (beta, ga) {
            (Some(beta), Some(ga)) if *beta == *ga => {
                (beta, EvidenceSet::with(beta_only, Evidence::GaProvisionerAnnotation))
            }
            (Some(beta), _) => (beta, beta_only),
            (None, Some(ga)) if *ga != *NO_PROVISIONER => (ga, ga_only),
            (None, _) => return None,
        };
        Some((name.to_name(), evidence))
    }

    /// The facts of a claim that is created from this template.
    pub(crate) fn facts_of_template(&self) -> ClaimFacts<'a> {
        ClaimFacts { bound: false, ..self.facts() }
    }

    /// The name, truncated to a bounded length; `None` if it is absent or empty.
    pub(crate) fn bounded_name(&self) -> Option<Text<'a>> {
        self.metadata.name.as_ref().filter(|name| !name.is_empty()).map(Text::to_name)
    }

    /// The volume that it is bound to, or that it requests.
    pub fn volume_name(&self) -> Option<&str> {
        self.volume().map(|name| &**name)
    }

    fn volume(&self) -> Option<&Text<'a>> {
        self.spec.volume_name.as_ref().filter(|name| !name.is_empty())
    }
}

impl ListEntry for PersistentVolumeClaim<'_> {
    const LIST: &'static str = "claim templates";
    type Written = Nullable<Self>;

    fn read(Nullable(written): Self::Written) -> Option<Self> {
        written
    }

    fn is_blank(&self) -> bool {
        let class = &self.spec.storage_class_name;
        self.metadata.annotations.is_empty() && self.name().is_none() && class.is_none() && self.volume().is_none()
    }
}

impl<'a> StorageClass<'a> {
    /// Its facts.
    pub fn facts(&self) -> ClassFacts<'a> {
        let created = self.metadata.creation_timestamp.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        // Kubernetes compares with "true" here and does not parse the value.
        let is_marked = |key| self.metadata.annotations.get(key).as_deref() == Some("true");
        ClassFacts {
            provisioner: self.provisioner.clone().unwrap_or_default(),
            default: is_marked(DEFAULT_CLASS) || is_marked(BETA_DEFAULT_CLASS),
            binds_late: self.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
            created: created.map_or(0, jiff::Timestamp::as_second),
            parameters: Settings::read(|key| self.parameters.get(key)),
        }
    }

    /// The provisioner; empty if it names none.
    pub fn provisioner(&self) -> &str {
        self.provisioner.as_deref().unwrap_or_default()
    }
}

impl<'a> PersistentVolume<'a> {
    /// The namespace and the name of the claim that the volume is bound to, or reserved for.
    pub fn claim(&self) -> Option<(&str, &str)> {
        let ClaimReference { namespace, name } = &self.spec.claim_ref;
        Some((Text::non_empty(namespace.as_ref())?, Text::non_empty(name.as_ref())?))
    }

    /// Its facts.
    pub fn facts(&self) -> VolumeFacts<'a> {
        let is_set = |name: &Text<'a>| !name.is_empty();
        let annotated = self.metadata.annotations.get(PROVISIONED_BY).map(Text::from).filter(is_set);
        let in_tree = self.spec.portworx_volume.then(|| (PORTWORX_IN_TREE.into(), Evidence::InTree));
        let csi = self.spec.csi.as_ref().and_then(|csi| csi.driver.clone()).filter(is_set);
        let annotated = annotated.map(|name| (name, Evidence::ProvisionedBy));
        VolumeFacts { provisioner: annotated.or(in_tree).or(csi.map(|name| (name, Evidence::StaticCsi))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Inventory, Owner, Setting, StorageView as _};

    fn read<'a, T: Deserialize<'a>>(text: &'a str) -> T {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn claims_classes_and_volumes_are_decoded() {
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
            "parameters":{"repl":"2","sharedv4":"true"},"volumeBindingMode":"WaitForFirstConsumer"}"#,
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
        let class = inventory.class("px").unwrap();
        assert!(class.binds_late && class.parameters.get(Setting::Sharedv4) == Some("true"));

        let volume: PersistentVolume<'_> =
            read(r#"{"metadata":{"name":"pv"},"spec":{"portworxVolume":null,"csi":{"driver":"pxd.portworx.com"}}}"#);
        assert_eq!(volume.claim(), None);
        let reserved: PersistentVolume<'_> =
            read(r#"{"spec":{"claimRef":{"namespace":"demo","name":"data","uid":"1"}}}"#);
        assert_eq!(reserved.claim(), Some(("demo", "data")));
        assert_eq!(volume.facts(), VolumeFacts { provisioner: Some(("pxd.portworx.com".into(), Evidence::StaticCsi)) });
        let in_tree: PersistentVolume<'_> = read(r#"{"spec":{"portworxVolume":{"volumeID":"1"}}}"#);
        assert_eq!(in_tree.facts(), VolumeFacts { provisioner: Some((PORTWORX_IN_TREE.into(), Evidence::InTree)) });
    }

    #[test]
    fn the_newest_default_class_is_chosen() {
        let class = |time: &str| {
            format!(
                r#"{{"metadata":{{"creationTimestamp":"{time}","annotations":{{"storageclass.kubernetes.io/is-default-class":"true"}}}},"provisioner":"{time}"}}"#
            )
        };
        let (old, new) = (class("2025-01-01T00:00:00Z"), class("2026-01-01T00:00:00Z"));
        let mut inventory = Inventory::default();
        inventory.insert_class("a", read::<StorageClass<'_>>(&old).facts());
        inventory.insert_class("b", read::<StorageClass<'_>>(&new).facts());
        let unnamed = ClaimFacts::default();
        assert!(
            matches!(inventory.owner_of(&unnamed), Owner::Provisioner { class: Some(class), .. } if &*class.name == "b")
        );
    }

    #[test]
    fn null_equals_absent_and_an_array_is_an_error() {
        for text in ["{}", r#"{"metadata":null,"spec":null,"status":null}"#, r#"{"spec":{"accessModes":null}}"#] {
            let claim: PersistentVolumeClaim<'_> = read(text);
            assert_eq!((claim.name(), claim.facts()), (None, ClaimFacts::default()), "{text}");
        }
        for text in [r#"{"spec":[]}"#, r#"{"spec":{"storageClassName":1}}"#, r#"{"metadata":"x"}"#] {
            assert!(serde_json::from_str::<PersistentVolumeClaim<'_>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_absent_class_and_an_empty_one_differ() {
        let class = |text| read::<PersistentVolumeClaim<'_>>(text).facts().class;
        assert_eq!(class(r#"{"spec":{}}"#), None);
        assert_eq!(class(r#"{"spec":{"storageClassName":null}}"#), None);
        assert_eq!(class(r#"{"spec":{"storageClassName":""}}"#), Some("".into()));
    }
}
