//! For every object, a patch applies and changes one field, and only once. No body makes the engine panic.

use std::cell::Cell;

use colocate_engine::{
    ClaimClass, DISABLE_ADMISSION_CONTROLLER, DISABLE_HYPERCONVERGENCE, Evidence, Examination, MissingClaim, Owner,
    Policy, Presence, Review, Templates, Unknown, examine,
};
use colocate_laws::patch::{Kind, apply, kinds, policy};
use json_patch::Patch;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::Union;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use serde_json::{Map, Value, json};

fn policies() -> impl Strategy<Value = Policy> {
    (select(vec![MissingClaim::Skip, MissingClaim::Inject]), prop::bool::weighted(0.1)).prop_map(
        |(missing_claim, leave)| {
            let templates = if leave { Templates::Leave } else { Templates::Inject };
            Policy { missing_claim, templates, ..policy() }
        },
    )
}

/// Generates any JSON, a few levels deep.
fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z/~\"\\\\\u{e9}\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map("[a-z~/]{0,4}", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
    .boxed()
}

/// Generates a field that is usually present, and sometimes absent, null or of any type.
fn field(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![
        40 => value.prop_map(Some),
        2 => Just(None),
        1 => Just(Some(Value::Null)),
        1 => anything().prop_map(Some).no_shrink(),
    ]
    .boxed()
}

/// Generates an object with these fields and with unknown ones.
fn object(fields: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let unknown = btree_map("x[a-z]{0,3}", anything(), 0..3);
    (values, unknown)
        .prop_map(move |(values, unknown)| {
            let known = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            Value::Object(unknown.into_iter().chain(known).collect())
        })
        .boxed()
}

fn one_of(values: &[&str]) -> BoxedStrategy<Value> {
    select(values.iter().map(|value| json!(value)).collect::<Vec<_>>()).boxed()
}

fn scheduler() -> BoxedStrategy<Value> {
    one_of(&["default-scheduler", "default-scheduler", "default-scheduler", "", "stork", "linstor-scheduler", "mine"])
}

fn metadata() -> BoxedStrategy<Value> {
    let annotation = (
        select(vec![
            DISABLE_HYPERCONVERGENCE,
            DISABLE_ADMISSION_CONTROLLER,
            "kubernetes.io/config.mirror",
            "kubectl.kubernetes.io/last-applied-configuration",
            "volume.beta.kubernetes.io/storage-class",
            "example.test/a",
            "b",
        ]),
        one_of(&["true", "false", "maybe", "", "{\"spec\":{\"schedulerName\":\"x\"}}"]),
    );
    let annotations = vec(annotation, 0..2)
        .prop_map(|entries| Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()));
    let owner = select(vec![
        json!({"apiVersion": "v1", "kind": "Node"}),
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true}),
    ]);
    let managed = select(vec![
        json!({"operation": "Update", "fieldsV1": {"f:spec": {}}}),
        json!({"operation": "Apply", "fieldsV1": {"f:spec": {"f:schedulerName": {}}}}),
        json!({"operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:schedulerName": {}}}}}}),
    ]);
    object(vec![
        ("name", field(one_of(&["data", "x", ""]))),
        ("annotations", field(annotations)),
        ("ownerReferences", rarely(vec(owner, 0..2).prop_map(Value::from))),
        ("managedFields", rarely(vec(managed, 0..2).prop_map(Value::from))),
    ])
}

fn rarely(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![9 => Just(None), 1 => value.prop_map(Some)].boxed()
}

fn claim_template() -> BoxedStrategy<Value> {
    let spec = object(vec![
        ("storageClassName", field(one_of(&["px", "local", ""]))),
        ("volumeName", field(one_of(&["pv", ""]))),
    ]);
    object(vec![("metadata", field(metadata())), ("spec", field(spec))])
}

