//! Log lines without characters that end a line, control a terminal, or reorder its text.
//!
//! A line has text of clients and of the API server: names of objects that have not been validated, and messages of errors.
//! The encoder of JSON escapes only what JSON requires, and that of text prints such messages as they are.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::ValueEnum;

use crate::engine::is_unsafe;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A writer of whole lines, which escapes the unsafe characters in each.
#[derive(Debug)]
pub(super) struct EscapedLines<W> {
    pub(super) inner: W,
    pub(super) format: LogFormat,
    /// Whether the line is colored with escape sequences. Those of its text were escaped by the formatter.
    pub(super) is_coloured: bool,
}

impl<W: Write> Write for EscapedLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(line);
        let (content, end) = text.strip_suffix('\n').map_or((&*text, ""), |content| (content, "\n"));
        if content.contains(|c| self.is_escaped(c)) {
            self.inner.write_all((self.escape(content) + end).as_bytes())
        } else {
            self.inner.write_all(line)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> EscapedLines<W> {
    fn is_escaped(&self, c: char) -> bool {
        is_unsafe(c) && !(self.is_coloured && c == '\u{1b}')
    }

    /// Escapes the unsafe characters: in JSON they only occur in strings, where `\uXXXX` has the same meaning.
    fn escape(&self, content: &str) -> String {
        let mut escaped = String::with_capacity(content.len() + 16);
        for c in content.chars() {
            match self.format {
                _ if !self.is_escaped(c) => escaped.push(c),
                // All unsafe characters are in the Basic Multilingual Plane.
                LogFormat::Json => {
                    // Writing into a String cannot fail.
                    let _ = write!(escaped, "\\u{:04x}", u32::from(c));
                }
                LogFormat::Text => escaped.extend(c.escape_unicode()),
            }
        }
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: LogFormat, is_coloured: bool, line: &str) -> String {
        let mut lines = EscapedLines { inner: Vec::new(), format, is_coloured };
        lines.write_all(line.as_bytes()).unwrap();
        String::from_utf8(lines.inner).unwrap()
    }

    #[test]
    fn json_has_the_same_meaning_without_unsafe_characters() {
        let name = "a\u{202e}b\u{9b}\u{2028}\u{7f}\n\u{5d0}";
        let line = format!("{}\n", serde_json::json!({ "name": name }));
        let written = written(LogFormat::Json, false, &line);
        assert_eq!(written, "{\"name\":\"a\\u202eb\\u009b\\u2028\\u007f\\n\u{5d0}\"}\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap()["name"], name);
    }

    #[test]
    fn text_is_one_line_without_unsafe_characters() {
        let line = "WARN it failed: a\nERROR b\u{202e}\u{9b}c\n";
        assert_eq!(written(LogFormat::Text, false, line), "WARN it failed: a\\u{a}ERROR b\\u{202e}\\u{9b}c\n");
        let coloured = "\u{1b}[33mWARN\u{1b}[0m a\u{2066}\n";
        assert_eq!(written(LogFormat::Text, true, coloured), "\u{1b}[33mWARN\u{1b}[0m a\\u{2066}\n");
        assert_eq!(written(LogFormat::Text, false, "plain ä\n"), "plain ä\n");
    }
}
