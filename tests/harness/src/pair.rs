//! A Portworx claim and a pod that mounts it, as JSON.

use serde_json::{Value, json};

use super::PORTWORX_CLASS;

/// Returns the claim.
pub fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": PORTWORX_CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Gi"}},
        },
    })
}

/// Returns the pod, which has the name of the claim.
pub fn pod(claim: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": claim},
        "spec": {
            "containers": [{"name": "main", "image": "example.test/main:1"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    })
}

/// Returns the API path of the pods in a namespace.
pub fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

/// Returns the API path of the claims in a namespace.
pub fn claims(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims")
}

/// Returns the review of the new pod, with the fields that matter.
pub fn review(namespace: &str, claim: &str) -> Value {
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": kind,
            "requestKind": kind,
            "resource": resource,
            "requestResource": resource,
            "name": claim,
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "example"},
            "object": pod(claim),
            "oldObject": null,
            "dryRun": false,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    })
}

/// The `uid` of every [`review`].
pub const UID: &str = "8acbe0ee-9237-4281-a12f-b02ee32a3291";
