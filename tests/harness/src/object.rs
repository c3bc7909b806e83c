//! A Kubernetes object with accessors for tests.

use serde_json::Value;

/// An object as JSON, because typed structs would drop unknown fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub Value);

impl Object {
    /// The kind of the object.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// The name of the object.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// The UID of the object.
    pub fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// The generation, which the API server increments whenever the spec changes.
    pub fn generation(&self) -> u64 {
        self.0.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or_default()
    }

    /// Returns the value of an annotation; empty if it is missing.
    pub fn annotation(&self, key: &str) -> &str {
        self.0["metadata"]["annotations"][key].as_str().unwrap_or_default()
    }

    /// Returns the value of a label; empty if it is missing.
    pub fn label(&self, key: &str) -> &str {
        self.0["metadata"]["labels"][key].as_str().unwrap_or_default()
    }

    /// Returns the pod template, or the Pod itself.
    pub fn template(&self) -> &Value {
        match self.kind() {
            "Pod" => &self.0,
            "PodTemplate" => &self.0["template"],
            "CronJob" => &self.0["spec"]["jobTemplate"]["spec"]["template"],
            _ => &self.0["spec"]["template"],
        }
    }

    /// Returns the scheduler of the pod or pod template; empty if it is missing.
    pub fn scheduler(&self) -> &str {
        self.template()["spec"]["schedulerName"].as_str().unwrap_or_default()
    }

    /// Returns the image of the first container.
    pub fn image(&self) -> &str {
        self.template()["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
    }

    /// Returns the string at a JSON pointer; empty if it is missing.
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the number at a JSON pointer; 0 if it is missing, because the API server omits zeros.
    pub fn number(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Returns whether this is a pod that runs and is not being deleted. A pod of a Job, which KWOK completes at once, counts as
    /// running.
    pub fn runs(&self) -> bool {
        let phase = self.text("/status/phase");
        matches!(phase, "Running" | "Succeeded") && self.text("/metadata/deletionTimestamp").is_empty()
    }
}
