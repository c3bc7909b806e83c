//! The audit as one JSON document, which docs/schemas/audit.json describes.

use serde::Serialize;
use serde_json::{Value, json};

use super::ClusterAudit;
use crate::engine::Mode;
use crate::insight::{Census, Counts, Prediction};
use crate::inspect::{self, FileForecast, PodChange, Webhooks, WorkloadForecast};

/// The document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    api_version: &'static str,
    kind: &'static str,
    clusters: Vec<Value>,
    seen: Vec<Value>,
    not_seen: Vec<Value>,
}

impl Default for Document {
    fn default() -> Self {
        Self { api_version: "colocate/v1", kind: "Audit", clusters: vec![], seen: vec![], not_seen: vec![] }
    }
}

impl Document {
    /// Adds a cluster.
    pub(super) fn add(&mut self, cluster: &ClusterAudit, namespace: Option<&str>) {
        let ClusterAudit { context, audit, seen, not_seen, skipped } = cluster;
        let mut entry = json!({"context": context, "namespace": namespace});
        match audit {
            Ok(audit) => entry.as_object_mut().into_iter().for_each(|entry| entry.extend(fields(audit, skipped))),
            Err(problem) => entry["error"] = problem.what.as_str().into(),
        }
        self.clusters.push(entry);
        self.seen.extend(seen.iter().map(|resource| json!({"context": context, "resource": resource})));
        self.not_seen.extend(not_seen.iter().map(|not_seen| {
            let mut entry = json!(not_seen);
            entry["context"] = json!(context);
            entry
        }));
    }
}

fn fields(audit: &inspect::Audit, skipped: &[String]) -> serde_json::Map<String, Value> {
    let inspect::Audit {
        is_namespace_missing: _,
        config,
        mode,
        installed,
        pods,
        templates,
        more_templates: _,
        findings,
        claims,
        classes,
        webhooks,
        stork,
        files,
        plan: _,
    } = audit;
    let rules = findings.rules.iter().map(|(rule, count)| {
        json!({
            "rule": rule.id(),
            "title": rule.title(),
            "severity": count.severity.map(crate::companion::Severity::as_str),
            "count": count.count,
            "unchecked": count.unchecked,
        })
    });
    let stork = stork.map(|stork| {
        let mut entry = json!(stork);
        entry["consequence"] = stork.consequence().into();
        entry
    });
    let fields = json!({
        "mode": mode_word(*mode),
        "configuration": config.document(),
        "installed": installed,
        "pods": pods.as_ref().map(census),
        "templates": templates.as_ref().map(census),
        "storage": {"claims": claims, "classes": classes},
        "findings": {
            "objects": findings.objects,
            "rules": rules.collect::<Vec<_>>(),
            "items": findings.kept,
            "more": findings.more,
        },
        "stork": stork,
        "files": files.as_ref().map(|files| forecast(files, skipped)),
        "webhooks": webhooks.as_ref().map(Webhooks::pod_webhooks),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    }
}

fn forecast(forecast: &FileForecast, skipped: &[String]) -> Value {
    let FileForecast { workloads, pods, notes } = forecast;
    let workloads = workloads.iter().map(|forecast| {
        let WorkloadForecast { place, namespace, kind, name, prediction } = forecast;
        let Prediction { when, today, after, rejection, .. } = prediction;
        json!({
            "place": place, "namespace": namespace, "kind": kind, "name": name, "when": when.as_str(), "today": today,
            "after": after.scheduler.as_deref(), "reason": after.reason, "rejection": rejection,
        })
    });
    let changes = pods.counts.iter().map(|(change, count)| {
        let PodChange { namespace, kind, name, when, today, after, reason } = change;
        json!({
            "namespace": namespace, "kind": kind, "name": name, "pods": count, "when": when, "today": today, "after": after,
            "reason": reason,
        })
    });
    json!({
        "workloads": workloads.collect::<Vec<_>>(),
        "pods": changes.collect::<Vec<_>>(),
        "morePods": pods.more,
        "notes": notes,
        "skipped": skipped,
    })
}

fn census(census: &Census) -> Value {
    let Census { total, reasons, namespaces, workloads, unknown_facts, more_namespaces, more_workloads } = census;
    let reasons = reasons.iter().map(|(reason, counts)| with(counts, json!({"reason": reason})));
    let namespaces = namespaces.iter().map(|(namespace, counts)| with(counts, json!({"namespace": namespace})));
    let workloads = workloads.iter().map(|(key, workload)| {
        let place = json!({"namespace": key.namespace, "kind": key.kind, "name": key.name});
        let example = json!({
            "pod": workload.pod,
            "reason": workload.reason,
            "scheduler": &*workload.actual,
            // An unknown pod may have to name any scheduler.
            "expected": (workload.counts.wrong > 0).then_some(&*workload.scheduler),
        });
        let mut entry = with(&workload.counts, place);
        entry["example"] = example;
        entry
    });
    let unknown_facts = unknown_facts
        .iter()
        .map(|(fact, pods)| json!({"fact": fact.as_str(), "explanation": fact.explanation(), "pods": pods}));
    let entry = json!({
        "percentAsExpected": total.percent_as_expected(),
        "reasons": reasons.collect::<Vec<_>>(),
        "namespaces": namespaces.collect::<Vec<_>>(),
        "workloads": workloads.collect::<Vec<_>>(),
        "unknownFacts": unknown_facts.collect::<Vec<_>>(),
        "moreNamespaces": more_namespaces,
        "moreWorkloads": more_workloads,
    });
    with(total, entry)
}

/// Adds numbers of pods to an object.
fn with(counts: &Counts, mut entry: Value) -> Value {
    let Counts { as_expected, wrong, unknown, not_sent, ended } = counts;
    let numbers =
        [("asExpected", as_expected), ("wrong", wrong), ("unknown", unknown), ("notSent", not_sent), ("ended", ended)];
    for (name, number) in numbers {
        entry[name] = json!(number);
    }
    entry
}

/// The word of the configuration for a mode.
pub(super) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Inject => "inject",
        Mode::Audit => "audit",
        Mode::Off => "off",
    }
}
