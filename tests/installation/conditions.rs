//! The conditions under which API servers ask, held to the engine: what it would change, they let through, under both failure
//! policies; and they never fail.
//!
//! Each object goes to two colocates: first to an auditor, which decides and changes nothing, and is asked about everything, and then
//! to that of the chart, if its conditions let it through.

mod changes;
mod ground;
pub(crate) mod kind;
mod odd;
pub(crate) mod shape;

use std::collections::{BTreeMap, BTreeSet};

use colocate_harness::{CHART, Colocate, ControlPlane, Decided, Namespace, Namespaces, Release, Reply, fixture};
use hyper::StatusCode;

use self::ground::{Asked, Ground};

/// As both are configured.
const CUSTOM: &str = "customWorkloads: [\
    {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template, update: true}, \
    {group: example.test, version: v1, resource: things, kind: Thing, path: /spec/a~1b/~0c/if, update: true}]";

/// What the auditor is asked about beside what all of the harness are.
const THINGS: &str =
    r#"{"apiGroups":["example.test"],"apiVersions":["v1"],"resources":["things"],"operations":["CREATE","UPDATE"]}"#;

/// Reasons for which an object of a built-in kind is as it is, and colocate is not asked.
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

/// Reasons for which it changes something, or tells somebody.
const ASKED: [&str; 4] = ["would-inject", "would-keep", "claim-missing", "opt-out-without-effect"];

#[test]
fn what_would_be_changed_is_let_through_under_both_policies_and_nothing_fails() {
    let control_plane = ControlPlane::shared();
    let kubectl = control_plane.kubectl();
    kubectl.feed("create -f -", &fixture("crds/things.yaml"));
    kubectl.run("wait --for=condition=Established crd/things.example.test --timeout=60s");
    // What is there before anybody is asked.
    let grounds = [Ground::prepare("matching-fail", 1), Ground::prepare("matching-ignore", 1_000)];
    let home = Namespace::new("auditor");
    let auditor = Colocate::start(control_plane, home.name(), &format!("mode: audit\n{CUSTOM}\n"));
    let names = [home.name(), grounds[0].name(), grounds[1].name()];
    auditor.admit(home.kubectl(), Namespaces::Only(&names));
    let rule = format!(r#"[{{"op":"add","path":"/webhooks/0/rules/-","value":{THINGS}}}]"#);
    kubectl.run(&format!("patch mutatingwebhookconfiguration/zz-colocate-auditor --type=json -p {rule}"));
    let release = Release::prepare(control_plane, "matching");

    for (command, policy, ground) in [("install", "Fail", &grounds[0]), ("upgrade", "Ignore", &grounds[1])] {
        let webhook = format!("{{failurePolicy: {policy}, namespaces: {{include: [{}]}}}}", ground.name());
        let values = format!("replicaCount: 1\nconfig: {{{CUSTOM}}}\nwebhook: {webhook}\n");
        release.helm_with(command, CHART.as_ref(), &values);
        release.wait_until_called(ground.name());
        Outcome::of(ground, &auditor, &release).judge(policy);
    }
}

/// What became of all that was asked in one namespace.
struct Outcome {
    asked: Vec<(Asked, Reply)>,
    /// What the auditor decided first about each object, by its name.
    audited: BTreeMap<String, Decided>,
    /// Of which objects the chart's colocate was told.
    told: BTreeSet<String>,
}

impl Outcome {
    fn of(ground: &Ground, auditor: &Colocate, release: &Release) -> Self {
        let asked = ground.ask();
        let replicas = release.kubelet().running();
        let [replica] = &replicas[..] else { panic!("there is not one replica") };
        let is_last = |line: &str| Decided::parse(line).filter(|decided| ground.is_last(decided)).map(drop);
        auditor.log().wait_for("the last object at the auditor", is_last);
        replica.log().wait_for("the last object", is_last);
        let here = |decided: &Decided| decided.namespace == ground.name() && decided.dry_run;
        let mut audited = BTreeMap::new();
        for decided in auditor.decisions().into_iter().filter(here) {
            audited.entry(decided.name.clone()).or_insert(decided);
        }
        let told = replica.decisions().into_iter().filter(here).map(|decided| decided.name).collect();
        Self { asked, audited, told }
    }

    fn judge(&self, policy: &str) {
        let mut counts = BTreeMap::new();
        let mut wrong = Vec::new();
        for (asked, reply) in &self.asked {
            // What is not valid is refused with other codes; so are a condition that fails, and a webhook.
            if [StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR].contains(&reply.status) {
                wrong.push(format!("{}: {}", asked.name, reply.object.text("/message")));
            }
            // Some are refused before anybody is asked.
            let Some(decided) = self.audited.get(&asked.name) else { continue };
            let (reason, told) = (&*decided.reason, self.told.contains(&asked.name));
            let (all, of_those) = counts.entry(reason).or_insert((0, 0));
            (*all, *of_those) = (*all + 1, *of_those + usize::from(told));
            let changed =
                !reason.starts_with("would-") || !reply.status.is_success() || asked.scheduler(reply) == "stork";
            let warned = warnings(decided, asked)
                .all(|word| reply.warnings.iter().any(|warning| warning.contains(&format!("colocate: {word}: "))));
            if !changed || !warned || (ASKED.contains(&reason) && !told) || (is_stopped(reason, asked) && told) {
                let warnings = &reply.warnings;
                wrong.push(format!("{} is {reason}, told: {told}, {warnings:?}: {}", asked.name, asked.object()));
            }
        }
        let audited: usize = counts.values().map(|(all, _)| all).sum();
        println!("{policy}: {} objects, of which the auditor was asked about {audited}", self.asked.len());
        for (reason, (all, told)) in &counts {
            println!("{reason:24} {all:5} {told:5} to colocate");
        }
        let shown: Vec<_> = wrong.iter().take(10).map(|text| text.chars().take(1_000).collect::<String>()).collect();
        assert!(wrong.is_empty(), "{policy}: {} of {}: {shown:#?}", wrong.len(), self.asked.len());
        for reason in STOPPED.iter().chain(&ASKED) {
            assert!(counts.contains_key(reason), "nothing is {reason}");
        }
        assert!(audited * 10 > self.asked.len() * 8, "most came to the webhooks");
    }
}

/// Whether the chart's conditions keep it away.
fn is_stopped(reason: &str, asked: &Asked) -> bool {
    // One that names a driver's scheduler is looked at for the warning that an opt-out beside it earns.
    let may_warn = reason == "already-set" && asked.opt_outs().next().is_some();
    asked.is_built_in() && STOPPED.contains(&reason) && !asked.has_many_volumes() && !may_warn
}

/// Of what its sender is told.
fn warnings(Decided { reason, kind, .. }: &Decided, asked: &Asked) -> impl Iterator<Item = &'static str> {
    let of_the_reason = match &**reason {
        // The claims of a template may come later.
        "claim-missing" if kind == "Pod" => Some("claim-missing"),
        "opt-out-without-effect" => Some("opt-out-without-effect"),
        _ => None,
    };
    let is_invalid = reason.starts_with("would-") && asked.opt_outs().any(|value| ["yes", ""].contains(&value));
    of_the_reason.into_iter().chain(is_invalid.then_some("opt-out-invalid"))
}
