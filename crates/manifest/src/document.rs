//! The documents of a text, and the Kubernetes objects in them, each with its position.

use std::ops::Range;
use std::sync::OnceLock;

use serde_json::Value;

use super::chunks::ChunkStart;
use super::json_parser::Values;
use super::meaning::{self, Meaning};
use super::position::{Lines, ParseError, Position, SyntaxError};
use super::sops::{self, EncryptedValues};
use super::split::Split;
use super::tree::Tree;
use super::{json_parser, template, yaml_parser};
use colocate_companion::{FieldPath, Part};

/// A text with Kubernetes objects: YAML documents, or JSON. It is a whole text, or a [`Chunk`](crate::Chunk) of one.
#[derive(Debug)]
pub struct Manifest<'t> {
    /// The text. All ranges and offsets are relative to it.
    pub text: &'t str,
    /// The syntax of the text.
    pub syntax: Syntax,
    /// The reason why the text is not JSON, if it looks like JSON.
    not_json: Option<SyntaxError>,
    /// The number of documents of the whole text before this one.
    documents_before: usize,
    lines: Lines<'t>,
}

/// The syntax of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// YAML documents, each of which may be JSON.
    Yaml,
    /// JSON only: one value, or several in a row.
    Json,
}

/// Parses one document after the other, so that only one is in memory.
#[derive(Debug)]
pub struct Documents<'m> {
    manifest: &'m Manifest<'m>,
    ranges: Ranges<'m>,
    index: usize,
}

#[derive(Debug)]
enum Ranges<'m> {
    Yaml(Split<'m>),
    Json(Values<'m>),
}

/// One document of a text.
#[derive(Debug)]
pub struct Document<'m> {
    pub(super) manifest: &'m Manifest<'m>,
    /// The number of documents before it in the whole text.
    pub index: usize,
    /// The range of the document in its manifest, from its `---` (or the start of the text) to the next document.
    pub range: Range<usize>,
    /// The value of the document as kubectl reads it: aliases and merge keys are resolved, and `yes` is true. An empty
    /// document is null.
    ///
    /// Values that JSON does not have become strings: `.inf`, and a key that is a collection or null, with the prefix `? `.
    /// A document with such a key has no Kubernetes objects.
    pub value: Value,
    /// The first key that a mapping has twice. kubectl keeps the last one, as `value` does, but other readers may not. Callers must
    /// therefore make no decision about the document.
    pub duplicate: Option<ParseError>,
    /// Whether a mapping in it has a key that a Kubernetes object cannot have.
    foreign: bool,
    pub(super) tree: Tree<'m>,
    /// Cached, because it is needed for each object of a list.
    odd_line_break: OnceLock<Option<(usize, char)>>,
}

/// A Kubernetes object in a document.
#[derive(Clone, Debug)]
pub struct ManifestObject<'m> {
    /// Its path in the document; empty for the root.
    pub path: FieldPath,
    /// Its value.
    pub value: &'m Value,
    /// Its `apiVersion`, or that of its list.
    pub api_version: &'m str,
    /// Its `kind`, or that of its list's items.
    pub kind: &'m str,
    /// The position of its start.
    pub position: Position,
}

impl<'t> Manifest<'t> {
    /// Recognizes the syntax of a text: JSON, or YAML if it is not JSON.
    pub fn new(text: &'t str) -> Self {
        let json = json_parser::is_likely(text).then(|| json_parser::check(text));
        let (syntax, not_json) = match json {
            Some(Ok(())) => (Syntax::Json, None),
            Some(Err(error)) => (Syntax::Yaml, Some(error)),
            None => (Syntax::Yaml, None),
        };
        Self::of_chunk(text, syntax, not_json, ChunkStart::default())
    }

    pub(super) fn of_chunk(text: &'t str, syntax: Syntax, not_json: Option<SyntaxError>, start: ChunkStart) -> Self {
        let ChunkStart { documents, part } = start;
        Self { text, syntax, not_json, documents_before: documents, lines: Lines::of_part(text, part) }
    }

