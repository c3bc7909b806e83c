//! The table of rules: for each rule, objects with a finding and its path, and objects without a finding.

use serde_json::{Value, json};

use crate::Rule;
use colocate_engine::{ClaimFacts, ClassFacts, Evidence, Inventory, Settings, VolumeFacts};

/// The cluster that the objects of the table are checked against.
///
/// | claim | class | description |
/// |---|---|---|
/// | `data`, `logs` | `px` | ordinary Portworx volumes |
/// | `kept` | `px-kept` | a volume with a placement strategy |
/// | `shared` | `px-shared` | a sharedv4 service volume |
/// | `many` | `px` | a `ReadWriteMany` volume |
/// | `other` | `other` | a volume of another driver |
/// | `array` | `px-array` | a volume on a storage array |
/// | `windows` | `px-windows` | a volume for Windows |
/// | `late` | `px-late` | a volume that waits for its first pod |
/// | `static` | | a CSI volume that was created by hand, without `pv.kubernetes.io/provisioned-by` |
/// | `ga` | none | a volume that only the GA annotation gives to Portworx |
pub(super) fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    let classes: [(&str, &str, Pairs<'_>); 8] = [
        ("px", "pxd.portworx.com", &[]),
        ("px-kept", "pxd.portworx.com", &[("placement_strategy", "together")]),
        (
            "px-shared",
            "pxd.portworx.com",
            &[("sharedv4", "true"), (REMOTE_ONLY, "true"), ("placement_strategy", "apart")],
        ),
        ("px-local", "pxd.portworx.com", &[("sharedv4", "true"), (REMOTE, "false")]),
        ("other", "other.example.test", &[]),
        ("px-array", "pxd.portworx.com", &[("backend", "pure_block")]),
        ("px-windows", "pxd.portworx.com", &[("winshare", "true")]),
        ("px-late", "pxd.portworx.com", &[]),
    ];
    for (name, provisioner, parameters) in classes {
        let parameter = |key: &str| parameters.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
        let (provisioner, parameters) = (provisioner.into(), Settings::read(parameter));
        let binds_late = name == "px-late";
        let facts = ClassFacts { provisioner, parameters, binds_late, ..ClassFacts::default() };
        inventory.insert_class(name, facts);
    }
    let claims = [("data", "px", ONCE), ("logs", "px", ONCE), ("kept", "px-kept", ONCE), ("shared", "px-shared", MANY)];
    let special = [("array", "px-array", ONCE), ("windows", "px-windows", MANY), ("late", "px-late", ONCE)];
    let others = [("many", "px", MANY), ("other", "other", ONCE)];
    for (name, class, access) in claims.into_iter().chain(others).chain(special) {
        let (access, bound) = ([access].into_iter().collect(), name != "late");
        let claim = ClaimFacts { class: Some(class.into()), access, bound, ..ClaimFacts::default() };
        inventory.insert_claim("shop", name, &claim);
    }
    inventory.insert_volume("pv", VolumeFacts { provisioner: Some(("pxd.portworx.com".into(), Evidence::StaticCsi)) });
    let by_hand = ClaimFacts { class: Some("".into()), volume: Some("pv".into()), ..ClaimFacts::default() };
    inventory.insert_claim("shop", "static", &by_hand);
    let provisioner = Some("pxd.portworx.com".into());
    let ga =
        ClaimFacts { class: Some("".into()), provisioner, ga_annotation: true, bound: true, ..ClaimFacts::default() };
    inventory.insert_claim("shop", "ga", &ga);
    inventory
}

/// Keys and values.
type Pairs<'p> = &'p [(&'p str, &'p str)];

pub(super) const ONCE: &str = "ReadWriteOnce";
pub(super) const MANY: &str = "ReadWriteMany";

pub(super) const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
pub(super) const DISABLE: &str = "stork.libopenstorage.org/disableHyperconvergence";
pub(super) const OPT_OUT: &str = "stork.libopenstorage.org/disable-admission-controller";
pub(super) const REMOTE: &str = "stork.libopenstorage.org/preferRemoteNode";
pub(super) const REMOTE_ONLY: &str = "stork.libopenstorage.org/preferRemoteNodeOnly";
const RESTORE: &str = "stork.libopenstorage.org/restore-in-progress";
pub(super) const SKIP: &str = "stork.libopenstorage.org/skipSchedulerScoring";

