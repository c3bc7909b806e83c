//! The rules as a table: for each, objects in which it finds something, and where, and objects in which it does not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::companion::{Level, Severity, Strategies};
use crate::config::Config;
use crate::engine::{Claim, Class, Inventory};

/// What the objects of the table are looked at beside.
///
/// | claim | class | what it is |
/// |---|---|---|
/// | `data`, `logs` | `px` | ordinary volumes of Portworx |
/// | `kept` | `px-kept` | one that a placement strategy keeps with others |
/// | `shared` | `px-shared` | a sharedv4 service volume |
/// | `many` | `px` | a volume that many nodes write to |
/// | `other` | `other` | a volume of somebody else |
fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    let classes: [(&str, &str, &[(&str, &str)]); 5] = [
        ("px", "pxd.portworx.com", &[]),
        ("px-kept", "pxd.portworx.com", &[("placement_strategy", "together")]),
        (
            "px-shared",
            "pxd.portworx.com",
            &[("sharedv4", "true"), (REMOTE_ONLY, "true"), ("placement_strategy", "apart")],
        ),
        ("px-local", "pxd.portworx.com", &[("sharedv4", "true"), (REMOTE, "false")]),
        ("other", "other.example.test", &[]),
    ];
    for (name, provisioner, parameters) in classes {
        let parameter = |key: &str| parameters.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
        inventory.insert_class(name, Class::new(|_| None::<&str>, provisioner, 0, parameter));
    }
    let claims = [("data", "px", ONCE), ("logs", "px", ONCE), ("kept", "px-kept", ONCE), ("shared", "px-shared", MANY)];
    for (name, class, access) in claims.into_iter().chain([("many", "px", MANY), ("other", "other", ONCE)]) {
        let claim = Claim::new(|_| None::<&str>, Some(class), None).with_use([access].into_iter().collect(), true);
        inventory.insert_claim("shop", name, &claim);
    }
    inventory
}

const ONCE: &str = "ReadWriteOnce";
const MANY: &str = "ReadWriteMany";

const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
const DISABLE: &str = "stork.libopenstorage.org/disableHyperconvergence";
const OPT_OUT: &str = "stork.libopenstorage.org/disable-admission-controller";
const REMOTE: &str = "stork.libopenstorage.org/preferRemoteNode";
const REMOTE_ONLY: &str = "stork.libopenstorage.org/preferRemoteNodeOnly";
const SKIP: &str = "stork.libopenstorage.org/skipSchedulerScoring";

fn map<V: Into<Value> + Clone>(entries: &[(&str, V)]) -> Value {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone().into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A workload whose template has these annotations and mounts these claims.
fn workload(kind: &str, annotations: &[(&str, &str)], claims: &[&str]) -> Value {
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

fn deployment(annotations: &[(&str, &str)], claims: &[&str]) -> Value {
    workload("Deployment", annotations, claims)
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).expect("there is something to replace") = value;
    object
}

fn class(provisioner: &str, parameters: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": { "name": "new", "annotations": {} },
        "provisioner": provisioner,
        "parameters": map(parameters),
    })
}

fn claim(class: &str, access: &str, annotations: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": "new", "annotations": map(annotations) },
        "spec": { "storageClassName": class, "accessModes": [access] },
    })
}

fn namespace(labels: &[(&str, &str)]) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "annotations": {}, "labels": map(labels) } })
}

fn check_with(object: &Value, policy: &Policy, severities: &Severities, strategies: Strategies) -> Report {
    let text = object.to_string();
    let (api_version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let kind = Kind::find_object(policy, api_version, kind).expect("there are rules for it");
    let subject = Subject::parse(&text, kind).expect("it is built as its kind");
    let inventory = inventory();
    let claims = subject.claims().iter().map(|claim| MountedClaim::find(claim, &inventory, "shop")).collect();
    let report = subject.check(policy, severities, &Facts { claims, strategies, namespace_opted_out: false });
    if subject.is_silent(policy) {
        assert_eq!(report, Report::default(), "what is silent has no findings: {object}");
    }
    report
}

fn strategies() -> Strategies {
    Strategies::All(["together", "apart"].map(str::to_owned).into())
}

fn check(object: &Value) -> Report {
    check_with(object, &Policy::default(), &Severities::default(), strategies())
}

/// A rule, objects in which it finds something with the place of it, and objects in which it finds nothing.
struct Row {
    rule: Rule,
    fires: Vec<(Value, &'static str)>,
    quiet: Vec<Value>,
}

const ON_TEMPLATE: &str = "spec.template.metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]";
const ON_TEMPLATE_DISABLE: &str =
    "spec.template.metadata.annotations[stork.libopenstorage.org/disableHyperconvergence]";
const ON_CLASS: &str = "parameters[stork.libopenstorage.org/preferRemoteNodeOnly]";
const ON_CLAIM: &str = "metadata.annotations[stork.libopenstorage.org/preferRemoteNodeOnly]";

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn table() -> Vec<Row> {
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
                // It is said twice, and read once.
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
            &[local(&["data"]), deployment(&[], &["shared"])],
        ),
        row(
            Rule::LocalOnlySeveral,
            &[(local(&["data", "logs"]), ON_TEMPLATE), (local(&["data", "kept"]), ON_TEMPLATE)],
            &[local(&["data"]), local(&["kept", "kept"]), local(&["data", "shared"]), local(&["data", "other"])],
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
                (portworx(&[(REMOTE_ONLY, "true")]), ON_CLASS),
                (portworx(&[("sharedv4", "false"), (REMOTE_ONLY, "true")]), ON_CLASS),
                (portworx(&[("sharedv4", "true"), ("sharedv4_svc_type", ""), (REMOTE_ONLY, "true")]), ON_CLASS),
                (claim("px", ONCE, &[(REMOTE_ONLY, "true")]), ON_CLAIM),
            ],
            &[
                portworx(&[("sharedv4", "true"), ("sharedv4_svc_type", "ClusterIP"), (REMOTE_ONLY, "true")]),
                claim("px", MANY, &[(REMOTE_ONLY, "true")]),
                claim("px", ONCE, &[(SKIP, "true")]),
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
            &[local(&["data"]), workload("DaemonSet", &[(LOCAL_ONLY, "false")], &["data"])],
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
    ]
}

fn with_scheduler(mut object: Value, name: &str) -> Value {
    object["spec"]["template"]["spec"]["schedulerName"] = name.into();
    object
}

fn found(report: &Report, rule: Rule) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.rule == rule).collect()
}

