//! Responses to reviews for validation.

use colocate_harness::process::Server;
use serde_json::{Value, json};

/// The MySQL Deployment as an API server sends it.
const MYSQL: &str = include_str!("../../src/cli/probe/mysql-deployment.json");

const KEY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";

/// Returns [`MYSQL`] with this value of the annotation [`KEY`] on its template.
fn annotated(value: &Value) -> Value {
    let mut review: Value = serde_json::from_str(MYSQL).unwrap();
    review["request"]["object"]["spec"]["template"]["metadata"]["annotations"] = json!({ KEY: value });
    review
}

/// Sends a review. Returns the status, and the `response` or the text of an error.
fn ask(server: &Server, review: &Value) -> (u16, Value) {
    let answer = server.send("POST /validate?timeout=5s", review.to_string().as_bytes());
    let response = serde_json::from_str::<Value>(&answer.body).map(|mut answer| answer["response"].take());
    (answer.status, response.unwrap_or(Value::String(answer.body)))
}

#[test]
fn the_current_config_turns_findings_into_warnings_or_a_denial() {
    let server = Server::start("");
    let bad = annotated(&"yes".into());
    let uid = &bad["request"]["uid"];

    let (status, response) = ask(&server, &bad);
    assert_eq!((status, &response["allowed"], &response["uid"]), (200, &json!(true), uid));
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with(&format!("colocate: HC001: spec.template.metadata.annotations[{KEY}]: ")), "{warning}");
    assert_eq!(response["auditAnnotations"], json!({ "findings": "HC001" }));

    server.configure("validation: {mode: enforce}\n");
    server.logged("configuration reloaded");
    let (status, response) = ask(&server, &bad);
    assert_eq!((status, &response["allowed"], &response["status"]["code"]), (200, &json!(false), &json!(403)));
    assert!(response["status"]["message"].as_str().unwrap().contains("- error: HC001: "), "{response}");
    assert_eq!(response["warnings"], Value::Null);
    assert_eq!(ask(&server, &annotated(&"true".into())), (200, json!({ "uid": uid, "allowed": true })));

    server.configure("validation: {mode: enforce, rules: {HC001: off}}\n");
    server.logged("configuration reloaded");
    assert_eq!(ask(&server, &bad), (200, json!({ "uid": uid, "allowed": true })));

    server.configure("validation: {mode: off}\n");
    server.logged("configuration reloaded");
    assert_eq!(ask(&server, &bad), (200, json!({ "uid": uid, "allowed": true })));
    let metrics = server.admin("/metrics").body;
    for line in [
        r#"colocate_validations_total{result="warned"} 1"#,
        r#"colocate_validations_total{result="denied"} 1"#,
        r#"colocate_validations_total{result="clean"} 2"#,
        r#"colocate_validations_total{result="off"} 1"#,
        r#"colocate_findings_total{rule="HC001",severity="error"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn an_invalid_review_is_rejected_and_never_denied() {
    let server = Server::start("validation: {mode: enforce}\n");
    let mut beta = annotated(&"yes".into());
    beta["apiVersion"] = "admission.k8s.io/v1beta1".into();
    let mut no_object = annotated(&"yes".into());
    no_object["request"]["object"] = json!({ "spec": { "template": [] } });
    for (review, part) in [
        (json!([]), "expected an object or null"),
        (beta, "apiVersion is `admission.k8s.io/v1beta1`"),
        (no_object, "invalid type: sequence"),
    ] {
        let (status, error) = ask(&server, &review);
        let error = error.as_str().unwrap();
        assert!(
            status == 400 && error.contains("the body is not an AdmissionReview") && error.contains(part),
            "{error}"
        );
    }
    // The API server never sends an annotation of this type, but it must not cause an error.
    assert_eq!(ask(&server, &annotated(&json!({ "a": [null] }))).0, 200);
}
