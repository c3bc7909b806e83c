//! The law of manifests, which holds for every text and for any facts about its claims.

use std::sync::LazyLock;

use colocate_engine::{ClaimFacts, ClassFacts, Evidence, Policy, Reason, Unknown, VolumeFacts};
use colocate_manifest::{
    Document, Edit, FileId, FileRole, KnownObjects, Manifest, ManifestMutator, MissingFacts, MutatedDocument,
    MutatedObject, Syntax, edited,
};
use json_patch::Patch;
use serde::Deserialize as _;
use serde_json::Value;

use crate::edit;

const NAMESPACE: &str = "default";
const PROVISIONER: &str = "pxd.portworx.com";
const SCHEDULER: &str = "stork";

static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);

/// Asserts that only the scheduler fields of a text are edited. Bytes that are not UTF-8 are skipped.
pub fn hold(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let manifest = Manifest::new(text);
    let is_line = |line| assert!(line <= text.matches(['\n', '\r']).count() + 1, "{line}");
    let documents = match manifest.parse() {
        Ok(documents) => documents,
        Err(error) => return is_line(error.position.line),
    };
    for error in documents.iter().filter_map(|document| document.duplicate.as_ref()) {
        is_line(error.position.line);
    }
    let ranges: String = documents.iter().map(Document::text).collect();
    assert!(documents.is_empty() || ranges == text, "the documents do not cover the text");

    let (known, file) = with_claims_of_the_driver(&documents);
    let mutated = mutate(&documents, &known, file);
    let changed: Vec<_> = mutated.changed().collect();
    if changed.is_empty() {
        return assert_eq!(mutated.edits, [], "there are edits although no object is changed");
    }
    let after: String = edited(text, &mutated.edits).collect();
    only_the_edits_are_made(text, &documents, &changed, &after);
    only_the_fields_are_set(&documents, manifest.syntax, &changed, &after);
    // Other parsers reject duplicate keys.
    if documents.iter().all(|document| document.duplicate.is_none()) {
        other_readers_agree(&documents, &manifest, &changed, &after);
    }
    a_second_run_changes_nothing(&mutated, &after, &known, file);
}

/// The decisions about a text: each object with the index of its document.
struct Mutated<'d> {
    edits: Vec<Edit>,
    objects: Vec<(usize, MutatedObject<'d>)>,
}

impl<'d> Mutated<'d> {
    fn changed(&self) -> impl Iterator<Item = &(usize, MutatedObject<'d>)> {
        self.objects.iter().filter(|(_, mutation)| mutation.is_changed())
    }
}

