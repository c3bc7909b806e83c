//! The cost of a review, by step, compared with skipping the same bytes and with common ways to write a webhook.
//!
//! `skip` is S, the unit of every target: the time in which `serde_json` reads the same bytes and discards them.

#![allow(clippy::expect_used, reason = "a panic fails the bench")]
#![allow(missing_docs, reason = "a bench has no public interface")]

use std::fmt;
use std::sync::{Arc, LazyLock};

use colocate::engine::{
    AdmissionResponse as Answer, ClaimClass, Decision, Evidence, Examination, Owner, Policy, Presence, Request, Review,
    examine,
};
use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use k8s_openapi::api::apps::v1::Deployment;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A review that an API server sent.
struct Sample {
    path: &'static str,
    body: &'static str,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        f.write_str(name.trim_end_matches(".json"))
    }
}

macro_rules! samples {
    ($($path:literal)+) => {
        &[$(Sample { path: $path, body: include_str!(concat!("../", $path)) }),+]
    };
}

const SAMPLES: &[Sample] = samples![
    "src/cli/probe/mysql-deployment.json"
    "tests/fixtures/reviews/cronjob-create.json"
    "tests/fixtures/reviews/deployment-create.json"
    "tests/fixtures/reviews/deployment-update.json"
    "tests/fixtures/reviews/pod-dryrun.json"
    "tests/fixtures/reviews/pod-ephemeral-volume.json"
    "tests/fixtures/reviews/pod-from-replicaset.json"
    "tests/fixtures/reviews/pod-from-statefulset.json"
    "tests/fixtures/reviews/statefulset-create.json"
];

/// The sample for the comparison with other ways.
const DEPLOYMENT: &[Sample] = samples!["tests/fixtures/reviews/deployment-create.json"];

static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);

/// The owner of every claim. It is the most expensive case, because it leads to a patch.
static PORTWORX: LazyLock<Owner> = LazyLock::new(|| Owner::Provisioner {
    class: Some(ClaimClass { name: "px-db".into(), provisioner: "pxd.portworx.com".into() }),
    provisioner: Arc::from("pxd.portworx.com"),
    evidence: Evidence::Class.into(),
    unread_volume: None,
});

fn parsed(sample: &'static Sample) -> Review<'static> {
    Review::parse(sample.body.as_bytes(), &POLICY.workloads).expect("the samples are reviews")
}

fn decided<'r>(request: &'r Request<'r>) -> Decision<'r> {
    match examine(&POLICY, request) {
        Examination::Decided(decision) => decision,
        Examination::Resolve(pending) => {
            let owners = pending.look_up(|_| PORTWORX.clone());
            pending.decide(owners, |_| Presence::Alive)
        }
    }
}

#[divan::bench(args = SAMPLES)]
fn skip(bencher: Bencher<'_, '_>, sample: &Sample) {
    bencher
        .counter(BytesCount::of_str(sample.body))
        .bench(|| serde_json::from_slice::<IgnoredAny>(divan::black_box(sample.body.as_bytes())));
}

#[divan::bench(args = SAMPLES)]
fn parse(bencher: Bencher<'_, '_>, sample: &'static Sample) {
    bencher.bench(|| parsed(divan::black_box(sample)));
}

#[divan::bench(args = SAMPLES)]
fn decide(bencher: Bencher<'_, '_>, sample: &'static Sample) {
    let review = parsed(sample);
    bencher.bench(|| decided(divan::black_box(&review.request)));
}

#[divan::bench(args = SAMPLES)]
fn answer(bencher: Bencher<'_, '_>, sample: &'static Sample) {
    let review = parsed(sample);
    let decision = decided(&review.request);
    bencher.bench(|| Answer::from(divan::black_box(&decision)).encode(&review.request.uid));
}

#[divan::bench(args = SAMPLES)]
fn together(bencher: Bencher<'_, '_>, sample: &'static Sample) {
    bencher.bench(|| {
        let review = parsed(divan::black_box(sample));
        let decision = decided(&review.request);
        Answer::from(&decision).encode(&review.request.uid)
    });
}

/// A webhook as in kube's examples: the object as a tree of values, and a patch on it.
#[divan::bench(args = DEPLOYMENT)]
fn kube_dynamic_object(bencher: Bencher<'_, '_>, sample: &Sample) {
    bencher.bench(|| {
        let review: AdmissionReview<DynamicObject> =
            serde_json::from_str(divan::black_box(sample.body)).expect("the samples are reviews");
        let request: AdmissionRequest<_> = review.try_into().expect("a review has a request");
        let object = request.object.as_ref().expect("a CREATE has an object");
        let volumes = &object.data["spec"]["template"]["spec"]["volumes"];
        assert!(volumes[0].get("persistentVolumeClaim").is_some());
        let add = PatchOperation::Add(AddOperation {
            path: PointerBuf::from_tokens(["spec", "template", "spec", "schedulerName"]),
            value: "stork".into(),
        });
        let response = AdmissionResponse::from(&request).with_patch(Patch(vec![add])).expect("a patch is JSON");
        serde_json::to_vec(&response.into_review()).expect("an answer is JSON")
    });
}

/// The typed round trip: the object is decoded, changed, and encoded again. The diff is not included.
#[divan::bench(args = DEPLOYMENT)]
fn typed_deployment(bencher: Bencher<'_, '_>, sample: &Sample) {
    let review: serde_json::Value = serde_json::from_str(sample.body).expect("the samples are reviews");
    let object: Box<RawValue> = serde_json::value::to_raw_value(&review["request"]["object"]).expect("a value is JSON");
    bencher.bench(|| {
        let mut deployment: Deployment =
            serde_json::from_str(divan::black_box(object.get())).expect("the object is a Deployment");
        let pod = deployment.spec.as_mut().and_then(|spec| spec.template.spec.as_mut());
        pod.expect("a Deployment has a template").scheduler_name = Some("stork".to_owned());
        serde_json::to_vec(&deployment).expect("a Deployment is JSON")
    });
}
