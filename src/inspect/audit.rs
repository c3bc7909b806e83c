//! The audit of a cluster: whether pods and templates name the scheduler that they should name, the findings of the companion,
//! and the webhooks that are called for pods.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;

use super::access::{Access, Found, Listing};
use super::cluster::{Cluster, read_storage};
use super::findings::{Checks, Findings};
use super::forecast::{After, FileForecast, FileObject, Layer, PodChange, PodChanges, WorkloadForecast, WorkloadName};
use super::kinds::{self, Kind};
use super::webhooks::{self, Stork, Webhooks};
use super::why::{InstalledConfig, Reader};
use crate::api::ApiError;
use crate::companion::{Severities, Strategies, SubjectKind};
use crate::config::Config;
use crate::engine::{DEFAULT_SCHEDULER, Mode, Policy, Presence, Reason, Text, Workload, dns, object, parse_bool};
use crate::insight::{
    Answer, Budget, Census, CensusEntry, Controller, Doubt, Expectation, Facts, Foreseen, Labels, NewPod, Outcome,
    Overlay, Prediction, RepairPlan, Scope, When, WrongPod, as_requested, controller, scheduler,
};

/// The namespaces that colocate's chart excludes by default. They are assumed while colocate is not installed.
const EXCLUDED_BY_DEFAULT: [&str; 2] = ["kube-system", "kube-node-lease"];

/// The kinds whose templates are audited, each with its name. `ReplicaSets` are not: there are many, and
/// nearly all belong to a Deployment.
const WORKLOADS: [(Kind, &str); 6] = [
    (kinds::DEPLOYMENTS, "Deployment"),
    (kinds::STATEFUL_SETS, "StatefulSet"),
    (kinds::DAEMON_SETS, "DaemonSet"),
    (kinds::REPLICATION_CONTROLLERS, "ReplicationController"),
    (kinds::CRON_JOBS, "CronJob"),
    (kinds::JOBS, "Job"),
];

/// The largest number of pods in a plan. They take 5 MB.
const MAX_PLANNED: usize = 10_000;

/// The other built-in kinds with a pod template.
const OTHER_WORKLOADS: [(Kind, &str); 3] =
    [(kinds::PODS, "Pod"), (kinds::REPLICA_SETS, "ReplicaSet"), (kinds::POD_TEMPLATES, "PodTemplate")];

/// The reasons that do not depend on the configuration.
const INDEPENDENT: [Reason; 4] = [Reason::NoClaims, Reason::MirrorPod, Reason::NodeNameSet, Reason::SchedulingGroup];

/// The part of a cluster to audit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditQuestion<'a> {
    /// The configuration that the user named; without one, it is read from the cluster.
    pub(crate) config: Option<&'a Config>,
    /// The namespace; `None` for all.
    pub(crate) namespace: Option<&'a str>,
    /// The objects of files to lay over the cluster; `None` without files.
    pub(crate) files: Option<&'a [FileObject]>,
    /// Whether to plan the repair.
    pub(crate) plan: bool,
}

/// The rules of an audit.
#[derive(Clone, Debug)]
struct Rules {
    policy: Policy,
    severities: Severities,
    custom: Vec<CustomKind>,
    source: ConfigSource,
}

/// The origin of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    /// A file that the user named.
    File,
    /// The `ConfigMap` of the cluster's colocate: its namespace and name.
    Cluster(String),
    /// The defaults, because no colocate of the chart was found.
    #[default]
    Defaults,
    /// The defaults, because the configuration of the cluster's colocate could not be read. Whatever depends on it is unknown.
    NotSeen,
}

/// A kind of custom workload.
#[derive(Clone, Copy, Debug)]
struct CustomKind {
    kind: Kind,
    version: &'static str,
    name: &'static str,
}

/// The result for a cluster.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// The origin of the configuration.
    pub(crate) config: ConfigSource,
    /// The mode of the configuration.
    pub(crate) mode: Mode,
    /// Whether a webhook of colocate is registered for pods; `None` if the configurations cannot be read.
    pub(crate) installed: Option<bool>,
    /// The pods; `None` if they cannot be read.
    pub(crate) pods: Option<Census>,
    /// The plan for the pods that are wrong, if one is wanted.
    pub(crate) plan: RepairPlan,
    /// The pod templates of the workloads that can be read.
    pub(crate) templates: Census,
    /// The findings of the companion.
    pub(crate) findings: Findings,
    /// The number of claims; `None` if they cannot be read.
    pub(crate) claims: Option<usize>,
    /// The number of classes; `None` if they cannot be read.
    pub(crate) classes: Option<usize>,
    /// The webhooks; `None` if they cannot be read.
    pub(crate) webhooks: Option<Webhooks>,
    /// Stork's own webhook; `None` if the configurations cannot be read.
    pub(crate) stork: Option<Stork>,
    /// What the files would change; `None` without files.
    pub(crate) files: Option<FileForecast>,
}

