//! The only edit that is made to a manifest: `schedulerName`, as one line or one value.

mod refusal;

use std::ops::Range;

use serde_json::Value;

pub use refusal::{EditRefusal, Obstacle};

use super::document::{Document, ManifestObject, Syntax};
use super::pointer::pointer;
use super::position::BYTE_ORDER_MARK;
use super::scalar::{self, Scalar, Style, TagResolution};
use super::sops;
use super::tree::{MappingEntry, Node, NodeId, NodeKind, ResolvedEntry};
use colocate_companion::{FieldPath, PathSegment};

const FIELD: &str = "schedulerName";

/// An edit of a text that sets one field of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The range that is replaced; empty for an insertion.
    pub range: Range<usize>,
    /// The new text.
    pub replacement: String,
    /// The pod spec's path in the document.
    spec: FieldPath,
    scheduler: String,
}

/// The edits of a document that were checked.
#[derive(Debug, Default)]
pub struct CheckedEdits {
    /// The edits that can be made together, in order.
    pub made: Vec<Edit>,
    /// The refused edits, each with its index.
    pub refused: Vec<(usize, EditRefusal)>,
}

impl Document<'_> {
    /// The pieces of its text with edits made, to be written one after the other. The edits must be in order.
    pub fn edited<'e>(&'e self, edits: &'e [Edit]) -> impl Iterator<Item = &'e str> {
        pieces(self.manifest.text, self.range.clone(), edits)
    }

    /// Makes the edit that sets `schedulerName` in the pod spec of the object's pod template at `template` (fields from
    /// the object's root; none for a Pod).
    ///
    /// It inserts one line or one entry at the start of the pod spec, or replaces the existing value.
    ///
    /// # Errors
    /// The edit would change more than this field.
    pub fn set_scheduler<K: AsRef<str>>(
        &self,
        object: &ManifestObject<'_>,
        template: &[K],
        scheduler: &str,
    ) -> Result<Edit, EditRefusal> {
        let fields = template.iter().map(AsRef::as_ref).chain(["spec"]);
        let spec = object.path.join(&FieldPath::of(fields));
        if sops::is_encrypted(&self.value) {
            let checksum = FieldPath::of(["sops", "mac"]);
            let span = self.key_span(&checksum).unwrap_or_default();
            return Err(EditRefusal::new(Obstacle::Encrypted, self.position(span.start), &checksum));
        }
        // In YAML 1.1, which kubectl uses, three more characters end a line than in 1.2. A document that contains one
        // has different lines for the two: a comment may end and a key may start there.
        if self.manifest.syntax == Syntax::Yaml
            && let Some((at, c)) = self.odd_line_break()
        {
            return Err(EditRefusal::new(Obstacle::LineBreak(c), self.position(at), &FieldPath::default()));
        }
        let (range, replacement) = EditTarget::find(self, &spec)?.edit(scheduler)?;
        Ok(Edit { range, replacement, spec, scheduler: scheduler.to_owned() })
    }

    /// Checks edits of this document. Each is made completely or not at all.
    ///
    /// The new text of the document is parsed again: it must be one document with the old value except for the field of each
    /// edit. An edit that breaks this is refused. Such edits are found by bisection.
    pub fn check_edits(&self, edits: Vec<Edit>) -> CheckedEdits {
        let all: Vec<_> = (0..edits.len()).collect();
        let mut sound = self.sound(&edits, &all);
        // The halves were checked separately.
        if sound.len() < all.len() && !self.is_sound(&edits, &sound) {
            sound.clear();
        }
        let refused = all.iter().filter(|index| sound.binary_search(index).is_err()).map(|&index| {
            let (position, field) = (self.position(edits[index].range.start), edits[index].spec.field(FIELD));
            (index, EditRefusal::new(Obstacle::SideEffect, position, &field))
        });
        let refused = refused.collect();
        let made = edits.into_iter().enumerate().filter(|(index, _)| sound.binary_search(index).is_ok());
        let mut made: Vec<_> = made.map(|(_, edit)| edit).collect();
        made.sort_by_key(|edit| edit.range.start);
        CheckedEdits { made, refused }
    }

    /// Bisects edits to find those that can be made. Usually, only one of them cannot be made.
    fn sound(&self, edits: &[Edit], indices: &[usize]) -> Vec<usize> {
        if indices.is_empty() || self.is_sound(edits, indices) {
            return indices.to_vec();
        }
        if indices.len() == 1 {
            return Vec::new();
        }
        let (left, right) = indices.split_at(indices.len() / 2);
        [self.sound(edits, left), self.sound(edits, right)].concat()
    }

    /// Returns true if edits change only their fields.
    fn is_sound(&self, edits: &[Edit], indices: &[usize]) -> bool {
        let edits = in_order(edits, indices);
        let Some(text) = apply(self.manifest.text, self.range.clone(), &edits) else { return false };
        match (self.read_again(&text), intended(&self.value, &edits)) {
            (Some(new), Some(intended)) => new == intended,
            _ => false,
        }
    }
}

