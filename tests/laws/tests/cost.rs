//! The cost of a decision grows linearly with the length of the object, for any content.
//!
//! This test has its own binary, so that no other test takes CPU time while it measures.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use colocate_engine::{AdmissionResponse, Examination, Owner, Policy, Presence, Review, examine};

/// The number of items, large enough that a quadratic algorithm would take a hundred times as long as parsing.
const COUNT: usize = 10_000;

/// Returns [`COUNT`] copies of a text as the items of a list. `#` is replaced by the number of the copy.
fn list_of(text: &str) -> String {
    (0..COUNT).map(|number| text.replace('#', &number.to_string())).collect::<Vec<_>>().join(",")
}

fn stateful_set(metadata: &str, pod: &str, volumes: &str, claim_templates: &str) -> String {
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"1","operation":"CREATE",
        "kind":{{"group":"apps","version":"v1","kind":"StatefulSet"}},"object":{{"metadata":{{{metadata}}},"spec":{{
        "template":{{"metadata":{{{pod}}},"spec":{{"volumes":[{volumes}]}}}},"volumeClaimTemplates":[{claim_templates}]}}}}}}}}"#
    )
}

#[test]
fn deciding_is_never_slower_than_parsing() {
    let (csi, claim) =
        (r#"{"name":"v#","csi":{"driver":"x"}}"#, r#"{"name":"v#","persistentVolumeClaim":{"claimName":"c#"}}"#);
    let template = r#"{"metadata":{"name":"v#"},"spec":{"storageClassName":"x#"}}"#;
    let annotations = format!(r#""annotations":{{{}}}"#, list_of(r#""stork.libopenstorage.org/a#":"true""#));
    let owners = format!(r#""ownerReferences":[{}]"#, list_of(r#"{"apiVersion":"a/v#","kind":"K"}"#));
    let fields =
        format!(r#""managedFields":[{}]"#, list_of(r#"{"operation":"Apply","fieldsV1":{"f:spec":{"f:x#":{}}}}"#));
    let template_with_annotations = format!(r#"{{"metadata":{{"name":"v",{annotations}}}}}"#);
    for (what, body) in [
        ("volumes", stateful_set("", "", &list_of(csi), "")),
        ("claims", stateful_set("", "", &list_of(claim), "")),
        ("volumes and claim templates", stateful_set("", "", &list_of(csi), &list_of(template))),
        ("annotations of the pod", stateful_set("", &annotations, claim, "")),
        ("annotations of a claim template", stateful_set("", "", "", &template_with_annotations)),
        ("owners", stateful_set(&owners, "", claim, "")),
        ("managed fields", stateful_set(&fields, "", claim, "")),
    ] {
        decide(what, body.as_bytes());
    }
}

fn decide(what: &str, body: &[u8]) {
    let policy = Policy::default();
    let begun = Instant::now();
    let review = Review::parse(body, &policy.workloads).unwrap();
    let reading = begun.elapsed();

    let begun = Instant::now();
    let decision = match examine(&policy, &review.request) {
        Examination::Decided(decision) => decision,
        Examination::Resolve(pending) => {
            let owners = pending.look_up(|_| Owner::NoProvisioner);
            pending.decide(owners, |_| Presence::Unknown)
        }
    };
    let answer = AdmissionResponse::from(&decision).encode("1");
    let deciding = begun.elapsed();

    // On any machine, a linear decision takes at most as long as parsing, and a quadratic one a hundred times as long.
    assert!(deciding < 10 * reading, "{what}: parsed in {reading:?}, decided in {deciding:?}");
    assert!(answer.len() < 64 * 1024, "{what}: a response of {} bytes", answer.len());
}
