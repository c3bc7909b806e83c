//! The result as one JSON document, which docs/schemas/locality.json describes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Outcome;
use crate::inspect::{NonLocalPod, PodPlace, SourceRow, UnknownPod};
use crate::locality::{Counts, Locality, WhyNot};

/// Makes the document.
pub(super) fn document(outcome: &Outcome<'_>) -> Value {
    let Outcome { report, namespace, by, seen, not_seen } = outcome;
    let groups = report.shares.as_ref().map(|shares| {
        let groups = by.groups(shares).into_iter().map(|(values, counts)| {
            let labels: Value = by.labels().iter().zip(values).map(|(label, value)| (*label, value)).collect();
            counted(counts, labels)
        });
        json!({"by": by.labels(), "groups": groups.collect::<Vec<_>>(), "more": by.more(shares)})
    });
    let total = report.shares.as_ref().map(|shares| {
        let mut total = counted(&shares.total, json!({}));
        let reasons = shares.reasons.iter().map(|(reason, pods)| json!({"reason": reason, "pods": pods}));
        total["reasons"] = reasons.collect();
        total
    });
    json!({
        "apiVersion": "colocate/v1",
        "kind": "Locality",
        "namespace": namespace,
        "configuration": report.config.document(),
        "sources": report.sources.iter().map(source).collect::<Vec<_>>(),
        "notCounted": report.not_counted.iter().map(|(provisioner, claims)| not_counted(provisioner, *claims)).collect::<Vec<_>>(),
        "pods": total,
        "gain": report.gain.map(|gain| gain.pods),
        "gainUnknown": report.gain.map(|gain| gain.unknown),
        "shares": groups,
        "notLocal": report.non_local.iter().map(non_local).collect::<Vec<_>>(),
        "unknown": report.unknown.iter().map(unknown).collect::<Vec<_>>(),
        "more": report.more,
        "seen": seen.iter().map(|resource| json!({"resource": resource})).collect::<Vec<_>>(),
        "notSeen": not_seen,
    })
}

fn counted(counts: &Counts, mut entry: Value) -> Value {
    let Counts { local, partly, remote, meant_to_be_remote, unknown } = counts;
    let numbers = [
        ("local", local),
        ("partly", partly),
        ("remote", remote),
        ("meantToBeRemote", meant_to_be_remote),
        ("unknown", unknown),
    ];
    for (name, number) in numbers {
        entry[name] = json!(number);
    }
    entry["percentLocal"] = json!(counts.percent_local());
    entry
}

fn source(SourceRow { driver, source }: &SourceRow) -> Value {
    json!({"driver": &**driver, "source": source.as_ref().ok(), "error": source.as_ref().err()})
}

fn not_counted(provisioner: &str, claims: u64) -> Value {
    json!({"provisioner": provisioner, "claims": claims})
}

fn place(PodPlace { namespace, name, workload: (kind, owner), driver, node }: &PodPlace) -> Value {
    json!({
        "namespace": namespace,
        "name": name,
        "workload": {"kind": kind, "name": owner},
        "driver": &**driver,
        "node": node,
    })
}

fn non_local(NonLocalPod { pod, locality, replicas, some_replicas, why_not, target }: &NonLocalPod) -> Value {
    let mut entry = place(pod);
    let reason = |why: &WhyNot| {
        let advice = Some(why.advice()).filter(|advice| !advice.is_empty());
        json!({"reason": why.as_str(), "text": why.to_string(), "advice": advice})
    };
    entry["locality"] = Locality::as_str(locality).into();
    let names = |nodes: &[Arc<str>]| nodes.iter().map(|node| Value::from(&**node)).collect::<Value>();
    entry["replicas"] = names(replicas);
    entry["someReplicas"] = names(some_replicas);
    entry["whyNot"] = why_not.iter().map(reason).collect();
    entry["wouldRunOn"] = json!(target);
    entry
}

fn unknown(UnknownPod { pod, word, why }: &UnknownPod) -> Value {
    let mut entry = place(pod);
    entry["reason"] = (*word).into();
    entry["text"] = why.as_str().into();
    entry
}
