//! The webhook configurations of a colocate, and the Service that they name.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ::colocate::probe::Client;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Object;
use super::kubectl::Kubectl;

/// The name of the mutating webhook, which prefixes its audit annotations.
pub const WEBHOOK: &str = "mutate.colocate.test";

/// The name of the validating webhook.
pub const VALIDATING_WEBHOOK: &str = "validate.colocate.test";

/// The name of the Service, which is the first label of the name in the certificate.
pub(crate) const SERVICE: &str = "colocate";

/// Returns the name of both webhook configurations of the Service in the namespace `home`.
pub(crate) fn configuration(home: &str) -> String {
    format!("zz-colocate-{home}")
}

/// A registration that filters by namespace only, so that every request of a test reaches colocate.
pub struct Webhook<'a> {
    /// The namespace of the Service.
    pub home: &'a str,
    /// The namespaces whose objects the API server sends.
    pub namespaces: Namespaces<'a>,
    /// The local port.
    pub port: u16,
    /// The `caBundle` in PEM. `None` omits the key.
    pub bundle: Option<&'a str>,
}

/// The source of the CA that the clients of a colocate trust.
pub enum Authority {
    /// A PEM file, which the registration contains.
    File(PathBuf),
    /// The live webhook configuration, whose `caBundle` colocate maintains.
    Live {
        /// kubectl as the administrator.
        kubectl: Kubectl,
        /// The name of the webhook configuration.
        configuration: String,
    },
}

/// A selection of namespaces by name.
#[derive(Clone, Copy)]
pub enum Namespaces<'a> {
    /// These namespaces.
    Only(&'a [&'a str]),
    /// All but these namespaces.
    AllBut(&'a [&'a str]),
}

impl Webhook<'_> {
    /// Returns the manifest of the mutating webhook. It uses a Service, to which the API server speaks HTTP/1.1, as in
    /// production; to a URL with a local address it would speak HTTP/2.
    pub fn manifest(&self) -> String {
        let Self { home, port, .. } = self;
        let name = configuration(home);
        let bundle = self.bundle.map(|pem| format!("\n    caBundle: {}", STANDARD.encode(pem))).unwrap_or_default();
        let (operator, names) = match self.namespaces {
            Namespaces::Only(names) => ("In", names.join(", ")),
            Namespaces::AllBut(names) => ("NotIn", names.join(", ")),
        };
        format!(
            "apiVersion: v1
kind: Service
metadata: {{name: {SERVICE}, namespace: {home}}}
spec: {{type: ExternalName, externalName: localhost}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {{name: {name}}}
webhooks:
- name: {WEBHOOK}
  clientConfig:
    service: {{namespace: {home}, name: {SERVICE}, path: /mutate, port: {port}}}{bundle}
  namespaceSelector:
    matchExpressions:
    - {{key: kubernetes.io/metadata.name, operator: {operator}, values: [{names}]}}
  rules:
  - apiGroups: ['']
    apiVersions: [v1]
    resources: [pods, replicationcontrollers, podtemplates]
    operations: [CREATE, UPDATE]
  - apiGroups: [apps]
    apiVersions: [v1]
    resources: [deployments, replicasets, statefulsets, daemonsets]
    operations: [CREATE, UPDATE]
  - apiGroups: [batch]
    apiVersions: [v1]
    resources: [jobs, cronjobs]
    operations: [CREATE, UPDATE]
  - apiGroups: [argoproj.io]
    apiVersions: [v1alpha1]
    resources: [rollouts]
    operations: [CREATE, UPDATE]
  failurePolicy: Fail
  timeoutSeconds: 5
  reinvocationPolicy: IfNeeded
  sideEffects: None
  admissionReviewVersions: [v1]
"
        )
    }
}

impl Webhook<'_> {
    /// Returns the manifest of the validating webhook, for objects in the namespace `prefix` and for cluster-wide objects whose
    /// names start with `prefix`.
    pub(crate) fn validating_manifest(&self, prefix: &str) -> String {
        let Self { home, port, .. } = self;
        let name = configuration(home);
        let bundle = self.bundle.map(|pem| format!("\n    caBundle: {}", STANDARD.encode(pem))).unwrap_or_default();
        format!(
            "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: {name}}}
webhooks:
- name: {VALIDATING_WEBHOOK}
  clientConfig:
    service: {{namespace: {home}, name: {SERVICE}, path: /validate, port: {port}}}{bundle}
  matchConditions:
  - name: of-this-test
    expression: (has(request.namespace) && request.namespace == '{prefix}') || (has(request.name) && request.name.startsWith('{prefix}'))
  rules:
  - apiGroups: ['']
    apiVersions: [v1]
    resources: [pods, replicationcontrollers, podtemplates, persistentvolumeclaims, namespaces]
    operations: [CREATE, UPDATE]
  - apiGroups: [apps]
    apiVersions: [v1]
    resources: [deployments, replicasets, statefulsets, daemonsets]
    operations: [CREATE, UPDATE]
  - apiGroups: [batch]
    apiVersions: [v1]
    resources: [jobs, cronjobs]
    operations: [CREATE, UPDATE]
  - apiGroups: [storage.k8s.io]
    apiVersions: [v1]
    resources: [storageclasses]
    operations: [CREATE, UPDATE]
  failurePolicy: Fail
  timeoutSeconds: 5
  sideEffects: None
  admissionReviewVersions: [v1]
"
        )
    }
}

impl Authority {
    /// Returns the `caBundle` for a registration; `None` if colocate maintains it.
    pub(crate) fn bundle(&self) -> Option<String> {
        match self {
            Self::File(file) => Some(fs::read_to_string(file).expect("the CA file was written")),
            Self::Live { .. } => None,
        }
    }

    /// Creates a client that trusts the current CA and calls that local port.
    pub fn client(&self, port: u16, timeout: Duration) -> Client {
        let pem = match self {
            Self::File(_) => self.bundle().unwrap_or_default(),
            Self::Live { kubectl, configuration } => {
                let live = kubectl.object(&format!("get mutatingwebhookconfiguration/{configuration}"));
                bundles(&live).first().cloned().flatten().unwrap_or_default()
            }
        };
        let target = format!("https://localhost:{port}").parse().expect("the URL is valid");
        Client::new(target, pem.as_bytes(), timeout).expect("the CA is valid")
    }
}

/// Returns the `caBundle` of each entry of a webhook configuration, in PEM; `None` if the key is missing.
pub fn bundles(configuration: &Object) -> Vec<Option<String>> {
    let entries = configuration.0["webhooks"].as_array().into_iter().flatten();
    let bundle = |entry: &serde_json::Value| {
        let pem =
            STANDARD.decode(entry["clientConfig"]["caBundle"].as_str()?).expect("the API server validated the base64");
        Some(String::from_utf8_lossy(&pem).into_owned())
    };
    entries.map(bundle).collect()
}
