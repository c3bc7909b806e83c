//! The explanation of pods and workloads of one namespace, from what the cluster shows.

mod cause;
mod claim_row;
mod controller_template;
mod fix;
mod webhook_row;

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;

use super::configuration::{Configuration, Traces, find};
use super::installation::Installation;
use super::reader::{Reader, text};
use super::report::{Cause, ClaimRow, PodRow, WebhookRow};
use super::target::{TargetKind, TargetKinds};
use crate::api::{ApiError, Resource};
use crate::config::Config;
use crate::engine::{DEFAULT_SCHEDULER, Inventory, Policy, Presence, Workload, parse_bool};
use crate::insight::{
    Answer, Change, Creation, Diagnosis, Expectation, Facts, Labels, LiveMetadata, LivePod, LiveStatus, ManagedFields,
    Outcome, PodCase, Registration, Template, TemplateCase, as_requested,
};
use crate::inspect::access::Found;
use crate::inspect::cluster::Cluster;
use crate::inspect::kinds::{self, ResourceKind};
use crate::inspect::kubectl::Kubectl;

use cause::cause;
use claim_row::claim_rows;
use controller_template::{PodTemplate, TemplateRead};

/// The number of a workload's pods that are explained, the newest first.
const NEWEST: usize = 5;

/// The facts about one namespace.
pub(super) struct Explainer<'r> {
    pub(super) reader: &'r mut Reader,
    /// The kubectl of the commands in a fix.
    kubectl: Kubectl<'r>,
    pub(super) config: Config,
    /// Whether colocate has a configuration that could not be read.
    pub(super) config_is_assumed: bool,
    pub(super) kinds: TargetKinds,
    policy: Policy,
    namespace: String,
    storage: Inventory,
    /// The labels of the Namespace.
    labels: Option<Labels>,
    /// The managers of its fields.
    namespace_fields: Option<ManagedFields>,
    configurations: Option<Vec<Configuration>>,
    /// The index of colocate's own configuration.
    own: Option<usize>,
    pub(super) installation: Installation,
    /// The templates of controllers by UID.
    templates: HashMap<String, TemplateRead>,
}

/// The explanation of a pod or a workload.
pub(super) struct Explanation {
    pub(super) created: Option<Timestamp>,
    pub(super) cause: Cause,
    pub(super) claims: Vec<ClaimRow>,
    pub(super) webhooks: Vec<WebhookRow>,
    /// The pod as it was requested.
    pub(super) requested: Value,
    /// The scheduler that it was requested with.
    pub(super) requested_scheduler: String,
}

