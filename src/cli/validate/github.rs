//! Workflow commands of GitHub Actions, which annotate a pull request.
//!
//! The syntax and its escapes are those of `packages/core/src/command.ts` in `actions/toolkit`.

use super::outcome::{Gap, PlacedFinding, SourceRange, file};
use crate::cli::problem::Problem;
use crate::companion::Severity;
use crate::engine::printable;
use crate::manifest::Position;

/// Renders a finding as a command.
pub(super) fn finding(PlacedFinding { range, finding, .. }: &PlacedFinding<'_>) -> String {
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    let title = format!("{}: {}", finding.rule, finding.rule.title());
    let path = if finding.path.is_root() { String::new() } else { format!(" ({})", finding.path) };
    let message = format!("{}; {}{path}", finding.message, finding.remedy);
    line(command, properties(range), &title, &message)
}

/// Renders something that could not be checked.
pub(super) fn gap(Gap { range, rule, what, .. }: &Gap<'_>) -> String {
    let title = rule.map_or("unchecked".to_owned(), |rule| format!("{rule}: unchecked"));
    line("notice", range.as_ref().map(properties).unwrap_or_default(), &title, what)
}

/// Renders a failure.
pub(super) fn problem(Problem { place, what, .. }: &Problem) -> String {
    let of_place = |(name, position): &(String, Position)| {
        let (line, column) = (position.line.to_string(), position.column.to_string());
        vec![("file", file(name).to_owned()), ("line", line), ("col", column)]
    };
    line("error", place.as_ref().map(of_place).unwrap_or_default(), "colocate", what)
}

fn line(command: &str, mut properties: Vec<(&'static str, String)>, title: &str, message: &str) -> String {
    properties.push(("title", title.to_owned()));
    let properties: Vec<_> = properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
    format!("::{command} {}::{}\n", properties.join(","), data(message))
}

/// Returns the properties that locate an annotation; empty for standard input, which is not part of a pull request.
fn properties(range: &SourceRange<'_>) -> Vec<(&'static str, String)> {
    let Some(file) = range.file() else { return Vec::new() };
    let (start, end) = (range.start(), range.end());
    let mut properties =
        vec![("file", file.to_owned()), ("line", start.line.to_string()), ("endLine", end.line.to_string())];
    // GitHub rejects columns for a range of several lines.
    if start.line == end.line {
        properties.extend([("col", start.column.to_string()), ("endColumn", end.column.to_string())]);
    }
    properties
}

fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    printable(&text)
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_escaped() {
        assert_eq!(data("100%, a: b\r\nc"), "100%25, a: b%0D%0Ac");
        assert_eq!(property("100%, a: b\r\nc"), "100%25%2C a%3A b%0D%0Ac");
        assert_eq!(line("notice", Vec::new(), "a: b", "c\n::d"), "::notice title=a%3A b::c%0A::d\n");
        assert_eq!(line("notice", Vec::new(), "a", "b\u{202e}\u{1b}"), "::notice title=a::b\u{fffd}\u{fffd}\n");
    }
}
