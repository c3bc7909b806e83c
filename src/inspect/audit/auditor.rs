//! The auditor, which judges one object after another by the facts of the cluster.

use serde_json::Value;

use super::live_object::Live;
use super::rules::{ConfigSource, Rules};
use crate::companion::{Strategies, SubjectKind};
use crate::engine::{DEFAULT_SCHEDULER, Inventory, Presence, Reason, Workload};
use crate::insight::{Answer, Expectation, Facts, Foreseen, Labels, UnknownFact, as_requested};
use crate::inspect::cluster::Cluster;
use crate::inspect::findings::{Checks, Findings};
use crate::inspect::kinds::{self, ResourceKind};
use crate::inspect::webhooks::Webhooks;

/// The namespaces that colocate's chart excludes by default. They are assumed while colocate is not installed.
const EXCLUDED_BY_DEFAULT: [&str; 2] = ["kube-system", "kube-node-lease"];

/// The reasons that do not depend on the configuration.
const INDEPENDENT: [Reason; 4] = [Reason::NoClaims, Reason::MirrorPod, Reason::NodeNameSet, Reason::SchedulingGroup];

/// The facts for one object after another.
pub(in crate::inspect) struct Auditor<'a> {
    pub(in crate::inspect) rules: &'a Rules,
    pub(in crate::inspect) cluster: &'a Cluster,
    pub(in crate::inspect) webhooks: Option<&'a Webhooks>,
    pub(in crate::inspect) strategies: Strategies,
    /// Whether to plan the repair.
    pub(in crate::inspect) plan: bool,
}

impl Auditor<'_> {
    /// Checks an object that is neither a pod nor a workload.
    pub(in crate::inspect) fn check(
        &self,
        kind: SubjectKind<'_>,
        item: &str,
        findings: &mut Findings,
    ) -> serde_json::Result<()> {
        let metadata = serde_json::from_str::<Live<'_>>(item)?.metadata.unwrap_or_default();
        let opted_out = if kind.is_cluster_scoped() { Some(false) } else { self.opted_out(&metadata.namespace) };
        self.checks().check(kind, (&metadata.namespace, &metadata.name), opted_out, item, findings)
    }

    /// Returns whether API servers send a new pod to colocate.
    pub(in crate::inspect) fn sent(&self, namespace: &str, labels: Option<&Labels>) -> Answer {
        let namespace_labels = self.cluster.namespaces.as_ref().and_then(|all| all.labels(namespace));
        self.sends(kinds::PODS, "Pod", (namespace, namespace_labels), labels)
    }

    /// Returns the reason why API servers would not send a new pod in place of this one to colocate, if they would not.
    pub(super) fn excludes_new_pod(
        &self,
        namespace: &str,
        labels: &Labels,
        item: &str,
    ) -> serde_json::Result<Option<Box<str>>> {
        let Some(webhooks) = self.webhooks else { return Ok(None) };
        let pod: Value = serde_json::from_str(item)?;
        let scheduler = pod.pointer("/spec/schedulerName").and_then(Value::as_str);
        // colocate sets the scheduler of a driver.
        let requested = scheduler.filter(|name| !self.rules.policy.drivers.has_scheduler(name));
        let requested = as_requested(&pod, requested.unwrap_or(DEFAULT_SCHEDULER));
        let namespace_labels = self.cluster.namespaces.as_ref().and_then(|all| all.labels(namespace));
        Ok(match webhooks.sends_pod(namespace, namespace_labels, labels, &requested) {
            Answer::No(why) => Some(why.into()),
            Answer::Yes | Answer::NotEvaluated(_) => None,
        })
    }

    /// Returns whether API servers send a new object to colocate.
    pub(in crate::inspect) fn sends(
        &self,
        kind: ResourceKind,
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
    pub(in crate::inspect) fn expect(
        &self,
        workload: &Workload,
        namespace: &str,
        opted_out: Option<bool>,
        item: &str,
    ) -> serde_json::Result<Expectation> {
        let mut expectation = self.facts().expect(workload, namespace, opted_out, item)?;
        if self.rules.source == ConfigSource::NotSeen && !INDEPENDENT.contains(&expectation.reason) {
            expectation.unknown_fact = Some(UnknownFact::Configuration);
        }
        Ok(expectation)
    }

    /// Returns what is foreseen, as far as the configuration is known.
    pub(in crate::inspect) fn known(&self, foreseen: Foreseen) -> Foreseen {
        let is_known = self.rules.source != ConfigSource::NotSeen
            || INDEPENDENT.iter().any(|reason| reason.as_str() == foreseen.reason);
        Foreseen { scheduler: foreseen.scheduler.filter(|_| is_known), ..foreseen }
    }

    pub(in crate::inspect) fn opted_out(&self, namespace: &str) -> Option<bool> {
        self.cluster.opts_out(namespace, &self.rules.policy.opt_out.namespace_label)
    }

    pub(in crate::inspect) fn facts(&self) -> Facts<'_, Inventory> {
        // A pod is expected on its driver's scheduler even while that scheduler is not running.
        Facts { policy: &self.rules.policy, storage: &self.cluster.inventory, presence: &|_| Presence::Unknown }
    }

    pub(in crate::inspect) fn checks(&self) -> Checks<'_> {
        let Rules { policy, severities, .. } = self.rules;
        Checks { policy, severities, inventory: &self.cluster.inventory, strategies: &self.strategies }
    }
}
