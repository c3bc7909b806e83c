//! Rows about the scheduler of pods.

use serde_json::{Value, json};

use super::{Row, row};
use crate::Rule;
use crate::checks::tests::objects::{
    DISABLE, IGNORE, LOCAL_ONLY, ON_LABEL, ON_TEMPLATE, ON_TEMPLATE_DISABLE, ON_VOLUMES, OPT_OUT, deployment,
    inline_claim, local, map, with_field, with_label, with_scheduler, with_volume,
};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            Rule::LocalOnlyUnenforced,
            &[
                (deployment(&[(LOCAL_ONLY, "true"), (OPT_OUT, "true")], &["data"]), ON_TEMPLATE),
                (with_scheduler(local(&["data"]), "my-scheduler"), ON_TEMPLATE),
                (with_label(local(&["data"]), IGNORE, "true"), ON_TEMPLATE),
                (with_field(local(&["data"]), "nodeName", "node-1"), ON_TEMPLATE),
                (with_field(with_scheduler(local(&["data"]), "stork"), "nodeName", "node-1"), ON_TEMPLATE),
                (with_field(local(&["data"]), "schedulingGroup", json!({})), ON_TEMPLATE),
                (with_field(local(&["data"]), "workloadRef", json!({})), ON_TEMPLATE),
                (mirror_pod(None), "metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]"),
                (mirror_pod(Some("stork")), "metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]"),
            ],
            &[
                with_label(local(&["data"]), IGNORE, "false"),
                with_label(with_scheduler(local(&["data"]), "stork"), IGNORE, "true"),
                with_field(with_scheduler(local(&["data"]), "stork"), "schedulingGroup", json!({})),
                // The webhook sets the scheduler of its pods when they are created.
                labelled_workload(local(&["data"])),
                local(&["data"]),
                with_scheduler(local(&["data"]), "stork"),
                with_scheduler(local(&["data"]), "default-scheduler"),
                with_scheduler(deployment(&[(LOCAL_ONLY, "true"), (OPT_OUT, "true")], &["data"]), "stork"),
                with_scheduler(deployment(&[(LOCAL_ONLY, "false")], &["data"]), "my-scheduler"),
            ],
        ),
        lost_by_an_opt_out(Rule::OptOutRestore),
        lost_by_an_opt_out(Rule::OptOutHealth),
        row(
            Rule::NotRecognised,
            &[
                (with_volume(json!({"csi": {"driver": "pxd.portworx.com"}}), &[], &[]), ON_VOLUMES),
                (with_volume(inline_claim(), &[], &[]), ON_VOLUMES),
                (deployment(&[], &["ga"]), ON_VOLUMES),
                (deployment(&[], &["unread"]), ON_VOLUMES),
                (with_scheduler(with_volume(inline_claim(), &[(OPT_OUT, "true")], &[]), "stork"), ON_VOLUMES),
                // The pods of a template that is left alone get their scheduler when they are created.
                (labelled_workload(with_volume(inline_claim(), &[], &[])), ON_VOLUMES),
                (applied(with_volume(inline_claim(), &[], &[])), ON_VOLUMES),
            ],
            &[
                deployment(&[], &["data"]),
                with_volume(inline_claim(), &[], &["data"]),
                with_volume(json!({"csi": {"driver": "secrets-store.csi.k8s.io"}}), &[], &[]),
                with_volume(json!({"portworxVolume": {"volumeID": "1"}}), &[], &[]),
                with_volume(inline_claim(), &[(OPT_OUT, "true")], &[]),
                with_scheduler(with_volume(inline_claim(), &[], &[]), "other-scheduler"),
                with_label(with_volume(inline_claim(), &[], &[]), IGNORE, "true"),
                with_field(with_volume(inline_claim(), &[], &[]), "nodeName", "node-1"),
                with_field(with_volume(inline_claim(), &[], &[]), "schedulingGroup", json!({})),
                with_field(with_volume(inline_claim(), &[], &[]), "workloadRef", json!({})),
                mirror_pod(None),
                mirror_pod(Some("stork")),
            ],
        ),
    ]
}

/// The row of a rule about a feature of Stork that pods with Portworx volumes lose by their opt-out.
fn lost_by_an_opt_out(rule: Rule) -> Row {
    row(
        rule,
        &[
            (deployment(&[(DISABLE, "true")], &["data"]), ON_TEMPLATE_DISABLE),
            (with_label(deployment(&[], &["data"]), IGNORE, "1"), ON_LABEL),
        ],
        &[
            deployment(&[(DISABLE, "false")], &["data"]),
            deployment(&[(DISABLE, "true")], &["other"]),
            with_scheduler(deployment(&[(DISABLE, "true")], &["data"]), "stork"),
            with_label(deployment(&[], &["data"]), IGNORE, "false"),
            labelled_workload(deployment(&[], &["data"])),
            // Without the opt-out, Stork would not schedule the pod either.
            with_scheduler(deployment(&[(DISABLE, "true")], &["data"]), "my-scheduler"),
            with_field(deployment(&[(DISABLE, "true")], &["data"]), "nodeName", "node-1"),
        ],
    )
}

/// A workload whose own label opts it out, but not its pods.
fn labelled_workload(mut object: Value) -> Value {
    object["metadata"]["labels"] = map(&[(IGNORE, "true")]);
    object
}

/// A workload that was applied from a manifest that names the default scheduler.
fn applied(object: Value) -> Value {
    let mut object = with_scheduler(object, "default-scheduler");
    let manifest = json!({ "spec": { "template": { "spec": { "schedulerName": "default-scheduler" } } } });
    let key = "kubectl.kubernetes.io/last-applied-configuration";
    object["metadata"]["annotations"] = map(&[(key, manifest.to_string())]);
    object
}

/// The copy of a static pod with an inline volume, which names this scheduler.
fn mirror_pod(scheduler: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "web", "annotations": map(&[(LOCAL_ONLY, "true"), ("kubernetes.io/config.mirror", "x")]) },
        "spec": { "schedulerName": scheduler, "volumes": [{ "name": "a", "csi": { "driver": "pxd.portworx.com" } }] },
    })
}
