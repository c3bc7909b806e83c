//! Cluster-wide settings: `mode`, and `templates`.

use colocate_harness::{Colocate, Namespace, PORTWORX_CLASS, fixture};

use crate::kinds::{PODS_OF_KINDS, workloads};

#[test]
fn audit_reports_decisions_and_changes_nothing() {
    let (namespace, colocate) = kinds("mode-audit", "mode: audit\n");

    assert_on(&namespace, "default-scheduler", "default-scheduler");
    for kind in
        ["Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicationController", "PodTemplate", "Job", "CronJob"]
    {
        assert_eq!(colocate.reason_at_create(kind, "example"), "would-inject", "{kind}");
    }
    let injected = colocate.decisions().into_iter().filter(|decided| decided.reason == "injected");
    assert_eq!(injected.count(), 0);
}

#[test]
fn off_decides_nothing() {
    let (namespace, colocate) = kinds("mode-off", "mode: off\n");

    assert_on(&namespace, "default-scheduler", "default-scheduler");
    assert!(colocate.decisions().iter().all(|decided| decided.reason == "off"), "{:?}", colocate.decisions());
}

#[test]
fn templates_leave_changes_pods_only() {
    let (namespace, colocate) = kinds("templates-leave", "templates: leave\n");

    assert_on(&namespace, "default-scheduler", "stork");
    assert_eq!(colocate.reason_at_create("Deployment", "example"), "templates-left");
    assert_eq!(colocate.reason_at_create("Pod", "example-"), "injected");
}

/// A namespace with an object of each kind. The manifest is applied twice: a mode must not cause a difference.
fn kinds(name: &str, config: &str) -> (Namespace, Colocate) {
    let namespace = Namespace::new(name);
    let colocate = Colocate::register(&namespace, config);
    namespace.add_claim("data", PORTWORX_CLASS);
    for _ in 0..2 {
        let output = namespace.apply(&fixture("kinds.yaml"));
        assert_eq!(output.stderr, "");
    }
    (namespace, colocate)
}

fn assert_on(namespace: &Namespace, templates: &str, pods: &str) {
    for pod in namespace.running_pods("", PODS_OF_KINDS) {
        assert_eq!(pod.scheduler(), pods, "{}", pod.name());
        assert_eq!(namespace.bound_by(&pod), pods, "{}", pod.name());
    }
    for workload in workloads(namespace) {
        assert_eq!(workload.scheduler(), templates, "{}", workload.kind());
        assert_eq!(workload.generation(), 1, "{}", workload.kind());
    }
}
