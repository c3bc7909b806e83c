//! Audit logs of API servers: the objects that a webhook missed because it did not answer, and what colocate's and Stork's webhooks
//! did about the same objects.
//!
//! API servers annotate an event with the webhooks that they called for it. The round and the index in the key of an annotation
//! identify the call. The patches of webhooks are logged from level `Request` on, everything else from level `Metadata` on.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use colocate_engine::{Reason, Text, object};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::controller::{Controller, controller};

/// The largest number of missed objects that are kept. At 700 bytes each, they take 7 MB.
const MAX_MISSED: usize = 10_000;

/// The largest number of webhooks whose calls are counted.
const MAX_WEBHOOKS: usize = 1_000;

/// The prefixes of annotations about calls of mutating webhooks, each followed by the round and the index of the call.
const MUTATION: &str = "mutation.webhook.admission.k8s.io/";
const PATCH: &str = "patch.webhook.admission.k8s.io/";
const FAILED_OPEN: &str = "failed-open.mutation.webhook.admission.k8s.io/";

/// The scheduler of a pod that names none.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The configuration that Stork maintains.
const STORK: &str = "stork-webhooks-cfg";

/// Audit logs, read line by line. Its memory is bounded.
#[derive(Debug, Default)]
pub struct AuditLog {
    /// The namespace whose objects are counted; `None` for all.
    pub namespace: Option<String>,
    /// The number of events.
    pub events: u64,
    /// The time of the first event and of the last one, in any order of the lines.
    pub period: Option<[String; 2]>,
    /// The calls of each mutating webhook, by its configuration and its name.
    pub webhooks: BTreeMap<[String; 2], WebhookCalls>,
    /// The calls of webhooks that are not counted separately.
    pub more_calls: u64,
    /// The objects that colocate missed, by time.
    pub missed: BTreeSet<MissedObject>,
    /// The number of missed objects that are not kept.
    pub more_missed: u64,
    /// The objects about which colocate's and Stork's webhook were both asked, or should have been, by the result.
    pub comparison: BTreeMap<Comparison, Compared>,
}

/// The calls of a webhook for objects that were admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookCalls {
    /// The requests for which it was called.
    pub requests: u64,
    /// The requests that it changed.
    pub changed: u64,
    /// The requests that were admitted although it did not answer.
    pub failed_open: u64,
    /// The times of the first and the last of them.
    pub failures: Option<[String; 2]>,
}

/// An object that was admitted although colocate did not answer. The order is that of time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissedObject {
    /// The time of the response, in RFC 3339.
    pub time: String,
    /// The resource, as in `deployments.apps`.
    pub resource: String,
    /// The namespace.
    pub namespace: String,
    /// The name; for an object that the API server named, its `generateName` and `*`, unless the log has the response.
    pub name: String,
    /// The verb.
    pub verb: String,
    /// The user; the impersonated one, if there is one.
    pub user: String,
    /// The webhook that set `schedulerName` instead, if the log has its patch.
    pub set_by: Option<String>,
    /// The ID of the request.
    pub audit_id: String,
    /// What else the log has about the identity of the object.
    pub identity: Identity,
}

/// What a log has about the identity of an object, in addition to its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The version of its API, as in `v1`.
    pub version: String,
    /// The time of the request, in RFC 3339.
    pub requested: String,
    /// The UID, if the log has the response.
    pub uid: Option<String>,
    /// The prefix of its name, if the API server chose the name and the log has the request.
    pub generate_name: Option<String>,
    /// The UID of its controller, if the log has the request.
    pub controller: Option<String>,
    /// The scheduler that the request for a pod names, if the log has the request. The default is `default-scheduler`.
    pub scheduler: Option<String>,
}

/// What colocate's and Stork's webhook did about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// Stork's webhook set the scheduler, and colocate would have.
    Both,
    /// Stork's webhook set the scheduler, and colocate would not have.
    OnlyStork,
    /// colocate set the scheduler, or would in `mode: inject`, and Stork's webhook did not.
    OnlyColocate,
    /// Stork's webhook set the scheduler, and colocate did not answer or was not called.
    WithoutColocate,
    /// Stork's webhook changed the object, and the log has no patch that shows what.
    Unknown,
}

