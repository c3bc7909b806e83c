//! A unified diff, as `patch -p1` and `git apply` read it.

use std::ops::Range;

use crate::cli::hunks::{self, CONTEXT};
use crate::cli::paint::{Paint, TextStyle};
use crate::manifest::Source;

/// The number of bytes of a file that are collected before hunks are rendered.
const SIZE: usize = 64 << 10;

/// Renders the differences that edits make in a file, document by document.
///
/// Only the lines around the edits are compared, so that the time does not depend on the length of the text. Only the text that
/// may belong to the next hunk is kept.
#[derive(Debug)]
pub(super) struct FileDiff {
    paint: Paint,
    /// The text that is not rendered yet.
    text: String,
    /// The edits of the text, in order.
    edits: Vec<(Range<usize>, String)>,
    /// Hunks are rendered when the text has this length.
    limit: usize,
    /// The minimum of the limit.
    size: usize,
    /// The number of lines before the text.
    lines: usize,
    /// The number of lines that were added, minus those that were removed, before the text.
    added: isize,
    has_header: bool,
}

impl FileDiff {
    /// Begins a file.
    pub(super) fn new(paint: Paint) -> Self {
        Self::with_size(paint, SIZE)
    }

    fn with_size(paint: Paint, size: usize) -> Self {
        Self { paint, text: String::new(), edits: Vec::new(), limit: size, size, lines: 0, added: 0, has_header: false }
    }

    /// Adds the next document, whose edits have ranges in `text` and are in order. Returns the next hunks.
    pub(super) fn add(
        &mut self,
        source: &Source,
        text: &str,
        edits: impl IntoIterator<Item = (Range<usize>, String)>,
    ) -> String {
        let before = self.text.len();
        let edits = edits.into_iter();
        self.edits.extend(edits.map(|(range, text)| (before + range.start..before + range.end, text)));
        self.text += text;
        if self.text.len() < self.limit {
            return String::new();
        }
        // The hunk of an edit in the next document may begin here.
        let next = context_start(&self.text, self.text.len());
        let rendered = self.render(source, next);
        // Doubling keeps the time linear if a hunk has many documents.
        self.limit = self.size.max(2 * self.text.len());
        rendered
    }

    /// Ends the file. Returns the rest of its hunks.
    pub(super) fn end(mut self, source: &Source) -> String {
        self.render(source, usize::MAX)
    }

    /// Renders the hunks that end before the byte `next`, and removes their text.
    fn render(&mut self, source: &Source, next: usize) -> String {
        let (mut text, mut counted) = (String::new(), 0);
        let parts = parts(&self.text, &self.edits);
        let finished = parts.partition_point(|part| part.lines.end < next);
        for part in &parts[..finished] {
            if !std::mem::replace(&mut self.has_header, true) {
                for side in ["--- a/", "+++ b/"] {
                    text = text + &self.paint.text(TextStyle::Bold, &header(side, source)) + "\n";
                }
            }
            let (old, edits) = (&self.text[part.lines.clone()], &self.edits[part.edits.clone()]);
            let new = replaced(&self.text, &part.lines, edits);
            self.lines += count(&self.text[counted..part.lines.start]);
            counted = part.lines.start;
            for hunk in hunks::between_from(self.lines, self.lines.saturating_add_signed(self.added), old, &new) {
                text = text + &self.paint.text(TextStyle::Cyan, &hunk.header) + "\n";
                for change in hunk.lines {
                    text += &line(&format!("{}{}", change.tag(), change.value()), self.paint);
                }
            }
            self.added += count(&new).cast_signed() - count(old).cast_signed();
        }
        let kept = parts.get(finished).map_or(next, |part| part.lines.start.min(next)).min(self.text.len());
        self.lines += count(&self.text[counted..kept]);
        self.edits.drain(..parts[..finished].last().map_or(0, |part| part.edits.end));
        for (range, _) in &mut self.edits {
            *range = range.start - kept..range.end - kept;
        }
        self.text.drain(..kept);
        text
    }
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
        line = line_start(text, range.start)..line_end(text, range.end);
        let start = context_start(text, range.start);
        let end = (0..CONTEXT).fold(line.end, |end, _| line_end(text, end));
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

/// The start of the lines that are shown before the line of a byte.
fn context_start(text: &str, offset: usize) -> usize {
    (0..CONTEXT).fold(line_start(text, offset), |start, _| line_start(text, start.saturating_sub(1)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::FileSearch;

    /// Renders a file whose documents have these lines, with an edit of each line that begins with `e` or `i`.
    fn rendered(documents: &[String], size: usize) -> (String, usize) {
        let source = FileSearch::new(&[]).unwrap().find(&["/dev/null"]).sources.remove(0);
        let (mut diff, mut text, mut kept) = (FileDiff::with_size(Paint::default(), size), String::new(), 0);
        for document in documents {
            let mut edits = Vec::new();
            for (at, _) in document.match_indices(['e', 'i']) {
                let is_replaced = document[at..].starts_with('e');
                edits.push(if is_replaced { (at..at + 1, "E".to_owned()) } else { (at..at, "new\n".to_owned()) });
            }
            text += &diff.add(&source, document, edits);
            kept = kept.max(diff.text.len());
        }
        (text + &diff.end(&source), kept)
    }

    #[test]
    fn hunks_do_not_depend_on_when_they_are_rendered() {
        for seed in 0..200_u32 {
            let mut state = seed;
            let mut next = |below: u32| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) % below
            };
            let (kinds, end) = (3 + next(12) as usize, ["x\n", "", "e"][next(3) as usize]);
            let documents: Vec<String> = (0..=next(12))
                .map(|_| {
                    let lines =
                        (0..next(9)).map(|_| ["e\n", "i\n", "x\n", "xx\nx\n"][(next(99) as usize % kinds).min(3)]);
                    lines.chain([end]).collect()
                })
                .collect();
            let (whole, _) = rendered(&documents, usize::MAX);
            for size in 1..60 {
                assert_eq!(rendered(&documents, size).0, whole, "seed {seed}, size {size}, {documents:?}");
            }
        }
    }

    #[test]
    fn only_the_text_of_the_next_hunk_is_kept() {
        let document = "e\n".to_owned() + &"x\n".repeat(9);
        let (text, kept) = rendered(&vec![document.clone(); 1000], 1);
        assert_eq!((text.matches("@@ -").count(), text.matches("\n+E\n").count()), (1000, 1000));
        assert!(kept < 2 * document.len(), "{kept}");
    }
}
