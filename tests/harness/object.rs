//! A Kubernetes object as the API server returns it, with what the tests ask of it.

use serde_json::Value;

/// Any object. Its JSON is there whole: nothing that a test compares is lost in a typed struct.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object(pub(crate) Value);

impl Object {
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(crate) fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// What the API server counts up at every change of what is wished for.
    pub(crate) fn generation(&self) -> u64 {
        self.0.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or_default()
    }

    /// The value of an annotation; empty if there is none.
    pub(crate) fn annotation(&self, key: &str) -> &str {
        self.0["metadata"]["annotations"][key].as_str().unwrap_or_default()
    }

    /// The value of a label; empty if there is none.
    pub(crate) fn label(&self, key: &str) -> &str {
        self.0["metadata"]["labels"][key].as_str().unwrap_or_default()
    }

    /// The pod template, wherever the kind keeps it; of a Pod the Pod itself.
    pub(crate) fn template(&self) -> &Value {
        match self.kind() {
            "Pod" => &self.0,
            "PodTemplate" => &self.0["template"],
            "CronJob" => &self.0["spec"]["jobTemplate"]["spec"]["template"],
            _ => &self.0["spec"]["template"],
        }
    }

    /// The scheduler that the pod, or the pod template, names; empty if it names none.
    pub(crate) fn scheduler(&self) -> &str {
        self.template()["spec"]["schedulerName"].as_str().unwrap_or_default()
    }

    /// The image of the first container.
    pub(crate) fn image(&self) -> &str {
        self.template()["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
    }

    /// The string at a JSON pointer; empty if there is none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The number at a JSON pointer; 0 if there is none, which is how the API server writes 0 in many places.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Whether this is a pod that runs and is to go on, or one of a Job, which KWOK lets end at once.
    pub(crate) fn runs(&self) -> bool {
        let phase = self.text("/status/phase");
        matches!(phase, "Running" | "Succeeded") && self.text("/metadata/deletionTimestamp").is_empty()
    }
}