    /// Parses the documents in order, including empty ones. Their ranges together cover the whole text. A text that has only
    /// comments has no documents.
    ///
    /// A document is an error if it is neither JSON nor YAML, more than 255 collections are nested, or aliases expand to more
    /// than the limit. The documents after it are not affected.
    pub fn documents(&self) -> Documents<'_> {
        let ranges = match self.syntax {
            Syntax::Yaml => Ranges::Yaml(Split::new(self.text)),
            Syntax::Json => Ranges::Json(Values::new(self.text)),
        };
        Documents { manifest: self, ranges, index: self.documents_before }
    }

    /// Parses all documents.
    ///
    /// # Errors
    /// The error of the first document that has one.
    pub fn parse(&self) -> Result<Vec<Document<'_>>, ParseError> {
        self.documents().collect()
    }

    /// Converts a byte offset to a position in the whole text.
    pub fn position(&self, offset: usize) -> Position {
        self.lines.position(offset)
    }

    fn parse_yaml(&self, range: Range<usize>) -> Result<(Range<usize>, Tree<'_>), SyntaxError> {
        match yaml_parser::parse(&self.text[range.clone()], range.start) {
            Ok(tree) => Ok((range, tree)),
            Err(error) => Err(match &self.not_json {
                // The parser that got further is probably the right one.
                Some(of_json) if of_json.offset >= error.offset && self.is_at(of_json.offset, &range) => {
                    of_json.clone()
                }
                _ => error,
            }),
        }
    }

    /// Returns true if an offset is in a document, or at the end of the text after the last one.
    fn is_at(&self, offset: usize, document: &Range<usize>) -> bool {
        offset < document.end || document.end == self.text.len()
    }

    fn document<'m>(&'m self, index: usize, range: Range<usize>, tree: Tree<'m>) -> Result<Document<'m>, ParseError> {
        let error = |error| ParseError::new(error, &self.lines, &range);
        let Meaning { value, foreign, duplicate } = meaning::read(&tree).map_err(error)?;
        let duplicate = duplicate.map(error);
        Ok(Document { manifest: self, index, range, value, duplicate, foreign, tree, odd_line_break: OnceLock::new() })
    }
}

impl<'m> Iterator for Documents<'m> {
    type Item = Result<Document<'m>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let manifest = self.manifest;
        let (whole, parsed) = match &mut self.ranges {
            Ranges::Yaml(split) => {
                let range = split.next()?;
                (range.clone(), manifest.parse_yaml(range))
            }
            Ranges::Json(values) => (0..manifest.text.len(), values.next()?),
        };
        let index = self.index;
        self.index += 1;
        Some(match parsed {
            Ok((range, tree)) => manifest.document(index, range, tree),
            Err(error) => Err(ParseError::new(error, &manifest.lines, &whole)),
        })
    }
}

