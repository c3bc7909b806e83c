//! The cause of the scheduler of a live object.
//!
//! Each verdict states its evidence. An object that could not be read makes a verdict weaker, down to `missed` and `unknown`, but
//! never wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use colocate_engine::{DEFAULT_SCHEDULER, Owner, Policy, Reason, Source, Workload, WorkloadObject, parse_bool};
use jiff::Timestamp;
use serde_json::Value;

use super::answer::Answer;
use super::expectation::{Expectation, ExpectedClaim, Outcome};
use super::history::{Availability, Endpoints, History};
use super::live_pod::LivePod;
use super::managed_fields::FieldsEntry;
use super::verdict::Verdict;

/// The manager of what the controllers of Kubernetes create.
const CONTROLLER_MANAGER: &str = "kube-controller-manager";

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
    /// Whether the template could not be read.
    pub template_is_hidden: bool,
    /// The registration of colocate; `None` if it could not be read.
    pub registration: Option<&'a Registration>,
    /// The Deployment and pods of colocate; `None` if they could not be read.
    pub history: Option<&'a History>,
    /// The endpoints of colocate's Service; `None` if they could not be read, or do not show since when they exist.
    pub endpoints: Option<&'a Endpoints>,
    /// The creation of each claim of the pod that exists.
    pub claims: &'a BTreeMap<String, Timestamp>,
    /// Other mutating webhooks that are called for the pod, or may be.
    pub other_webhooks: &'a [String],
}

/// The facts about a workload and its template.
pub struct TemplateCase<'a> {
    /// The creation of the workload.
    pub created: Option<Timestamp>,
    /// The last write to the workload, apart from its status.
    pub written: Option<Timestamp>,
    /// The expectation of the workload.
    pub expectation: &'a Expectation,
    /// The scheduler that its template names.
    pub template: &'a Template,
    /// The registration of colocate; `None` if it could not be read.
    pub registration: Option<&'a Registration>,
}

/// A pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The object, as in `ReplicaSet web-5d4`.
    pub object: String,
    /// The scheduler that it names.
    pub scheduler: Arc<str>,
    /// The scheduler in its sources; `None` if they could not be read.
    pub source: Option<Source>,
}

/// The registration of colocate as a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The name of the configuration.
    pub configuration: String,
    /// Its creation; `None` if there is no such configuration.
    pub created: Option<Timestamp>,
    /// The last changes of what decides whether it is called: of the configuration, and of the labels that its selectors read.
    pub changes: Vec<Change>,
    /// Whether API servers call colocate for the object now.
    pub called: Answer,
    /// The `failurePolicy` of the entry for the object.
    pub ignores_failures: bool,
}

/// The last change of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The thing, as in `zz-colocate`.
    pub what: String,
    /// The time.
    pub time: Timestamp,
}

/// The cause of a live object's scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The verdict.
    pub verdict: Verdict,
    /// The evidence, one sentence each, the decisive one first.
    pub evidence: Vec<String>,
}

impl Diagnosis {
    fn new(verdict: Verdict, evidence: impl Into<String>) -> Self {
        Self { verdict, evidence: vec![evidence.into()] }
    }

    /// Returns the diagnosis for a configuration of colocate that is not known: with another one, the verdict may be another.
    #[must_use]
    pub fn assuming_defaults(self) -> Self {
        let Self { verdict, evidence } = self;
        if verdict == Verdict::Unknown {
            return Self { verdict, evidence };
        }
        let text = format!(
            "the configuration of colocate is not known (pass it with --config); with its defaults, the verdict is {verdict}"
        );
        Self::new(Verdict::Unknown, text).and(evidence)
    }

