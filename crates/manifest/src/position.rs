//! Positions in a text, counted as in editors, and errors with an excerpt.

use std::fmt;
use std::ops::Range;

use super::template;
use colocate_engine::printable;

/// A position in a text: line and column from 1. A column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1. `\n`, `\r\n` and `\r` end a line.
    pub line: usize,
    /// The character in its line, from 1. A byte order mark does not count.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The distance in bytes between two marks. Generated JSON may have megabytes in one line, and a text may have a million
/// lines: without the marks, each position would be counted from the start. The marks take 5% of the text.
const STRIDE: usize = 512;

/// The place in a text at which a part of it starts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartStart {
    /// The number of bytes before the part.
    pub(super) bytes: usize,
    /// The number of lines that end before the part.
    lines: usize,
    /// The number of characters before the part in its first line.
    columns: usize,
}

/// The lines of a text, or of a part of one.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    pub(super) start: PartStart,
    /// The counts at each multiple of [`STRIDE`].
    marks: Vec<Mark>,
}

/// The counts before a byte.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// The number of lines that end.
    ended: usize,
    /// The start of the last line.
    line_start: usize,
    /// The number of characters that start.
    characters: usize,
}

impl Mark {
    /// Moves from the byte `from` to the byte `to`.
    fn advance(&mut self, bytes: &[u8], from: usize, to: usize) {
        for (at, byte) in bytes.iter().enumerate().take(to).skip(from) {
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                self.ended += 1;
                self.line_start = at + 1;
            }
        }
        self.characters += count_starts(&bytes[from..to]);
    }
}

impl<'t> Lines<'t> {
    #[cfg(test)]
    fn new(text: &'t str) -> Self {
        Self::of_part(text, PartStart::default())
    }

    /// The lines of a part of a text.
    pub(super) fn of_part(text: &'t str, start: PartStart) -> Self {
        let (bytes, mut mark) = (text.as_bytes(), Mark::default());
        let mut marks = vec![mark];
        for from in (0..bytes.len()).step_by(STRIDE) {
            mark.advance(bytes, from, (from + STRIDE).min(bytes.len()));
            marks.push(mark);
        }
        Self { text, start, marks }
    }

    fn mark(&self, offset: usize) -> Mark {
        let offset = offset.min(self.text.len());
        let stride = offset / STRIDE;
        let mut mark = self.marks[stride];
        mark.advance(self.text.as_bytes(), stride * STRIDE, offset);
        mark
    }

    /// Converts a byte offset to a position.
    pub(super) fn position(&self, offset: usize) -> Position {
        let Mark { ended, line_start, characters } = self.mark(offset);
        let mark = usize::from(offset > line_start && self.text[line_start..].starts_with(BYTE_ORDER_MARK));
        let before = if ended == 0 { self.start.columns } else { 0 };
        let column = before + characters - self.mark(line_start).characters - mark + 1;
        Position { line: self.start.lines + ended + 1, column }
    }

    /// Shows the line in which a range of a document starts, with carets below it. Of the line, only the part that belongs to the
    /// document is shown.
    pub(super) fn excerpt(&self, range: &Range<usize>, document: &Range<usize>) -> String {
        let line = self.line(range.start, document);
        // Only the first line of the range is shown.
        let marked = line.after.get(..range.len()).unwrap_or(line.after);
        line.excerpt(self.position(range.start).line, marked.chars().take(SHOWN).count())
    }

    /// The line of a byte in a document.
    fn line(&self, offset: usize, document: &Range<usize>) -> Line<'t> {
        let Mark { ended, line_start, .. } = self.mark(offset);
        let start = line_start.max(document.start);
        let (before, rest) =
            self.text[..document.end].split_at_checked(offset.min(document.end)).unwrap_or((self.text, ""));
        // The offset may be between the `\r` and the `\n` of a line ending.
        let before = before[start.min(before.len())..].trim_end_matches('\r');
        let near = rest.floor_char_boundary(STRIDE);
        Line {
            is_cut: start > line_start || (ended == 0 && self.start.columns > 0),
            before: before.strip_prefix(BYTE_ORDER_MARK).unwrap_or(before),
            after: rest[..near].split(['\n', '\r']).next().unwrap_or_default(),
        }
    }
}