impl<'r> Explainer<'r> {
    /// Reads what all explanations in a namespace depend on. `config` is the file that the user named.
    pub(super) async fn new(
        reader: &'r mut Reader,
        kubectl: Kubectl<'r>,
        namespace: &str,
        config: Option<Config>,
    ) -> Result<Explainer<'r>, ApiError> {
        let mut policy = config.as_ref().map_or_else(|| Config::default().policy(), Config::policy);
        let mut cluster = Cluster::read(&mut reader.access, &policy, Some(namespace)).await?;
        let configurations: Option<Vec<_>> =
            cluster.webhooks.as_ref().map(|list| list.iter().filter_map(Configuration::read).collect());
        let labels = cluster.namespaces.as_ref().and_then(|all| all.labels(namespace)).cloned();
        let hides = "whether the labels of the Namespace have changed";
        let object = reader.access.get(kinds::NAMESPACES, None, namespace, hides).await?.object();
        let object: Option<Value> = object.and_then(|json| serde_json::from_str(&json).ok());
        let namespace_fields = object.as_ref().and_then(managed_fields);
        let name = config.as_ref().map_or_else(Config::default, Clone::clone).tls().webhooks.mutating.clone();
        let own = configurations
            .as_ref()
            .and_then(|list| find(list, &name, |entry| entry.selects_namespace(namespace, labels.as_ref())));
        let installation = match &configurations {
            Some(configurations) => Installation::read(reader, own.and_then(|own| configurations.get(own))).await?,
            None => Installation::default(),
        };
        // Without colocate in the cluster, the answer is about the defaults.
        let config_is_assumed = config.is_none() && installation.config.is_none() && !installation.is_absent;
        let config = config.or_else(|| installation.config.clone()).unwrap_or_default();
        let first = std::mem::replace(&mut policy, config.policy());
        if policy.drivers != first.drivers {
            // Other volumes may decide.
            cluster.inventory = Cluster::read(&mut reader.access, &policy, Some(namespace)).await?.inventory;
        }
        let namespace = namespace.to_owned();
        let templates = HashMap::new();
        let storage = cluster.inventory;
        let kinds = TargetKinds::new(config.custom_workloads());
        Ok(Self {
            reader,
            kubectl,
            config,
            config_is_assumed,
            kinds,
            policy,
            namespace,
            storage,
            labels,
            namespace_fields,
            configurations,
            own,
            installation,
            templates,
        })
    }

    /// Gets the object that the user asks about.
    ///
    /// # Errors
    /// If it does not exist, or may not be read.
    pub(super) async fn get(&mut self, kind: TargetKind, name: &str) -> anyhow::Result<String> {
        let place = format!("{} {}/{name}", kind.name, self.namespace);
        match self.reader.access.get(kind.api, Some(&self.namespace), name, "everything").await? {
            Found::Object(json) => Ok(json),
            Found::Absent => Err(anyhow!("{place} does not exist: check the name and the namespace (-n)")),
            Found::NotSeen => Err(anyhow!("{place} cannot be read (grant the verb `get` on `{}`)", kind.api.resource)),
        }
    }

    /// Explains a pod.
    pub(super) async fn pod(&mut self, json: &str) -> anyhow::Result<Explanation> {
        let pod: LivePod<'_> = serde_json::from_str(json).context("the pod cannot be decoded")?;
        let object: Value = serde_json::from_str(json)?;
        let (template, template_gap) = match self.template_of(&pod).await? {
            PodTemplate::Known(template) => (Some(template), None),
            PodTemplate::Absent => (None, None),
            PodTemplate::NotKnown(why) => (None, Some(why)),
        };
        let workload = self.policy.workloads.find("", "v1", "Pod").context("Pods are not configured")?.clone();
        let live = self.expect(&workload, json)?;
        let with_template = match &template {
            Some(template) if *template.scheduler != *pod.scheduler() => {
                let requested = template.requested(json)?;
                Some(self.expect(&workload, &requested)?)
            }
            _ => None,
        };
        // A webhook that set another scheduler matters only if colocate would have set one, or may have.
        let drivers = &self.policy.drivers;
        let matters =
            |found: &Expectation| drivers.has_scheduler(&found.scheduler) || found.outcome() == Outcome::Unknown;
        let expectation = with_template.filter(matters).unwrap_or(live);
        let requested_scheduler = match &template {
            Some(template) => template.scheduler.to_string(),
            None if drivers.has_scheduler(pod.scheduler()) => DEFAULT_SCHEDULER.to_owned(),
            None => pod.scheduler().to_owned(),
        };
        let requested = as_requested(&object, &requested_scheduler);
        let creation = self.creation(kinds::PODS, "Pod", &pod.metadata.labels, &requested);
        let webhooks = self.webhook_rows(&creation);
        let registration = self.registration(&creation, &pod.metadata, pod.metadata.creation_timestamp);
        // Another release of colocate may set another scheduler.
        let own = registration.as_ref().map(|registration| &registration.configuration);
        let others: Vec<_> = webhooks
            .iter()
            .filter(|row| Some(&row.configuration) != own && row.called.answer != "no")
            .map(|row| format!("{} ({})", row.configuration, row.webhook))
            .collect();
        let claims = self.claim_ages(&expectation).await?;
        let facts = PodCase {
            pod: &pod,
            policy: &self.policy,
            expectation: &expectation,
            template: template.as_ref(),
            template_gap: template_gap.as_deref(),
            registration: registration.as_ref(),
            history: self.installation.history.as_ref(),
            endpoints: self.installation.endpoints.as_ref(),
            claims: &claims,
            namespace_fields: self.namespace_fields.as_ref(),
            other_webhooks: &others,
        };
        let diagnosis = self.certain(facts.diagnose());
        let diagnosis = pod.end().iter().fold(diagnosis, |diagnosis, end| diagnosis.after_end(end));
        let fix = self.pod_fix(&pod, &diagnosis, &expectation, registration.as_ref()).await?;
        let cause = cause(diagnosis, &expectation, pod.scheduler(), fix);
        let created = pod.metadata.creation_timestamp;
        let claims = claim_rows(&expectation);
        Ok(Explanation { created, cause, claims, webhooks, requested, requested_scheduler })
    }

    /// Explains the pod template of a workload.
    pub(super) fn workload(&mut self, kind: TargetKind, json: &str) -> anyhow::Result<Explanation> {
        let object: Value = serde_json::from_str(json)?;
        let metadata = object.pointer("/metadata").map(Value::to_string).unwrap_or_default();
        let metadata: LiveMetadata<'_> = serde_json::from_str(&metadata).context("the object cannot be decoded")?;
        let workload = self.workload_of(kind).with_context(|| format!("{} is not a configured kind", kind.name))?;
        let expectation = self.expect(&workload, json)?;
        let place = format!("{} {}", kind.name, metadata.name);
        let template = Template::read(place, (&workload, json), Some((&workload, json)))?;
        let creation = self.creation(kind.api, kind.name, &metadata.labels, &object);
        let webhooks = self.webhook_rows(&creation);
        let registration = self.registration(&creation, &metadata, None);
        let facts = TemplateCase {
            policy: &self.policy,
            created: metadata.creation_timestamp,
            written: last_write(&object, &metadata.managed_fields, &workload),
            expectation: &expectation,
            template: &template,
            registration: registration.as_ref(),
        };
        let diagnosis = self.certain(facts.diagnose());
        let status = object.get("status").and_then(|status| LiveStatus::deserialize(status).ok());
        let end = status.filter(|_| kind.api == kinds::JOBS).and_then(|status| status.job_end());
        let diagnosis = end.iter().fold(diagnosis, |diagnosis, end| diagnosis.after_end(end));
        let fix = self.template_fix(kind, &metadata.name, &diagnosis, registration.as_ref());
        let cause = cause(diagnosis, &expectation, &template.scheduler, fix);
        let requested_scheduler = template.scheduler.to_string();
        let claims = claim_rows(&expectation);
        let created = metadata.creation_timestamp;
        Ok(Explanation { created, cause, claims, webhooks, requested: object, requested_scheduler })
    }

    /// Explains the newest pods of a workload, whose template names that scheduler, and counts all.
    pub(super) async fn newest_pods(
        &mut self,
        kind: TargetKind,
        scheduler: &str,
        json: &str,
    ) -> anyhow::Result<Option<(Vec<PodRow>, usize)>> {
        let object: Value = serde_json::from_str(json)?;
        let mut uids = vec![text(&object, "/metadata/uid").to_owned()];
        let hides = "the pods of the workload";
        let namespace = self.namespace.clone();
        for between in self.between(kind) {
            let own = uids.clone();
            let owned: Option<Vec<Value>> =
                self.reader.list(between, Some(&namespace), hides, |object| is_controlled(object, &own)).await?;
            let Some(owned) = owned else { return Ok(None) };
            uids.extend(owned.iter().map(|object| text(object, "/metadata/uid").to_owned()));
        }
        let pods: Option<Vec<Value>> =
            self.reader.list(kinds::PODS, Some(&namespace), hides, |pod| is_controlled(pod, &uids)).await?;
        let Some(mut pods) = pods else { return Ok(None) };
        pods.sort_by_cached_key(|pod| std::cmp::Reverse(text(pod, "/metadata/creationTimestamp").to_owned()));
        let mut rows = Vec::new();
        for pod in pods.iter().take(NEWEST) {
            let Explanation { created, cause, .. } = self.pod(&pod.to_string()).await?;
            let name = text(pod, "/metadata/name").to_owned();
            let differs_from_template = cause.scheduler != scheduler;
            let phase = text(pod, "/status/phase").to_owned();
            rows.push(PodRow { name, created, phase, differs_from_template, cause });
        }
        Ok(Some((rows, pods.len())))
    }

    /// Returns the kinds of controllers that may be between an object of this kind and its pods, the outer ones first.
    fn between(&self, kind: TargetKind) -> Vec<ResourceKind> {
        match kind.name {
            // What its controller creates is not known.
            _ if kind.is_custom() => {
                let others = self.kinds.custom().filter(|other| *other != kind).map(|other| other.api);
                let built_in = [kinds::DEPLOYMENTS, kinds::STATEFUL_SETS, kinds::REPLICA_SETS, kinds::JOBS];
                others.chain(built_in).collect()
            }
            "Deployment" => vec![kinds::REPLICA_SETS],
            "CronJob" => vec![kinds::JOBS],
            _ => Vec::new(),
        }
    }

    fn expect(&self, workload: &Workload, json: &str) -> anyhow::Result<Expectation> {
        let label = &self.policy.opt_out.namespace_label;
        let value = |labels: &Labels| labels.get(&**label).and_then(|value| parse_bool(value));
        let opted_out = self.labels.as_ref().map(|labels| value(labels) == Some(true));
        let facts = Facts { policy: &self.policy, storage: &self.storage, presence: &|_| Presence::Unknown };
        facts
            .expect(workload, &self.namespace, opted_out, json)
            .with_context(|| format!("the {} cannot be decoded", workload.kind))
    }

    fn certain(&self, diagnosis: Diagnosis) -> Diagnosis {
        if self.config_is_assumed { diagnosis.assuming_defaults() } else { diagnosis }
    }

    fn find_kind(&self, api_version: &str, kind: &str) -> Option<TargetKind> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.kinds.find(group, version, kind)
    }

    fn workload_of(&self, kind: TargetKind) -> Option<Workload> {
        self.policy.workloads.find(kind.api.resource.group, kind.api.version, kind.name).cloned()
    }

    fn creation<'a>(&'a self, api: ResourceKind, kind: &'a str, labels: &'a Labels, object: &'a Value) -> Creation<'a> {
        let (namespace, namespace_labels) = (&*self.namespace, self.labels.as_ref());
        let ResourceKind { resource: Resource { group, name: resource }, version, .. } = api;
        Creation { group, version, resource, kind, namespace, namespace_labels, labels, object }
    }

    /// Returns the registration of colocate; `None` if the webhook configurations could not be read.
    /// `created` is the creation of a pod, which is sent only then.
    fn registration(
        &self,
        creation: &Creation<'_>,
        metadata: &LiveMetadata<'_>,
        created: Option<Timestamp>,
    ) -> Option<Registration> {
        let configurations = self.configurations.as_ref()?;
        let own = self.own.and_then(|own| configurations.get(own));
        let Some(own) = own else {
            return Some(Registration {
                configuration: self.config.tls().webhooks.mutating.clone(),
                created: None,
                oldest: None,
                changes: Vec::new(),
                inputs: Vec::new(),
                grounds: Vec::new(),
                called: Answer::No("it does not exist".to_owned()),
                ignores_failures: false,
                also_called: Vec::new(),
            });
        };
        let others = configurations.iter().filter(|other| other.name != own.name && other.is_colocate());
        let also_called: Vec<_> = others.filter_map(|other| other.if_called(creation)).collect();
        let ages = also_called.iter().filter_map(|(name, created)| {
            let what = format!("MutatingWebhookConfiguration {name}");
            Some(Change { what, time: (*created)? })
        });
        let oldest = self.installation.oldest.iter().cloned().chain(ages).min_by_key(|object| object.time);
        let also_called = also_called.iter().map(|(name, _)| (*name).to_owned()).collect();
        let traces = Traces { namespace: self.namespace_fields.as_ref(), object: &metadata.managed_fields, created };
        let mut found = own.registration(creation, &traces);
        // An opt-out that does not count now may have counted then.
        let opt_out = &self.policy.opt_out;
        found.inputs.extend(traces.of_namespace(&self.namespace, &opt_out.namespace_label));
        for (field, keys) in [("annotations", &opt_out.annotations), ("labels", &opt_out.labels)] {
            found.inputs.extend(keys.iter().filter_map(|key| traces.of_object(field, key)));
        }
        found.inputs.sort_by(|one, other| one.what.cmp(&other.what));
        found.inputs.dedup();
        Some(Registration { oldest, also_called, ..found })
    }

    /// Reads the creation of each claim that belongs to a driver.
    async fn claim_ages(&mut self, expectation: &Expectation) -> Result<BTreeMap<String, Timestamp>, ApiError> {
        let mut ages = BTreeMap::new();
        let names = expectation.claims.iter().filter(|claim| claim.driver.is_some());
        for name in names.filter_map(|claim| claim.name.as_ref()) {
            let hides = "whether a claim is younger than the pod";
            let found = self.reader.access.get(kinds::CLAIMS, Some(&self.namespace), name, hides).await?.object();
            let claim: Option<Value> = found.and_then(|json| serde_json::from_str(&json).ok());
            let created = claim.and_then(|claim| text(&claim, "/metadata/creationTimestamp").parse().ok());
            ages.extend(created.map(|created| (name.clone(), created)));
        }
        Ok(ages)
    }
}

/// Returns the last write to the pod template of a workload after its creation.
fn last_write(object: &Value, fields: &ManagedFields, workload: &Workload) -> Option<Timestamp> {
    if object.pointer("/metadata/generation").and_then(Value::as_u64) == Some(1) {
        return None;
    }
    let path: Vec<_> = workload.path.iter().map(String::as_str).collect();
    fields.last_write_of(&path).or_else(|| fields.last_write(None))
}

fn is_controlled(object: &Value, uids: &[String]) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| {
        owner.get("controller") == Some(&Value::Bool(true)) && uids.iter().any(|uid| uid == text(owner, "/uid"))
    })
}

/// Reads the `managedFields` of an object.
pub(super) fn managed_fields(object: &Value) -> Option<ManagedFields> {
    ManagedFields::deserialize(object.pointer("/metadata/managedFields")?).ok()
}