    fn and(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }
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
            let label = &self.policy.opt_out.namespace_label;
            return Diagnosis::new(Verdict::AsExpected, format!("its Namespace opts out by the label {label}"));
        }
        let found = self.leftover().or_else(|| self.hidden());
        found.unwrap_or_else(|| Diagnosis::new(Verdict::AsExpected, expectation.reason.explanation()))
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
        if let Some(registration) = self.registration {
            let Registration { configuration, created: registered, .. } = registration;
            let Some(registered) = registered else {
                let text = format!("there is no MutatingWebhookConfiguration {configuration}");
                return Diagnosis::new(Verdict::BeforeColocate, text);
            };
            if created < *registered {
                let text = format!("MutatingWebhookConfiguration {configuration} was created later, {registered}");
                return Diagnosis::new(Verdict::BeforeColocate, text);
            }
        }
        let exclusion = self.registration.and_then(|registration| registration.exclusion(created));
        if let Some(Exclusion::Certain(why)) = exclusion {
            return Diagnosis::new(Verdict::NotSent, why);
        }
        if let Some(evidence) = self.younger_claims(created) {
            return Diagnosis { verdict: Verdict::ClaimYounger, evidence };
        }
        let ignores = self.registration.is_some_and(|registration| registration.ignores_failures);
        match self.availability(created) {
            Some(Availability::Away(evidence)) if ignores => Diagnosis::new(Verdict::ColocateAway, evidence),
            availability => self.missed(availability).and(exclusion.into_iter().flat_map(Exclusion::into_evidence)),
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
        let mut evidence = Vec::new();
        for claim in self.expectation.claims.iter().filter(|claim| claim.driver.is_some()) {
            let name = claim.name.as_ref()?;
            let later = self.claims.get(name).filter(|claim| **claim > created)?;
            evidence.push(format!("claim {name} was created later, {later}"));
        }
        Some(evidence).filter(|evidence| !evidence.is_empty())
    }

    fn missed(&self, availability: Option<Availability>) -> Diagnosis {
        let first = match availability {
            Some(Availability::Ready(evidence)) => evidence,
            Some(Availability::Away(evidence)) => {
                format!("{evidence}, but the failure policy is not known to be Ignore")
            }
            Some(Availability::Unknown) => {
                "the pods of colocate that exist now do not show whether one was ready then".to_owned()
            }
            None => "the pods of colocate could not be read".to_owned(),
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
        let template = template.filter(|template| *template.scheduler == *scheduler)?;
        let text = format!("the template of {} names {scheduler}, and its source does not", template.object);
        (template.source == Some(Source::OmitsScheduler)).then(|| Diagnosis::new(Verdict::InjectedEarlier, text))
    }

    /// Returns the verdict about a scheduler that is right only if the template names it, which could not be read.
    fn hidden(&self) -> Option<Diagnosis> {
        let Self { pod, expectation, template, template_is_hidden, .. } = self;
        let scheduler = pod.scheduler();
        if scheduler == DEFAULT_SCHEDULER || is_chosen(expectation.reason) {
            return None;
        }
        let what = match template {
            None if *template_is_hidden => "the template of its controller",
            Some(Template { source: None, .. }) => "the source of its template",
            _ => return None,
        };
        let text = format!("{what} could not be read, so who chose {scheduler} is not known");
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

impl Template {
    /// Reads the template of a live object. Its sources are those that `source` records: the object itself, or its controller;
    /// `None` if that could not be read.
    ///
    /// # Errors
    /// The JSON does not have the structure of the kind.
    pub fn read(
        object: String,
        (workload, json): (&Workload, &str),
        source: Option<(&Workload, &str)>,
    ) -> Result<Self, serde_json::Error> {
        let read = WorkloadObject::parse(json, workload)?;
        let scheduler = read.scheduler().unwrap_or(DEFAULT_SCHEDULER).into();
        let source = source.map(|(workload, json)| Ok(WorkloadObject::parse(json, workload)?.source(workload)));
        let source = source.transpose()?;
        Ok(Self { object, scheduler, source })
    }

    /// Returns the JSON of a pod with the scheduler that its template names, in place of one that a webhook set.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn requested(&self, pod: &str) -> Result<String, serde_json::Error> {
        let mut pod: Value = serde_json::from_str(pod)?;
        if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("schedulerName".to_owned(), (*self.scheduler).into());
        }
        Ok(pod.to_string())
    }
}

