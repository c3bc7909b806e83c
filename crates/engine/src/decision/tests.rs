//! Table tests of the decision rules: each row has a request and the expected decision. The rows are in the modules below,
//! with one test per group. `laws` has properties that hold for all rows. This module has the helpers.

use serde_json::{Value, json};

use super::*;
use crate::annotation::{LAST_APPLIED, MIRROR_POD};
use crate::{
    Away, ClaimFacts, ClassFacts, DEFAULT_SCHEDULER, DISABLE_ADMISSION_CONTROLLER, DISABLE_HYPERCONVERGENCE, Driver,
    Drivers, Evidence, EvidenceSet, Inventory, LostLease, MissingClaim, NO_PROVISIONER, OptOut, Owner, OwnerKind,
    PORTWORX_IN_TREE, Presence, ReplaceableSchedulers, Review, Templates, Unknown, Update, Visibility, VolumeFacts,
    Workload, Workloads,
};

mod laws;
mod opt_outs;
mod pods;
mod samples;
mod schedulers;
mod templates;
mod updates;

/// A kind, and the path of its pod template.
#[derive(Clone, Copy, Debug)]
struct Kind {
    group: &'static str,
    version: &'static str,
    name: &'static str,
    /// A JSON pointer; empty for a Pod, which is its own template.
    template: &'static str,
}

const fn kind(group: &'static str, name: &'static str, template: &'static str) -> Kind {
    Kind { group, version: "v1", name, template }
}

const POD: Kind = kind("", "Pod", "");
const DEPLOYMENT: Kind = kind("apps", "Deployment", "/spec/template");
const STATEFUL_SET: Kind = kind("apps", "StatefulSet", "/spec/template");
const REPLICA_SET: Kind = kind("apps", "ReplicaSet", "/spec/template");
const JOB: Kind = kind("batch", "Job", "/spec/template");
const CRON_JOB: Kind = kind("batch", "CronJob", "/spec/jobTemplate/spec/template");
const POD_TEMPLATE: Kind = kind("", "PodTemplate", "/template");
const ROLLOUT: Kind = Kind { group: "argoproj.io", version: "v1alpha1", name: "Rollout", template: "/spec/template" };

/// The built-in kinds whose template may change, so that an UPDATE may set their scheduler.
const CHANGEABLE: [Kind; 7] = [
    DEPLOYMENT,
    STATEFUL_SET,
    REPLICA_SET,
    kind("apps", "DaemonSet", "/spec/template"),
    CRON_JOB,
    kind("", "ReplicationController", "/spec/template"),
    POD_TEMPLATE,
];

/// The built-in kinds whose template cannot change.
const FIXED: [Kind; 2] = [POD, JOB];

/// All kinds that have a pod template.
fn template_kinds() -> impl Iterator<Item = Kind> {
    CHANGEABLE.into_iter().chain([JOB, ROLLOUT])
}

/// A request under construction.
#[derive(Clone, Debug)]
struct Ask {
    kind: Kind,
    review: Value,
    /// The presence of every driver's scheduler.
    presence: Presence,
}

impl Ask {
    fn create(kind: Kind, template: Value) -> Self {
        Self::new(kind, "CREATE", &object(kind, template), &Value::Null)
    }

    fn update(kind: Kind, old: Value, new: Value) -> Self {
        Self::new(kind, "UPDATE", &object(kind, new), &object(kind, old))
    }

