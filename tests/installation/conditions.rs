//! The match conditions of the mutating webhooks, checked against the engine: they let every request through that the engine
//! would change, under both failure policies, and their evaluation never fails.
//!
//! Each object goes to two colocates. The first is an auditor without match conditions, which reviews everything and
//! changes nothing. The second is the chart's, which is called if its conditions match.

mod cases;
mod changes;
pub(crate) mod kind;
mod odd;
pub(crate) mod shape;

use std::collections::{BTreeMap, BTreeSet};

use colocate_harness::{CHART, Colocate, ControlPlane, Decided, Namespace, Namespaces, Release, Reply, fixture};
use hyper::StatusCode;

use self::cases::{Case, Cases};

/// The custom workloads of both.
const CUSTOM: &str = "customWorkloads: [\
    {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template, update: true}, \
    {group: example.test, version: v1, resource: things, kind: Thing, path: /spec/a~1b/~0c/if, update: true}]";

/// The auditor's rule in addition to those of the harness.
const THINGS: &str =
    r#"{"apiGroups":["example.test"],"apiVersions":["v1"],"resources":["things"],"operations":["CREATE","UPDATE"]}"#;

/// Reasons for which an object of a built-in kind is not changed, so that the conditions must not match.
const STOPPED: [&str; 9] = [
    "no-claims",
    "already-set",
    "other-scheduler",
    "opted-out",
    "mirror-pod",
    "node-name-set",
    "controller-owned",
    "template-unchanged",
    "immutable",
];

/// Reasons for which colocate changes something or sends a warning, so that the conditions must match.
const CALLED: [&str; 4] = ["would-inject", "would-keep", "claim-missing", "opt-out-without-effect"];

#[test]
fn conditions_match_every_change_under_both_policies() {
    let control_plane = ControlPlane::shared();
    let kubectl = control_plane.kubectl();
    kubectl.feed("create -f -", &fixture("crds/things.yaml"));
    kubectl.run("wait --for=condition=Established crd/things.example.test --timeout=60s");
    // These objects exist before any webhook is registered.
    let cases = [Cases::prepare("matching-fail", 1), Cases::prepare("matching-ignore", 1_000)];
    let home = Namespace::new("auditor");
    let auditor = Colocate::start(control_plane, home.name(), &format!("mode: audit\n{CUSTOM}\n"));
    let names = [home.name(), cases[0].name(), cases[1].name()];
    auditor.admit(home.kubectl(), Namespaces::Only(&names));
    let rule = format!(r#"[{{"op":"add","path":"/webhooks/0/rules/-","value":{THINGS}}}]"#);
    kubectl.run(&format!("patch mutatingwebhookconfiguration/zz-colocate-auditor --type=json -p {rule}"));
    let release = Release::prepare(control_plane, "matching");

    for (command, policy, cases) in [("install", "Fail", &cases[0]), ("upgrade", "Ignore", &cases[1])] {
        let webhook = format!("{{failurePolicy: {policy}, namespaces: {{include: [{}]}}}}", cases.name());
        let values = format!("replicaCount: 1\nconfig: {{{CUSTOM}}}\nwebhook: {webhook}\n");
        release.helm_with(command, CHART.as_ref(), &values);
        release.wait_until_called(cases.name());
        Outcome::of(cases, &auditor, &release).assert_expected(policy);
    }
}

/// The results of all requests in one namespace.
struct Outcome {
    replies: Vec<(Case, Reply)>,
    /// The auditor's first decision about each object, by its name.
    audited: BTreeMap<String, Decided>,
    /// The objects about which the chart's colocate was called.
    called: BTreeSet<String>,
}

impl Outcome {
    fn of(cases: &Cases, auditor: &Colocate, release: &Release) -> Self {
        let replies = cases.send();
        let replicas = release.kubelet().running();
        let [replica] = &replicas[..] else { panic!("expected one replica") };
        let is_last = |line: &str| Decided::parse(line).filter(|decided| cases.is_last(decided)).map(drop);
        auditor.log().wait_for("the last object at the auditor", is_last);
        replica.log().wait_for("the last object", is_last);
        let here = |decided: &Decided| decided.namespace == cases.name() && decided.dry_run;
        let mut audited = BTreeMap::new();
        for decided in auditor.decisions().into_iter().filter(here) {
            audited.entry(decided.name.clone()).or_insert(decided);
        }
        let called = replica.decisions().into_iter().filter(here).map(|decided| decided.name).collect();
        Self { replies, audited, called }
    }

    fn assert_expected(&self, policy: &str) {
        let mut counts = BTreeMap::new();
        let mut wrong = Vec::new();
        for (case, reply) in &self.replies {
            // An invalid object is rejected with other codes. These two mean that a condition or a webhook failed.
            if [StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR].contains(&reply.status) {
                wrong.push(format!("{}: {}", case.name, reply.object.text("/message")));
            }
            // Some objects are rejected before any webhook is called.
            let Some(decided) = self.audited.get(&case.name) else { continue };
            let (reason, called) = (&*decided.reason, self.called.contains(&case.name));
            let (all, of_those) = counts.entry(reason).or_insert((0, 0));
            (*all, *of_those) = (*all + 1, *of_those + usize::from(called));
            let changed =
                !reason.starts_with("would-") || !reply.status.is_success() || case.scheduler(reply) == "stork";
            let warned = warnings(decided, case)
                .all(|word| reply.warnings.iter().any(|warning| warning.contains(&format!("colocate: {word}: "))));
            if !changed || !warned || (CALLED.contains(&reason) && !called) || (is_stopped(reason, case) && called) {
                let warnings = &reply.warnings;
                wrong.push(format!("{} is {reason}, called: {called}, {warnings:?}: {}", case.name, case.object()));
            }
        }
        let audited: usize = counts.values().map(|(all, _)| all).sum();
        println!("{policy}: {} objects, of which the auditor reviewed {audited}", self.replies.len());
        for (reason, (all, called)) in &counts {
            println!("{reason:24} {all:5} {called:5} to colocate");
        }
        let shown: Vec<_> = wrong.iter().take(10).map(|text| text.chars().take(1_000).collect::<String>()).collect();
        assert!(wrong.is_empty(), "{policy}: {} of {}: {shown:#?}", wrong.len(), self.replies.len());
        for reason in STOPPED.iter().chain(&CALLED) {
            assert!(counts.contains_key(reason), "no object has the reason {reason}");
        }
        assert!(audited * 10 > self.replies.len() * 8, "most objects must reach the webhooks");
    }
}

/// Returns true if the chart's conditions must not match.
fn is_stopped(reason: &str, case: &Case) -> bool {
    // The conditions match an object with a driver's scheduler if colocate may warn about it: if it also opts out, or if no
    // controller hides the warning.
    let may_warn = reason == "already-set" && (case.opt_outs().next().is_some() || !case.has_controller());
    case.is_built_in() && STOPPED.contains(&reason) && !case.has_many_volumes() && !may_warn
}

/// Returns the warnings that the client must get.
fn warnings(Decided { reason, kind, .. }: &Decided, case: &Case) -> impl Iterator<Item = &'static str> {
    let of_the_reason = match &**reason {
        // The claims of a template may be created later.
        "claim-missing" if kind == "Pod" => Some("claim-missing"),
        "opt-out-without-effect" => Some("opt-out-without-effect"),
        _ => None,
    };
    let is_invalid = reason.starts_with("would-") && case.opt_outs().any(|value| ["yes", ""].contains(&value));
    of_the_reason.into_iter().chain(is_invalid.then_some("opt-out-invalid"))
}
