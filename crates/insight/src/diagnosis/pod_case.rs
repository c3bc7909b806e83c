//! The cause of the scheduler of a pod.

use std::collections::BTreeMap;

use colocate_engine::{DEFAULT_SCHEDULER, MissingClaim, Policy, Reason, Source, parse_bool};
use jiff::Timestamp;

use super::registration::{Exclusion, Registered, Registration};
use super::template::Template;
use super::{Diagnosis, is_chosen, unknown};
use crate::answer::Answer;
use crate::expectation::Expectation;
use crate::history::{Availability, Endpoints, History};
use crate::live_pod::LivePod;
use crate::managed_fields::{FieldsEntry, ManagedFields};
use crate::verdict::Verdict;

/// The manager of what the controllers of Kubernetes create.
pub(super) const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// The facts about a pod.
pub struct PodCase<'a> {
    /// The pod.
    pub pod: &'a LivePod<'a>,
    /// The policy of colocate.
    pub policy: &'a Policy,
    /// The expectation of the pod as it was requested: with the scheduler that its template names, if this is known.
    pub expectation: &'a Expectation,
    /// The template that the pod was made from; `None` if the pod has no controller, or the template is not known.
    pub template: Option<&'a Template>,
    /// The reason why the template is not known, if the pod was made from one.
    pub template_gap: Option<&'a str>,
    /// The registration of colocate; `None` if it could not be read.
    pub registration: Option<&'a Registration>,
    /// The Deployment and pods of colocate; `None` if they could not be read.
    pub history: Option<&'a History>,
    /// The endpoints of colocate's Service; `None` if they could not be read, or do not show since when they exist.
    pub endpoints: Option<&'a Endpoints>,
    /// The creation of each claim of the pod that exists.
    pub claims: &'a BTreeMap<String, Timestamp>,
    /// The managers of the fields of its Namespace; `None` if they could not be read.
    pub namespace_fields: Option<&'a ManagedFields>,
    /// Other mutating webhooks that are called for the pod, or may be.
    pub other_webhooks: &'a [String],
}

