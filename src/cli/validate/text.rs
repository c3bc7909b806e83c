//! Findings and gaps as text for people.

use super::outcome::{Gap, Outcome, PlacedFinding};
use crate::cli::paint::{Paint, TextStyle, bounded};
use crate::companion::Severity;

/// The advice if a rule could not be checked without a cluster.
const ADVICE: &str =
    ": pass the files that define the claims and classes with --manifests, or query a cluster with --cluster";

/// Renders all findings, separated by empty lines.
pub(super) fn findings(outcome: &Outcome<'_>, paint: Paint) -> String {
    let findings: Vec<_> = outcome.findings.iter().map(|found| finding(found, paint)).collect();
    findings.join("\n")
}

fn finding(PlacedFinding { range, finding, .. }: &PlacedFinding<'_>, paint: Paint) -> String {
    let (start, severity) = (range.start(), finding.severity);
    let place = bounded(&format!("{}:{start}:", range.source.name));
    let label = paint.text(severity.into(), &format!("{severity}[{}]", finding.rule));
    let what = bounded(&format!("{} (at {})", finding.message, finding.path));
    let excerpt = range.excerpt();
    let (line, carets) = excerpt.split_at(excerpt.rfind(|c| c != '^').map_or(0, |last| last + 1));
    let margin = " ".repeat(start.line.to_string().len());
    let (place, carets) = (paint.text(TextStyle::Bold, &place), paint.text(severity.into(), carets));
    format!("{place} {label} {what}\n{line}{carets}\n  {margin} = help: {}\n", bounded(&finding.remedy))
}

/// Renders what could not be checked, one line each.
pub(super) fn gaps(outcome: &Outcome<'_>) -> String {
    outcome.gaps.iter().map(gap).collect()
}

fn gap(Gap { range, rule, what }: &Gap<'_>) -> String {
    let line = match (range, rule) {
        (None, _) => format!("colocate: {what}"),
        (Some(range), None) => format!("{}:{}: unchecked: {what}", range.source.name, range.start()),
        (Some(range), Some(rule)) => format!("{}:{}: unchecked[{rule}] {what}", range.source.name, range.start()),
    };
    bounded(&line) + "\n"
}

/// Renders the last line: the counts of findings, objects and files. If `offline`, it ends with advice on how to check
/// more.
pub(super) fn summary(outcome: &Outcome<'_>, offline: bool) -> String {
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "info")];
    let counts = counts.map(|(severity, word)| (outcome.count(severity), word));
    let found: Vec<_> = counts.into_iter().filter(|(count, _)| *count > 0).map(|(n, word)| many(n, word)).collect();
    let found = if found.is_empty() { "no findings".to_owned() } else { found.join(", ") };
    let (objects, files) = (many(outcome.objects, "object"), many(outcome.files, "file"));
    let (gaps, of_rules) = (outcome.gaps.len(), outcome.gaps.iter().any(|gap| gap.rule.is_some()));
    let open = if gaps == 0 { String::new() } else { format!("; {} could not be checked", many(gaps, "item")) };
    let advice = if offline && of_rules { ADVICE } else { "" };
    format!("colocate: {found} in {objects} of {files}{open}{advice}\n")
}

fn many(count: usize, word: &str) -> String {
    if count == 1 || word == "info" { format!("{count} {word}") } else { format!("{count} {word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_other_than_one_use_the_plural() {
        assert_eq!([many(1, "file"), many(0, "file"), many(2, "info")], ["1 file", "0 files", "2 info"]);
    }
}
