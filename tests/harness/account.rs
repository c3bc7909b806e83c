//! A `ServiceAccount` of a control plane, and what it may do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::PATIENCE;
use super::control_plane::ControlPlane;
use super::kubectl::Kubectl;

/// Verbs on a resource of an API group.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    /// Of which objects; empty for all of them.
    names: Vec<String>,
    /// Only in the namespace of the account.
    at_home: bool,
}

impl Rule {
    /// On all objects, in all namespaces.
    pub(crate) const fn new(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Self {
        Self { group, resource, verbs, names: Vec::new(), at_home: false }
    }

    /// Whether it is about that resource.
    pub(crate) fn is_on(&self, resource: &str) -> bool {
        self.resource == resource
    }

    /// The same on the object of that name alone.
    pub(crate) fn named(self, name: impl Into<String>) -> Self {
        Self { names: vec![name.into()], ..self }
    }

    /// The same in the namespace of the account alone.
    pub(crate) fn at_home(self) -> Self {
        Self { at_home: true, ..self }
    }
}

/// All that colocate needs to know of claims, and nothing else, so that every test proves it.
pub(crate) const COLOCATE: &[Rule] = &[
    Rule::new("", "persistentvolumeclaims", &["get", "list", "watch"]),
    Rule::new("storage.k8s.io", "storageclasses", &["list", "watch"]),
    Rule::new("", "persistentvolumes", &["get"]),
    Rule::new("coordination.k8s.io", "leases", &["get"]),
    Rule::new("portworx.io", "volumeplacementstrategies", &["list"]),
];

/// A `ServiceAccount` with rights of its own, and the kubeconfig by which it is used.
pub(crate) struct Account {
    kubectl: Kubectl,
    granted: Granted,
    kubeconfig: PathBuf,
}

/// Its `ClusterRole`, and its `Role` at home.
struct Granted {
    /// Of both.
    name: String,
    home: String,
}

impl Account {
    /// Makes one in a namespace that exists, with these rights, and returns when it has them.
    pub(crate) fn new(control_plane: &ControlPlane, namespace: &str, name: &str, rules: &[Rule]) -> Self {
        let kubectl = control_plane.kubectl();
        let granted = Granted { name: format!("{namespace}-{name}"), home: namespace.to_owned() };
        let account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        });
        let bindings = granted.bindings(&json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
        kubectl.feed("create -f -", &format!("{account}{}{bindings}", granted.manifest(rules)));
        wait_for_rights(&kubectl, namespace, name, rules);
        // Longer than anybody plays with a playground.
        let token = kubectl.run(&format!("create token {name} --namespace {namespace} --duration=48h")).stdout;
        let config = kubeconfig(&control_plane.url(), control_plane.authority(), namespace, token.trim());
        let folder = control_plane.dir().join("accounts");
        let kubeconfig = folder.join(format!("{}.kubeconfig", granted.name));
        fs::create_dir_all(folder).expect("the control plane's folder is ours");
        fs::write(&kubeconfig, config.to_string()).expect("the folder is there");
        Self { kubectl, granted, kubeconfig }
    }

    /// Gives it these rules in place of those that it had.
    pub(crate) fn grant(&self, rules: &[Rule]) {
        self.kubectl.feed("replace -f -", &self.granted.manifest(rules));
    }

    /// The kubeconfig with its token.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

/// A kubeconfig with a token, for the API server at `url`.
pub(super) fn kubeconfig(url: &str, authority: &Path, namespace: &str, token: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "own",
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own", "namespace": namespace}}],
        "clusters": [{"name": "own", "cluster": {"server": url, "certificate-authority": authority}}],
        "users": [{"name": "own", "user": {"token": token}}],
    })
}

impl Granted {
    fn manifest(&self, rules: &[Rule]) -> String {
        let role = |kind, at_home| {
            let rules = rules.iter().filter(|rule| rule.at_home == at_home).map(Rule::manifest);
            let mut role = self.object(kind);
            role["rules"] = rules.collect();
            role
        };
        format!("{}{}", role("ClusterRole", false), role("Role", true))
    }

    fn bindings(&self, subject: &Value) -> String {
        let binding = |kind: &str| {
            let mut binding = self.object(&format!("{kind}Binding"));
            binding["roleRef"] = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": self.name});
            binding["subjects"] = json!([subject]);
            binding
        };
        format!("{}{}", binding("ClusterRole"), binding("Role"))
    }

    fn object(&self, kind: &str) -> Value {
        let mut object = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": self.name},
        });
        if !kind.starts_with("Cluster") {
            object["metadata"]["namespace"] = self.home.as_str().into();
        }
        object
    }
}

impl Rule {
    fn manifest(&self) -> Value {
        let mut rule = json!({"apiGroups": [self.group], "resources": [self.resource], "verbs": self.verbs});
        // With an empty list it would be all objects as well; but people read it.
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        rule
    }

    /// The words by which kubectl asks for one of these rights.
    fn question(&self, home: &str) -> String {
        let Self { group, resource, verbs, names, at_home } = self;
        let name = names.first().map(|name| format!("/{name}")).unwrap_or_default();
        let scope = if *at_home { format!("--namespace={home}") } else { "--all-namespaces".to_owned() };
        format!("auth can-i {} {resource}.{group}{name} {scope}", verbs.first().unwrap_or(&"get"))
    }
}

/// The API server hears of new rights some time after they are given: of each role at once.
fn wait_for_rights(kubectl: &Kubectl, home: &str, name: &str, rules: &[Rule]) {
    for at_home in [false, true] {
        let Some(first) = rules.iter().find(|rule| rule.at_home == at_home) else { continue };
        let line = format!("{} --as=system:serviceaccount:{home}:{name}", first.question(home));
        let began = Instant::now();
        while !kubectl.attempt(&line, "").succeeded {
            assert!(began.elapsed() < PATIENCE, "{home}/{name} never got its rights");
        }
    }
}