    fn new(kind: Kind, operation: &str, object: &Value, old: &Value) -> Self {
        let review = json!({
            "kind": "AdmissionReview",
            "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": "1",
                "kind": {"group": kind.group, "version": kind.version, "kind": kind.name},
                "name": "x",
                "namespace": NAMESPACE,
                "operation": operation,
                "object": object,
                "oldObject": old,
                "dryRun": false,
                "userInfo": {"username": "someone"},
            },
        });
        Self { kind, review, presence: Presence::Unknown }
    }

    /// Sets a value in the new object at a JSON pointer.
    fn with(mut self, pointer: &str, value: Value) -> Self {
        put(&mut self.review["request"]["object"], pointer, value);
        self
    }

    /// Sets a value in the request at a JSON pointer.
    fn with_request(mut self, pointer: &str, value: Value) -> Self {
        put(&mut self.review["request"], pointer, value);
        self
    }

    /// Sets the presence of the schedulers.
    fn with_presence(self, presence: Presence) -> Self {
        Self { presence, ..self }
    }

    /// Adds the annotation of `kubectl apply` with a manifest to the new object.
    fn last_applied(self, manifest: &str) -> Self {
        self.with("/metadata/annotations", json!({LAST_APPLIED: manifest}))
    }

    /// Adds a manager that owns fields of the new object.
    fn managed(self, operation: &str, fields: &Value) -> Self {
        let others = json!({"manager": "other", "operation": "Apply", "fieldsV1": {"f:metadata": {}}});
        let entry = json!({"manager": "m", "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields});
        self.with("/metadata/managedFields", json!([others, entry]))
    }

    fn controlled_by(self, api_version: &str, kind: &str) -> Self {
        let node = json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "0"});
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": "o", "uid": "1", "controller": true});
        self.with("/metadata/ownerReferences", json!([node, owner]))
    }
}

fn object(kind: Kind, template: Value) -> Value {
    let mut object = json!({"metadata": {"name": "x"}});
    if kind.template.is_empty() {
        object = template;
    } else {
        put(&mut object, kind.template, template);
    }
    object
}

/// Sets a value in a document at a JSON pointer, and creates the objects on the path.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut target = document;
    for token in pointer.split('/').skip(1) {
        let key = token.replace("~1", "/").replace("~0", "~");
        if !target.is_object() {
            *target = json!({});
        }
        target = &mut target[&key];
    }
    *target = value;
}

/// A pod template that mounts these claims, as the API server sends it: with defaults applied.
fn mounts(claims: &[&str]) -> Value {
    with_volumes(&claims.iter().map(|claim| claim_volume(claim)).collect())
}

fn claim_volume(claim: &str) -> Value {
    json!({"name": format!("v-{claim}"), "persistentVolumeClaim": {"claimName": claim}})
}

fn with_volumes(volumes: &Value) -> Value {
    json!({
        "metadata": {"labels": {"app": "x"}},
        "spec": {
            "volumes": volumes,
            "containers": [{"name": "c", "image": "example.test/c:1"}],
            "schedulerName": DEFAULT_SCHEDULER,
        },
    })
}

trait Edit {
    fn with(self, pointer: &str, value: Value) -> Self;
    fn scheduler(self, name: &str) -> Self;
    fn annotated(self, key: &str, value: &str) -> Self;
}

impl Edit for Value {
    fn with(mut self, pointer: &str, value: Value) -> Self {
        put(&mut self, pointer, value);
        self
    }

    fn scheduler(self, name: &str) -> Self {
        self.with("/spec/schedulerName", json!(name))
    }