impl PartStart {
    /// The start of the part that follows `text`, which starts here.
    pub(super) fn after(&self, text: &str) -> Self {
        let mut mark = Mark::default();
        mark.advance(text.as_bytes(), 0, text.len());
        let line = &text[mark.line_start..];
        let columns = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).chars().count();
        Self {
            bytes: self.bytes + text.len(),
            lines: self.lines + mark.ended,
            columns: if mark.ended == 0 { self.columns + columns } else { columns },
        }
    }
}

/// The number of characters that start in these bytes.
fn count_starts(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0b1100_0000 != 0b1000_0000).count()
}

/// The character that some editors add at the start of a file. It is not part of the content.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// An error at a byte of a text.
#[derive(Clone, Debug)]
pub(super) struct SyntaxError {
    pub(super) offset: usize,
    pub(super) message: String,
    /// The byte whose line is appended to the message.
    pub(super) see: Option<usize>,
}

impl SyntaxError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), see: None }
    }

    /// Shifts the offsets by `bytes`.
    pub(super) fn after(self, bytes: usize) -> Self {
        Self { offset: self.offset + bytes, see: self.see.map(|see| see + bytes), ..self }
    }

    /// Makes the offsets relative to the byte `bytes`. Returns `None` if the error is before it.
    pub(super) fn relative_to(&self, bytes: usize) -> Option<Self> {
        let see = self.see.and_then(|see| see.checked_sub(bytes));
        Some(Self { offset: self.offset.checked_sub(bytes)?, message: self.message.clone(), see })
    }
}

/// A text that is neither YAML nor JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}\n{excerpt}")]
pub struct ParseError {
    /// The position of the error.
    pub position: Position,
    /// The byte of the error, relative to the text of its manifest.
    pub offset: usize,
    /// The error in one line.
    pub message: String,
    excerpt: String,
}

impl ParseError {
    /// `document` is the range of the document that has the error.
    pub(super) fn new(error: SyntaxError, lines: &Lines<'_>, document: &Range<usize>) -> Self {
        let offset = error.offset.min(lines.text.len());
        let position = lines.position(offset);
        let mut message = error.message;
        if let Some(see) = error.see {
            let Position { line, column } = lines.position(see);
            // In a document of one line, the line is the same.
            let column = if line == position.line { format!(", column {column}") } else { String::new() };
            message = format!("{message} line {line}{column}");
        }
        let line = lines.line(offset, document);
        if template::is_likely(&lines.text[document.clone()], line.before, line.after) {
            message = format!("{message}; {}", template::ADVICE);
        }
        Self { position, offset, message, excerpt: line.excerpt(position.line, 1) }
    }

    /// The line of the error with a caret below its position, in two lines.
    pub fn excerpt(&self) -> &str {
        &self.excerpt
    }
}

/// The most characters of a long line that are shown, so that they fit in 80 columns, and the minimum before and after the
/// start of the range.
const SHOWN: usize = 71;
const SHOWN_BEFORE: usize = 10;
const SHOWN_AFTER: usize = 31;

/// The part of a line that belongs to a document, divided at a byte.
struct Line<'t> {
    /// Whether the line has more before the document.
    is_cut: bool,
    before: &'t str,
    /// The text from there on; only its start if the line is long.
    after: &'t str,
}

