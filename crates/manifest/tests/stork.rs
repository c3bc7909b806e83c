//! The findings agree with what Stork does. `stork.yaml` lists measured cases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use colocate_companion::{Rule, Severities, Severity};
use colocate_engine::Policy;
use colocate_manifest::{Controllers, FileRole, KnownObjects, Manifest, ManifestValidator};
use serde_json::{Value, json};

/// The rules by which something is not read, or has no effect.
const INEFFECTIVE: [Rule; 17] = [
    Rule::NoBoolean,
    Rule::NoString,
    Rule::Misspelled,
    Rule::UnknownKey,
    Rule::OnWorkload,
    Rule::StorageKeyOnPod,
    Rule::PodKeyOnStorage,
    Rule::InLabels,
    Rule::OnClassMetadata,
    Rule::LocalOnlyUnenforced,
    Rule::LocalOnlyWithoutClaim,
    Rule::LocalOnlyShared,
    Rule::RemoteOnlyCancelled,
    Rule::RemoteNotShared,
    Rule::LocalOnlyWindows,
    Rule::Unrecognized,
    Rule::Misplaced,
];

/// The rules by which a pod stays Pending for certain.
const PENDING: [Rule; 2] = [Rule::LocalOnlyExternal, Rule::RestoreInProgress];

/// A measured case.
struct Case {
    name: String,
    outcome: String,
    findings: Vec<String>,
    /// Whether the outcome depends on the state of the cluster, which the objects do not show.
    cluster: bool,
    objects: Value,
}

fn cases() -> Vec<Case> {
    let fixture = Manifest::new(include_str!("stork.yaml"));
    let documents = fixture.parse().unwrap();
    let cases = documents[0].value.as_array().unwrap().iter().map(|case| {
        let text = |field: &str| case[field].as_str().unwrap_or_else(|| panic!("no {field}: {case}")).to_owned();
        assert!(!text("allows").is_empty() && !text("placed").is_empty());
        let findings = case["findings"].as_array().unwrap();
        Case {
            name: text("case"),
            outcome: text("outcome"),
            findings: findings.iter().map(|id| id.as_str().unwrap().to_owned()).collect(),
            cluster: case["cluster"] == true,
            objects: json!({ "apiVersion": "v1", "kind": "List", "items": case["objects"] }),
        }
    });
    cases.collect()
}

/// The rules of the findings, sorted. Every rule must have been checked.
fn found(objects: &Value) -> Vec<Rule> {
    let (text, policy, severities) = (objects.to_string(), Policy::default(), Severities::default());
    let (mut known, mut controllers) = (KnownObjects::default(), Controllers::default());
    let (file, manifest) = (known.add_file("stork.yaml", None, FileRole::Input), Manifest::new(&text));
    let document = manifest.documents().next().unwrap().unwrap();
    assert_eq!(known.add(file, &document, "default", &policy.opt_out.namespace_label), []);
    known.add_claim_templates(file, &document, &policy);
    controllers.add(file, &document, &policy, "default");
    let validator = ManifestValidator {
        policy: &policy,
        severities: &severities,
        known: &known,
        controllers: &controllers,
        namespace: "default",
    };
    let mut found = Vec::new();
    for object in validator.validate(file, &document).objects {
        let report = object.report.unwrap();
        assert_eq!(report.unchecked, [], "{text}");
        found.extend(report.findings.into_iter().map(|finding| finding.rule));
    }
    found.sort_unstable();
    found
}

#[test]
fn the_findings_of_each_case_are_those_of_the_table() {
    let differences: Vec<_> = cases()
        .iter()
        .filter_map(|case| {
            let found: Vec<_> = found(&case.objects).iter().map(|rule| rule.id()).collect();
            (found != case.findings).then(|| format!("{}: {found:?} instead of {:?}", case.name, case.findings))
        })
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn an_annotation_without_its_effect_has_a_finding() {
    let mut outcomes = BTreeSet::new();
    for Case { name, outcome, cluster, objects, .. } in cases() {
        let found = found(&objects);
        let is_any = |rules: &[Rule]| found.iter().any(|rule| rules.contains(rule));
        outcomes.insert(outcome.clone());
        match &*outcome {
            _ if cluster => {}
            "ignored" => assert!(found.iter().any(|rule| rule.severity() > Severity::Info), "{name}: {found:?}"),
            "pending" | "partly" => assert!(!found.is_empty(), "{name}"),
            "enforced" => assert!(!is_any(&INEFFECTIVE) && !is_any(&PENDING), "{name}: {found:?}"),
            // That rule is about the pod, not about an annotation.
            "unannotated" => assert!(found.iter().all(|rule| *rule == Rule::NotRecognised), "{name}: {found:?}"),
            other => panic!("{name}: unknown outcome {other}"),
        }
    }
    assert_eq!(outcomes, ["enforced", "ignored", "partly", "pending", "unannotated"].map(str::to_owned).into());
}
