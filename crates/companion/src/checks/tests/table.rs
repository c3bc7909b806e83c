//! The table of rules: for each rule, objects with a finding and its path, and objects without a finding.

mod keys;
mod pods;
mod schedulers;
mod storage;

use serde_json::Value;

use crate::Rule;

/// A rule, objects with a finding and its path, and objects without a finding.
pub(super) struct Row {
    pub(super) rule: Rule,
    pub(super) fires: Vec<(Value, &'static str)>,
    pub(super) quiet: Vec<Value>,
}

/// The rows in the order of the rules.
pub(super) fn table() -> Vec<Row> {
    let mut rows: Vec<_> =
        [keys::rows(), pods::rows(), schedulers::rows(), storage::rows()].into_iter().flatten().collect();
    rows.sort_by_key(|row| row.rule);
    rows
}

fn row(rule: Rule, fires: &[(Value, &'static str)], quiet: &[Value]) -> Row {
    Row { rule, fires: fires.to_vec(), quiet: quiet.to_vec() }
}
