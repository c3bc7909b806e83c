//! Places in a text, as editors count them, and what is wrong there.

use std::fmt;
use std::ops::Range;

use super::helm;

/// A place in a text: line and column from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1. `\n`, `\r\n` and `\r` end a line.
    pub line: usize,
    /// The character in its line, from 1. A byte-order mark is none.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|&(at, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        Self { text, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    /// The place of a byte.
    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|&start| start <= offset);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        let before = before.strip_prefix(BYTE_ORDER_MARK).unwrap_or(before);
        Position { line, column: before.chars().count() + 1 }
    }

    /// The line in which these bytes begin, with carets below them.
    pub(super) fn excerpt(&self, range: &Range<usize>) -> String {
        let position = self.position(range.start);
        let line = self.line(position.line);
        let meant = self.text.get(range.clone()).unwrap_or_default().chars().count();
        // What goes on in the next lines is not shown.
        excerpt(line, position, meant.min((line.chars().count() + 1).saturating_sub(position.column)))
    }

    /// The text of a line, without its end.
    fn line(&self, line: usize) -> &'t str {
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        let line = self.text[self.starts[line - 1]..end].trim_end_matches(['\n', '\r']);
        line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
    }
}

pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Something wrong at a byte of a text.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) offset: usize,
    pub(super) message: String,
    /// A byte in the line that the message ends with, if it ends with one.
    pub(super) see: Option<usize>,
}

impl Problem {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), see: None }
    }
}

/// A text that is neither YAML nor JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}\n{excerpt}")]
pub struct ParseError {
    position: Position,
    message: String,
    excerpt: String,
}

impl ParseError {
    pub(super) fn new(problem: Problem, lines: &Lines<'_>) -> Self {
        let position = lines.position(problem.offset.min(lines.text.len()));
        let mut message = problem.message;
        if let Some(see) = problem.see {
            message = format!("{message} line {}", lines.position(see).line);
        }
        let line = lines.line(position.line);
        if helm::is_likely(lines.text, line) {
            message = format!("{message}; {}", helm::ADVICE);
        }
        Self { position, message, excerpt: excerpt(line, position, 1) }
    }

    /// Where it is wrong.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line that is wrong with a caret below, in two lines: `  2 | b: [` and `    |    ^`.
    pub fn excerpt(&self) -> &str {
        &self.excerpt
    }
}

/// How many characters of a long line are shown, which fit a terminal of 80 columns, and how many of them at least stand
/// before what is meant, and from there on.
const SHOWN: usize = 71;
const SHOWN_BEFORE: usize = 10;
const SHOWN_AFTER: usize = 31;

/// A line with carets below the `width` characters from `position` on.
fn excerpt(line: &str, Position { line: number, column }: Position, width: usize) -> String {
    let before = SHOWN - width.clamp(SHOWN_AFTER, SHOWN - SHOWN_BEFORE);
    let skipped = (column - 1).saturating_sub(before).min(line.chars().count().saturating_sub(SHOWN));
    let indent = column - 1 - skipped;
    let rest = || line.chars().skip(skipped);
    let start = if skipped > 0 { "..." } else { "" };
    let shown: String = rest().take(SHOWN).map(visible).collect();
    let end = if rest().nth(SHOWN).is_some() { "..." } else { "" };
    let carets = "^".repeat(width.clamp(1, SHOWN - indent));
    // A tab is as wide below as above.
    let indent: String = rest().take(indent).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let margin = " ".repeat(number.to_string().len());
    let before = " ".repeat(start.len());
    format!("  {number} | {start}{shown}{end}\n  {margin} | {before}{indent}{carets}")
}

/// What a terminal would act on is shown as what it is not.
fn visible(c: char) -> char {
    if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_and_a_byte_order_mark_is_none() {
        let text = "\u{feff}é: 1\r\nb: ü x\rc\n\nd";
        let lines = Lines::new(text);
        let at = |needle: &str| lines.position(text.find(needle).unwrap()).to_string();
        assert_eq!(lines.position(0), Position { line: 1, column: 1 });
        assert_eq!((at("é"), at("1")), ("1:1".to_owned(), "1:4".to_owned()));
        assert_eq!((at("b"), at("x")), ("2:1".to_owned(), "2:6".to_owned()));
        assert_eq!((at("c"), at("d")), ("3:1".to_owned(), "5:1".to_owned()));
        assert_eq!(lines.position(text.len()).to_string(), "5:2");
        assert_eq!(["é: 1", "b: ü x", "c", "", "d"], [1, 2, 3, 4, 5].map(|line| lines.line(line)));
    }

    #[test]
    fn an_excerpt_has_its_caret_below_what_is_wrong() {
        let said = |text: &str, offset| ParseError::new(Problem::new(offset, "wrong"), &Lines::new(text)).to_string();
        assert_eq!(said("a: 1\nb: [\n", 8), "2:4: wrong\n  2 | b: [\n    |    ^");
        assert_eq!(said("\tü\u{1b}x", 4), "1:4: wrong\n  1 | \tü\u{fffd}x\n    | \t  ^");
        assert_eq!(said("", 99), "1:1: wrong\n  1 | \n    | ^");
        let long = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = format!("  1 | ...{}X{}...", "a".repeat(40), "b".repeat(30));
        assert_eq!(said(&long, 500), format!("1:501: wrong\n{shown}\n    | {}^", " ".repeat(43)));
    }

    #[test]
    fn an_excerpt_has_carets_below_all_that_is_meant_of_its_line() {
        let shown = |text: &str, range| Lines::new(text).excerpt(&range);
        assert_eq!(shown("a: 'ü'\nb: c", 3..7), "  1 | a: 'ü'\n    |    ^^^");
        assert_eq!(shown("a: |\r\n  b\r\nc: 1", 3..11), "  1 | a: |\n    |    ^");
        assert_eq!(shown("a:\n", 1..1), "  1 | a:\n    |  ^");
        assert_eq!(shown("", 0..9), "  1 | \n    | ^");
        // Nothing of a line that fits is left out, and a wide one is shown whole, as long as it fits.
        let key = format!("{}: X", "k".repeat(60));
        assert_eq!(shown(&key, 62..63), format!("  1 | {key}\n    | {}^", " ".repeat(62)));
        let long = format!("{}{}{}", "a".repeat(500), "X".repeat(45), "b".repeat(500));
        let (line, carets) = (format!("{}{}", "a".repeat(26), "X".repeat(45)), " ".repeat(29) + &"^".repeat(45));
        assert_eq!(shown(&long, 500..545), format!("  1 | ...{line}...\n    | {carets}"));
        let wide = "X".repeat(500);
        assert_eq!(shown(&wide, 0..500), format!("  1 | {0}...\n    | {1}", "X".repeat(71), "^".repeat(71)));
        assert_eq!(shown(&long, 500..1045).matches('^').count(), 61);
    }
}