/// What decides after the files are applied, and their effect on workloads.
struct Forecast<'a> {
    auditor: &'a Auditor<'a>,
    after: After<'a>,
    /// The schedulers that live templates name, except the default.
    schedulers: HashMap<WorkloadName, String>,
    workloads: HashMap<WorkloadName, WorkloadOfFile<'a>>,
}

/// A workload of a file.
struct WorkloadOfFile<'a> {
    workload: &'a Workload,
    live: Option<Value>,
    prediction: Prediction,
}

/// The facts for one object after another.
struct Auditor<'a> {
    rules: &'a Rules,
    cluster: &'a Cluster,
    webhooks: Option<&'a Webhooks>,
    strategies: Strategies,
    /// Whether to plan the repair.
    plan: bool,
}

/// The templates of a kind, and what pods need of it.
#[derive(Debug, Default)]
struct WorkloadList {
    census: Census,
    findings: Findings,
    /// The controllers of these objects by the UID of the object: the `CronJob` of a Job.
    controllers: HashMap<Box<str>, (Box<str>, Box<str>)>,
    /// Whether Stork keeps other schedulers, if its Deployment is among them.
    stork_retains: Option<bool>,
}

/// The pods, with the findings in those without a controller.
#[derive(Debug, Default)]
struct PodList {
    census: Census,
    findings: Findings,
    /// What the files would change.
    changes: PodChanges,
    /// The pods that the files describe.
    of_files: HashMap<WorkloadName, Value>,
    /// The first pods that are wrong, for a plan.
    wrong: Vec<WrongPod>,
    more_wrong: u64,
}

/// The fields of a live object that are read in addition to those that decide.
#[derive(Deserialize)]
struct Live<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<LiveMetadata<'a>>,
    #[serde(borrow, default, deserialize_with = "object")]
    status: Option<LiveStatus<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LiveMetadata<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    namespace: Text<'a>,
    #[serde(borrow, default)]
    uid: Text<'a>,
    /// Set while it is being deleted.
    #[serde(borrow, default)]
    deletion_timestamp: Option<Text<'a>>,
    #[serde(default)]
    labels: Option<Labels>,
    #[serde(borrow, default, rename = "ownerReferences", deserialize_with = "controller")]
    controller: Option<Controller<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LiveStatus<'a> {
    /// Of a pod.
    #[serde(borrow, default)]
    phase: Option<Text<'a>>,
    /// Of a pod or a Job.
    #[serde(borrow, default)]
    conditions: Option<Vec<Condition<'a>>>,
}

#[derive(Deserialize)]
struct Condition<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
}

