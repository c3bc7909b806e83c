//! Renders reports for `kubectl` output: as warnings, or as the reason for a denial.

use std::cmp::Reverse;
use std::fmt;

use super::finding::{Finding, Unchecked, ValidationReport};
use super::severity::Severity;
use colocate_engine::{Warning, amount, one_line};

/// The most characters of all warnings together. Above it, the API server truncates each to 256 characters and drops some.
const MAX_TOTAL: usize = 4_096;

/// The last line if an object has more findings than are listed.
const MORE: &str = "there are more findings than are listed: fix these first";

/// Space reserved for the line with the number of findings that were dropped.
const LAST_LINE: usize = 128;

/// Formats one line with rule, path, message and remedy.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, message, remedy, .. } = self;
        write!(f, "{rule}: {path}: {message}; {remedy}")
    }
}

impl fmt::Display for Unchecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, why, .. } = self;
        write!(f, "{rule}: {path}: could not be checked: {why}")
    }
}

/// Renders a report as admission warnings, the most severe finding first and without findings of severity info. All
/// unchecked rules share one line.
pub fn warnings(report: &ValidationReport) -> Vec<Warning> {
    let mut lines: Vec<_> = listed(report).into_iter().map(Warning::whole).collect();
    let mut open = report.unchecked.iter().filter(|open| open.severity > Severity::Info);
    if let Some(first) = open.next() {
        let rules: Vec<_> = open.map(|open| open.rule.id()).collect();
        let more = if rules.is_empty() { String::new() } else { format!(" (also unchecked: {})", rules.join(", ")) };
        lines.push(Warning::whole(format_args!("{first}{more}")));
    }
    if report.cut {
        lines.push(Warning::whole(MORE));
    }
    within_limits(lines)
}

/// Drops the last lines if the API server would otherwise truncate or drop any.
fn within_limits(mut lines: Vec<Warning>) -> Vec<Warning> {
    let length = |lines: &[Warning]| lines.iter().map(Warning::chars).sum::<usize>();
    if length(&lines) <= MAX_TOTAL {
        return lines;
    }
    let all = lines.len();
    while length(&lines) > MAX_TOTAL - LAST_LINE {
        lines.pop();
    }
    let more = all - lines.len();
    lines.push(Warning::whole(format_args!("and {more} more: run `colocate validate` to see all of them")));
    lines
}

/// Returns the reason for a denial, which lists the findings; `None` if there is no finding of severity error.
pub fn denial(report: &ValidationReport) -> Option<String> {
    if report.worst() != Some(Severity::Error) {
        return None;
    }
    let findings = listed(report);
    let problems = amount(findings.len(), "problem");
    let head = format!("{problems} in the hyperconvergence annotations:");
    // A path has keys as their author wrote them.
    let line = |finding: &&Finding| one_line(&format!("- {}: {finding}", finding.severity), usize::MAX);
    let lines = findings.iter().map(line);
    let more = report.cut.then(|| MORE.to_owned());
    Some([head].into_iter().chain(lines).chain(more).collect::<Vec<_>>().join("\n"))
}

/// The findings that are shown to a user, the most severe first.
fn listed(report: &ValidationReport) -> Vec<&Finding> {
    let mut findings: Vec<_> = report.findings.iter().filter(|finding| finding.severity > Severity::Info).collect();
    findings.sort_by_key(|finding| Reverse(finding.severity));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldPath, Part, Rule};

    fn finding(rule: Rule, severity: Severity, message: &str) -> Finding {
        Finding {
            rule,
            severity,
            message: message.to_owned(),
            remedy: "write less".to_owned(),
            path: FieldPath::of(["metadata", "annotations"]).key("a"),
            part: Part::Key,
        }
    }

    fn lines(report: &ValidationReport) -> Vec<String> {
        warnings(report).iter().map(|warning| format!("colocate: {warning}")).collect()
    }

    #[test]
    fn errors_come_first_and_info_is_not_a_warning() {
        let report = ValidationReport {
            findings: vec![
                finding(Rule::UnknownKey, Severity::Warning, "one"),
                finding(Rule::OptOutHealth, Severity::Info, "two"),
                finding(Rule::Misspelled, Severity::Error, "three"),
            ],
            ..ValidationReport::default()
        };
        assert_eq!(
            lines(&report),
            [
                "colocate: HC003: metadata.annotations[a]: three; write less",
                "colocate: HC004: metadata.annotations[a]: one; write less"
            ]
        );
        let denied = denial(&report).unwrap();
        assert_eq!(
            denied,
            "2 problems in the hyperconvergence annotations:\n- error: HC003: metadata.annotations[a]: three; write less\n- warning: HC004: metadata.annotations[a]: one; write less"
        );
    }

    #[test]
    fn a_denial_has_one_line_for_each_finding() {
        let path = FieldPath::of(["metadata", "annotations"]).key("a\n- error: b\u{202e}");
        let finding = Finding { path, ..finding(Rule::Misspelled, Severity::Error, "three") };
        let report = ValidationReport { findings: vec![finding], ..ValidationReport::default() };
        let denied = denial(&report).unwrap();
        assert_eq!(denied.lines().count(), 2);
        assert!(denied.contains("metadata.annotations[a\u{fffd}- error: b\u{fffd}]: three"), "{denied}");
    }

    #[test]
    fn only_errors_deny() {
        let warning = ValidationReport {
            findings: vec![finding(Rule::UnknownKey, Severity::Warning, "x")],
            ..ValidationReport::default()
        };
        assert_eq!((denial(&warning), denial(&ValidationReport::default())), (None, None));
    }

    #[test]
    fn unchecked_rules_share_one_line() {
        let open = |rule: Rule| Unchecked {
            rule,
            severity: rule.severity(),
            why: "claim `data` does not exist".to_owned(),
            path: FieldPath::of(["a"]),
        };
        let unchecked = vec![open(Rule::LocalOnlyShared), open(Rule::LocalOnlySeveral), open(Rule::OptOutHealth)];
        let report = ValidationReport { unchecked, ..ValidationReport::default() };
        assert_eq!(
            lines(&report),
            ["colocate: HC014: a: could not be checked: claim `data` does not exist (also unchecked: HC015)"]
        );
    }

    #[test]
    fn warnings_stay_within_the_limit_of_the_api_server() {
        let findings =
            (0..100).map(|n| finding(Rule::Misspelled, Severity::Error, &format!("{n}\n{}", "ä".repeat(200))));
        let lines = lines(&ValidationReport { findings: findings.collect(), ..ValidationReport::default() });
        let length: usize = lines.iter().map(|line| line.chars().count()).sum();
        assert!(length <= 4_096 && lines.len() > 10, "{length} in {}", lines.len());
        let more = 101 - lines.len();
        assert_eq!(
            lines.last().unwrap(),
            &format!("colocate: and {more} more: run `colocate validate` to see all of them")
        );
        assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    }
}
