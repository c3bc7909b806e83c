//! The line differences between two texts, as `diff -u` shows them.

use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::udiff::UnifiedHunkHeader;
use similar::{Change, DiffOp, group_diff_ops};

/// The number of lines around a change, as in `diff -u`.
pub(super) const CONTEXT: usize = 3;

/// A group of changed lines, with the lines around them.
pub(super) struct Hunk<'a> {
    /// The lines in both texts: `@@ -1,7 +1,8 @@`.
    pub(super) header: String,
    /// The lines, each with its line ending.
    pub(super) lines: Vec<Change<&'a str>>,
}

/// Returns all differences. Lines end at line feeds only, as for `patch`.
pub(super) fn between<'a>(before: &'a str, after: &'a str) -> Vec<Hunk<'a>> {
    between_from(0, 0, before, after)
}

/// Returns all differences between parts of two texts. `lines_before` and `lines_after` are the numbers of lines before the two
/// parts; headers include them.
pub(super) fn between_from<'a>(
    lines_before: usize,
    lines_after: usize,
    before: &'a str,
    after: &'a str,
) -> Vec<Hunk<'a>> {
    let (before, after): (Vec<_>, Vec<_>) =
        (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let hunk = |changes: Vec<DiffOp>| Hunk {
        header: header(&changes, lines_before, lines_after),
        lines: changes.iter().flat_map(|change| change.iter_changes(&before, &after)).collect(),
    };
    group_diff_ops(changes(&before, &after), CONTEXT).into_iter().map(hunk).collect()
}

/// The header of a hunk that is this many lines below the start of the texts.
fn header(changes: &[DiffOp], before: usize, after: usize) -> String {
    let mut changes = changes.to_vec();
    for change in &mut changes {
        let (DiffOp::Equal { old_index, new_index, .. }
        | DiffOp::Delete { old_index, new_index, .. }
        | DiffOp::Insert { old_index, new_index, .. }
        | DiffOp::Replace { old_index, new_index, .. }) = change;
        *old_index += before;
        *new_index += after;
    }
    UnifiedHunkHeader::new(&changes).to_string()
}

/// Compares lines by one algorithm. `TextDiff` would link all six, which is 0.5 MB of code.
fn changes(before: &[&str], after: &[&str]) -> Vec<DiffOp> {
    let mut hook = Compact::new(Replace::new(Capture::new()), before, after);
    let Ok(()) = myers::diff(&mut hook, before, 0..before.len(), after, 0..after.len());
    hook.into_inner().into_inner().into_ops()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> String {
        let mut text = String::new();
        for hunk in between(before, after) {
            text = text + &hunk.header + "\n";
            for line in hunk.lines {
                text = text + &line.tag().to_string() + line.value();
            }
        }
        text
    }

    #[test]
    fn equal_texts_have_no_hunks() {
        assert_eq!(shown("", ""), "");
        assert_eq!(shown("a\nb\n", "a\nb\n"), "");
    }

    #[test]
    fn nearby_changes_share_a_hunk_with_three_lines_of_context() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        assert_eq!(
            shown(before, &before.replace("5\n", "5\nnew\n")),
            "@@ -3,6 +3,7 @@\n 3\n 4\n 5\n+new\n 6\n 7\n 8\n"
        );
        assert_eq!(
            shown(before, &before.replace("2\n", "").replace('8', "eight")),
            "@@ -1,9 +1,8 @@\n 1\n-2\n 3\n 4\n 5\n 6\n 7\n-8\n+eight\n 9\n"
        );
    }

    #[test]
    fn distant_changes_have_separate_hunks() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";
        assert_eq!(
            shown(before, &format!("0\n{before}11\n")),
            "@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n@@ -8,3 +9,4 @@\n 8\n 9\n 10\n+11\n"
        );
    }

    #[test]
    fn a_line_ends_at_a_line_feed_only() {
        assert_eq!(
            shown("a\rb\u{2028}c\r\n", "a\rb\u{2028}C\r\n"),
            "@@ -1 +1 @@\n-a\rb\u{2028}c\r\n+a\rb\u{2028}C\r\n"
        );
    }
}
