//! The installation of colocate in the cluster: its webhook configuration, its configuration file, and its Deployment.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::reader::{Reader, text};
use crate::api::ApiError;
use crate::config::Config;
use crate::insight::{
    Answer, Change, Creation, Endpoints, History, Labels, LiveMetadata, LivePod, ManagedFields, Registration, Replica,
    Scaling, ServiceReference, WebhookEntry,
};
use crate::inspect::access::Found;
use crate::inspect::kinds;

/// The labels by which the chart marks all objects of one release.
const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";

/// The annotation in which Helm records the namespace of a release.
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// The label of an `EndpointSlice` that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The name of the program, as it appears in the labels of the chart and in `managedFields`.
const COLOCATE: &str = "colocate";

/// The end of the names of colocate's webhooks in its chart.
pub(in crate::inspect) const WEBHOOK_NAME: &str = ".mutate.colocate";

/// The name of the configuration file in its `ConfigMap`.
const CONFIG_FILE: &str = "config.yaml";

/// A `MutatingWebhookConfiguration`.
pub(super) struct Configuration {
    pub(super) name: String,
    created: Option<Timestamp>,
    changed: Option<Timestamp>,
    labels: Labels,
    annotations: Labels,
    pub(super) entries: Vec<WebhookEntry>,
}

/// The Helm release that a webhook configuration belongs to.
struct Release {
    namespace: String,
    name: String,
    instance: String,
}

/// The Deployment of colocate, and what it shows.
#[derive(Default)]
pub(super) struct Installation {
    /// The namespace of its Deployment.
    pub(super) namespace: Option<String>,
    /// The configuration of the running colocate.
    pub(super) config: Option<Config>,
    /// Whether there is neither a webhook configuration nor a Deployment of colocate.
    pub(super) is_absent: bool,
    /// The oldest object of colocate that was read, apart from the webhook configuration, and its creation.
    pub(super) oldest: Option<Change>,
    pub(super) history: Option<History>,
    pub(super) endpoints: Option<Endpoints>,
}

/// The configuration of the running colocate.
pub(in crate::inspect) enum InstalledConfig {
    /// The configuration, and the namespace and name of its `ConfigMap`.
    Found(Box<Config>, String),
    /// colocate is not installed.
    Absent,
    /// It could not be read, and is in [`Access::not_seen`](crate::inspect::Access::not_seen).
    NotSeen,
}

/// An Event, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) involved_object: Involved,
    #[serde(default)]
    last_timestamp: Option<Timestamp>,
    #[serde(default, rename = "eventTime")]
    first_timestamp: Option<Timestamp>,
}

/// The object of an Event.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Involved {
    pub(super) uid: String,
}

impl Event {
    /// Returns the last time of the event.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.last_timestamp.or(self.first_timestamp)
    }
}

impl Configuration {
    /// The Service that API servers call.
    fn service(&self) -> Option<&ServiceReference> {
        self.entries.iter().find_map(|entry| entry.client_config.service.as_ref())
    }

    /// The release that it belongs to, if it is of the chart.
    fn release(&self) -> Option<Release> {
        let namespace = self.service().map(|service| &service.namespace);
        let namespace = namespace.or_else(|| self.annotations.get(RELEASE_NAMESPACE))?;
        let (name, instance) = (self.labels.get(NAME)?.clone(), self.labels.get(INSTANCE)?.clone());
        crate::engine::dns::is_label(namespace).then(|| Release { namespace: namespace.clone(), name, instance })
    }

    /// Reads a webhook configuration; `None` if it does not have the structure of one.
    pub(super) fn read(object: &Value) -> Option<Self> {
        let metadata = object.pointer("/metadata")?.to_string();
        let metadata: LiveMetadata<'_> = serde_json::from_str(&metadata).ok()?;
        let entries = object.pointer("/webhooks").filter(|webhooks| !webhooks.is_null());
        Some(Self {
            name: metadata.name,
            created: metadata.creation_timestamp,
            changed: changed(&metadata.managed_fields),
            labels: metadata.labels,
            annotations: metadata.annotations,
            entries: entries.map_or_else(|| Some(Vec::new()), |list| serde_json::from_value(list.clone()).ok())?,
        })
    }

    /// Returns true if the chart of colocate created it, or if it has a webhook with a name of the chart.
    fn is_colocate(&self) -> bool {
        self.labels.get(NAME).is_some_and(|name| name == COLOCATE)
            || self.entries.iter().any(|entry| entry.name.ends_with(WEBHOOK_NAME))
    }