pub(super) fn map<V: Into<Value> + Clone>(entries: &[(&str, V)]) -> Value {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone().into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A workload whose template has these annotations and mounts these claims.
pub(super) fn workload(kind: &str, annotations: &[(&str, &str)], claims: &[&str]) -> Value {
    let volume = |name: &&str| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
    json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": { "name": "web", "annotations": {} },
        "spec": { "template": {
            "metadata": { "annotations": map(annotations) },
            "spec": { "volumes": claims.iter().map(volume).collect::<Vec<_>>() },
        } },
    })
}

pub(super) fn deployment(annotations: &[(&str, &str)], claims: &[&str]) -> Value {
    workload("Deployment", annotations, claims)
}

pub(super) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).expect("an existing field") = value;
    object
}

pub(super) fn class(provisioner: &str, parameters: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": { "name": "new", "annotations": {} },
        "provisioner": provisioner,
        "parameters": map(parameters),
    })
}

pub(super) fn claim(class: &str, access: &str, annotations: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": "new", "annotations": map(annotations) },
        "spec": { "storageClassName": class, "accessModes": [access] },
    })
}

pub(super) fn namespace(labels: &[(&str, &str)]) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "annotations": {}, "labels": map(labels) } })
}

/// A rule, objects with a finding and its path, and objects without a finding.
pub(super) struct Row {
    pub(super) rule: Rule,
    pub(super) fires: Vec<(Value, &'static str)>,
    pub(super) quiet: Vec<Value>,
}

pub(super) const ON_TEMPLATE: &str = "spec.template.metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]";
pub(super) const ON_TEMPLATE_DISABLE: &str =
    "spec.template.metadata.annotations[stork.libopenstorage.org/disableHyperconvergence]";
const ON_CLASS: &str = "parameters[stork.libopenstorage.org/preferRemoteNodeOnly]";
const ON_CLAIM: &str = "metadata.annotations[stork.libopenstorage.org/preferRemoteNodeOnly]";

#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(super) fn table() -> Vec<Row> {
    let local = |claims: &[&str]| deployment(&[(LOCAL_ONLY, "true")], claims);
    let portworx = |parameters: &[(&str, &str)]| class("pxd.portworx.com", parameters);
    let row = |rule, fires: &[(Value, &'static str)], quiet: &[Value]| Row {
        rule,
        fires: fires.to_vec(),
        quiet: quiet.to_vec(),
    };
    let stateful = |annotations: &[(&str, &str)], class: &str| {
        let mut object = workload("StatefulSet", &[], &[]);
        object["spec"]["volumeClaimTemplates"] = json!([claim(class, ONCE, annotations)]);
        object
    };
    let stateful_local = |class: &str| {
        let mut object = workload("StatefulSet", &[(LOCAL_ONLY, "true")], &[]);
        object["spec"]["volumeClaimTemplates"] = json!([claim(class, ONCE, &[])]);
        object
    };
    let claim_by_annotation = |class: &str| {
        let provisioner = ("volume.kubernetes.io/storage-provisioner", "pxd.portworx.com");
        claim(class, MANY, &[(REMOTE_ONLY, "true"), provisioner])
    };
    let ephemeral = |annotations: &[(&str, &str)]| json!([{ "name": "scratch", "ephemeral": { "volumeClaimTemplate": claim("px", ONCE, annotations) } }]);
    vec![
        row(
            Rule::NoBoolean,
            &[
                (deployment(&[(LOCAL_ONLY, "yes")], &["data"]), ON_TEMPLATE),
                (deployment(&[(DISABLE, "")], &[]), ON_TEMPLATE_DISABLE),
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
                    namespace(&[("stork.libopenstorage.org/disable-admission-controler", "true")]),
                    "metadata.labels[stork.libopenstorage.org/disable-admission-controler]",
                ),
            ],
            &[
                local(&["data"]),
                deployment(&[("stork.libopenstorage.org/snapshotName", "x"), ("app/replicas", "1")], &[]),
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
            Rule::LocalOnlyDisabled,
            &[(deployment(&[(LOCAL_ONLY, "true"), (DISABLE, "true")], &["data"]), ON_TEMPLATE)],
            &[
                deployment(&[(LOCAL_ONLY, "true"), (DISABLE, "false")], &["data"]),
                deployment(&[(LOCAL_ONLY, "false"), (DISABLE, "true")], &["data"]),
            ],
        ),
        row(
            Rule::LocalOnlyUnenforced,
            &[
                (deployment(&[(LOCAL_ONLY, "true"), (OPT_OUT, "true")], &["data"]), ON_TEMPLATE),
                (with_scheduler(local(&["data"]), "my-scheduler"), ON_TEMPLATE),
            ],
            &[
                local(&["data"]),
                with_scheduler(local(&["data"]), "stork"),
                with_scheduler(local(&["data"]), "default-scheduler"),
                with_scheduler(deployment(&[(LOCAL_ONLY, "true"), (OPT_OUT, "true")], &["data"]), "stork"),
                with_scheduler(deployment(&[(LOCAL_ONLY, "false")], &["data"]), "my-scheduler"),
            ],
        ),
        row(
            Rule::LocalOnlyWithoutClaim,
            &[(local(&[]), ON_TEMPLATE), (local(&["other"]), ON_TEMPLATE)],
            &[local(&["data"]), local(&["other", "data"]), local(&["absent"]), deployment(&[], &[])],
        ),
        row(
            Rule::LocalOnlyShared,
            &[(local(&["shared"]), ON_TEMPLATE), (local(&["data", "many"]), ON_TEMPLATE)],
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
            Rule::RemoteOnlyCancelled,
            &[
                (portworx(&[("sharedv4", "true"), (REMOTE, "false"), (REMOTE_ONLY, "true")]), ON_CLASS),
                // One of the two comes from the class.
                (claim("px-local", MANY, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
                (
                    claim("px-shared", MANY, &[(REMOTE, "false")]),
                    "metadata.annotations[stork.libopenstorage.org/preferRemoteNode]",
                ),
            ],
            &[
                portworx(&[("sharedv4", "true"), (REMOTE, "true"), (REMOTE_ONLY, "true")]),
                portworx(&[("sharedv4", "true"), (REMOTE, "false")]),
                claim("px-local", MANY, &[(REMOTE_ONLY, "true"), (REMOTE, "true")]),
            ],
        ),
        row(
            Rule::RemoteNotShared,
            &[
                (portworx(&[("backend", "pure_file"), (REMOTE_ONLY, "true")]), ON_CLASS),
                (
                    portworx(&[("proxy_endpoint", "nfs://server"), ("sharedv4", "true"), (REMOTE_ONLY, "true")]),
                    ON_CLASS,
                ),
                (portworx(&[("shared", "true"), (REMOTE_ONLY, "true")]), ON_CLASS),
                (portworx(&[("winshare", "true"), (REMOTE_ONLY, "true")]), ON_CLASS),
                // All known claims of this class are ReadWriteOnce.
                (
                    with(portworx(&[("sharedv4", "true"), (REMOTE_ONLY, "true")]), "/metadata/name", "px-kept".into()),
                    ON_CLASS,
                ),
                (claim("px", ONCE, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
                (claim("px-shared", ONCE, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
                (claim("px-array", MANY, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
                (claim("px-windows", MANY, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
            ],
            &[
                // A claim may be ReadWriteMany.
                portworx(&[(REMOTE_ONLY, "true")]),
                portworx(&[("sharedv4", "false"), (REMOTE_ONLY, "true")]),
                portworx(&[("sharedv4", "true"), ("sharedv4_svc_type", ""), (REMOTE_ONLY, "true")]),
                with(portworx(&[(REMOTE_ONLY, "true")]), "/metadata/name", "px".into()),
                claim("px", "ReadOnlyMany", &[(REMOTE_ONLY, "true")]),
                portworx(&[("sharedv4", "true"), ("sharedv4_svc_type", "ClusterIP"), (REMOTE_ONLY, "true")]),
                claim("px", MANY, &[(REMOTE_ONLY, "true")]),
                claim("px", ONCE, &[(SKIP, "true")]),
                claim("px", ONCE, &[(REMOTE_ONLY, "false"), (REMOTE, "true")]),
                portworx(&[(REMOTE, "true")]),
                portworx(&[("sharedv4_svc_type", "ClusterIP"), (REMOTE_ONLY, "true")]),
                claim("px", ONCE, &[]),
            ],
        ),
        row(
            Rule::NotPortworx,
            &[
                (class("ebs.csi.aws.com", &[(REMOTE_ONLY, "true")]), ON_CLASS),
                (claim("other", MANY, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
            ],
            &[
                portworx(&[("sharedv4", "true"), (REMOTE_ONLY, "true")]),
                class("ebs.csi.aws.com", &[("type", "gp3")]),
                claim("absent", MANY, &[(REMOTE_ONLY, "true")]),
            ],
        ),
        row(
            Rule::NoStrategy,
            &[
                (portworx(&[("placement_strategy", "togther")]), "parameters[placement_strategy]"),
                (claim("px", ONCE, &[("placement_strategy", "x")]), "metadata.annotations[placement_strategy]"),
            ],
            &[portworx(&[("placement_strategy", "together")]), portworx(&[("placement_strategy", "")]), portworx(&[])],
        ),
        row(
            Rule::ClaimAgainstClass,
            &[
                (claim("px-shared", MANY, &[(REMOTE_ONLY, "false")]), ON_CLAIM),
                (
                    claim("px-kept", ONCE, &[("placement_strategy", "apart")]),
                    "metadata.annotations[placement_strategy]",
                ),
            ],
            &[claim("px-shared", MANY, &[(REMOTE_ONLY, "T")]), claim("px", MANY, &[(REMOTE_ONLY, "true")])],
        ),
        row(
            Rule::OptOutRestore,
            &[(deployment(&[(DISABLE, "true")], &["data"]), ON_TEMPLATE_DISABLE)],
            &[
                deployment(&[(DISABLE, "false")], &["data"]),
                deployment(&[(DISABLE, "true")], &["other"]),
                with_scheduler(deployment(&[(DISABLE, "true")], &["data"]), "stork"),
            ],
        ),
        row(
            Rule::OptOutHealth,
            &[(deployment(&[(DISABLE, "true")], &["data"]), ON_TEMPLATE_DISABLE)],
            &[deployment(&[(DISABLE, "false")], &["data"]), deployment(&[(DISABLE, "true")], &["other"])],
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
            Rule::LocalOnlyDaemonSet,
            &[(workload("DaemonSet", &[(LOCAL_ONLY, "true")], &["data"]), ON_TEMPLATE)],
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
            ],
        ),
        row(
            Rule::LocalOnlyRemoteOnly,
            &[(local(&["data", "shared"]), ON_TEMPLATE)],
            &[local(&["data", "many"]), local(&["shared"]), deployment(&[], &["data", "shared"])],
        ),
        row(
            Rule::LocalOnlyWindows,
            &[(local(&["windows"]), ON_TEMPLATE), (local(&["data", "windows", "absent"]), ON_TEMPLATE)],
            &[local(&["data"]), deployment(&[], &["windows"])],
        ),
        row(
            Rule::Unrecognized,
            &[
                (local(&["static"]), ON_TEMPLATE),
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
                with_volumes(local(&[]), json!([{ "name": "a", "portworxVolume": { "volumeID": "1" } }])),
                with_volumes(local(&[]), json!([{ "name": "a", "csi": { "driver": "other.example.test" } }])),
                // The class may have the provisioner.
                claim_by_annotation("absent"),
                claim_by_annotation("px"),
            ],
        ),
        row(
            Rule::LocalOnlyFirstConsumer,
            &[(local(&["late"]), ON_TEMPLATE), (stateful_local("px-late"), ON_TEMPLATE)],
            &[local(&["data"]), deployment(&[], &["late"]), stateful_local("px")],
        ),
        row(
            Rule::RestoreInProgress,
            &[
                (
                    claim("px", ONCE, &[(RESTORE, "true")]),
                    "metadata.annotations[stork.libopenstorage.org/restore-in-progress]",
                ),
                // Stork reads it from every claim.
                (
                    claim("other", ONCE, &[(RESTORE, "true")]),
                    "metadata.annotations[stork.libopenstorage.org/restore-in-progress]",
                ),
                (
                    stateful(&[(RESTORE, "true")], "px"),
                    "spec.volumeClaimTemplates[0].metadata.annotations[stork.libopenstorage.org/restore-in-progress]",
                ),
            ],
            &[
                claim("px", ONCE, &[(RESTORE, "True")]),
                claim("px", ONCE, &[(RESTORE, "false")]),
                with_volumes(deployment(&[], &[]), ephemeral(&[(RESTORE, "true")])),
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
                with_priority(local(&["data"]), &json!({ "priorityClassName": "high", "preemptionPolicy": "Never" })),
                with_priority(local(&["data"]), &json!({ "priorityClassName": "low", "priority": -10 })),
                with_priority(local(&["data"]), &json!({ "priority": 0, "preemptionPolicy": "PreemptLowerPriority" })),
                with_priority(deployment(&[], &["data"]), &json!({ "priority": 1000 })),
            ],
        ),
        row(
            Rule::RejectedParameter,
            &[
                (portworx(&[("sharedv4", "yes")]), "parameters[sharedv4]"),
                (portworx(&[("shared", "")]), "parameters[shared]"),
                (portworx(&[("sharedv4_svc_type", "clusterip")]), "parameters[sharedv4_svc_type]"),
            ],
            &[
                portworx(&[("sharedv4", "T"), ("shared", "0"), ("sharedv4_svc_type", "")]),
                portworx(&[("sharedv4_svc_type", "nodePort")]),
                class("other.example.test", &[("shared", "yes")]),
                claim("px", ONCE, &[("sharedv4", "yes")]),
            ],
        ),
        row(
            Rule::NotRecognised,
            &[
                (with_volume(json!({"csi": {"driver": "pxd.portworx.com"}}), &[], &[]), ON_VOLUMES),
                (with_volume(inline_claim(), &[], &[]), ON_VOLUMES),
                (deployment(&[], &["ga"]), ON_VOLUMES),
                (with_scheduler(with_volume(inline_claim(), &[(OPT_OUT, "true")], &[]), "stork"), ON_VOLUMES),
            ],
            &[
                deployment(&[], &["data"]),
                with_volume(inline_claim(), &[], &["data"]),
                with_volume(json!({"csi": {"driver": "secrets-store.csi.k8s.io"}}), &[], &[]),
                with_volume(json!({"portworxVolume": {"volumeID": "1"}}), &[], &[]),
                with_volume(inline_claim(), &[(OPT_OUT, "true")], &[]),
                with_scheduler(with_volume(inline_claim(), &[], &[]), "other-scheduler"),
            ],
        ),
    ]
}

const ON_VOLUMES: &str = "spec.template.spec.volumes";

/// The source of an ephemeral volume of Portworx.
fn inline_claim() -> Value {
    json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "px"}}}})
}

/// A Deployment that mounts these claims, and a volume of this source.
pub(super) fn with_volume(source: Value, annotations: &[(&str, &str)], claims: &[&str]) -> Value {
    let mut object = deployment(annotations, claims);
    let mut volume = source;
    volume["name"] = "extra".into();
    if let Some(volumes) = object["spec"]["template"]["spec"]["volumes"].as_array_mut() {
        volumes.push(volume);
    }
    object
}

fn with_volumes(mut object: Value, volumes: Value) -> Value {
    object["spec"]["template"]["spec"]["volumes"] = volumes;
    object
}

fn with_priority(mut object: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().expect("fields of a pod's spec") {
        object["spec"]["template"]["spec"][name] = value.clone();
    }
    object
}

pub(super) fn with_scheduler(mut object: Value, name: &str) -> Value {
    object["spec"]["template"]["spec"]["schedulerName"] = name.into();
    object
}