impl Audit {
    /// Reads a cluster. `progress` is called with what is read, and again for each object.
    ///
    /// # Errors
    /// If the API server does not answer. What the user may not read is in [`Access::not_seen`].
    pub(crate) async fn read(
        reader: &mut Reader,
        question: AuditQuestion<'_>,
        mut progress: impl FnMut(&'static str),
    ) -> Result<Self, ApiError> {
        let namespace = question.namespace;
        let mut cluster = Cluster::without_storage(&mut reader.access, namespace).await?;
        let rules = Rules::read(reader, question, &cluster).await?;
        let access = &mut reader.access;
        let policy = &rules.policy;
        cluster.inventory = read_storage(access, policy, namespace).await?;
        let webhooks = match cluster.webhooks.as_deref().map(Webhooks::read).transpose() {
            Ok(webhooks) => webhooks,
            Err(error) => return Err(kinds::MUTATING_WEBHOOKS.resource.failed("list", error)),
        };
        let strategies = strategies(access).await?;
        let auditor =
            Auditor { rules: &rules, cluster: &cluster, webhooks: webhooks.as_ref(), strategies, plan: question.plan };
        let mut layer = question.files.map(|files| Layer::new(files, namespace));
        let is_seen = |absence| absence != crate::engine::Absence::Hidden;
        let visibility = &cluster.inventory.visibility;
        let mut audit = Self {
            config: rules.source.clone(),
            mode: policy.mode,
            installed: auditor.webhooks.map(Webhooks::has_colocate),
            claims: is_seen(visibility.claims).then(|| cluster.inventory.claim_count()),
            classes: is_seen(visibility.classes).then(|| cluster.inventory.class_count()),
            ..Self::default()
        };

        for kind in [SubjectKind::Namespace, SubjectKind::Class, SubjectKind::Claim] {
            let resource = match kind {
                SubjectKind::Namespace => kinds::NAMESPACES,
                SubjectKind::Class => kinds::CLASSES,
                _ => kinds::CLAIMS,
            };
            // What is not visible was recorded when the facts were read.
            if (kind == SubjectKind::Namespace && namespace.is_some())
                || !access.may("list", resource, namespace).await?
            {
                continue;
            }
            let hides = format!("findings of `validate` in {}", resource.resource);
            let found = access.list(resource, namespace, hides, |findings: &mut Findings, item| {
                progress(resource.resource.name);
                if let Some(layer) = &mut layer {
                    capture(layer, (resource.resource.group, kind_name(kind)), item)?;
                }
                auditor.check(kind, item, findings)
            });
            audit.findings.merge(found.await?.unwrap_or_default());
        }

        let mut controllers = HashMap::new();
        let mut retains = None;
        let custom = rules.custom.iter().map(|CustomKind { kind, version, name }| (*kind, *version, *name));
        for (kind, version, name) in WORKLOADS.map(|(kind, name)| (kind, "v1", name)).into_iter().chain(custom) {
            let Some(workload) = policy.workloads.find(kind.resource.group, version, name) else { continue };
            let hides = format!("templates of {} and findings in them{}", kind.resource, consequence(kind));
            let listed = access.list(kind, namespace, hides, |list: &mut WorkloadList, item| {
                progress(kind.resource.name);
                if let Some(layer) = &mut layer {
                    capture_workload(layer, workload, item)?;
                }
                auditor.add_template(workload, list, item)
            });
            let listed = listed.await?.unwrap_or_default();
            audit.templates.merge(listed.census);
            audit.findings.merge(listed.findings);
            controllers.extend(listed.controllers);
            retains = retains.or(listed.stork_retains);
        }
        if namespace.is_some() && retains.is_none() {
            // The list of one namespace does not include it.
            retains = stork_retains(access, webhooks.as_ref()).await?;
        }
        audit.stork = auditor
            .webhooks
            .map(|webhooks| Stork { active: webhooks.stork_is_active(), retains_external_schedulers: retains });

        let mut forecast = match &mut layer {
            Some(layer) => Some(Forecast::read(access, &auditor, layer, namespace, &mut progress).await?),
            None => None,
        };
        if let Some(workload) = policy.workloads.find("", "v1", "Pod") {
            let hides = "which pods name the scheduler that they should name";
            let pods = access.list(kinds::PODS, namespace, hides, |list: &mut PodList, item| {
                progress("pods");
                if let Some(forecast) = &forecast {
                    forecast.add_pod(&controllers, list, item)?;
                }
                auditor.add_pod(workload, &controllers, list, item)
            });
            if let Some(PodList { census, findings, changes, of_files, wrong, more_wrong }) = pods.await? {
                audit.pods = Some(census);
                audit.findings.merge(findings);
                let layer = layer.take().zip(forecast.take());
                audit.files = layer.map(|(layer, forecast)| forecast.end(layer, changes, &of_files));
                audit.plan = plan_repair(access, namespace, wrong, more_wrong).await?;
            }
        }
        if let Some((layer, forecast)) = layer.zip(forecast) {
            audit.files = Some(forecast.end(layer, PodChanges::default(), &HashMap::new()));
        }
        audit.webhooks = webhooks;
        Ok(audit)
    }
}

/// Plans the eviction of the pods that are wrong. `more` pods are wrong, too, and not in the plan.
async fn plan_repair(
    access: &mut Access,
    namespace: Option<&str>,
    wrong: Vec<WrongPod>,
    more: u64,
) -> Result<RepairPlan, ApiError> {
    if wrong.is_empty() {
        return Ok(RepairPlan::default());
    }
    let hides = "how many pods may be evicted at once: the plan has one per workload and round";
    let budgets = access.list(kinds::BUDGETS, namespace, hides, |budgets: &mut Vec<Budget>, item| {
        budgets.push(serde_json::from_str(item)?);
        Ok(())
    });
    Ok(RepairPlan { more, ..RepairPlan::new(wrong, budgets.await?.as_deref()) })
}

impl Auditor<'_> {
    /// Checks an object that is neither a pod nor a workload.
    fn check(&self, kind: SubjectKind<'_>, item: &str, findings: &mut Findings) -> serde_json::Result<()> {
        let metadata = serde_json::from_str::<Live<'_>>(item)?.metadata.unwrap_or_default();
        let opted_out = if kind.is_cluster_scoped() { Some(false) } else { self.opted_out(&metadata.namespace) };
        self.checks().check(kind, (&metadata.namespace, &metadata.name), opted_out, item, findings)
    }

