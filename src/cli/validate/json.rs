//! A list of findings, for programs.

use serde::Serialize;

use super::outcome::{Found, Outcome};

#[derive(Serialize)]
struct Entry<'f> {
    rule: &'static str,
    severity: &'static str,
    message: &'f str,
    remedy: &'f str,
    file: &'f str,
    line: usize,
    column: usize,
    object: Object<'f>,
    path: String,
}

#[derive(Serialize)]
struct Object<'f> {
    kind: &'f str,
    /// None of a kind that belongs to none.
    namespace: Option<&'f str>,
    name: &'f str,
}

/// All findings; an empty list where there is none.
pub(super) fn findings(outcome: &Outcome<'_>) -> serde_json::Result<String> {
    let entries: Vec<_> = outcome.found.iter().map(Entry::new).collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}

impl<'f> Entry<'f> {
    fn new(found: &'f Found<'_>) -> Self {
        let Found { place, object, finding } = found;
        let start = place.start();
        Self {
            rule: finding.rule.id(),
            severity: finding.severity.as_str(),
            message: &finding.message,
            remedy: &finding.remedy,
            file: place.name(),
            line: start.line,
            column: start.column,
            object: Object { kind: object.object.kind(), namespace: object.namespace.as_deref(), name: &object.name },
            path: finding.path.to_string(),
        }
    }
}