/// Why API servers do not call colocate for an object now.
enum Exclusion {
    /// This has not changed since the object was written.
    Certain(String),
    /// They may have called it when the object was written.
    Later(Vec<String>),
}

impl Exclusion {
    fn into_evidence(self) -> Vec<String> {
        match self {
            Self::Certain(why) => vec![why],
            Self::Later(evidence) => evidence,
        }
    }
}

impl Registration {
    /// Returns true if API servers do not call colocate for the object now.
    pub fn excludes(&self) -> bool {
        matches!(self.called, Answer::No(_))
    }

    /// Returns why API servers do not call colocate for an object that was written at this time. Times have a resolution of one
    /// second, so what changed in the same second may have changed later.
    fn exclusion(&self, written: Timestamp) -> Option<Exclusion> {
        let Self { configuration, changes, called, .. } = self;
        let Answer::No(why) = called else { return None };
        let later: Vec<_> = changes.iter().filter(|change| change.time >= written).collect();
        if later.is_empty() {
            return Some(Exclusion::Certain(format!("{configuration}: {why}")));
        }
        let now = format!("it would not be sent now ({configuration}: {why}), which may have changed since then");
        let changes = later.into_iter().map(|Change { what, time }| format!("{what} changed at {time}"));
        Some(Exclusion::Later(std::iter::once(now).chain(changes).collect()))
    }
}

impl TemplateCase<'_> {
    /// Finds the cause of the scheduler of a workload's template.
    pub fn diagnose(&self) -> Diagnosis {
        let Self { created, written, expectation, template, registration } = self;
        if let Some(unknown) = unknown(expectation) {
            return unknown;
        }
        if expectation.outcome() == Outcome::AsExpected {
            let leftover = !is_chosen(expectation.reason)
                && matches!(expectation.reason, Reason::AlreadySet | Reason::OptOutWithoutEffect)
                && template.source == Some(Source::OmitsScheduler);
            return if leftover {
                let text = format!("the template names {}, and its source does not", template.scheduler);
                Diagnosis::new(Verdict::InjectedEarlier, text)
            } else {
                Diagnosis::new(Verdict::AsExpected, expectation.reason.explanation())
            };
        }
        if expectation.reason == Reason::WouldInject {
            let text = format!("in mode: inject, it would have the scheduler {}", expectation.scheduler);
            return Diagnosis::new(Verdict::AuditMode, text);
        }
        let last = (*written).max(*created);
        if let Some(Registration { configuration, created: registered, .. }) = registration {
            match (registered, last) {
                (None, _) => {
                    let text = format!("there is no MutatingWebhookConfiguration {configuration}");
                    return Diagnosis::new(Verdict::BeforeColocate, text);
                }
                (Some(registered), Some(last)) if last < *registered => {
                    let text = format!("its last write was at {last}, and {configuration} was created at {registered}");
                    return Diagnosis::new(Verdict::BeforeColocate, text);
                }
                _ => {}
            }
        }
        let exclusion = registration.zip(last).and_then(|(registration, last)| registration.exclusion(last));
        if let Some(Exclusion::Certain(why)) = exclusion {
            return Diagnosis::new(Verdict::NotSent, why);
        }
        let text = last
            .map_or_else(|| "its writes are not recorded".to_owned(), |last| format!("its last write was at {last}"));
        Diagnosis::new(Verdict::Missed, text).and(exclusion.into_iter().flat_map(Exclusion::into_evidence))
    }
}

