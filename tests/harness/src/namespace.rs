//! A namespace for one test.

use std::collections::BTreeMap;

use super::control_plane::ControlPlane;
use super::kubectl::{Kubectl, Output};
use super::{Object, storage};

/// A namespace in a control plane, usually the shared one. It is not deleted, because its objects do not affect other tests and
/// the control plane stops after the tests.
pub struct Namespace {
    name: String,
    kubectl: Kubectl,
}

impl Namespace {
    /// Creates a namespace in the shared control plane, usually named after the test.
    pub fn new(name: &str) -> Self {
        Self::within(ControlPlane::shared(), name)
    }

    /// Creates a namespace in that control plane.
    pub fn within(control_plane: &ControlPlane, name: &str) -> Self {
        let kubectl = control_plane.kubectl().within(name);
        kubectl.run(&format!("create namespace {name}"));
        Self { name: name.to_owned(), kubectl }
    }

    /// The name of the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Creates a claim of that class that is bound to a volume.
    pub fn add_claim(&self, name: &str, class: &str) {
        let (claim, volume) = (storage::claim(name, class), storage::volume(self.name(), name, class));
        self.kubectl.feed("create -f -", &format!("{claim}---\n{volume}"));
    }

    /// Creates volumes for claims that do not exist yet.
    pub fn add_volumes(&self, claims: &[&str], class: &str) {
        let volumes: Vec<_> = claims.iter().map(|claim| storage::volume(self.name(), claim, class)).collect();
        self.kubectl.feed("create -f -", &volumes.join("---\n"));
    }

    /// Deletes a claim, and removes its finalizer, which would block the deletion until its pods are gone.
    pub fn remove_claim(&self, name: &str) {
        self.kubectl.run(&format!("delete pvc/{name} --wait=false"));
        self.kubectl.run(&format!(r#"patch pvc/{name} -p {{"metadata":{{"finalizers":null}}}}"#));
    }

    /// Runs `kubectl apply`.
    pub fn apply(&self, manifest: &str) -> Output {
        self.kubectl.feed("apply -f -", manifest)
    }

    /// Gets an object by kind and name: `deployment/mysql`.
    pub fn get(&self, what: &str) -> Object {
        self.kubectl.object(&format!("get {what}"))
    }

    /// Lists the objects of a kind.
    pub fn list(&self, what: &str) -> Vec<Object> {
        self.kubectl.list(what)
    }

    /// Runs kubectl with the arguments in `line`, and panics if it fails.
    pub fn run(&self, line: &str) -> Output {
        self.kubectl.run(line)
    }

    /// Waits for `count` running pods that match `selector` (`-l app=mysql`; empty for all pods), and returns them.
    pub fn running_pods(&self, selector: &str, count: usize) -> Vec<Object> {
        let mut running = BTreeMap::new();
        self.kubectl.watch(&format!("pods {selector}"), |pod| {
            let name = pod.name().to_owned();
            let _ = if pod.runs() { running.insert(name, pod) } else { running.remove(&name) };
            (running.len() == count).then_some(())
        });
        running.into_values().collect()
    }

    /// Waits for one running pod that matches `selector`, and returns it.
    pub fn running_pod(&self, selector: &str) -> Object {
        self.running_pods(selector, 1).remove(0)
    }

    /// Returns the scheduler that bound a pod, as reported by its `Scheduled` event.
    pub fn bound_by(&self, pod: &Object) -> String {
        let name = pod.name();
        let scheduled = format!("events --field-selector=reason=Scheduled,involvedObject.name={name}");
        self.kubectl.watch(&scheduled, |event| Some(event.text("/reportingComponent").to_owned()))
    }
}
