//! Every value has an effect.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::chart::{DEFAULTS, Rendered, file, render, yaml};
use crate::documents::leaves_of;
use crate::values::Documented;

/// A difference from the chart's default output.
enum Effect {
    /// The value at a JSON pointer in an object is this one.
    Is(&'static str, &'static str, Value),
    /// The array at a JSON pointer in an object contains this item.
    Has(&'static str, &'static str, Value),
    /// There is a value at a JSON pointer in an object.
    Present(&'static str, &'static str),
    /// The object exists.
    Made(&'static str),
    /// The object does not exist.
    Gone(&'static str),
}

impl Effect {
    fn is_seen_in(&self, rendered: &Rendered) -> bool {
        match self {
            Self::Is(object, pointer, value) => rendered.at(object, pointer) == value,
            Self::Has(object, pointer, item) => {
                rendered.at(object, pointer).as_array().is_some_and(|array| array.contains(item))
            }
            Self::Present(object, pointer) => !rendered.at(object, pointer).is_null(),
            Self::Made(object) => rendered.find(object).is_some(),
            Self::Gone(object) => rendered.find(object).is_none(),
        }
    }
}

const DEPLOYMENT: &str = "Deployment/colocate";
const SERVICE: &str = "Service/colocate";
const MUTATING: &str = "MutatingWebhookConfiguration/zz-colocate";

/// Returns values and the effect of each, by subject.
fn effects() -> Vec<(&'static str, Effect)> {
    [
        image_and_name_effects(),
        webhook_effects(),
        tls_effects(),
        service_effects(),
        account_effects(),
        deployment_effects(),
        pod_effects(),
        extra_effects(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn image_and_name_effects() -> Vec<(&'static str, Effect)> {
    use Effect::{Has, Is, Made};
    let image = |text: &str| Is(DEPLOYMENT, "/spec/template/spec/containers/0/image", json!(text));
    let version = env!("CARGO_PKG_VERSION");
    vec![
        ("replicaCount: 3", Is(DEPLOYMENT, "/spec/replicas", json!(3))),
        ("image: {registry: r.test/team}", image(&format!("r.test/team/colocate:{version}"))),
        (
            "image: {registry: r.test/team}",
            Is("Pod/colocate-test", "/spec/containers/0/image", json!(format!("r.test/team/colocate:{version}"))),
        ),
        ("image: {repository: other}", image(&format!("other:{version}"))),
        ("image: {tag: edge}", image("colocate:edge")),
        (
            "image: {tag: edge, digest: 'sha256:0123456789012345678901234567890123456789012345678901234567890123'}",
            image("colocate@sha256:0123456789012345678901234567890123456789012345678901234567890123"),
        ),
        (
            "image: {pullPolicy: Always}",
            Is(DEPLOYMENT, "/spec/template/spec/containers/0/imagePullPolicy", json!("Always")),
        ),
        (
            "imagePullSecrets: [{name: r}]",
            Has(DEPLOYMENT, "/spec/template/spec/imagePullSecrets", json!({"name": "r"})),
        ),
        ("imagePullSecrets: [{name: r}]", Has("Pod/colocate-test", "/spec/imagePullSecrets", json!({"name": "r"}))),
        ("nameOverride: webhook", Made("Deployment/colocate-webhook")),
        ("fullnameOverride: other", Made("Deployment/other")),
        ("commonLabels: {a: b}", Is(SERVICE, "/metadata/labels/a", json!("b"))),
        ("commonLabels: {a: b}", Is(DEPLOYMENT, "/spec/template/metadata/labels/a", json!("b"))),
        ("commonAnnotations: {a: b}", Is(SERVICE, "/metadata/annotations/a", json!("b"))),
        (
            "config: {drain: {timeout: 1m}}",
            Is(DEPLOYMENT, "/spec/template/spec/terminationGracePeriodSeconds", json!(65)),
        ),
        (
            "config: {events: {enabled: true}}",
            Has(
                "ClusterRole/colocate",
                "/rules",
                json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}),
            ),
        ),
    ]
}

fn webhook_effects() -> Vec<(&'static str, Effect)> {
    use Effect::{Has, Is, Made};
    let expressions = "/webhooks/0/namespaceSelector/matchExpressions";
    let by_name = |operator: &str, names: Value| json!({"key": "kubernetes.io/metadata.name", "operator": operator, "values": names});
    vec![
        ("webhook: {name: other}", Made("MutatingWebhookConfiguration/other")),
        ("webhook: {failurePolicy: Fail}", Is(MUTATING, "/webhooks/0/failurePolicy", json!("Fail"))),
        ("webhook: {timeoutSeconds: 3}", Is(MUTATING, "/webhooks/0/timeoutSeconds", json!(3))),
        (
            "webhook: {url: 'https://a.test'}",
            Is(MUTATING, "/webhooks/0/clientConfig", json!({"url": "https://a.test/mutate"})),
        ),
        ("webhook: {annotations: {a: b}}", Is(MUTATING, "/metadata/annotations/a", json!("b"))),
        (
            "webhook: {annotations: {admissions.enforcer/disabled: null}}",
            Is(MUTATING, "/metadata/annotations", Value::Null),
        ),
        (
            "webhook: {namespaces: {exclude: [a]}}",
            Has(MUTATING, expressions, by_name("NotIn", json!(["kube-system", "kube-node-lease", "home", "a"]))),
        ),
        ("webhook: {namespaces: {include: [a]}}", Has(MUTATING, expressions, by_name("In", json!(["a"])))),
        (
            "webhook: {namespaces: {matchExpressions: [{key: a, operator: Exists}]}}",
            Has(MUTATING, expressions, json!({"key": "a", "operator": "Exists"})),
        ),
        (
            "webhook: {objectSelector: {matchLabels: {a: b}}}",
            Is(MUTATING, "/webhooks/0/objectSelector/matchLabels", json!({"a": "b"})),
        ),
        (
            "webhook: {objectSelector: {matchExpressions: [{key: a, operator: Exists}]}}",
            Has(MUTATING, "/webhooks/0/objectSelector/matchExpressions", json!({"key": "a", "operator": "Exists"})),
        ),
    ]
}

fn tls_effects() -> Vec<(&'static str, Effect)> {
    use Effect::{Gone, Has, Is, Made};
    let issued = "tls: {source: cert-manager, certManager: {issuerRef: {name: ca}, duration: 24h}}";
    vec![
        (issued, Made("Certificate/colocate")),
        (issued, Gone("Secret/colocate-ca")),
        (issued, Is("Certificate/colocate", "/spec/issuerRef/name", json!("ca"))),
        (issued, Is("Certificate/colocate", "/spec/duration", json!("24h"))),
        (
            "tls: {source: existingSecret, existingSecret: {name: own, caKey: a.crt}}",
            Has(DEPLOYMENT, "/spec/template/spec/containers/0/args", json!("--tls-ca=/etc/colocate-tls/a.crt")),
        ),
        (
            "tls: {source: existingSecret, existingSecret: {name: own}}",
            Has(DEPLOYMENT, "/spec/template/spec/volumes", json!({"name": "tls", "secret": {"secretName": "own"}})),
        ),
    ]
}

fn service_effects() -> Vec<(&'static str, Effect)> {
    use Effect::{Has, Is};
    let arguments = "/spec/template/spec/containers/0/args";
    let ports = "/spec/template/spec/containers/0/ports";
    vec![
        ("service: {port: 8443}", Is(SERVICE, "/spec/ports/0/port", json!(8443))),
        ("service: {port: 8443}", Is(MUTATING, "/webhooks/0/clientConfig/service/port", json!(8443))),
        ("service: {ipFamilyPolicy: RequireDualStack}", Is(SERVICE, "/spec/ipFamilyPolicy", json!("RequireDualStack"))),
        ("service: {ipFamilies: [IPv6]}", Is(SERVICE, "/spec/ipFamilies", json!(["IPv6"]))),
        ("service: {annotations: {a: b}}", Is(SERVICE, "/metadata/annotations/a", json!("b"))),
        ("hostNetwork: {enabled: true}", Is(DEPLOYMENT, "/spec/template/spec/hostNetwork", json!(true))),
        ("hostNetwork: {enabled: true, port: 1}", Has(DEPLOYMENT, arguments, json!("--listen=0.0.0.0:1"))),
        ("hostNetwork: {enabled: true, port: 1}", Has(DEPLOYMENT, ports, json!({"name": "https", "containerPort": 1}))),
        ("hostNetwork: {enabled: true, adminPort: 2}", Has(DEPLOYMENT, arguments, json!("--admin=0.0.0.0:2"))),
        (
            "hostNetwork: {enabled: true, adminPort: 2}",
            Has(DEPLOYMENT, ports, json!({"name": "admin", "containerPort": 2})),
        ),
        (
            "hostNetwork: {enabled: true, dnsPolicy: Default}",
            Is(DEPLOYMENT, "/spec/template/spec/dnsPolicy", json!("Default")),
        ),
        ("log: {format: text}", Has(DEPLOYMENT, arguments, json!("--log-format=text"))),
        ("log: {level: debug}", Has(DEPLOYMENT, arguments, json!("--log-level=debug"))),
    ]
}

fn account_effects() -> Vec<(&'static str, Effect)> {
    use Effect::{Gone, Is, Made};
    let flow = "FlowSchema/colocate";
    vec![
        ("serviceAccount: {create: false, name: own}", Gone("ServiceAccount/colocate")),
        ("serviceAccount: {name: own}", Made("ServiceAccount/own")),
        ("serviceAccount: {annotations: {a: b}}", Is("ServiceAccount/colocate", "/metadata/annotations/a", json!("b"))),
        ("rbac: {create: false}", Gone("ClusterRole/colocate")),
        ("rbac: {create: false}", Gone("Role/colocate-ca")),
        ("rbac: {create: false}", Gone("default:Role/colocate-test")),
        ("rbac: {reader: {create: true}}", Made("ClusterRole/colocate-reader")),
        (
            "rbac: {reader: {create: true, aggregateToView: true}}",
            Is(
                "ClusterRole/colocate-reader",
                "/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-view",
                json!("true"),
            ),
        ),
        ("flowSchema: {enabled: false}", Gone(flow)),
        ("flowSchema: {priorityLevel: own}", Is(flow, "/spec/priorityLevelConfiguration/name", json!("own"))),
        ("flowSchema: {matchingPrecedence: 7}", Is(flow, "/spec/matchingPrecedence", json!(7))),
    ]
}

fn deployment_effects() -> Vec<(&'static str, Effect)> {
    use Effect::{Gone, Is, Made, Present};
    let (budget, scaler) = ("PodDisruptionBudget/colocate", "HorizontalPodAutoscaler/colocate");
    vec![
        ("podDisruptionBudget: {enabled: false}", Gone(budget)),
        ("podDisruptionBudget: {maxUnavailable: 50%}", Is(budget, "/spec/maxUnavailable", json!("50%"))),
        ("autoscaling: {enabled: true}", Made(scaler)),
        ("autoscaling: {enabled: true}", Is(DEPLOYMENT, "/spec/replicas", Value::Null)),
        ("autoscaling: {enabled: true, minReplicas: 3}", Is(scaler, "/spec/minReplicas", json!(3))),
        ("autoscaling: {enabled: true, maxReplicas: 3}", Is(scaler, "/spec/maxReplicas", json!(3))),
        (
            "autoscaling: {enabled: true, targetCPUUtilizationPercentage: 50}",
            Is(scaler, "/spec/metrics/0/resource/target/averageUtilization", json!(50)),
        ),
        (
            "strategy: {rollingUpdate: {maxUnavailable: 1}}",
            Is(DEPLOYMENT, "/spec/strategy/rollingUpdate/maxUnavailable", json!(1)),
        ),
        ("strategy: {type: Recreate}", Is(DEPLOYMENT, "/spec/strategy", json!({"type": "Recreate"}))),
        ("revisionHistoryLimit: 1", Is(DEPLOYMENT, "/spec/revisionHistoryLimit", json!(1))),
        ("restartOnConfigChange: true", Present(DEPLOYMENT, "/spec/template/metadata/annotations/checksum~1config")),
    ]
}

fn pod_effects() -> Vec<(&'static str, Effect)> {
    use Effect::{Has, Is};
    let pod = |pointer: &'static str, value| Is(DEPLOYMENT, pointer, value);
    vec![
        (
            "resources: {limits: {memory: 1Gi}}",
            pod("/spec/template/spec/containers/0/resources/limits/memory", json!("1Gi")),
        ),
        ("topologySpreadConstraints: []", pod("/spec/template/spec/topologySpreadConstraints", Value::Null)),
        ("priorityClassName: p", pod("/spec/template/spec/priorityClassName", json!("p"))),
        ("runtimeClassName: r", pod("/spec/template/spec/runtimeClassName", json!("r"))),
        ("nodeSelector: {a: b}", pod("/spec/template/spec/nodeSelector/a", json!("b"))),
        ("nodeSelector: {a: b}", Is("Pod/colocate-test", "/spec/nodeSelector/a", json!("b"))),
        ("nodeSelector: {kubernetes.io/os: null}", pod("/spec/template/spec/nodeSelector", Value::Null)),
        ("tolerations: [{key: a}]", Has(DEPLOYMENT, "/spec/template/spec/tolerations", json!({"key": "a"}))),
        ("tolerations: [{key: a}]", Has("Pod/colocate-test", "/spec/tolerations", json!({"key": "a"}))),
        ("affinity: {nodeAffinity: {a: b}}", pod("/spec/template/spec/affinity/nodeAffinity/a", json!("b"))),
        ("podLabels: {a: b}", pod("/spec/template/metadata/labels/a", json!("b"))),
        ("podAnnotations: {a: b}", pod("/spec/template/metadata/annotations/a", json!("b"))),
        ("podSecurityContext: {runAsUser: 7}", pod("/spec/template/spec/securityContext/runAsUser", json!(7))),
        (
            "securityContext: {runAsUser: 7}",
            pod("/spec/template/spec/containers/0/securityContext/runAsUser", json!(7)),
        ),
    ]
}

fn extra_effects() -> Vec<(&'static str, Effect)> {
    use Effect::{Gone, Has, Is, Made};
    let policy = "NetworkPolicy/colocate";
    let peer = json!([{"podSelector": {}}]);
    vec![
        (
            "extraEnv: [{name: A, value: b}]",
            Has(DEPLOYMENT, "/spec/template/spec/containers/0/env", json!({"name": "A", "value": "b"})),
        ),
        ("extraArgs: [--a]", Has(DEPLOYMENT, "/spec/template/spec/containers/0/args", json!("--a"))),
        ("extraVolumes: [{name: a}]", Has(DEPLOYMENT, "/spec/template/spec/volumes", json!({"name": "a"}))),
        (
            "extraVolumeMounts: [{name: a}]",
            Has(DEPLOYMENT, "/spec/template/spec/containers/0/volumeMounts", json!({"name": "a"})),
        ),
        ("extraObjects: [{kind: A, metadata: {name: '{{ .Release.Namespace }}'}}]", Made("A/home")),
        ("extraObjects: ['{kind: A, metadata: {name: {{ .Release.Name }}}}']", Made("A/colocate")),
        ("networkPolicy: {enabled: true}", Made(policy)),
        (
            "networkPolicy: {enabled: true, callers: [{podSelector: {}}]}",
            Is(policy, "/spec/ingress/0/from", peer.clone()),
        ),
        ("networkPolicy: {enabled: true, scrapers: [{podSelector: {}}]}", Is(policy, "/spec/ingress/1/from", peer)),
        (
            "networkPolicy: {enabled: true, apiServers: [{podSelector: {}}]}",
            Is(policy, "/spec/egress/0/to", json!([{"podSelector": {}}])),
        ),
        (
            "networkPolicy: {enabled: true, apiServerPorts: [7]}",
            Is(policy, "/spec/egress", json!([{"ports": [{"port": 7}]}])),
        ),
        ("serviceMonitor: {enabled: true}", Made("ServiceMonitor/colocate")),
        (
            "serviceMonitor: {enabled: true, labels: {a: b}}",
            Is("ServiceMonitor/colocate", "/metadata/labels/a", json!("b")),
        ),
        (
            "serviceMonitor: {enabled: true, interval: 1m}",
            Is("ServiceMonitor/colocate", "/spec/endpoints/0/interval", json!("1m")),
        ),
        ("prometheusRule: {enabled: true}", Made("PrometheusRule/colocate")),
        (
            "prometheusRule: {enabled: true, labels: {a: b}}",
            Is("PrometheusRule/colocate", "/metadata/labels/a", json!("b")),
        ),
        (
            "prometheusRule: {enabled: true, runbookUrlPrefix: 'https://a.test/'}",
            Is(
                "PrometheusRule/colocate",
                "/spec/groups/0/rules/0/annotations/runbook_url",
                json!("https://a.test/colocateabsent"),
            ),
        ),
        ("dashboard: {enabled: true}", Made("ConfigMap/colocate-dashboard")),
        (
            "dashboard: {enabled: true, labels: {a: b}}",
            Is("ConfigMap/colocate-dashboard", "/metadata/labels/a", json!("b")),
        ),
        (
            "dashboard: {enabled: true, annotations: {a: b}}",
            Is("ConfigMap/colocate-dashboard", "/metadata/annotations/a", json!("b")),
        ),
        ("test: {namespace: a}", Made("a:Role/colocate-test")),
        ("test: {serviceAccountName: a}", Is("Pod/colocate-test", "/spec/serviceAccountName", json!("a"))),
        ("test: {serviceAccountName: a}", Gone("ServiceAccount/colocate-test")),
    ]
}

#[test]
fn every_value_has_its_effect_only_when_set() {
    let mut rendered = HashMap::new();
    for (values, effect) in effects() {
        assert!(effect.is_seen_in(rendered.entry(values).or_insert_with(|| render(values))), "{values}");
        assert!(!effect.is_seen_in(&DEFAULTS), "the default values have the same effect: {values}");
    }
}

#[test]
fn every_value_has_a_tested_effect() {
    let mut set = Vec::new();
    for (values, _) in effects() {
        leaves_of(&yaml(values), "", &mut set);
    }
    for Documented { path, .. } in Documented::read(&file("values.yaml")) {
        let is_set = set.iter().any(|leaf| *leaf == path || leaf.starts_with(&format!("{path}.")));
        assert!(is_set, "{path}: no test covers its effect");
    }
}