fn volume() -> BoxedStrategy<Value> {
    let source =
        |name, value: BoxedStrategy<Value>| object(vec![("name", field(one_of(&["data", "x"]))), (name, field(value))]);
    prop_oneof![
        6 => source("persistentVolumeClaim", object(vec![("claimName", field(one_of(&["a", "b"])))])),
        2 => source("ephemeral", object(vec![("volumeClaimTemplate", field(claim_template()))])),
        2 => source("csi", object(vec![("driver", field(one_of(&["pxd.portworx.com", "x"])))])),
        1 => source("portworxVolume", anything()),
        2 => source("emptyDir", anything()),
    ]
    .boxed()
}

fn pod() -> BoxedStrategy<Value> {
    let spec = object(vec![
        ("schedulerName", field(scheduler())),
        ("nodeName", rarely(one_of(&["n1", ""]))),
        ("schedulingGroup", rarely(anything())),
        ("volumes", field(vec(volume(), 1..4).prop_map(Value::from))),
    ]);
    object(vec![("metadata", field(metadata())), ("spec", field(spec))])
}

/// Generates an object of a kind, with any fields on the path to its template.
fn object_of(kind: Kind) -> BoxedStrategy<Value> {
    let mut value = pod();
    for (depth, key) in kind.path.iter().enumerate().rev() {
        let mut fields = vec![(*key, field(value))];
        if depth + 1 == kind.path.len() {
            fields.push(("volumeClaimTemplates", rarely(vec(claim_template(), 0..3).prop_map(Value::from))));
        }
        if depth == 0 {
            fields.push(("metadata", field(metadata())));
        }
        value = object(fields);
    }
    value
}

fn owner() -> impl Strategy<Value = Owner> {
    let by = |provisioner: &str| Owner::Provisioner {
        class: Some(ClaimClass { name: "c".into(), provisioner: provisioner.into() }),
        provisioner: provisioner.into(),
        evidence: Evidence::Class.into(),
        unread_volume: None,
    };
    select(vec![
        by("pxd.portworx.com"),
        by("pxd.portworx.com"),
        by("linstor.csi.linbit.com"),
        by("local.example.test"),
        Owner::NoProvisioner,
        Owner::Missing,
        Owner::Unknown(Unknown::NoDefaultClass),
    ])
}

/// A request with the owners of its claims.
#[derive(Clone, Debug)]
struct Case {
    policy: Policy,
    kind: Kind,
    object: Value,
    /// The old object; null at CREATE.
    old: Value,
    owners: Vec<Owner>,
    /// Whether the fields are in the same order as in requests of the API server.
    in_order: bool,
}

fn case() -> impl Strategy<Value = Case> {
    // Built once per kind, because building it for each case would take half of the time.
    let objects = Union::new(kinds().map(|kind| objects(kind).prop_map(move |objects| (kind, objects))));
    (policies(), objects, vec(owner(), 1..4), any::<bool>()).prop_map(
        |(policy, (kind, (object, old)), owners, in_order)| Case { policy, kind, object, old, owners, in_order },
    )
}

/// Generates an object and its old version: null, the same object with another scheduler, or the same object.
fn objects(kind: Kind) -> impl Strategy<Value = (Value, Value)> {
    let object = object_of(kind);
    let before = one_of(&["stork", "linstor-scheduler", "mine", "default-scheduler"]);
    let replaced = (object.clone(), before).prop_map(move |(object, scheduler)| {
        let mut old = object.clone();
        if let Some(spec) = old.pointer_mut(kind.spec).and_then(Value::as_object_mut) {
            spec.insert("schedulerName".to_owned(), scheduler);
        }
        (object, old)
    });
    let created = object.clone().prop_map(|object| (object, Value::Null));
    prop_oneof![3 => created, 2 => replaced, 1 => (object.clone(), object)]
}