    /// Adds the template of a workload.
    fn add_template(&self, workload: &Workload, list: &mut WorkloadList, item: &str) -> serde_json::Result<()> {
        let live: Live<'_> = serde_json::from_str(item)?;
        let metadata = live.metadata.unwrap_or_default();
        let (namespace, name) = (&*metadata.namespace, &*metadata.name);
        if let Some(controller) = &metadata.controller {
            list.controllers.insert((*metadata.uid).into(), ((*controller.kind).into(), (*controller.name).into()));
        }
        if workload.kind == "Deployment"
            && name == "stork"
            && self.webhooks.and_then(Webhooks::stork_namespace) == Some(namespace)
        {
            list.stork_retains = Some(webhooks::retains_external_schedulers(&serde_json::from_str::<Value>(item)?));
        }
        let opted_out = self.opted_out(namespace);
        let place = (namespace, name);
        self.checks().check(SubjectKind::Workload(workload), place, opted_out, item, &mut list.findings)?;
        if live.status.is_some_and(|status| status.job_has_ended()) {
            list.census.add_ended(namespace);
            return Ok(());
        }
        let expectation = self.expect(workload, namespace, opted_out, item)?;
        // Which templates API servers send to colocate is a matter of its match conditions; its pods decide.
        list.census.add(CensusEntry { namespace, name, workload: (&workload.kind, name) }, &expectation);
        Ok(())
    }

    /// Adds a pod. `controllers` has the controllers of controllers, by their UIDs.
    fn add_pod(
        &self,
        workload: &Workload,
        controllers: &HashMap<Box<str>, (Box<str>, Box<str>)>,
        list: &mut PodList,
        item: &str,
    ) -> serde_json::Result<()> {
        let live: Live<'_> = serde_json::from_str(item)?;
        let metadata = live.metadata.unwrap_or_default();
        let (namespace, name) = (&*metadata.namespace, &*metadata.name);
        let opted_out = self.opted_out(namespace);
        if metadata.controller.is_none() {
            let place = (namespace, name);
            self.checks().check(SubjectKind::Workload(workload), place, opted_out, item, &mut list.findings)?;
        }
        let phase = live.status.as_ref().and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) || metadata.deletion_timestamp.is_some() {
            list.census.add_ended(namespace);
            return Ok(());
        }
        let mut expectation = self.expect(workload, namespace, opted_out, item)?;
        if expectation.outcome() == Outcome::Wrong {
            match self.sent(namespace, metadata.labels.as_ref()) {
                Answer::Yes => {}
                Answer::No(_) => {
                    list.census.add_not_sent(namespace);
                    return Ok(());
                }
                Answer::NotEvaluated(_) => expectation.doubt = Some(Doubt::NotSent),
            }
        }
        let top = metadata.top_controller(controllers);
        let is_planned = self.plan && expectation.outcome() == Outcome::Wrong;
        if is_planned && list.wrong.len() >= MAX_PLANNED {
            list.more_wrong += 1;
        } else if is_planned {
            list.wrong.push(WrongPod {
                namespace: namespace.into(),
                name: name.into(),
                uid: (*metadata.uid).into(),
                controller: top.clone(),
                pending: phase.is_some_and(|phase| phase == "Pending"),
                ready: live.status.as_ref().is_some_and(LiveStatus::is_ready),
                labels: metadata.labels.clone().unwrap_or_default(),
            });
        }
        let owner = top.as_ref().map_or(("Pod", name), |(kind, name)| (&**kind, &**name));
        list.census.add(CensusEntry { namespace, name, workload: owner }, &expectation);
        Ok(())
    }

    /// Returns whether API servers send a new pod to colocate.
    fn sent(&self, namespace: &str, labels: Option<&Labels>) -> Answer {
        let namespace_labels = self.cluster.namespaces.as_ref().and_then(|all| all.get(namespace));
        self.sends(kinds::PODS, "Pod", (namespace, namespace_labels), labels)
    }

    /// Returns whether API servers send a new object to colocate.
    fn sends(
        &self,
        kind: Kind,
        name: &str,
        (namespace, namespace_labels): (&str, Option<&Labels>),
        labels: Option<&Labels>,
    ) -> Answer {
        let Some(webhooks) = self.webhooks else { return Answer::NotEvaluated(String::new()) };
        if !webhooks.has_colocate() {
            let excluded = EXCLUDED_BY_DEFAULT.contains(&namespace);
            return if excluded { Answer::No(String::new()) } else { Answer::Yes };
        }
        let none = Labels::new();
        webhooks.sends_to_colocate((kind, name), namespace, namespace_labels, labels.unwrap_or(&none))
    }

    /// Decides about an object as if it were created now.
    fn expect(
        &self,
        workload: &Workload,
        namespace: &str,
        opted_out: Option<bool>,
        item: &str,
    ) -> serde_json::Result<Expectation> {
        let mut expectation = self.facts().expect(workload, namespace, opted_out, item)?;
        if self.rules.source == ConfigSource::NotSeen && !INDEPENDENT.contains(&expectation.reason) {
            expectation.doubt = Some(Doubt::Configuration);
        }
        Ok(expectation)
    }

    /// Returns what is foreseen, as far as the configuration is known.
    fn known(&self, foreseen: Foreseen) -> Foreseen {
        let is_known = self.rules.source != ConfigSource::NotSeen
            || INDEPENDENT.iter().any(|reason| reason.as_str() == foreseen.reason);
        Foreseen { scheduler: foreseen.scheduler.filter(|_| is_known), ..foreseen }
    }

    fn opted_out(&self, namespace: &str) -> Option<bool> {
        self.cluster.opts_out(namespace, &self.rules.policy.opt_out.namespace_label)
    }

    fn facts(&self) -> Facts<'_, crate::engine::Inventory> {
        // A pod should name its driver's scheduler even while that scheduler is not running.
        Facts { policy: &self.rules.policy, storage: &self.cluster.inventory, presence: &|_| Presence::Unknown }
    }

    fn checks(&self) -> Checks<'_> {
        let Rules { policy, severities, .. } = self.rules;
        Checks { policy, severities, inventory: &self.cluster.inventory, strategies: &self.strategies }
    }
}

