//! A release, from its installation to its end.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use colocate_harness::{CHART, ControlPlane, Kubectl, Namespace, PATIENCE, PORTWORX_CLASS, Release, bundles, fixture};

use crate::leaving;
use crate::stream::Stream;

/// Where pods are created.
const APPS: &str = "apps";

/// More than one of everything changes between these.
const OLD: &str = "
webhook: {namespaces: {include: [apps]}}
extraEnv: [{name: RUST_BACKTRACE, value: '1'}]
log: {level: info}
";
const NEW: &str = "
webhook: {namespaces: {include: [apps]}, timeoutSeconds: 6}
replicaCount: 3
commonLabels: {team: storage}
log: {level: info}
";

const SECRET: &str = "{apiVersion: v1, kind: Secret, metadata: {name: before}}";

#[test]
fn pods_are_changed_all_the_way_from_installation_to_the_end_and_then_nothing_is_left() {
    let control_plane = &ControlPlane::own(&[]);
    let apps = Namespace::within(control_plane, APPS);
    apps.add_claim("data", PORTWORX_CLASS);
    // So that there is one of each kind that is looked for.
    let others = format!("{}---\n{SECRET}", fixture("argo/rollouts-crd.yaml"));
    apps.kubectl().feed("create -f -", &others);
    let release = Release::prepare(control_plane, "life");
    let kubectl = control_plane.kubectl();
    leaving::prepare(&apps);
    let before = objects(&kubectl);

    release.helm_with("install", &older(control_plane), OLD);
    let stream = Stream::start(control_plane, APPS, "data");
    let old = entries(&release);
    release.upgrade(NEW);
    stream.more(20);
    assert_ne!(entries(&release), old, "the entries of the webhooks are others now");
    assert_eq!(release.namespace().get("deployment/life-colocate").number("/status/readyReplicas"), 3);
    let manifest = release.helm().run("get manifest life");
    // As a tool that takes the release over from Helm would: an API server says no where the two do not say the same, and of a list
    // that is a whole for it (`rules`) no item's defaults may be left to it.
    kubectl.feed("apply --server-side --dry-run=server -f -", &manifest);
    release.helm().run("rollback life 1 --wait");
    stream.more(20);
    assert_eq!(entries(&release), old);
    release.helm().run("rollback life 2 --wait");
    stream.more(20);
    let created = stream.stop();

    assert!(created.len() > 60, "{}", created.len());
    let unchanged: Vec<_> = created.iter().filter(|scheduler| *scheduler != "stork").collect();
    assert!(unchanged.is_empty(), "{} of {} were not changed: {unchanged:?}", unchanged.len(), created.len());

    // Those that run keep the bundles of configurations by their name.
    release.upgrade("webhook: {name: zz-renamed, namespaces: {include: [apps]}}");
    release.wait_until_called(APPS);

    release.helm().run("uninstall life --wait");

    let codes = release.kubelet().wait_until_all_have_ended();
    assert!(codes.iter().all(|code| *code == 0), "{codes:?}");
    wait_until_there_are(&kubectl, &before);
    leaving::leave(control_plane, &apps);
}

/// A copy of the chart as an older version of it may have been: one entry has another name.
fn older(control_plane: &ControlPlane) -> PathBuf {
    let folder = control_plane.dir().join("older-chart");
    copy(Path::new(CHART), &folder);
    let replace = |file: &str, from: &str, to: &str| {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).expect("it was copied");
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replace(from, to)).expect("it is ours");
    };
    let version = env!("CARGO_PKG_VERSION");
    replace("Chart.yaml", &format!("ersion: {version}"), "ersion: 0.0.1");
    replace("templates/mutatingwebhookconfiguration.yaml", "cronjobs.mutate.colocate", "cron.mutate.colocate");
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the control plane's folder is ours");
    for entry in from.read_dir().expect("it is a folder") {
        let path = entry.expect("it can be read").path();
        let target = to.join(path.file_name().expect("it has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).expect("it can be copied");
        }
    }
}

/// The names of the entries of its webhooks, once all of them have a `caBundle`.
fn entries(release: &Release) -> Vec<String> {
    let configuration = format!("mutatingwebhookconfiguration/{}", release.configuration());
    release.namespace().kubectl().watch(&configuration, |configuration| {
        let names = configuration.0["webhooks"].as_array()?.iter().map(|entry| entry["name"].to_string());
        bundles(&configuration).iter().all(Option::is_some).then(|| names.collect())
    })
}

/// What an object is called.
const COLUMNS: &str = "KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name";

/// The names of all objects of all kinds but Events: nothing of those is a release's, and many are made of whatever happens.
fn objects(kubectl: &Kubectl) -> BTreeSet<String> {
    let kinds = kubectl.run("api-resources --verbs=list -o name").stdout;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let line = format!("get {} -A --no-headers -o custom-columns={COLUMNS}", kinds.join(","));
    let objects: BTreeSet<_> = kubectl.run(&line).stdout.lines().map(one_space).collect();
    for kind in ["Secret ", "Lease ", "CustomResourceDefinition ", "ClusterRole ", "FlowSchema "] {
        assert!(objects.iter().any(|object| object.starts_with(kind)), "there is no {kind}: {objects:#?}");
    }
    objects
}

/// Returns when there are exactly these: what belongs to a release's objects goes a little later than they do.
fn wait_until_there_are(kubectl: &Kubectl, wanted: &BTreeSet<String>) {
    let began = Instant::now();
    loop {
        let there = objects(kubectl);
        if there == *wanted {
            return;
        }
        let others: Vec<_> = there.symmetric_difference(wanted).collect();
        assert!(began.elapsed() < PATIENCE, "these are there and were not before, or the other way round: {others:#?}");
    }
}

fn one_space(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
