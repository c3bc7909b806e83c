//! The claims of a pod, or of a workload's pods.

use std::fmt;

use super::decode::Text;
use super::driver::PORTWORX_IN_TREE;
use super::entries::Entries;
use super::evidence::Evidence;
use super::owner::Owner;
use super::pod::{PodSpec, PodVolume, VolumeSource};
use super::storage::PersistentVolumeClaim;
use super::storage_facts::ClaimFacts;
use super::storage_view::{ClaimUse, StorageView};

/// A volume whose data may belong to a storage driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimRef<'r> {
    /// A claim, by its name, in the namespace of the request.
    Named(Text<'r>),
    /// A claim that Kubernetes will create.
    Template {
        /// The name of the volume, or of the claim template.
        name: Text<'r>,
        /// The claim that will be created.
        claim: ClaimFacts<'r>,
        /// Whether it is the claim of a generic ephemeral volume.
        ephemeral: bool,
    },
    /// A volume without a claim, created by `provisioner` on the node.
    Inline {
        /// The name of the volume.
        name: Text<'r>,
        /// The CSI driver, or the in-tree provisioner.
        provisioner: Text<'r>,
        /// The field that names it.
        evidence: Evidence,
    },
}

/// The claims of pods with this spec and these claim templates.
///
/// Each claim template gives the pods a volume of the same name, with a claim called `<template>-<pod name>`. It replaces
/// a volume of the spec that has this name.
pub(crate) fn of<'r>(
    templates: &'r Entries<'r, PersistentVolumeClaim<'r>>,
    spec: &'r PodSpec<'r>,
) -> impl Iterator<Item = ClaimRef<'r>> {
    let mut replaced = Vec::new();
    if spec.has_volumes() {
        replaced.extend(templates.iter().filter_map(|template| template.bounded_name()));
        // Sorted for binary search, because there may be one for each volume.
        replaced.sort_unstable();
    }
    let is_replaced = move |name: &Text<'r>| !replaced.is_empty() && replaced.binary_search(&name.to_name()).is_ok();
    let volumes = spec.volumes().filter(move |volume| !is_replaced(&volume.name));
    volumes.map(|volume| ClaimRef::of_volume(&volume)).chain(
        templates.iter().map(|template| ClaimRef::of_template(template.bounded_name().unwrap_or_default(), &template)),
    )
}

/// Returns true if [`of`] yields anything. A replaced volume counts, because its claim template counts too.
pub(crate) fn any(templates: &Entries<'_, PersistentVolumeClaim<'_>>, spec: &PodSpec<'_>) -> bool {
    spec.has_volumes() || !templates.is_empty()
}

impl<'r> ClaimRef<'r> {
    /// The name of a claim that exists or that someone else will create.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Template { .. } | Self::Inline { .. } => None,
        }
    }

    /// Finds its owner in `view`. `namespace` is the namespace of the pod.
    pub fn owner_in(&self, view: &impl StorageView, namespace: &str) -> Owner {
        match self {
            Self::Named(name) => view.owner(namespace, name),
            Self::Template { claim, ephemeral: false, .. } => view.owner_of(claim),
            Self::Template { claim, ephemeral: true, .. } => view.owner_of(claim).with_evidence(Evidence::Ephemeral),
            Self::Inline { provisioner, evidence, .. } => Owner::of_volume((**provisioner).into(), *evidence),
        }
    }

    /// Finds its use in `view`; `None` for an unknown claim and for a volume without a claim.
    pub fn use_in<'i>(&'i self, view: &'i impl StorageView, namespace: &str) -> Option<ClaimUse<'i>> {
        match self {
            Self::Named(name) => view.claim_use(namespace, name),
            Self::Template { claim, .. } => Some(claim.into()),
            Self::Inline { .. } => None,
        }
    }

    fn of_volume(volume: &PodVolume<'r>) -> Self {
        let name = volume.name.to_name();
        match &volume.source {
            VolumeSource::Claim(claim) => Self::Named(claim.to_name()),
            VolumeSource::Ephemeral(template) => {
                Self::Template { name, claim: template.facts_of_template(), ephemeral: true }
            }
            VolumeSource::Csi(driver) => {
                Self::Inline { name, provisioner: driver.to_name(), evidence: Evidence::InlineCsi }
            }
            VolumeSource::PortworxVolume => {
                Self::Inline { name, provisioner: PORTWORX_IN_TREE.into(), evidence: Evidence::InTree }
            }
        }
    }

    fn of_template(name: Text<'r>, template: &PersistentVolumeClaim<'r>) -> Self {
        Self::Template { name, claim: template.facts_of_template(), ephemeral: false }
    }
}

impl fmt::Display for ClaimRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "claim `{name}`"),
            Self::Template { name, .. } => write!(f, "claim template `{name}`"),
            Self::Inline { name, .. } => write!(f, "volume `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{WorkloadObject, Workloads};

    #[test]
    fn a_claim_template_replaces_a_volume_of_the_same_name() {
        let text = r#"{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"b"}},{"metadata":{"name":""}}],"template":{"spec":{
            "volumes":[{"name":"a","csi":{"driver":"x"}},{"name":"b","csi":{"driver":"x"}},{"csi":{"driver":"x"}}]}}}}"#;
        let workloads = Workloads::default();
        let object = WorkloadObject::parse(text, workloads.find("apps", "v1", "StatefulSet").unwrap()).unwrap();
        let claims: Vec<_> = object.claims().map(|claim| claim.to_string()).collect();
        assert_eq!(claims, ["volume `a`", "volume ``", "claim template `b`", "claim template ``"]);
    }
}
