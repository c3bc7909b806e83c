//! Rows about the annotations of pods, and what Stork does with their volumes.

use serde_json::json;

use super::{Row, row};
use crate::Rule;
use crate::checks::tests::objects::{
    DISABLE, LOCAL_ONLY, ON_CLAIM, ON_TEMPLATE, ON_TEMPLATE_DISABLE, OPT_OUT, SKIP, claim_by_annotation, deployment,
    ephemeral, local, stateful_local, with_priority, with_scheduler, with_volumes, workload,
};

#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            Rule::LocalOnlyDisabled,
            &[(deployment(&[(LOCAL_ONLY, "true"), (DISABLE, "true")], &["data"]), ON_TEMPLATE)],
            &[
                deployment(&[(LOCAL_ONLY, "true"), (DISABLE, "false")], &["data"]),
                deployment(&[(LOCAL_ONLY, "false"), (DISABLE, "true")], &["data"]),
            ],
        ),
        row(
            Rule::LocalOnlyWithoutClaim,
            &[(local(&[]), ON_TEMPLATE), (local(&["other"]), ON_TEMPLATE)],
            &[local(&["data"]), local(&["other", "data"]), local(&["absent"]), deployment(&[], &[])],
        ),
        row(
            Rule::LocalOnlyShared,
            &[
                (local(&["shared"]), ON_TEMPLATE),
                (local(&["data", "many"]), ON_TEMPLATE),
                (local(&["late-many"]), ON_TEMPLATE),
                (local(&["migrated"]), ON_TEMPLATE),
            ],
            &[local(&["data"]), deployment(&[], &["shared"]), local(&["array"]), local(&["windows", "many"])],
        ),
        row(
            Rule::LocalOnlySeveral,
            &[(local(&["data", "logs"]), ON_TEMPLATE), (local(&["data", "kept"]), ON_TEMPLATE)],
            &[
                local(&["data"]),
                local(&["data", "data"]),
                local(&["kept", "shared"]),
                local(&["data", "shared"]),
                local(&["data", "other"]),
                local(&["data", "windows"]),
                local(&["data", "static"]),
                // The volume does not exist yet.
                local(&["data", "late"]),
                // Another scheduler places the pod.
                with_scheduler(local(&["data", "logs"]), "my-scheduler"),
            ],
        ),
        row(
            Rule::DisabledShared,
            &[(deployment(&[(DISABLE, "true")], &["shared"]), ON_TEMPLATE_DISABLE)],
            &[deployment(&[(DISABLE, "true")], &["data"]), deployment(&[(DISABLE, "false")], &["shared"])],
        ),
        row(
            Rule::LocalOnlyDaemonSet,
            &[
                (workload("DaemonSet", &[(LOCAL_ONLY, "true")], &["data"]), ON_TEMPLATE),
                // The first pod creates the volume, which restricts the others.
                (workload("DaemonSet", &[(LOCAL_ONLY, "true")], &["late"]), ON_TEMPLATE),
            ],
            &[
                local(&["data"]),
                workload("DaemonSet", &[(LOCAL_ONLY, "false")], &["data"]),
                workload("DaemonSet", &[(LOCAL_ONLY, "true")], &["shared"]),
            ],
        ),
        row(
            Rule::LocalOnlyAutoscaler,
            &[(
                deployment(
                    &[(LOCAL_ONLY, "true"), ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false")],
                    &["data"],
                ),
                ON_TEMPLATE,
            )],
            &[local(&["data"]), deployment(&[("karpenter.sh/do-not-disrupt", "true")], &["data"])],
        ),
        row(
            Rule::LocalOnlyExternal,
            &[
                (local(&["array"]), ON_TEMPLATE),
                (
                    with_scheduler(deployment(&[(LOCAL_ONLY, "true"), (DISABLE, "true")], &["array"]), "stork"),
                    ON_TEMPLATE,
                ),
            ],
            &[
                local(&["data"]),
                deployment(&[], &["array"]),
                deployment(&[(LOCAL_ONLY, "true"), (OPT_OUT, "true")], &["array"]),
                local(&["array", "windows"]),
                local(&["late-array"]),
                local(&["late-files"]),
                local(&["data", "late-array"]),
            ],
        ),
        row(
            Rule::LocalOnlyRemoteOnly,
            &[(local(&["data", "shared"]), ON_TEMPLATE)],
            &[
                local(&["data", "many"]),
                local(&["shared"]),
                deployment(&[], &["data", "shared"]),
                // One of the volumes does not exist yet.
                local(&["late", "shared"]),
                local(&["data", "late-remote"]),
            ],
        ),
        row(
            Rule::LocalOnlyWindows,
            &[(local(&["windows"]), ON_TEMPLATE), (local(&["data", "windows", "absent"]), ON_TEMPLATE)],
            &[local(&["data"]), deployment(&[], &["windows"]), local(&["data", "late-windows"])],
        ),
        row(
            Rule::Unrecognized,
            &[
                (local(&["static"]), ON_TEMPLATE),
                (local(&["unread"]), ON_TEMPLATE),
                (local(&["data", "static", "windows"]), ON_TEMPLATE),
                (
                    with_volumes(local(&[]), json!([{ "name": "a", "csi": { "driver": "pxd.portworx.com" } }])),
                    ON_TEMPLATE,
                ),
                (
                    with_volumes(deployment(&[], &[]), ephemeral(&[(SKIP, "true")])),
                    "spec.template.spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.annotations[stork.libopenstorage.org/skipSchedulerScoring]",
                ),
                (claim_by_annotation(""), ON_CLAIM),
            ],
            &[
                local(&["data"]),
                deployment(&[], &["static"]),
                local(&["migrated"]),
                with_volumes(local(&[]), json!([{ "name": "a", "portworxVolume": { "volumeID": "1" } }])),
                with_volumes(local(&[]), json!([{ "name": "a", "csi": { "driver": "other.example.test" } }])),
                // The class may have the provisioner.
                claim_by_annotation("absent"),
                claim_by_annotation("px"),
            ],
        ),
        row(
            Rule::LocalOnlyFirstConsumer,
            &[
                (local(&["late"]), ON_TEMPLATE),
                (local(&["data", "late"]), ON_TEMPLATE),
                (local(&["late-array"]), ON_TEMPLATE),
                (local(&["late-files"]), ON_TEMPLATE),
                (local(&["late-windows"]), ON_TEMPLATE),
                (stateful_local("px-late"), ON_TEMPLATE),
                (stateful_local("px-late-array"), ON_TEMPLATE),
            ],
            &[
                local(&["data"]),
                deployment(&[], &["late"]),
                stateful_local("px"),
                // Stork ignores the annotation for it at any time.
                local(&["late-many"]),
                // Stork allows all nodes.
                local(&["windows", "late"]),
            ],
        ),
        row(
            Rule::LocalOnlyPreemption,
            &[
                (with_priority(local(&["data"]), &json!({ "priorityClassName": "high" })), ON_TEMPLATE),
                (with_priority(local(&["data"]), &json!({ "priority": 1000 })), ON_TEMPLATE),
            ],
            &[
                local(&["data"]),
                with_priority(local(&["shared"]), &json!({ "priorityClassName": "high" })),
                with_priority(local(&["late"]), &json!({ "priorityClassName": "high" })),
                with_priority(local(&["data"]), &json!({ "priorityClassName": "high", "preemptionPolicy": "Never" })),
                with_priority(local(&["data"]), &json!({ "priorityClassName": "low", "priority": -10 })),
                with_priority(local(&["data"]), &json!({ "priority": 0, "preemptionPolicy": "PreemptLowerPriority" })),
                with_priority(deployment(&[], &["data"]), &json!({ "priority": 1000 })),
            ],
        ),
    ]
}
