//! Rows about keys and their values.

use serde_json::json;

use super::{Row, row};
use crate::Rule;
use crate::checks::tests::objects::{
    DISABLE, IGNORE, LOCAL_ONLY, MANY, ON_CLAIM, ON_CLASS, ON_LABEL, ON_TEMPLATE, ON_TEMPLATE_DISABLE, ONCE, OPT_OUT,
    REMOTE, REMOTE_ONLY, SKIP, claim, class, deployment, local, map, namespace, portworx, stateful, with, with_field,
    with_label,
};

#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            Rule::NoBoolean,
            &[
                (deployment(&[(LOCAL_ONLY, "yes")], &["data"]), ON_TEMPLATE),
                (deployment(&[(DISABLE, "")], &[]), ON_TEMPLATE_DISABLE),
                (with_label(deployment(&[], &["data"]), IGNORE, "yes"), ON_LABEL),
                (
                    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "labels": { IGNORE: "on" } } }),
                    "metadata.labels[colocate/ignore]",
                ),
                (portworx(&[("sharedv4", "true"), (REMOTE_ONLY, "tRUE")]), ON_CLASS),
                (claim("px-shared", MANY, &[(REMOTE_ONLY, " true")]), ON_CLAIM),
                (
                    stateful(&[(REMOTE_ONLY, "on")], "px-shared"),
                    "spec.volumeClaimTemplates[0].metadata.annotations[stork.libopenstorage.org/preferRemoteNodeOnly]",
                ),
                (
                    claim("px", ONCE, &[("stork.libopenstorage.org/restore-in-progress", "True")]),
                    "metadata.annotations[stork.libopenstorage.org/restore-in-progress]",
                ),
            ],
            &[
                local(&["data"]),
                with_label(deployment(&[], &["data"]), IGNORE, "F"),
                deployment(&[(IGNORE, "yes")], &["data"]),
                deployment(&[(LOCAL_ONLY, "F"), (OPT_OUT, "0")], &["data"]),
                claim("px", ONCE, &[("stork.libopenstorage.org/restore-in-progress", "true")]),
                claim("px", ONCE, &[("stork.libopenstorage.org/restore-in-progress", "false")]),
                deployment(&[("example.com/preferLocal", "yes")], &["data"]),
            ],
        ),
        row(
            Rule::NoString,
            &[
                (
                    with(local(&["data"]), "/spec/template/metadata/annotations", map(&[(LOCAL_ONLY, true)])),
                    ON_TEMPLATE,
                ),
                (with(portworx(&[]), "/parameters", map(&[(REMOTE_ONLY, 1)])), ON_CLASS),
                (with(portworx(&[]), "/parameters", map(&[("sharedv4", true)])), "parameters[sharedv4]"),
                (with_label(deployment(&[], &["data"]), IGNORE, true), ON_LABEL),
                (
                    with(namespace(&[]), "/metadata/labels", map(&[(OPT_OUT, true)])),
                    "metadata.labels[stork.libopenstorage.org/disable-admission-controller]",
                ),
            ],
            &[
                local(&["data"]),
                with(local(&["data"]), "/spec/template/metadata/annotations", map(&[("example.com/a", 1)])),
            ],
        ),
        row(
            Rule::Misspelled,
            &[
                (
                    deployment(&[("stork.libopenstorage.org/preferLocalnodeOnly", "true")], &["data"]),
                    "spec.template.metadata.annotations[stork.libopenstorage.org/preferLocalnodeOnly]",
                ),
                (
                    with(
                        local(&["data"]),
                        "/metadata/annotations",
                        map(&[("stork.libopenstorage.org/disableHyperconvergance", "true")]),
                    ),
                    "metadata.annotations[stork.libopenstorage.org/disableHyperconvergance]",
                ),
                (portworx(&[("preferRemoteNodeOnly", "true")]), "parameters[preferRemoteNodeOnly]"),
                (
                    deployment(&[("stork.libopenstorage.org.preferLocalNodeOnly", "true")], &["data"]),
                    "spec.template.metadata.annotations[stork.libopenstorage.org.preferLocalNodeOnly]",
                ),
                (
                    with_field(deployment(&[], &["data"]), "preferLocalNodeOnly", true),
                    "spec.template.spec[preferLocalNodeOnly]",
                ),
                (portworx(&[("placement-strategy", "x")]), "parameters[placement-strategy]"),
                (claim("px", ONCE, &[("placementStrategy", "x")]), "metadata.annotations[placementStrategy]"),
                (claim("absent", ONCE, &[("placementStrategy", "x")]), "metadata.annotations[placementStrategy]"),
                (
                    namespace(&[("stork.libopenstorage.org/disable-admission-controler", "true")]),
                    "metadata.labels[stork.libopenstorage.org/disable-admission-controler]",
                ),
            ],
            &[
                local(&["data"]),
                deployment(&[("stork.libopenstorage.org/snapshotName", "x"), ("app/replicas", "1")], &[]),
                class("other.example.test", &[("placement-strategy", "x")]),
                claim("other", ONCE, &[("placementStrategy", "x")]),
                deployment(&[("placement-strategy", "x")], &["data"]),
            ],
        ),
        row(
            Rule::UnknownKey,
            &[(
                deployment(&[("stork.libopenstorage.org/scheduling-weight", "3")], &["data"]),
                "spec.template.metadata.annotations[stork.libopenstorage.org/scheduling-weight]",
            )],
            &[
                local(&["data"]),
                deployment(&[("stork.libopenstorage.org/created-by", "x"), ("example.com/a", "b")], &[]),
            ],
        ),
        row(
            Rule::OnWorkload,
            &[
                (
                    with(deployment(&[], &["data"]), "/metadata/annotations", map(&[(LOCAL_ONLY, "true")])),
                    "metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]",
                ),
                (
                    json!({
                        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {},
                        "spec": { "jobTemplate": { "metadata": { "annotations": map(&[(OPT_OUT, "true")]) }, "spec": { "template": {} } } },
                    }),
                    "spec.jobTemplate.metadata.annotations[stork.libopenstorage.org/disable-admission-controller]",
                ),
            ],
            &[
                local(&["data"]),
                // Set on both the workload and the template.
                with(local(&["data"]), "/metadata/annotations", map(&[(LOCAL_ONLY, "true")])),
                json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "annotations": map(&[(LOCAL_ONLY, "true")]) }, "spec": {} }),
            ],
        ),
        row(
            Rule::StorageKeyOnPod,
            &[
                (
                    deployment(&[(SKIP, "true")], &["data"]),
                    "spec.template.metadata.annotations[stork.libopenstorage.org/skipSchedulerScoring]",
                ),
                (
                    with(deployment(&[], &["data"]), "/metadata/annotations", map(&[(REMOTE, "false")])),
                    "metadata.annotations[stork.libopenstorage.org/preferRemoteNode]",
                ),
            ],
            &[stateful(&[(REMOTE_ONLY, "true")], "px-shared"), local(&["data"])],
        ),
        row(
            Rule::PodKeyOnStorage,
            &[
                (portworx(&[(LOCAL_ONLY, "true")]), "parameters[stork.libopenstorage.org/preferLocalNodeOnly]"),
                (
                    claim("px", ONCE, &[(DISABLE, "true")]),
                    "metadata.annotations[stork.libopenstorage.org/disableHyperconvergence]",
                ),
                (
                    stateful(&[(LOCAL_ONLY, "true")], "px"),
                    "spec.volumeClaimTemplates[0].metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]",
                ),
            ],
            &[portworx(&[("sharedv4", "true"), (REMOTE, "false")]), claim("px-shared", MANY, &[(SKIP, "true")])],
        ),
        row(
            Rule::InLabels,
            &[(
                {
                    let mut object = deployment(&[], &["data"]);
                    object["spec"]["template"]["metadata"]["labels"] = map(&[(LOCAL_ONLY, "true")]);
                    object
                },
                "spec.template.metadata.labels[stork.libopenstorage.org/preferLocalNodeOnly]",
            )],
            &[local(&["data"]), namespace(&[(OPT_OUT, "true")])],
        ),
        row(
            Rule::OnClassMetadata,
            &[(
                with(portworx(&[("sharedv4", "true")]), "/metadata/annotations", map(&[(REMOTE_ONLY, "true")])),
                "metadata.annotations[stork.libopenstorage.org/preferRemoteNodeOnly]",
            )],
            &[portworx(&[("sharedv4", "true"), (REMOTE_ONLY, "true")])],
        ),
        row(
            Rule::OnNamespace,
            &[
                (
                    with(namespace(&[]), "/metadata/annotations", map(&[(OPT_OUT, "true")])),
                    "metadata.annotations[stork.libopenstorage.org/disable-admission-controller]",
                ),
                (namespace(&[(LOCAL_ONLY, "true")]), "metadata.labels[stork.libopenstorage.org/preferLocalNodeOnly]"),
            ],
            &[namespace(&[(OPT_OUT, "true"), ("team", "shop")])],
        ),
        row(
            Rule::NamespaceLabel,
            &[(
                namespace(&[(OPT_OUT, "yes")]),
                "metadata.labels[stork.libopenstorage.org/disable-admission-controller]",
            )],
            &[namespace(&[(OPT_OUT, "true")]), namespace(&[(OPT_OUT, "0")]), namespace(&[])],
        ),
        row(
            Rule::Misplaced,
            &[
                (
                    with(
                        deployment(&[], &["data"]),
                        "/spec/template",
                        json!({ "annotations": map(&[(LOCAL_ONLY, "true")]) }),
                    ),
                    "spec.template.annotations[stork.libopenstorage.org/preferLocalNodeOnly]",
                ),
                (
                    with_field(deployment(&[], &["data"]), "annotations", map(&[(LOCAL_ONLY, "true")])),
                    "spec.template.spec.annotations[stork.libopenstorage.org/preferLocalNodeOnly]",
                ),
                (
                    with(deployment(&[], &["data"]), "/spec", json!({ "annotations": map(&[(LOCAL_ONLY, "true")]) })),
                    "spec.annotations[stork.libopenstorage.org/preferLocalNodeOnly]",
                ),
                (
                    json!({ "apiVersion": "v1", "kind": "Pod", "annotations": map(&[(DISABLE, "true")]) }),
                    "annotations[stork.libopenstorage.org/disableHyperconvergence]",
                ),
                (
                    with(deployment(&[], &["data"]), "/metadata", map(&[(LOCAL_ONLY, "true")])),
                    "metadata[stork.libopenstorage.org/preferLocalNodeOnly]",
                ),
                (
                    with(
                        deployment(&[], &["data"]),
                        "/spec/template/metadata",
                        json!({ "annotation": map(&[(LOCAL_ONLY, "true")]) }),
                    ),
                    "spec.template.metadata.annotation[stork.libopenstorage.org/preferLocalNodeOnly]",
                ),
                (
                    with(claim("px", MANY, &[]), "/spec", map(&[(REMOTE_ONLY, "true")])),
                    "spec[stork.libopenstorage.org/preferRemoteNodeOnly]",
                ),
                (
                    json!({
                        "apiVersion": "v1", "kind": "PersistentVolume",
                        "metadata": { "name": "pv", "annotations": map(&[(SKIP, "true")]) },
                    }),
                    "metadata.annotations[stork.libopenstorage.org/skipSchedulerScoring]",
                ),
                (
                    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "labels": map(&[(LOCAL_ONLY, "true")]) } }),
                    "metadata.labels[stork.libopenstorage.org/preferLocalNodeOnly]",
                ),
                (
                    kustomization("generatorOptions", &json!({ "annotations": map(&[(LOCAL_ONLY, "true")]) })),
                    "generatorOptions.annotations[stork.libopenstorage.org/preferLocalNodeOnly]",
                ),
                (
                    json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "annotations": map(&[(DISABLE, "true")]) } }),
                    "metadata.annotations[stork.libopenstorage.org/disableHyperconvergence]",
                ),
            ],
            &[
                local(&["data"]),
                // Keys of other purposes, copies, and the data of a ConfigMap.
                json!({
                    "apiVersion": "v1", "kind": "PersistentVolume",
                    "metadata": { "annotations": map(&[("stork.libopenstorage.org/migrationName", "x")]) },
                }),
                with(
                    local(&["data"]),
                    "/metadata",
                    json!({ "managedFields": [{ "fieldsV1": map(&[("f:stork.libopenstorage.org/preferLocalNodeOnly", 1)]) }] }),
                ),
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": map(&[(LOCAL_ONLY, "true")]) }),
                with_field(local(&["data"]), "affinity", json!({ "preferred": 1 })),
            ],
        ),
        row(
            Rule::OnEveryObject,
            &[(
                kustomization("commonAnnotations", &map(&[(LOCAL_ONLY, "true")])),
                "commonAnnotations[stork.libopenstorage.org/preferLocalNodeOnly]",
            )],
            &[kustomization("commonAnnotations", &map(&[("example.com/a", "b")]))],
        ),
    ]
}

fn kustomization(field: &str, value: &serde_json::Value) -> serde_json::Value {
    json!({ "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", field: value })
}
