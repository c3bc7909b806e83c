//! What a person sees below the output of `kubectl`: warnings, or the reason for a denial.

use std::fmt;

use super::finding::{Finding, Unchecked, ValidationReport};
use super::severity::Severity;
use colocate_engine::Warning;

/// The API server cuts each warning at 256 characters where all of a request pass so many together, and drops those beyond.
const MOST_TOGETHER: usize = 4_096;

/// Said where an object has more findings than are listed.
const MORE: &str = "and more: fix these first";

/// Room for the line that says how many there are more.
const LAST_LINE: usize = 128;

/// A finding as one line, with its rule, its path and its remedy.
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

/// The findings as admission warnings, those first that matter most; information is none. Whatever could not be checked
/// is one line.
pub fn warnings(report: &ValidationReport) -> Vec<Warning> {
    let worth = |severity: Severity| severity > Severity::Info;
    let mut findings: Vec<_> = report.findings.iter().filter(|finding| worth(finding.severity)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut lines: Vec<_> = findings.into_iter().map(Warning::whole).collect();
    let mut open = report.unchecked.iter().filter(|open| worth(open.severity));
    if let Some(first) = open.next() {
        let rules: Vec<_> = open.map(|open| open.rule.id()).collect();
        let more = if rules.is_empty() { String::new() } else { format!(" (nor could {})", rules.join(", ")) };
        lines.push(Warning::whole(format_args!("{first}{more}")));
    }
    if report.cut {
        lines.push(Warning::whole(MORE));
    }
    within_limits(lines)
}

/// As many as the API server passes on.
fn within_limits(mut lines: Vec<Warning>) -> Vec<Warning> {
    let length = |lines: &[Warning]| lines.iter().map(Warning::chars).sum::<usize>();
    if length(&lines) <= MOST_TOGETHER {
        return lines;
    }
    let all = lines.len();
    while length(&lines) > MOST_TOGETHER - LAST_LINE {
        lines.pop();
    }
    let more = all - lines.len();
    lines.push(Warning::whole(format_args!("and {more} more; `colocate validate` shows all of them")));
    lines
}

/// Why the object is denied where findings are enforced: every finding; `None` without one of severity error.
pub fn denial(report: &ValidationReport) -> Option<String> {
    if report.worst() != Some(Severity::Error) {
        return None;
    }
    let mut findings: Vec<_> = report.findings.iter().filter(|finding| finding.severity > Severity::Info).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let problems = if findings.len() == 1 { "problem" } else { "problems" };
    let head = format!("{} {problems} in the hyperconvergence annotations:", findings.len());
    let lines = findings.iter().map(|finding| format!("- {}: {finding}", finding.severity));
    let more = report.cut.then(|| MORE.to_owned());
    Some([head].into_iter().chain(lines).chain(more).collect::<Vec<_>>().join("\n"))
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
        warnings(report).into_iter().map(Warning::into_string).collect()
    }

    #[test]
    fn errors_come_first_and_information_is_no_warning() {
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
    fn only_errors_deny() {
        let warning = ValidationReport {
            findings: vec![finding(Rule::UnknownKey, Severity::Warning, "x")],
            ..ValidationReport::default()
        };
        assert_eq!((denial(&warning), denial(&ValidationReport::default())), (None, None));
    }

    #[test]
    fn what_could_not_be_checked_is_one_line() {
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
            ["colocate: HC014: a: could not be checked: claim `data` does not exist (nor could HC015)"]
        );
    }

    #[test]
    fn there_are_no_more_than_the_api_server_passes_on() {
        let findings =
            (0..100).map(|n| finding(Rule::Misspelled, Severity::Error, &format!("{n}\n{}", "ä".repeat(200))));
        let lines = lines(&ValidationReport { findings: findings.collect(), ..ValidationReport::default() });
        let length: usize = lines.iter().map(|line| line.chars().count()).sum();
        assert!(length <= 4_096 && lines.len() > 10, "{length} in {}", lines.len());
        let more = 101 - lines.len();
        assert_eq!(lines.last().unwrap(), &format!("colocate: and {more} more; `colocate validate` shows all of them"));
        assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    }
}