#[test]
fn each_rule_finds_what_it_is_for_at_its_place_and_nothing_else() {
    for Row { rule, fires, quiet } in table() {
        for (object, path) in &fires {
            let report = check(object);
            let [finding] = found(&report, rule)[..] else { panic!("{rule}: {report:?}\n{object}") };
            assert_eq!((finding.path.to_string().as_str(), finding.severity), (*path, rule.severity()), "{object}");
            let Finding { message, remedy, .. } = finding;
            assert!(!message.is_empty() && !remedy.is_empty() && !message.ends_with('.'), "{message}; {remedy}");
        }
        for object in &quiet {
            assert_eq!(found(&check(object), rule), [] as [&Finding; 0], "{rule}: {object}");
        }
        assert!(!fires.is_empty() && !quiet.is_empty(), "{rule}");
    }
}

#[test]
fn each_rule_can_be_switched_off_and_given_another_severity() {
    for Row { rule, fires, .. } in table() {
        for (object, _) in fires {
            let with = |level| {
                let severities = Severities::new([(rule, level)]);
                check_with(&object, &Policy::default(), &severities, strategies())
            };
            assert_eq!(found(&with(Level::Off), rule), [] as [&Finding; 0], "{rule}");
            for severity in Severity::ALL {
                let report = with(Level::As(severity));
                assert_eq!(found(&report, rule)[0].severity, severity, "{rule}");
            }
        }
    }
}

#[test]
fn the_table_has_a_row_for_each_rule() {
    let rows: Vec<_> = table().iter().map(|row| row.rule).collect();
    assert_eq!(rows, Rule::ALL);
}

/// The rules that could not be checked, with the reason.
fn unchecked(object: &Value, strategies: Strategies) -> BTreeMap<Rule, String> {
    let report = check_with(object, &Policy::default(), &Severities::default(), strategies);
    report.unchecked.into_iter().map(|open| (open.rule, open.why)).collect()
}

#[test]
fn what_is_not_known_is_said_and_not_guessed() {
    let why = "claim `absent` does not exist".to_owned();
    let local = deployment(&[(LOCAL_ONLY, "true")], &["absent"]);
    let open = unchecked(&local, strategies());
    assert_eq!(open, [(Rule::LocalOnlyWithoutClaim, why.clone()), (Rule::LocalOnlyShared, why.clone())].into());

    let two = deployment(&[(LOCAL_ONLY, "true")], &["data", "absent"]);
    let open = unchecked(&two, strategies());
    assert_eq!(open.keys().collect::<Vec<_>>(), [&Rule::LocalOnlyShared, &Rule::LocalOnlySeveral]);

    let disabled = deployment(&[(DISABLE, "true")], &["absent"]);
    let open = unchecked(&disabled, strategies());
    assert_eq!(open.keys().collect::<Vec<_>>(), [&Rule::DisabledShared, &Rule::OptOutRestore, &Rule::OptOutHealth]);

    let open = unchecked(&claim("absent", MANY, &[(REMOTE_ONLY, "true")]), strategies());
    assert_eq!(open, [(Rule::NotPortworx, "its StorageClass `absent` does not exist".to_owned())].into());

    for quiet in
        [deployment(&[], &["absent"]), claim("absent", MANY, &[]), deployment(&[(LOCAL_ONLY, "no")], &["absent"])]
    {
        assert!(unchecked(&quiet, strategies()).is_empty(), "{quiet}");
    }
}