/// The pieces of a text with edits made, to be written one after the other. The edits must be in order.
pub fn edited<'e>(text: &'e str, edits: &'e [Edit]) -> impl Iterator<Item = &'e str> {
    pieces(text, 0..text.len(), edits)
}

fn pieces<'e>(text: &'e str, range: Range<usize>, edits: &'e [Edit]) -> impl Iterator<Item = &'e str> {
    let starts = std::iter::once(range.start).chain(edits.iter().map(|edit| edit.range.end));
    let ends = edits.iter().map(|edit| edit.range.start).chain([range.end]);
    let replacements = edits.iter().map(|edit| &*edit.replacement).chain([""]);
    starts.zip(ends).zip(replacements).flat_map(|((start, end), replacement)| [&text[start..end], replacement])
}

/// Returns a range of a text with edits made; `None` if an edit exceeds the range or two edits overlap.
fn apply(text: &str, range: Range<usize>, edits: &[&Edit]) -> Option<String> {
    let mut edited = String::with_capacity(range.len() + 64 * edits.len());
    let mut done = range.start;
    for edit in edits {
        edited.push_str(text.get(done..edit.range.start)?);
        edited.push_str(&edit.replacement);
        done = edit.range.end;
    }
    edited.push_str(text.get(done..range.end)?);
    Some(edited)
}

/// Selects edits by their indices, in the order of their ranges.
fn in_order<'e>(edits: &'e [Edit], indices: &[usize]) -> Vec<&'e Edit> {
    let mut edits: Vec<_> = indices.iter().map(|&index| &edits[index]).collect();
    edits.sort_by_key(|edit| edit.range.start);
    edits
}

/// The value that a document should have after the edits.
fn intended(value: &Value, edits: &[&Edit]) -> Option<Value> {
    let mut value = value.clone();
    for edit in edits {
        let spec = value.pointer_mut(pointer(&edit.spec).as_str())?.as_object_mut()?;
        spec.insert(FIELD.to_owned(), Value::from(edit.scheduler.as_str()));
    }
    Some(value)
}

/// A pod spec that an edit may change.
struct EditTarget<'a, 't> {
    document: &'a Document<'t>,
    path: &'a FieldPath,
    node: &'a Node<'t>,
    id: NodeId,
    entries: &'a [MappingEntry],
    flow: bool,
}

