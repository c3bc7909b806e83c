//! The documents of a text, and the Kubernetes objects in them, each with its position.

use std::ops::Range;
use std::sync::OnceLock;

use serde_json::Value;

use super::meaning::{self, Meaning};
use super::position::{Lines, ParseError, Position, SyntaxError};
use super::tree::Tree;
use super::{helm, json_parser, yaml_parser};
use colocate_companion::FieldPath;

/// A text with Kubernetes objects: YAML documents, or JSON.
#[derive(Debug)]
pub struct Manifest<'t> {
    /// The text.
    pub text: &'t str,
    /// The syntax of the text.
    pub syntax: Syntax,
    /// The documents in order, including empty ones. Their ranges together cover the whole text. A text that has only
    /// comments has no documents.
    pub documents: Vec<Document<'t>>,
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

/// One document of a text.
#[derive(Debug)]
pub struct Document<'t> {
    /// The range of the document, from its `---` (or the start of the text) to the next document.
    pub range: Range<usize>,
    /// The value of the document as kubectl reads it: aliases and merge keys are resolved, and `yes` is true. An empty
    /// document is null.
    ///
    /// Values that JSON does not have become strings: `.inf`, and a key that is a collection or null, with the prefix `? `.
    /// A document with such a key has no Kubernetes objects.
    pub value: Value,
    /// Whether a mapping in it has such a key.
    foreign: bool,
    pub(super) tree: Tree<'t>,
    /// Cached, because it is needed for each object of a list.
    odd_line_break: OnceLock<Option<(usize, char)>>,
}

/// A Kubernetes object in a document.
#[derive(Clone, Debug)]
pub struct ManifestObject<'m> {
    /// The index of its document in the text.
    pub document: usize,
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
    /// Parses a text as JSON, or as YAML if it is not JSON.
    ///
    /// # Errors
    /// The text is neither, a mapping has a duplicate key, more than 255 collections are nested, or aliases expand to more
    /// than the limit.
    pub fn parse(text: &'t str) -> Result<Self, ParseError> {
        let lines = Lines::new(text);
        let parsed = match json_parser::is_likely(text).then(|| documents(text, json_parser::parse)) {
            Some(Ok(documents)) => Ok((Syntax::Json, documents)),
            Some(Err(error)) => {
                let yaml = documents(text, yaml_parser::parse).map(|documents| (Syntax::Yaml, documents));
                // The parser that got further is probably the right one.
                yaml.map_err(|of_yaml| if of_yaml.offset > error.offset { of_yaml } else { error })
            }
            None => documents(text, yaml_parser::parse).map(|documents| (Syntax::Yaml, documents)),
        };
        match parsed {
            Ok((syntax, documents)) => Ok(Self { text, syntax, documents, lines }),
            Err(error) => Err(ParseError::new(error, &lines)),
        }
    }

    /// The Kubernetes objects of all documents, in order.
    pub fn objects(&self) -> Vec<ManifestObject<'_>> {
        let mut objects = Vec::new();
        for (index, document) in self.documents.iter().enumerate() {
            if !document.foreign {
                self.collect(index, &document.value, FieldPath::default(), None, &mut objects);
            }
        }
        objects
    }

    /// Converts a byte offset to a position.
    pub fn position(&self, offset: usize) -> Position {
        self.lines.position(offset)
    }

    /// Shows the line in which a range starts, with carets below it, in two lines: `  2 | a: [` and `    |    ^`.
    pub fn excerpt(&self, range: &Range<usize>) -> String {
        self.lines.excerpt(range)
    }

    /// The range of the first `{{` of each document that looks like a Helm template.
    ///
    /// Some templates parse as YAML: `{{ x }}` is a mapping whose key is a mapping.
    pub(super) fn template_marks(&self) -> impl Iterator<Item = Range<usize>> {
        self.documents.iter().filter(|document| document.foreign).filter_map(|document| {
            let start = document.range.start + self.text[document.range.clone()].find(helm::MARK)?;
            Some(start..start + helm::MARK.len())
        })
    }

    /// Adds the object at `path`, or its items if it is a list. An item of a typed list (such as a `PodList`) that has
    /// neither `apiVersion` nor `kind` has the type of the list, as in the API server.
    fn collect<'m>(
        &'m self,
        document: usize,
        value: &'m Value,
        path: FieldPath,
        list: Option<(&'m str, &'m str)>,
        objects: &mut Vec<ManifestObject<'m>>,
    ) {
        let own = |field: &str| value[field].as_str().filter(|text| !text.is_empty());
        let (api_version, kind) = match (own("apiVersion"), own("kind"), list) {
            (Some(api_version), Some(kind), _) => (api_version, kind),
            (None, None, Some(of_list)) if value.is_object() => of_list,
            _ => return,
        };
        if let (Some(of_items), Some(items)) = (kind.strip_suffix("List"), value["items"].as_array()) {
            let of_items = (!of_items.is_empty()).then_some((api_version, of_items));
            let path = path.field("items");
            for (index, item) in items.iter().enumerate() {
                self.collect(document, item, path.index(index), of_items, objects);
            }
            return;
        }
        let offset = self.documents[document].value_span(&path).unwrap_or_default().start;
        let position = self.position(offset);
        objects.push(ManifestObject { document, path, value, api_version, kind, position });
    }
}

type Parse<'t> = fn(&'t str) -> Result<Vec<(usize, Tree<'t>)>, SyntaxError>;

fn documents<'t>(text: &'t str, parse: Parse<'t>) -> Result<Vec<Document<'t>>, SyntaxError> {
    let mut trees = parse(text)?.into_iter().peekable();
    let mut documents = Vec::with_capacity(trees.len());
    while let Some((start, tree)) = trees.next() {
        let end = trees.peek().map_or(text.len(), |(start, _)| *start);
        let Meaning { value, foreign } = meaning::read(&tree)?;
        documents.push(Document { range: start..end, value, foreign, tree, odd_line_break: OnceLock::new() });
    }
    Ok(documents)
}

impl<'t> Document<'t> {
    /// Parses a text with the given syntax; `None` if it does not parse.
    pub(super) fn read_again(text: &'t str, syntax: Syntax) -> Option<Vec<Self>> {
        let read = match syntax {
            Syntax::Yaml => documents(text, yaml_parser::parse),
            Syntax::Json => documents(text, json_parser::parse),
        };
        read.ok()
    }

    /// The first character that ends a line for some YAML parsers only, with its offset.
    pub(super) fn odd_line_break(&self, text: &str) -> Option<(usize, char)> {
        *self.odd_line_break.get_or_init(|| {
            let mut characters = text[self.range.clone()].char_indices();
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
