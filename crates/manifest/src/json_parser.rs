//! Parses JSON to trees: one value or several in a row, as kubectl accepts them.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

use super::meaning::MAX_DEPTH;
use super::position::{BYTE_ORDER_MARK, SyntaxError};
use super::scalar::{Scalar, Style, TagResolution};
use super::tree::{MappingEntry, Node, NodeId, NodeKind, Tree};

/// Returns true if a text looks like JSON. If it does not parse as JSON, it is parsed as YAML.
pub(super) fn is_likely(text: &str) -> bool {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii_start().starts_with(['{', '['])
}

/// Checks that a text has only JSON values.
pub(super) fn check(text: &str) -> Result<(), SyntaxError> {
    Values::new(text).try_for_each(|value| value.map(drop))
}

/// Parses the values of a text, each with its range, which extends to the next value.
#[derive(Debug)]
pub(super) struct Values<'t> {
    parser: Parser<'t>,
    first: bool,
}

impl<'t> Values<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let mut parser = Parser { text, at, nodes: Vec::new() };
        parser.skip_space();
        Self { parser, first: true }
    }
}

impl<'t> Iterator for Values<'t> {
    type Item = Result<(Range<usize>, Tree<'t>), SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let parser = &mut self.parser;
        if parser.at == parser.text.len() {
            return None;
        }
        let start = if std::mem::take(&mut self.first) { 0 } else { parser.at };
        match parser.value(0) {
            Ok(root) => {
                parser.skip_space();
                Some(Ok((start..parser.at, Tree { nodes: std::mem::take(&mut parser.nodes), root })))
            }
            Err(error) => {
                parser.at = parser.text.len();
                Some(Err(error))
            }
        }
    }
}

#[derive(Debug)]
struct Parser<'t> {
    text: &'t str,
    at: usize,
    nodes: Vec<Node<'t>>,
}

impl<'t> Parser<'t> {
    fn value(&mut self, depth: usize) -> Result<NodeId, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("more than {MAX_DEPTH} nested collections")));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            _ => self.literal(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<NodeId, SyntaxError> {
        let start = self.at;
        let mut entries = Vec::new();
        self.at += 1;
        while self.goes_on(b'}', entries.is_empty())? {
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.error("expected `:`"));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value(depth + 1)?;
            entries.push(MappingEntry { key, value });
        }
        Ok(self.node(start..self.at, NodeKind::Mapping { flow: true, entries }))
    }

    fn array(&mut self, depth: usize) -> Result<NodeId, SyntaxError> {
        let start = self.at;
        let mut items = Vec::new();
        self.at += 1;
        while self.goes_on(b']', items.is_empty())? {
            items.push(self.value(depth + 1)?);
        }
        Ok(self.node(start..self.at, NodeKind::Sequence(items)))
    }

    /// Moves to the next entry of a collection and returns true, or past its end and returns false.
    fn goes_on(&mut self, end: u8, first: bool) -> Result<bool, SyntaxError> {
        self.skip_space();
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                return Ok(false);
            }
            _ if first => {}
            Some(b',') => {
                self.at += 1;
                self.skip_space();
            }
            _ => return Err(self.error(format!("expected `,` or `{}`", char::from(end)))),
        }
        Ok(true)
    }

    fn string(&mut self) -> Result<NodeId, SyntaxError> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let mut end = start + 1;
        // A string has no line feed, so that what follows its line does not matter.
        while bytes.get(end).is_some_and(|byte| !matches!(byte, b'"' | b'\n')) {
            end += if bytes[end] == b'\\' && bytes.get(end + 1) != Some(&b'\n') { 2 } else { 1 };
        }
        let Some(token) = self.text.get(start..=end).filter(|token| token.ends_with('"')) else {
            return Err(self.error("unterminated string"));
        };
        let text = match serde_json::from_str::<&str>(token) {
            Ok(text) => Cow::Borrowed(text),
            // It has escapes, or is not a valid string.
            Err(_) => Cow::Owned(serde_json::from_str(token).map_err(|error| self.error(without_position(&error)))?),
        };
        self.at = end + 1;
        let scalar = Scalar { text, style: Style::DoubleQuoted, resolution: TagResolution::Text };
        Ok(self.node(start..self.at, NodeKind::Scalar(scalar)))
    }

    /// Parses a number, `true`, `false` or `null`.
    fn literal(&mut self) -> Result<NodeId, SyntaxError> {
        let rest = &self.text[self.at..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))).unwrap_or(rest.len());
        let token = &rest[..end];
        if let Err(error) = serde_json::from_str::<IgnoredAny>(token) {
            let what = if token.is_empty() { "expected a value".to_owned() } else { without_position(&error) };
            return Err(self.error(what));
        }
        let start = self.at;
        self.at += end;
        let scalar = Scalar { text: Cow::Borrowed(token), style: Style::Plain, resolution: TagResolution::Json };
        Ok(self.node(start..self.at, NodeKind::Scalar(scalar)))
    }

    fn node(&mut self, span: Range<usize>, kind: NodeKind<'t>) -> NodeId {
        self.nodes.push(Node { span, kind, aliased: false });
        self.nodes.len() - 1
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.at, message)
    }
}

/// Returns the message of an error without its line and column, which are relative to a part of the file.
pub(super) fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}