/// Returns the verdict about an object of which a fact is missing.
fn unknown(expectation: &Expectation) -> Option<Diagnosis> {
    if expectation.outcome() != Outcome::Unknown {
        return None;
    }
    let open = expectation.claims.iter().filter(|claim| matches!(claim.owner, Owner::Missing | Owner::Unknown(_)));
    let claims: Vec<_> = open.map(describe).collect();
    let doubt = expectation.doubt.map(|doubt| doubt.explanation().to_owned());
    let mut evidence: Vec<_> = claims.into_iter().chain(doubt).collect();
    if evidence.is_empty() {
        evidence.push(expectation.reason.explanation().to_owned());
    }
    Some(Diagnosis { verdict: Verdict::Unknown, evidence })
}

fn describe(claim: &ExpectedClaim) -> String {
    let label = &claim.label;
    match &claim.owner {
        Owner::Missing => format!("{label} does not exist"),
        _ => format!("the driver of {label} is not known"),
    }
}

/// Returns true if colocate chose the scheduler.
fn is_chosen(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Injected | Reason::InjectedMissing | Reason::WouldInject | Reason::Kept | Reason::WouldKeep
    )
}

#[cfg(test)]
mod tests {
    use colocate_engine::{ClaimFacts, ClassFacts, Inventory, OwnerKind, Presence, Workload};
    use serde_json::json;

    use super::*;
    use crate::expectation::Facts;
    use crate::history::{Replica, Scaling};

    const CREATED: &str = "2026-11-30T02:14:07Z";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A pod on one day, and everything that is known about it.
    struct Scene {
        policy: Policy,
        pod: Value,
        template: Option<Template>,
        template_is_hidden: bool,
        registration: Option<Registration>,
        history: Option<History>,
        endpoints: Option<Endpoints>,
        claims: BTreeMap<String, Timestamp>,
        webhooks: Vec<String>,
    }

    impl Scene {
        /// A pod that mounts the claim `data` of Portworx and is on the default scheduler. All has been well for an hour.
        fn new() -> Self {
            let containers = json!({"f:spec": {"f:containers": {}, "f:schedulerName": {}}});
            let pod = json!({
                "metadata": {
                    "namespace": "db",
                    "name": "mysql-0",
                    "creationTimestamp": CREATED,
                    "managedFields": [{"manager": CONTROLLER_MANAGER, "operation": "Update", "time": CREATED, "fieldsV1": containers}],
                },
                "spec": {
                    "schedulerName": "default-scheduler",
                    "nodeName": "node-1",
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                },
            });
            let registration = Registration {
                configuration: "zz-colocate".to_owned(),
                created: Some(time("2026-11-01T00:00:00Z")),
                changes: Vec::new(),
                called: Answer::Yes,
                ignores_failures: true,
            };
            let replica = Replica {
                name: "colocate-1".to_owned(),
                replica_set: "colocate-5d4".to_owned(),
                created: time("2026-11-30T01:00:00Z"),
                ready: Some((true, time("2026-11-30T01:00:05Z"))),
                pauses: Vec::new(),
            };
            let history = History { desired: 1, replicas: vec![replica], ..History::default() };
            let claims = [("data".to_owned(), time("2026-11-30T02:00:00Z"))].into();
            Self {
                policy: Policy::default(),
                pod,
                template: None,
                template_is_hidden: false,
                registration: Some(registration),
                history: Some(history),
                endpoints: None,
                claims,
                webhooks: Vec::new(),
            }
        }

        fn scheduler(mut self, name: &str) -> Self {
            self.pod["spec"]["schedulerName"] = name.into();
            self
        }

        fn template(mut self, scheduler: &str, source: Source) -> Self {
            let object = "ReplicaSet mysql-5d4".to_owned();
            self.template = Some(Template { object, scheduler: scheduler.into(), source: Some(source) });
            self
        }

        fn registration(mut self, change: impl FnOnce(&mut Registration)) -> Self {
            self.registration.iter_mut().for_each(change_once(change));
            self
        }

