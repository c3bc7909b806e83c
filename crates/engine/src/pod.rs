//! The parts of a pod, or of a pod template, that a decision depends on.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use super::annotation::{Annotations, Labels};
use super::decode::{Nullable, Text, each_element, object, object_or_default, present};
use super::entries::{Entries, Item, ListEntry};
use super::storage::{CsiSource, PersistentVolumeClaim};

/// A Pod or a `PodTemplateSpec`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Template<'a> {
    #[serde(borrow, default, deserialize_with = "object_or_default")]
    pub(crate) metadata: PodMetadata<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(crate) spec: Option<PodSpec<'a>>,
}

impl Template<'_> {
    /// The value of `schedulerName`; `None` if it is absent, null or empty.
    pub(crate) fn scheduler(&self) -> Option<&str> {
        self.spec.as_ref().and_then(|spec| Text::non_empty(spec.scheduler_name.as_ref()))
    }
}

/// The parts of `metadata` that the engine reads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodMetadata<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) generate_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) annotations: Annotations<'a>,
    #[serde(borrow, default)]
    pub(crate) labels: Labels<'a>,
    /// The owner that controls the object; there is at most one.
    #[serde(borrow, default, rename = "ownerReferences", deserialize_with = "controller")]
    pub(crate) controller: Option<Box<ControllerReference<'a>>>,
    /// The `FieldsV1` documents of server-side apply in `managedFields`, still encoded: they are read only when a template
    /// is about to be changed. The other entries are a third of an object, and no decision depends on them.
    #[serde(borrow, default, rename = "managedFields", deserialize_with = "applied_fields")]
    pub(crate) applied_fields: Vec<&'a RawValue>,
}

/// An entry of `metadata.ownerReferences`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControllerReference<'a> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    uid: Option<Text<'a>>,
    #[serde(default)]
    controller: Option<bool>,
}

impl ControllerReference<'_> {
    /// The API version of the owner, with its group: `apps/v1`.
    pub fn api_version(&self) -> &str {
        self.api_version.as_deref().unwrap_or_default()
    }

    /// The API group of the owner; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// The kind of the owner.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or_default()
    }

    /// The name of the owner.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The UID of the owner, which the API server chose at random.
    pub fn uid(&self) -> Option<&str> {
        Text::non_empty(self.uid.as_ref())
    }
}

/// Reads the first entry of `ownerReferences` with `controller: true`.
///
/// # Errors
///
/// The value is neither an array of owners nor null.
pub fn controller<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<ControllerReference<'de>>>, D::Error> {
    let mut controller = None;
    each_element(deserializer, "an array of owners", |Nullable(owner): Nullable<ControllerReference<'de>>| {
        let owner = owner.filter(|owner| owner.controller == Some(true));
        controller = controller.take().or_else(|| owner.map(Box::new));
    })?;
    Ok(controller)
}

/// Reads the fields of those entries of `managedFields` that come from server-side apply.
fn applied_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'de RawValue>, D::Error> {
    let mut applied = Vec::new();
    each_element(deserializer, "an array of managed fields", |Nullable(entry): Nullable<ManagedFieldsEntry<'de>>| {
        let entry = entry.filter(|entry| entry.operation.as_deref() == Some(APPLY));
        applied.extend(entry.and_then(|entry| entry.fields_v1));
    })?;
    Ok(applied)
}

/// The operation of an entry of `managedFields` that comes from server-side apply.
const APPLY: &str = "Apply";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManagedFieldsEntry<'a> {
    #[serde(borrow, default)]
    operation: Option<Text<'a>>,
    #[serde(borrow, default)]
    fields_v1: Option<&'a RawValue>,
}

/// The parts of a pod's `spec` that the engine reads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpec<'a> {
    #[serde(borrow, default)]
    pub(crate) scheduler_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    node_name: Option<Text<'a>>,
    /// The pod's scheduling group, from Kubernetes 1.36 on.
    #[serde(default, deserialize_with = "present")]
    scheduling_group: bool,
    /// The pod's scheduling group in Kubernetes 1.35.
    #[serde(default, deserialize_with = "present")]
    workload_ref: bool,
    #[serde(borrow, default)]
    volumes: Option<Entries<'a, PodVolume<'a>>>,
}

