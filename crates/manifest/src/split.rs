//! The ranges of the documents in a YAML text, found without parsing them.
//!
//! A line that begins with `---`, followed by white space or nothing, always starts a document, also in a block scalar. In
//! quotes or brackets it is an error. Lines without content (blank lines, comments, directives) before a document belong to it.

use std::ops::Range;

use super::position::BYTE_ORDER_MARK;

/// Yields the range of each document. Together, the ranges cover the whole text. A text without content has none.
#[derive(Debug)]
pub(super) struct Split<'t> {
    text: &'t str,
    at: usize,
}

/// The kind of a line, for finding documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineKind {
    /// `---`
    Start,
    /// `...`
    End,
    /// A blank line, a comment, or what is a directive if no document has begun.
    Empty,
    Content,
}

impl<'t> Split<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The end of the line that starts at `at`, including its line ending.
    fn line_end(&self, at: usize) -> usize {
        let rest = &self.text.as_bytes()[at..];
        let end = line_ending(rest);
        match end {
            None => self.text.len(),
            Some(end) if rest[end..].starts_with(b"\r\n") => at + end + 2,
            Some(end) => at + end + 1,
        }
    }

    fn kind(&self, at: usize, end: usize) -> LineKind {
        let line = self.text[at..end].trim_end_matches(['\n', '\r']);
        let line = if at == 0 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        let is_marker =
            |marker| line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        match line.as_bytes().first() {
            Some(b'-') if is_marker("---") => LineKind::Start,
            Some(b'.') if is_marker("...") => LineKind::End,
            Some(b'%') => LineKind::Empty,
            _ if matches!(line.trim_start_matches([' ', '\t']).as_bytes(), [] | [b'#', ..]) => LineKind::Empty,
            _ => LineKind::Content,
        }
    }

    /// Returns the start of the first line at or after `at` that has content or a marker `---`.
    fn skip_empty(&self, mut at: usize) -> usize {
        while at < self.text.len() {
            let end = self.line_end(at);
            if matches!(self.kind(at, end), LineKind::Start | LineKind::Content) {
                break;
            }
            at = end;
        }
        at
    }
}

/// The offset of the first line ending character.
fn line_ending(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'))
}

impl Iterator for Split<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let first = self.skip_empty(start);
        if first == self.text.len() {
            return None;
        }
        // The first line belongs to this document, even if it is a marker.
        let mut at = self.line_end(first);
        while at < self.text.len() {
            let end = self.line_end(at);
            match self.kind(at, end) {
                LineKind::Start => break,
                LineKind::End => {
                    // Lines without content after the last document belong to it.
                    at = if self.skip_empty(end) == self.text.len() { self.text.len() } else { end };
                    break;
                }
                LineKind::Empty | LineKind::Content => at = end,
            }
        }
        self.at = at;
        Some(start..at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        Split::new(text).map(|range| &text[range]).collect()
    }

    #[test]
    fn a_marker_starts_a_document_wherever_it_is() {
        assert_eq!(split("a: 1\n---\nb: 2\n"), ["a: 1\n", "---\nb: 2\n"]);
        assert_eq!(split("--- |\n a\n---\t# c\r\nb\r--- c"), ["--- |\n a\n", "---\t# c\r\nb\r", "--- c"]);
        assert_eq!(split("a: '\n---\n'"), ["a: '\n", "---\n'"]);
        assert_eq!(split("a:\n ---\n----\n---a\n#---\n"), ["a:\n ---\n----\n---a\n#---\n"]);
        assert_eq!(split("\u{feff}---\n---\n"), ["\u{feff}---\n", "---\n"]);
    }

    #[test]
    fn lines_without_content_belong_to_the_document_after_them() {
        assert_eq!(split("# a\n\n%YAML 1.2\n---\nb\n# c\n---\nd"), ["# a\n\n%YAML 1.2\n---\nb\n# c\n", "---\nd"]);
        assert_eq!(split("a\n... # b\n# c\n%YAML 1.2\n--- d\n"), ["a\n... # b\n", "# c\n%YAML 1.2\n--- d\n"]);
        assert_eq!(split("...\na\n...\n...\nb\n"), ["...\na\n...\n", "...\nb\n"]);
        assert_eq!(split("a\n...\n# the end\n"), ["a\n...\n# the end\n"]);
        for text in ["", "\n", "# a\r\n \t\r\n", "\u{feff}# a", "...\n"] {
            assert_eq!(split(text), [""; 0]);
        }
    }
}