    /// Returns the registration for the creation of an object. The labels of its Namespace and its own labels were last changed
    /// at these times.
    pub(super) fn registration(
        &self,
        creation: &Creation<'_>,
        namespace_relabeled: Option<Timestamp>,
        relabeled: Option<Timestamp>,
    ) -> Registration {
        let Self { name, created, changed, entries, .. } = self;
        let calls: Vec<_> = entries.iter().map(|entry| (entry, entry.call(creation))).collect();
        // Entries are split by operation and kind: those without a rule for the object say nothing about it.
        let ruled: Vec<_> = calls.iter().filter(|(_, call)| call.rules == Answer::Yes).collect();
        let outcomes: Vec<_> = match &ruled[..] {
            [] => calls.iter().map(|(_, call)| call.outcome()).collect(),
            ruled => ruled.iter().map(|(_, call)| call.outcome()).collect(),
        };
        let ignores_failures =
            !ruled.is_empty() && ruled.iter().all(|(entry, _)| entry.failure_policy.as_deref() == Some("Ignore"));
        // A rule depends on no label, and each selector on those of one object.
        let excludes_namespace = ruled.iter().any(|(_, call)| call.namespace != Answer::Yes);
        let excludes_object =
            ruled.iter().any(|(_, call)| call.object != Answer::Yes || call.conditions() != Answer::Yes);
        let changes = [
            (name.clone(), *changed),
            (
                format!("a label of Namespace {}", creation.namespace),
                namespace_relabeled.filter(|_| excludes_namespace),
            ),
            ("a label of the object".to_owned(), relabeled.filter(|_| excludes_object)),
        ];
        Registration {
            configuration: name.clone(),
            created: *created,
            oldest: None,
            changes: changes.into_iter().filter_map(|(what, time)| Some(Change { what, time: time? })).collect(),
            called: Answer::any(outcomes, "it has no webhooks"),
            ignores_failures,
        }
    }
}

/// Finds the configuration of colocate: by its configured name, or else by the labels of the chart. Of several releases, the one
/// for the namespace is preferred.
pub(super) fn find(
    configurations: &[Configuration],
    name: &str,
    selects: impl Fn(&WebhookEntry) -> Answer,
) -> Option<usize> {
    let position = |wanted: &dyn Fn(&Configuration) -> bool| configurations.iter().position(wanted);
    let for_namespace = |found: &Configuration| found.entries.iter().any(|entry| selects(entry) == Answer::Yes);
    position(&|found| found.name == name)
        .or_else(|| position(&|found| found.is_colocate() && for_namespace(found)))
        .or_else(|| position(&Configuration::is_colocate))
}

/// Returns the last write to a webhook configuration. The `caBundle`, which colocate writes itself, does not count.
fn changed(fields: &ManagedFields) -> Option<Timestamp> {
    fields.last_write(Some(COLOCATE))
}

impl Installation {
    /// Reads the Deployment that a webhook configuration belongs to, or, without one, the only Deployment of colocate: someone
    /// may have deleted the configuration to stop colocate.
    pub(super) async fn read(reader: &mut Reader, configuration: Option<&Configuration>) -> Result<Self, ApiError> {
        let endpoints = match configuration.and_then(Configuration::service) {
            Some(service) => read_endpoints(reader, service).await?,
            // API servers do not call a Service.
            None => None,
        };
        let namespace = configuration.and_then(Configuration::release).map(|release| release.namespace);
        let installation = Self { namespace, endpoints, ..Self::default() };
        let hides = "the configuration of colocate, and whether it was away";
        let deployed = match configuration {
            Some(configuration) => read_deployment(reader, configuration, hides).await?,
            None => find_deployment(reader, hides).await?,
        };
        let (namespace, deployment) = match deployed {
            Deployed::Found(namespace, deployment) => (namespace, deployment),
            Deployed::Absent => return Ok(Self { is_absent: configuration.is_none(), ..installation }),
            Deployed::NotSeen => return Ok(installation),
        };
        let hides = "the configuration of colocate, and so what is expected";
        // A key of a newer or older version cannot be read, and the user can pass a file with --config.
        let config = match read_config(reader, &namespace, &deployment, hides).await? {
            InstalledConfig::Found(config, _) => Some(*config),
            InstalledConfig::Absent | InstalledConfig::NotSeen => None,
        };
        let history = read_history(reader, &namespace, &deployment).await?;
        let own = text(&deployment, "/metadata/creationTimestamp").parse().ok().map(|time| {
            let what = format!("Deployment {namespace}/{}", text(&deployment, "/metadata/name"));
            Change { what, time }
        });
        let sets = history.iter().flat_map(|history| &history.replica_sets).map(|(name, time)| {
            let what = format!("ReplicaSet {namespace}/{name}");
            Change { what, time: *time }
        });
        let oldest = own.into_iter().chain(sets).min_by_key(|object| object.time);
        Ok(Self { namespace: Some(namespace), config, oldest, history, ..installation })
    }
}

