//! Rules, selectors and match conditions of webhooks are evaluated as the API server does: for the objects of the installation tests,
//! the crate `insight` says that the chart's colocate is called exactly if the API server calls it.

use std::collections::BTreeSet;

use colocate::insight::{Answer, Creation, Labels, WebhookEntry, as_requested};
use colocate_harness::{Api, ControlPlane, Decided, Namespace, PORTWORX_CLASS, Release, background, pair};
use serde_json::{Value, json};

use crate::dry_run::{DryRun, send_all};
use crate::kind::Kind;
use crate::shape::Shape;

/// The namespace, and the name of the release.
const NAME: &str = "called";

/// The number of random shapes for each kind.
const MIXTURES: usize = 25;

/// The object that is sent last.
const LAST: &str = "last";

/// An object that is created.
struct Case {
    name: String,
    kind: Kind,
    object: Value,
}

#[test]
fn webhooks_are_called_exactly_if_the_evaluation_says_so() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new(NAME);
    namespace.add_claim("data", PORTWORX_CLASS);
    let release = Release::prepare(control_plane, "called-by");
    let webhook = format!("{{failurePolicy: Fail, namespaces: {{include: [{NAME}]}}}}");
    release.install(&format!("replicaCount: 1\nwebhook: {webhook}\n"));
    release.wait_until_called(NAME);

    let cases = cases();
    let api = background().block_on(Api::administrator(control_plane));
    let requests: Vec<_> = cases.iter().map(|case| DryRun::create(case.kind.path(NAME), case.object.clone())).collect();
    let replies = send_all(&api, requests.iter());
    let mut last = pair::pod("data");
    last["metadata"]["name"] = LAST.into();
    send_all(&api, std::iter::once(&DryRun::create(pair::pods(NAME), last)));
    let replicas = release.kubelet().running();
    let [replica] = &replicas[..] else { panic!("expected one replica") };
    let here = |decided: &Decided| decided.namespace == NAME;
    replica.log().wait_for("the last object", |line| {
        Decided::parse(line).filter(|decided| here(decided) && decided.name == LAST).map(drop)
    });
    let called: BTreeSet<_> = replica.decisions().into_iter().filter(here).map(|decided| decided.name).collect();

    let configuration = control_plane.kubectl().object("get mutatingwebhookconfiguration/zz-called-by");
    let entries: Vec<WebhookEntry> = serde_json::from_value(configuration.0["webhooks"].clone()).expect("the entries");
    let labels = |object: &Value| -> Labels {
        serde_json::from_value(object["metadata"]["labels"].clone()).expect("labels are texts")
    };
    let namespace_labels = labels(&control_plane.kubectl().object(&format!("get namespace/{NAME}")).0);
    let evaluate = |kind: Kind, object: &Value| {
        let version = object["apiVersion"].as_str().expect("the object has a version");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let path = kind.path(NAME);
        let resource = path.rsplit('/').next().expect("a path has an end");
        let (kind, labels) = (format!("{kind:?}"), labels(object));
        let creation = Creation {
            group,
            version,
            resource,
            kind: &kind,
            namespace: NAME,
            namespace_labels: Some(&namespace_labels),
            labels: &labels,
            object,
        };
        Answer::any(entries.iter().map(|entry| entry.call(&creation).outcome()), "no entries")
    };
    let (mut compared, mut yes, mut wrong) = (0, 0, Vec::new());
    for (case, reply) in cases.iter().zip(&replies) {
        // An invalid object is rejected before any webhook is called.
        if !reply.status.is_success() {
            continue;
        }
        compared += 1;
        let expected = called.contains(&case.name);
        yes += usize::from(expected);
        let mut answers = vec![evaluate(case.kind, &case.object)];
        if case.kind == Kind::Pod {
            // As it is reconstructed from the live pod.
            let scheduler = case.object["spec"]["schedulerName"].as_str().filter(|name| !name.is_empty());
            let requested = as_requested(&reply.object.0, scheduler.unwrap_or("default-scheduler"));
            answers.push(evaluate(case.kind, &requested));
        }
        if answers
            .iter()
            .any(|answer| matches!(answer, Answer::NotEvaluated(_)) || (*answer == Answer::Yes) != expected)
        {
            wrong.push(format!("{} called: {expected}, {answers:?}: {}", case.name, case.object));
        }
    }
    println!("{compared} of {} objects are compared, of which {yes} are sent to colocate", cases.len());
    assert!(compared > 400 && yes > 100 && compared - yes > 100, "{compared} {yes}");
    let shown: Vec<_> = wrong.iter().take(5).map(|text| text.chars().take(1_000).collect::<String>()).collect();
    assert!(wrong.is_empty(), "{} of {compared} are wrong: {shown:#?}", wrong.len());
}

/// Returns new objects of each built-in kind in each shape.
fn cases() -> Vec<Case> {
    let kinds = Kind::ALL.into_iter().filter(|kind| !kind.is_custom());
    let cases = kinds.flat_map(|kind| {
        let shapes = Shape::all(kind == Kind::Pod, MIXTURES, 1);
        shapes.into_iter().enumerate().map(move |(number, shape)| {
            let name = format!("shape-{number}-{}", kind.word());
            let mut object = kind.object(&name, &shape.metadata(), shape.template());
            if object["metadata"]["labels"].is_null() {
                object["metadata"]["labels"] = json!({});
            }
            Case { name, kind, object }
        })
    });
    cases.collect()
}