/// The objects with one result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Their number.
    pub objects: u64,
    /// The reasons of colocate, and their numbers.
    pub reasons: BTreeMap<&'static str, u64>,
    /// One of the objects: its resource, its namespace and its name.
    pub example: [String; 3],
}

/// A line that is not an event.
#[derive(Debug, thiserror::Error)]
pub enum AuditLineError {
    /// It is not JSON, or has another structure.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is another object.
    #[error("it is not an event of audit.k8s.io/v1")]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default, rename = "auditID")]
    audit_id: Text<'a>,
    #[serde(borrow, default)]
    stage: Text<'a>,
    #[serde(borrow, default, rename = "requestURI")]
    request_uri: Text<'a>,
    #[serde(borrow, default)]
    verb: Text<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    user: Option<User<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    impersonated_user: Option<User<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    object_ref: Option<ObjectRef<'a>>,
    #[serde(default, deserialize_with = "object")]
    response_status: Option<ResponseStatus>,
    /// The object, or the patch in any form.
    #[serde(borrow, default)]
    request_object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response_object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request_received_timestamp: Text<'a>,
    #[serde(borrow, default)]
    stage_timestamp: Text<'a>,
    #[serde(borrow, default)]
    annotations: Option<BTreeMap<Text<'a>, Text<'a>>>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow, default)]
    username: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef<'a> {
    #[serde(borrow, default)]
    resource: Text<'a>,
    #[serde(borrow, default)]
    api_group: Text<'a>,
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    subresource: Text<'a>,
    #[serde(borrow, default)]
    namespace: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

/// A logged object.
#[derive(Default, Deserialize)]
struct Logged<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<LoggedMetadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    spec: Option<LoggedSpec<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedMetadata<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    generate_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    uid: Option<Text<'a>>,
    #[serde(borrow, default, rename = "ownerReferences", deserialize_with = "controller")]
    controller: Option<Controller<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedSpec<'a> {
    #[serde(borrow, default)]
    scheduler_name: Option<Text<'a>>,
}

impl<'a> Logged<'a> {
    /// Reads an object. A patch may be an array; it identifies nothing.
    fn read(logged: Option<&'a RawValue>) -> Option<Self> {
        serde_json::from_str(logged?.get()).ok()
    }
}

/// The value of an annotation about a call.
#[derive(Deserialize)]
struct CallAnnotation<'a> {
    #[serde(borrow, default)]
    configuration: Text<'a>,
    #[serde(borrow, default)]
    webhook: Text<'a>,
    #[serde(default)]
    mutated: bool,
    #[serde(default)]
    patch: Option<Value>,
}

impl<'a> CallAnnotation<'a> {
    /// Reads a value; `None` if it has another form.
    fn read(value: &'a str) -> Option<Self> {
        serde_json::from_str::<Self>(value).ok().filter(|read| !read.webhook.is_empty())
    }
}

/// The calls of a webhook for one request, in all rounds.
#[derive(Debug, Default)]
struct Calls {
    configuration: String,
    changed: bool,
    /// Whether one of the calls was answered.
    answered: bool,
    /// Whether the log has its patch, and whether that sets `schedulerName`.
    sets_scheduler: Option<bool>,
}

impl AuditLog {
    /// Creates a log of the objects in a namespace, or in all.
    pub fn new(namespace: Option<String>) -> Self {
        Self { namespace, ..Self::default() }
    }

    /// Adds a line. Requests that were rejected, dry runs, and stages other than the last are ignored.
    ///
    /// # Errors
    /// The line is not an event. It may be the rest of one, at the start or the end of a file that was cut.
    pub fn add(&mut self, line: &[u8]) -> Result<(), AuditLineError> {
        let event: Event<'_> = serde_json::from_slice(line)?;
        if *event.kind != *"Event" || !event.api_version.starts_with("audit.k8s.io/") {
            return Err(AuditLineError::Other);
        }
        self.events += 1;
        extend(&mut self.period, &event.stage_timestamp);
        if let Some(annotations) = &event.annotations
            && event.is_admitted()
            && self.namespace.as_deref().is_none_or(|namespace| event.namespace() == namespace)
        {
            let calls = calls(annotations);
            self.count(&event, &calls);
            self.compare(&event, annotations, &calls);
        }
        Ok(())
    }