impl InstalledConfig {
    /// Reads the configuration of the cluster's colocate. Its webhook configurations lead to it, or else its labels. Of several
    /// releases, the one for `namespace` is preferred.
    pub(in crate::inspect) async fn read(
        reader: &mut Reader,
        configurations: Option<&[Value]>,
        namespace: Option<(&str, Option<&Labels>)>,
    ) -> Result<Self, ApiError> {
        let hides = "the configuration of colocate, and so the schedulers that it sets: pass it with --config";
        let (deployed, installed) = match configurations {
            Some(configurations) => {
                let configurations: Vec<_> = configurations.iter().filter_map(Configuration::read).collect();
                let name = Config::default().tls().webhooks.mutating.clone();
                let own = find(&configurations, &name, |entry| match namespace {
                    Some((namespace, labels)) => entry.selects_namespace(namespace, labels),
                    None => Answer::Yes,
                });
                match own.and_then(|own| configurations.get(own)) {
                    Some(configuration) => {
                        let deployed = read_deployment(reader, configuration, hides).await?;
                        (deployed, Some(format!("MutatingWebhookConfiguration {}", configuration.name)))
                    }
                    None => (Deployed::Absent, None),
                }
            }
            None => match find_deployment(reader, hides).await? {
                deployed @ Deployed::Found(..) => (deployed, Some("the Deployment of colocate".to_owned())),
                deployed => (deployed, None),
            },
        };
        let config = match deployed {
            Deployed::Found(namespace, deployment) => read_config(reader, &namespace, &deployment, hides).await?,
            Deployed::Absent => Self::Absent,
            Deployed::NotSeen => Self::NotSeen,
        };
        match (config, installed) {
            // Its configuration may be anywhere, and have any content.
            (Self::Absent, Some(installed)) => {
                let why = format!("none of the chart belongs to {installed}");
                reader.access.unreadable(kinds::CONFIG_MAPS, None, why, hides);
                Ok(Self::NotSeen)
            }
            (config, _) => Ok(config),
        }
    }
}

/// Finds the Deployment of colocate by the labels of its chart, if the webhook configurations cannot be read.
async fn find_deployment(reader: &mut Reader, hides: &str) -> Result<Deployed, ApiError> {
    let is_colocate = |object: &Value| {
        let labels = object.pointer("/metadata/labels");
        labels.and_then(|labels| labels.get(NAME)?.as_str()) == Some(COLOCATE)
    };
    let found: Option<Vec<Value>> = reader.list(kinds::DEPLOYMENTS, None, hides, is_colocate).await?;
    Ok(match found.as_deref() {
        Some([deployment]) => Deployed::Found(text(deployment, "/metadata/namespace").to_owned(), deployment.clone()),
        Some([]) => Deployed::Absent,
        Some(several) => {
            let error = format!("{} are of colocate, and one of them may have another configuration", several.len());
            reader.access.unreadable(kinds::DEPLOYMENTS, None, error, hides);
            Deployed::NotSeen
        }
        None => Deployed::NotSeen,
    })
}

/// The Deployment of colocate.
enum Deployed {
    /// Its namespace and the object.
    Found(String, Value),
    Absent,
    NotSeen,
}

/// Finds the Deployment that a webhook configuration of the chart belongs to.
async fn read_deployment(
    reader: &mut Reader,
    configuration: &Configuration,
    hides: &str,
) -> Result<Deployed, ApiError> {
    let Some(Release { namespace, name, instance }) = configuration.release() else { return Ok(Deployed::Absent) };
    let is_of_release = |object: &Value| {
        let label = |key: &str| object.pointer("/metadata/labels").and_then(|labels| labels.get(key)?.as_str());
        label(NAME) == Some(&name) && label(INSTANCE) == Some(&instance)
    };
    let deployments: Option<Vec<Value>> =
        reader.list(kinds::DEPLOYMENTS, Some(&namespace), hides, is_of_release).await?;
    Ok(match deployments.map(|list| list.into_iter().next()) {
        Some(Some(deployment)) => Deployed::Found(namespace, deployment),
        Some(None) => Deployed::Absent,
        None => Deployed::NotSeen,
    })
}

