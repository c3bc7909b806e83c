//! The match conditions of the validating webhooks, checked against the companion: the findings are the same with and without
//! the conditions, and an object without anything to validate does not reach colocate.

mod change;
mod key;
mod large;
mod place;

use std::collections::BTreeSet;
use std::time::Instant;

use colocate_harness::{
    Api, ControlPlane, Namespace, OTHER_CLASS, PORTWORX_CLASS, Release, Replica, Reply, WAIT_TIMEOUT, background,
    fixture,
};
use serde_json::{Value, json};

use self::change::Change;
use self::key::{KEYS, VALUES, mistyped};
use self::place::{Holder, PLACES};
use crate::conditions::kind::Kind;
use crate::dry_run::{DryRun, send_all, store_all};

/// The namespace of the namespaced objects.
const APPS: &str = "apps";

/// The number of keys that are tried at each place of a workload. All keys are tried at the other places.
const KEYS_AT_EACH: usize = 7;

/// The number of mistyped prefixes.
const MISTYPED: u64 = 120;

const VALUES_OF_THE_CHART: &str = "
replicaCount: 1
log: {level: info}
webhook: {failurePolicy: Fail}
config:
  customWorkloads:
  - {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template, update: true}
  optOut:
    annotations: [example.com/chosen, stork.libopenstorage.org/disableHyperconvergence]
    owners: [{group: example.test, kind: Database}]
";

#[test]
fn findings_are_the_same_with_and_without_conditions() {
    // This test has its own control plane: classes and Namespaces are cluster-scoped, so all releases would be called for
    // them.
    let control_plane = &ControlPlane::own(&[]);
    control_plane.kubectl().feed("create -f -", &fixture("argo/rollouts-crd.yaml"));
    control_plane.kubectl().run("wait --for=condition=Established crd --all --timeout=60s");
    let apps = Namespace::within(control_plane, APPS);
    apps.add_claim("data", PORTWORX_CLASS);
    apps.add_claim("plain", OTHER_CLASS);
    let api = background().block_on(Api::administrator(control_plane));
    let large: Vec<_> = large::creations().chain(large::updates(&api)).collect();
    let all: Vec<_> = creations().chain(updates(&api)).chain(large.iter().cloned()).collect();
    let release = Release::prepare(control_plane, "findings");
    release.install(VALUES_OF_THE_CHART);
    release.wait_until_called(APPS);
    let running = release.kubelet().running();
    let [replica] = &running[..] else { panic!("expected one replica") };

    let silent = Holder::ALL.map(|holder| holder.create(&format!("silent-{}", holder.word()), |_| {}));
    send_all(&api, silent.iter());
    assert_eq!(validations(replica), 0, "colocate was called for an object without anything to validate");
    let with = send_all(&api, all.iter());
    let reviewed = validations(replica);
    remove_conditions(&release, &api, replica);
    let before = validations(replica);
    let without = send_all(&api, all.iter());
    let reviewed_without = validations(replica) - before;

    println!("{} objects: {reviewed} reached colocate with conditions, {reviewed_without} without", all.len());
    assert_same(&all, &with, &without);
    for (dry_run, with) in large.iter().zip(&with[all.len() - large.len()..]) {
        let name = &dry_run.object["metadata"]["name"];
        assert!(with.status.is_success(), "{name}: {with:?}");
    }
    // Invalid objects are rejected before any webhook is called.
    assert!(reviewed_without * 10 > all.len() as u64 * 8, "most objects must reach colocate");
}

/// Returns new objects: some keys at each place of each kind, and mistyped keys.
fn creations() -> impl Iterator<Item = DryRun> {
    let at_places = PLACES.iter().enumerate().flat_map(|(which, place)| {
        let count = if matches!(place.holder, Holder::Workload(_)) { KEYS_AT_EACH } else { KEYS.len() };
        (0..count).map(move |number| {
            let key = KEYS[(which * KEYS_AT_EACH + number) % KEYS.len()];
            let value = VALUES[(which + number) % VALUES.len()];
            place.holder.create(&format!("at-{which}-{number}"), |object| place.write(object, key, value))
        })
    });
    let mistyped = PLACES.iter().cycle().zip(0..MISTYPED).map(|(place, number)| {
        place.holder.create(&format!("mistyped-{number}"), |object| place.write(object, &mistyped(number), "true"))
    });
    at_places.chain(mistyped)
}

/// Returns changes of objects that are stored now.
fn updates(api: &Api) -> impl Iterator<Item = DryRun> {
    let mut all = Vec::new();
    for (which, place) in PLACES.iter().enumerate() {
        for change in Change::ALL {
            let old = place.holder.create(&format!("{}-{which}", change.name), |object| (change.before)(place, object));
            all.push((place, change, old));
        }
    }
    let stored = store_all(api, all.iter().map(|(place, _, old)| (place.holder.collection(), old.object.clone())));
    all.into_iter().zip(stored).map(|((place, change, _), mut object)| {
        (change.after)(place, &mut object);
        DryRun::update(&place.holder.collection(), object)
    })
}

/// Returns the number of reviews that the replica has validated.
fn validations(replica: &Replica) -> u64 {
    replica.metric("colocate_validations_total")
}

/// Removes the conditions, and waits until the API server calls colocate for an object without anything to validate.
fn remove_conditions(release: &Release, api: &Api, replica: &Replica) {
    let configuration = format!("validatingwebhookconfiguration/{}", release.configuration());
    let entries = release.namespace().get(&configuration).0["webhooks"].as_array().map_or(0, Vec::len);
    let remove = |entry| json!({"op": "remove", "path": format!("/webhooks/{entry}/matchConditions")});
    let patch: Value = (0..entries).map(remove).collect();
    release.namespace().run(&format!("patch {configuration} --type=json -p {patch}"));
    let (before, began) = (validations(replica), Instant::now());
    let silent = Holder::Workload(Kind::Pod).create("silent", |_| {});
    while validations(replica) == before {
        send_all(api, std::iter::once(&silent));
        assert!(began.elapsed() < WAIT_TIMEOUT, "the API server still applies the conditions");
    }
}

fn assert_same(all: &[DryRun], with: &[Reply], without: &[Reply]) {
    let mut wrong = Vec::new();
    let mut rules = BTreeSet::new();
    for ((dry_run, with), without) in all.iter().zip(with).zip(without) {
        let [actual, expected] = [with, without].map(findings);
        rules.extend(expected.iter().filter_map(|finding| finding.split(':').next().map(str::to_owned)));
        if actual != expected || with.status != without.status {
            wrong.push(format!(
                "expected {expected:?}, got {actual:?} {}: {}",
                with.object.text("/message"),
                dry_run.object
            ));
        }
    }
    println!("rules: {rules:?}");
    let shown: Vec<_> = wrong.iter().take(10).map(|text| text.chars().take(500).collect::<String>()).collect();
    assert!(wrong.is_empty(), "{} of {}: {shown:#?}", wrong.len(), all.len());
    assert!(rules.len() >= 12, "most rules must be covered: {rules:?}");
}

/// Returns the findings in a reply: the rule's id, and the rest.
fn findings(reply: &Reply) -> Vec<String> {
    let warnings = reply.warnings.iter().filter_map(|warning| warning.split_once("colocate: HC"));
    warnings.map(|(_, rest)| format!("HC{rest}")).collect()
}
