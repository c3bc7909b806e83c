//! What people read.

use super::outcome::{Found, Gap, Outcome};
use crate::cli::paint::Paint;
use crate::companion::Severity;
use crate::engine::one_line;

/// No message is longer, and no path that is not meant to be.
const MAX_LINE: usize = 2_000;

/// What to do about a rule that could not be checked.
const ADVICE: &str = ": name the files of claims and classes with --manifests, or ask a cluster with --cluster";

/// All findings, with a line between two.
pub(super) fn findings(outcome: &Outcome<'_>, paint: Paint) -> String {
    let findings: Vec<_> = outcome.found.iter().map(|found| finding(found, paint)).collect();
    findings.join("\n")
}

/// What was found and where, its line, and what to write instead.
fn finding(found: &Found<'_>, paint: Paint) -> String {
    let (finding, start) = (found.finding, found.place.start());
    let place = one_line(&format!("{}:{start}:", found.place.name()), MAX_LINE);
    let colour = of(finding.severity, paint);
    let label = colour(&format!("{}[{}]", finding.severity, finding.rule));
    let what = one_line(&format!("{}; {}", finding.message, finding.path), MAX_LINE);
    let excerpt = found.place.excerpt();
    let (line, carets) = excerpt.split_at(excerpt.rfind(|c| c != '^').map_or(0, |last| last + 1));
    let margin = " ".repeat(start.line.to_string().len());
    let remedy = one_line(&finding.remedy, MAX_LINE);
    format!("{} {label} {what}\n{line}{}\n  {margin} = help: {remedy}\n", paint.bold(&place), colour(carets))
}

fn of(severity: Severity, paint: Paint) -> impl Fn(&str) -> String {
    move |text| match severity {
        Severity::Error => paint.red(text),
        Severity::Warning => paint.yellow(text),
        Severity::Info => paint.cyan(text),
    }
}

/// What could not be checked: a line each.
pub(super) fn gaps(outcome: &Outcome<'_>) -> String {
    outcome.gaps.iter().map(gap).collect()
}

fn gap(Gap { place, rule, what }: &Gap<'_>) -> String {
    let line = match (place, rule) {
        (None, _) => format!("colocate: {what}"),
        (Some(place), None) => format!("{}:{}: unchecked: {what}", place.name(), place.start()),
        (Some(place), Some(rule)) => format!("{}:{}: unchecked[{rule}] {what}", place.name(), place.start()),
    };
    one_line(&line, MAX_LINE) + "\n"
}

/// The last line: how much was found, in how much; `offline`, with what to do about what could not be checked.
pub(super) fn summary(outcome: &Outcome<'_>, offline: bool) -> String {
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "info")];
    let counts = counts.map(|(severity, word)| (outcome.count(severity), word));
    let found: Vec<_> = counts.into_iter().filter(|(count, _)| *count > 0).map(|(n, word)| many(n, word)).collect();
    let found = if found.is_empty() { "nothing found".to_owned() } else { found.join(", ") };
    let (objects, files) = (many(outcome.objects, "object"), many(outcome.files, "file"));
    let (gaps, of_rules) = (outcome.gaps.len(), outcome.gaps.iter().any(|gap| gap.rule.is_some()));
    let open = if gaps == 0 { String::new() } else { format!("; {} could not be checked", many(gaps, "thing")) };
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
    fn a_word_has_its_plural() {
        assert_eq!([many(1, "file"), many(0, "file"), many(2, "info")], ["1 file", "0 files", "2 info"]);
    }
}
