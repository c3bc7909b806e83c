//! The kinds that create pods, and a custom one.

use serde_json::{Value, json};

/// A kind whose objects contain a pod template, or are Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pod,
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    ReplicationController,
    PodTemplate,
    Job,
    CronJob,
    Rollout,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Pod,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::PodTemplate,
        Self::Job,
        Self::CronJob,
        Self::Rollout,
    ];

    /// Returns true if the API server does not default and validate its fields.
    pub(crate) fn is_custom(self) -> bool {
        self == Self::Rollout
    }

    /// Returns the name in lower case.
    pub(crate) fn word(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn group_version(self) -> &'static str {
        match self {
            Self::Pod | Self::ReplicationController | Self::PodTemplate => "v1",
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::ReplicaSet => "apps/v1",
            Self::Job | Self::CronJob => "batch/v1",
            Self::Rollout => "argoproj.io/v1alpha1",
        }
    }

    /// Returns the path of its collection.
    pub(crate) fn path(self, namespace: &str) -> String {
        let version = self.group_version();
        let root = if version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{version}/namespaces/{namespace}/{}s", self.word())
    }

    /// Returns the JSON pointer to the template. It is empty if the object itself is a Pod.
    pub(crate) fn pointer(self) -> &'static str {
        match self {
            Self::Pod => "",
            Self::PodTemplate => "/template",
            Self::CronJob => "/spec/jobTemplate/spec/template",
            _ => "/spec/template",
        }
    }

    /// Returns an object with that template and that metadata. It never creates a pod.
    pub(crate) fn object(self, name: &str, metadata: &Value, mut template: Value) -> Value {
        template["metadata"]["labels"] = json!({"app": name});
        let mut object = json!({"apiVersion": self.group_version(), "kind": format!("{self:?}"), "metadata": metadata});
        object["metadata"]["name"] = name.into();
        let selector = json!({"matchLabels": {"app": name}});
        match self {
            Self::Pod => {
                for (key, value) in template["metadata"].as_object().into_iter().flatten() {
                    object["metadata"][key] = value.clone();
                }
                object["spec"] = template["spec"].take();
            }
            Self::PodTemplate => object["template"] = template,
            Self::Deployment | Self::ReplicaSet => {
                object["spec"] = json!({"replicas": 0, "selector": selector, "template": template});
            }
            Self::StatefulSet => {
                object["spec"] =
                    json!({"replicas": 0, "selector": selector, "serviceName": name, "template": template});
            }
            Self::DaemonSet => object["spec"] = json!({"selector": selector, "template": template}),
            Self::ReplicationController => {
                object["spec"] = json!({"replicas": 0, "selector": {"app": name}, "template": template});
            }
            Self::Job | Self::CronJob => {
                template["spec"]["restartPolicy"] = "Never".into();
                let spec = json!({"suspend": true, "template": template});
                object["spec"] = match self {
                    Self::Job => spec,
                    _ => json!({"suspend": true, "schedule": "0 0 1 1 *", "jobTemplate": {"spec": spec}}),
                };
            }
            Self::Rollout => object["spec"] = json!({"replicas": 0, "template": template}),
        }
        object
    }
}
