//! The warnings that reach the writer, and those that do not.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use super::super::occurrence::Controller;
use super::*;
use crate::engine::{Examination, Owner, Policy, Presence, Reason, Review, Topic, examine};
use crate::process::clock::Clock;

const NOW: &str = "2026-11-30T12:00:00Z";

/// Creates a recorder for these namespaces whose queue nobody reads, and the queue.
fn recorder(namespaces: &[&str]) -> (EventRecorder, Receiver<Report>, Process) {
    let clock = Clock::new(|| NOW.parse().unwrap());
    let process = Process { clock, ..Process::default() };
    let (reports, queue) = channel(CAPACITY);
    let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
    (EventRecorder(Some(Arc::new(Queue { reports, namespaces, process: process.clone() }))), queue, process)
}

/// Returns the review of a pod of a `StatefulSet` whose claim does not exist and whose opt-out is invalid, with the value at each
/// of these pointers replaced.
fn review(changes: &[(&str, Value)]) -> String {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "name": "mysql-0",
            "namespace": "shop",
            "operation": "CREATE",
            "dryRun": false,
            "object": {
                "metadata": {
                    "name": "mysql-0",
                    "annotations": {"stork.libopenstorage.org/disableHyperconvergence": "yes"},
                    "ownerReferences": [{
                        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "mysql", "uid": "5f0a", "controller": true,
                    }],
                },
                "spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]},
            },
            "oldObject": {},
        },
    });
    for (pointer, value) in changes {
        *review.pointer_mut(pointer).unwrap() = value.clone();
    }
    review.to_string()
}

/// Records the decision about a review for a cluster without claims.
fn record(recorder: &EventRecorder, review: &str) {
    let policy = Policy::default();
    let review = Review::parse(review.as_bytes(), &policy.workloads).unwrap();
    let decision = match examine(&policy, &review.request) {
        Examination::Decided(decision) => decision,
        Examination::Resolve(pending) => {
            let owners = pending.look_up(|_| Owner::Missing);
            pending.decide(owners, |_| Presence::Unknown)
        }
    };
    recorder.record(&review.request, &decision);
}

fn drain(queue: &mut Receiver<Report>) -> Vec<Report> {
    std::iter::from_fn(|| queue.try_recv().ok()).collect()
}

#[tokio::test]
async fn each_warning_about_a_pod_is_reported_for_its_controller() {
    let (recorder, mut queue, _) = recorder(&[]);
    record(&recorder, &review(&[]));
    let [namespace, api_version, kind, name, uid] =
        ["shop", "apps/v1", "StatefulSet", "mysql", "5f0a"].map(str::to_owned);
    let controller = Controller { namespace, api_version, kind, name, uid };
    let occurrence = |topic, text: &str| Occurrence { controller: controller.clone(), topic, text: text.to_owned() };
    let reports = drain(&mut queue);
    assert!(reports.iter().all(|report| report.time == NOW.parse::<Timestamp>().unwrap()));
    let occurrences: Vec<_> = reports.into_iter().map(|report| report.occurrence).collect();
    assert_eq!(
        occurrences,
        [
            occurrence(
                Topic::OptOutInvalid,
                "stork.libopenstorage.org/disableHyperconvergence is ignored because \"yes\" is not a boolean; use \"true\" to opt out"
            ),
            occurrence(
                Reason::ClaimMissing.into(),
                "claim `data` does not exist; the pod keeps scheduler default-scheduler, which cannot be changed later: fix this, then create the pod again"
            ),
        ]
    );
}

#[tokio::test]
async fn nothing_is_reported_without_a_stored_controller() {
    let object = "/request/object/metadata/ownerReferences";
    let owner = |key: &str, value: &str| (format!("{object}/0/{key}"), json!(value));
    let long = "a".repeat(64);
    let (recorder, mut queue, _) = recorder(&[]);
    let invalid = [
        ("a dry run", ("/request/dryRun".to_owned(), json!(true))),
        ("an update", ("/request/operation".to_owned(), json!("UPDATE"))),
        ("no owner", (object.to_owned(), json!([]))),
        ("an owner that does not control", (format!("{object}/0/controller"), json!(false))),
        (
            "a mirror pod",
            (
                object.to_owned(),
                json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "1", "controller": true}]),
            ),
        ),
        ("a namespace that is a path", ("/request/namespace".to_owned(), json!("a/../b"))),
        ("no namespace", ("/request/namespace".to_owned(), json!(null))),
        ("an invalid name", owner("name", "my/sql")),
        ("an empty name", owner("name", "")),
        ("an invalid kind", owner("kind", "Stateful Set")),
        ("a long kind", owner("kind", &long)),
        ("an empty UID", owner("uid", "")),
        ("an invalid UID", owner("uid", "a\nb")),
        ("an invalid group", owner("apiVersion", "a b/v1")),
        ("no version", owner("apiVersion", "apps/")),
        ("two slashes", owner("apiVersion", "apps/v1/v2")),
    ];
    for (what, (pointer, value)) in invalid {
        record(&recorder, &review(&[(&pointer, value)]));
        assert_eq!(drain(&mut queue).len(), 0, "{what}");
    }
    let opt_out = json!({"stork.libopenstorage.org/disableHyperconvergence": "yes"});
    let workload = [
        ("/request/kind", json!({"group": "apps", "version": "v1", "kind": "ReplicaSet"})),
        ("/request/object/spec", json!({"template": {"metadata": {"annotations": opt_out}, "spec": {}}})),
    ];
    record(&recorder, &review(&workload));
    assert_eq!(drain(&mut queue).len(), 0, "a template");
    record(&recorder, &review(&[]));
    assert_eq!(drain(&mut queue).len(), 2);
}

#[tokio::test]
async fn nothing_is_reported_for_namespaces_that_are_not_watched() {
    for (namespaces, reported) in [(&["other", "shop"][..], 2), (&["other"], 0)] {
        let (recorder, mut queue, _) = recorder(namespaces);
        record(&recorder, &review(&[]));
        assert_eq!(drain(&mut queue).len(), reported, "{namespaces:?}");
    }
}

#[tokio::test]
async fn nothing_is_reported_while_the_process_drains_or_if_off() {
    let (recorder, mut queue, process) = recorder(&[]);
    record(&EventRecorder::off(), &review(&[]));
    process.shutdown.draining.cancel();
    record(&recorder, &review(&[]));
    assert_eq!(drain(&mut queue).len(), 0);
    assert!(!process.metrics.encode().contains("colocate_events_total{"));
}

/// `record` is synchronous, so it cannot wait.
#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let (recorder, mut queue, process) = recorder(&[]);
    for _ in 0..CAPACITY {
        record(&recorder, &review(&[]));
    }
    let dropped = format!("colocate_events_total{{result=\"dropped\"}} {CAPACITY}\n");
    assert!(process.metrics.encode().contains(&dropped), "{}", process.metrics.encode());
    assert_eq!(drain(&mut queue).len(), CAPACITY);
}
