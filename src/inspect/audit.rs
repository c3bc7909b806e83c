//! The audit of a cluster: whether pods and templates name the scheduler that they should name, the findings of the companion,
//! and the webhooks that are called for pods.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;

use super::access::{Access, Listing};
use super::cluster::{Cluster, read_storage};
use super::findings::{Checks, Findings};
use super::kinds::{self, Kind};
use super::webhooks::{self, Stork, Webhooks};
use super::why::{InstalledConfig, Reader};
use crate::api::ApiError;
use crate::companion::{Severities, Strategies, SubjectKind};
use crate::config::Config;
use crate::engine::{Mode, Policy, Presence, Reason, Text, Workload, object};
use crate::insight::{Answer, Census, CensusEntry, Controller, Doubt, Expectation, Facts, Labels, Outcome, controller};

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

/// The part of a cluster to audit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuditQuestion<'a> {
    /// The configuration that the user named; without one, it is read from the cluster.
    pub(crate) config: Option<&'a Config>,
    /// The namespace; `None` for all.
    pub(crate) namespace: Option<&'a str>,
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
}

/// The facts for one object after another.
struct Auditor<'a> {
    rules: &'a Rules,
    cluster: &'a Cluster,
    webhooks: Option<&'a Webhooks>,
    strategies: Strategies,
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
    /// Of a Job.
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
        let webhooks = match &cluster.webhooks {
            Some(configurations) => match Webhooks::read(configurations) {
                Ok(webhooks) => Some(webhooks),
                Err(error) => return Err(kinds::MUTATING_WEBHOOKS.resource.failed("list", error)),
            },
            None => None,
        };
        let strategies = strategies(access).await?;
        let auditor = Auditor { rules: &rules, cluster: &cluster, webhooks: webhooks.as_ref(), strategies };
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
                auditor.add_template(workload, list, item)
            });
            let listed = listed.await?.unwrap_or_default();
            audit.templates.merge(listed.census);
            audit.findings.merge(listed.findings);
            controllers.extend(listed.controllers);
            retains = retains.or(listed.stork_retains);
        }
        audit.stork = auditor
            .webhooks
            .map(|webhooks| Stork { active: webhooks.stork_is_active(), retains_external_schedulers: retains });

        if let Some(workload) = policy.workloads.find("", "v1", "Pod") {
            let hides = "which pods name the scheduler that they should name";
            let pods = access.list(kinds::PODS, namespace, hides, |list: &mut PodList, item| {
                progress("pods");
                auditor.add_pod(workload, &controllers, list, item)
            });
            if let Some(PodList { census, findings }) = pods.await? {
                audit.pods = Some(census);
                audit.findings.merge(findings);
            }
        }
        audit.webhooks = webhooks;
        Ok(audit)
    }
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
        if live.status.is_some_and(|status| matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))) {
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
        let owner = metadata.top_controller(controllers);
        let owner = owner.as_ref().map_or(("Pod", name), |(kind, name)| (&**kind, &**name));
        list.census.add(CensusEntry { namespace, name, workload: owner }, &expectation);
        Ok(())
    }

    /// Returns whether API servers send a new pod to colocate.
    fn sent(&self, namespace: &str, labels: Option<&Labels>) -> Answer {
        let Some(webhooks) = self.webhooks else { return Answer::NotEvaluated(String::new()) };
        if !webhooks.has_colocate() {
            let excluded = EXCLUDED_BY_DEFAULT.contains(&namespace);
            return if excluded { Answer::No(String::new()) } else { Answer::Yes };
        }
        let namespace_labels = self.cluster.namespaces.as_ref().and_then(|all| all.get(namespace));
        let none = Labels::new();
        webhooks.sends_to_colocate(namespace, namespace_labels, labels.unwrap_or(&none))
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
        if self.rules.source == ConfigSource::NotSeen && depends_on_configuration(expectation.reason) {
            expectation.doubt = Some(Doubt::Configuration);
        }
        Ok(expectation)
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
        let ended = |condition: &Condition<'_>| {
            matches!(&*condition.kind, "Complete" | "Failed") && *condition.status == *"True"
        };
        self.conditions.iter().flatten().any(ended)
    }
}

/// Returns false for a reason that every configuration leads to.
fn depends_on_configuration(reason: Reason) -> bool {
    !matches!(reason, Reason::NoClaims | Reason::MirrorPod | Reason::NodeNameSet | Reason::SchedulingGroup)
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