/// Reads the configuration file of the running colocate.
async fn read_config(
    reader: &mut Reader,
    namespace: &str,
    deployment: &Value,
    hides: &str,
) -> Result<InstalledConfig, ApiError> {
    let volumes = deployment.pointer("/spec/template/spec/volumes").and_then(Value::as_array);
    let named = volumes.into_iter().flatten().find(|volume| text(volume, "/name") == "config");
    let Some(name) = named.map(|volume| text(volume, "/configMap/name")).filter(|name| !name.is_empty()) else {
        return Ok(InstalledConfig::Absent);
    };
    let place = format!("{namespace}/{name}");
    let map: Value = match reader.access.get(kinds::CONFIG_MAPS, Some(namespace), name, hides).await? {
        Found::Object(json) => serde_json::from_str(&json).unwrap_or_default(),
        Found::Absent => return Ok(InstalledConfig::Absent),
        Found::NotSeen => return Ok(InstalledConfig::NotSeen),
    };
    let Some(file) = map.get("data").and_then(|data| data.get(CONFIG_FILE)?.as_str()) else {
        return Ok(InstalledConfig::Absent);
    };
    match Config::parse(file, &place) {
        Ok(config) => Ok(InstalledConfig::Found(Box::new(config), place)),
        Err(error) => {
            let error = format!("{place} is of another version of colocate: {error:#}");
            reader.access.unreadable(kinds::CONFIG_MAPS, Some(namespace), error, hides);
            Ok(InstalledConfig::NotSeen)
        }
    }
}

/// Reads the endpoints of the Service that API servers call.
async fn read_endpoints(reader: &mut Reader, service: &ServiceReference) -> Result<Option<Endpoints>, ApiError> {
    let ServiceReference { namespace, name } = service;
    if !crate::engine::dns::is_label(namespace) {
        return Ok(None);
    }
    let hides = "whether the Service of colocate had a ready endpoint when the pod was created";
    let is_of_service = |slice: &Value| {
        let labels = slice.pointer("/metadata/labels");
        labels.and_then(|labels| labels.get(SERVICE_NAME)?.as_str()) == Some(name)
    };
    let slices: Option<Vec<Value>> = reader.list(kinds::ENDPOINT_SLICES, Some(namespace), hides, is_of_service).await?;
    Ok(slices.and_then(|slices| Endpoints::of(format!("{namespace}/{name}"), &slices)))
}