        fn diagnose(&self) -> (&'static str, String) {
            let claim = |class: &'static str| ClaimFacts { class: Some(class.into()), ..ClaimFacts::default() };
            let class =
                |provisioner: &'static str| ClassFacts { provisioner: provisioner.into(), ..ClassFacts::default() };
            let mut storage = Inventory::default();
            storage.insert_class("px-db", class("pxd.portworx.com"));
            storage.insert_class("ebs", class("ebs.csi.aws.com"));
            storage.insert_claim("db", "data", &claim("px-db"));
            storage.insert_claim("db", "other", &claim("ebs"));
            let facts = Facts { policy: &self.policy, storage: &storage, presence: &|_| Presence::Unknown };
            let text = self.pod.to_string();
            let requested = self.template.as_ref().map_or(text.clone(), |template| template.requested(&text).unwrap());
            let workload = self.policy.workloads.find("", "v1", "Pod").unwrap();
            let expect = |workload: &Workload, text: &str| facts.expect(workload, "db", Some(false), text).unwrap();
            let expectation = expect(workload, &requested);
            let pod: LivePod<'_> = serde_json::from_str(&text).unwrap();
            let case = PodCase {
                pod: &pod,
                policy: &self.policy,
                expectation: &expectation,
                template: self.template.as_ref(),
                template_is_hidden: self.template_is_hidden,
                registration: self.registration.as_ref(),
                history: self.history.as_ref(),
                endpoints: self.endpoints.as_ref(),
                claims: &self.claims,
                other_webhooks: &self.webhooks,
            };
            let Diagnosis { verdict, evidence } = case.diagnose();
            (verdict.as_str(), evidence.join("; "))
        }
    }

    fn change_once<T>(change: impl FnOnce(&mut T)) -> impl FnMut(&mut T) {
        let mut change = Some(change);
        move |value| {
            if let Some(change) = change.take() {
                change(value);
            }
        }
    }

    fn assert_verdict(scene: &Scene, verdict: &str, evidence: &str) {
        let (found, text) = scene.diagnose();
        assert_eq!(found, verdict, "{text}");
        assert!(text.contains(evidence), "{verdict}: {text}");
    }

    #[test]
    fn the_drivers_scheduler_is_as_expected() {
        let injected = "One of its claims belongs to a storage driver";
        assert_verdict(&Scene::new().scheduler("stork"), "as-expected", injected);
        let mut other = Scene::new();
        other.pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "other".into();
        assert_verdict(&other, "as-expected", "none belongs to a configured driver");
        // The author of the pod chose a scheduler.
        assert_verdict(&Scene::new().scheduler("yunikorn"), "as-expected", "names another scheduler");
    }

    #[test]
    fn a_pod_without_a_known_cause_was_missed() {
        assert_verdict(&Scene::new(), "missed", "colocate's pod colocate-1 has been ready since 2026-11-30T01:00:05Z");
        let unseen = Scene { registration: None, history: None, ..Scene::new() };
        let evidence = "the pods of colocate could not be read; the webhook configuration could not be read";
        assert_verdict(&unseen, "missed", evidence);
        let unknown = |registration: &mut Registration| registration.called = Answer::NotEvaluated("why".to_owned());
        let evidence = "whether colocate is called for it is not known: why";
        assert_verdict(&Scene::new().registration(unknown), "missed", evidence);
    }

    #[test]
    fn a_pod_from_before_the_registration_was_before_colocate() {
        let later = Scene::new().registration(|found| found.created = Some(time("2026-11-30T02:14:08Z")));
        let evidence = "MutatingWebhookConfiguration zz-colocate was created later, 2026-11-30T02:14:08Z";
        assert_verdict(&later, "before-colocate", evidence);
        let none = Scene::new().registration(|found| found.created = None);
        assert_verdict(&none, "before-colocate", "there is no MutatingWebhookConfiguration zz-colocate");
        let same_second = Scene::new().registration(|found| found.created = Some(time(CREATED)));
        assert_verdict(&same_second, "missed", "");
    }