impl Line<'_> {
    /// Shows the line with its number, with carets below the first `width` characters of `after`. Only the visible part of a long
    /// line is read.
    fn excerpt(&self, number: usize, width: usize) -> String {
        let Self { is_cut, before, after } = self;
        let follow = after.chars().take(SHOWN).count();
        // A caret may follow the end of a line.
        let most = (SHOWN - width.clamp(SHOWN_AFTER, SHOWN - SHOWN_BEFORE)).max(SHOWN - follow.max(1));
        let from = before.char_indices().rev().take(most).last().map_or(before.len(), |(at, _)| at);
        let (skipped, before) = before.split_at(from);
        let indent = before.chars().count();
        let start = if *is_cut || !skipped.is_empty() { "..." } else { "" };
        let rest = || before.chars().chain(after.chars());
        let shown: String = printable(&rest().take(SHOWN).collect::<String>());
        let end = if rest().nth(SHOWN).is_some() { "..." } else { "" };
        let carets = "^".repeat(width.clamp(1, SHOWN - indent));
        // Tabs are repeated in the second line, so that both have the same width.
        let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let (margin, left) = (" ".repeat(number.to_string().len()), " ".repeat(start.len()));
        format!("  {number} | {start}{shown}{end}\n  {margin} | {left}{indent}{carets}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_without_a_byte_order_mark() {
        let text = "\u{feff}é: 1\r\nb: ü x\rc\n\nd";
        let lines = Lines::new(text);
        let at = |needle: &str| lines.position(text.find(needle).unwrap()).to_string();
        assert_eq!(lines.position(0), Position { line: 1, column: 1 });
        assert_eq!((at("é"), at("1")), ("1:1".to_owned(), "1:4".to_owned()));
        assert_eq!((at("b"), at("x")), ("2:1".to_owned(), "2:6".to_owned()));
        assert_eq!((at("c"), at("d")), ("3:1".to_owned(), "5:1".to_owned()));
        assert_eq!(lines.position(text.len()).to_string(), "5:2");
        let assert_around = |needle: &str, before, after| {
            let line = lines.line(text.find(needle).unwrap(), &(0..text.len()));
            assert_eq!((line.before, line.after), (before, after));
        };
        assert_around(": 1", "é", ": 1");
        assert_around("\r\n", "é: 1", "");
        assert_around("\nb", "é: 1", "");
        assert_around("x", "b: ü ", "x");
        assert_around("\nd", "", "");
        assert_around("d", "", "d");
    }

    #[test]
    fn columns_are_correct_in_long_lines() {
        // Characters of three bytes, so that a cached count starts in the middle of one.
        let text = format!("first\n{}x", "\u{2713}".repeat(STRIDE));
        let lines = Lines::new(&text);
        for (count, (at, _)) in text["first\n".len()..].char_indices().enumerate() {
            assert_eq!(lines.position("first\n".len() + at), Position { line: 2, column: count + 1 });
        }
        for end in [STRIDE, 2 * STRIDE] {
            assert_eq!(Lines::new(&"a".repeat(end)).position(end), Position { line: 1, column: end + 1 });
        }
    }

    #[test]
    fn an_excerpt_has_its_caret_below_the_error() {
        let error = |text: &str, offset| {
            ParseError::new(SyntaxError::new(offset, "wrong"), &Lines::new(text), &(0..text.len())).to_string()
        };
        assert_eq!(error("a: 1\nb: [\n", 8), "2:4: wrong\n  2 | b: [\n    |    ^");
        assert_eq!(error("\tü\u{1b}x", 4), "1:4: wrong\n  1 | \tü\u{fffd}x\n    | \t  ^");
        assert_eq!(error("", 99), "1:1: wrong\n  1 | \n    | ^");
        let long = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = format!("  1 | ...{}X{}...", "a".repeat(40), "b".repeat(30));
        assert_eq!(error(&long, 500), format!("1:501: wrong\n{shown}\n    | {}^", " ".repeat(43)));
        let end = format!("1:1002: wrong\n  1 | ...{}\n    | {}^", "b".repeat(70), " ".repeat(73));
        assert_eq!(error(&long, long.len()), end);
    }

    #[test]
    fn an_excerpt_has_carets_below_the_range() {
        let shown = |text: &str, range| Lines::new(text).excerpt(&range, &(0..text.len()));
        assert_eq!(shown("a: 'ü'\nb: c", 3..7), "  1 | a: 'ü'\n    |    ^^^");
        assert_eq!(shown("a: |\r\n  b\r\nc: 1", 3..11), "  1 | a: |\n    |    ^");
        assert_eq!(shown("a:\n", 1..1), "  1 | a:\n    |  ^");
        assert_eq!(shown("", 0..9), "  1 | \n    | ^");
        // A line that fits is shown in full, and so is a range that fits.
        let key = format!("{}: X", "k".repeat(60));
        assert_eq!(shown(&key, 62..63), format!("  1 | {key}\n    | {}^", " ".repeat(62)));
        let long = format!("{}{}{}", "a".repeat(500), "X".repeat(45), "b".repeat(500));
        let (line, carets) = (format!("{}{}", "a".repeat(26), "X".repeat(45)), " ".repeat(29) + &"^".repeat(45));
        assert_eq!(shown(&long, 500..545), format!("  1 | ...{line}...\n    | {carets}"));
        let wide = "X".repeat(500);
        assert_eq!(shown(&wide, 0..500), format!("  1 | {0}...\n    | {1}", "X".repeat(71), "^".repeat(71)));
        assert_eq!(shown(&long, 500..1045).matches('^').count(), 61);
        // The other documents of a line are not shown.
        let text = "[1] {\"a\": 2} [3]";
        assert_eq!(Lines::new(text).excerpt(&(10..11), &(4..13)), "  1 | ...{\"a\": 2} \n    |          ^");
    }
}
