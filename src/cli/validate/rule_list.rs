//! The list of rules.

use serde_json::json;

use crate::cli::paint::{Paint, TextStyle};
use crate::companion::{Rule, Severities, Severity};

/// Stands for the severity of a rule that is switched off.
const OFF: &str = "off";

/// Renders all rules in JSON.
pub(super) fn json(severities: &Severities) -> serde_json::Result<String> {
    let entry = |&rule: &Rule| {
        json!({
            "id": rule.id(),
            "name": rule.name(),
            "severity": severities.of(rule).map_or(OFF, Severity::as_str),
            "title": rule.title(),
            "explanation": rule.explanation(),
            "origin": rule.origin(),
        })
    };
    Ok(serde_json::to_string_pretty(&Rule::ALL.iter().map(entry).collect::<Vec<_>>())? + "\n")
}

/// Renders all rules as text.
pub(super) fn text(severities: &Severities, paint: Paint) -> String {
    let rules = Rule::ALL.iter().map(|&rule| {
        let severity = match severities.of(rule) {
            Some(severity) => paint.text(severity.into(), &format!("{:7}", severity.as_str())),
            None => format!("{OFF:7}"),
        };
        let (explanation, origin) = (rule.explanation(), rule.origin());
        format!(
            "{} {severity} {}\n      {explanation}\n      {origin}\n",
            paint.text(TextStyle::Bold, rule.id()),
            rule.title()
        )
    });
    rules.collect::<Vec<_>>().join("\n")
}
