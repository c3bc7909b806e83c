//! A real API server accepts all rendered objects, without unknown fields and without warnings.

use std::fs;

use colocate_harness::{CHART, ControlPlane, Helm, Namespace, fixture};

/// The way Helm applies objects.
const APPLY: &str = "apply --server-side --dry-run=server --validate=strict -f -";

#[test]
fn the_api_server_accepts_the_chart_without_warnings() {
    let control_plane = ControlPlane::shared();
    let everything = fs::read_to_string("tests/chart/everything.yaml").expect("the values file exists");
    let namespace = Namespace::new("strict");
    let helm = Helm::new(control_plane, &namespace);
    let kubectl = control_plane.kubectl();
    kubectl
        .feed("create -f -", &format!("{}---\n{}", fixture("crds/monitoring.yaml"), fixture("crds/certificates.yaml")));
    kubectl.run("wait --for=condition=Established crd --all --timeout=60s");
    // The chart's pods comply with the restricted Pod Security Standard.
    let levels = ["enforce", "warn"].map(|level| format!("pod-security.kubernetes.io/{level}=restricted"));
    kubectl.run(&format!("label namespace strict {}", levels.join(" ")));

    // A pod needs its service account to exist, and a dry run does not create one.
    kubectl.run("create serviceaccount strict-colocate-test --namespace strict");
    kubectl.run("create serviceaccount 123 --namespace strict");
    kubectl.run("create namespace 7");

    for (values, privileged) in [
        ("", false),
        ("webhook: {url: https://colocate.example.com:8443}\nreplicaCount: 0", false),
        (
            "config: {templates: leave, namespaces: [strict], validation: {mode: warn}}\nrestartOnConfigChange: true",
            false,
        ),
        (
            "tls: {source: cert-manager, certManager: {issuerRef: {name: ca, kind: ClusterIssuer}}}
config: {tls: {names: [a.example.com, 192.0.2.1]}}
serviceMonitor: {enabled: true, labels: {release: monitoring}, interval: 30s}
prometheusRule: {enabled: true, labels: {release: monitoring}}
dashboard: {enabled: true}
autoscaling: {enabled: true}
networkPolicy: {enabled: true, callers: [{namespaceSelector: {}}], scrapers: [{podSelector: {}}], apiServers: [{ipBlock: {cidr: 192.0.2.10/32}}]}",
            false,
        ),
        // All of these are valid names, and YAML reads most of them as another type.
        (
            "fullnameOverride: 'yes'\nwebhook: {name: '7'}\nserviceAccount: {create: false, name: '123'}
flowSchema: {priorityLevel: '1.0'}\npriorityClassName: '1e3'\nruntimeClassName: '0x7'
tls: {source: existingSecret, existingSecret: {name: '2024'}}
config: {namespaces: ['7'], optOut: {namespaceLabel: 'on'}, validation: {mode: warn}}
test: {serviceAccountName: '123'}",
            false,
        ),
        (&everything, true),
    ] {
        let rendered = helm.feed(&format!("template strict {CHART} --kube-version 1.37.0 --values -"), values);
        // The namespaces in which some of the values grant permissions.
        let rendered = rendered.replace("namespace: \"team-a\"\n", "namespace: strict\n");
        let output = kubectl.attempt(APPLY, &rendered);
        let warnings = output.stderr.lines().filter(|line| !(privileged && line.contains("PodSecurity")));
        let warnings: Vec<_> = warnings.collect();
        assert!(output.succeeded && warnings.is_empty(), "with the values\n{values}\n{warnings:#?}");
        let objects = rendered.lines().filter(|line| line.starts_with("kind: ")).count();
        assert_eq!(output.stdout.lines().count(), objects, "{}", output.stdout);
    }
}
