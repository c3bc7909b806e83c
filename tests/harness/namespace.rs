//! A namespace of a test's own.

use std::collections::BTreeMap;

use super::control_plane::ControlPlane;
use super::kubectl::{Kubectl, Output};
use super::{Object, storage};

/// A namespace in a control plane, as a rule the shared one. It goes when the control plane does: nothing else is in it, and nothing that
/// is left there costs another test anything.
pub(crate) struct Namespace {
    name: String,
    kubectl: Kubectl,
}

impl Namespace {
    /// Makes it. The name is that of one test.
    pub(crate) fn new(name: &str) -> Self {
        Self::within(ControlPlane::shared(), name)
    }

    /// The same in a control plane of the test's own.
    pub(crate) fn within(control_plane: &ControlPlane, name: &str) -> Self {
        let kubectl = control_plane.kubectl().within(name);
        kubectl.run(&format!("create namespace {name}"));
        Self { name: name.to_owned(), kubectl }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// kubectl in this namespace.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Makes a claim of that class, bound to a volume.
    pub(crate) fn add_claim(&self, name: &str, class: &str) {
        let (claim, volume) = (storage::claim(name, class), storage::volume(self.name(), name, class));
        self.kubectl.feed("create -f -", &format!("{claim}---\n{volume}"));
    }

    /// Makes volumes for claims that others will make.
    pub(crate) fn add_volumes(&self, claims: &[&str], class: &str) {
        let volumes: Vec<_> = claims.iter().map(|claim| storage::volume(self.name(), claim, class)).collect();
        self.kubectl.feed("create -f -", &volumes.join("---\n"));
    }

    /// Deletes a claim although pods use it, for which its finalizer would have it wait.
    pub(crate) fn remove_claim(&self, name: &str) {
        self.kubectl.run(&format!("delete pvc/{name} --wait=false"));
        self.kubectl.run(&format!(r#"patch pvc/{name} -p {{"metadata":{{"finalizers":null}}}}"#));
    }

    /// `kubectl apply`, as it comes.
    pub(crate) fn apply(&self, manifest: &str) -> Output {
        self.kubectl.feed("apply -f -", manifest)
    }

    /// An object by its kind and name: `deployment/mysql`.
    pub(crate) fn get(&self, what: &str) -> Object {
        self.kubectl.object(&format!("get {what}"))
    }

    /// The objects of a kind.
    pub(crate) fn list(&self, what: &str) -> Vec<Object> {
        self.kubectl.list(what)
    }

    /// Runs a line of kubectl, where only success will do.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.kubectl.run(line)
    }

    /// The pods that `selector` (as `-l app=mysql`, or nothing for all) finds, once there are `count` of them and all run.
    pub(crate) fn running_pods(&self, selector: &str, count: usize) -> Vec<Object> {
        let mut running = BTreeMap::new();
        self.kubectl.watch(&format!("pods {selector}"), |pod| {
            let name = pod.name().to_owned();
            let _ = if pod.runs() { running.insert(name, pod) } else { running.remove(&name) };
            (running.len() == count).then_some(())
        });
        running.into_values().collect()
    }

    /// The one pod that `selector` finds, once it runs.
    pub(crate) fn running_pod(&self, selector: &str) -> Object {
        self.running_pods(selector, 1).remove(0)
    }

    /// The scheduler that bound a pod, by the event that it left.
    pub(crate) fn bound_by(&self, pod: &Object) -> String {
        let name = pod.name();
        let scheduled = format!("events --field-selector=reason=Scheduled,involvedObject.name={name}");
        self.kubectl.watch(&scheduled, |event| Some(event.text("/reportingComponent").to_owned()))
    }
}
