//! The parts of a pod, or of a pod template, that a decision depends on.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::annotation::Annotations;
use super::entries::{Entries, Entry, Item};
use super::facts::AccessModes;
use super::json::{Nullable, Text, object, present, set};

/// A Pod or a `PodTemplateSpec`: what Kubernetes makes a pod from.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Template<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    spec: Option<PodSpec<'a>>,
}

impl<'a> Template<'a> {
    pub(crate) fn annotations(&self) -> Option<&Annotations<'a>> {
        self.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref())
    }

    pub(crate) fn metadata(&self) -> Option<&Metadata<'a>> {
        self.metadata.as_ref()
    }

    pub(crate) fn spec(&self) -> Option<&PodSpec<'a>> {
        self.spec.as_ref()
    }

    /// The scheduler that it names, to be kept.
    pub(crate) fn into_scheduler(self) -> Option<Text<'a>> {
        self.spec.and_then(|spec| spec.scheduler_name)
    }

    /// The scheduler that it names; `None` for absent, null and empty alike.
    pub(crate) fn scheduler(&self) -> Option<&str> {
        self.spec.as_ref().and_then(|spec| Text::non_empty(spec.scheduler_name.as_ref()))
    }
}

/// The parts of `metadata` that the engine reads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) generate_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<Annotations<'a>>,
    #[serde(borrow, default, rename = "ownerReferences")]
    controller: Option<Controller<'a>>,
    #[serde(borrow, default)]
    managed_fields: Option<AppliedFields<'a>>,
}

impl<'a> Metadata<'a> {
    /// The owner that controls the object, of which there is at most one.
    pub(crate) fn controller(&self) -> Option<&OwnerReference<'a>> {
        self.controller.as_ref().and_then(|controller| controller.0.as_deref())
    }

    /// The fields that each server-side applier owns, as `FieldsV1` documents.
    pub(crate) fn applied_fields(&self) -> impl Iterator<Item = &'a str> {
        self.managed_fields.iter().flat_map(|applied| &applied.0).map(|fields| fields.get())
    }
}

/// An entry of `metadata.ownerReferences`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnerReference<'a> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(default)]
    controller: Option<bool>,
}

impl OwnerReference<'_> {
    /// The API group of the owner; empty for the core group.
    pub(crate) fn group(&self) -> &str {
        self.api_version.as_deref().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group)
    }

    pub(crate) fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or_default()
    }
}

/// The first entry of `metadata.ownerReferences` that says that it controls the object; the others own it, too, and
/// nobody asks.
#[derive(Debug)]
struct Controller<'a>(Option<Box<OwnerReference<'a>>>);

impl<'de: 'a, 'a> Deserialize<'de> for Controller<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OwnersVisitor;

        impl<'de> Visitor<'de> for OwnersVisitor {
            type Value = Controller<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of owners")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                let mut controller = None;
                while let Some(Nullable(owner)) = seq.next_element::<Nullable<OwnerReference<'de>>>()? {
                    let owner = owner.filter(|owner| owner.controller == Some(true));
                    controller = controller.or_else(|| owner.map(Box::new));
                }
                Ok(Controller(controller))
            }
        }

        deserializer.deserialize_seq(OwnersVisitor)
    }
}

/// What the entries of `metadata.managedFields` say that someone applied: a third of an object is about fields that were
/// updated, which nobody asks for. The fields stay as they were sent: they are read only when a template is about to be
/// changed.
#[derive(Debug)]
struct AppliedFields<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for AppliedFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = AppliedFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of managed fields")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                let mut applied = Vec::new();
                while let Some(Nullable(entry)) = seq.next_element::<Nullable<ManagedFieldsEntry<'de>>>()? {
                    applied.extend(entry.and_then(|entry| entry.applied));
                }
                Ok(AppliedFields(applied))
            }
        }

        deserializer.deserialize_seq(EntriesVisitor)
    }
}

/// The operation of an entry of `managedFields` that a server-side applier wrote.
const APPLY: &str = "Apply";

struct ManagedFieldsEntry<'a> {
    applied: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ManagedFieldsEntry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;

        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = ManagedFieldsEntry<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry of managedFields")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let (mut operation, mut fields) = (None::<Option<Text<'de>>>, None);
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    let updated = operation.as_ref().is_some_and(|operation| operation.as_deref() != Some(APPLY));
                    match &*key {
                        "operation" => set(&mut operation, "operation", map.next_value::<Option<Text<'de>>>()?)?,
                        "fieldsV1" if !updated => {
                            set(&mut fields, "fieldsV1", map.next_value::<Option<&'de RawValue>>()?)?;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let applied = operation.flatten().as_deref() == Some(APPLY);
                Ok(ManagedFieldsEntry { applied: fields.flatten().filter(|_| applied) })
            }
        }

        deserializer.deserialize_map(EntryVisitor)
    }
}