/// Reads what shows when replicas were ready.
async fn read_history(reader: &mut Reader, namespace: &str, deployment: &Value) -> Result<Option<History>, ApiError> {
    let hides = "whether colocate was away when the pod was created";
    let owned = |object: &Value, uid: &str| {
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| text(owner, "/uid") == uid)
    };
    let own_uid = text(deployment, "/metadata/uid").to_owned();
    let sets: Option<Vec<Value>> =
        reader.list(kinds::REPLICA_SETS, Some(namespace), hides, |set| owned(set, &own_uid)).await?;
    let uids: Vec<_> = sets.iter().flatten().map(|set| text(set, "/metadata/uid").to_owned()).collect();
    let pods: Option<Vec<Value>> =
        reader.list(kinds::PODS, Some(namespace), hides, |pod| uids.iter().any(|uid| owned(pod, uid))).await?;
    let hides = "whether colocate was scaled down when the pod was created";
    let is_scaling = |event: &Event| event.reason == "ScalingReplicaSet" && event.involved_object.uid == own_uid;
    let events: Option<Vec<Event>> = reader.list(kinds::EVENTS, Some(namespace), hides, is_scaling).await?;
    let (Some(sets), Some(pods)) = (sets, pods) else { return Ok(None) };

    let time = |object: &Value, pointer: &str| text(object, pointer).parse::<Timestamp>().ok();
    let conditions = deployment.pointer("/status/conditions").and_then(Value::as_array);
    let progressing = conditions.into_iter().flatten().find(|condition| {
        text(condition, "/type") == "Progressing" && text(condition, "/reason") == "NewReplicaSetAvailable"
    });
    let replicas = pods.iter().map(Value::to_string).filter_map(|pod| {
        let pod: LivePod<'_> = serde_json::from_str(&pod).ok()?;
        Replica::of(&pod)
    });
    let managers = deployment.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let managers = managers.filter(|entry| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some());
    let desired = deployment.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    Ok(Some(History {
        desired: usize::try_from(desired).unwrap_or(usize::MAX),
        // Of any subresource: an autoscaler writes to `scale`.
        resized: managers.filter_map(|entry| time(entry, "/time")).max(),
        rolled_out: progressing.and_then(|condition| time(condition, "/lastUpdateTime")),
        replicas: replicas.collect(),
        replica_sets: sets
            .iter()
            .filter_map(|set| Some((text(set, "/metadata/name").to_owned(), time(set, "/metadata/creationTimestamp")?)))
            .collect(),
        scalings: events.iter().flatten().filter_map(|event| Scaling::parse(&event.message, event.time()?)).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A time on one day, as in `02:14:07`.
    fn time(time: &str) -> Option<Timestamp> {
        format!("2026-11-30T{time}Z").parse().ok()
    }

    fn configuration(name: &str, of_chart: bool, namespace: &str) -> Configuration {
        let labels = if of_chart { json!({NAME: COLOCATE}) } else { json!(null) };
        let selector = json!({"matchLabels": {"name": namespace}});
        let object = json!({
            "metadata": {"name": name, "labels": labels, "creationTimestamp": "2026-11-01T00:00:00Z"},
            "webhooks": [{"name": "pods", "namespaceSelector": selector}],
        });
        Configuration::read(&object).unwrap()
    }

    #[test]
    fn the_configured_name_precedes_the_release_for_the_namespace() {
        let all = [
            configuration("a-other", false, "team"),
            configuration("b-colocate", true, "elsewhere"),
            configuration("c-colocate", true, "team"),
            configuration("zz-colocate", false, "elsewhere"),
        ];
        let labels: Labels = [("name".to_owned(), "team".to_owned())].into();
        let find = |all, name| find(all, name, |entry| entry.selects_namespace("team", Some(&labels)));
        assert_eq!(find(&all, "zz-colocate"), Some(3));
        assert_eq!(find(&all, "absent"), Some(2));
        assert_eq!(find(&all[..2], "absent"), Some(1));
        assert_eq!(find(&all[..1], "absent"), None);
    }

    #[test]
    fn a_configuration_with_another_structure_is_skipped() {
        for object in [json!({}), json!({"metadata": {"name": "a"}, "webhooks": [{"rules": 1}]})] {
            assert!(Configuration::read(&object).is_none(), "{object}");
        }
        let without = Configuration::read(&json!({"metadata": {"name": "a"}, "webhooks": null})).unwrap();
        assert!(without.entries.is_empty());
    }

    #[test]
    fn entries_without_a_rule_for_the_object_say_nothing_about_it() {
        let rule = |resource: &str| json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": [resource], "operations": ["*"]}]);
        let excluding = json!({"matchLabels": {"a": "b"}});
        let object = json!({
            "metadata": {"name": "zz-colocate"},
            "webhooks": [
                {"name": "workloads", "rules": rule("deployments"), "failurePolicy": "Fail"},
                {"name": "pods", "rules": rule("pods"), "failurePolicy": "Ignore", "objectSelector": excluding},
            ],
        });
        let configuration = Configuration::read(&object).unwrap();
        let (labels, pod) = (Labels::new(), json!({}));
        let registration = |resource| {
            let creation = Creation {
                group: "",
                version: "v1",
                resource,
                kind: "",
                namespace: "team",
                namespace_labels: None,
                labels: &labels,
                object: &pod,
            };
            configuration.registration(&creation, time("02:00:00"), time("03:00:00"))
        };
        let pods = registration("pods");
        let why = "the selector requires `a=b`, and there is no label `a`";
        assert_eq!((pods.called, pods.ignores_failures), (Answer::No(why.to_owned()), true));
        // The labels of the Namespace do not matter.
        assert_eq!(
            pods.changes,
            [Change { what: "a label of the object".to_owned(), time: time("03:00:00").unwrap() }]
        );
        let deployments = registration("deployments");
        assert_eq!((deployments.called, deployments.ignores_failures), (Answer::Yes, false));
        let jobs = registration("jobs");
        assert_eq!(jobs.called.cause(), Some("no rule includes CREATE of jobs in version v1"));
        assert!(!jobs.ignores_failures);
        assert_eq!(jobs.changes, []);
    }
}
