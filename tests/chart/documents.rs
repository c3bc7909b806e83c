//! What is generated is current, and what is said of the chart is true. `make chart` writes what is generated.

use std::process::Output;

use serde_json::{Value, json};

use crate::chart::{self, DEFAULTS, HOME, file, helm, render, render_for, yaml};
use crate::values::Documented;

/// Between these lines the README has the table of values.
const BEGIN: &str = "<!-- values: written by `make chart` -->\n";
const END: &str = "<!-- end of values -->\n";

/// Holds a generated file to what it is to be, or writes it, where `CHART_WRITE` is set. What is to be made of it may
/// depend on what is there.
pub(crate) fn check(name: &str, make: impl FnOnce(&str) -> String) {
    let written = file(name);
    let wanted = make(&written);
    if written == wanted {
        return;
    }
    assert!(std::env::var_os("CHART_WRITE").is_some(), "charts/colocate/{name} is not current: make chart");
    std::fs::write(chart::folder().join(name), wanted).expect("it can be written");
}

#[test]
fn the_table_of_values_is_current() {
    check("README.md", |readme| {
        let (before, rest) = readme.split_once(BEGIN).expect("the table begins");
        let (_, after) = rest.split_once(END).expect("the table ends");
        format!("{before}{BEGIN}{}{END}{after}", table(&Documented::read(&file("values.yaml"))))
    });
}

fn table(values: &[Documented]) -> String {
    /// A longer default is read in the file.
    const LONGEST: usize = 60;
    let rows = values.iter().map(|Documented { path, default, text }| {
        let default = serde_json::to_string(default).expect("it was YAML");
        let default = if default.len() > LONGEST { "see `values.yaml`".to_owned() } else { format!("`{default}`") };
        format!("| `{path}` | {default} | {} |\n", text.replace('|', "\\|"))
    });
    format!("| value | default | what it is for |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[test]
fn its_version_of_the_program_is_this_one() {
    let chart = yaml(&file("Chart.yaml"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let image = DEFAULTS.text_at("Deployment/colocate", "/spec/template/spec/containers/0/image");
    assert_eq!(image, format!("colocate:{}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    for values in
        ["", "config: {validation: {mode: warn}}\nserviceMonitor: {enabled: true}\ndashboard: {enabled: true}"]
    {
        let chart = chart::folder();
        let output = helm(&["lint", "--strict", chart.to_str().expect("text"), "--values", "-"], values);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !said.contains("[WARNING]"), "{said}");
    }
}

/// Argo CD renders again and again, and takes a difference for a change.
#[test]
fn it_is_rendered_alike_each_time() {
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
    let arguments = ["install", "colocate", chart.to_str().expect("text"), "--dry-run=client", "--namespace", HOME];
    let Output { stdout, stderr, .. } = helm(&[&arguments[..], &["--values", "-"]].concat(), values);
    let text = String::from_utf8(stdout).expect("helm writes text");
    let (_, notes) = text.split_once("NOTES:\n").unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&stderr)));
    notes.to_owned()
}

#[test]
fn the_notes_say_what_to_do_next() {
    for (values, parts) in [
        ("", &["rollout status deployment/colocate", "helm test colocate --namespace home", "admitted unchanged"][..]),
        ("webhook: {failurePolicy: Fail}", &["objects are rejected"]),
        ("config: {mode: audit}", &["`mode: audit`", "would-inject", "port-forward deployment/colocate 8080"]),
        ("config: {mode: off}", &["`mode: off`"]),
        ("webhook: {namespaces: {exclude: [default]}}", &["set test.namespace"]),
        ("config: {templates: leave}", &["`helm test` cannot pass because `templates: leave`"]),
        ("config: {drivers: []}", &["`helm test` cannot pass because no driver is configured"]),
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

/// helm shows them of the version that it takes for granted only: here they are a part of an object.
#[test]
fn the_notes_say_where_a_cluster_asks_about_everything() {
    let define = format!("{{{{- define \"notes\" -}}}}{}{{{{- end -}}}}\n", file("templates/NOTES.txt"));
    let object = define + "kind: Notes\nmetadata: {name: notes}\nnotes: {{ include \"notes\" . | toJson }}";
    let values = json!({"extraObjects": [object]}).to_string();
    for (kubernetes, old) in [("1.26.3", true), ("1.27.9", true), ("1.28.0", false), ("1.37.0", false)] {
        let rendered = render_for(kubernetes, &values);
        let notes = rendered.text_at("Notes/notes", "/notes");
        assert!(notes.contains("is installed"), "{notes}");
        assert_eq!(notes.contains("do not support matchConditions"), old, "{kubernetes}");
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

/// The paths of all that is no mapping, or an empty one.
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
