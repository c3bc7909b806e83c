//! Responses to reviews.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use colocate_harness::process::Server;
use serde_json::{Value, json};

/// The MySQL Deployment as an API server sends it.
const MYSQL: &str = include_str!("../../src/cli/probe/mysql-deployment.json");

fn uid() -> Value {
    serde_json::from_str::<Value>(MYSQL).unwrap()["request"]["uid"].take()
}

#[test]
fn the_mysql_deployment_gets_stork_over_both_tls_versions() {
    let server = Server::start("");
    for (version, name) in [(&rustls::version::TLS13, "TLSv1_3"), (&rustls::version::TLS12, "TLSv1_2")] {
        let mut connection = server.connect_with(&[version]);
        let answer = connection.send("POST /mutate?timeout=5s", MYSQL.as_bytes());
        assert_eq!(connection.tls_version().and_then(|version| version.as_str()), Some(name));
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (&answer["apiVersion"], &answer["kind"]),
            (&json!("admission.k8s.io/v1"), &json!("AdmissionReview"))
        );
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["allowed"]), (&uid(), &json!(true)));
        let patch = BASE64_STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        assert_eq!(patch, json!([{"op": "add", "path": "/spec/template/spec/schedulerName", "value": "stork"}]));
        assert_eq!(response["patchType"], "JSONPatch");
        let audit = &response["auditAnnotations"];
        assert_eq!((&audit["reason"], &audit["scheduler"]), (&json!("injected"), &json!("stork")));
        let claims = audit["claims"].as_str().unwrap();
        for part in ["mysql-data", "px-db", "pxd.portworx.com", "portworx"] {
            assert!(claims.contains(part), "{claims}");
        }
    }
}

#[test]
fn a_decision_is_logged_and_counted_without_the_object() {
    let server = Server::start("");
    server.review(MYSQL.as_bytes());
    let line = server.logged("decided");
    assert_eq!(
        (&line["reason"], &line["kind"], &line["name"]),
        (&json!("injected"), &json!("Deployment"), &json!("mysql"))
    );
    assert!(!line.to_string().contains("MYSQL_ROOT_PASSWORD"), "{line}");
    let metrics = server.admin("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let counted = r#"colocate_decisions_total{reason="injected",operation="CREATE",kind="Deployment"} 1"#;
    assert!(metrics.body.contains(counted), "{}", metrics.body);
}

#[test]
fn a_pod_whose_claim_is_missing_is_admitted_with_a_warning() {
    let server = Server::start("");
    let review = pod_with_claim("later");
    let response = server.review(&review);
    assert_eq!(response["allowed"], true);
    assert_eq!(response["auditAnnotations"]["reason"], "claim-missing");
    assert!(response.get("patch").is_none() && response.get("patchType").is_none());
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("claim `later` does not exist"), "{warning}");
}

#[test]
fn the_configuration_determines_the_decision() {
    let server = Server::start("missingClaim: {then: inject}\n");
    assert_eq!(server.review(&pod_with_claim("later"))["auditAnnotations"]["reason"], "injected-missing");
    let audit = Server::start("mode: audit\n").review(MYSQL.as_bytes());
    assert_eq!(audit["auditAnnotations"]["reason"], "would-inject");
    assert!(audit.get("patch").is_none());
    let off = Server::start("mode: off\n").review(MYSQL.as_bytes());
    assert_eq!(off, json!({"uid": uid(), "allowed": true, "auditAnnotations": {"reason": "off"}}));
}

fn pod_with_claim(claim: &str) -> Vec<u8> {
    let volume = json!({"name": "v", "persistentVolumeClaim": {"claimName": claim}});
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": "default",
            "operation": "CREATE",
            "object": {"metadata": {"name": "p"}, "spec": {"schedulerName": "default-scheduler", "volumes": [volume]}},
        },
    })
    .to_string()
    .into_bytes()
}