impl PodCase<'_> {
    /// Finds the cause of the pod's scheduler.
    pub fn diagnose(&self) -> Diagnosis {
        let Self { pod, expectation, .. } = self;
        if let Some(unknown) = unknown(expectation) {
            return unknown;
        }
        let is_changed = self.template.is_some_and(|template| {
            self.policy.drivers.has_scheduler(&expectation.scheduler) && self.is_changed_after(template)
        });
        if pod.scheduler() != &*expectation.scheduler && (is_chosen(expectation.reason) || is_changed) {
            return self.unexpected();
        }
        if expectation.reason == Reason::OwnerOptedOut {
            let kind = pod.metadata.controller.as_ref().map_or("", |owner| &owner.kind);
            return Diagnosis::new(
                Verdict::OwnerOptedOut,
                format!("its controller is a {kind}, which optOut.owners lists"),
            );
        }
        if expectation.reason == Reason::NamespaceOptedOut {
            return self.namespace_opted_out();
        }
        let found = self.leftover().or_else(|| self.hidden());
        found.unwrap_or_else(|| Diagnosis::new(Verdict::AsExpected, expectation.reason.explanation()))
    }

    /// Returns the verdict about a pod whose Namespace opts out now.
    fn namespace_opted_out(&self) -> Diagnosis {
        let Self { pod, policy, template, template_gap, namespace_fields, .. } = self;
        let (label, scheduler) = (&policy.opt_out.namespace_label, pod.scheduler());
        let opts_out = format!("its Namespace opts out by the label {label}");
        let expected = || Diagnosis::new(Verdict::AsExpected, opts_out.clone());
        if !policy.drivers.has_scheduler(scheduler) {
            return expected();
        }
        if template.is_some_and(|template| *template.scheduler == *scheduler) {
            return self.leftover().or_else(|| self.hidden()).unwrap_or_else(expected);
        }
        let created = pod.metadata.creation_timestamp;
        let path = ["metadata", "labels", label];
        let writer = namespace_fields.zip(created).and_then(|(fields, created)| fields.set_later(&path, created));
        if let Some(FieldsEntry { manager, time: Some(time), .. }) = writer {
            let text = format!("{manager} added the label {label} to its Namespace after the pod was created, {time}");
            return Diagnosis::new(Verdict::OptedOutLater, text);
        }
        let set = namespace_fields.and_then(|fields| fields.last_write_of(&path));
        let is_older = set.zip(created).is_some_and(|(set, created)| set < created);
        match (template, template_gap) {
            // Its creator chose the scheduler.
            (None, None) if is_older => expected(),
            _ => {
                let who =
                    format!("whether that was so when the pod was created is not known, and so who chose {scheduler}");
                Diagnosis::new(Verdict::Unknown, opts_out).and([who])
            }
        }
    }

    /// Finds the cause of a scheduler that is not the expected one.
    fn unexpected(&self) -> Diagnosis {
        let Self { pod, template, .. } = self;
        if self.expectation.reason == Reason::WouldInject {
            let text = format!("in mode: inject, it would have the scheduler {}", self.expectation.scheduler);
            return Diagnosis::new(Verdict::AuditMode, text);
        }
        let Some(created) = pod.metadata.creation_timestamp else {
            return Diagnosis::new(Verdict::Missed, "it has no creationTimestamp");
        };
        if let Some(template) = template.filter(|template| self.is_changed_after(template)) {
            return self.set_by_another(template);
        }
        let uncertainty = match self.registration.map(|registration| registration.at(created)) {
            Some(Registered::Later(text)) => return Diagnosis::new(Verdict::BeforeColocate, text),
            Some(Registered::NotKnown(text)) => Some(text),
            Some(Registered::Yes) | None => None,
        };
        let exclusion = self.registration.and_then(|registration| registration.exclusion(created));
        if let Some(Exclusion::Certain(why)) = exclusion {
            return Diagnosis::new(Verdict::NotSent, why);
        }
        if let Some(evidence) = self.younger_claims(created) {
            return Diagnosis { verdict: Verdict::ClaimYounger, evidence };
        }
        match self.availability(created) {
            // Otherwise it may not have been sent, or another release may have been ready.
            Some(Availability::Away(evidence)) if self.ignores_failures() && exclusion.is_none() => {
                Diagnosis::new(Verdict::ColocateAway, evidence).and(uncertainty)
            }
            availability => {
                let missed = self.missed(availability).and(exclusion.into_iter().flat_map(Exclusion::into_evidence));
                Diagnosis {
                    verdict: missed.verdict,
                    evidence: uncertainty.into_iter().chain(missed.evidence).collect(),
                }
            }
        }
    }

    /// Returns whether a replica was ready at this time; `None` if nothing that shows it could be read.
    fn availability(&self, time: Timestamp) -> Option<Availability> {
        let by_endpoints = self.endpoints.and_then(|endpoints| endpoints.at(time));
        let by_pods = self.history.map(|history| history.at(time));
        match (by_endpoints, by_pods) {
            // A replica that the Service does not select gets no calls.
            (Some(away @ Availability::Away(_)), _) => Some(away),
            (Some(ready), None | Some(Availability::Unknown)) => Some(ready),
            (_, by_pods) => by_pods,
        }
    }

    /// Returns true if the template names a scheduler that colocate leaves or sets, and the pod names another one.
    fn is_changed_after(&self, template: &Template) -> bool {
        let actual = self.pod.scheduler();
        let Policy { drivers, replaceable, .. } = self.policy;
        // colocate replaces only these schedulers, and only by that of a driver.
        let by_colocate = replaceable.allow(Some(&template.scheduler)) && drivers.has_scheduler(actual);
        *template.scheduler != *actual && !by_colocate
    }

    fn set_by_another(&self, template: &Template) -> Diagnosis {
        let Template { object, scheduler, .. } = template;
        let actual = self.pod.scheduler();
        let text = format!(
            "the template of {object} names {scheduler}, and the pod {actual}; colocate does not make this change"
        );
        let creator = self.pod.metadata.managed_fields.creator().map(|entry| &*entry.manager);
        let suspects = match (self.registration, self.other_webhooks, creator) {
            (None, ..) => Some("the webhook configurations could not be read".to_owned()),
            // This manager copies templates as they are.
            (_, [], None | Some(CONTROLLER_MANAGER)) => None,
            (_, [], Some(creator)) => Some(format!("no other webhook is called for it, and {creator} created it")),
            (_, others, Some(creator)) if creator != CONTROLLER_MANAGER => {
                Some(format!("{creator} created it, and other webhooks are called for it: {}", others.join(", ")))
            }
            (_, others, _) => Some(format!("other webhooks that are called for it: {}", others.join(", "))),
        };
        Diagnosis::new(Verdict::SetByAnother, text).and(suspects)
    }

    /// Returns the evidence if every claim that belongs to a driver is younger than the pod.
    fn younger_claims(&self, created: Timestamp) -> Option<Vec<String>> {
        // A claim that does not exist yet would not have mattered.
        if self.policy.missing_claim == MissingClaim::Inject {
            return None;
        }
        let mut evidence = Vec::new();
        for claim in self.expectation.claims.iter().filter(|claim| claim.driver.is_some()) {
            let name = claim.name.as_ref()?;
            let later = self.claims.get(name).filter(|claim| **claim > created)?;
            evidence.push(format!("claim {name} was created later, {later}"));
        }
        Some(evidence).filter(|evidence| !evidence.is_empty())
    }

    fn ignores_failures(&self) -> bool {
        self.registration.is_some_and(|registration| registration.ignores_failures)
    }

    fn missed(&self, availability: Option<Availability>) -> Diagnosis {
        let first = match availability {
            Some(Availability::Ready(evidence)) => evidence,
            Some(Availability::Away(evidence)) if self.ignores_failures() => evidence,
            Some(Availability::Away(evidence)) => {
                format!("{evidence}, but the failure policy is not known to be Ignore")
            }
            Some(Availability::Unknown) => {
                "the pods of colocate that exist now do not show whether one was ready then".to_owned()
            }
            None => "the Deployment, ReplicaSets and pods of colocate could not all be read".to_owned(),
        };
        let called = match self.registration.map(|registration| &registration.called) {
            Some(Answer::NotEvaluated(why)) => Some(format!("whether colocate is called for it is not known: {why}")),
            Some(_) => None,
            None => Some("the webhook configuration could not be read".to_owned()),
        };
        Diagnosis::new(Verdict::Missed, first).and(called)
    }

    /// Finds the cause of a driver's scheduler that would not be set now.
    fn leftover(&self) -> Option<Diagnosis> {
        let Self { pod, policy, expectation, template, .. } = self;
        if !policy.drivers.has_scheduler(pod.scheduler()) || is_chosen(expectation.reason) {
            return None;
        }
        let scheduler = pod.scheduler();
        if let Some((key, writer)) = self.opt_out_added_later() {
            let FieldsEntry { manager, time, .. } = writer;
            let time = time.map(|time| time.to_string()).unwrap_or_default();
            let text = format!("{manager} added {key} after the pod was created, {time}");
            return Some(Diagnosis::new(Verdict::OptedOutLater, text));
        }
        let Template { object, scheduler: named, source } = (*template)?;
        if **named != *scheduler {
            let text = format!(
                "the template of {object} names {named}, and colocate would not set {scheduler} now, so who chose it is not known"
            );
            return Some(Diagnosis::new(Verdict::Unknown, text));
        }
        let text = format!("the template of {object} names {scheduler}, and its source does not");
        (*source == Some(Source::OmitsScheduler)).then(|| Diagnosis::new(Verdict::InjectedEarlier, text))
    }

    /// Returns the verdict about a scheduler that is right only if the template names it, which is not known.
    fn hidden(&self) -> Option<Diagnosis> {
        let Self { pod, policy, expectation, template, template_gap, .. } = self;
        let scheduler = pod.scheduler();
        if scheduler == DEFAULT_SCHEDULER || is_chosen(expectation.reason) {
            return None;
        }
        let why = match (template, template_gap) {
            (None, Some(why)) => why,
            // colocate sets the schedulers of drivers only.
            (Some(Template { source: None, .. }), _) if policy.drivers.has_scheduler(scheduler) => {
                "the source of its template is not known"
            }
            _ => return None,
        };
        let text = format!("{why}, so who chose {scheduler} is not known");
        Some(Diagnosis::new(Verdict::Unknown, text))
    }

    /// Finds the opt-out that another writer than the creator added.
    fn opt_out_added_later(&self) -> Option<(&str, &FieldsEntry)> {
        let metadata = &self.pod.metadata;
        let created = metadata.creation_timestamp?;
        let opt_out = &self.policy.opt_out;
        let annotations = opt_out.annotations.iter().map(|key| ("annotations", &**key, &metadata.annotations));
        let labels = opt_out.labels.iter().map(|key| ("labels", &**key, &metadata.labels));
        let mut in_force = annotations
            .chain(labels)
            .filter(|(_, key, values)| values.get(*key).and_then(|value| parse_bool(value)) == Some(true));
        // All of them must be younger than the pod.
        let added = |(field, key): (&'static str, &str)| -> Option<&FieldsEntry> {
            let path = ["metadata", field, key];
            metadata.managed_fields.added_later(&path, created)
        };
        let (field, key, _) = in_force.next()?;
        let writer = added((field, key))?;
        in_force.all(|(field, key, _)| added((field, key)).is_some()).then_some((key, writer))
    }
}