    #[test]
    fn a_pod_without_a_ready_replica_was_created_while_colocate_was_away() {
        let scaled =
            |to, time: &str| Scaling { replica_set: "colocate-5d4".to_owned(), to, up: to > 0, time: self::time(time) };
        let history = History {
            replica_sets: vec![("colocate-5d4".to_owned(), time("2026-11-01T00:00:00Z"))],
            scalings: vec![scaled(0, "2026-11-30T02:11:00Z"), scaled(2, "2026-11-30T02:31:00Z")],
            ..History::default()
        };
        let away = Scene { history: Some(history), ..Scene::new() };
        let evidence = "no replica of colocate was ready from 2026-11-30T02:11:00Z";
        assert_verdict(&away, "colocate-away", evidence);
        // A later change of the configuration does not matter.
        let change = Change { what: "zz-colocate".to_owned(), time: time("2026-11-30T05:00:00Z") };
        let away = away.registration(|found| {
            found.called = Answer::No("no rule".to_owned());
            found.changes = vec![change];
        });
        assert_verdict(&away, "colocate-away", evidence);
        // With `Fail`, the pod would have been rejected.
        let fail = away.registration(|found| found.ignores_failures = false);
        assert_verdict(&fail, "missed", "but the failure policy is not known to be Ignore");
    }

    #[test]
    fn endpoints_show_what_pods_do_not() {
        let endpoints = |ready| {
            let since = time("2026-11-30T02:11:00Z");
            Some(Endpoints { service: "colocate/colocate".to_owned(), ready, serving: ready, since })
        };
        // The pod of colocate was ready, but the Service does not select it.
        let away = "Service colocate/colocate has had no ready endpoint since 2026-11-30T02:11:00Z (EndpointSlices)";
        let ready = "Service colocate/colocate has had a ready endpoint since 2026-11-30T02:11:00Z (EndpointSlices)";
        let of_pods = "colocate's pod colocate-1 has been ready since";
        assert_verdict(&Scene { endpoints: endpoints(false), ..Scene::new() }, "colocate-away", away);
        assert_verdict(&Scene { endpoints: endpoints(true), ..Scene::new() }, "missed", of_pods);
        for history in [None, Some(History::default())] {
            let scene = |ready| Scene { history: history.clone(), endpoints: endpoints(ready), ..Scene::new() };
            assert_verdict(&scene(true), "missed", ready);
            assert_verdict(&scene(false), "colocate-away", away);
        }
    }

    #[test]
    fn a_pod_that_the_configuration_excludes_was_not_sent() {
        let excluded = || Scene::new().registration(|found| found.called = Answer::No("no rule".to_owned()));
        assert_verdict(&excluded(), "not-sent", "zz-colocate: no rule");
        let changed = |time: &str| {
            let change = Change { what: "zz-colocate".to_owned(), time: self::time(time) };
            excluded().registration(|found| found.changes = vec![change])
        };
        assert_verdict(&changed("2026-11-30T02:14:06Z"), "not-sent", "zz-colocate: no rule");
        // It may have been called at that time.
        let evidence = "it would not be sent now (zz-colocate: no rule), which may have changed since then; zz-colocate changed at 2026-11-30T02:14:07Z";
        assert_verdict(&changed(CREATED), "missed", evidence);
    }