impl Case {
    fn body(&self) -> String {
        let operation = if self.old.is_null() { "CREATE" } else { "UPDATE" };
        let Kind { group, version, name, .. } = self.kind;
        let about = [
            ("uid", json!("1")),
            ("kind", json!({"group": group, "version": version, "kind": name})),
            ("namespace", json!("demo")),
            ("operation", json!(operation)),
        ];
        let objects = [("object", self.object.clone()), ("oldObject", self.old.clone())];
        let mut fields: Vec<_> = about.into_iter().chain(objects).collect();
        if !self.in_order {
            fields.reverse();
        }
        let fields: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let request = fields.join(",");
        format!(r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{{request}}}}}"#)
    }

    /// Returns the engine's patch; `None` if it rejects the body.
    fn patch(&self) -> Option<Patch> {
        patch_of(self.body().as_bytes(), &self.policy, &self.owners)
    }
}

fn patch_of(body: &[u8], policy: &Policy, owners: &[Owner]) -> Option<Patch> {
    let review = Review::parse(body, &policy.workloads).ok()?;
    match examine(policy, &review.request) {
        Examination::Decided(decision) => decision.patch,
        Examination::Resolve(pending) => {
            let mut owners = owners.iter().cycle().cloned();
            let owners = pending.look_up(|_| owners.next().unwrap());
            pending.decide(owners, |_| Presence::Unknown).patch
        }
    }
}

/// Gives the same cases in every run, so that a test that fails on one machine fails on all.
const SEED: RngSeed = RngSeed::Fixed(20_261_123);

fn for_all<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, rng_seed: SEED, ..Config::default() };
    match TestRunner::new(config).run(strategy, test) {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => panic!("{reason}\n{case:#?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

#[test]
fn a_patch_applies_and_changes_one_field_once() {
    const CASES: u32 = 1_000;
    let patched = Cell::new(0);
    let kept = Cell::new(0);
    for_all(CASES, &case(), |case| {
        let Some(patch) = case.patch() else { return Ok(()) };
        let (object, spec) = apply(&patch, &case.object);
        prop_assert_eq!(spec, case.kind.spec);
        patched.set(patched.get() + 1);
        kept.set(kept.get() + u32::from(!case.old.is_null()));
        // When the API server calls the webhook again, at CREATE or with the same old object at UPDATE, nothing may be patched.
        for old in [case.old.clone(), Value::Null] {
            let again = Case { object: object.clone(), old, ..case.clone() };
            prop_assert_eq!(again.patch(), None, "the object was patched twice: {}", again.object);
        }
        Ok(())
    });
    // Most generated objects are malformed, so make sure that enough of them are not.
    let (patched, kept) = (patched.get(), kept.get());
    assert!(patched > CASES / 20 && kept > CASES / 60, "of {CASES} only {patched} were patched, {kept} at an update");
}

#[test]
fn an_object_without_a_pod_spec_is_not_patched() {
    let without = (case(), any::<Index>(), select(vec![None, Some(Value::Null)])).prop_map(|(case, depth, parent)| {
        let mut object = case.object.clone();
        let keys: Vec<_> = case.kind.path.iter().chain(&["spec"]).collect();
        let depth = depth.index(keys.len());
        let place = keys[..depth].iter().try_fold(&mut object, |place, key| place.get_mut(**key));
        if let Some(place) = place.and_then(Value::as_object_mut) {
            place.remove(*keys[depth]);
            place.extend(parent.map(|parent| ((*keys[depth]).to_owned(), parent)));
        }
        Case { object, ..case }
    });
    for_all(300, &without, |case| {
        prop_assert_eq!(case.patch(), None);
        Ok(())
    });
}

const SAMPLES: [&str; 8] = [
    include_str!("../../../fixtures/reviews/cronjob-create.json"),
    include_str!("../../../fixtures/reviews/deployment-create.json"),
    include_str!("../../../fixtures/reviews/deployment-update.json"),
    include_str!("../../../fixtures/reviews/pod-dryrun.json"),
    include_str!("../../../fixtures/reviews/pod-ephemeral-volume.json"),
    include_str!("../../../fixtures/reviews/pod-from-replicaset.json"),
    include_str!("../../../fixtures/reviews/pod-from-statefulset.json"),
    include_str!("../../../fixtures/reviews/statefulset-create.json"),
];

fn portworx() -> Owner {
    Owner::Provisioner {
        class: None,
        provisioner: "pxd.portworx.com".into(),
        evidence: Evidence::Class.into(),
        unread_volume: None,
    }
}

#[test]
fn no_bytes_make_the_engine_panic() {
    let policy = Policy::default();
    for_all(1_000, &vec(any::<u8>(), 0..64), |bytes| {
        prop_assert!(Review::parse(&bytes, &policy.workloads).is_err());
        Ok(())
    });
}

#[test]
fn a_truncated_sample_is_rejected() {
    let policy = Policy::default();
    for_all(300, &(select(SAMPLES.to_vec()), any::<Index>()), |(sample, end)| {
        let sample = sample.trim_end().as_bytes();
        prop_assert!(Review::parse(sample, &policy.workloads).is_ok());
        prop_assert!(Review::parse(&sample[..end.index(sample.len())], &policy.workloads).is_err());
        Ok(())
    });
}

#[test]
fn a_sample_with_other_bytes_does_not_make_the_engine_panic() {
    let policy = Policy::default();
    let bytes = vec((any::<Index>(), prop_oneof![any::<u8>(), select(b"{}[]\",:\\n0".to_vec())]), 1..4);
    for_all(500, &(select(SAMPLES.to_vec()), bytes), |(sample, bytes)| {
        let mut body = sample.as_bytes().to_vec();
        for (at, byte) in bytes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let Some(patch) = patch_of(&body, &policy, &[portworx()]) else { return Ok(()) };
        // The engine does not check the UTF-8 of values that it skips.
        let Ok(review) = serde_json::from_slice::<Value>(&body) else { return Ok(()) };
        apply(&patch, &review["request"]["object"]);
        Ok(())
    });
}

/// Returns the `n`th value of a document, counted depth-first from its root.
fn nth<'v>(value: &'v mut Value, n: &mut usize) -> Option<&'v mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Object(map) => map.values_mut().find_map(|value| nth(value, n)),
        Value::Array(items) => items.iter_mut().find_map(|value| nth(value, n)),
        _ => None,
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        _ => 0,
    }
}

