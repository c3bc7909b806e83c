//! The life cycle of a release, from its installation to its removal.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use colocate_harness::{
    CHART, ControlPlane, Kubectl, Namespace, PORTWORX_CLASS, Release, WAIT_TIMEOUT, bundles, fixture,
};

use crate::leaving;
use crate::stream::Stream;

/// The namespace in which pods are created.
const APPS: &str = "apps";

/// Several objects and entries differ between these two sets of values.
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
fn pods_are_changed_until_uninstall_which_leaves_nothing_behind() {
    let control_plane = &ControlPlane::own(&[]);
    let apps = Namespace::within(control_plane, APPS);
    apps.add_claim("data", PORTWORX_CLASS);
    // There must be an object of each kind that is compared.
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
    stream.wait_for_more(20);
    assert_ne!(entries(&release), old, "the entries of the webhooks must have changed");
    assert_eq!(release.namespace().get("deployment/life-colocate").number("/status/readyReplicas"), 3);
    let manifest = release.helm().run("get manifest life");
    // A tool that takes the release over from Helm applies the same manifest. The API server rejects this apply if it
    // conflicts with Helm's. In atomic lists (`rules`), no field may be left to the API server's defaults.
    kubectl.feed("apply --server-side --dry-run=server -f -", &manifest);
    release.helm().run("rollback life 1 --wait");
    stream.wait_for_more(20);
    assert_eq!(entries(&release), old);
    release.helm().run("rollback life 2 --wait");
    stream.wait_for_more(20);
    let created = stream.stop();

    assert!(created.len() > 60, "{}", created.len());
    let unchanged: Vec<_> = created.iter().filter(|scheduler| *scheduler != "stork").collect();
    assert!(unchanged.is_empty(), "{} of {} pods were not changed: {unchanged:?}", unchanged.len(), created.len());

    // The running replicas maintain the bundles of configurations by name.
    release.upgrade("webhook: {name: zz-renamed, namespaces: {include: [apps]}}");
    release.wait_until_called(APPS);

    release.helm().run("uninstall life --wait");

    let codes = release.kubelet().wait_until_all_have_ended();
    assert!(codes.iter().all(|code| *code == 0), "{codes:?}");
    wait_until_exactly(&kubectl, &before);
    leaving::leave(control_plane, &apps);
}

/// Returns a copy of the chart that looks like an older version: one entry has another name.
fn older(control_plane: &ControlPlane) -> PathBuf {
    let folder = control_plane.dir().join("older-chart");
    copy(Path::new(CHART), &folder);
    let replace = |file: &str, from: &str, to: &str| {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).expect("the chart was copied");
        assert!(text.contains(from), "{file} does not contain {from}");
        fs::write(path, text.replace(from, to)).expect("the copy is writable");
    };
    let version = env!("CARGO_PKG_VERSION");
    replace("Chart.yaml", &format!("ersion: {version}"), "ersion: 0.0.1");
    replace("templates/mutatingwebhookconfiguration.yaml", "cronjobs.mutate.colocate", "cron.mutate.colocate");
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the control plane's folder is writable");
    for entry in from.read_dir().expect("the chart is a folder") {
        let path = entry.expect("the folder can be read").path();
        let target = to.join(path.file_name().expect("a folder entry has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).expect("the file can be copied");
        }
    }
}

/// Returns the names of the release's webhook entries, once all of them have a `caBundle`.
fn entries(release: &Release) -> Vec<String> {
    let configuration = format!("mutatingwebhookconfiguration/{}", release.configuration());
    release.namespace().kubectl().watch(&configuration, |configuration| {
        let names = configuration.0["webhooks"].as_array()?.iter().map(|entry| entry["name"].to_string());
        bundles(&configuration).iter().all(Option::is_some).then(|| names.collect())
    })
}

/// The columns that identify an object.
const COLUMNS: &str = "KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name";

/// Returns the names of all objects of all kinds except Events. A release does not contain Events, and they are created at
/// any time.
fn objects(kubectl: &Kubectl) -> BTreeSet<String> {
    let kinds = kubectl.run("api-resources --verbs=list -o name").stdout;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let line = format!("get {} -A --no-headers -o custom-columns={COLUMNS}", kinds.join(","));
    let objects: BTreeSet<_> = kubectl.run(&line).stdout.lines().map(one_space).collect();
    for kind in ["Secret ", "Lease ", "CustomResourceDefinition ", "ClusterRole ", "FlowSchema "] {
        assert!(objects.iter().any(|object| object.starts_with(kind)), "no {kind} found: {objects:#?}");
    }
    objects
}

/// Waits until exactly these objects exist. Dependents are deleted a little later than their owners.
fn wait_until_exactly(kubectl: &Kubectl, wanted: &BTreeSet<String>) {
    let began = Instant::now();
    loop {
        let there = objects(kubectl);
        if there == *wanted {
            return;
        }
        let others: Vec<_> = there.symmetric_difference(wanted).collect();
        assert!(began.elapsed() < WAIT_TIMEOUT, "objects that were added or removed: {others:#?}");
    }
}

fn one_space(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