impl<'a> PodSpec<'a> {
    /// The node that the pod is already bound to.
    pub(crate) fn node_name(&self) -> Option<&str> {
        Text::non_empty(self.node_name.as_ref())
    }

    /// Returns true if the pod belongs to a scheduling group. A group whose pods have two schedulers never starts.
    pub(crate) fn in_scheduling_group(&self) -> bool {
        self.scheduling_group || self.workload_ref
    }

    /// Returns true if there are volumes whose data may belong to a storage driver.
    pub(crate) fn has_volumes(&self) -> bool {
        self.volumes.as_ref().is_some_and(|volumes| !volumes.is_empty())
    }

    /// The volumes whose data may belong to a storage driver.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = Item<'_, PodVolume<'a>>> {
        self.volumes.iter().flat_map(Entries::iter)
    }
}

/// A volume of a pod whose data may belong to a storage driver.
#[derive(Debug)]
pub(crate) struct PodVolume<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) source: VolumeSource<'a>,
}

/// The source of a volume's data.
#[derive(Debug)]
pub(crate) enum VolumeSource<'a> {
    /// `persistentVolumeClaim`: the name of a claim that exists or will exist.
    Claim(Text<'a>),
    /// `ephemeral`: a claim that Kubernetes creates for this pod and volume.
    Ephemeral(Box<PersistentVolumeClaim<'a>>),
    /// `csi`: a volume that the driver creates on the node, without a claim.
    Csi(Text<'a>),
    /// `portworxVolume`: a Portworx volume mounted by its id, without a claim.
    PortworxVolume,
}

impl<'a> ListEntry for PodVolume<'a> {
    const LIST: &'static str = "volumes";
    type Written = Nullable<VolumeEntry<'a>>;

    /// Drops volumes that cannot belong to a storage driver. A pod may have 40,000 of them.
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

/// The serialized form of a volume: a name, and one field for each kind of source.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeEntry<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    persistent_volume_claim: Option<ClaimVolumeSource<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    ephemeral: Option<EphemeralSource<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    csi: Option<CsiSource<'a>>,
    #[serde(default, deserialize_with = "present")]
    portworx_volume: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimVolumeSource<'a> {
    #[serde(borrow, default)]
    claim_name: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EphemeralSource<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    volume_claim_template: Option<Box<PersistentVolumeClaim<'a>>>,
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
        assert!(matches!(&c.source, VolumeSource::Ephemeral(template) if template.facts().class == Some("px".into())));
        assert!(matches!(&d.source, VolumeSource::Csi(driver) if **driver == *"pxd.portworx.com"));
        assert!(matches!(&e.source, VolumeSource::PortworxVolume));
    }

    #[test]
    fn nulls_are_absent_and_wrong_types_are_errors() {
        let nulls =
            spec(r#"{"schedulerName":null,"nodeName":null,"schedulingGroup":null,"workloadRef":null,"volumes":null}"#);
        assert!(nulls.volumes().next().is_none() && nulls.node_name().is_none() && !nulls.in_scheduling_group());
        for wrong in [r#"{"volumes":{}}"#, r#"{"volumes":[[]]}"#, r#"{"schedulerName":1}"#, r#"{"nodeName":{}}"#] {
            assert!(serde_json::from_str::<PodSpec<'_>>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_controller_is_the_owner_with_controller_true() {
        let metadata: PodMetadata<'_> = serde_json::from_str(
            r#"{"ownerReferences":[{"apiVersion":"v1","kind":"Node"},{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"mysql","uid":"1","controller":true}]}"#,
        )
        .unwrap();
        let owner = metadata.controller.unwrap();
        assert_eq!((owner.api_version(), owner.group(), owner.kind()), ("apps/v1", "apps", "ReplicaSet"));
        assert_eq!((owner.name(), owner.uid()), ("mysql", Some("1")));
    }

    #[test]
    fn only_fields_of_server_side_apply_are_kept() {
        let metadata: PodMetadata<'_> = serde_json::from_str(
            r#"{"managedFields":[{"operation":"Update","fieldsV1":{"f:a":{}}},{"operation":"Apply","fieldsV1":{"f:b":{}}}]}"#,
        )
        .unwrap();
        assert_eq!(metadata.applied_fields.iter().map(|fields| fields.get()).collect::<Vec<_>>(), [r#"{"f:b":{}}"#]);
    }
}
