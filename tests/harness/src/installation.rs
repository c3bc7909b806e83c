//! An installation with a managed CA, made without the chart: an account with its permissions, an empty Secret, and a configuration
//! file that names both.

use std::path::Path;

use jiff::SignedDuration;
use serde_json::json;

use super::control_plane::ControlPlane;
use super::kubectl::Kubectl;
use super::launch::{Certificate, Launch};
use super::webhook::{Authority, Namespaces, Webhook, bundles, configuration};
use super::{Account, COLOCATE, Colocate, Namespace, Object, Rule};

/// The name of the Secret with the CA.
pub const SECRET: &str = "colocate-ca";

/// An installation without webhook configurations. Any number of processes can be started in it.
pub struct Installation<'a> {
    control_plane: &'a ControlPlane,
    /// The name of the namespace.
    home: String,
    kubectl: Kubectl,
    account: Account,
    /// The text of the configuration file.
    config: String,
}

impl<'a> Installation<'a> {
    /// Creates an installation. `tls` contains more lines, not indented, for that section of the configuration.
    pub fn new(control_plane: &'a ControlPlane, namespace: &Namespace, tls: &str) -> Self {
        namespace.kubectl().feed("create -f -", &empty_secret());
        Self::without_secret(control_plane, namespace, tls, &rights(namespace.name()))
    }

    /// Creates only the account, with these permissions, and the configuration file.
    pub fn without_secret(control_plane: &'a ControlPlane, namespace: &Namespace, tls: &str, rights: &[Rule]) -> Self {
        let home = namespace.name().to_owned();
        let account = Account::new(control_plane, &home, "colocate", rights);
        let (name, tls) = (configuration(&home), tls.lines().flat_map(|line| ["  ", line, "\n"]).collect::<String>());
        // Tests connect to `localhost`, so the certificate must include that name.
        let config = format!(
            "tls:
  service: {{namespace: {home}}}
  webhooks: {{mutating: {name}, validating: {name}}}
  names: [localhost]
{tls}"
        );
        Self { control_plane, home, kubectl: namespace.kubectl().clone(), account, config }
    }

    /// Adds sections to the configuration file.
    pub fn with(self, sections: &str) -> Self {
        Self { config: self.config + sections, ..self }
    }

    /// Starts a replica, and waits until it listens.
    pub fn start(&self, replica: &str) -> Colocate {
        self.launch(replica, Certificate::Managed).go()
    }

    /// Starts a replica that reads its certificate, and the CA for the `caBundle`, from a folder.
    pub fn start_with_files(&self, replica: &str, folder: &Path) -> Colocate {
        self.launch(replica, Certificate::Files(folder)).go()
    }

    /// Returns the parameters of a replica.
    pub fn launch<'b>(&'b self, replica: &'b str, certificate: Certificate<'b>) -> Launch<'b> {
        Launch {
            control_plane: self.control_plane,
            account: &self.account,
            home: &self.home,
            replica,
            config: &self.config,
            log_level: "debug",
            certificate,
            clock_ahead: SignedDuration::ZERO,
        }
    }

    /// Returns the manifest of the Service and of the webhook configuration that point the API server to that local port,
    /// without a `caBundle`.
    pub fn webhook(&self, port: u16, namespaces: Namespaces<'_>) -> String {
        Webhook { home: &self.home, namespaces, port, bundle: None }.manifest()
    }

    /// The name of both webhook configurations.
    pub fn configuration_name(&self) -> String {
        configuration(&self.home)
    }

    /// The live `MutatingWebhookConfiguration`.
    pub fn configuration(&self) -> Object {
        self.kubectl.object(&format!("get mutatingwebhookconfiguration/{}", self.configuration_name()))
    }

    /// Returns the `caBundle` of each entry, in PEM; `None` if the key is missing.
    pub fn bundles(&self) -> Vec<Option<String>> {
        bundles(&self.configuration())
    }

    /// Waits until the entries of the live configuration have these bundles.
    pub fn wait_for_bundles(&self, wanted: &[Option<String>]) {
        let live = format!("mutatingwebhookconfiguration/{}", self.configuration_name());
        self.kubectl.watch(&live, |object| (bundles(&object) == wanted).then_some(()));
    }

    /// The CA in the live configuration.
    pub fn authority(&self) -> Authority {
        Authority::Live { kubectl: self.kubectl.clone(), configuration: self.configuration_name() }
    }

    /// The live Secret.
    pub fn secret(&self) -> Object {
        self.kubectl.object(&format!("get secret/{SECRET}"))
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The name of the namespace.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// kubectl in the namespace of the installation.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The control plane.
    pub fn control_plane(&self) -> &'a ControlPlane {
        self.control_plane
    }
}

/// The permissions that the documentation lists, for an installation in that namespace.
pub fn rights(home: &str) -> Vec<Rule> {
    let configuration = configuration(home);
    let verbs = &["get", "watch", "patch"];
    let keep = |resource| Rule::new("admissionregistration.k8s.io", resource, verbs).named(&configuration);
    let trust = [
        Rule::new("", "secrets", &["get", "update"]).named(SECRET).in_own_namespace(),
        keep("mutatingwebhookconfigurations"),
        keep("validatingwebhookconfigurations"),
    ];
    [COLOCATE, &trust].concat()
}

/// The manifest of the Secret. Like the Secret in the chart, it has no key `data`.
pub fn empty_secret() -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": SECRET}}).to_string()
}
