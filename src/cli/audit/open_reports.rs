//! The audit as reports of [OpenReports](https://openreports.io), which dashboards read from the cluster.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::companion::Severity;
use crate::insight::{WorkloadCounts, WorkloadKey};
use crate::inspect::{self, KeptFinding};

/// The version of the reports.
const API_VERSION: &str = "openreports.io/v1alpha1";

/// The name of each report, and the source of its results.
const NAME: &str = "colocate";

/// Renders a Report for each namespace, and one `ClusterReport` for the objects of the cluster, as a YAML stream for
/// `kubectl apply`.
///
/// # Errors
/// None in practice: every value can be serialized.
pub(super) fn render(audit: &inspect::Audit) -> anyhow::Result<String> {
    let mut namespaces = BTreeMap::<&str, Report>::new();
    let mut cluster = Report::default();
    for (namespace, counts) in audit.pods.iter().flat_map(|pods| &pods.namespaces) {
        let report = namespaces.entry(namespace).or_default();
        report.summary.pass += counts.as_expected;
        report.summary.skip += counts.ended + counts.not_sent;
        if counts.not_sent > 0 {
            report.results.push(not_sent_result(namespace, counts.not_sent));
        }
    }
    for (key, workload) in audit.pods.iter().flat_map(|pods| &pods.workloads) {
        let report = namespaces.entry(&key.namespace).or_default();
        let (actual, expected) = (&workload.actual, &workload.scheduler);
        let counts = workload.counts;
        if counts.wrong > 0 {
            report.summary.fail += counts.wrong;
            let message = format!(
                "{} of its pods should be on {expected}, for example {}, which is on {actual}",
                counts.wrong, workload.pod
            );
            report.results.push(scheduler_result("fail", &message, key, workload));
        }
        if counts.unknown > 0 {
            report.summary.error += counts.unknown;
            let message =
                format!("a fact that the decision depends on is not known for {} of its pods", counts.unknown);
            report.results.push(scheduler_result("error", &message, key, workload));
        }
    }
    for finding in &audit.findings.kept {
        let report = match finding.namespace() {
            Some(namespace) => namespaces.entry(namespace).or_default(),
            None => &mut cluster,
        };
        report.add(finding);
    }
    let mut text = String::new();
    let reports = namespaces.iter().map(|(namespace, report)| report.object("Report", Some(namespace)));
    for object in reports.chain([cluster.object("ClusterReport", None)]) {
        text += "---\n";
        text += &serde_saphyr::to_string(&object)?;
    }
    Ok(text)
}

/// A result about the schedulers of the pods of a workload.
fn scheduler_result(result: &str, message: &str, key: &WorkloadKey, workload: &WorkloadCounts) -> Value {
    let WorkloadKey { namespace, kind, name } = key;
    json!({
        "policy": "scheduler",
        "rule": workload.reason,
        "category": "Scheduling",
        "result": result,
        "severity": "medium",
        "scored": true,
        "message": message,
        "resources": [{"kind": kind, "namespace": namespace, "name": name}],
    })
}

/// A result about the pods of a namespace that API servers do not send to colocate.
fn not_sent_result(namespace: &str, pods: u64) -> Value {
    let message =
        format!("{pods} of its pods should be on another scheduler, but API servers do not send them to colocate");
    json!({
        "policy": "scheduler",
        "rule": "not-sent",
        "category": "Scheduling",
        "result": "skip",
        "severity": "info",
        "scored": false,
        "message": message,
        "resources": [{"kind": "Namespace", "name": namespace}],
    })
}

/// The results of one report.
#[derive(Debug, Default)]
struct Report {
    summary: Summary,
    results: Vec<Value>,
}

/// Numbers of pods and findings.
#[derive(Debug, Default)]
struct Summary {
    pass: u64,
    fail: u64,
    warn: u64,
    error: u64,
    skip: u64,
}

impl Report {
    fn add(&mut self, finding: &KeptFinding) {
        let (result, severity, number) = match finding.severity {
            Severity::Error => ("fail", "high", &mut self.summary.fail),
            Severity::Warning => ("warn", "medium", &mut self.summary.warn),
            Severity::Info => ("pass", "info", &mut self.summary.pass),
        };
        *number += 1;
        let KeptFinding { rule, message, remedy, path, .. } = finding;
        let mut resource = json!(finding.object);
        if let Some(fields) = resource.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        self.results.push(json!({
            "policy": "annotations",
            "rule": rule,
            "category": "Stork",
            "result": result,
            "severity": severity,
            "scored": true,
            "message": format!("{message}: {remedy}"),
            "properties": {"path": path},
            "resources": [resource],
        }));
    }

    fn object(&self, kind: &str, namespace: Option<&str>) -> Value {
        let Summary { pass, fail, warn, error, skip } = self.summary;
        let mut metadata = json!({"name": NAME});
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        json!({
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": metadata,
            "source": NAME,
            "summary": {"pass": pass, "fail": fail, "warn": warn, "error": error, "skip": skip},
            "results": self.results,
        })
    }
}
