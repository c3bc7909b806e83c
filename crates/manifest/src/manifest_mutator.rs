//! Runs the engine on manifests: makes the server's decision about each object, and the edit that writes it into the file.

use std::borrow::Cow;
use std::sync::Arc;

use json_patch::Patch;
use serde_json::Value;

use super::document::{Manifest, ManifestObject};
use super::edit::{Applied, EditRefusal};
use super::known_objects::KnownObjects;
use super::missing_facts::MissingFacts;
use super::pointer::pointer;
use super::position::Position;
use colocate_engine::{Decision, Examination, Policy, Presence, Reason, Request, Warning, Workload, examine};

/// Makes the decisions for the objects of manifests.
#[derive(Debug)]
pub struct ManifestMutator<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The claims, classes, volumes and Namespaces that are known.
    pub known: &'a KnownObjects,
    /// The namespace of objects that name none.
    pub namespace: &'a str,
}

/// A manifest with the decisions about its objects.
#[derive(Debug)]
pub struct MutatedManifest<'t, 'm> {
    /// The text with all edits made; every other byte is unchanged.
    pub text: Cow<'t, str>,
    /// The objects that the engine handles, in order.
    pub objects: Vec<MutatedObject<'m>>,
    /// The positions that make documents look like Helm templates. Such documents are skipped.
    pub templates: Vec<Position>,
}

/// An object with its decision.
#[derive(Debug)]
pub struct MutatedObject<'m> {
    /// The object.
    pub object: ManifestObject<'m>,
    /// Its namespace.
    pub namespace: String,
    /// Its name, or its `generateName` followed by `*`.
    pub name: String,
    /// The reason for the decision.
    pub reason: Reason,
    /// The scheduler that is set, or that `mode: audit` would set.
    pub scheduler: Option<Arc<str>>,
    /// Warnings, as `kubectl apply` would show them.
    pub warnings: Vec<Warning>,
    /// The claims of its pods, each with its owner and driver, in one line; empty if none were looked up.
    pub claims: String,
    /// The patch of the object.
    pub change: Option<Patch>,
    /// The reason why the decision could not be written into the file.
    pub refusal: Option<EditRefusal>,
}

impl<'a> ManifestMutator<'a> {
    /// Makes the decision for every object of the manifest, and writes the decisions into its text.
    pub fn mutate<'t, 'm>(&self, manifest: &'m Manifest<'t>) -> MutatedManifest<'t, 'm> {
        let mut objects = Vec::new();
        let mut edits = Vec::new();
        let visibility = &self.known.inventory.visibility;
        for (object, workload) in self.objects(manifest) {
            let (namespace, json) = (object.namespace_or(self.namespace).to_owned(), object.value.to_string());
            let request = Request::from_manifest(workload, &namespace, self.known.opted_out(&namespace), &json);
            let decision = match examine(self.policy, &request) {
                Examination::Decided(decision) => decision,
                Examination::Resolve(pending) => {
                    let owners = pending.look_up(|claim| claim.owner_in(&self.known.inventory, &namespace));
                    // The current state of the scheduler must not affect a file.
                    pending.decide(owners, |_| Presence::Unknown)
                }
            };
            let mut refusal = None;
            if let (Some(_), Some(scheduler)) = (&decision.patch, &decision.scheduler) {
                match manifest.set_scheduler(&object, &workload.path, scheduler) {
                    Ok(edit) => edits.push((objects.len(), edit)),
                    Err(why) => refusal = Some(why),
                }
            }
            let (name, claims) = (object.name(), decision.owners.describe(visibility, &namespace));
            let Decision { reason, scheduler, patch, warnings, .. } = decision;
            objects.push(MutatedObject {
                object,
                namespace,
                name,
                reason,
                scheduler,
                warnings,
                claims,
                change: patch,
                refusal,
            });
        }
        let (edited, edits): (Vec<_>, Vec<_>) = edits.into_iter().unzip();
        let Applied { text, refused } = manifest.apply(&edits);
        for (edit, refusal) in refused {
            objects[edited[edit]].refusal = Some(refusal);
        }
        let templates = manifest.template_marks().map(|mark| manifest.position(mark.start)).collect();
        MutatedManifest { text, objects, templates }
    }

    /// Returns the unknown facts that decisions about the manifests depend on.
    pub fn missing_facts(&self, manifests: &[Manifest<'_>]) -> MissingFacts {
        let mut missing = MissingFacts::default();
        for (object, workload) in manifests.iter().flat_map(|manifest| self.objects(manifest)) {
            let (namespace, json) = (object.namespace_or(self.namespace), object.value.to_string());
            let request = Request::from_manifest(workload, namespace, self.known.opted_out(namespace), &json);
            let Examination::Resolve(pending) = examine(self.policy, &request) else { continue };
            missing.namespaces.insert(namespace.to_owned());
            for claim in pending.claims() {
                missing.add(&claim, &self.known.inventory, namespace);
            }
        }
        missing
    }

    fn objects<'m>(&self, manifest: &'m Manifest<'_>) -> impl Iterator<Item = (ManifestObject<'m>, &'a Workload)> {
        let workloads = &self.policy.workloads;
        let objects = manifest.objects().into_iter();
        objects.filter_map(|object| {
            let workload = workloads.find_object(object.api_version, object.kind)?;
            Some((object, workload))
        })
    }
}

impl MutatedManifest<'_, '_> {
    /// Returns true if something is unresolved.
    pub fn is_unresolved(&self) -> bool {
        !self.templates.is_empty() || self.objects.iter().any(MutatedObject::is_unresolved)
    }
}

impl MutatedObject<'_> {
    /// Returns true if the object is changed.
    pub fn is_changed(&self) -> bool {
        self.change.is_some() && self.refusal.is_none()
    }

    /// Returns true if a claim is unresolved, the object has an invalid structure, or the edit of its file was refused.
    pub fn is_unresolved(&self) -> bool {
        self.refusal.is_some()
            || matches!(
                self.reason,
                Reason::ClaimMissing | Reason::ClaimUnknown | Reason::ClaimUnreadable | Reason::Unreadable
            )
    }

    /// The patch relative to the object's document; null if there is none.
    pub fn patch(&self) -> Value {
        let mut patch = serde_json::to_value(&self.change).unwrap_or_default();
        let prefix = pointer(&self.object.path);
        for operation in patch.as_array_mut().into_iter().flatten() {
            if let Some(Value::String(path)) = operation.get_mut("path") {
                path.insert_str(0, prefix.as_str());
            }
        }
        patch
    }

    /// The object with its change.
    pub fn changed(&self) -> Value {
        let mut value = self.object.value.clone();
        if let Some(patch) = self.change.as_ref().filter(|_| self.is_changed()) {
            // Cannot fail: the edit of the text was checked against the same change.
            let _ = json_patch::patch(&mut value, patch);
        }
        value
    }
}
