//! The API server's view of our answers, taken from its audit log.

use colocate_harness::{AuditLog, Colocate, Namespace, PORTWORX_CLASS, WEBHOOK};
use serde_json::{Value, json};

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: example}
spec:
  containers: [{name: main, image: example.test/main:1}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

/// A pod with two fields of Kubernetes 1.34.
const POD_WITH_NEWER_FIELDS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: example}
spec:
  hostnameOverride: named-by-a-field-of-1.34
  containers:
  - name: main
    image: example.test/main:1
    restartPolicy: Never
    restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

#[test]
fn the_audit_log_has_the_reason_and_a_one_operation_patch() {
    let namespace = Namespace::new("audit-log");
    let _colocate = Colocate::register(&namespace, "");
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.apply(POD);

    let event = AuditLog::follow().event("create", "pods", namespace.name(), "example", 201);
    let annotations = &event["annotations"];

    assert_eq!(annotations[&format!("{WEBHOOK}/reason")], "injected");
    let patch =
        annotations.as_object().into_iter().flatten().find(|(key, _)| key.starts_with("patch.webhook.admission"));
    let (_, patch) = patch.expect("the audit level includes patches");
    let patch: Value = serde_json::from_str(patch.as_str().unwrap_or_default()).expect("the patch is JSON in a string");
    assert_eq!(patch["patch"], json!([{"op": "add", "path": "/spec/schedulerName", "value": "stork"}]));
}

#[test]
fn audit_mode_logs_the_reason_without_a_patch() {
    let namespace = Namespace::new("audit-log-of-an-audit");
    let _colocate = Colocate::register(&namespace, "mode: audit\n");
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.apply(POD);

    let event = AuditLog::follow().event("create", "pods", namespace.name(), "example", 201);
    let annotations = &event["annotations"];

    assert_eq!(annotations[&format!("{WEBHOOK}/reason")], "would-inject");
    assert!(!annotations.to_string().contains("patch.webhook.admission"), "{annotations}");
}

#[test]
fn a_pod_keeps_fields_newer_than_our_client_libraries() {
    let namespace = Namespace::new("newer-fields");
    let _colocate = Colocate::register(&namespace, "");
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.apply(POD_WITH_NEWER_FIELDS);

    let pod = namespace.get("pod/example");
    assert_eq!(pod.scheduler(), "stork");
    assert_eq!(pod.text("/spec/hostnameOverride"), "named-by-a-field-of-1.34");
    assert_eq!(pod.text("/spec/containers/0/restartPolicyRules/0/action"), "Restart");
}
