//! `AdmissionReview`s recorded from a real API server.

use super::*;

macro_rules! samples {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../../../tests/fixtures/reviews/", $name, ".json")))),+]
    };
}

const ALL: [(&str, &str); 8] = samples![
    "cronjob-create",
    "deployment-create",
    "deployment-update",
    "pod-dryrun",
    "pod-ephemeral-volume",
    "pod-from-replicaset",
    "pod-from-statefulset",
    "statefulset-create",
];

fn sample(name: &str) -> &'static str {
    ALL.iter().find(|(sample, _)| *sample == name).unwrap().1
}

/// Decides a sample in a cluster where every claim belongs to Portworx.
fn ask(name: &str) -> (Vec<String>, Answer) {
    let policy = Policy::default();
    let review = Review::parse(sample(name).as_bytes(), &policy.workloads).unwrap();
    match examine(&policy, &review.request) {
        Examination::Decided(decision) => (Vec::new(), decision.into()),
        Examination::Resolve(pending) => {
            let claims = pending.claims().map(|claim| claim.to_string()).collect();
            let owner = Owner::Provisioner {
                class: None,
                provisioner: "pxd.portworx.com".into(),
                evidence: Evidence::Class.into(),
                unread_volume: None,
            };
            let owners = pending.look_up(|_| owner.clone());
            (claims, pending.decide(owners, |_| Presence::Unknown).into())
        }
    }
}

#[test]
fn every_sample_is_read_and_gets_a_decision() {
    for (name, claims, path) in [
        ("cronjob-create", &["claim `data`"][..], "/spec/jobTemplate/spec/template/spec/schedulerName"),
        ("deployment-create", &["claim `data`"], "/spec/template/spec/schedulerName"),
        // The update sets another image.
        ("deployment-update", &["claim `data`"], "/spec/template/spec/schedulerName"),
        ("pod-dryrun", &[], ""),
        ("pod-ephemeral-volume", &["claim template `s`"], "/spec/schedulerName"),
        ("pod-from-replicaset", &["claim `data`"], "/spec/schedulerName"),
        ("pod-from-statefulset", &["claim `wal-db-0`", "claim `data-db-0`"], "/spec/schedulerName"),
        ("statefulset-create", &["claim template `data`", "claim template `wal`"], "/spec/template/spec/schedulerName"),
    ] {
        let (found, answer) = ask(name);
        assert_eq!(found, claims, "{name}");
        let patch = (!path.is_empty()).then(|| json!([{"op": "add", "path": path, "value": "stork"}]));
        let reason = if path.is_empty() { Reason::NoClaims } else { Reason::Injected };
        assert_eq!((answer.reason, answer.patch), (reason, patch), "{name}");
    }
}

#[test]
fn the_request_of_a_sample_is_decoded() {
    let workloads = Workloads::default();
    let decoded = |name| {
        let review = Review::parse(sample(name).as_bytes(), &workloads).unwrap();
        let request = review.request;
        let (namespace, name) = (request.namespace().to_owned(), request.display_name().into_owned());
        (request.kind.kind.to_string(), namespace, name, request.operation.as_str(), request.dry_run)
    };
    let expected = |kind: &str, name: &str, operation, dry_run| {
        (kind.to_owned(), "demo".to_owned(), name.to_owned(), operation, dry_run)
    };
    assert_eq!(decoded("deployment-update"), expected("Deployment", "web", "UPDATE", false));
    assert_eq!(decoded("pod-from-replicaset"), expected("Pod", "web-95b64b7c7-*", "CREATE", false));
    assert!(decoded("pod-dryrun").4);
}
