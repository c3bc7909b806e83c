//! Runs the engine on manifests: makes the server's decision about each object, and the edit that writes it into the file.

use std::sync::Arc;

use json_patch::Patch;
use serde_json::Value;

use super::document::{Document, ManifestObject};
use super::edit::{CheckedEdits, Edit, EditRefusal, Obstacle};
use super::known_objects::{FileId, KnownObjects, Purpose};
use super::missing_facts::MissingFacts;
use super::pointer::pointer;
use super::position::Position;
use super::sops::{self, EncryptedValues};
use colocate_companion::FieldPath;
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

/// A document with the decisions about its objects.
#[derive(Debug)]
pub struct MutatedDocument<'d> {
    /// The edits to make, in order. Every other byte stays the same.
    pub edits: Vec<Edit>,
    /// The objects that the engine handles, in order. A document with a duplicate key or a template has none.
    pub objects: Vec<MutatedObject<'d>>,
    /// The position that makes the document look like a template.
    pub template: Option<Position>,
    /// The objects about which nothing is decided, because the document has a duplicate key.
    pub unread: Vec<ManifestObject<'d>>,
    /// Objects without a decision that have a pod template with claims, or a key of Stork, each with its position.
    pub undecided: Vec<(Position, String)>,
}

/// An object with its decision.
#[derive(Debug)]
pub struct MutatedObject<'d> {
    /// The object.
    pub object: ManifestObject<'d>,
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
    /// Makes the decision for every object of a document in `file`, and the edits that write the decisions into its text.
    pub fn mutate<'d>(&self, file: FileId, document: &'d Document<'_>) -> MutatedDocument<'d> {
        let template = document.template_mark().map(|mark| document.position(mark.start));
        let mut mutated = MutatedDocument {
            edits: Vec::new(),
            objects: Vec::new(),
            template,
            unread: Vec::new(),
            undecided: Vec::new(),
        };
        let undecided = document.undecided(self.policy).into_iter();
        mutated.undecided = undecided.map(|found| (document.position(found.range.start), found.what)).collect();
        if document.duplicate.is_some() {
            mutated.unread = self.objects(document).map(|(object, _)| object).collect();
            return mutated;
        }
        if sops::is_encrypted(&document.value) {
            let what = self.objects(document).filter_map(|(object, _)| {
                let values = EncryptedValues::of(object.value);
                let title = object.title();
                let what = format!("{title}: the decision may depend on {values}: use the output of `sops decrypt`");
                (values.count > 0).then_some((object.position, what))
            });
            mutated.undecided.extend(what);
        }
        let mut edits = Vec::new();
        for (object, workload) in self.objects(document) {
            let (object, edit) = self.mutate_object(file, document, object, workload);
            edits.extend(edit.map(|edit| (mutated.objects.len(), edit)));
            mutated.objects.push(object);
        }
        let (edited, edits): (Vec<_>, Vec<_>) = edits.into_iter().unzip();
        let CheckedEdits { made, refused } = document.check_edits(edits);
        for (edit, refusal) in refused {
            mutated.objects[edited[edit]].refusal = Some(refusal);
        }
        mutated.edits = made;
        mutated
    }

    fn mutate_object<'d>(
        &self,
        file: FileId,
        document: &Document<'_>,
        object: ManifestObject<'d>,
        workload: &Workload,
    ) -> (MutatedObject<'d>, Option<Edit>) {
        let view = self.known.seen_from(file, Purpose::Mutate);
        let (own, json) = (object.namespace_or(self.namespace), object.value.to_string());
        let opted_out = view.opted_out(own);
        let namespace = view.namespaces(own)[0].to_string();
        let request = Request::from_manifest(workload, &namespace, *opted_out.as_ref().unwrap_or(&false), &json);
        let decision = match examine(self.policy, &request) {
            Examination::Decided(decision) => decision,
            Examination::Resolve(pending) => {
                let owners = pending.look_up(|claim| view.owner_for(&object, claim, own));
                // The current state of the scheduler must not affect a file.
                pending.decide(owners, |_| Presence::Unknown)
            }
        };
        let change = if decision.reason.is_unresolved() { None } else { view.change(&object) };
        let refuse = |obstacle| Err(Some(EditRefusal::new(obstacle, object.position, &FieldPath::default())));
        let edit = match (&decision.patch, &decision.scheduler, opted_out) {
            _ if let Some(change) = change => refuse(Obstacle::Kustomization(change)),
            (Some(_), Some(_), Err(text)) => refuse(Obstacle::Namespace(text)),
            (Some(_), Some(scheduler), Ok(_)) => {
                document.set_scheduler(&object, &workload.path, scheduler).map_err(Some)
            }
            _ => Err(None),
        };
        let (edit, refusal) = match edit {
            Ok(edit) => (Some(edit), None),
            Err(refusal) => (None, refusal),
        };
        let (name, claims) = (object.name(), decision.owners.describe(&self.known.visibility, &namespace));
        let Decision { reason, scheduler, patch, warnings, .. } = decision;
        let object =
            MutatedObject { object, namespace, name, reason, scheduler, warnings, claims, change: patch, refusal };
        (object, edit)
    }

    /// Adds the unknown facts that decisions about a document in `file` depend on.
    pub fn add_missing_facts(&self, file: FileId, document: &Document<'_>, missing: &mut MissingFacts) {
        let view = self.known.seen_from(file, Purpose::Mutate);
        for (object, workload) in self.objects(document).filter(|_| document.duplicate.is_none()) {
            let (own, json) = (object.namespace_or(self.namespace), object.value.to_string());
            let request = Request::from_manifest(workload, own, view.opted_out(own) == Ok(true), &json);
            let Examination::Resolve(pending) = examine(self.policy, &request) else { continue };
            for (namespace, view) in view.builds(own) {
                missing.namespaces.insert(namespace.to_string());
                for claim in pending.claims() {
                    missing.add(&claim, &view, &namespace);
                }
            }
        }
    }

    fn objects<'d>(&self, document: &'d Document<'_>) -> impl Iterator<Item = (ManifestObject<'d>, &'a Workload)> {
        let workloads = &self.policy.workloads;
        let objects = document.objects().into_iter();
        objects.filter_map(|object| {
            let workload = workloads.find_object(object.api_version, object.kind)?;
            Some((object, workload))
        })
    }
}

impl MutatedDocument<'_> {
    /// Returns true if something is unresolved.
    pub fn is_unresolved(&self) -> bool {
        let is_skipped = self.template.is_some() || !self.unread.is_empty() || !self.undecided.is_empty();
        is_skipped || self.objects.iter().any(MutatedObject::is_unresolved)
    }
}

impl MutatedObject<'_> {
    /// Returns true if the object is changed.
    pub fn is_changed(&self) -> bool {
        self.change.is_some() && self.refusal.is_none()
    }

    /// Returns true if a claim is unresolved, the object has an invalid structure, or the edit of its file was refused.
    pub fn is_unresolved(&self) -> bool {
        self.refusal.is_some() || self.reason.is_unresolved()
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