    fn count(&mut self, event: &Event<'_>, calls: &BTreeMap<String, Calls>) {
        for (webhook, call) in calls {
            let key = [call.configuration.clone(), webhook.clone()];
            if self.webhooks.len() >= MAX_WEBHOOKS && !self.webhooks.contains_key(&key) {
                self.more_calls += 1;
                continue;
            }
            let counts = self.webhooks.entry(key).or_default();
            counts.requests += 1;
            counts.changed += u64::from(call.changed);
            if !call.answered {
                counts.failed_open += 1;
                extend(&mut counts.failures, &event.stage_timestamp);
            }
        }
        let missed = |(webhook, call): (&String, &Calls)| !call.answered && call.is_colocate(webhook);
        if event.sets_a_scheduler() && calls.iter().any(missed) {
            let set_by = calls.iter().find(|(_, call)| call.sets_scheduler == Some(true)).map(|(name, _)| name.clone());
            let missed = event.missed(set_by);
            // The same file may be read twice, or a line may be in two rotated files.
            if self.missed.len() >= MAX_MISSED && !self.missed.contains(&missed) {
                self.more_missed += 1;
            } else {
                self.missed.insert(missed);
            }
        }
    }

    fn compare(
        &mut self,
        event: &Event<'_>,
        annotations: &BTreeMap<Text<'_>, Text<'_>>,
        calls: &BTreeMap<String, Calls>,
    ) {
        let stork = calls.values().find(|call| call.configuration == STORK);
        let colocate: Vec<_> = calls.iter().filter(|(webhook, call)| call.is_colocate(webhook)).collect();
        let answered = colocate.iter().filter(|(_, call)| call.answered);
        let decision = answered.map(|(webhook, _)| Decision::read(annotations, webhook)).max();
        let would_set = decision.is_some_and(|decision| decision.would_set);
        let comparison = match stork {
            Some(Calls { sets_scheduler: Some(true), .. }) => match decision {
                None => Comparison::WithoutColocate,
                Some(_) if would_set => Comparison::Both,
                Some(_) => Comparison::OnlyStork,
            },
            // Without its patch, a change may be one of tolerations.
            Some(Calls { changed: true, sets_scheduler: None, .. }) => Comparison::Unknown,
            // Stork's webhook does not run in this cluster, as far as the log shows, if it is never called.
            _ if would_set && decision.is_some_and(|decision| !decision.was_set) => Comparison::OnlyColocate,
            _ => return,
        };
        let compared = self.comparison.entry(comparison).or_insert_with(|| {
            let [resource, namespace, name] = [event.resource(), event.namespace().to_owned(), event.name()];
            Compared { example: [resource, namespace, name], ..Compared::default() }
        });
        compared.objects += 1;
        if let Some(Decision { reason: Some(reason), .. }) = decision {
            *compared.reasons.entry(reason).or_default() += 1;
        }
    }

    /// Returns true if Stork's webhook was called.
    pub fn has_stork(&self) -> bool {
        self.webhooks.keys().any(|[configuration, _]| configuration == STORK)
    }

    /// Returns true if colocate was called, or should have been.
    pub fn has_colocate(&self) -> bool {
        self.webhooks.keys().any(|[configuration, webhook]| is_colocate(configuration, webhook))
    }

    /// The number of objects that colocate missed.
    pub fn missed_total(&self) -> u64 {
        self.missed.len() as u64 + self.more_missed
    }
}

/// A decision of colocate, as far as it is in the annotations of its webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Decision {
    /// Whether colocate sets the scheduler, or would.
    would_set: bool,
    /// Whether the object named the scheduler before.
    was_set: bool,
    reason: Option<&'static str>,
}

impl Decision {
    fn read(annotations: &BTreeMap<Text<'_>, Text<'_>>, webhook: &str) -> Self {
        let get = |field: &str| annotations.get(&Text::from(format!("{webhook}/{field}")));
        let word = get("reason").map(|word| &**word);
        let reason = Reason::ALL.iter().copied().find(|reason| Some(reason.as_str()) == word);
        let was_set = reason == Some(Reason::AlreadySet);
        let would_set = match reason {
            Some(
                Reason::Injected | Reason::InjectedMissing | Reason::Kept | Reason::WouldInject | Reason::WouldKeep,
            ) => true,
            // The claims are listed with their drivers.
            Some(Reason::AlreadySet) => get("claims").is_some_and(|claims| claims.contains(", driver ")),
            _ => false,
        };
        Self { would_set, was_set, reason: reason.map(Reason::as_str) }
    }
}

