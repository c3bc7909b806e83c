//! The law of manifests, which holds for every text and for any facts about its claims.

use std::sync::LazyLock;

use colocate_engine::{ClaimFacts, ClassFacts, Evidence, Policy, Reason, Unknown, VolumeFacts};
use colocate_manifest::{KnownObjects, Manifest, ManifestMutator, MutatedManifest, MutatedObject, Syntax};
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
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(error) => return assert!(error.position.line <= text.matches(['\n', '\r']).count() + 1, "{error}"),
    };
    let ranges: String = manifest.documents.iter().map(|document| &text[document.range.clone()]).collect();
    assert!(manifest.documents.is_empty() || ranges == text, "the documents do not cover the text");

    let known = with_claims_of_the_driver(&manifest);
    let mutated = mutate(&manifest, &known);
    let changed: Vec<_> = mutated.objects.iter().filter(|mutation| mutation.is_changed()).collect();
    if changed.is_empty() {
        return assert_eq!(mutated.text, text, "the text differs although no object is changed");
    }
    only_the_edits_are_made(&manifest, &changed, &mutated.text);
    only_the_fields_are_set(&manifest, &changed, &mutated.text);
    other_readers_agree(&manifest, &changed, &mutated.text);
    a_second_run_changes_nothing(&mutated, &known);
}

fn mutate<'t, 'm>(manifest: &'m Manifest<'t>, known: &KnownObjects) -> MutatedManifest<'t, 'm> {
    ManifestMutator { policy: &POLICY, known, namespace: NAMESPACE }.mutate(manifest)
}

/// Returns the storage objects in the text, plus an object of the driver for each reference to a missing object.
fn with_claims_of_the_driver(manifest: &Manifest<'_>) -> KnownObjects {
    let mut known = KnownObjects::default();
    if let Err(error) = known.add("-", manifest, NAMESPACE, &POLICY.opt_out.namespace_label) {
        assert!(error.to_string().starts_with("-:"), "{error}");
    }
    let missing = ManifestMutator { policy: &POLICY, known: &known, namespace: NAMESPACE }
        .missing_facts(std::slice::from_ref(manifest));
    let inventory = &mut known.inventory;
    for (namespace, name) in &missing.claims {
        let claim = ClaimFacts {
            provisioner: Some((PROVISIONER.into(), Evidence::BetaProvisionerAnnotation.into())),
            ..ClaimFacts::default()
        };
        inventory.insert_claim(namespace, name, &claim);
    }
    for why in &missing.classes {
        let class = ClassFacts { provisioner: PROVISIONER.into(), ..ClassFacts::default() };
        if let Unknown::ClassMissing(name) = why {
            inventory.insert_class(name, class);
        } else {
            inventory.insert_class("the default", ClassFacts { default: true, ..class });
        }
    }
    for name in &missing.volumes {
        inventory.insert_volume(name, VolumeFacts { provisioner: Some((PROVISIONER.into(), Evidence::ProvisionedBy)) });
    }
    known
}

/// Asserts that no byte outside the edits differs.
fn only_the_edits_are_made(manifest: &Manifest<'_>, changed: &[&MutatedObject<'_>], text: &str) {
    let edits = changed.iter().map(|mutation| {
        let template = POLICY.workloads.find_object(mutation.object.api_version, mutation.object.kind);
        let template = &template.unwrap_or_else(|| panic!("no policy covers {}", mutation.object.kind)).path;
        manifest.set_scheduler(&mutation.object, template, SCHEDULER).unwrap_or_else(|refusal| panic!("{refusal}"))
    });
    assert_eq!(edit::apply(manifest.text, &edits.collect::<Vec<_>>(), SCHEDULER), text);
}

/// Asserts that the parsed documents differ only in the field of each changed object.
fn only_the_fields_are_set(manifest: &Manifest<'_>, changed: &[&MutatedObject<'_>], text: &str) {
    let new = Manifest::parse(text).unwrap_or_else(|error| panic!("the result cannot be parsed: {error}"));
    assert_eq!(new.syntax, manifest.syntax);
    let old = manifest.documents.iter().map(|document| document.value.clone()).collect();
    let new: Vec<_> = new.documents.iter().map(|document| document.value.clone()).collect();
    let document = |mutation: &MutatedObject<'_>| mutation.object.document;
    assert_eq!(patched(old, changed, document).expect("the patches apply to the parsed documents"), new);
    for mutation in changed {
        let mut object = mutation.object.value.clone();
        json_patch::patch(&mut object, mutation.change.as_ref().expect("a changed object has a patch"))
            .expect("the patch applies");
        assert_eq!(mutation.changed(), object);
    }
}

/// Asserts that other parsers see the new field and no other change. Skips parsers that do not find the pod specs of the old text
/// at the same paths.
fn other_readers_agree(manifest: &Manifest<'_>, changed: &[&MutatedObject<'_>], text: &str) {
    type Reader = fn(&str) -> Option<Vec<Value>>;
    let readers: &[(&str, Reader)] = match manifest.syntax {
        Syntax::Json => &[("serde_json", json)],
        Syntax::Yaml => &[("libyaml", libyaml), ("serde-saphyr", saphyr)],
    };
    // Some parsers skip documents without content.
    let read = |read: &Reader, text| Some(read(text)?.into_iter().filter(|document| !document.is_null()).collect());
    let document = |mutation: &MutatedObject<'_>| {
        let before = &manifest.documents[..mutation.object.document];
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
    changed: &[&MutatedObject<'_>],
    document: impl Fn(&MutatedObject<'_>) -> usize,
) -> Option<Vec<Value>> {
    for mutation in changed {
        let patch: Patch = serde_json::from_value(mutation.patch()).expect("a mutation's patch is a JSON patch");
        json_patch::patch(documents.get_mut(document(mutation))?, &patch).ok()?;
    }
    Some(documents)
}

fn a_second_run_changes_nothing(mutated: &MutatedManifest<'_, '_>, known: &KnownObjects) {
    let manifest = Manifest::parse(&mutated.text).expect("the result is a valid manifest");
    let again = mutate(&manifest, known);
    assert_eq!(again.text, mutated.text, "a second run changes something");
    assert_eq!(again.objects.len(), mutated.objects.len());
    for (first, second) in mutated.objects.iter().zip(&again.objects) {
        let wanted = if first.is_changed() { Reason::AlreadySet } else { first.reason };
        assert_eq!(second.reason, wanted, "{}", mutated.text);
    }
}
