//! In a manifest of any style, an edit changes one field and nothing else, and never twice.
//!
//! Documents are generated as values and written in styles that random bytes select: block and flow, any indentation, quotes,
//! block scalars, comments, anchors, tags, markers, line endings.

use colocate_laws::edit;
use colocate_manifest::{
    Document as Parsed, Edit, EditRefusal, FieldPath, Manifest, ManifestObject, PathSegment, Syntax, edited,
};
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
        let manifest = Manifest::new(&text);
        if let Some(documents) = sound(&manifest) {
            let (made, _) = made(&documents);
            let after: String = edited(&text, &made).collect();
            prop_assert_eq!(without_the_field(&text), without_the_field(&after), "{}\n{}", text, after);
            let manifest = Manifest::new(&after);
            let is_set = |object: &ManifestObject<'_>| scheduler(object) == Some(SCHEDULER);
            let set = |document: &Parsed<'_>| document.objects().iter().filter(|object| is_set(object)).count();
            prop_assert_eq!(manifest.parse().unwrap().iter().map(set).sum::<usize>(), made.len());
        }
    }

    #[test]
    fn the_documents_of_a_manifest_cover_the_whole_text(text in "[a-c:\\-?{}\\[\\],&*!|>%#'\" \n\r\t~.<]{0,40}") {
        if let Ok(documents) = Manifest::new(&text).parse() {
            let ranges: String = documents.iter().map(Parsed::text).collect();
            prop_assert!(documents.is_empty() || ranges == text);
        }
    }

    #[test]
    fn a_yaml_text_is_split_where_other_parsers_split_it(
        lines in vec("(---|[.]{3}|[a:'\"|>#% -]{0,3})( [a:'\"|#-]{0,2})?", 0..8),
        end in select(vec!["\n", "\r\n"]),
    ) {
        let text: String = lines.iter().flat_map(|line| [line, end]).collect();
        let manifest = Manifest::new(&text);
        let Ok(documents) = manifest.parse() else { return Ok(()) };
        if documents.iter().any(|document| document.duplicate.is_some()) {
            return Ok(());
        }
        // It has the same scanner, which here reads the whole text.
        let Ok(other) = serde_saphyr::from_multiple::<Value>(&text) else { return Ok(()) };
        let read: Vec<_> = documents.into_iter().map(|document| document.value).collect();
        prop_assert_eq!(without_empty(read), without_empty(other), "{:?}", text);
    }
}

fn check(written: &Written) {
    let Written { text, documents, .. } = written;
    let manifest = Manifest::new(text);
    assert_eq!(&without_empty(values(text)), documents, "{text}");
    assert_eq!(&other_parser(text, manifest.syntax), documents, "{text}");

    let after = changed(written);
    assert_eq!(without_empty(values(&after)), intended(written), "{text}\n{after}");
    assert_eq!(other_parser(&after, manifest.syntax), intended(written), "{text}\n{after}");
    assert_eq!(changed(&Written { text: after.clone(), documents: Vec::new(), specs: written.specs.clone() }), after);
}

/// Returns the text with all edits applied, each checked by [`edit::apply`].
fn changed(written: &Written) -> String {
    let text = &written.text;
    let manifest = Manifest::new(text);
    let (made, refused) = made(&manifest.parse().unwrap());
    assert_eq!((made.len(), refused), (written.specs.len(), Vec::new()), "{text}");
    let after = edit::apply(text, &made, SCHEDULER);
    assert_eq!(after, edited(text, &made).collect::<String>());
    after
}

/// The fragments that damage a text.
const FRAGMENTS: [&str; 16] =
    ["", " ", "\n", "\t", ":", "- ", "{", "}", ",", "'", "\"", "&a ", "*a ", "# ", "é", "<<: {schedulerName: x}\n"];

/// The documents of a text, if all can be parsed and none has a duplicate key.
fn sound<'m>(manifest: &'m Manifest<'m>) -> Option<Vec<Parsed<'m>>> {
    let documents = manifest.parse().ok()?;
    documents.iter().all(|document| document.duplicate.is_none()).then_some(documents)
}

/// The edits of all objects that are made, and those that are refused.
fn made(documents: &[Parsed<'_>]) -> (Vec<Edit>, Vec<EditRefusal>) {
    let (mut made, mut refused) = (Vec::new(), Vec::new());
    for document in documents {
        let edit = |object: &ManifestObject<'_>| Some(document.set_scheduler(object, template(object)?, SCHEDULER));
        let (edits, refusals): (Vec<_>, Vec<_>) = document.objects().iter().filter_map(edit).partition(Result::is_ok);
        let checked = document.check_edits(edits.into_iter().flatten().collect());
        made.extend(checked.made);
        refused.extend(refusals.into_iter().filter_map(Result::err));
        refused.extend(checked.refused.into_iter().map(|(_, refusal)| refusal));
    }
    (made, refused)
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
    let (manifest, mut values) = (Manifest::new(text), values(text));
    for (document, value) in manifest.parse().unwrap().iter().zip(&mut values) {
        for object in document.objects() {
            let Some(template) = template(&object) else { continue };
            let path = object.path.join(&FieldPath::of(template.iter().copied().chain(["spec"])));
            let spec = path.segments().iter().try_fold(&mut *value, |value, segment| match segment {
                PathSegment::Field(name) | PathSegment::Key(name) => value.get_mut(name),
                PathSegment::Index(index) => value.get_mut(index),
            });
            if let Some(Value::Object(spec)) = spec {
                spec.remove("schedulerName");
            }
        }
    }
    values
}

fn values(text: &str) -> Vec<Value> {
    let manifest = Manifest::new(text);
    let documents = manifest.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.into_iter().map(|document| document.value).collect()
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