impl<'m> Document<'m> {
    /// Its Kubernetes objects, in order.
    pub fn objects(&self) -> Vec<ManifestObject<'_>> {
        self.contents().objects
    }

    /// Its value, or the items of its lists, as far as they are not Kubernetes objects: each with its path.
    pub(super) fn other_values(&self) -> Vec<(FieldPath, &Value)> {
        self.contents().others
    }

    fn contents(&self) -> Contents<'_> {
        let mut contents = Contents::default();
        if !self.foreign {
            self.collect(&self.value, FieldPath::default(), None, &mut contents);
        }
        contents
    }

    /// Describes the values of an object that SOPS encrypted and that decisions may depend on; `None` if there are none.
    pub fn encrypted_values(&self, object: &ManifestObject<'_>) -> Option<String> {
        let values = sops::is_encrypted(&self.value).then(|| EncryptedValues::of(object.value));
        values.filter(|values| values.count > 0).map(|values| values.to_string())
    }

    /// Its text.
    pub fn text(&self) -> &'m str {
        &self.manifest.text[self.range.clone()]
    }

    /// The number of bytes before it in the whole text.
    pub fn offset(&self) -> usize {
        self.manifest.lines.start.bytes + self.range.start
    }

    /// Shows the line in which a range of the manifest starts, with carets below it, in two lines: `  2 | a: [` and `    |    ^`. The
    /// other documents of the line are not shown.
    pub fn excerpt(&self, range: &Range<usize>) -> String {
        self.manifest.lines.excerpt(range, &self.range)
    }

    /// Converts a byte offset in the manifest to a position in the whole text.
    pub fn position(&self, offset: usize) -> Position {
        self.manifest.position(offset)
    }

    /// The range of the first `{{` if the document looks like a template.
    ///
    /// Some templates parse as YAML: `{{ x }}` is a mapping whose key is a mapping.
    pub fn template_mark(&self) -> Option<Range<usize>> {
        let start = self.range.start + self.foreign.then(|| self.text().find(template::MARK)).flatten()?;
        Some(start..start + template::MARK.len())
    }

    /// The range of the key or value at the end of a path in an object, such as that of a finding. If it is not in the text,
    /// the range of the closest enclosing value.
    ///
    /// For a field that comes through an alias or a merge key, it is the range of the original.
    pub fn place(&self, object: &ManifestObject<'_>, path: &FieldPath, part: Part) -> Range<usize> {
        let path = object.path.join(path);
        let key = (part == Part::Key).then(|| self.key_span(&path)).flatten();
        let around = || (0..=path.segments().len()).rev().find_map(|length| self.value_span(&path.prefix(length)));
        let place = key.or_else(around).unwrap_or_default();
        // The range of a block scalar includes the end of its last line.
        let end = self.manifest.text[place.clone()].trim_end_matches(['\n', '\r']).len();
        place.start..place.start + end
    }

    /// Reads the value of a text that has exactly one document, with the same syntax; `None` if it has not.
    pub(super) fn read_again(&self, text: &str) -> Option<Value> {
        let is_json = |text| json_parser::is_likely(text) && json_parser::check(text).is_ok();
        let tree = match self.manifest.syntax {
            Syntax::Json => {
                let mut values = Values::new(text);
                let (_, tree) = values.next()?.ok()?;
                values.next().is_none().then_some(tree)?
            }
            // An edit must not turn YAML into JSON, which is parsed by other rules.
            Syntax::Yaml if is_json(text) != is_json(self.text()) => return None,
            Syntax::Yaml => {
                let mut split = Split::new(text);
                split.next().filter(|_| split.next().is_none())?;
                yaml_parser::parse(text, 0).ok()?
            }
        };
        let Meaning { value, duplicate, .. } = meaning::read(&tree).ok()?;
        duplicate.is_none().then_some(value)
    }

    /// The first character that ends a line for some YAML parsers only, with its offset.
    pub(super) fn odd_line_break(&self) -> Option<(usize, char)> {
        *self.odd_line_break.get_or_init(|| {
            let mut characters = self.text().char_indices();
            let (at, c) = characters.find(|(_, c)| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))?;
            Some((self.range.start + at, c))
        })
    }

    /// The range of the key at the end of `path`; `None` if there is none, or the path ends with an index.
    ///
    /// For a key that comes through an alias or a merge key, it is the range of the original.
    pub fn key_span(&self, path: &FieldPath) -> Option<Range<usize>> {
        let (key, _) = self.tree.find(path)?;
        Some(self.tree.node(key?).span.clone())
    }

    /// The range of the value at the end of `path`, without its tag and anchor. For an alias, it is the range of the alias.
    pub fn value_span(&self, path: &FieldPath) -> Option<Range<usize>> {
        let (_, value) = self.tree.find(path)?;
        Some(self.tree.node(value).span.clone())
    }

    /// Adds the object at `path`, or its items if it is a list. An item of a typed list (such as a `PodList`) that has
    /// neither `apiVersion` nor `kind` has the type of the list, as in the API server.
    fn collect<'d>(
        &'d self,
        value: &'d Value,
        path: FieldPath,
        list: Option<(&'d str, &'d str)>,
        contents: &mut Contents<'d>,
    ) {
        let own = |field: &str| value[field].as_str().filter(|text| !text.is_empty());
        let (api_version, kind) = match (own("apiVersion"), own("kind"), list) {
            (Some(api_version), Some(kind), _) => (api_version, kind),
            (None, None, Some(of_list)) if value.is_object() => of_list,
            (None, None, None) if is_kustomization(value) => KUSTOMIZATION,
            _ => {
                contents.others.push((path, value));
                return;
            }
        };
        if let (Some(of_items), Some(items)) = (kind.strip_suffix("List"), value["items"].as_array()) {
            let of_items = (!of_items.is_empty()).then_some((api_version, of_items));
            let path = path.field("items");
            for (index, item) in items.iter().enumerate() {
                self.collect(item, path.index(index), of_items, contents);
            }
            return;
        }
        let position = self.position(self.value_span(&path).unwrap_or_default().start);
        contents.objects.push(ManifestObject { path, value, api_version, kind, position });
    }
}

/// The content of a document.
#[derive(Default)]
struct Contents<'d> {
    objects: Vec<ManifestObject<'d>>,
    others: Vec<(FieldPath, &'d Value)>,
}

/// The type of a kustomization that does not name one.
const KUSTOMIZATION: (&str, &str) = ("kustomize.config.k8s.io/v1beta1", "Kustomization");

/// Returns true if a value without a type has the fields of a kustomization. kustomize adds the type itself.
fn is_kustomization(value: &Value) -> bool {
    const SOURCES: [&str; 3] = ["bases", "components", "resources"];
    const CHANGES: [&str; 5] =
        ["commonAnnotations", "commonLabels", "patches", "patchesJson6902", "patchesStrategicMerge"];
    let is_source = |name: &&str| value[name].as_array().is_some_and(|items| items.iter().all(Value::is_string));
    // A chart's values may have such names too, but not lists of files.
    SOURCES.iter().any(is_source) && CHANGES.iter().any(|name| !value[name].is_null())
}

impl<'m> ManifestObject<'m> {
    /// Its name, or its `generateName` followed by `*`.
    pub fn name(&self) -> String {
        let metadata = &self.value["metadata"];
        match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prefix)) => format!("{prefix}*"),
            (None, None) => String::new(),
        }
    }

    /// Its kind and its name for messages; only the kind if it has no name.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.name()).trim_end().to_owned()
    }

    /// Its namespace, or `default` if it has none.
    pub fn namespace_or<'n>(&self, default: &'n str) -> &'n str
    where
        'm: 'n,
    {
        self.value["metadata"]["namespace"].as_str().filter(|name| !name.is_empty()).unwrap_or(default)
    }
}

#[cfg(test)]
mod tests;
