//! The rules themselves.

use serde::Serialize;

use crate::cli::paint::Paint;
use crate::companion::{Rule, Severities, Severity};

/// What a rule is that is not checked.
const OFF: &str = "off";

#[derive(Serialize)]
struct Entry {
    id: &'static str,
    name: &'static str,
    /// As the configuration has it.
    severity: &'static str,
    title: &'static str,
    explanation: &'static str,
    origin: &'static str,
}

/// All rules, for programs.
pub(super) fn json(severities: &Severities) -> serde_json::Result<String> {
    let entries = Rule::ALL.iter().map(|&rule| Entry {
        id: rule.id(),
        name: rule.name(),
        severity: severities.of(rule).map_or(OFF, Severity::as_str),
        title: rule.title(),
        explanation: rule.explanation(),
        origin: rule.origin(),
    });
    Ok(serde_json::to_string_pretty(&entries.collect::<Vec<_>>())? + "\n")
}

/// All rules, for people.
pub(super) fn text(severities: &Severities, paint: Paint) -> String {
    let rules = Rule::ALL.iter().map(|&rule| {
        let severity = match severities.of(rule) {
            Some(Severity::Error) => paint.red("error  "),
            Some(Severity::Warning) => paint.yellow("warning"),
            Some(Severity::Info) => paint.cyan("info   "),
            None => format!("{OFF:7}"),
        };
        let (explanation, origin) = (rule.explanation(), rule.origin());
        format!("{} {severity} {}\n      {explanation}\n      {origin}\n", paint.bold(rule.id()), rule.title())
    });
    rules.collect::<Vec<_>>().join("\n")
}