#[test]
fn a_strategy_is_looked_for_where_there_can_be_one() {
    let class = class("pxd.portworx.com", &[("placement_strategy", "spread")]);
    let missing = |strategies| {
        let report = check_with(&class, &Policy::default(), &Severities::default(), strategies);
        (found(&report, Rule::NoStrategy).len(), report.unchecked.len())
    };
    let known = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(missing(Strategies::All(known(&["other"]))), (1, 0));
    assert_eq!(missing(Strategies::All(known(&["spread"]))), (0, 0));
    assert_eq!(missing(Strategies::NotInstalled), (0, 0));
    assert_eq!(missing(Strategies::default()), (0, 1));
    assert_eq!(missing(Strategies::Some { known: known(&["spread"]), why: "x".to_owned() }), (0, 0));
}

#[test]
fn who_schedules_depends_on_the_configuration() {
    let local = deployment(&[(LOCAL_ONLY, "true")], &["data"]);
    for (config, enforced) in [
        ("", true),
        ("mode: audit", false),
        ("mode: off", false),
        ("templates: leave", true),
        ("optOut: {owners: [{group: apps, kind: Deployment}]}", false),
        ("optOut: {owners: [{group: apps, kind: StatefulSet}]}", true),
        ("replaceableSchedulers: [x]", true),
    ] {
        let policy = config.parse::<Config>().unwrap().policy();
        let report = check_with(&local, &policy, &Severities::default(), strategies());
        assert_eq!(found(&report, Rule::LocalOnlyUnenforced).is_empty(), enforced, "{config}");
    }
    let policy = "drivers: [{name: px, provisioners: [pxd.portworx.com], scheduler: own-stork}]".parse::<Config>();
    let policy = policy.unwrap().policy();
    for (scheduler, enforced) in [("own-stork", true), ("stork", false)] {
        let report =
            check_with(&with_scheduler(local.clone(), scheduler), &policy, &Severities::default(), strategies());
        assert_eq!(found(&report, Rule::LocalOnlyUnenforced).is_empty(), enforced, "{scheduler}");
    }
}

#[test]
fn a_namespace_that_opts_out_has_nobody_who_enforces() {
    let (policy, text) = (Policy::default(), deployment(&[(LOCAL_ONLY, "true")], &[]).to_string());
    let subject = Subject::parse(&text, Kind::find(&policy, "apps", "v1", "Deployment").unwrap()).unwrap();
    for opted_out in [true, false] {
        let facts = Facts { namespace_opted_out: opted_out, ..Facts::default() };
        let report = subject.check(&policy, &Severities::default(), &facts);
        assert_eq!(found(&report, Rule::LocalOnlyUnenforced).len(), usize::from(opted_out));
    }
}

#[test]
fn a_change_is_told_what_it_brings_and_no_more() {
    let before = check(&deployment(&[(LOCAL_ONLY, "yes")], &["data"]));
    let after = check(&deployment(&[(LOCAL_ONLY, "yes"), (DISABLE, "no")], &["data"]));
    let since = after.clone().since(&before);
    assert_eq!(
        since.findings.iter().map(|finding| &finding.path).map(ToString::to_string).collect::<Vec<_>>(),
        [ON_TEMPLATE_DISABLE]
    );
    // The value is another, and so is the finding.
    let other = check(&deployment(&[(LOCAL_ONLY, "ja")], &["data"]));
    assert_eq!(other.since(&before).findings.len(), 1);
    assert_eq!(before.clone().since(&before), Report::default());
}

#[test]
fn an_ephemeral_volume_s_claim_is_looked_at_too() {
    let mut object = deployment(&[(LOCAL_ONLY, "true")], &[]);
    let template = claim("px", MANY, &[(REMOTE_ONLY, "maybe")]);
    object["spec"]["template"]["spec"]["volumes"] = json!([{ "name": "cache", "emptyDir": {} }, { "name": "scratch", "ephemeral": { "volumeClaimTemplate": template } }]);
    let report = check(&object);
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.rule, finding.path.to_string())).collect();
    let path = "spec.template.spec.volumes[1].ephemeral.volumeClaimTemplate.metadata.annotations[stork.libopenstorage.org/preferRemoteNodeOnly]";
    assert_eq!(found, [(Rule::NoBoolean, path.to_owned()), (Rule::LocalOnlyShared, ON_TEMPLATE.to_owned())]);
}

#[test]
fn odd_objects_are_read_or_refused() {
    let policy = Policy::default();
    let kind = Kind::find(&policy, "apps", "v1", "Deployment").unwrap();
    for text in [
        "{}",
        r#"{"metadata":null,"spec":null}"#,
        r#"{"spec":{"template":{"metadata":{"annotations":null},"spec":{"volumes":[null]}}}}"#,
    ] {
        let subject = Subject::parse(text, kind).unwrap();
        assert!(subject.is_silent(&policy) && subject.claims().is_empty(), "{text}");
    }
    for text in ["[]", r#"{"metadata":[]}"#, r#"{"metadata":{"annotations":[]}}"#, r#"{"spec":{"template":1}}"#] {
        assert!(Subject::parse(text, kind).is_err(), "{text}");
    }
}
