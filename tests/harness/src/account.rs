//! A `ServiceAccount` of a control plane, with its RBAC permissions.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::WAIT_TIMEOUT;
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
    /// Whether the rule applies only in the namespace of the account.
    in_own_namespace: bool,
}

impl Rule {
    /// A rule about all objects in all namespaces.
    pub const fn new(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Self {
        Self { group, resource, verbs, names: Vec::new(), in_own_namespace: false }
    }

    /// The resource.
    pub const fn resource(&self) -> &'static str {
        self.resource
    }

    /// The verbs that it grants.
    pub const fn verbs(&self) -> &'static [&'static str] {
        self.verbs
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
    pub fn in_own_namespace(self) -> Self {
        Self { in_own_namespace: true, ..self }
    }
}

/// The permissions that colocate needs to look up claims. Every test runs with exactly these.
pub const COLOCATE: &[Rule] = &[
    Rule::new("", "persistentvolumeclaims", &["get", "list", "watch"]),
    Rule::new("storage.k8s.io", "storageclasses", &["list", "watch"]),
    Rule::new("", "persistentvolumes", &["get"]),
    Rule::new("coordination.k8s.io", "leases", &["get"]),
    Rule::new("portworx.io", "volumeplacementstrategies", &["list"]),
];

/// A `ServiceAccount` with its own permissions and a kubeconfig.
pub struct Account {
    kubectl: Kubectl,
    granted: Granted,
    kubeconfig: PathBuf,
}

/// The `ClusterRole` of an account, and the `Role` in the namespace of the account.
struct Granted {
    /// The name of both roles.
    name: String,
    home: String,
}

impl Account {
    /// Creates an account in an existing namespace, and waits until it has these permissions.
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
        // A session with the playground is shorter than 48 hours.
        let token = kubectl.run(&format!("create token {name} --namespace {namespace} --duration=48h")).stdout;
        let config = kubeconfig(&control_plane.url(), control_plane.authority(), namespace, token.trim());
        let folder = control_plane.dir().join("accounts");
        let kubeconfig = folder.join(format!("{}.kubeconfig", granted.name));
        fs::create_dir_all(folder).expect("the control plane's folder is writable");
        fs::write(&kubeconfig, config.to_string()).expect("the folder exists");
        Self { kubectl, granted, kubeconfig }
    }

    /// Replaces the rules of the account.
    pub fn grant(&self, rules: &[Rule]) {
        self.kubectl.feed("replace -f -", &self.granted.manifest(rules));
    }

    /// The path of the kubeconfig with the token of the account.
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
        let role = |kind, in_own_namespace| {
            let rules = rules.iter().filter(|rule| rule.in_own_namespace == in_own_namespace).map(Rule::manifest);
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
        // An empty list would also mean all objects, but is harder to read.
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        rule
    }

    /// The kubectl arguments that check one of these permissions.
    fn question(&self, home: &str) -> String {
        let Self { group, resource, verbs, names, in_own_namespace } = self;
        let name = names.first().map(|name| format!("/{name}")).unwrap_or_default();
        let scope = if *in_own_namespace { format!("--namespace={home}") } else { "--all-namespaces".to_owned() };
        format!("auth can-i {} {resource}.{group}{name} {scope}", verbs.first().unwrap_or(&"get"))
    }
}

/// Waits for one permission of each role. The API server learns about a new role late, but about all of its permissions at once.
fn wait_for_rights(kubectl: &Kubectl, home: &str, name: &str, rules: &[Rule]) {
    for in_own_namespace in [false, true] {
        let Some(first) = rules.iter().find(|rule| rule.in_own_namespace == in_own_namespace) else { continue };
        let line = format!("{} --as=system:serviceaccount:{home}:{name}", first.question(home));
        let began = Instant::now();
        while !kubectl.attempt(&line, "").succeeded {
            assert!(began.elapsed() < WAIT_TIMEOUT, "{home}/{name} did not get its permissions in time");
        }
    }
}
