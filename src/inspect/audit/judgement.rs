//! The judgement of a pod, the same as that of `colocate why`: a scheduler that colocate would leave as it is may not be the choice
//! of the pod's author.

use std::collections::BTreeMap;

use super::auditor::Auditor;
use super::rules::ConfigSource;
use super::templates::PodTemplate;
use crate::engine::{DEFAULT_SCHEDULER, Workload};
use crate::insight::{Expectation, LivePod, Outcome, PodCase, Template, UnknownFact, Verdict};

/// The expectation of a pod.
pub(super) struct Judgement {
    pub(super) expectation: Expectation,
    /// The verdict, if it says more than the reason of the expectation.
    pub(super) verdict: Option<Verdict>,
}

impl Judgement {
    /// Returns true if the pod has a driver's scheduler that it should not have, so that a call to colocate would not matter.
    pub(super) fn is_leftover(&self) -> bool {
        matches!(self.verdict, Some(Verdict::OptedOutLater | Verdict::InjectedEarlier))
    }

    /// Returns the reason why a new pod would get the same scheduler, with what to do, if it would.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        match self.verdict? {
            Verdict::SetByAnother => Some(
                "another webhook or the operator that created it set its scheduler, and would set it again: exclude the pod there",
            ),
            Verdict::OptedOutLater => Some(
                "its opt-out is younger than the pod, so a new pod may not have it: add the opt-out to the manifest or the pod \
                 template first",
            ),
            Verdict::InjectedEarlier => Some(
                "its pod template names the driver's scheduler, and so would a new pod: set `schedulerName: default-scheduler` in \
                 the template",
            ),
            _ => None,
        }
    }
}

impl Auditor<'_> {
    /// Judges a pod by its template, which may name another scheduler than the pod. `live` is the expectation of the pod as it is.
    pub(super) fn judge(
        &self,
        (workload, item): (&Workload, &str),
        (namespace, opted_out): (&str, Option<bool>),
        template: PodTemplate<'_>,
        live: Expectation,
    ) -> serde_json::Result<Judgement> {
        if live.outcome() != Outcome::AsExpected || self.is_chosen_by_author(template, &live) {
            return Ok(Judgement { expectation: live, verdict: None });
        }
        let pod: LivePod<'_> = serde_json::from_str(item)?;
        let known = match template {
            PodTemplate::Known(known) => {
                Some(Template { object: String::new(), scheduler: known.scheduler.clone(), source: known.source })
            }
            PodTemplate::Absent | PodTemplate::NotKnown => None,
        };
        let drivers = &self.rules.policy.drivers;
        let requested = match &known {
            Some(template) if template.scheduler != live.actual => {
                let requested = self.expect(workload, namespace, opted_out, &template.requested(item)?)?;
                let decides = drivers.has_scheduler(&requested.scheduler) || requested.outcome() == Outcome::Unknown;
                decides.then(|| Expectation { actual: live.actual.clone(), ..requested })
            }
            _ => None,
        };
        let mut expectation = requested.unwrap_or_else(|| live.clone());
        let case = PodCase {
            pod: &pod,
            policy: &self.rules.policy,
            expectation: &expectation,
            template: known.as_ref(),
            template_gap: matches!(template, PodTemplate::NotKnown).then_some("the template is not known"),
            registration: None,
            history: None,
            endpoints: None,
            claims: &BTreeMap::new(),
            namespace_fields: self.cluster.namespaces.as_ref().and_then(|all| all.managed_fields(namespace)),
            other_webhooks: &[],
        };
        let verdict = case.diagnose().verdict;
        let is_unknown = expectation.outcome() == Outcome::Unknown;
        match verdict {
            Verdict::Unknown if !is_unknown => expectation.unknown_fact = Some(UnknownFact::Template),
            // In mode: audit, what counts is what colocate would set.
            Verdict::Unknown | Verdict::AuditMode => {}
            verdict if verdict.is_expected() => expectation = live,
            _ if self.rules.source == ConfigSource::NotSeen => {
                expectation.unknown_fact = Some(UnknownFact::Configuration);
            }
            Verdict::OptedOutLater | Verdict::InjectedEarlier => expectation.scheduler = DEFAULT_SCHEDULER.into(),
            _ => {}
        }
        let tells = matches!(verdict, Verdict::SetByAnother | Verdict::OptedOutLater | Verdict::InjectedEarlier);
        let verdict = Some(verdict).filter(|_| tells && expectation.outcome() == Outcome::Wrong);
        Ok(Judgement { expectation, verdict })
    }

    /// Returns true if the scheduler of a pod as expected can only be the choice of its author or that of colocate. This holds for
    /// nearly all pods, and spares reading the rest of them.
    fn is_chosen_by_author(&self, template: PodTemplate<'_>, live: &Expectation) -> bool {
        let policy = &self.rules.policy;
        if !policy.drivers.has_scheduler(&live.actual) {
            return match template {
                PodTemplate::Known(template) => template.scheduler == live.actual,
                PodTemplate::Absent => true,
                PodTemplate::NotKnown => *live.actual == *DEFAULT_SCHEDULER,
            };
        }
        let may_inject = match template {
            PodTemplate::Known(template) => {
                template.scheduler == live.actual || policy.replaceable.allow(Some(&template.scheduler))
            }
            PodTemplate::Absent | PodTemplate::NotKnown => true,
        };
        live.chosen() && may_inject
    }
}
