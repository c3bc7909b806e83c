//! A `ServiceAccount` of a control plane, and what it may do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::PATIENCE;
use super::control_plane::ControlPlane;
use super::kubectl::Kubectl;

/// A rule of a `ClusterRole`: an API group, a resource in it, and verbs.
pub(crate) type Rule = (&'static str, &'static str, &'static [&'static str]);

/// All that colocate needs, and nothing else, so that every test proves it.
pub(crate) const COLOCATE: &[Rule] = &[
    ("", "persistentvolumeclaims", &["get", "list", "watch"]),
    ("storage.k8s.io", "storageclasses", &["list", "watch"]),
    ("", "persistentvolumes", &["get"]),
    ("coordination.k8s.io", "leases", &["get"]),
];

/// A `ServiceAccount` with rights of its own, and the kubeconfig by which it is used.
pub(crate) struct Account {
    kubectl: Kubectl,
    /// Of its `ClusterRole`.
    role: String,
    kubeconfig: PathBuf,
}

impl Account {
    /// Makes one in a namespace that exists, with these rights in all namespaces, and returns when it has them.
    pub(crate) fn new(control_plane: &ControlPlane, namespace: &str, name: &str, rules: &[Rule]) -> Self {
        let kubectl = control_plane.kubectl();
        let role = format!("{namespace}-{name}");
        let account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        });
        kubectl.feed("create -f -", &format!("{account}{}{binding}", cluster_role(&role, rules)));
        wait_for_rights(&kubectl, &format!("system:serviceaccount:{namespace}:{name}"), rules);
        // Longer than anybody plays with a playground.
        let token = kubectl.run(&format!("create token {name} --namespace {namespace} --duration=48h")).stdout;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "own",
            "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own", "namespace": namespace}}],
            "clusters": [{
                "name": "own",
                "cluster": {"server": control_plane.url(), "certificate-authority": control_plane.authority()},
            }],
            "users": [{"name": "own", "user": {"token": token.trim()}}],
        });
        let folder = control_plane.dir().join("accounts");
        let kubeconfig = folder.join(format!("{role}.kubeconfig"));
        fs::create_dir_all(folder).expect("the control plane's folder is ours");
        fs::write(&kubeconfig, config.to_string()).expect("the folder is there");
        Self { kubectl, role, kubeconfig }
    }

    /// Gives it these rules in place of those that it had.
    pub(crate) fn grant(&self, rules: &[Rule]) {
        self.kubectl.feed("replace -f -", &cluster_role(&self.role, rules).to_string());
    }

    /// The kubeconfig with its token.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

fn cluster_role(name: &str, rules: &[Rule]) -> Value {
    let rules = rules
        .iter()
        .map(|(group, resource, verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs}));
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules.collect::<Vec<_>>(),
    })
}

/// The API server hears of new rights some time after they are given.
fn wait_for_rights(kubectl: &Kubectl, user: &str, rules: &[Rule]) {
    let Some((group, resource, [verb, ..])) = rules.first() else { return };
    let (line, began) = (format!("auth can-i {verb} {resource}.{group} --all-namespaces --as={user}"), Instant::now());
    while !kubectl.attempt(&line, "").succeeded {
        assert!(began.elapsed() < PATIENCE, "{user} never got its rights");
    }
}
