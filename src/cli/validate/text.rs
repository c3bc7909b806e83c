//! Findings and gaps as text for people.

use super::outcome::{Gap, PlacedFinding};
use crate::cli::facts::ADVICE;
use crate::cli::paint::{Paint, TextStyle, bounded};
use crate::engine::amount;

/// The counts of a run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) infos: usize,
    /// The findings that comments ignore.
    pub(super) ignored: usize,
    /// The number of items that could not be checked.
    pub(super) gaps: usize,
    /// Whether a gap is about a rule.
    pub(super) rules_are_open: bool,
    /// The objects that were checked.
    pub(super) objects: usize,
}

/// Renders a finding.
pub(super) fn finding(PlacedFinding { range, finding, .. }: &PlacedFinding<'_>, paint: Paint) -> String {
    let (start, severity) = (range.start(), finding.severity);
    let place = bounded(&format!("{}:{start}:", range.source.name));
    let label = paint.text(severity.into(), &format!("{severity}[{}]", finding.rule));
    let path = if finding.path.is_root() { String::new() } else { format!(" (at {})", finding.path) };
    let what = bounded(&format!("{}{path}", finding.message));
    let excerpt = range.excerpt();
    let (line, carets) = excerpt.split_at(excerpt.rfind(|c| c != '^').map_or(0, |last| last + 1));
    let margin = " ".repeat(start.line.to_string().len());
    let (place, carets) = (paint.text(TextStyle::Bold, &place), paint.text(severity.into(), carets));
    format!("{place} {label} {what}\n{line}{carets}\n  {margin} = help: {}\n", bounded(&finding.remedy))
}

/// Renders what could not be checked.
pub(super) fn gap(Gap { range, rule, what, .. }: &Gap<'_>) -> String {
    let line = match (range, rule) {
        (None, _) => format!("colocate: {what}"),
        (Some(range), None) => format!("{}:{}: unchecked: {what}", range.source.name, range.start()),
        (Some(range), Some(rule)) => format!("{}:{}: unchecked[{rule}] {what}", range.source.name, range.start()),
    };
    bounded(&line) + "\n"
}

/// Renders a line about a document that no rule applies to.
pub(super) fn remark(Gap { range, what, .. }: &Gap<'_>) -> String {
    let place = range.as_ref().map(|range| format!("{}:{}: ", range.source.name, range.start()));
    bounded(&format!("{}skipped: {what}", place.unwrap_or_default())) + "\n"
}

/// Renders the last line: the counts of findings, objects and files. With `advice`, it says how to check more.
pub(super) fn summary(totals: &Totals, files: usize, problems: usize, advice: bool) -> String {
    let counts = [(totals.errors, "error"), (totals.warnings, "warning"), (totals.infos, "info")];
    let found: Vec<_> = counts.into_iter().filter(|(count, _)| *count > 0).map(|(n, word)| amount(n, word)).collect();
    let found = if found.is_empty() { "no findings".to_owned() } else { found.join(", ") };
    let (objects, files) = (amount(totals.objects, "object"), amount(files, "file"));
    let ignored = if totals.ignored == 0 { String::new() } else { format!("; {} ignored", totals.ignored) };
    let open = match totals.gaps {
        0 => String::new(),
        gaps => format!("; {} could not be checked", amount(gaps, "item")),
    };
    let failed = if problems == 0 { String::new() } else { format!("; {}", amount(problems, "failure")) };
    let advice = if advice { format!(": {ADVICE}") } else { String::new() };
    format!("colocate: {found} in {objects} of {files}{failed}{ignored}{open}{advice}\n")
}
