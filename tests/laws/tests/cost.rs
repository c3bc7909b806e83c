//! The cost of a decision grows linearly with the length of the object, whatever it contains.
//!
//! A binary of its own: no other test takes CPU time while this one measures.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use colocate_engine::{AdmissionResponse, Examination, Owner, Policy, Presence, Review, examine};

/// Enough items for a quadratic algorithm to take a hundred times as long as parsing.
const COUNT: usize = 10_000;

/// [`COUNT`] copies of a text as the items of a list; `#` is replaced by the number of each.
fn many(text: &str) -> String {
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
fn nothing_takes_longer_to_decide_than_to_read() {
    let (csi, claim) =
        (r#"{"name":"v#","csi":{"driver":"x"}}"#, r#"{"name":"v#","persistentVolumeClaim":{"claimName":"c#"}}"#);
    let template = r#"{"metadata":{"name":"v#"},"spec":{"storageClassName":"x#"}}"#;
    let annotations = format!(r#""annotations":{{{}}}"#, many(r#""stork.libopenstorage.org/a#":"true""#));
    let owners = format!(r#""ownerReferences":[{}]"#, many(r#"{"apiVersion":"a/v#","kind":"K"}"#));
    let fields = format!(r#""managedFields":[{}]"#, many(r#"{"operation":"Apply","fieldsV1":{"f:spec":{"f:x#":{}}}}"#));
    let template_with_annotations = format!(r#"{{"metadata":{{"name":"v",{annotations}}}}}"#);
    for (what, body) in [
        ("volumes", stateful_set("", "", &many(csi), "")),
        ("claims", stateful_set("", "", &many(claim), "")),
        ("volumes and claim templates", stateful_set("", "", &many(csi), &many(template))),
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

    // On any machine: a linear decision takes at most as long as parsing, a quadratic one a hundred times as long.
    assert!(deciding < 10 * reading, "{what}: read in {reading:?}, decided in {deciding:?}");
    assert!(answer.len() < 64 * 1024, "{what}: an answer of {} bytes", answer.len());
}
