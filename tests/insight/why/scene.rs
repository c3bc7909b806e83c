//! The cluster of the test, with a release of the chart.

use std::fs;
use std::time::Instant;

use colocate_harness::{ControlPlane, Namespace, Object, PORTWORX_CLASS, Release, WAIT_TIMEOUT, fixture, pair};
use serde_json::json;

use super::answer::{Answer, why};

/// The namespaces of this test: that of most pods, one with a second webhook, and one that colocate is not registered for.
pub(super) const APPS: &str = "why";
pub(super) const CONTESTED: &str = "why-contested";
pub(super) const EXCLUDED: &str = "why-excluded";

/// The name of the release and of its namespace.
const RELEASE: &str = "explained";

/// The cluster of the test, with a release of the chart.
pub(super) struct Scene<'c> {
    pub(super) control_plane: &'c ControlPlane,
    pub(super) release: Release,
    pub(super) apps: Namespace,
    pub(super) contested: Namespace,
    pub(super) excluded: Namespace,
}

impl<'c> Scene<'c> {
    /// Creates the namespaces, a pod from before the release, and the release.
    pub(super) fn new(control_plane: &'c ControlPlane) -> Self {
        let [apps, contested, excluded] =
            [APPS, CONTESTED, EXCLUDED].map(|name| Namespace::within(control_plane, name));
        let scene =
            Self { control_plane, release: Release::prepare(control_plane, RELEASE), apps, contested, excluded };
        create_pod_with_claim(&scene.apps, "before");
        // The registration must be younger.
        wait_until_after(&scene.apps, scene.apps.get("pod/before").text("/metadata/creationTimestamp"));
        control_plane.kubectl().feed("create -f -", &fixture("crds/things.yaml"));
        control_plane.kubectl().run("wait --for=condition=Established crd/things.example.test --timeout=60s");
        let owners = "optOut: {owners: [{group: apps, kind: DaemonSet}]}";
        let thing = "{group: example.test, version: v1, resource: things, kind: Thing, path: /spec/template}";
        let config = format!("{{{owners}, customWorkloads: [{thing}]}}");
        let webhook = format!("{{failurePolicy: Ignore, namespaces: {{include: [{APPS}, {CONTESTED}]}}}}");
        let reader = "{reader: {create: true}}";
        scene.release.install(&format!("replicaCount: 1\nconfig: {config}\nwebhook: {webhook}\nrbac: {reader}\n"));
        scene.release.wait_until_called(APPS);
        scene
    }

    pub(super) fn ask(&self, namespace: &str, object: &str) -> Answer {
        self.ask_with(namespace, object, &[])
    }

    pub(super) fn ask_with(&self, namespace: &str, object: &str, arguments: &[&str]) -> Answer {
        why(self.control_plane.kubeconfig(), namespace, object, arguments)
    }

    /// Returns the configuration of the release.
    pub(super) fn config(&self) -> String {
        let map = self.release.namespace().get(&format!("configmap/{}", self.release.full_name()));
        map.text("/data/config.yaml").to_owned()
    }

    /// Writes a file, and returns its path.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        let path = self.control_plane.dir().join(name);
        fs::write(&path, text).expect("the folder is writable");
        path.display().to_string()
    }

    /// Scales colocate, and waits until this number of replicas is ready and no others exist.
    pub(super) fn scale(&self, replicas: usize) {
        let namespace = self.release.namespace();
        let name = self.release.full_name();
        namespace.run(&format!("scale deployment/{name} --replicas={replicas}"));
        let began = Instant::now();
        loop {
            let ready = namespace.get(&format!("deployment/{name}")).number("/status/readyReplicas");
            if ready == replicas as u64 && namespace.list("pods").len() == replicas {
                return;
            }
            assert!(began.elapsed() < WAIT_TIMEOUT, "{ready} replicas are ready");
        }
    }
}

/// Calls `create` until the object is younger than that time. Times in Kubernetes have a resolution of one second.
pub(super) fn create_after(
    namespace: &Namespace,
    what: &str,
    time: &str,
    mut create: impl FnMut(),
    mut remove: impl FnMut(),
) {
    let began = Instant::now();
    loop {
        create();
        if namespace.get(what).text("/metadata/creationTimestamp") > time {
            return;
        }
        assert!(began.elapsed() < WAIT_TIMEOUT, "{what} is not younger than {time}");
        remove();
    }
}

/// Waits until new objects are younger than that time.
pub(super) fn wait_until_after(namespace: &Namespace, time: &str) {
    let create = || drop(namespace.run("create configmap later"));
    let remove = || drop(namespace.run("delete configmap later"));
    create_after(namespace, "configmap/later", time, create, remove);
    remove();
}

/// Creates a pod with a Portworx claim, which has its name.
pub(super) fn create_pod_with_claim(namespace: &Namespace, name: &str) {
    namespace.add_claim(name, PORTWORX_CLASS);
    create_pod(namespace, name);
}

/// Creates a workload whose pod mounts a claim.
pub(super) fn create_workload(namespace: &Namespace, kind: &str, name: &str, claim: &str) {
    let labels = json!({"app": name});
    let template = json!({"metadata": {"labels": labels}, "spec": pair::pod(claim)["spec"]});
    let workload = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    });
    namespace.apply(&workload.to_string());
}

/// Returns the first pod of a workload.
pub(super) fn pod_of(namespace: &Namespace, name: &str) -> String {
    namespace.kubectl().watch(&format!("pods -l app={name}"), |pod| Some(pod.name().to_owned()))
}

/// Returns the time of the last write that `managedFields` records.
pub(super) fn last_write(object: &Object) -> String {
    let entries = object.0["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries.filter_map(|entry| entry["time"].as_str()).max().expect("a write").to_owned()
}

/// Creates a pod with the claim of its name, and returns its scheduler.
pub(super) fn create_pod(namespace: &Namespace, name: &str) -> String {
    namespace.kubectl().feed("create -f -", &pair::pod(name).to_string());
    namespace.get(&format!("pod/{name}")).scheduler().to_owned()
}

pub(super) fn delete_pod(namespace: &Namespace, name: &str) {
    namespace.run(&format!("delete pod/{name} --wait=false --force"));
    namespace.run(&format!("wait --for=delete pod/{name} --timeout=60s"));
}
