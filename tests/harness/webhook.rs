//! colocate as the API server knows it: a `MutatingWebhookConfiguration` and the Service that it names.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use colocate::probe::Client;

use super::Object;
use super::kubectl::Kubectl;

/// The name of the one webhook, which is the prefix of its audit annotations.
pub(crate) const WEBHOOK: &str = "mutate.colocate.test";

/// The name of the one that validates.
pub(crate) const VALIDATING_WEBHOOK: &str = "validate.colocate.test";

/// The name of its Service, and so the first part of the name in its certificate.
pub(super) const SERVICE: &str = "colocate";

/// The name of the configuration, of either kind, whose Service is in the namespace `home`.
pub(crate) fn configuration(home: &str) -> String {
    format!("zz-colocate-{home}")
}

/// A registration. Nothing but the namespace is filtered by the API server: every call of a test reaches colocate.
pub(crate) struct Webhook<'a> {
    /// The namespace of the Service.
    pub(crate) home: &'a str,
    /// Whose objects are sent.
    pub(crate) namespaces: Namespaces<'a>,
    /// The port on this machine.
    pub(crate) port: u16,
    /// Certificate authorities, in PEM; without any, there is no such key.
    pub(crate) bundle: Option<&'a str>,
}

/// Whom the clients of a colocate trust.
pub(crate) enum Authority {
    /// Those in a file, which a registration is told.
    Told(PathBuf),
    /// Those that the live configuration carries, because colocate wrote them there.
    Live { kubectl: Kubectl, configuration: String },
}

/// Namespaces by their names.
#[derive(Clone, Copy)]
pub(crate) enum Namespaces<'a> {
    Only(&'a [&'a str]),
    AllBut(&'a [&'a str]),
}

impl Webhook<'_> {
    /// The manifest. A Service, although a URL would do: the API server speaks HTTP/1.1 to the one, as it does in
    /// production, and HTTP/2 to a URL on its own machine.
    pub(crate) fn manifest(&self) -> String {
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
    /// The manifest of its other half, which validates: what is in its namespaces, and of objects of no namespace those
    /// whose names begin with `prefix`.
    pub(super) fn validating_manifest(&self, prefix: &str) -> String {
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
    /// What a registration is told; `None` where it is none of its business.
    pub(super) fn told(&self) -> Option<String> {
        match self {
            Self::Told(file) => Some(fs::read_to_string(file).expect("it was issued")),
            Self::Live { .. } => None,
        }
    }

    /// Who trusts them as they are now, and asks at that port of this machine.
    pub(crate) fn client(&self, port: u16, timeout: Duration) -> Client {
        let pem = match self {
            Self::Told(_) => self.told().unwrap_or_default(),
            Self::Live { kubectl, configuration } => {
                let live = kubectl.object(&format!("get mutatingwebhookconfiguration/{configuration}"));
                bundles(&live).first().cloned().flatten().unwrap_or_default()
            }
        };
        let target = format!("https://localhost:{port}").parse().expect("it is a URL");
        Client::new(target, pem.as_bytes(), timeout).expect("there are certificates, and they are read")
    }
}

/// The bundle of each entry of a configuration, in PEM; `None` for one that has no such key.
pub(crate) fn bundles(configuration: &Object) -> Vec<Option<String>> {
    let entries = configuration.0["webhooks"].as_array().into_iter().flatten();
    let bundle = |entry: &serde_json::Value| {
        let pem = STANDARD.decode(entry["clientConfig"]["caBundle"].as_str()?).expect("the API server checked it");
        Some(String::from_utf8_lossy(&pem).into_owned())
    };
    entries.map(bundle).collect()
}