    fn annotated(self, key: &str, value: &str) -> Self {
        self.with(&format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1")), json!(value))
    }
}

const NAMESPACE: &str = "demo";

/// The contents of the cluster: claims in [`NAMESPACE`], classes and volumes.
fn cluster() -> Inventory {
    let mut cluster = Inventory::default();
    for (name, provisioner) in [
        ("px", "pxd.portworx.com"),
        ("linstor", "linstor.csi.linbit.com"),
        ("local", "local.example.test"),
        ("standard", "pxd.portworx.com"),
        ("px-in-tree", PORTWORX_IN_TREE),
        ("static", NO_PROVISIONER),
        ("late", NO_PROVISIONER),
    ] {
        let (default, binds_late) = (name == "standard", name == "late");
        let facts = ClassFacts { provisioner: provisioner.into(), default, binds_late, ..ClassFacts::default() };
        cluster.insert_class(name, facts);
    }
    cluster.insert_volume("by-hand", VolumeFacts::default());
    for (name, provisioner, evidence) in [
        ("annotated", "pxd.portworx.com", Evidence::ProvisionedBy),
        ("csi", "pxd.portworx.com", Evidence::StaticCsi),
        ("in-tree", PORTWORX_IN_TREE, Evidence::InTree),
    ] {
        cluster.insert_volume(name, VolumeFacts { provisioner: Some((provisioner.into(), evidence)) });
    }
    let claim = |class: Option<&'static str>, volume: Option<&'static str>| ClaimFacts {
        class: class.map(Into::into),
        volume: volume.map(Into::into),
        ..ClaimFacts::default()
    };
    for (name, class, volume) in [
        ("px-data", Some("px"), None),
        ("px-logs", Some("px"), None),
        ("linstor-data", Some("linstor"), None),
        ("local-data", Some("local"), None),
        ("by-hand-data", Some(""), Some("by-hand")),
        ("unknown-data", Some("deleted"), None),
        ("late-data", Some("late"), None),
        ("annotated-data", Some(""), Some("annotated")),
        ("csi-data", Some(""), Some("csi")),
        ("in-tree-data", Some(""), Some("in-tree")),
    ] {
        cluster.insert_claim(NAMESPACE, name, &claim(class, volume));
    }
    let (beta, ga) = (Evidence::BetaProvisionerAnnotation, Evidence::GaProvisionerAnnotation);
    for (name, evidence, class) in [
        ("beta-data", beta.into(), ""),
        ("ga-data", ga.into(), ""),
        ("both-data", EvidenceSet::from(beta).with(ga), "deleted"),
        ("migrated-data", ga.into(), "px-in-tree"),
        ("recreated-data", ga.into(), "local"),
    ] {
        let provisioner = Some(("pxd.portworx.com".into(), evidence));
        cluster.insert_claim(NAMESPACE, name, &ClaimFacts { provisioner, ..claim(Some(class), None) });
    }
    for volume in ["annotated", "csi", "in-tree"] {
        cluster.insert_claim(NAMESPACE, &format!("static-{volume}"), &claim(Some("static"), Some(volume)));
    }
    // A claim of the same name in another namespace must not be found.
    cluster.insert_claim("elsewhere", "missing-data", &claim(Some("px"), None));
    cluster
}

fn linstor() -> Driver {
    Driver {
        name: "linstor".into(),
        provisioners: vec!["linstor.csi.linbit.com".into()],
        scheduler: "linstor-scheduler".into(),
        ..Driver::portworx()
    }
}

/// The defaults and a custom workload: Argo's Rollout, whose template has no defaults applied.
fn policy() -> Policy {
    rollouts_with(Update::Allowed)
}

fn rollouts_with(update: Update) -> Policy {
    let path = ["spec", "template"].map(str::to_owned).to_vec();
    let [group, version, kind] = [ROLLOUT.group, ROLLOUT.version, ROLLOUT.name].map(str::to_owned);
    let rollout = Workload { group, version, kind, path, update, custom: true };
    Policy { workloads: Workloads::new([rollout]), ..Policy::default() }
}

fn px() -> Value {
    mounts(&["px-data"])
}

/// The same template with another image.
fn new_image(template: Value) -> Value {
    template.with("/spec/containers", json!([{"name": "c", "image": "example.test/c:2"}]))
}

/// A manifest of that kind whose template names the default scheduler.
fn manifest(kind: Kind) -> String {
    object(kind, json!({"spec": {"schedulerName": DEFAULT_SCHEDULER}})).to_string()
}

/// `fieldsV1` with the ownership of `schedulerName` for that kind.
fn owned_fields(kind: Kind) -> Value {
    let mut fields = json!({"f:metadata": {}});
    put(&mut fields, &format!("{}/spec/schedulerName", kind.template).replace('/', "/f:"), json!({}));
    fields
}

/// The field of Kubernetes 1.35 that makes a pod a member of a scheduling group.
fn workload_ref() -> Value {
    json!({"name": "train", "podGroup": "workers"})
}

fn two_drivers() -> Policy {
    Policy { drivers: Drivers(vec![Driver::portworx(), linstor()]), ..policy() }
}

fn replaceable(names: &[&str]) -> Policy {
    Policy { replaceable: ReplaceableSchedulers(names.iter().map(ToString::to_string).collect()), ..policy() }
}

fn templates_left() -> Policy {
    Policy { templates: Templates::Leave, ..policy() }
}

/// A policy for absent and stale schedulers.
fn away_policy(when_absent: Away, when_stale: Away) -> Policy {
    Policy { drivers: Drivers(vec![Driver { when_absent, when_stale, ..Driver::portworx() }]), ..policy() }
}

fn inject_missing() -> Policy {
    Policy { missing_claim: MissingClaim::Inject, ..policy() }
}

/// A row: a request and the expected decision.
struct Row {
    name: String,
    policy: Policy,
    ask: Ask,
    reason: Reason,
    scheduler: Option<&'static str>,
    /// A part of each warning.
    warnings: Vec<&'static str>,
}

fn row(name: impl Into<String>, ask: Ask, reason: Reason) -> Row {
    Row { name: name.into(), policy: policy(), ask, reason, scheduler: None, warnings: Vec::new() }
}

impl Row {
    fn under(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    fn sets(mut self, scheduler: &'static str) -> Self {
        self.scheduler = Some(scheduler);
        self
    }

    fn warns(mut self, part: &'static str) -> Self {
        self.warnings.push(part);
        self
    }

    /// Describes the difference between the expected and the actual answer; empty if they are equal.
    fn check(&self) -> String {
        let answer = Answer::to(&self.ask, &self.policy, Order::ApiServer);
        let patch = self.scheduler.map(|scheduler| {
            let path = format!("{}/spec/schedulerName", self.ask.kind.template);
            json!([{"op": "add", "path": path, "value": scheduler}])
        });
        let warned = answer.warnings.len() == self.warnings.len()
            && answer.warnings.iter().zip(&self.warnings).all(|(warning, part)| warning.contains(part));
        let same = (answer.reason, answer.scheduler.as_deref(), &answer.patch) == (self.reason, self.scheduler, &patch);
        if same && warned {
            return String::new();
        }
        let Self { name, ask, reason, scheduler, warnings, .. } = self;
        let kind = ask.kind.name;
        format!("\n{kind}: {name}\n  expected {reason:?}, {scheduler:?}, {warnings:?}\n  actual {answer:?}")
    }
}

macro_rules! tests {
    ($($name:ident: $rows:ident;)+) => {
        $(
            #[test]
            fn $name() {
                check_all(&$rows());
            }
        )+
    };
}
use tests;

/// Every row of every group.
fn table() -> Vec<Row> {
    [pods::all(), opt_outs::all(), templates::all(), updates::all(), schedulers::all()].into_iter().flatten().collect()
}

fn check_all(rows: &[Row]) {
    let failures: String = rows.iter().map(Row::check).collect();
    assert!(failures.is_empty(), "{failures}");
}

/// A decision in the types that a test compares.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    reason: Reason,
    scheduler: Option<String>,
    patch: Option<Value>,
    warnings: Vec<String>,
    found: String,
}

impl Answer {
    fn to(ask: &Ask, policy: &Policy, order: Order) -> Self {
        let body = encode(&ask.review, order);
        let review = Review::parse(body.as_bytes(), &policy.workloads).unwrap();
        Self::from(match examine(policy, &review.request) {
            Examination::Decided(decision) => decision,
            Examination::Resolve(pending) => {
                let owners = owners(&pending);
                pending.decide(owners, |_| ask.presence.clone())
            }
        })
    }
}

impl From<Decision<'_>> for Answer {
    fn from(decision: Decision<'_>) -> Self {
        Self {
            reason: decision.reason,
            scheduler: decision.scheduler.map(|scheduler| scheduler.to_string()),
            patch: decision.patch.map(|patch| serde_json::to_value(patch).unwrap()),
            warnings: decision.warnings.iter().map(|warning| format!("colocate: {warning}")).collect(),
            found: decision.owners.describe(&Visibility::default(), NAMESPACE),
        }
    }
}

fn owners<'r>(pending: &Pending<'r>) -> Owners<'r> {
    let cluster = cluster();
    pending.look_up(|claim| match claim.name() {
        Some("unreadable-data") => Owner::Unknown(Unknown::ClaimUnreadable),
        Some("unreadable-volume") => Owner::Unknown(Unknown::VolumeUnreadable("pv".into())),
        _ => claim.owner_in(&cluster, NAMESPACE),
    })
}

/// The order in which the fields of a request are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The kind and operation come before the objects.
    ApiServer,
    /// The reverse order, at every level.
    Reversed,
}

fn encode(value: &Value, order: Order) -> String {
    const FIRST: [&str; 7] = ["uid", "kind", "apiVersion", "subResource", "name", "namespace", "operation"];
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
            entries.sort_by_key(|(key, _)| (rank(key), key.as_str()));
            if order == Order::Reversed {
                entries.reverse();
            }
            let entry = |(key, value): &(&String, &Value)| format!("{}:{}", json!(key), encode(value, order));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| encode(item, order)).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
