//! The chart's dashboard in a real Prometheus, which scrapes two replicas of the chart and the API server: every panel has data.
//!
//! Most panels have data whenever colocate runs. The others need an event, such as a rollout or a time without replicas, which
//! the scenario causes while the clients create pods.
//!
//! `COLOCATE_PICTURE=FILE`, set by `make dashboard-picture`, draws the panels of the run.

mod panel;
mod picture;
mod run;

use std::env;
use std::sync::Arc;

use colocate_harness::{
    Api, ControlPlane, Namespace, Object, Prometheus, Release, background, pair, programs, repository,
};

use self::run::Run;
use crate::exclusive;
use crate::load::Clients;

/// The name of the release and of its namespace.
const RELEASE: &str = "torture-dashboard";

/// The namespace in which the clients create pods.
const APPS: &str = "torture-apps";

/// The CA is replaced after 16 s, two thirds of its lifetime. colocate considers Stork away after 5 s without a renewal.
const VALUES: &str = "
webhook: {namespaces: {include: [torture-apps]}}
dashboard: {enabled: true}
config:
  tls: {lifetimes: {ca: 24s, leaf: 6s, settle: 3s}}
  validation: {mode: enforce}
  events: {enabled: true}
  drivers: [{name: portworx, scheduler: {staleAfter: 5s}}]
log: {level: info}
";

/// kube-scheduler renews its Lease often enough for `staleAfter`.
const RENEWED_EVERY: [&str; 2] = ["--scheduler-arg", "--leader-elect-retry-period=300ms"];

/// A Deployment with an annotation that Stork would not read.
const WRONG: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: wrong}
spec:
  selector: {matchLabels: {app: wrong}}
  template:
    metadata: {labels: {app: wrong}, annotations: {stork.libopenstorage.org/preferLocalNodeOnly: 'yes'}}
    spec: {containers: [{name: main, image: example.test/main:1}]}
";

/// A `StatefulSet` whose claim does not exist.
const MISSING: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: NAME}
spec:
  serviceName: missing
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers: [{name: main, image: example.test/main:1}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: missing}}]
";

#[test]
fn every_panel_of_the_dashboard_has_data() {
    let Some(programs) = programs::prometheus() else { return };
    let _exclusive = exclusive();
    let control_plane = &ControlPlane::own(&RENEWED_EVERY);
    let apps = Namespace::within(control_plane, APPS);
    let release = Release::prepare(control_plane, RELEASE);
    release.install(VALUES);
    release.wait_until_called(APPS);
    let mut run = Run::start(Prometheus::start(&programs, control_plane), &release);

    let clients = Arc::new(Clients::new(control_plane, &apps));
    clients.wait_until_decided();
    let load = clients.start();
    run.wait_for("Claim lookups by result", "cached", || ());
    run.mark("an invalid annotation is denied");
    run.wait_for("Findings by rule", "HC001", || drop(apps.kubectl().attempt("create -f -", WRONG)));
    run.mark("claims are missing");
    let mut sets = 0;
    run.wait_for("Events by result", "created", || {
        sets += 1;
        apps.apply(&MISSING.replace("NAME", &format!("missing-{sets}")));
    });
    apps.run("delete statefulsets --all --wait=false");
    run.mark("both replicas are replaced");
    let deployment = format!("deployment/{}", release.full_name());
    run.change(&release, &format!("rollout restart {deployment}"));
    run.change(&release, &format!("rollout status {deployment} --timeout=60s"));
    run.mark("the configuration changes");
    let mut changes = Changes::new(&release);
    run.wait_for("Configuration reloads", "applied", || changes.apply());
    run.mark("an invalid configuration is refused");
    run.wait_for("Configuration reloads", "refused", || changes.apply_invalid());
    changes.apply();
    run.mark("Stork's process stops");
    control_plane.stop_stork();
    run.wait_until_zero("Scheduler alive");
    control_plane.start_stork();
    run.wait_for("Scheduler alive", "stork", || ());
    run.wait_for("Certificate rotations", "ca", || ());
    let record = load.stop();
    record.print("dashboard", "a rollout, rotations, changes of the configuration, Stork away");
    record.assert_nothing_failed();

    run.mark("no replica runs");
    run.change(&release, &format!("scale {deployment} --replicas=0"));
    run.change(&release, "wait pods --for=delete -l app.kubernetes.io/name=colocate --timeout=60s");
    let api = background().block_on(Api::administrator(control_plane));
    let path = format!("{}?dryRun=All", pair::pods(APPS));
    let create = || drop(background().block_on(api.create(&path, &pair::pod("data"))));
    run.wait_for("Webhook calls: failures", "admitted unchanged", create);
    run.wait_until_zero("Decisions by reason");
    run.mark("two replicas run again");
    run.change(&release, &format!("scale {deployment} --replicas=2"));
    run.change(&release, &format!("rollout status {deployment} --timeout=60s"));
    release.wait_until_called(APPS);
    let load = clients.start();
    run.wait_for("Decisions by reason", "injected", || ());
    load.wait_for_more(500);
    load.stop().assert_nothing_failed();

    let panels = run.panels();
    run::assert_all_have_data(&panels);
    if let Ok(file) = env::var("COLOCATE_PICTURE") {
        std::fs::write(repository(&file), picture::draw(&panels, &run)).expect("COLOCATE_PICTURE is writable");
    }
}

/// Changes of the configuration, which take effect without a restart.
struct Changes<'r> {
    release: &'r Release,
    /// The `ConfigMap` as the chart wrote it.
    original: Object,
    /// The number of changes so far.
    count: usize,
}

impl<'r> Changes<'r> {
    fn new(release: &'r Release) -> Self {
        let original = release.namespace().get(&format!("configmap/{}", release.full_name()));
        Self { release, original, count: 0 }
    }

    /// Changes the mode of the validation.
    fn apply(&mut self) {
        let mode = ["enforce", "warn"][self.count % 2];
        self.write(|config| config.replace("mode: enforce", &format!("mode: {mode}")));
    }

    /// Writes a text that is not a configuration, a new one each time.
    fn apply_invalid(&mut self) {
        let key = format!("invalid{}: true\n", self.count);
        self.write(|config| config.to_owned() + &key);
    }

    fn write(&mut self, change: impl FnOnce(&str) -> String) {
        self.count += 1;
        let mut object = self.original.0.clone();
        let before = object["data"]["config.yaml"].as_str().expect("the chart writes this file");
        object["data"]["config.yaml"] = change(before).into();
        // The version would make the second replacement a conflict.
        object["metadata"].as_object_mut().expect("an object has metadata").remove("resourceVersion");
        self.release.namespace().kubectl().feed("replace -f -", &object.to_string());
    }
}