#[test]
fn a_sample_with_a_changed_value_is_patched_correctly_if_at_all() {
    let policy = Policy::default();
    let samples = SAMPLES.map(|sample| serde_json::from_str::<Value>(sample).unwrap());
    let other = prop_oneof![Just(Value::Object(Map::new())), Just(json!([])), Just(Value::Null), anything()];
    let patched = Cell::new(0);
    for_all(300, &(select(samples.to_vec()), any::<Index>(), other), |(mut review, at, other)| {
        let mut object = review["request"]["object"].take();
        let mut place = at.index(count(&object));
        *nth(&mut object, &mut place).unwrap() = other;
        review["request"]["object"] = object;
        let Some(patch) = patch_of(review.to_string().as_bytes(), &policy, &[portworx()]) else { return Ok(()) };
        patched.set(patched.get() + 1);
        apply(&patch, &review["request"]["object"]);
        Ok(())
    });
    assert!(patched.get() > 50, "only {} were patched", patched.get());
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let policy = Policy::default();
    let deep = |open: &str, close: &str| open.repeat(200_000) + "1" + &close.repeat(200_000);
    for deep in [deep("[", "]"), deep("{\"spec\":", "}"), deep("{\"template\":", "}"), deep("[{\"csi\":", "}]")] {
        for field in ["object", "userInfo"] {
            let body = format!(
                r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"1",
                "kind":{{"group":"apps","version":"v1","kind":"Deployment"}},"operation":"CREATE",
                "{field}":{{"spec":{{"template":{{"spec":{{"volumes":{deep}}}}}}}}}}}}}"#
            );
            assert!(Review::parse(body.as_bytes(), &policy.workloads).is_err(), "{field}");
        }
    }
}
