//! The permissions of a reader, and the verdicts without one of them.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use colocate_harness::{Account, Rule, WAIT_TIMEOUT};
use serde_json::{Value, json};

use super::answer::{check_schema, why};
use super::scene::{APPS, CONTESTED, Scene, pod_of};

/// Everything that `colocate why` reads.
pub(super) const READER: [Rule; 19] = [
    Rule::new("", "pods", &["get", "list"]),
    Rule::new("", "namespaces", &["get"]),
    Rule::new("", "events", &["list"]),
    Rule::new("", "configmaps", &["get"]),
    Rule::new("", "persistentvolumeclaims", &["get", "list"]),
    Rule::new("", "persistentvolumes", &["list"]),
    Rule::new("", "replicationcontrollers", &["get"]),
    Rule::new("storage.k8s.io", "storageclasses", &["get", "list"]),
    Rule::new("admissionregistration.k8s.io", "mutatingwebhookconfigurations", &["list"]),
    Rule::new("apps", "deployments", &["get", "list"]),
    Rule::new("apps", "replicasets", &["get", "list"]),
    Rule::new("apps", "statefulsets", &["get"]),
    Rule::new("apps", "daemonsets", &["get"]),
    Rule::new("apps", "controllerrevisions", &["get"]),
    Rule::new("batch", "jobs", &["get", "list"]),
    Rule::new("batch", "cronjobs", &["get"]),
    Rule::new("policy", "poddisruptionbudgets", &["list"]),
    Rule::new("coordination.k8s.io", "leases", &["get"]),
    Rule::new("discovery.k8s.io", "endpointslices", &["list"]),
];

impl Scene<'_> {
    /// Of `ConfigMaps`, it may get only that of colocate.
    pub(super) fn the_reader_of_the_chart_sees_everything(&self) {
        let account = Account::new(self.control_plane, APPS, "reader", &[]);
        let subject = format!("serviceaccount {APPS}:reader");
        let role = format!("{}-reader", self.release.full_name());
        let kubectl = self.control_plane.kubectl();
        kubectl.run(&format!(
            "create clusterrolebinding why-reads-all --clusterrole={role} --{}",
            subject.replace(' ', "=")
        ));
        let began = Instant::now();
        while !kubectl
            .attempt(&format!("auth can-i list pods -A --as=system:serviceaccount:{APPS}:reader"), "")
            .succeeded
        {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the reader has no permissions");
        }
        for (object, expected) in
            [("pod/away", "colocate-away"), ("pod/revised-0", "as-expected"), ("deploy/moved", "injected-earlier")]
        {
            let answer = why(account.kubeconfig(), APPS, object, &["--strict"]);
            assert_eq!((answer.verdict(), &answer.json["notSeen"]), (expected, &json!([])), "{object}");
            assert_eq!(answer.code, Some(0));
        }
    }

    /// Revokes each permission, and asks again about pods with all sorts of verdicts.
    pub(super) fn never_gives_a_wrong_verdict_without_a_permission(&self) {
        let (moved, taken) = (pod_of(&self.apps, "moved"), pod_of(&self.contested, "taken"));
        let objects = [
            (APPS, "pod/away".to_owned(), "colocate-away"),
            (APPS, "pod/younger".to_owned(), "claim-younger"),
            (APPS, "pod/after".to_owned(), "opted-out-later"),
            (APPS, format!("pod/{moved}"), "injected-earlier"),
            (APPS, "pod/waiting".to_owned(), "as-expected"),
            (APPS, "pod/revised-0".to_owned(), "as-expected"),
            (CONTESTED, format!("pod/{taken}"), "set-by-another"),
            (APPS, "deploy/moved".to_owned(), "injected-earlier"),
        ];
        for (index, missing) in std::iter::once("").chain(READER.iter().map(Rule::resource)).enumerate() {
            let rules: Vec<_> = READER.iter().filter(|rule| !rule.is_on(missing)).cloned().collect();
            let account = Account::new(self.control_plane, APPS, &format!("without-{index}"), &rules);
            std::thread::scope(|scope| {
                for (namespace, object, expected) in &objects {
                    let kubeconfig = account.kubeconfig();
                    scope.spawn(move || is_not_wrong(answer(kubeconfig, namespace, object), object, missing, expected));
                }
            });
        }
        for (missing, expected) in [
            ("persistentvolumeclaims", "unknown"),
            // An annotation of the claim names the provisioner, too.
            ("storageclasses", "colocate-away"),
            ("namespaces", "unknown"),
            ("events", "missed"),
            ("replicasets", "missed"),
            // These show the configuration of colocate.
            ("deployments", "unknown"),
            ("mutatingwebhookconfigurations", "unknown"),
            ("configmaps", "unknown"),
            ("persistentvolumes", "colocate-away"),
        ] {
            let index = 1 + READER.iter().position(|rule| rule.is_on(missing)).expect("it is read");
            let kubeconfig = self.control_plane.dir().join(format!("accounts/{APPS}-without-{index}.kubeconfig"));
            let answer = why(&kubeconfig, APPS, "pod/away", &["--strict"]);
            assert_eq!(answer.verdict(), expected, "without {missing}: {}", answer.evidence());
            let assumed = answer.evidence().contains("with its defaults, the verdict is");
            assert_eq!(assumed, ["deployments", "mutatingwebhookconfigurations", "configmaps"].contains(&missing));
            let needed = missing != "persistentvolumes";
            assert_eq!(answer.code, Some(if needed { 3 } else { 0 }), "{missing}: {}", answer.json["notSeen"]);
            if missing == "replicasets" {
                let evidence = "the Deployment, ReplicaSets and pods of colocate could not all be read";
                assert!(answer.evidence().contains(evidence), "{}", answer.evidence());
            }
        }
    }
}

/// Returns the document about an object; `None` if it may not be read.
fn answer(kubeconfig: &Path, namespace: &str, object: &str) -> Option<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_colocate"))
        .args(["why", object, "-n", namespace, "-o", "json"])
        .env("KUBECONFIG", kubeconfig)
        .output()
        .expect("the colocate binary is built");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        assert!(stderr.contains("cannot be read (grant the verb `get`"), "{object}: {stderr}");
        return None;
    }
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    check_schema(&document);
    Some(document)
}

/// Checks the answer about an object without a permission. The verdict may be weaker than with all permissions, and never
/// another one.
fn is_not_wrong(answer: Option<Value>, object: &str, missing: &str, expected: &str) {
    let Some(answer) = answer else {
        // The object itself.
        assert_eq!(object.starts_with("pod/"), missing == "pods", "{object} without {missing}");
        return;
    };
    let verdict = answer["verdict"].as_str().expect("a word");
    let about = format!("{object} without {missing}: {verdict}: {}", answer["evidence"]);
    let not_seen = answer["notSeen"].as_array().expect("a list");
    let is_missing = |one: &Value| one["resource"].as_str().is_some_and(|name| name.split('.').next() == Some(missing));
    assert!(not_seen.iter().all(is_missing), "{about}: {not_seen:#?}");
    let is_missed_possible = ["colocate-away", "claim-younger"].contains(&expected);
    let is_weaker = verdict == "unknown" || (verdict == "missed" && is_missed_possible);
    assert!(verdict == expected || (is_weaker && !not_seen.is_empty()), "{about}: {not_seen:#?}");
}