impl<'a, 't> EditTarget<'a, 't> {
    /// Follows the path. Refuses aliases, used anchors and merge keys on it, because a change would apply elsewhere too.
    fn find(document: &'a Document<'t>, path: &'a FieldPath) -> Result<Self, EditRefusal> {
        let refusal = |obstacle, node: &Node<'_>, length| {
            EditRefusal::new(obstacle, document.position(node.span.start), &path.prefix(length))
        };
        let unshared = |node: &'a Node<'t>, length| match node.kind {
            NodeKind::Alias(_) => Err(refusal(Obstacle::Alias, node, length)),
            _ if node.aliased => Err(refusal(Obstacle::Anchor, node, length)),
            _ => Ok(node),
        };
        let length = path.segments().len();
        let tree = &document.tree;
        let mut id = tree.root;
        for (depth, segment) in path.segments().iter().enumerate() {
            let node = unshared(tree.node(id), depth)?;
            id = match (segment, &node.kind) {
                (PathSegment::Field(key) | PathSegment::Key(key), _) => match tree.lookup(id, key) {
                    Some(ResolvedEntry { entry, merge_key: None }) => entry.value,
                    Some(ResolvedEntry { merge_key: Some(key), .. }) => {
                        return Err(refusal(Obstacle::Merge, tree.node(key), depth + 1));
                    }
                    None => return Err(refusal(Obstacle::NoMapping, node, depth + 1)),
                },
                (PathSegment::Index(index), NodeKind::Sequence(items)) if *index < items.len() => items[*index],
                _ => return Err(refusal(Obstacle::NoMapping, node, depth + 1)),
            };
        }
        let node = unshared(tree.node(id), length)?;
        match &node.kind {
            NodeKind::Mapping { flow, entries } if !entries.is_empty() => {
                Ok(Self { document, path, node, id, entries, flow: *flow })
            }
            _ => Err(refusal(Obstacle::NoMapping, node, length)),
        }
    }

    fn edit(&self, scheduler: &str) -> Result<(Range<usize>, String), EditRefusal> {
        let tree = &self.document.tree;
        match tree.lookup(self.id, FIELD) {
            None => Ok(self.insertion(scheduler)),
            Some(ResolvedEntry { entry, merge_key: None }) => self.replacement(entry, scheduler),
            Some(ResolvedEntry { merge_key: Some(key), .. }) => Err(self.refusal(Obstacle::Merge, tree.node(key))),
        }
    }

    fn refusal(&self, obstacle: Obstacle, node: &Node<'_>) -> EditRefusal {
        EditRefusal::new(obstacle, self.document.position(node.span.start), &self.path.field(FIELD))
    }

    /// Inserts a new first entry.
    fn insertion(&self, scheduler: &str) -> (Range<usize>, String) {
        let text = self.document.manifest.text;
        let first = self.entries[0];
        let quotes = self.key_style(first);
        let colon = self.colon(first, quotes);
        let entry = format!("{}{colon}{}", quoted(FIELD, quotes), quoted(scheduler, quotes));
        let start = self.first_entry();
        // An entry on the line of its `{` has more than indentation before it. A line of compact JSON may be long, so its start
        // is not searched.
        let indented = text[..start].trim_end_matches([' ', '\t']).len();
        let before = &text[..indented];
        let own_line = before.is_empty() || before.ends_with(['\n', '\r', BYTE_ORDER_MARK]);
        let separator = if self.flow { "," } else { "" };
        let (at, inserted) = if own_line {
            let at = self.above_comments(indented);
            (at, format!("{}{entry}{separator}{}", &text[indented..start], line_ending(text, indented)))
        } else if self.flow {
            // Compact JSON stays compact.
            let space = if colon == ":" { "" } else { " " };
            (start, format!("{entry},{space}"))
        } else {
            let line_start = line_start(text, start);
            let indent = text[line_start..start].trim_start_matches(BYTE_ORDER_MARK).chars().count();
            (start, format!("{entry}{}{}", line_ending(text, line_start), " ".repeat(indent)))
        };
        (at..at, inserted)
    }

    /// The offset of the first entry, including its anchor, tag or `?`.
    fn first_entry(&self) -> usize {
        if !self.flow {
            return self.node.span.start;
        }
        let text = self.document.manifest.text;
        let mut at = self.node.span.start + '{'.len_utf8();
        loop {
            let rest = &text[at..];
            at += rest.len() - rest.trim_start().len();
            if !text[at..].starts_with('#') {
                return at;
            }
            at += text[at..].find(['\n', '\r']).unwrap_or(text.len() - at);
        }
    }

    /// The start of the comment lines directly above a line, which belong to that line.
    fn above_comments(&self, mut line: usize) -> usize {
        let text = self.document.manifest.text;
        let is_comment = |line: &str| line.trim_start().starts_with('#');
        while let Some(above) = line_above(text, line)
            && is_comment(&text[above..line])
        {
            line = above;
        }
        line
    }

    /// The quotes of an entry's key, which an inserted key gets too.
    fn key_style(&self, entry: MappingEntry) -> Style {
        match &self.document.tree.node(entry.key).kind {
            NodeKind::Scalar(Scalar { style: style @ (Style::SingleQuoted | Style::DoubleQuoted), .. }) => *style,
            _ => Style::Plain,
        }
    }

    /// The separator between key and value, as in the JSON around it, or `: `.
    fn colon(&self, entry: MappingEntry, quotes: Style) -> &'a str {
        let tree = &self.document.tree;
        let between = tree.node(entry.key).span.end..tree.node(entry.value).span.start;
        let between = self.document.manifest.text.get(between).unwrap_or_default();
        let like_json = self.flow && quotes == Style::DoubleQuoted && between.trim_matches(' ') == ":";
        if like_json { between } else { ": " }
    }

    /// Replaces the existing value.
    fn replacement(&self, entry: MappingEntry, scheduler: &str) -> Result<(Range<usize>, String), EditRefusal> {
        let tree = &self.document.tree;
        let node = tree.node(entry.value);
        let refuse = |obstacle| Err(self.refusal(obstacle, node));
        let NodeKind::Scalar(scalar) = &tree.node(tree.target(entry.value)).kind else {
            return refuse(Obstacle::NotText);
        };
        let value = scalar.value().unwrap_or(Value::Bool(false));
        if value == scheduler {
            return Ok((node.span.start..node.span.start, String::new()));
        }
        if node.aliased {
            return refuse(Obstacle::Anchor);
        }
        if value.is_null() && matches!(scalar.resolution, TagResolution::Tagged(_)) {
            // The tag `!!null` would remain and apply to the new value.
            return refuse(Obstacle::SideEffect);
        }
        let style = match (&value, &node.kind) {
            (Value::String(_), NodeKind::Scalar(scalar)) => scalar.style,
            (Value::String(_), _) => Style::Plain,
            (Value::Null, _) => self.key_style(entry),
            _ => return refuse(Obstacle::NotText),
        };
        if style == Style::Block {
            return refuse(Obstacle::Block);
        }
        let value = quoted(scheduler, style);
        if !node.span.is_empty() {
            return Ok((node.span.clone(), value));
        }
        // The value is empty: insert after the colon, if there is one.
        let key_end = tree.node(entry.key).span.end;
        let rest = &self.document.manifest.text[key_end..];
        let colon = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        if rest[colon..].starts_with(':') {
            let after_colon = key_end + colon + ':'.len_utf8();
            return Ok((after_colon..after_colon, format!(" {value}")));
        }
        Ok((key_end..key_end, format!(": {value}")))
    }
}