impl<'a> Forecast<'a> {
    /// Reads what the files replace, and predicts their effect on their workloads.
    async fn read(
        access: &mut Access,
        auditor: &'a Auditor<'a>,
        layer: &mut Layer<'_>,
        namespace: Option<&str>,
        progress: &mut impl FnMut(&'static str),
    ) -> Result<Self, ApiError> {
        let policy = &auditor.rules.policy;
        if let Some(workload) = policy.workloads.find("apps", "v1", "ReplicaSet") {
            let hides = "the schedulers that ReplicaSets name, and so the effect of the files on their pods";
            // The list is bounded by the files and by the templates that name a scheduler.
            let listed = access.list(kinds::REPLICA_SETS, namespace, hides, |(): &mut (), item| {
                progress(kinds::REPLICA_SETS.resource.name);
                capture_workload(layer, workload, item)
            });
            listed.await?;
        }
        layer.get_live(access, namespace).await?;
        let after = layer.after(access, auditor.cluster, policy).await?;
        let schedulers = std::mem::take(&mut layer.schedulers);
        let mut forecast = Self { auditor, after, schedulers, workloads: HashMap::new() };
        for (file, workload, live) in layer.workloads(policy) {
            // Pods are read later.
            if !workload.is_pod() {
                let prediction = forecast.predict(file, workload, live.as_ref());
                let name = (file.namespace.clone(), file.kind.clone(), file.name.clone());
                forecast.workloads.insert(name, WorkloadOfFile { workload, live, prediction });
            }
        }
        Ok(forecast)
    }

    fn predict(&self, file: &FileObject, workload: &'a Workload, live: Option<&Value>) -> Prediction {
        let namespace = &file.namespace;
        let labels = labels_of(&file.value);
        let custom = self.auditor.rules.custom.iter().map(|custom| (custom.kind, custom.name));
        let kind = WORKLOADS
            .into_iter()
            .chain(OTHER_WORKLOADS)
            .chain(custom)
            .find(|(kind, name)| (kind.resource.group, *name) == (workload.group.as_str(), workload.kind.as_str()));
        let sent = match kind {
            Some((kind, name)) => self.sends_after(kind, name, namespace, labels.as_ref()),
            None => Answer::NotEvaluated(String::new()),
        };
        let scope = Scope { namespace, opted_out: self.opted_out_after(namespace), sent: &sent };
        let mut prediction = self.facts().predict(workload, scope, live, &file.value);
        prediction.after = self.auditor.known(prediction.after);
        prediction
    }

    /// Counts a pod if the files would change the scheduler of the one that replaces it.
    fn add_pod(
        &self,
        controllers: &HashMap<Box<str>, (Box<str>, Box<str>)>,
        list: &mut PodList,
        item: &str,
    ) -> serde_json::Result<()> {
        let live: Live<'_> = serde_json::from_str(item)?;
        let metadata = live.metadata.unwrap_or_default();
        let (namespace, name) = (&*metadata.namespace, &*metadata.name);
        let owner = metadata.top_controller(controllers);
        let pod: Value = serde_json::from_str(item)?;
        let (kind, owner_name) = owner.as_ref().map_or(("Pod", name), |(kind, name)| (&**kind, &**name));
        let key = (namespace.to_owned(), kind.to_owned(), owner_name.to_owned());
        if owner.is_none() {
            list.of_files.insert(key.clone(), pod.clone());
        }
        if live.status.is_some_and(|status| matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))) {
            return Ok(());
        }
        let today = pod.pointer("/spec/schedulerName").and_then(Value::as_str).unwrap_or(DEFAULT_SCHEDULER);
        let (when, before, after) = match self.workloads.get(&key) {
            // A Job of a CronJob keeps its template.
            Some(found) if kind != "CronJob" => self.of_workload(found, namespace, name),
            _ => self.of_others(&key, &pod, namespace, today),
        };
        let [before, after] = [before, after].map(|foreseen| self.auditor.known(foreseen));
        let is_changed = match when {
            When::Rollout => after.scheduler.as_deref() != Some(today),
            _ => before.scheduler != after.scheduler && after.scheduler.as_deref() != Some(today),
        };
        if is_changed {
            let (namespace, kind, name) = key;
            let after_scheduler = after.scheduler.map(|scheduler| scheduler.to_string());
            let (when, today, reason) = (when.as_str(), today.to_owned(), after.reason);
            list.changes.add(PodChange { namespace, kind, name, when, today, after: after_scheduler, reason });
        }
        Ok(())
    }

    /// Foresees the replacement of a pod whose workload is in the files, before and after they are applied.
    fn of_workload(&self, found: &WorkloadOfFile<'_>, namespace: &str, pod: &str) -> (When, Foreseen, Foreseen) {
        let WorkloadOfFile { workload, live, prediction } = found;
        let of_revision = |object| NewPod { owner: workload, object, name: Some(pod) };
        let live = live.as_ref().unwrap_or(&prediction.object);
        let before = self.foresee_live(of_revision(live), namespace);
        // Pods below the partition keep the old template, also when they are created again.
        let partition =
            prediction.object.pointer("/spec/updateStrategy/rollingUpdate/partition").and_then(Value::as_u64);
        let ordinal = pod.rsplit('-').next().and_then(|ordinal| ordinal.parse::<u64>().ok());
        let is_kept = partition.zip(ordinal).is_some_and(|(partition, ordinal)| ordinal < partition);
        match prediction.when {
            When::Rollout if !is_kept => {
                (When::Rollout, before, self.foresee_after(of_revision(&prediction.object), namespace))
            }
            When::Rollout => (When::Recreation, before, self.foresee_after(of_revision(live), namespace)),
            _ => (When::Recreation, before, self.foresee_after(of_revision(&prediction.object), namespace)),
        }
    }

    /// Foresees the replacement of a pod whose workload is not in the files.
    fn of_others(&self, owner: &WorkloadName, pod: &Value, namespace: &str, today: &str) -> (When, Foreseen, Foreseen) {
        let requested = match self.schedulers.get(owner) {
            Some(scheduler) => scheduler,
            // colocate set it.
            None if self.auditor.rules.policy.drivers.has_scheduler(today) => DEFAULT_SCHEDULER,
            None => today,
        };
        let requested = as_requested(pod, requested);
        let labels = labels_of(pod);
        let before = {
            let sent = self.auditor.sent(namespace, labels.as_ref());
            let scope = Scope { namespace, opted_out: self.auditor.opted_out(namespace), sent: &sent };
            self.auditor.facts().foresee_pod(&requested, scope)
        };
        let sent = self.sends_after(kinds::PODS, "Pod", namespace, labels.as_ref());
        let scope = Scope { namespace, opted_out: self.opted_out_after(namespace), sent: &sent };
        (When::Recreation, before, self.facts().foresee_pod(&requested, scope))
    }

    fn foresee_live(&self, pod: NewPod<'_>, namespace: &str) -> Foreseen {
        let labels = pod.labels();
        let sent = self.auditor.sent(namespace, labels.as_ref());
        let scope = Scope { namespace, opted_out: self.auditor.opted_out(namespace), sent: &sent };
        self.auditor.facts().foresee_new_pod(pod, scope)
    }

    fn foresee_after(&self, pod: NewPod<'_>, namespace: &str) -> Foreseen {
        let labels = pod.labels();
        let sent = self.sends_after(kinds::PODS, "Pod", namespace, labels.as_ref());
        let scope = Scope { namespace, opted_out: self.opted_out_after(namespace), sent: &sent };
        self.facts().foresee_new_pod(pod, scope)
    }

    fn sends_after(&self, kind: Kind, name: &str, namespace: &str, labels: Option<&Labels>) -> Answer {
        let namespace_labels = self.after.labels(self.auditor.cluster, namespace);
        self.auditor.sends(kind, name, (namespace, namespace_labels), labels)
    }

    fn opted_out_after(&self, namespace: &str) -> Option<bool> {
        let labels = self.after.labels(self.auditor.cluster, namespace)?;
        let label = &*self.auditor.rules.policy.opt_out.namespace_label;
        Some(labels.get(label).and_then(|value| parse_bool(value)) == Some(true))
    }

    fn facts(&self) -> Facts<'_, Overlay<'a>> {
        Facts { policy: &self.auditor.rules.policy, storage: &self.after.storage, presence: &|_| Presence::Unknown }
    }

    /// Ends with the changes of the pods that were read. `pods` are the live ones without a controller.
    fn end(mut self, layer: Layer<'_>, changes: PodChanges, pods: &HashMap<WorkloadName, Value>) -> FileForecast {
        let mut workloads = Vec::new();
        for (file, workload, _) in layer.workloads(&self.auditor.rules.policy) {
            let name = (file.namespace.clone(), file.kind.clone(), file.name.clone());
            let prediction = match self.workloads.remove(&name) {
                Some(found) => found.prediction,
                None => self.predict(file, workload, pods.get(&name)),
            };
            let (namespace, kind, name) = name;
            workloads.push(WorkloadForecast { place: file.place.clone(), namespace, kind, name, prediction });
        }
        FileForecast { workloads, pods: changes, notes: layer.notes }
    }
}