    #[test]
    fn a_scheduler_that_the_template_does_not_name_was_set_by_another() {
        let set = Scene { webhooks: vec!["yunikorn-admission".to_owned()], ..Scene::new() };
        let set = set.scheduler("yunikorn").template("default-scheduler", Source::Unknown);
        let evidence = "the template of ReplicaSet mysql-5d4 names default-scheduler, and the pod yunikorn; colocate does not make this change; other webhooks that are called for it: yunikorn-admission";
        assert_verdict(&set, "set-by-another", evidence);
        // Without a claim of a driver, the template names the scheduler itself.
        let mut named = Scene::new().scheduler("yunikorn").template("stork", Source::NamesScheduler);
        named.pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "other".into();
        assert_verdict(&named, "set-by-another", "names stork, and the pod yunikorn");
        // Without another webhook, its creator did it.
        let mut of_operator = Scene::new().scheduler("yunikorn").template("default-scheduler", Source::Unknown);
        assert!(!of_operator.diagnose().1.contains("created it"));
        of_operator.pod["metadata"]["managedFields"][0]["manager"] = "operator".into();
        let evidence = "no other webhook is called for it, and operator created it";
        assert_verdict(&of_operator, "set-by-another", evidence);
        of_operator.webhooks.push("istio".to_owned());
        let evidence = "operator created it, and other webhooks are called for it: istio";
        assert_verdict(&of_operator, "set-by-another", evidence);
        of_operator.registration = None;
        assert_verdict(&of_operator, "set-by-another", "the webhook configurations could not be read");
        // Another webhook put the default back.
        assert_verdict(
            &Scene::new().template("stork", Source::OmitsScheduler),
            "set-by-another",
            "names stork, and the pod default-scheduler",
        );
        assert_verdict(&Scene::new().template("default-scheduler", Source::Unknown), "missed", "");
        assert_verdict(&Scene::new().scheduler("yunikorn").template("yunikorn", Source::Unknown), "as-expected", "");
        assert_verdict(
            &Scene::new().scheduler("stork").template("default-scheduler", Source::Unknown),
            "as-expected",
            "",
        );
        // It has no claim of a driver, so its scheduler does not matter.
        let mut other = Scene::new().scheduler("yunikorn").template("default-scheduler", Source::Unknown);
        other.pod["spec"]["volumes"] = json!([]);
        assert_verdict(&other, "as-expected", "");
    }

    #[test]
    fn claims_that_are_all_younger_were_not_known() {
        let mut younger = Scene::new();
        younger.claims.insert("data".to_owned(), time("2026-11-30T02:14:09Z"));
        assert_verdict(&younger, "claim-younger", "claim data was created later, 2026-11-30T02:14:09Z");
        // An inline volume of the driver has no claim to wait for.
        let inline = json!({"name": "inline", "csi": {"driver": "pxd.portworx.com"}});
        younger.pod["spec"]["volumes"].as_array_mut().unwrap().push(inline);
        assert_verdict(&younger, "missed", "");
    }

    #[test]
    fn an_opt_out_of_another_writer_was_added_later() {
        let key = colocate_engine::DISABLE_HYPERCONVERGENCE;
        let annotation = json!({"f:metadata": {"f:annotations": {format!("f:{key}"): {}}}});
        let opted_out = |manager: &str, time: &str| {
            let mut scene = Scene::new().scheduler("stork");
            scene.pod["metadata"]["annotations"] = json!({key: "true"});
            let entry = json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": annotation});
            scene.pod["metadata"]["managedFields"].as_array_mut().unwrap().push(entry);
            scene
        };
        let later = opted_out("kubectl-annotate", "2026-11-30T09:00:00Z");
        let evidence = format!("kubectl-annotate added {key} after the pod was created, 2026-11-30T09:00:00Z");
        assert_verdict(&later, "opted-out-later", &evidence);
        assert_verdict(&opted_out(CONTROLLER_MANAGER, CREATED), "as-expected", "still schedules it");
    }

    #[test]
    fn a_template_without_a_source_for_its_scheduler_was_injected_earlier() {
        let leftover = |source| {
            let mut scene = Scene::new().scheduler("stork").template("stork", source);
            scene.pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "other".into();
            scene
        };
        let evidence = "the template of ReplicaSet mysql-5d4 names stork, and its source does not";
        assert_verdict(&leftover(Source::OmitsScheduler), "injected-earlier", evidence);
        assert_verdict(&leftover(Source::NamesScheduler), "as-expected", "");
        assert_verdict(&leftover(Source::Unknown), "as-expected", "");
        assert_verdict(&Scene::new().scheduler("stork").template("stork", Source::OmitsScheduler), "as-expected", "");
    }

