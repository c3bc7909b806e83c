//! colocate as the API server knows it: a `MutatingWebhookConfiguration` and the Service that it names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The name of the one webhook, which is the prefix of its audit annotations.
pub(crate) const WEBHOOK: &str = "mutate.colocate.test";

/// The name of its Service, and so the first part of the name in its certificate.
pub(super) const SERVICE: &str = "colocate";

/// A registration. Nothing but the namespace is filtered by the API server: every call of a test reaches colocate.
pub(super) struct Webhook<'a> {
    /// The namespace of the Service.
    pub(super) home: &'a str,
    /// Whose objects are sent.
    pub(super) namespaces: Namespaces<'a>,
    /// The port on this machine.
    pub(super) port: u16,
    /// The certificate authority, in PEM.
    pub(super) authority: &'a str,
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
    pub(super) fn manifest(&self) -> String {
        let Self { home, port, .. } = self;
        let bundle = STANDARD.encode(self.authority);
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
metadata: {{name: zz-colocate-{home}}}
webhooks:
- name: {WEBHOOK}
  clientConfig:
    service: {{namespace: {home}, name: {SERVICE}, path: /mutate, port: {port}}}
    caBundle: {bundle}
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