impl Rules {
    /// Reads the configuration: the one that the user named, or else that of the cluster's colocate.
    async fn read(reader: &mut Reader, question: AuditQuestion<'_>, cluster: &Cluster) -> Result<Self, ApiError> {
        if let Some(config) = question.config {
            return Ok(Self::new(config, ConfigSource::File));
        }
        let namespace = question.namespace.map(|name| {
            let labels = cluster.namespaces.as_ref().and_then(|all| all.get(name));
            (name, labels)
        });
        Ok(match InstalledConfig::read(reader, cluster.webhooks.as_deref(), namespace).await? {
            InstalledConfig::Found(config, place) => Self::new(&config, ConfigSource::Cluster(place)),
            InstalledConfig::Absent => Self::new(&Config::default(), ConfigSource::Defaults),
            InstalledConfig::NotSeen => Self::new(&Config::default(), ConfigSource::NotSeen),
        })
    }

    fn new(config: &Config, source: ConfigSource) -> Self {
        let custom = config.custom_workloads().map(CustomKind::from).collect();
        Self { policy: config.policy(), severities: config.validation().severities, custom, source }
    }
}

impl From<[&str; 4]> for CustomKind {
    /// Makes the kind of a group, version, resource and kind. The names live until the process exits: a configuration has few.
    fn from(names: [&str; 4]) -> Self {
        let [group, version, resource, name] = names.map(|name| &*name.to_owned().leak());
        Self { kind: Kind::namespaced(group, version, resource), version, name }
    }
}

