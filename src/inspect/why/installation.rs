//! The installation of colocate in the cluster: its configuration file, its Deployment, and the endpoints of its Service.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::configuration::{Configuration, Release, find};
use super::reader::{Reader, text};
use crate::api::ApiError;
use crate::config::Config;
use crate::insight::{
    Answer, Change, Endpoints, History, Labels, LivePod, Occurrences, Replica, Scaling, ServiceReference,
};
use crate::inspect::access::Found;
use crate::inspect::kinds;

/// The labels by which the chart marks all objects of one release.
pub(super) const NAME: &str = "app.kubernetes.io/name";
pub(super) const INSTANCE: &str = "app.kubernetes.io/instance";

/// The label of an `EndpointSlice` that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The name of the program, as it appears in the labels of the chart and in `managedFields`.
pub(super) const COLOCATE: &str = "colocate";

/// The end of the names of colocate's webhooks in its chart.
pub(in crate::inspect) const WEBHOOK_NAME: &str = ".mutate.colocate";

/// The name of the configuration file in its `ConfigMap`.
const CONFIG_FILE: &str = "config.yaml";

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
    first_timestamp: Option<Timestamp>,
    #[serde(default)]
    last_timestamp: Option<Timestamp>,
    #[serde(default, rename = "eventTime")]
    time: Option<Timestamp>,
    #[serde(default)]
    count: Option<u64>,
    #[serde(default)]
    series: Option<Series>,
}

/// The repetitions of an Event of `events.k8s.io`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    #[serde(default)]
    last_observed_time: Option<Timestamp>,
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
        self.times().map(|times| times.last)
    }

    fn times(&self) -> Option<Occurrences> {
        let observed = self.series.as_ref().and_then(|series| series.last_observed_time);
        let times = [self.first_timestamp, self.last_timestamp, self.time, observed].into_iter().flatten();
        let (first, last) = (times.clone().min()?, times.max()?);
        // A series is counted with a delay.
        let count = if self.series.is_some() { None } else { self.count.or((first == last).then_some(1)) };
        Some(Occurrences { first, last, count })
    }
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
        let hides = "the configuration of colocate, and whether it was unavailable";
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

impl Installation {
    /// Returns true if no replica can answer now; false if that could not be read.
    pub(super) fn is_away(&self) -> bool {
        match (&self.endpoints, &self.history) {
            (Some(endpoints), _) => !endpoints.serving,
            (None, Some(history)) => !history.has_ready_replica(),
            (None, None) => false,
        }
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
                let why = format!("no ConfigMap of the chart belongs to {installed}");
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
            let error =
                format!("{} Deployments belong to colocate, and their configurations may differ", several.len());
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
    let hides = "whether colocate was unavailable when the pod was created";
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
        scalings: events.iter().flatten().filter_map(|event| Scaling::parse(&event.message, event.times()?)).collect(),
    }))
}