/// Formats text as a scalar, in quotes if necessary.
fn quoted(text: &str, style: Style) -> String {
    let printable = !text.chars().any(char::is_control);
    match style {
        Style::Plain if is_plain(text) => text.to_owned(),
        Style::SingleQuoted if printable => format!("'{}'", text.replace('\'', "''")),
        // A JSON string is a YAML scalar.
        _ => Value::from(text).to_string(),
    }
}

/// Returns true if text needs no quotes, in any context and for any YAML parser.
fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(word) && scalar::plain(text).is_string()
}

/// The start of the line that contains a byte.
fn line_start(text: &str, offset: usize) -> usize {
    text[..offset].rfind(['\n', '\r']).map_or(0, |end| end + 1)
}

/// The start of the line before the one that starts at `line_start`.
fn line_above(text: &str, line_start: usize) -> Option<usize> {
    let above = text[..line_start].strip_suffix(['\n', '\r'])?;
    let above = if text[..line_start].ends_with("\r\n") { &above[..above.len() - 1] } else { above };
    Some(self::line_start(text, above.len()))
}

/// The line ending of the previous line, or that of the text for the first line.
fn line_ending(text: &str, line_start: usize) -> &'static str {
    let end_of = |before: &str| match before.as_bytes() {
        [.., b'\r', b'\n'] => Some("\r\n"),
        [.., b'\n'] => Some("\n"),
        [.., b'\r'] => Some("\r"),
        _ => None,
    };
    let first_line = || text.split_inclusive('\n').next().and_then(end_of);
    end_of(&text[..line_start]).or_else(first_line).unwrap_or("\n")
}

#[cfg(test)]
mod tests;