impl Calls {
    fn is_colocate(&self, webhook: &str) -> bool {
        is_colocate(&self.configuration, webhook)
    }
}

impl Comparison {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::OnlyStork => "only-stork",
            Self::OnlyColocate => "only-colocate",
            Self::WithoutColocate => "without-colocate",
            Self::Unknown => "unknown",
        }
    }

    /// The result, as a sentence.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Both => "Stork's webhook set the scheduler, and colocate would have",
            Self::OnlyStork => {
                "Stork's webhook set the scheduler, and colocate would not have: this is lost if Stork's webhook is switched off"
            }
            Self::OnlyColocate => {
                "colocate sets the scheduler, and Stork's webhook did not: this is lost if colocate is switched off"
            }
            Self::WithoutColocate => "Stork's webhook set the scheduler, and colocate did not answer or was not called",
            Self::Unknown => {
                "Stork's webhook changed the object, and the log has no patch that shows what: use the audit level Request"
            }
        }
    }
}

impl Event<'_> {
    /// Returns true for the last stage of a request that changed an object.
    fn is_admitted(&self) -> bool {
        let succeeded = self.response_status.as_ref().is_some_and(|status| (200..300).contains(&status.code));
        let query = self.request_uri.split_once('?').map_or("", |(_, query)| query);
        let is_dry_run =
            query.split('&').any(|pair| pair.strip_prefix("dryRun=").is_some_and(|value| !value.is_empty()));
        let has_subresource = self.object_ref.as_ref().is_some_and(|object| !object.subresource.is_empty());
        *self.stage == *"ResponseComplete" && succeeded && !is_dry_run && !has_subresource
    }

    /// Returns false for updates of pods, at which no scheduler is set: API servers reject a change of it.
    fn sets_a_scheduler(&self) -> bool {
        *self.verb == *"create" || self.resource() != "pods"
    }

    fn namespace(&self) -> &str {
        self.object_ref.as_ref().map_or("", |object| &object.namespace)
    }

    fn resource(&self) -> String {
        match &self.object_ref {
            Some(ObjectRef { resource, api_group, .. }) if !api_group.is_empty() => format!("{resource}.{api_group}"),
            Some(ObjectRef { resource, .. }) => resource.to_string(),
            None => String::new(),
        }
    }

    fn name(&self) -> String {
        let own = self.object_ref.as_ref().map(|object| &*object.name).filter(|name| !name.is_empty());
        if let Some(own) = own {
            return own.to_owned();
        }
        let metadata = |logged| Logged::read(logged).and_then(|object| object.metadata).unwrap_or_default();
        let (response, request) = (metadata(self.response_object), metadata(self.request_object));
        match Text::non_empty(response.name.as_ref()) {
            Some(name) => name.to_owned(),
            None => format!("{}*", Text::non_empty(request.generate_name.as_ref()).unwrap_or_default()),
        }
    }

    fn missed(&self, set_by: Option<String>) -> MissedObject {
        let user = self.impersonated_user.as_ref().or(self.user.as_ref());
        MissedObject {
            time: self.stage_timestamp.to_string(),
            resource: self.resource(),
            namespace: self.namespace().to_owned(),
            name: self.name(),
            verb: self.verb.to_string(),
            user: user.map(|user| user.username.to_string()).unwrap_or_default(),
            set_by,
            audit_id: self.audit_id.to_string(),
            identity: self.identity(),
        }
    }

    fn identity(&self) -> Identity {
        let text = |text: Option<&Text<'_>>| Text::non_empty(text).map(str::to_owned);
        let request = Logged::read(self.request_object).filter(|_| *self.verb == *"create");
        let metadata = request.as_ref().and_then(|request| request.metadata.as_ref());
        let response = Logged::read(self.response_object).and_then(|response| response.metadata).unwrap_or_default();
        let scheduler = request.as_ref().filter(|_| self.resource() == "pods").map(|request| {
            let spec = request.spec.as_ref();
            text(spec.and_then(|spec| spec.scheduler_name.as_ref())).unwrap_or_else(|| DEFAULT_SCHEDULER.to_owned())
        });
        Identity {
            version: self.object_ref.as_ref().map(|object| object.api_version.to_string()).unwrap_or_default(),
            requested: self.request_received_timestamp.to_string(),
            uid: text(response.uid.as_ref()),
            generate_name: text(metadata.and_then(|metadata| metadata.generate_name.as_ref())),
            controller: text(metadata.and_then(|metadata| Some(&metadata.controller.as_ref()?.uid))),
            scheduler,
        }
    }
}

