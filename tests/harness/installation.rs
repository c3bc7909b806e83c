//! What the chart makes for a colocate that manages its own trust, made without the chart: an account with its rights, a
//! Secret without data, and a configuration file that names both.

use std::path::Path;

use serde_json::json;

use super::control_plane::ControlPlane;
use super::kubectl::Kubectl;
use super::launch::{Certificate, Launch};
use super::webhook::{Authority, Namespaces, Webhook, bundles, configuration};
use super::{Account, COLOCATE, Colocate, Namespace, Object, Rule};

/// The name of the Secret with the CA.
pub(crate) const SECRET: &str = "colocate-ca";

/// Everything but the processes, of which any number can be started, and the webhook configurations.
pub(crate) struct Installation<'a> {
    control_plane: &'a ControlPlane,
    /// The name of the namespace that all of it is in.
    home: String,
    kubectl: Kubectl,
    account: Account,
    /// The text of the configuration file.
    config: String,
}

impl<'a> Installation<'a> {
    /// Makes it, with a Secret without data. `tls` is what stands in that section of the configuration beside the names: lines
    /// without indentation.
    pub(crate) fn new(control_plane: &'a ControlPlane, namespace: &Namespace, tls: &str) -> Self {
        namespace.kubectl().feed("create -f -", &empty_secret());
        Self::without_secret(control_plane, namespace, tls, &rights(namespace.name()))
    }

    /// Makes an account with these rights and the configuration file, and nothing else.
    pub(crate) fn without_secret(
        control_plane: &'a ControlPlane,
        namespace: &Namespace,
        tls: &str,
        rights: &[Rule],
    ) -> Self {
        let home = namespace.name().to_owned();
        let account = Account::new(control_plane, &home, "colocate", rights);
        let (name, tls) = (configuration(&home), tls.lines().flat_map(|line| ["  ", line, "\n"]).collect::<String>());
        // The test asks it by the name of this machine.
        let config = format!(
            "tls:
  service: {{namespace: {home}}}
  webhooks: {{mutating: {name}, validating: {name}}}
  names: [localhost]
{tls}"
        );
        Self { control_plane, home, kubectl: namespace.kubectl().clone(), account, config }
    }

    /// The same with more sections in its configuration file.
    pub(crate) fn with(self, sections: &str) -> Self {
        Self { config: self.config + sections, ..self }
    }

    /// Starts a replica, and returns when it listens.
    pub(crate) fn start(&self, replica: &str) -> Colocate {
        self.launch(replica, Certificate::Managed).go()
    }

    /// One whose certificate is in the files of a folder, with its CA, from which it keeps the `caBundle`.
    pub(crate) fn start_with_files(&self, replica: &str, folder: &Path) -> Colocate {
        self.launch(replica, Certificate::Files(folder)).go()
    }

    /// How a replica is started.
    pub(crate) fn launch<'b>(&'b self, replica: &'b str, certificate: Certificate<'b>) -> Launch<'b> {
        Launch {
            control_plane: self.control_plane,
            account: &self.account,
            home: &self.home,
            replica,
            config: &self.config,
            log_level: "debug",
            certificate,
        }
    }

    /// The manifest of the Service and of the configuration by which the API server asks at that port of this machine,
    /// without a `caBundle`.
    pub(crate) fn webhook(&self, port: u16, namespaces: Namespaces<'_>) -> String {
        Webhook { home: &self.home, namespaces, port, bundle: None }.manifest()
    }

    /// The name of the configurations.
    pub(crate) fn configuration_name(&self) -> String {
        configuration(&self.home)
    }

    /// The live `MutatingWebhookConfiguration`.
    pub(crate) fn configuration(&self) -> Object {
        self.kubectl.object(&format!("get mutatingwebhookconfiguration/{}", self.configuration_name()))
    }

    /// The bundle of each of its entries, in PEM; `None` for one without the key.
    pub(crate) fn bundles(&self) -> Vec<Option<String>> {
        bundles(&self.configuration())
    }

    /// Returns when its entries have these bundles.
    pub(crate) fn wait_for_bundles(&self, wanted: &[Option<String>]) {
        let live = format!("mutatingwebhookconfiguration/{}", self.configuration_name());
        self.kubectl.watch(&live, |object| (bundles(&object) == wanted).then_some(()));
    }

    /// Whom those trust who ask it through the live configuration.
    pub(crate) fn authority(&self) -> Authority {
        Authority::Live { kubectl: self.kubectl.clone(), configuration: self.configuration_name() }
    }

    /// The live Secret.
    pub(crate) fn secret(&self) -> Object {
        self.kubectl.object(&format!("get secret/{SECRET}"))
    }

    /// Who it is to the API server.
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// The name of its namespace.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// kubectl in its namespace.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The control plane that it is in.
    pub(crate) fn control_plane(&self) -> &'a ControlPlane {
        self.control_plane
    }
}

/// The rights of the tables in docs, for one that is at home there.
pub(crate) fn rights(home: &str) -> Vec<Rule> {
    let configuration = configuration(home);
    let verbs = &["get", "watch", "patch"];
    let keep = |resource| Rule::new("admissionregistration.k8s.io", resource, verbs).named(&configuration);
    let trust = [
        Rule::new("", "secrets", &["get", "update"]).named(SECRET).at_home(),
        keep("mutatingwebhookconfigurations"),
        keep("validatingwebhookconfigurations"),
    ];
    [COLOCATE, &trust].concat()
}

/// As the chart makes it: not even the key `data`.
pub(crate) fn empty_secret() -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": SECRET}}).to_string()
}