fn mutate<'d>(documents: &'d [Document<'_>], known: &KnownObjects, file: FileId) -> Mutated<'d> {
    let mutator = ManifestMutator { policy: &POLICY, known, namespace: NAMESPACE };
    let mut mutated = Mutated { edits: Vec::new(), objects: Vec::new() };
    for document in documents {
        let MutatedDocument { edits, objects, .. } = mutator.mutate(file, document);
        mutated.edits.extend(edits);
        mutated.objects.extend(objects.into_iter().map(|object| (document.index, object)));
    }
    mutated
}

/// Returns the storage objects in the text, plus an object of the driver for each reference to a missing object.
fn with_claims_of_the_driver(documents: &[Document<'_>]) -> (KnownObjects, FileId) {
    let mut known = KnownObjects::default();
    let file = known.add_file("-", None, FileRole::Input);
    for document in documents {
        known.add(file, document, NAMESPACE, &POLICY.opt_out.namespace_label);
    }
    let mut missing = MissingFacts::default();
    let mutator = ManifestMutator { policy: &POLICY, known: &known, namespace: NAMESPACE };
    for document in documents {
        mutator.add_missing_facts(file, document, &mut missing);
    }
    for (namespace, name) in &missing.claims {
        let claim = ClaimFacts {
            provisioner: Some((PROVISIONER.into(), Evidence::BetaProvisionerAnnotation.into())),
            ..ClaimFacts::default()
        };
        known.add_claim_of_cluster(namespace, name, claim);
    }
    for why in &missing.classes {
        let class = ClassFacts { provisioner: PROVISIONER.into(), ..ClassFacts::default() };
        if let Unknown::ClassMissing(name) = why {
            known.add_class_of_cluster(name, class);
        } else {
            known.add_class_of_cluster("the default", ClassFacts { default: true, ..class });
        }
    }
    for name in &missing.volumes {
        let volume = VolumeFacts { provisioner: Some((PROVISIONER.into(), Evidence::ProvisionedBy)) };
        known.add_volume_of_cluster(name, &volume);
    }
    (known, file)
}

type Changed<'c, 'd> = &'c (usize, MutatedObject<'d>);

/// Asserts that no byte outside the edits differs.
fn only_the_edits_are_made(before: &str, documents: &[Document<'_>], changed: &[Changed<'_, '_>], after: &str) {
    let edits = changed.iter().map(|(document, mutation)| {
        let template = POLICY.workloads.find_object(mutation.object.api_version, mutation.object.kind);
        let template = &template.unwrap_or_else(|| panic!("no policy covers {}", mutation.object.kind)).path;
        let edit = documents[*document].set_scheduler(&mutation.object, template, SCHEDULER);
        edit.unwrap_or_else(|refusal| panic!("{refusal}"))
    });
    assert_eq!(edit::apply(before, &edits.collect::<Vec<_>>(), SCHEDULER), after);
}

/// Asserts that the parsed documents differ only in the field of each changed object.
fn only_the_fields_are_set(documents: &[Document<'_>], syntax: Syntax, changed: &[Changed<'_, '_>], after: &str) {
    let manifest = Manifest::new(after);
    let new = manifest.parse().unwrap_or_else(|error| panic!("the result cannot be parsed: {error}"));
    assert_eq!(manifest.syntax, syntax);
    let old = documents.iter().map(|document| document.value.clone()).collect();
    let new: Vec<_> = new.into_iter().map(|document| document.value).collect();
    assert_eq!(patched(old, changed, |index| index).expect("the patches apply to the parsed documents"), new);
    for (_, mutation) in changed {
        let mut object = mutation.object.value.clone();
        json_patch::patch(&mut object, mutation.change.as_ref().expect("a changed object has a patch"))
            .expect("the patch applies");
        assert_eq!(mutation.changed(), object);
    }
}

/// Asserts that other parsers see the new field and no other change. Skips parsers that do not find the pod specs of the old text
/// at the same paths.
fn other_readers_agree(documents: &[Document<'_>], manifest: &Manifest<'_>, changed: &[Changed<'_, '_>], text: &str) {
    type Reader = fn(&str) -> Option<Vec<Value>>;
    let readers: &[(&str, Reader)] = match manifest.syntax {
        Syntax::Json => &[("serde_json", json)],
        Syntax::Yaml => &[("libyaml", libyaml), ("serde-saphyr", saphyr)],
    };
    // Some parsers skip documents without content.
    let read = |read: &Reader, text| Some(read(text)?.into_iter().filter(|document| !document.is_null()).collect());
    let document = |index: usize| {
        let before = &documents[..index];
        before.iter().filter(|document| !document.value.is_null()).count()
    };
    for (name, reader) in readers {
        let Some(wanted) = read(reader, manifest.text).and_then(|old| patched(old, changed, document)) else {
            continue;
        };
        let new =
            read(reader, text).unwrap_or_else(|| panic!("{name} parses the old text but not the new one: {text}"));
        assert_eq!(new, wanted, "{name}: {text}");
    }
}

fn json(text: &str) -> Option<Vec<Value>> {
    serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().ok()
}

fn libyaml(text: &str) -> Option<Vec<Value>> {
    yaml_serde::Deserializer::from_str(text).map(|document| Value::deserialize(document).ok()).collect()
}

fn saphyr(text: &str) -> Option<Vec<Value>> {
    serde_saphyr::from_multiple(text).ok()
}

/// Applies each patch to its document. Returns `None` if a patch does not apply.
fn patched(
    mut documents: Vec<Value>,
    changed: &[Changed<'_, '_>],
    document: impl Fn(usize) -> usize,
) -> Option<Vec<Value>> {
    for (index, mutation) in changed {
        let patch: Patch = serde_json::from_value(mutation.patch()).expect("a mutation's patch is a JSON patch");
        json_patch::patch(documents.get_mut(document(*index))?, &patch).ok()?;
    }
    Some(documents)
}

fn a_second_run_changes_nothing(mutated: &Mutated<'_>, after: &str, known: &KnownObjects, file: FileId) {
    let manifest = Manifest::new(after);
    let documents = manifest.parse().expect("the result is a valid manifest");
    let again = mutate(&documents, known, file);
    assert_eq!(again.edits, [], "a second run changes something: {after}");
    assert_eq!(again.objects.len(), mutated.objects.len());
    for ((_, first), (_, second)) in mutated.objects.iter().zip(&again.objects) {
        let wanted = if first.is_changed() { Reason::AlreadySet } else { first.reason };
        assert_eq!(second.reason, wanted, "{after}");
    }
}
