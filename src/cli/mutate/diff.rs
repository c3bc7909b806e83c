//! A unified diff, as `patch -p1` and `git apply` read it.

use similar::TextDiff;

use super::output::File;
use crate::cli::paint::Paint;
use crate::manifest::Source;

/// How many lines around a change are shown, as `diff -u` has it.
const CONTEXT: usize = 3;

/// The differences of all files.
pub(super) fn of(files: &[File<'_>], paint: Paint) -> String {
    let mut text = String::new();
    for file in files.iter().filter(|file| file.is_changed()) {
        // At line feeds only: that is what `patch` takes for a line.
        let lines = |text| -> Vec<&str> { str::split_inclusive(text, '\n').collect() };
        let (before, after) = (lines(&file.source.text), lines(&file.mutated.text));
        for side in ["--- a/", "+++ b/"] {
            text = text + &paint.bold(&header(side, file.source)) + "\n";
        }
        let difference = TextDiff::from_slices(&before, &after);
        for hunk in difference.unified_diff().context_radius(CONTEXT).iter_hunks() {
            text = text + &paint.cyan(&hunk.header().to_string()) + "\n";
            for change in hunk.iter_changes() {
                text += &line(&format!("{}{}", change.tag(), change.value()), paint);
            }
        }
    }
    text
}

/// A line of a hunk, behind its sign. The last line of a file may have no end: then a line of its own says so.
fn line(line: &str, paint: Paint) -> String {
    let (body, end) = line.strip_suffix('\n').map_or((line, "\n\\ No newline at end of file\n"), |body| (body, "\n"));
    let painted = match body.as_bytes().first() {
        Some(b'+') => paint.green(body),
        Some(b'-') => paint.red(body),
        _ => body.to_owned(),
    };
    painted + end
}

/// A file's name behind the mark of its side: relative, and quoted where it would not be one word on one line.
fn header(side: &str, source: &Source) -> String {
    let (mark, side) = side.split_at("--- ".len());
    let name = source.path.as_ref().map_or("stdin", |_| source.name.as_str());
    let mut name = name.trim_start_matches('/');
    while let Some(rest) = name.strip_prefix("./").or_else(|| name.strip_prefix("../")) {
        name = rest.trim_start_matches('/');
    }
    if name.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        return format!("{mark}{:?}", format!("{side}{name}"));
    }
    // Behind a tab a date may stand: without it, a name ends at its first space.
    let end = if name.contains(' ') { "\t" } else { "" };
    format!("{mark}{side}{name}{end}")
}