impl LiveMetadata<'_> {
    /// The kind and the name of the topmost controller that is known.
    fn top_controller(&self, controllers: &HashMap<Box<str>, (Box<str>, Box<str>)>) -> Option<(Box<str>, Box<str>)> {
        let controller = self.controller.as_ref()?;
        if let Some(above) = controllers.get(&*controller.uid) {
            return Some(above.clone());
        }
        // A Deployment names its ReplicaSets after itself and the hash in this label.
        let hash = self.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
        let deployment = hash
            .filter(|_| controller.group() == "apps" && *controller.kind == *"ReplicaSet")
            .and_then(|hash| controller.name.strip_suffix(&**hash)?.strip_suffix('-'));
        Some(match deployment {
            Some(name) => ("Deployment".into(), name.into()),
            None => ((*controller.kind).into(), (*controller.name).into()),
        })
    }
}

impl LiveStatus<'_> {
    /// Returns true for a Job that creates no more pods.
    fn job_has_ended(&self) -> bool {
        self.has(&["Complete", "Failed"])
    }

    /// Returns true for a pod that is ready.
    fn is_ready(&self) -> bool {
        self.has(&["Ready"])
    }

    /// Returns true if one of these conditions is true.
    fn has(&self, kinds: &[&str]) -> bool {
        let is_true = |condition: &Condition<'_>| kinds.contains(&&*condition.kind) && *condition.status == *"True";
        self.conditions.iter().flatten().any(is_true)
    }
}

