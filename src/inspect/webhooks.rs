//! The mutating webhooks that API servers may call for pods: colocate's, Stork's, and those of others.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kinds::ResourceKind;
use super::why::WEBHOOK_NAME;
use crate::api::Resource;
use crate::insight::{Answer, Creation, Labels, WebhookEntry};

/// The name of the configuration of Stork's own webhook.
const STORK: &str = "stork-webhooks-cfg";

/// Stork's argument that keeps schedulers other than the default.
const RETAIN: &str = "--retain-external-schedulers";

/// The mutating webhooks of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Webhooks {
    configurations: Vec<Configuration>,
}

#[derive(Debug, Deserialize)]
struct Configuration {
    #[serde(default)]
    metadata: ConfigurationMetadata,
    #[serde(default)]
    webhooks: Option<Vec<WebhookEntry>>,
}

#[derive(Debug, Default, Deserialize)]
struct ConfigurationMetadata {
    #[serde(default)]
    name: String,
}

/// A webhook that API servers call for pods, depending on their Namespace, labels and match conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodWebhook {
    /// The name of its configuration, by which API servers order the calls.
    pub(crate) configuration: String,
    /// Its name.
    pub(crate) name: String,
    /// The owner.
    pub(crate) of: WebhookOwner,
    /// The `failurePolicy`.
    pub(crate) failure_policy: String,
    /// Whether it is called again after another webhook changed the pod.
    pub(crate) reinvoked: bool,
}

/// The owner of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum WebhookOwner {
    Colocate,
    Stork,
    Other,
}

/// The state of Stork's own webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stork {
    /// Whether API servers call it for pods.
    pub(crate) active: bool,
    /// Whether it keeps schedulers other than the default; `None` if Stork's Deployment was not seen.
    pub(crate) retains_external_schedulers: Option<bool>,
}

impl Webhooks {
    /// Reads the configurations.
    ///
    /// # Errors
    /// A configuration does not have the structure of its kind.
    pub(crate) fn read(configurations: &[Value]) -> serde_json::Result<Self> {
        let mut configurations =
            configurations.iter().map(Configuration::deserialize).collect::<serde_json::Result<Vec<_>>>()?;
        // API servers call them in this order.
        configurations.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        Ok(Self { configurations })
    }

    /// Returns true if a webhook of colocate is registered for pods.
    pub(crate) fn has_colocate(&self) -> bool {
        self.of_pods().any(|(_, entry)| owner(&entry.name, "") == WebhookOwner::Colocate)
    }

    /// Returns whether API servers send a new object with these labels to colocate, by the rules and selectors of its webhooks. Its
    /// match conditions are not evaluated: they exclude only objects that colocate would leave unchanged.
    pub(crate) fn sends_to_colocate(
        &self,
        (kind, name): (ResourceKind, &str),
        namespace: &str,
        namespace_labels: Option<&Labels>,
        labels: &Labels,
    ) -> Answer {
        let Resource { group, name: resource } = kind.resource;
        let pod = pod_creation(namespace, namespace_labels, labels);
        let creation = Creation { group, version: kind.version(), resource, kind: name, ..pod };
        let own = self.entries().filter(|(_, entry)| owner(&entry.name, "") == WebhookOwner::Colocate);
        let answers = own.map(|(_, entry)| {
            let call = entry.call(&creation);
            Answer::all([call.rules, call.namespace, call.object])
        });
        Answer::any(answers, "no webhook of colocate is registered")
    }

    /// Returns whether API servers send this new pod to colocate, as [`Self::sends_to_colocate`], and by the match conditions, too.
    pub(crate) fn sends_pod(
        &self,
        namespace: &str,
        namespace_labels: Option<&Labels>,
        labels: &Labels,
        pod: &Value,
    ) -> Answer {
        let creation = Creation { object: pod, ..pod_creation(namespace, namespace_labels, labels) };
        let own = self.entries().filter(|(_, entry)| owner(&entry.name, "") == WebhookOwner::Colocate);
        Answer::any(own.map(|(_, entry)| entry.call(&creation).outcome()), "no webhook of colocate is registered")
    }