    #[test]
    fn a_scheduler_without_a_visible_template_is_unknown() {
        let hidden = |scheduler| Scene { template_is_hidden: true, ..Scene::new().scheduler(scheduler) };
        let text = "the template of its controller could not be read, so who chose yunikorn is not known";
        assert_verdict(&hidden("yunikorn"), "unknown", text);
        assert_verdict(&hidden("stork"), "as-expected", "");
        assert_verdict(&hidden("default-scheduler"), "missed", "");
        let mut leftover = Scene::new().scheduler("stork").template("stork", Source::Unknown);
        leftover.pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "other".into();
        assert_verdict(&leftover, "as-expected", "");
        leftover.template.as_mut().unwrap().source = None;
        let text = "the source of its template could not be read, so who chose stork is not known";
        assert_verdict(&leftover, "unknown", text);
    }

    #[test]
    fn the_kind_of_an_opted_out_owner_is_named() {
        let mut scene = Scene::new();
        let owner = OwnerKind { group: "a.test".into(), kind: "Database".into() };
        scene.policy.opt_out.owners = vec![owner];
        scene.pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "a.test/v1", "kind": "Database", "name": "mysql", "uid": "1", "controller": true}]);
        assert_verdict(&scene, "owner-opted-out", "its controller is a Database, which optOut.owners lists");
    }

    #[test]
    fn a_missing_claim_is_named_and_nothing_is_expected() {
        let mut scene = Scene::new();
        scene.pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "absent".into();
        assert_verdict(&scene, "unknown", "claim `absent` does not exist");
    }

    #[test]
    fn an_assumed_configuration_makes_the_verdict_unknown() {
        let missed = Diagnosis::new(Verdict::Missed, "a replica was ready").assuming_defaults();
        assert_eq!(missed.verdict, Verdict::Unknown);
        assert!(missed.evidence[0].ends_with("with its defaults, the verdict is missed"), "{:?}", missed.evidence);
        assert_eq!(missed.evidence[1], "a replica was ready");
        let unknown = Diagnosis::new(Verdict::Unknown, "a claim does not exist");
        assert_eq!(unknown.clone().assuming_defaults(), unknown);
    }

    #[test]
    fn audit_mode_changes_nothing() {
        let mut scene = Scene::new();
        scene.policy.mode = colocate_engine::Mode::Audit;
        assert_verdict(&scene, "audit-mode", "in mode: inject, it would have the scheduler stork");
    }

    #[test]
    fn a_template_is_explained_by_its_last_write() {
        let expectation = Expectation {
            reason: Reason::Injected,
            scheduler: "stork".into(),
            actual: "default-scheduler".into(),
            warnings: Vec::new(),
            claims: Vec::new(),
            doubt: None,
        };
        let scene = Scene::new().template("default-scheduler", Source::Unknown);
        let diagnose = |written: &str, expectation: &Expectation, registration: Option<&Registration>| {
            let template = scene.template.as_ref().unwrap();
            let created = Some(time("2026-10-01T00:00:00Z"));
            let case = TemplateCase { created, written: Some(time(written)), expectation, template, registration };
            case.diagnose().verdict.as_str()
        };
        let registration = scene.registration.as_ref();
        assert_eq!(diagnose("2026-10-02T00:00:00Z", &expectation, registration), "before-colocate");
        assert_eq!(diagnose("2026-11-02T00:00:00Z", &expectation, registration), "missed");
        assert_eq!(diagnose("2026-10-02T00:00:00Z", &expectation, None), "missed");
        let excluded = Registration { called: Answer::No("no rule".to_owned()), ..registration.unwrap().clone() };
        assert_eq!(diagnose("2026-11-02T00:00:00Z", &expectation, Some(&excluded)), "not-sent");
        let right = Expectation { actual: "stork".into(), ..expectation };
        assert_eq!(diagnose("2026-11-02T00:00:00Z", &right, registration), "as-expected");
    }
}
