//! A unified diff, as `patch -p1` and `git apply` read it.

use super::output::File;
use crate::cli::hunks;
use crate::cli::paint::{Paint, TextStyle};
use crate::manifest::Source;

/// Renders the differences of all files.
pub(super) fn of(files: &[File<'_>], paint: Paint) -> String {
    let mut text = String::new();
    for file in files.iter().filter(|file| file.is_changed()) {
        for side in ["--- a/", "+++ b/"] {
            text = text + &paint.text(TextStyle::Bold, &header(side, file.source)) + "\n";
        }
        for hunk in hunks::between(&file.source.text, &file.mutated.text) {
            text = text + &paint.text(TextStyle::Cyan, &hunk.header) + "\n";
            for change in hunk.lines {
                text += &line(&format!("{}{}", change.tag(), change.value()), paint);
            }
        }
    }
    text
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
    let name = source.path.as_ref().map_or("stdin", |_| source.name.as_str());
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