/// Keeps a live object that the files describe.
fn capture(layer: &mut Layer<'_>, kind: (&str, &str), item: &str) -> serde_json::Result<()> {
    let metadata = serde_json::from_str::<Live<'_>>(item)?.metadata.unwrap_or_default();
    layer.capture(kind, &metadata.namespace, &metadata.name, item)
}

/// Keeps a live workload that the files describe, and the scheduler that it names.
fn capture_workload(layer: &mut Layer<'_>, workload: &Workload, item: &str) -> serde_json::Result<()> {
    let metadata = serde_json::from_str::<Live<'_>>(item)?.metadata.unwrap_or_default();
    let name = (metadata.namespace.to_string(), workload.kind.clone(), metadata.name.to_string());
    if metadata.controller.is_none() {
        layer.add_scheduler(name, scheduler(workload, &serde_json::from_str(item)?));
    }
    layer.capture((&workload.group, &workload.kind), &metadata.namespace, &metadata.name, item)
}

/// The name of the kind of an object that is neither a pod nor a workload.
fn kind_name(kind: SubjectKind<'_>) -> &'static str {
    match kind {
        SubjectKind::Namespace => "Namespace",
        SubjectKind::Class => "StorageClass",
        _ => "PersistentVolumeClaim",
    }
}

fn labels_of(object: &Value) -> Option<Labels> {
    let labels = object.pointer("/metadata/labels").cloned().unwrap_or_default();
    serde_json::from_value(labels).unwrap_or_default()
}

/// The further consequence of a kind that cannot be read.
fn consequence(kind: Kind) -> &'static str {
    if kind == kinds::JOBS {
        "; pods of CronJobs are counted by their Jobs"
    } else if kind == kinds::DEPLOYMENTS {
        "; whether Stork keeps other schedulers"
    } else {
        ""
    }
}

/// Reads whether Stork keeps other schedulers; `None` if its Deployment cannot be read.
async fn stork_retains(access: &mut Access, webhooks: Option<&Webhooks>) -> Result<Option<bool>, ApiError> {
    let namespace = webhooks.and_then(Webhooks::stork_namespace).filter(|namespace| dns::is_label(namespace));
    let Some(namespace) = namespace else { return Ok(None) };
    let found =
        access.get(kinds::DEPLOYMENTS, Some(namespace), "stork", "whether Stork keeps other schedulers").await?;
    Ok(match found {
        Found::Object(json) => {
            serde_json::from_slice(&json).ok().map(|deployment| webhooks::retains_external_schedulers(&deployment))
        }
        Found::Absent | Found::NotSeen => None,
    })
}

/// Lists the placement strategies.
async fn strategies(access: &mut Access) -> Result<Strategies, ApiError> {
    let hides = "whether the placement strategies that claims and classes name exist";
    let listed = access.try_list(kinds::STRATEGIES, None, hides, |names: &mut BTreeSet<String>, item| {
        let metadata = serde_json::from_str::<Live<'_>>(item)?.metadata.unwrap_or_default();
        names.insert(metadata.name.into_cow().into_owned());
        Ok(())
    });
    Ok(match listed.await? {
        Listing::All(names) => Strategies::All(names),
        Listing::NotServed => Strategies::NotInstalled,
        Listing::NotSeen => Strategies::Some { known: BTreeSet::new(), why: "not allowed to list them".to_owned() },
    })
}