/// Collects the calls of each webhook for one request. A webhook may be called in several rounds.
fn calls(annotations: &BTreeMap<Text<'_>, Text<'_>>) -> BTreeMap<String, Calls> {
    let mut calls = BTreeMap::<String, Calls>::new();
    for (key, value) in annotations {
        if let Some(call) = key.strip_prefix(MUTATION)
            && let Some(read) = CallAnnotation::read(value)
        {
            let failed = annotations.contains_key(&Text::from(Cow::Owned(format!("{FAILED_OPEN}{call}"))));
            let entry = calls.entry(read.webhook.to_string()).or_default();
            entry.configuration = read.configuration.to_string();
            entry.changed |= read.mutated;
            entry.answered |= !failed;
        } else if key.starts_with(PATCH)
            && let Some(read) = CallAnnotation::read(value)
        {
            let sets = read.patch.as_ref().is_some_and(sets_scheduler);
            let entry = calls.entry(read.webhook.to_string()).or_default();
            entry.configuration = read.configuration.to_string();
            entry.answered = true;
            entry.sets_scheduler = Some(entry.sets_scheduler.unwrap_or_default() || sets);
        } else if key.starts_with(FAILED_OPEN) {
            // If the annotation about the change is absent, the configuration is not known.
            calls.entry(value.to_string()).or_default();
        }
    }
    calls
}

/// Returns true if a JSON patch sets `schedulerName`, by itself or as a part of a larger value.
fn sets_scheduler(patch: &Value) -> bool {
    let names = |value: &Value| value.pointer("/schedulerName").or(value.pointer("/spec/schedulerName")).is_some();
    let sets = |operation: &Value| {
        let target = operation["path"].as_str().unwrap_or_default();
        let changes = matches!(operation["op"].as_str(), Some("add" | "replace"));
        changes && (target.ends_with("/spec/schedulerName") || names(&operation["value"]))
    };
    patch.as_array().is_some_and(|operations| operations.iter().any(sets))
}

/// Returns true for the webhooks of colocate's chart, and others with its name.
fn is_colocate(configuration: &str, webhook: &str) -> bool {
    webhook.split('.').any(|label| label == "colocate")
        || configuration.split(['.', '-']).any(|part| part == "colocate")
}

