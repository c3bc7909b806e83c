//! Generated files are current, and statements about the chart are true. `make chart` writes the generated files.

use std::process::Output;

use serde_json::Value;

use crate::chart::{self, DEFAULTS, HOME, file, helm, render, yaml};
use crate::values::Documented;

/// The README's table of values is between these lines.
const BEGIN: &str = "<!-- values: written by `make chart` -->\n";
const END: &str = "<!-- end of values -->\n";

/// Compares a generated file with its expected content, or writes it if `CHART_WRITE` is set. `make` gets the current
/// content.
pub(crate) fn check(name: &str, make: impl FnOnce(&str) -> String) {
    let written = file(name);
    let wanted = make(&written);
    if written == wanted {
        return;
    }
    assert!(std::env::var_os("CHART_WRITE").is_some(), "charts/colocate/{name} is not current: run `make chart`");
    std::fs::write(chart::folder().join(name), wanted).expect("the chart's folder is writable");
}

#[test]
fn the_table_of_values_is_current() {
    check("README.md", |readme| {
        let (before, rest) = readme.split_once(BEGIN).expect("the README has the first marker");
        let (_, after) = rest.split_once(END).expect("the README has the last marker");
        format!("{before}{BEGIN}{}{END}{after}", table(&Documented::read(&file("values.yaml"))))
    });
}

fn table(values: &[Documented]) -> String {
    /// Longer defaults are not shown in the table.
    const LONGEST: usize = 60;
    let rows = values.iter().map(|Documented { path, default, text }| {
        let default = serde_json::to_string(default).expect("YAML values are valid JSON values");
        let default = if default.len() > LONGEST { "see `values.yaml`".to_owned() } else { format!("`{default}`") };
        format!("| `{path}` | {default} | {} |\n", text.replace('|', "\\|"))
    });
    format!("| value | default | what it is for |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[test]
fn the_app_version_is_that_of_the_crate() {
    let chart = yaml(&file("Chart.yaml"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let image = DEFAULTS.text_at("Deployment/colocate", "/spec/template/spec/containers/0/image");
    assert_eq!(image, format!("colocate:{}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn helm_lint_finds_no_problems() {
    for values in
        ["", "config: {validation: {mode: warn}}\nserviceMonitor: {enabled: true}\ndashboard: {enabled: true}"]
    {
        let chart = chart::folder();
        let output = helm(&["lint", "--strict", chart.to_str().expect("the path is UTF-8"), "--values", "-"], values);
        let output_text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !output_text.contains("[WARNING]"), "{output_text}");
    }
}

/// Argo CD renders the chart repeatedly, and treats a difference as a change.
#[test]
fn rendering_is_deterministic() {
    let values = file("../../tests/chart/everything.yaml");
    assert_eq!(render(&values).text, render(&values).text);
    for template in std::fs::read_dir(chart::folder().join("templates")).unwrap() {
        let path = template.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for random in ["lookup ", "genCA", "genSelfSignedCert", "genSignedCert", "rand", "uuidv4", "{{ now", "(now"] {
            assert!(!text.contains(random), "{}: {random}", path.display());
        }
    }
}

fn notes(values: &str) -> String {
    let chart = chart::folder();
    let arguments =
        ["install", "colocate", chart.to_str().expect("the path is UTF-8"), "--dry-run=client", "--namespace", HOME];
    let Output { stdout, stderr, .. } = helm(&[&arguments[..], &["--values", "-"]].concat(), values);
    let text = String::from_utf8(stdout).expect("helm prints UTF-8");
    let (_, notes) = text.split_once("NOTES:\n").unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&stderr)));
    notes.to_owned()
}

#[test]
fn the_notes_name_the_next_steps() {
    for (values, parts) in [
        ("", &["rollout status deployment/colocate", "helm test colocate --namespace home", "admitted unchanged"][..]),
        ("webhook: {failurePolicy: Fail}", &["objects are rejected"]),
        ("config: {mode: audit}", &["`mode: audit`", "would-inject", "port-forward deployment/colocate 8080"]),
        ("config: {mode: off}", &["`mode: off`"]),
        ("webhook: {namespaces: {exclude: [default]}}", &["set test.namespace"]),
        ("config: {templates: leave}", &["`helm test` cannot pass because `templates: leave`"]),
        ("config: {drivers: [{name: portworx, recognises: [class, inTree]}]}", &["helm test colocate"]),
        (
            "config: {drivers: [{name: portworx, recognises: [class]}]}",
            &["`helm test` cannot pass because its volume is not one that the first driver's scheduler recognizes"],
        ),
        ("rbac: {create: false}", &["set test.serviceAccountName to one that can create Deployments in default"]),
        ("replicaCount: 0", &["This release runs no pods: set replicaCount.", "no replica runs"]),
        (
            "replicaCount: 0\nwebhook: {url: 'https://a.test'}",
            &["make sure that the colocate at https://a.test is running", "helm test colocate"],
        ),
        ("fullnameOverride: other\nhostNetwork: {enabled: true}", &["deployment/other", "localhost:18080/readyz"]),
    ] {
        let notes = notes(values);
        assert!(parts.iter().all(|part| notes.contains(part)), "{values}: {notes}");
        assert!(notes.lines().all(|line| line.chars().count() <= 140), "{notes}");
        assert!(
            notes.contains("cannot pass") != notes.contains("  helm test") || !notes.contains("2. Check that"),
            "{notes}"
        );
        assert!(notes.contains("runs no pods") != notes.contains("port-forward"), "{notes}");
    }
}

#[test]
fn the_notes_name_each_direction_that_a_network_policy_leaves_open() {
    let callers = "networkPolicy.callers to the API servers";
    let api_servers = "any address on ports 443, 6443. Set networkPolicy.apiServers";
    for (values, open) in [
        ("{enabled: false}", &[][..]),
        ("{enabled: true}", &[callers, api_servers]),
        ("{enabled: true, callers: [{podSelector: {}}]}", &[api_servers]),
        ("{enabled: true, apiServers: [{podSelector: {}}]}", &[callers]),
        ("{enabled: true, callers: [{podSelector: {}}], apiServers: [{podSelector: {}}]}", &[]),
    ] {
        let notes = notes(&format!("networkPolicy: {values}"));
        let named: Vec<_> = [callers, api_servers].into_iter().filter(|text| notes.contains(text)).collect();
        assert_eq!(named, open, "{values}: {notes}");
        assert_eq!(notes.contains("NetworkPolicy"), !open.is_empty(), "{values}: {notes}");
        assert!(notes.lines().all(|line| line.chars().count() <= 140), "{notes}");
    }
}

#[test]
fn every_value_has_a_comment() {
    let documented = Documented::read(&file("values.yaml"));
    let mut leaves = Vec::new();
    leaves_of(&yaml(&file("values.yaml")), "", &mut leaves);
    for leaf in leaves {
        let has = documented.iter().any(|value| leaf == value.path || leaf.starts_with(&format!("{}.", value.path)));
        assert!(has, "{leaf} has no comment");
    }
}

/// Collects the paths of all values that are not mappings, and of empty mappings.
pub(crate) fn leaves_of(value: &Value, path: &str, leaves: &mut Vec<String>) {
    match value.as_object().filter(|object| !object.is_empty()) {
        Some(object) => {
            for (key, value) in object {
                leaves_of(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, leaves);
            }
        }
        None => leaves.push(path.to_owned()),
    }
}