/// The parts of a pod's `spec` that the engine reads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpec<'a> {
    #[serde(borrow, default)]
    scheduler_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    node_name: Option<Text<'a>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) scheduling_group: bool,
    #[serde(borrow, default)]
    volumes: Option<Entries<'a, Volume<'a>>>,
}

impl<'a> PodSpec<'a> {
    /// The node that the pod is bound to already.
    pub(crate) fn node_name(&self) -> Option<&str> {
        Text::non_empty(self.node_name.as_ref())
    }

    /// Whether there are volumes whose data may be a storage driver's.
    pub(crate) fn has_volumes(&self) -> bool {
        self.volumes.as_ref().is_some_and(|volumes| !volumes.is_empty())
    }

    /// The volumes whose data may be a storage driver's.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = Item<'_, Volume<'a>>> {
        self.volumes.iter().flat_map(Entries::iter)
    }
}

/// A volume of a pod whose data may be a storage driver's.
#[derive(Debug)]
pub(crate) struct Volume<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) source: VolumeSource<'a>,
}

/// Where the data of a volume comes from.
#[derive(Debug)]
pub(crate) enum VolumeSource<'a> {
    /// `persistentVolumeClaim`: a claim that exists, or will, by its name.
    Claim(Text<'a>),
    /// `ephemeral`: a claim that Kubernetes makes for this pod and volume.
    Ephemeral(Box<ClaimTemplate<'a>>),
    /// `csi`: a volume that the driver makes on the node, with no claim at all.
    Csi(Text<'a>),
    /// `portworxVolume`: a Portworx volume mounted by its id, with no claim at all.
    PortworxVolume,
}

impl<'a> Entry for Volume<'a> {
    const LIST: &'static str = "volumes";
    type Written = Nullable<VolumeEntry<'a>>;

    /// Most volumes cannot be a storage driver's: a pod may have 40,000 of those.
    fn read(Nullable(written): Self::Written) -> Option<Self> {
        let written = written?;
        let source = if let Some(claim) = written.persistent_volume_claim {
            VolumeSource::Claim(claim.claim_name?)
        } else if let Some(ephemeral) = written.ephemeral {
            VolumeSource::Ephemeral(ephemeral.volume_claim_template?)
        } else if let Some(csi) = written.csi {
            VolumeSource::Csi(csi.driver?)
        } else if written.portworx_volume {
            VolumeSource::PortworxVolume
        } else {
            return None;
        };
        Some(Self { name: written.name.unwrap_or_default(), source })
    }

    fn is_blank(&self) -> bool {
        self.name.is_empty() && matches!(self.source, VolumeSource::PortworxVolume)
    }
}

/// A volume as it is written: a name, and one field for each kind of source.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeEntry<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    persistent_volume_claim: Option<ClaimSource<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    ephemeral: Option<EphemeralSource<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    csi: Option<CsiSource<'a>>,
    #[serde(default, deserialize_with = "present")]
    portworx_volume: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSource<'a> {
    #[serde(borrow, default)]
    claim_name: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EphemeralSource<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    volume_claim_template: Option<Box<ClaimTemplate<'a>>>,
}

#[derive(Deserialize)]
struct CsiSource<'a> {
    #[serde(borrow, default)]
    driver: Option<Text<'a>>,
}

/// A claim that will be made: of a generic ephemeral volume, or an entry of a `StatefulSet`'s `volumeClaimTemplates`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ClaimTemplate<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    spec: Option<ClaimSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSpec<'a> {
    #[serde(borrow, default)]
    storage_class_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    volume_name: Option<Text<'a>>,
    #[serde(default)]
    access_modes: AccessModes,
}

impl Entry for ClaimTemplate<'_> {
    const LIST: &'static str = "claim templates";
    type Written = Nullable<Self>;

    fn read(Nullable(written): Self::Written) -> Option<Self> {
        written
    }

    fn is_blank(&self) -> bool {
        let annotated = self.annotations().is_some_and(|annotations| !annotations.is_empty());
        !annotated && self.name().is_none() && self.storage_class_name().is_none() && self.volume_name().is_none()
    }
}

