//! The findings as a list in JSON.

use serde_json::{Value, json};

use super::outcome::PlacedFinding;

/// Renders a finding.
pub(super) fn entry(PlacedFinding { range, object, finding, .. }: &PlacedFinding<'_>) -> Value {
    let start = range.start();
    json!({
        "rule": finding.rule.id(),
        "severity": finding.severity.as_str(),
        "message": finding.message,
        "remedy": finding.remedy,
        "file": range.source.name,
        "line": start.line,
        "column": start.column,
        // The namespace is null for a cluster-scoped kind.
        "object": {"kind": object.object.kind, "namespace": object.namespace, "name": object.name},
        "path": finding.path.to_string(),
    })
}
