//! The list of the workloads of one kind: the census of their templates, and the findings in them.

use std::collections::HashMap;

use serde::Deserialize as _;
use serde_json::Value;

use super::auditor::Auditor;
use super::live_object::Live;
use super::templates::Templates;
use crate::companion::SubjectKind;
use crate::engine::Workload;
use crate::insight::{Answer, Census, CensusEntry, Labels, Outcome, UnknownFact};
use crate::inspect::findings::Findings;
use crate::inspect::kinds::{self, ResourceKind};
use crate::inspect::webhooks::{self, Webhooks};

/// The kinds whose templates are audited, each with its name. Those of `ReplicaSets` are only read: there are many, and nearly all
/// belong to a Deployment.
pub(super) const WORKLOADS: [(ResourceKind, &str); 6] = [
    (kinds::DEPLOYMENTS, "Deployment"),
    (kinds::STATEFUL_SETS, "StatefulSet"),
    (kinds::DAEMON_SETS, "DaemonSet"),
    (kinds::REPLICATION_CONTROLLERS, "ReplicationController"),
    (kinds::CRON_JOBS, "CronJob"),
    (kinds::JOBS, "Job"),
];

/// The other built-in kinds with a pod template.
pub(super) const OTHER_WORKLOADS: [(ResourceKind, &str); 3] =
    [(kinds::PODS, "Pod"), (kinds::REPLICA_SETS, "ReplicaSet"), (kinds::POD_TEMPLATES, "PodTemplate")];

/// The templates of a kind, and what pods need of it.
#[derive(Debug, Default)]
pub(super) struct WorkloadList {
    pub(super) census: Census,
    pub(super) findings: Findings,
    /// The controllers of these objects by the UID of the object: the `CronJob` of a Job.
    pub(super) controllers: HashMap<Box<str>, (Box<str>, Box<str>)>,
    /// The pod templates of these objects.
    pub(super) templates: Templates,
    /// Whether Stork keeps other schedulers, if its Deployment is among them.
    pub(super) stork_retains: Option<bool>,
}

impl Auditor<'_> {
    /// Adds the template of a workload.
    pub(super) fn add_template(
        &self,
        workload: &Workload,
        above: &Templates,
        list: &mut WorkloadList,
        item: &str,
    ) -> serde_json::Result<()> {
        list.templates.add((&self.rules.policy.workloads, workload), above, item)?;
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
        let mut expectation = self.expect(workload, namespace, opted_out, item)?;
        if expectation.outcome() == Outcome::Wrong {
            // Pods get their scheduler when they are created, so what counts is whether they are sent, and not the template.
            match self.sent(namespace, pod_labels(workload, item)?.as_ref()) {
                Answer::Yes => {}
                Answer::No(_) => {
                    list.census.add_not_sent(namespace);
                    return Ok(());
                }
                Answer::NotEvaluated(_) => expectation.unknown_fact = Some(UnknownFact::NotSent),
            }
        }
        list.census.add(CensusEntry { namespace, name, workload: (&workload.kind, name), verdict: None }, &expectation);
        Ok(())
    }
}

/// The labels of the pods of a workload.
fn pod_labels(workload: &Workload, item: &str) -> serde_json::Result<Option<Labels>> {
    let object: Value = serde_json::from_str(item)?;
    let template = workload.path.iter().try_fold(&object, |value, key| value.get(key));
    let labels = template.and_then(|template| template.pointer("/metadata/labels"));
    Ok(labels.and_then(|labels| Labels::deserialize(labels).ok()))
}

/// The further consequence of a kind that cannot be read.
pub(super) fn consequence(kind: ResourceKind) -> &'static str {
    if kind == kinds::JOBS {
        "; pods of CronJobs are counted by their Jobs"
    } else if kind == kinds::DEPLOYMENTS {
        "; whether Stork keeps other schedulers"
    } else {
        ""
    }
}
