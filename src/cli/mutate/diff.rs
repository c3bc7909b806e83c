//! A unified diff, as `patch -p1` and `git apply` read it.

use std::ops::Range;

use crate::cli::hunks::{self, CONTEXT};
use crate::cli::paint::{Paint, TextStyle};
use crate::manifest::Source;

/// Renders the differences that edits make in the text of a file. The edits are in order.
///
/// Only the lines around the edits are compared, so that the time does not depend on the length of the text.
pub(super) fn of(source: &Source, before: &str, edits: &[(Range<usize>, String)], paint: Paint) -> String {
    let mut text = String::new();
    for side in ["--- a/", "+++ b/"] {
        text = text + &paint.text(TextStyle::Bold, &header(side, source)) + "\n";
    }
    let (mut lines, mut counted, mut added) = (0, 0, 0_isize);
    for part in parts(before, edits) {
        let (old, edits) = (&before[part.lines.clone()], &edits[part.edits]);
        let new = replaced(before, &part.lines, edits);
        lines += count(&before[counted..part.lines.start]);
        counted = part.lines.start;
        for hunk in hunks::between_from(lines, lines.saturating_add_signed(added), old, &new) {
            text = text + &paint.text(TextStyle::Cyan, &hunk.header) + "\n";
            for change in hunk.lines {
                text += &line(&format!("{}{}", change.tag(), change.value()), paint);
            }
        }
        added += count(&new).cast_signed() - count(old).cast_signed();
    }
    text
}

/// A part of a text with edits that are close to each other.
struct Part {
    /// The range of whole lines.
    lines: Range<usize>,
    /// The range of the edits.
    edits: Range<usize>,
}

/// Groups edits whose lines, with the context around them, touch.
fn parts(text: &str, edits: &[(Range<usize>, String)]) -> Vec<Part> {
    let (mut parts, mut line): (Vec<Part>, _) = (Vec::new(), 0..0);
    for (index, (range, _)) in edits.iter().enumerate() {
        if let Some(last) = parts.last_mut().filter(|_| line.start <= range.start && range.end < line.end) {
            // A line of compact JSON may have thousands of edits, so its ends are searched once.
            last.edits.end = index + 1;
            continue;
        }
        // The line before an insertion at its start belongs to the change if it has no line feed.
        let (mut start, mut end) = (line_start(text, range.start), line_end(text, range.end));
        line = start..end;
        for _ in 0..CONTEXT {
            start = line_start(text, start.saturating_sub(1));
            end = line_end(text, end);
        }
        match parts.last_mut() {
            Some(last) if last.lines.end >= start => {
                last.lines.end = end;
                last.edits.end = index + 1;
            }
            _ => parts.push(Part { lines: start..end, edits: index..index + 1 }),
        }
    }
    parts
}

/// The start of the line of a byte.
fn line_start(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// The end of the line that starts at a byte or contains it, with its line feed.
fn line_end(text: &str, offset: usize) -> usize {
    let rest = &text.as_bytes()[offset..];
    rest.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| offset + end + 1)
}

fn count(text: &str) -> usize {
    text.split_inclusive('\n').count()
}

/// A range of a text with its edits made.
fn replaced(text: &str, range: &Range<usize>, edits: &[(Range<usize>, String)]) -> String {
    let (mut new, mut done) = (String::new(), range.start);
    for (range, replacement) in edits {
        new = new + &text[done..range.start] + replacement;
        done = range.end;
    }
    new + &text[done..range.end]
}

/// Renders a line of a hunk. If the last line of a file has no line feed, a line after it says so.
fn line(line: &str, paint: Paint) -> String {
    let (body, end) = line.strip_suffix('\n').map_or((line, "\n\\ No newline at end of file\n"), |body| (body, "\n"));
    let style = match body.as_bytes().first() {
        Some(b'+') => TextStyle::Green,
        Some(b'-') => TextStyle::Red,
        _ => TextStyle::Plain,
    };
    paint.text(style, body) + end
}

/// Renders the header of one side: a relative file name, quoted if it is not one word on one line.
fn header(side: &str, source: &Source) -> String {
    let (mark, side) = side.split_at("--- ".len());
    let name = if source.is_stdin() { "stdin" } else { &source.name };
    let mut name = name.trim_start_matches('/');
    while let Some(rest) = name.strip_prefix("./").or_else(|| name.strip_prefix("../")) {
        name = rest.trim_start_matches('/');
    }
    if name.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        return format!("{mark}{:?}", format!("{side}{name}"));
    }
    // A tab ends the name. Without one, a name ends at its first space.
    let end = if name.contains(' ') { "\t" } else { "" };
    format!("{mark}{side}{name}{end}")
}