    /// The webhooks whose rules include new pods, in the order in which API servers call them.
    pub(crate) fn pod_webhooks(&self) -> Vec<PodWebhook> {
        let webhooks = self.of_pods().map(|(configuration, entry)| PodWebhook {
            configuration: configuration.to_owned(),
            name: entry.name.clone(),
            of: owner(&entry.name, configuration),
            // The default of Kubernetes.
            failure_policy: entry.failure_policy.clone().unwrap_or_else(|| "Fail".to_owned()),
            reinvoked: entry.reinvocation_policy.as_deref() == Some("IfNeeded"),
        });
        webhooks.collect()
    }

    /// Returns true if API servers call Stork's own webhook for pods.
    pub(crate) fn stork_is_active(&self) -> bool {
        self.of_pods().any(|(configuration, _)| configuration == STORK)
    }

    /// The namespace of the Service of Stork's own webhook, in which its Deployment is.
    pub(crate) fn stork_namespace(&self) -> Option<&str> {
        let (_, entry) = self.of_pods().find(|(configuration, _)| *configuration == STORK)?;
        entry.client_config.service.as_ref().map(|service| service.namespace.as_str())
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &WebhookEntry)> {
        self.configurations.iter().flat_map(|configuration| {
            configuration.webhooks.iter().flatten().map(|entry| (configuration.metadata.name.as_str(), entry))
        })
    }

    fn of_pods(&self) -> impl Iterator<Item = (&str, &WebhookEntry)> {
        let labels = Labels::new();
        self.entries().filter(move |(_, entry)| entry.call(&pod_creation("", None, &labels)).rules == Answer::Yes)
    }
}

impl Stork {
    /// Describes the consequence for the pods of the cluster.
    pub(crate) const fn consequence(self) -> &'static str {
        match self {
            Self { active: false, .. } => {
                "only colocate sets the scheduler; manifests must set fsGroupChangePolicy, the tolerations for tainted Portworx \
                 nodes, and what KubeVirt launcher pods need"
            }
            Self { retains_external_schedulers: Some(true), .. } => {
                "it runs before colocate. It also sets the scheduler `stork` on pods that opt out of colocate, and keeps schedulers other than the default"
            }
            Self { retains_external_schedulers: Some(false), .. } => {
                "it runs before colocate. It also sets the scheduler `stork` on pods that opt out of colocate, and replaces every other scheduler (set retain-external-schedulers)"
            }
            Self { retains_external_schedulers: None, .. } => {
                "it runs before colocate. It also sets the scheduler `stork` on pods that opt out of colocate; whether it keeps \
                 other schedulers is not known"
            }
        }
    }
}

/// Returns whether a container of a Deployment has the argument that makes Stork keep other schedulers.
pub(super) fn retains_external_schedulers(deployment: &Value) -> bool {
    let containers = deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let arguments = containers.into_iter().flatten().flat_map(|container| {
        ["command", "args"].into_iter().filter_map(|field| container[field].as_array()).flatten()
    });
    let is_set = |argument: &str| match argument.strip_prefix(RETAIN) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('=').and_then(crate::engine::parse_bool) == Some(true),
        None => false,
    };
    arguments.filter_map(Value::as_str).any(is_set)
}

fn owner(name: &str, configuration: &str) -> WebhookOwner {
    if name.ends_with(WEBHOOK_NAME) {
        WebhookOwner::Colocate
    } else if configuration == STORK {
        WebhookOwner::Stork
    } else {
        WebhookOwner::Other
    }
}

fn pod_creation<'a>(namespace: &'a str, namespace_labels: Option<&'a Labels>, labels: &'a Labels) -> Creation<'a> {
    Creation {
        group: "",
        version: "v1",
        resource: "pods",
        kind: "Pod",
        namespace,
        namespace_labels,
        labels,
        object: &Value::Null,
    }
}
