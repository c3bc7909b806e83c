//! Builds trees from the events of a YAML parser.

use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag, options};

use super::position::SyntaxError;
use super::scalar::{Scalar, Style, TagResolution, Type};
use super::tree::{MappingEntry, Node, NodeId, NodeKind, Tree};

/// Parses a text that is one document and starts at byte `start` of a longer text, to which all ranges refer.
pub(super) fn parse(text: &str, start: usize) -> Result<Tree<'_>, SyntaxError> {
    let options = options! {
        // With comments enabled, the parser rejects more than 96 in a row.
        emit_comments: false,
        // As in libyaml and its ports, including kubectl's.
        block_scalar_eof_without_line_feed: true,
    };
    let mut builder = Builder { start, ..Builder::default() };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax_error(&error, start))?;
        builder.event(event, span)?;
    }
    let tree = builder.trees.pop().filter(|_| builder.trees.is_empty());
    // The text was split where the parser also splits it, so this is not expected.
    tree.ok_or_else(|| {
        SyntaxError::new(start, "the boundaries of the documents are ambiguous: separate them with `---` lines")
    })
}

fn syntax_error(error: &ScanError, start: usize) -> SyntaxError {
    SyntaxError::new(start + error.marker().byte_offset().unwrap_or_default(), error.info())
}

#[derive(Default)]
struct Builder<'t> {
    trees: Vec<Tree<'t>>,
    /// The start of the text.
    start: usize,
    nodes: Vec<Node<'t>>,
    open: Vec<OpenCollection>,
    anchors: HashMap<usize, NodeId>,
}

/// A collection whose end has not been read yet.
struct OpenCollection {
    id: NodeId,
    /// The key of a mapping whose value has not been read yet.
    key: Option<NodeId>,
}

impl<'t> Builder<'t> {
    fn event(&mut self, event: Event<'t>, span: Span) -> Result<(), SyntaxError> {
        // A parser of a `&str` has a byte range for every event.
        let range = span.byte_range().unwrap_or_default();
        let range = self.start + range.start..self.start + range.end;
        match event {
            Event::DocumentEnd => {
                let nodes = std::mem::take(&mut self.nodes);
                self.anchors.clear();
                self.trees.push(Tree { nodes, root: 0 });
            }
            Event::Scalar(content, style, anchor, tag) => {
                let resolution = resolution(style, tag.as_deref());
                let scalar = Scalar { text: content, style: style_of(style), resolution };
                let id = self.node(range, anchor, NodeKind::Scalar(scalar));
                self.attach(id);
            }
            Event::SequenceStart(_, anchor, _) => self.open(range, anchor, NodeKind::Sequence(Vec::new())),
            Event::MappingStart(style, anchor, _) => {
                let flow = style == StructureStyle::Flow;
                self.open(range, anchor, NodeKind::Mapping { flow, entries: Vec::new() });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&range),
            Event::Alias(anchor) => self.alias(range, anchor)?,
            // Comments are disabled, and the other events have no content.
            _ => {}
        }
        Ok(())
    }

    fn node(&mut self, span: Range<usize>, anchor: usize, kind: NodeKind<'t>) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(Node { span, kind, aliased: false });
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        id
    }

    fn open(&mut self, span: Range<usize>, anchor: usize, kind: NodeKind<'t>) {
        let id = self.node(span, anchor, kind);
        self.attach(id);
        self.open.push(OpenCollection { id, key: None });
    }

    fn close(&mut self, end: &Range<usize>) {
        let Some(OpenCollection { id, .. }) = self.open.pop() else { return };
        // The parser reports the end of a block at the next token, but the block ends with its last node.
        let last = match &self.nodes[id].kind {
            NodeKind::Sequence(items) => items.last().copied(),
            NodeKind::Mapping { entries, .. } => entries.last().map(|entry| entry.value),
            _ => None,
        };
        let content_end = last.map_or(end.end, |last| self.nodes[last].span.end);
        let span = &mut self.nodes[id].span;
        span.end = if end.is_empty() { content_end.max(span.start) } else { end.end };
    }

    fn alias(&mut self, span: Range<usize>, anchor: usize) -> Result<(), SyntaxError> {
        let Some(&target) = self.anchors.get(&anchor) else { return Ok(()) };
        if self.open.iter().any(|open| open.id == target) {
            let message = "an alias refers to a collection that contains it: replace the alias with a value";
            return Err(SyntaxError::new(span.start, message));
        }
        self.nodes[target].aliased = true;
        let id = self.node(span, 0, NodeKind::Alias(target));
        self.attach(id);
        Ok(())
    }

    /// Adds a node to the collection that is open.
    fn attach(&mut self, id: NodeId) {
        let Some(parent) = self.open.last_mut() else { return };
        match (&mut self.nodes[parent.id].kind, parent.key.take()) {
            (NodeKind::Sequence(items), _) => items.push(id),
            (NodeKind::Mapping { entries, .. }, Some(key)) => entries.push(MappingEntry { key, value: id }),
            (NodeKind::Mapping { .. }, None) => parent.key = Some(id),
            _ => {}
        }
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    }
}

fn resolution(style: ScalarStyle, tag: Option<&Tag>) -> TagResolution {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain { TagResolution::Plain } else { TagResolution::Text };
    };
    match tag.suffix_in_namespace("tag:yaml.org,2002:").as_deref() {
        Some("merge") => TagResolution::Merge,
        Some(name) => Type::from_tag(name).map_or(TagResolution::Text, TagResolution::Tagged),
        // In kubectl's parser, a value with any other tag is a string.
        None => TagResolution::Text,
    }
}
