//! What a pod, or a workload's pods, will ask of storage.

use std::collections::HashSet;
use std::fmt;

use super::driver::PORTWORX_IN_TREE;
use super::facts::Claim;
use super::inventory::{ClaimUse, Inventory};
use super::owner::Owner;
use super::pod::{ClaimTemplate, PodSpec, VolumeSource};
use super::workload::Object;

/// A volume whose data may be a storage driver's.
#[derive(Debug)]
pub enum ClaimRef<'r> {
    /// A claim by its name, in the namespace of the request.
    Named(&'r str),
    /// A claim that does not exist yet and needs not to: `name` is the volume's or the claim template's.
    Template {
        /// The name of the volume, or of the claim template.
        name: &'r str,
        /// The claim that will be made.
        claim: Claim<'r>,
    },
    /// A volume without a claim, made by `provisioner` on the node.
    Inline {
        /// The name of the volume.
        name: &'r str,
        /// The CSI driver, or the in-tree provisioner.
        provisioner: &'r str,
    },
}

/// The claims of pods with this spec; `object` is what they come from.
///
/// A workload's pods get a volume for each of its claim templates (the claim of such a volume is called
/// `<template>-<pod name>`), which takes the place of a volume of the same name.
pub(crate) fn of<'r>(object: &'r Object<'r>, spec: &'r PodSpec<'r>) -> Vec<ClaimRef<'r>> {
    let templates = object.claim_templates();
    // Whoever may create one object may fill it with 100,000 of each: to compare all with all would take minutes.
    let replaced: HashSet<_> = templates.iter().filter_map(ClaimTemplate::name).collect();
    let volumes = spec.volumes().iter().filter(|volume| !replaced.contains(&*volume.name));
    let volumes = volumes.map(|volume| match &volume.source {
        VolumeSource::Claim(name) => ClaimRef::Named(name),
        VolumeSource::Ephemeral(template) => ClaimRef::template(&volume.name, template),
        VolumeSource::Csi(driver) => ClaimRef::Inline { name: &volume.name, provisioner: driver },
        VolumeSource::PortworxVolume => ClaimRef::Inline { name: &volume.name, provisioner: PORTWORX_IN_TREE },
    });
    volumes
        .chain(templates.iter().map(|template| ClaimRef::template(template.name().unwrap_or_default(), template)))
        .collect()
}

impl<'r> ClaimRef<'r> {
    /// The name of a claim that there is, or that others will make.
    pub fn name(&self) -> Option<&'r str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Template { .. } | Self::Inline { .. } => None,
        }
    }

    /// Who owns it, as far as `inventory` knows; `namespace` is that of the pod.
    pub fn owner_in(&self, inventory: &Inventory, namespace: &str) -> Owner {
        match self {
            Self::Named(name) => inventory.owner(namespace, name),
            Self::Template { claim, .. } => inventory.owner_of(claim),
            Self::Inline { provisioner, .. } => Owner::Provisioner { class: None, provisioner: (*provisioner).into() },
        }
    }

    /// What else is known of it; `None` of a claim that is not there, and of a volume without one.
    pub fn use_in<'i>(&'i self, inventory: &'i Inventory, namespace: &str) -> Option<ClaimUse<'i>> {
        match self {
            Self::Named(name) => inventory.claim_use(namespace, name),
            Self::Template { claim, .. } => {
                Some(ClaimUse { access: claim.access, bound: claim.bound, settings: Some(&claim.settings) })
            }
            Self::Inline { .. } => None,
        }
    }

    fn template(name: &'r str, template: &'r ClaimTemplate<'r>) -> Self {
        let annotation = |key: &str| template.annotations().and_then(|annotations| annotations.get(key));
        let claim = Claim::new(annotation, template.storage_class_name(), template.volume_name());
        Self::Template { name, claim: claim.with_use(template.access_modes(), false) }
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
    use super::*;
    use crate::engine::Workloads;

    #[test]
    fn a_claim_template_takes_the_place_of_a_volume_of_its_name() {
        let text = r#"{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"b"}},{"metadata":{"name":""}}],"template":{"spec":{
            "volumes":[{"name":"a","csi":{"driver":"x"}},{"name":"b","csi":{"driver":"x"}},{"csi":{"driver":"x"}}]}}}}"#;
        let workloads = Workloads::default();
        let object = Object::parse(text, workloads.find("apps", "v1", "StatefulSet").unwrap()).unwrap();
        let claims = of(&object, object.template.as_ref().unwrap().spec().unwrap());
        let claims: Vec<_> = claims.iter().map(ToString::to_string).collect();
        assert_eq!(claims, ["volume `a`", "volume ``", "claim template `b`", "claim template ``"]);
    }
}
