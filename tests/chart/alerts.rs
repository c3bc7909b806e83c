//! The alerts fire when they should, by Prometheus' own promtool. `alerts.yaml` has the cases.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use colocate_harness::{Folder, programs};
use serde_json::Value;

use crate::chart::{file, folder, text, yaml};

/// The cases, for `promtool test rules`.
const CASES: &str = include_str!("alerts.yaml");

/// Returns the rules of the chart.
fn alerts() -> Value {
    yaml(&file("files/alerts.yaml"))
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Runs promtool in a folder.
fn promtool(folder: &Path, arguments: &[&str]) {
    let Some(programs) = programs::prometheus() else { return };
    let output = Command::new(programs.join("promtool")).args(arguments).current_dir(folder).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&printed));
}

#[test]
fn the_alerts_are_valid_rules() {
    promtool(&folder(), &["check", "rules", "--lint-fatal", "files/alerts.yaml"]);
}

#[test]
fn alerts_fire_only_when_they_should() {
    let mut rules = alerts();
    for rule in rules["groups"][0]["rules"].as_array_mut().unwrap() {
        // promtool compares all annotations. Only the summary depends on the data.
        rule["annotations"].as_object_mut().unwrap().retain(|name, _| name == "summary");
    }
    let folder = Folder::new(&[("rules.yaml", &rules.to_string()), ("alerts.yaml", CASES)]);
    promtool(folder.root(), &["test", "rules", "alerts.yaml"]);
}

#[test]
fn each_alert_has_a_case_that_fires_and_one_that_does_not() {
    let (cases, rules) = (yaml(CASES), alerts());
    let cases = list(&cases, "/tests").iter().flat_map(|case| list(case, "/alert_rule_test"));
    let tested: BTreeSet<_> =
        cases.map(|case| (text(case, "/alertname"), !list(case, "/exp_alerts").is_empty())).collect();
    let alerts = list(&rules, "/groups/0/rules").iter().map(|rule| text(rule, "/alert"));
    assert_eq!(tested, alerts.flat_map(|alert| [(alert, true), (alert, false)]).collect());
}
