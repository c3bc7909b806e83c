//! The list of the pods: their census, and those that are wrong.

use std::collections::HashMap;

use serde_json::Value;

use super::auditor::Auditor;
use super::judgement::Judgement;
use super::live_object::{Live, LiveStatus};
use super::templates::Templates;
use crate::companion::SubjectKind;
use crate::engine::Workload;
use crate::insight::{Answer, Census, CensusEntry, Outcome, UnknownFact, WrongPod};
use crate::inspect::findings::Findings;
use crate::inspect::layer::{PodChanges, WorkloadName};

/// The largest number of pods in a plan. They take 5 MB.
const MAX_PLANNED: usize = 10_000;

/// The controllers of a cluster.
#[derive(Debug, Default)]
pub(super) struct Controllers {
    /// The controllers of controllers, by their UIDs.
    pub(super) above: HashMap<Box<str>, (Box<str>, Box<str>)>,
    pub(super) templates: Templates,
}

/// The pods, with the findings in those without a controller.
#[derive(Debug, Default)]
pub(super) struct PodList {
    pub(super) census: Census,
    pub(super) findings: Findings,
    /// The changes that the files would make.
    pub(super) changes: PodChanges,
    /// The pods that the files describe.
    pub(super) of_files: HashMap<WorkloadName, Value>,
    /// The first pods that are wrong, for a plan.
    pub(super) wrong: Vec<WrongPod>,
    pub(super) more_wrong: u64,
}

impl Auditor<'_> {
    /// Adds a pod.
    pub(super) fn add_pod(
        &self,
        workload: &Workload,
        Controllers { above: controllers, templates }: &Controllers,
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
        let live_expectation = self.expect(workload, namespace, opted_out, item)?;
        let template =
            templates.of(&self.rules.policy.workloads, metadata.controller.as_ref(), metadata.labels.as_ref());
        let judgement = self.judge((workload, item), (namespace, opted_out), template, live_expectation)?;
        let (obstacle, is_leftover) = (judgement.obstacle(), judgement.is_leftover());
        let Judgement { mut expectation, verdict } = judgement;
        if expectation.outcome() == Outcome::Wrong && !is_leftover {
            match self.sent(namespace, metadata.labels.as_ref()) {
                Answer::Yes => {}
                Answer::No(_) => {
                    list.census.add_not_sent(namespace);
                    return Ok(());
                }
                Answer::NotEvaluated(_) => expectation.unknown_fact = Some(UnknownFact::NotSent),
            }
        }
        let top = metadata.top_controller(controllers);
        let is_planned = self.plan && expectation.outcome() == Outcome::Wrong;
        if is_planned && list.wrong.len() >= MAX_PLANNED {
            list.more_wrong += 1;
        } else if is_planned {
            let labels = metadata.labels.clone().unwrap_or_default();
            let direct = metadata.controller.as_ref();
            let from_owner = direct.and_then(|direct| direct.loses_evicted_pods(&self.rules.policy.workloads));
            let obstacle = from_owner.or(obstacle.map(str::to_owned));
            let not_sent = self.excludes_new_pod(namespace, &labels, item)?;
            list.wrong.push(WrongPod {
                namespace: namespace.into(),
                name: name.into(),
                uid: (*metadata.uid).into(),
                controller: top.clone(),
                pending: phase.is_some_and(|phase| phase == "Pending"),
                ready: live.status.as_ref().is_some_and(LiveStatus::is_ready),
                labels,
                obstacle: obstacle.map(String::into_boxed_str),
                not_sent,
            });
        }
        let owner = top.as_ref().map_or(("Pod", name), |(kind, name)| (&**kind, &**name));
        list.census.add(CensusEntry { namespace, name, workload: owner, verdict }, &expectation);
        Ok(())
    }
}
