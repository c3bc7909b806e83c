//! A list of findings in JSON.

use serde::Serialize;

use super::outcome::{Outcome, PlacedFinding};

#[derive(Serialize)]
struct JsonFinding<'f> {
    rule: &'static str,
    severity: &'static str,
    message: &'f str,
    remedy: &'f str,
    file: &'f str,
    line: usize,
    column: usize,
    object: JsonObject<'f>,
    path: String,
}

#[derive(Serialize)]
struct JsonObject<'f> {
    kind: &'f str,
    /// `null` for a cluster-scoped kind.
    namespace: Option<&'f str>,
    name: &'f str,
}

/// Renders all findings.
pub(super) fn findings(outcome: &Outcome<'_>) -> serde_json::Result<String> {
    let entries: Vec<_> = outcome.findings.iter().map(JsonFinding::new).collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}

impl<'f> JsonFinding<'f> {
    fn new(found: &'f PlacedFinding<'_>) -> Self {
        let PlacedFinding { range, object, finding } = found;
        let start = range.start();
        Self {
            rule: finding.rule.id(),
            severity: finding.severity.as_str(),
            message: &finding.message,
            remedy: &finding.remedy,
            file: range.name(),
            line: start.line,
            column: start.column,
            object: JsonObject { kind: object.object.kind, namespace: object.namespace.as_deref(), name: &object.name },
            path: finding.path.to_string(),
        }
    }
}
