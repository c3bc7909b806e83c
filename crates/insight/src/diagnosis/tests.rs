//! Each verdict, from the facts about a pod on one day.

mod exclusion;

use std::collections::BTreeMap;

use colocate_engine::{ClaimFacts, ClassFacts, Inventory, MissingClaim, OwnerKind, Policy, Presence, Source, Workload};
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::pod_case::CONTROLLER_MANAGER;
use super::*;
use crate::answer::Answer;
use crate::expectation::Facts;
use crate::history::{Endpoints, History, Occurrences, Replica, Scaling};
use crate::live_pod::LivePod;
use crate::managed_fields::ManagedFields;

const CREATED: &str = "2026-11-30T02:14:07Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A pod on one day, and everything that is known about it.
#[derive(Clone)]
struct Scene {
    policy: Policy,
    pod: Value,
    template: Option<Template>,
    template_gap: Option<&'static str>,
    registration: Option<Registration>,
    history: Option<History>,
    endpoints: Option<Endpoints>,
    claims: BTreeMap<String, Timestamp>,
    webhooks: Vec<String>,
    /// Whether the Namespace opts out, with its `managedFields`.
    opted_out: Option<Value>,
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
            oldest: None,
            changes: Vec::new(),
            inputs: Vec::new(),
            grounds: Vec::new(),
            called: Answer::Yes,
            ignores_failures: true,
            also_called: Vec::new(),
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
            template_gap: None,
            registration: Some(registration),
            history: Some(history),
            endpoints: None,
            claims,
            webhooks: Vec::new(),
            opted_out: None,
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
        let class = |provisioner: &'static str| ClassFacts { provisioner: provisioner.into(), ..ClassFacts::default() };
        let mut storage = Inventory::default();
        storage.insert_class("px-db", class("pxd.portworx.com"));
        storage.insert_class("ebs", class("ebs.csi.aws.com"));
        storage.insert_claim("db", "data", &claim("px-db"));
        storage.insert_claim("db", "other", &claim("ebs"));
        let facts = Facts { policy: &self.policy, storage: &storage, presence: &|_| Presence::Unknown };
        let text = self.pod.to_string();
        // As with the scheduler of the template only if colocate would set another one.
        let is_of_driver = self.pod["spec"]["schedulerName"] == "stork";
        let template = self.template.as_ref().filter(|_| !is_of_driver);
        let requested = template.map_or(text.clone(), |template| template.requested(&text).unwrap());
        let workload = self.policy.workloads.find("", "v1", "Pod").unwrap();
        let expect = |workload: &Workload, text: &str| {
            facts.expect(workload, "db", Some(self.opted_out.is_some()), text).unwrap()
        };
        let expectation = expect(workload, &requested);
        let pod: LivePod<'_> = serde_json::from_str(&text).unwrap();
        let namespace_fields = self.opted_out.as_ref().map(|fields| ManagedFields::deserialize(fields).unwrap());
        let case = PodCase {
            pod: &pod,
            policy: &self.policy,
            expectation: &expectation,
            template: self.template.as_ref(),
            template_gap: self.template_gap,
            registration: self.registration.as_ref(),
            history: self.history.as_ref(),
            endpoints: self.endpoints.as_ref(),
            claims: &self.claims,
            namespace_fields: namespace_fields.as_ref(),
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
    let evidence = "the Deployment, ReplicaSets and pods of colocate could not all be read; the webhook configuration could not be read";
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
    // An object of colocate of the same second may be younger than the pod.
    let older = |time: &str| {
        let oldest = Change { what: "Deployment colocate/colocate".to_owned(), time: self::time(time) };
        Scene::new().registration(|found| {
            (found.created, found.oldest) = (Some(self::time("2026-11-30T02:14:08Z")), Some(oldest));
        })
    };
    assert_verdict(&older(CREATED), "before-colocate", evidence);
    let text = format!(
        "{evidence}, but Deployment colocate/colocate has existed since 2026-11-30T02:14:06Z, so whether there was an earlier \
         configuration is not known; colocate's pod colocate-1 has been ready since 2026-11-30T01:00:05Z"
    );
    assert_verdict(&older("2026-11-30T02:14:06Z"), "missed", &text);
    // What the present configuration excludes says nothing about an earlier one.
    let excluded = older("2026-11-30T02:14:06Z").registration(|found| found.called = Answer::No("no rule".to_owned()));
    assert_verdict(&excluded, "missed", &text);
    let mut younger = older("2026-11-30T02:14:06Z");
    younger.claims.insert("data".to_owned(), time("2026-11-30T02:14:09Z"));
    assert_verdict(&younger, "claim-younger", "claim data was created later");
    let none = Scene::new().registration(|found| {
        (found.created, found.called) = (None, Answer::No("it does not exist".to_owned()));
    });
    let text =
        "there is no MutatingWebhookConfiguration zz-colocate now, and whether there was one is not known; colocate's";
    assert_verdict(&none, "missed", text);
    let same_second = Scene::new().registration(|found| found.created = Some(time(CREATED)));
    assert_verdict(&same_second, "missed", "");
}

#[test]
fn a_pod_without_a_ready_replica_was_created_while_colocate_was_away() {
    let scaled = |to, time: &str| {
        let times = Occurrences { first: self::time(time), last: self::time(time), count: Some(1) };
        Scaling { replica_set: "colocate-5d4".to_owned(), to, up: to > 0, times }
    };
    let history = History {
        replica_sets: vec![("colocate-5d4".to_owned(), time("2026-11-01T00:00:00Z"))],
        scalings: vec![scaled(0, "2026-11-30T02:11:00Z"), scaled(2, "2026-11-30T02:31:00Z")],
        ..History::default()
    };
    let away = Scene { history: Some(history), ..Scene::new() };
    let evidence = "no replica of colocate was ready from 2026-11-30T02:11:00Z";
    assert_verdict(&away, "colocate-away", evidence);
    // It may not have been sent for another reason.
    let change = || vec![Change { what: "zz-colocate".to_owned(), time: time("2026-11-30T05:00:00Z") }];
    let scene = || away.clone();
    let no_rule = |found: &mut Registration| {
        found.called = Answer::No("no rule".to_owned());
        found.changes = change();
    };
    assert_verdict(&scene().registration(no_rule), "missed", evidence);
    let text = "label changed at 2026-11-30T05:00:00Z, so whether the object was sent to colocate before is not known";
    for found in [
        scene().registration(|found| found.changes = change()),
        scene().registration(|found| found.inputs = vec![Change { what: "label".to_owned(), ..change().remove(0) }]),
    ] {
        assert_verdict(&found, "missed", evidence);
        assert_verdict(&found, "missed", text.strip_prefix("label").unwrap());
    }
    let before = Change { what: "label".to_owned(), time: time("2026-11-30T02:14:06Z") };
    assert_verdict(&scene().registration(|found| found.inputs = vec![before]), "colocate-away", evidence);
    // With `Fail`, the pod would have been rejected.
    let fail = scene().registration(|found| found.ignores_failures = false);
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
    assert_verdict(&Scene::new().scheduler("stork").template("default-scheduler", Source::Unknown), "as-expected", "");
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
    // colocate would have set the scheduler without the claim.
    younger.policy.missing_claim = MissingClaim::Inject;
    assert_verdict(&younger, "missed", "");
    younger.policy.missing_claim = MissingClaim::Skip;
    assert_verdict(&younger, "claim-younger", "");
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
fn a_namespace_that_opted_out_later_does_not_explain_a_drivers_scheduler() {
    let label = &Policy::default().opt_out.namespace_label;
    let labels = json!({"f:metadata": {"f:labels": {format!("f:{label}"): {}}}});
    let entry = |time: &str, fields: &Value| json!([{"manager": "kubectl-label", "operation": "Update", "time": time, "fieldsV1": fields}]);
    let scene = |fields: Value| Scene { opted_out: Some(fields), ..Scene::new().scheduler("stork") };
    let (before, later) = ("2026-11-30T01:00:00Z", "2026-11-30T09:00:00Z");
    let evidence = format!("kubectl-label added the label {label} to its Namespace after the pod was created, {later}");
    assert_verdict(&scene(entry(later, &labels)), "opted-out-later", &evidence);
    let of_default = scene(entry(later, &labels)).template("default-scheduler", Source::Unknown);
    assert_verdict(&of_default, "opted-out-later", &evidence);
    // Its manager wrote other fields, too, or nothing is recorded.
    let mut more = labels.clone();
    more["f:metadata"]["f:labels"]["f:team"] = json!({});
    for fields in [entry(later, &more), json!([])] {
        assert_verdict(&scene(fields.clone()), "unknown", "who chose stork");
        assert_verdict(&scene(fields).template("default-scheduler", Source::Unknown), "unknown", "who chose stork");
    }
    // The author of the pod or of its template chose the scheduler.
    assert_verdict(&scene(entry(before, &labels)), "as-expected", "opts out by the label");
    let named = scene(entry(later, &labels)).template("stork", Source::NamesScheduler);
    assert_verdict(&named, "as-expected", "opts out by the label");
    let omitted = scene(entry(before, &labels)).template("stork", Source::OmitsScheduler);
    assert_verdict(&omitted, "injected-earlier", "its source does not");
    let of_default = scene(entry(before, &labels)).template("default-scheduler", Source::Unknown);
    assert_verdict(&of_default, "unknown", "who chose stork");
    let fine = Scene { opted_out: Some(json!([])), ..Scene::new() };
    assert_verdict(&fine, "as-expected", "opts out by the label");
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
    // colocate may have set it for an earlier claim, before an opt-out or in another mode.
    let unexplained = leftover(Source::Unknown).template("default-scheduler", Source::Unknown);
    assert_verdict(&unexplained, "unknown", "names default-scheduler, and colocate would not set stork now");
    assert_verdict(&Scene::new().scheduler("stork").template("stork", Source::OmitsScheduler), "as-expected", "");
}

#[test]
fn a_scheduler_without_a_visible_template_is_unknown() {
    let gap = "ReplicaSet mysql-5d4 does not exist any more";
    let hidden = |scheduler| Scene { template_gap: Some(gap), ..Scene::new().scheduler(scheduler) };
    let text = "ReplicaSet mysql-5d4 does not exist any more, so who chose yunikorn is not known";
    assert_verdict(&hidden("yunikorn"), "unknown", text);
    assert_verdict(&hidden("stork"), "as-expected", "");
    assert_verdict(&hidden("default-scheduler"), "missed", "");
    let mut leftover = Scene::new().scheduler("stork").template("stork", Source::Unknown);
    leftover.pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "other".into();
    assert_verdict(&leftover, "as-expected", "");
    leftover.template.as_mut().unwrap().source = None;
    let text = "the source of its template is not known, so who chose stork is not known";
    assert_verdict(&leftover, "unknown", text);
    // colocate sets the schedulers of drivers only.
    let mut named = Scene::new().scheduler("yunikorn").template("yunikorn", Source::Unknown);
    named.template.as_mut().unwrap().source = None;
    assert_verdict(&named, "as-expected", "");
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
        unknown_fact: None,
    };
    let scene = Scene::new().template("default-scheduler", Source::Unknown);
    let diagnose = |written: &str, expectation: &Expectation, registration: Option<&Registration>| {
        let template = scene.template.as_ref().unwrap();
        let created = Some(time("2026-10-01T00:00:00Z"));
        let (policy, written) = (&scene.policy, Some(time(written)));
        let case = TemplateCase { policy, created, written, expectation, template, registration };
        case.diagnose().verdict.as_str()
    };
    let registration = scene.registration.as_ref();
    assert_eq!(diagnose("2026-10-02T00:00:00Z", &expectation, registration), "before-colocate");
    assert_eq!(diagnose("2026-11-02T00:00:00Z", &expectation, registration), "missed");
    assert_eq!(diagnose("2026-10-02T00:00:00Z", &expectation, None), "missed");
    let none = Registration { created: None, ..registration.unwrap().clone() };
    assert_eq!(diagnose("2026-10-02T00:00:00Z", &expectation, Some(&none)), "missed");
    let oldest = Some(Change { what: "Deployment a/b".to_owned(), time: time("2026-10-01T00:00:00Z") });
    let older = Registration { oldest, ..registration.unwrap().clone() };
    assert_eq!(diagnose("2026-10-02T00:00:00Z", &expectation, Some(&older)), "missed");
    let excluded = Registration { called: Answer::No("no rule".to_owned()), ..registration.unwrap().clone() };
    assert_eq!(diagnose("2026-11-02T00:00:00Z", &expectation, Some(&excluded)), "not-sent");
    let right = Expectation { actual: "stork".into(), ..expectation };
    assert_eq!(diagnose("2026-11-02T00:00:00Z", &right, registration), "as-expected");
    // An opt-out of the Namespace or the kind does not remove what was injected before.
    for reason in [Reason::NamespaceOptedOut, Reason::OwnerOptedOut] {
        let opted_out = Expectation { reason, scheduler: "stork".into(), ..right.clone() };
        for (scheduler, source, verdict) in [
            ("stork", Source::OmitsScheduler, "injected-earlier"),
            ("stork", Source::NamesScheduler, "as-expected"),
            ("default-scheduler", Source::OmitsScheduler, "as-expected"),
        ] {
            let scene = Scene::new().template(scheduler, source);
            let template = scene.template.as_ref().unwrap();
            let (policy, created, written) = (&scene.policy, Some(time(CREATED)), None);
            let expectation = &opted_out;
            let case = TemplateCase { policy, created, written, expectation, template, registration };
            assert_eq!(case.diagnose().verdict.as_str(), verdict, "{reason} {scheduler} {source:?}");
        }
    }
}