/// Extends a period by a time. Times of API servers have one form, so that their order is that of their texts.
fn extend(period: &mut Option<[String; 2]>, time: &str) {
    match period {
        None => *period = Some([time.to_owned(), time.to_owned()]),
        Some([first, last]) => {
            if time < first.as_str() {
                time.clone_into(first);
            }
            if time > last.as_str() {
                time.clone_into(last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: [&str; 2] = ["zz-colocate", "pods.mutate.colocate"];
    const THEIRS: [&str; 2] = [STORK, "webhook.stork.libopenstorage.org"];

    /// An event of level Metadata about a pod.
    fn event(name: &str, annotations: impl Into<Value>) -> Value {
        let annotations: Value = annotations.into();
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": format!("id-{name}"),
            "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/db/pods?fieldManager=kubectl", "verb": "create",
            "user": {"username": "alice", "groups": ["system:authenticated"]},
            "objectRef": {"resource": "pods", "namespace": "db", "name": name, "apiVersion": "v1"},
            "responseStatus": {"metadata": {}, "code": 201},
            "requestReceivedTimestamp": "2026-11-30T02:14:06.900000Z", "stageTimestamp": "2026-11-30T02:14:07.100000Z",
            "annotations": annotations,
        })
    }

    /// The annotation about a call.
    fn call(round: u8, index: u8, [configuration, webhook]: [&str; 2], mutated: bool) -> (String, String) {
        let value = json!({"configuration": configuration, "webhook": webhook, "mutated": mutated});
        (format!("{MUTATION}round_{round}_index_{index}"), value.to_string())
    }

    fn failed(round: u8, index: u8, webhook: &str) -> (String, String) {
        (format!("{FAILED_OPEN}round_{round}_index_{index}"), webhook.to_owned())
    }

    fn patched(index: u8, [configuration, webhook]: [&str; 2], patch: &Value) -> (String, String) {
        let value =
            json!({"configuration": configuration, "webhook": webhook, "patch": patch, "patchType": "JSONPatch"});
        (format!("{PATCH}round_0_index_{index}"), value.to_string())
    }

    fn decided(reason: &str, claims: &str) -> [(String, String); 2] {
        [(format!("{}/reason", OURS[1]), reason.to_owned()), (format!("{}/claims", OURS[1]), claims.to_owned())]
    }

    fn annotations(entries: impl IntoIterator<Item = (String, String)>) -> Value {
        json!(entries.into_iter().collect::<BTreeMap<_, _>>())
    }

    fn read<'e>(events: impl IntoIterator<Item = &'e Value>) -> AuditLog {
        let mut log = AuditLog::default();
        for event in events {
            log.add(event.to_string().as_bytes()).unwrap();
        }
        log
    }

    fn set_scheduler() -> Value {
        json!([{"op": "add", "path": "/spec/schedulerName", "value": "stork"}])
    }

    fn names(log: &AuditLog) -> Vec<&str> {
        log.missed.iter().map(|missed| &*missed.name).collect()
    }

    #[test]
    fn an_object_is_missed_if_the_call_failed_open() {
        let missed = annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]);
        let answered = annotations([call(0, 3, OURS, true)]);
        let other = annotations([call(0, 0, ["x", "a.x"], false), failed(0, 0, "a.x"), call(0, 3, OURS, false)]);
        let log = read(&[event("missed", missed), event("answered", answered), event("other", other)]);
        let found = log.missed.first().unwrap();
        assert_eq!(names(&log), ["missed"]);
        assert_eq!((&*found.time, &*found.user, &*found.verb), ("2026-11-30T02:14:07.100000Z", "alice", "create"));
        assert_eq!((&*found.resource, &*found.namespace, &found.set_by), ("pods", "db", &None));
        let counts = |key: [&str; 2]| {
            let calls = &log.webhooks[&key.map(str::to_owned)];
            (calls.requests, calls.changed, calls.failed_open)
        };
        assert_eq!((counts(OURS), counts(["x", "a.x"])), ((3, 1, 1), (1, 0, 1)));
        let time = "2026-11-30T02:14:07.100000Z".to_owned();
        assert_eq!(log.webhooks[&OURS.map(str::to_owned)].failures, Some([time.clone(), time]));
        assert_eq!((log.events, log.missed_total()), (3, 1));
    }

    #[test]
    fn an_answer_in_another_round_means_that_nothing_was_missed() {
        let entries = [call(0, 3, OURS, false), failed(0, 3, OURS[1]), call(1, 3, OURS, true)];
        assert_eq!(names(&read(&[event("a", annotations(entries))])), [""; 0]);
        let entries = [call(0, 3, OURS, false), failed(0, 3, OURS[1]), call(1, 3, OURS, false), failed(1, 3, OURS[1])];
        assert_eq!(names(&read(&[event("a", annotations(entries))])), ["a"]);
    }

    #[test]
    fn only_admitted_objects_count() {
        let missed = || event("a", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
        let with = |key: &str, value: Value| {
            let mut event = missed();
            event[key] = value;
            event
        };
        let mut status = missed();
        let mut template = with("verb", json!("update"));
        template["objectRef"]["resource"] = "podtemplates".into();
        status["objectRef"]["subresource"] = "status".into();
        for (event, is_missed) in [
            (with("stage", json!("RequestReceived")), false),
            (with("responseStatus", json!({"code": 409})), false),
            (with("requestURI", json!("/api/v1/namespaces/db/pods?dryRun=All")), false),
            (with("requestURI", json!("/api/v1/namespaces/db/pods?fieldManager=x&dryRun=All")), false),
            (with("requestURI", json!("/api/v1/namespaces/db/pods?dryRun=")), true),
            (status, false),
            (with("verb", json!("patch")), false),
            (template, true),
            (missed(), true),
        ] {
            assert_eq!(read(std::slice::from_ref(&event)).missed_total(), u64::from(is_missed), "{event}");
        }
        // The same line twice is one object.
        assert_eq!(read(&[missed(), missed()]).missed_total(), 1);
    }

    #[test]
    fn objects_that_the_api_server_names_have_the_name_of_the_response() {
        let missed = || event("", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
        assert_eq!(names(&read(&[missed()])), ["*"]);
        let mut request = missed();
        request["requestObject"] = json!({"metadata": {"generateName": "web-5d4-"}});
        assert_eq!(names(&read(&[request.clone()])), ["web-5d4-*"]);
        request["responseObject"] = json!({"metadata": {"name": "web-5d4-x7"}});
        request["impersonatedUser"] = json!({"username": "bob"});
        let log = read(&[request]);
        assert_eq!((names(&log), &*log.missed.first().unwrap().user), (vec!["web-5d4-x7"], "bob"));
    }

    #[test]
    fn a_log_identifies_an_object_as_far_as_its_level_permits() {
        let mut event = event("", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
        let identity = |event: &Value| read([event]).missed.first().unwrap().identity.clone();
        let requested = "2026-11-30T02:14:06.900000Z".to_owned();
        let mut expected = Identity { version: "v1".to_owned(), requested, ..Identity::default() };
        assert_eq!(identity(&event), expected);
        let owners = json!([{"uid": "u0"}, {"uid": "u1", "controller": true}]);
        event["requestObject"] = json!({"metadata": {"generateName": "web-", "ownerReferences": owners}, "spec": {}});
        expected.generate_name = Some("web-".to_owned());
        expected.controller = Some("u1".to_owned());
        expected.scheduler = Some("default-scheduler".to_owned());
        assert_eq!(identity(&event), expected);
        event["requestObject"]["spec"]["schedulerName"] = "volcano".into();
        event["responseObject"] = json!({"metadata": {"name": "web-x7", "uid": "u2"}});
        expected.scheduler = Some("volcano".to_owned());
        expected.uid = Some("u2".to_owned());
        assert_eq!(identity(&event), expected);
        // The patch of an object says nothing about its identity.
        event["verb"] = "patch".into();
        event["objectRef"]["resource"] = "podtemplates".into();
        for patch in [json!([{"op": "add", "path": "/template", "value": {}}]), json!({"spec": {"schedulerName": "a"}})]
        {
            event["requestObject"] = patch;
            let Identity { generate_name, controller, scheduler, .. } = identity(&event);
            assert_eq!((generate_name, controller, scheduler), (None, None, None));
        }
    }

    #[test]
    fn only_one_namespace_is_read_if_it_is_named() {
        let missed = event("a", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
        for (namespace, total) in [("db", 1), ("web", 0)] {
            let mut log = AuditLog::new(Some(namespace.to_owned()));
            log.add(missed.to_string().as_bytes()).unwrap();
            assert_eq!((log.missed_total(), log.events), (total, 1), "{namespace}");
        }
    }

    #[test]
    fn the_two_webhooks_are_compared() {
        let stork_sets = || [call(0, 0, THEIRS, true), patched(0, THEIRS, &set_scheduler())].into_iter();
        let tolerations = json!([{"op": "add", "path": "/spec/tolerations", "value": []}]);
        let owned = "claim `data`: provisioner pxd.portworx.com, driver portworx";
        let ours = |changed, reason, claims| [call(0, 3, OURS, changed)].into_iter().chain(decided(reason, claims));
        let away = [call(0, 3, OURS, false), failed(0, 3, OURS[1])];
        for (entries, expected) in [
            (annotations(stork_sets().chain(ours(false, "already-set", owned))), Some(Comparison::Both)),
            (annotations(stork_sets().chain(ours(false, "already-set", ""))), Some(Comparison::OnlyStork)),
            (annotations(stork_sets().chain(ours(false, "opted-out", ""))), Some(Comparison::OnlyStork)),
            (annotations(stork_sets().chain(away.clone())), Some(Comparison::WithoutColocate)),
            (annotations(stork_sets()), Some(Comparison::WithoutColocate)),
            (annotations([call(0, 0, THEIRS, true)].into_iter().chain(away)), Some(Comparison::Unknown)),
            (
                annotations(
                    [call(0, 0, THEIRS, true), patched(0, THEIRS, &tolerations)]
                        .into_iter()
                        .chain(ours(true, "injected", owned)),
                ),
                Some(Comparison::OnlyColocate),
            ),
            (
                annotations([call(0, 0, THEIRS, false)].into_iter().chain(ours(true, "injected", owned))),
                Some(Comparison::OnlyColocate),
            ),
            (annotations(ours(false, "would-inject", owned)), Some(Comparison::OnlyColocate)),
            (annotations(ours(false, "already-set", owned)), None),
            (annotations(ours(false, "no-claims", "")), None),
        ] {
            let log = read(&[event("a", entries.clone())]);
            let found: Vec<_> = log.comparison.iter().map(|(found, compared)| (*found, compared.objects)).collect();
            assert_eq!(found, expected.map(|expected| (expected, 1)).into_iter().collect::<Vec<_>>(), "{entries}");
        }
        let log = read(&[event("a", annotations(stork_sets().chain(ours(false, "opted-out", ""))))]);
        let compared = &log.comparison[&Comparison::OnlyStork];
        assert_eq!(compared.reasons, BTreeMap::from([("opted-out", 1)]));
        assert_eq!(compared.example, ["pods", "db", "a"]);
        assert!(log.has_stork() && log.has_colocate());
    }

    #[test]
    fn a_missed_object_may_have_the_scheduler_of_another_webhook() {
        let entries = [
            call(0, 0, THEIRS, true),
            patched(0, THEIRS, &set_scheduler()),
            call(0, 3, OURS, false),
            failed(0, 3, OURS[1]),
        ];
        let log = read(&[event("a", annotations(entries))]);
        assert_eq!(log.missed.first().unwrap().set_by.as_deref(), Some(THEIRS[1]));
    }

    #[test]
    fn a_line_that_is_not_an_event_is_an_error() {
        let whole = event("a", annotations([])).to_string();
        let mut log = AuditLog::default();
        for line in [&whole[..whole.len() - 9], &whole[9..], "", "{}", "[]", r#"{"kind":"Event","apiVersion":"v1"}"#] {
            log.add(line.as_bytes()).unwrap_err();
        }
        assert_eq!(log.events, 0);
        log.add(whole.as_bytes()).unwrap();
        // Annotations of another form are ignored.
        let odd =
            annotations([(format!("{MUTATION}x"), "not json".to_owned()), (format!("{PATCH}y"), "[]".to_owned())]);
        log.add(event("b", odd).to_string().as_bytes()).unwrap();
        assert_eq!((log.events, log.webhooks.len()), (2, 0));
    }

    #[test]
    fn memory_is_bounded_and_the_total_is_not() {
        let mut log = AuditLog::default();
        let missed = annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]);
        let line = event("NAME", missed).to_string();
        for number in 0..MAX_MISSED + 3 {
            log.add(line.replace("NAME", &number.to_string()).as_bytes()).unwrap();
        }
        assert_eq!((log.missed.len(), log.more_missed), (MAX_MISSED, 3));
        assert_eq!(log.missed_total(), MAX_MISSED as u64 + 3);
        for number in 0..MAX_WEBHOOKS + 5 {
            let webhook = format!("w{number}.x");
            let entries = annotations([call(0, 0, ["x", &webhook], false)]);
            log.add(event("a", entries).to_string().as_bytes()).unwrap();
        }
        assert_eq!((log.webhooks.len(), log.more_calls), (MAX_WEBHOOKS, 6));
    }

    #[test]
    fn the_request_of_a_json_patch_is_a_list() {
        let mut event = event("a", annotations([call(0, 3, OURS, false), failed(0, 3, OURS[1])]));
        event["requestObject"] = json!([{"op": "remove", "path": "/spec"}]);
        event["verb"] = "patch".into();
        assert_eq!(read([&event]).events, 1);
        event["requestObject"] = json!("text");
        assert_eq!(read([&event]).events, 1);
    }
}