impl<'a> ClaimTemplate<'a> {
    pub(crate) fn name(&self) -> Option<&Text<'a>> {
        let name = self.metadata.as_ref().and_then(|metadata| metadata.name.as_ref());
        name.filter(|name| !name.is_empty())
    }

    pub(crate) fn annotations(&self) -> Option<&Annotations<'a>> {
        self.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref())
    }

    /// `spec.storageClassName`: absent (the default class) and empty (no class) are not the same.
    pub(crate) fn storage_class_name(&self) -> Option<&Text<'a>> {
        self.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref())
    }

    /// `spec.accessModes`.
    pub(crate) fn access_modes(&self) -> AccessModes {
        self.spec.as_ref().map(|spec| spec.access_modes).unwrap_or_default()
    }

    /// `spec.volumeName`: the volume that the claim asks for by name.
    pub(crate) fn volume_name(&self) -> Option<&Text<'a>> {
        self.spec.as_ref().and_then(|spec| spec.volume_name.as_ref()).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> PodSpec<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_volumes_that_a_driver_may_own_are_kept() {
        let spec = spec(
            r#"{"volumes":[
                {"name":"a","persistentVolumeClaim":{"claimName":"data","readOnly":true}},
                {"name":"b","emptyDir":{}},
                {"name":"c","ephemeral":{"volumeClaimTemplate":{"spec":{"storageClassName":"px"}}}},
                {"name":"d","csi":{"driver":"pxd.portworx.com"}},
                {"name":"e","portworxVolume":{"volumeID":"1"}},
                {"name":"f","configMap":{"name":"x"}},
                {"name":"g","persistentVolumeClaim":null,"emptyDir":{}}]}"#,
        );
        let volumes: Vec<_> = spec.volumes().collect();
        assert!(volumes.iter().map(|volume| &*volume.name).eq(["a", "c", "d", "e"]));
        let [a, c, d, e] = &volumes[..] else { panic!("four volumes") };
        assert!(matches!(&a.source, VolumeSource::Claim(name) if **name == *"data"));
        assert!(
            matches!(&c.source, VolumeSource::Ephemeral(template) if template.storage_class_name() == Some(&"px".into()))
        );
        assert!(matches!(&d.source, VolumeSource::Csi(driver) if **driver == *"pxd.portworx.com"));
        assert!(matches!(&e.source, VolumeSource::PortworxVolume));
    }

    #[test]
    fn an_absent_class_and_an_empty_one_differ() {
        let template = |text| serde_json::from_str::<ClaimTemplate<'_>>(text).unwrap();
        assert_eq!(template(r#"{"spec":{}}"#).storage_class_name(), None);
        assert_eq!(template(r#"{"spec":{"storageClassName":null}}"#).storage_class_name(), None);
        assert_eq!(template(r#"{"spec":{"storageClassName":""}}"#).storage_class_name(), Some(&"".into()));
    }

    #[test]
    fn nulls_are_absent_and_wrong_types_are_errors() {
        let nulls = spec(r#"{"schedulerName":null,"nodeName":null,"schedulingGroup":null,"volumes":null}"#);
        assert!(nulls.volumes().next().is_none() && nulls.node_name().is_none() && !nulls.scheduling_group);
        for wrong in [r#"{"volumes":{}}"#, r#"{"volumes":[[]]}"#, r#"{"schedulerName":1}"#, r#"{"nodeName":{}}"#] {
            assert!(serde_json::from_str::<PodSpec<'_>>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_controller_is_the_owner_that_says_so() {
        let metadata: Metadata<'_> = serde_json::from_str(
            r#"{"ownerReferences":[{"apiVersion":"v1","kind":"Node"},{"apiVersion":"apps/v1","kind":"ReplicaSet","controller":true}]}"#,
        )
        .unwrap();
        let controller = metadata.controller().unwrap();
        assert_eq!((controller.group(), controller.kind()), ("apps", "ReplicaSet"));
    }

    #[test]
    fn only_appliers_own_fields() {
        let metadata: Metadata<'_> = serde_json::from_str(
            r#"{"managedFields":[{"operation":"Update","fieldsV1":{"f:a":{}}},{"operation":"Apply","fieldsV1":{"f:b":{}}}]}"#,
        )
        .unwrap();
        assert_eq!(metadata.applied_fields().collect::<Vec<_>>(), [r#"{"f:b":{}}"#]);
    }
}
