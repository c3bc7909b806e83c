//! A `ServiceAccount` of a control plane, with its RBAC rights.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::PATIENCE;
use super::control_plane::ControlPlane;
use super::kubectl::Kubectl;

/// Verbs on a resource of an API group.
#[derive(Clone, Debug)]
pub struct Rule {
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    /// The names of the objects; empty for all objects.
    names: Vec<String>,
    /// Only in the namespace of the account.
    at_home: bool,
}

impl Rule {
    /// A rule about all objects in all namespaces.
    pub const fn new(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Self {
        Self { group, resource, verbs, names: Vec::new(), at_home: false }
    }

    /// Returns whether the rule is about that resource.
    pub fn is_on(&self, resource: &str) -> bool {
        self.resource == resource
    }

    /// Restricts the rule to the object of that name.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { names: vec![name.into()], ..self }
    }

    /// Restricts the rule to the namespace of the account.
    pub fn at_home(self) -> Self {
        Self { at_home: true, ..self }
    }
}

/// The rights that colocate needs to look up claims. Every test proves that they suffice.
pub const COLOCATE: &[Rule] = &[
    Rule::new("", "persistentvolumeclaims", &["get", "list", "watch"]),
    Rule::new("storage.k8s.io", "storageclasses", &["list", "watch"]),
    Rule::new("", "persistentvolumes", &["get"]),
    Rule::new("coordination.k8s.io", "leases", &["get"]),
    Rule::new("portworx.io", "volumeplacementstrategies", &["list"]),
];

/// A `ServiceAccount` with its own rights and a kubeconfig.
pub struct Account {
    kubectl: Kubectl,
    granted: Granted,
    kubeconfig: PathBuf,
}

/// Its `ClusterRole`, and the `Role` in its namespace.
struct Granted {
    /// The name of both.
    name: String,
    home: String,
}

impl Account {
    /// Creates an account in an existing namespace, and waits until it has these rights.
    pub fn new(control_plane: &ControlPlane, namespace: &str, name: &str, rules: &[Rule]) -> Self {
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
        // Longer than a session with the playground.
        let token = kubectl.run(&format!("create token {name} --namespace {namespace} --duration=48h")).stdout;
        let config = kubeconfig(&control_plane.url(), control_plane.authority(), namespace, token.trim());
        let folder = control_plane.dir().join("accounts");
        let kubeconfig = folder.join(format!("{}.kubeconfig", granted.name));
        fs::create_dir_all(folder).expect("the control plane's folder is ours");
        fs::write(&kubeconfig, config.to_string()).expect("the folder is there");
        Self { kubectl, granted, kubeconfig }
    }

    /// Replaces its rules.
    pub fn grant(&self, rules: &[Rule]) {
        self.kubectl.feed("replace -f -", &self.granted.manifest(rules));
    }

    /// The path of the kubeconfig with its token.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

/// A kubeconfig with a token, for the API server at `url`.
pub(crate) fn kubeconfig(url: &str, authority: &Path, namespace: &str, token: &str) -> Value {
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
        // An empty list would mean all objects, too, but is harder to read.
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        rule
    }

    /// The arguments with which kubectl checks one of these rights.
    fn question(&self, home: &str) -> String {
        let Self { group, resource, verbs, names, at_home } = self;
        let name = names.first().map(|name| format!("/{name}")).unwrap_or_default();
        let scope = if *at_home { format!("--namespace={home}") } else { "--all-namespaces".to_owned() };
        format!("auth can-i {} {resource}.{group}{name} {scope}", verbs.first().unwrap_or(&"get"))
    }
}

/// Waits for one right of each role: the API server learns about new rights late, but about all rights of a role at once.
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
