//! In a manifest of any style, an edit changes one field and nothing else, and never twice.
//!
//! Documents are generated as values and written in styles that random bytes select: block and flow, any indentation, quotes,
//! block scalars, comments, anchors, tags, markers, line endings.

use colocate_laws::edit;
use colocate_manifest::{Edit, EditRefusal, FieldPath, Manifest, ManifestObject, PathSegment, Syntax};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::documents::{Document, KINDS, document};
use crate::writer;

const SCHEDULER: &str = "stork";

/// A text with the documents that it means.
#[derive(Debug)]
struct Written {
    text: String,
    documents: Vec<Value>,
    /// The pod specs that get a scheduler, as document index and JSON pointer.
    specs: Vec<(usize, String)>,
}

impl Written {
    fn new(documents: &[Document], text: String) -> Self {
        let specs = documents
            .iter()
            .enumerate()
            .flat_map(|(index, document)| document.specs.iter().map(move |spec| (index, spec.clone())));
        Self {
            text,
            documents: documents.iter().map(|document| document.value.clone()).collect(),
            specs: specs.collect(),
        }
    }
}

/// 400 cases take 5 seconds on one core. `PROPTEST_CASES` can increase the number.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(400), failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_edit_changes_one_field_and_nothing_else(
        documents in vec(document(), 1..4),
        choices in vec(any::<u8>(), 0..600),
    ) {
        check(&Written::new(&documents, writer::write(&documents, &choices)));
    }

    #[test]
    fn an_edit_of_json_changes_one_field_and_nothing_else(documents in vec(document(), 1..3), pretty: bool) {
        let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
        let text = documents.iter().map(|document| write(&document.value).unwrap() + "\n").collect();
        let written = Written::new(&documents, text);
        check(&written);
        let after = changed(&written);
        for (document, value) in serde_json::Deserializer::from_str(&after).into_iter::<Value>().enumerate() {
            prop_assert_eq!(value.unwrap(), intended(&written)[document].clone());
        }
    }

    #[test]
    fn a_damaged_text_is_rejected_or_changed_in_one_field(
        documents in vec(document(), 1..3),
        choices in vec(any::<u8>(), 0..300),
        damages in vec((any::<Index>(), select(FRAGMENTS.to_vec()), 0..3_usize), 1..4),
    ) {
        let mut text = writer::write(&documents, &choices);
        for (at, fragment, removed) in damages {
            let starts: Vec<_> = text.char_indices().map(|(start, _)| start).chain([text.len()]).collect();
            let first = at.index(starts.len());
            let last = (first + removed).min(starts.len() - 1);
            text.replace_range(starts[first]..starts[last], fragment);
        }
        if let Ok(manifest) = Manifest::parse(&text) {
            let edits: Vec<_> = edits(&manifest).into_iter().flatten().collect();
            let applied = manifest.apply(&edits);
            let made = (0..edits.len()).filter(|index| applied.refused.iter().all(|(refused, _)| refused != index));
            prop_assert_eq!(without_the_field(&text), without_the_field(&applied.text), "{}\n{}", text, applied.text);
            let manifest = Manifest::parse(&applied.text).unwrap();
            let set = manifest.objects().iter().filter(|object| scheduler(object) == Some(SCHEDULER)).count();
            prop_assert_eq!(set, made.count());
        }
    }

    #[test]
    fn the_documents_of_a_manifest_cover_the_whole_text(text in "[a-c:\\-?{}\\[\\],&*!|>%#'\" \n\r\t~.<]{0,40}") {
        if let Ok(manifest) = Manifest::parse(&text) {
            let ranges: String = manifest.documents.iter().map(|document| &text[document.range.clone()]).collect();
            prop_assert!(manifest.documents.is_empty() || ranges == text);
            prop_assert_eq!(&*manifest.apply(&[]).text, &text);
        }
    }
}

fn check(written: &Written) {
    let Written { text, documents, .. } = written;
    let manifest = Manifest::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let read: Vec<_> = manifest.documents.iter().map(|document| document.value.clone()).collect();
    assert_eq!(&without_empty(read), documents, "{text}");
    assert_eq!(&other_parser(text, manifest.syntax), documents, "{text}");

    let after = changed(written);
    assert_eq!(without_empty(values(&after)), intended(written), "{text}\n{after}");
    assert_eq!(other_parser(&after, manifest.syntax), intended(written), "{text}\n{after}");
    assert_eq!(changed(&Written { text: after.clone(), documents: Vec::new(), specs: written.specs.clone() }), after);
}

/// Returns the text with all edits applied, each checked by [`edit::apply`].
fn changed(written: &Written) -> String {
    let text = &written.text;
    let manifest = Manifest::parse(text).unwrap();
    let edits = edits(&manifest).into_iter().collect::<Result<Vec<_>, _>>();
    let edits = edits.unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
    assert_eq!(edits.len(), written.specs.len(), "{text}");
    let applied = manifest.apply(&edits);
    assert_eq!(applied.refused, [], "{text}");
    let edited = edit::apply(text, &edits, SCHEDULER);
    assert_eq!(edited, applied.text);
    edited
}

/// The fragments that damage a text.
const FRAGMENTS: [&str; 16] =
    ["", " ", "\n", "\t", ":", "- ", "{", "}", ",", "'", "\"", "&a ", "*a ", "# ", "é", "<<: {schedulerName: x}\n"];

fn edits(manifest: &Manifest<'_>) -> Vec<Result<Edit, EditRefusal>> {
    let edit = |object: &ManifestObject<'_>| Some(manifest.set_scheduler(object, template(object)?, SCHEDULER));
    manifest.objects().iter().filter_map(edit).collect()
}

fn template(object: &ManifestObject<'_>) -> Option<&'static [&'static str]> {
    let kind = KINDS.iter().find(|kind| kind.0 == object.api_version && kind.1 == object.kind)?;
    Some(kind.2)
}

fn scheduler<'a>(object: &ManifestObject<'a>) -> Option<&'a str> {
    let spec = template(object)?.iter().chain(&["spec"]).fold(object.value, |value, key| &value[key]);
    spec["schedulerName"].as_str()
}

/// Returns the documents of a text, without the scheduler of each pod spec.
fn without_the_field(text: &str) -> Vec<Value> {
    let manifest = Manifest::parse(text).unwrap();
    let mut documents = values(text);
    for object in manifest.objects() {
        let Some(template) = template(&object) else { continue };
        let path = object.path.join(&FieldPath::of(template.iter().copied().chain(["spec"])));
        let spec = path.segments().iter().try_fold(&mut documents[object.document], |value, segment| match segment {
            PathSegment::Field(name) | PathSegment::Key(name) => value.get_mut(name),
            PathSegment::Index(index) => value.get_mut(index),
        });
        if let Some(Value::Object(spec)) = spec {
            spec.remove("schedulerName");
        }
    }
    documents
}

fn values(text: &str) -> Vec<Value> {
    Manifest::parse(text).unwrap().documents.iter().map(|document| document.value.clone()).collect()
}

/// Parses the documents with serde-saphyr, or `serde_json` for JSON.
fn other_parser(text: &str, format: Syntax) -> Vec<Value> {
    without_empty(match format {
        Syntax::Json => serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().unwrap(),
        Syntax::Yaml => serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}")),
    })
}

fn without_empty(documents: Vec<Value>) -> Vec<Value> {
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

fn intended(written: &Written) -> Vec<Value> {
    let mut documents = written.documents.clone();
    for (document, spec) in &written.specs {
        documents[*document].pointer_mut(spec).unwrap()["schedulerName"] = json!(SCHEDULER);
    }
    documents
}
