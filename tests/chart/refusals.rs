//! Contradictory values are rejected with a message that names the fix.

use crate::chart::{refused, render};

#[test]
fn incomplete_values_are_rejected() {
    for (values, message) in [
        ("tls: {source: cert-manager}", "tls.certManager.issuerRef.name is empty: set it"),
        (
            "tls: {certManager: {issuerRef: {name: ca}}}",
            "tls.certManager.issuerRef.name is set, but tls.source is self",
        ),
        (
            "tls: {source: existingSecret, existingSecret: {name: own}, certManager: {issuerRef: {name: ca}}}",
            "but tls.source is existingSecret",
        ),
        ("tls: {source: existingSecret}", "tls.existingSecret.name is empty: set it"),
        ("tls: {existingSecret: {name: own}}", "tls.existingSecret.name is set, but tls.source is self"),
        ("serviceAccount: {create: false}", "serviceAccount.name is empty: set it"),
    ] {
        assert_refused(values, message);
    }
}

#[test]
fn names_that_differ_from_those_of_the_chart_are_rejected() {
    for (written, message) in [
        ("{secret: {name: a}}", "config.tls.secret.name is a, but the chart uses colocate-ca"),
        ("{secret: {namespace: a}}", "config.tls.secret.namespace is a, but the chart uses home"),
        ("{secret: {create: true}}", "the chart creates the Secret, without data: remove it"),
        ("{service: {name: a}}", "config.tls.service.name is a, but the chart uses colocate"),
        ("{service: {namespace: a}}", "config.tls.service.namespace is a, but the chart uses home"),
        ("{webhooks: {mutating: a}}", "config.tls.webhooks.mutating is a, but the chart uses zz-colocate"),
        ("{webhooks: {validating: a}}", "config.tls.webhooks.validating is a, but the chart uses zz-colocate"),
    ] {
        assert_refused(&format!("config: {{tls: {written}}}"), message);
    }
}

#[test]
fn contradictory_namespaces_are_rejected() {
    let own = "webhook.namespaces.include has";
    for (values, message) in [
        ("webhook: {namespaces: {include: [kube-system]}}", format!("{own} kube-system, which is excluded")),
        ("webhook: {namespaces: {include: [home]}}", format!("{own} home, which is excluded")),
        ("webhook: {namespaces: {include: [a], exclude: [a]}}", format!("{own} a, which is excluded")),
        (
            "webhook: {namespaces: {include: [a]}}\nconfig: {namespaces: [b]}",
            format!("{own} a, whose claims are not watched: add it to config.namespaces"),
        ),
        ("test: {namespace: home}", "test.namespace is home, which is excluded".to_owned()),
        ("test: {namespace: a}\nwebhook: {namespaces: {exclude: [a]}}", "test.namespace is a, which".to_owned()),
        ("test: {namespace: a}\nwebhook: {namespaces: {include: [b]}}", "test.namespace is a, which".to_owned()),
        ("test: {namespace: a}\nconfig: {namespaces: [b]}", "test.namespace is a, which".to_owned()),
    ] {
        assert_refused(values, &message);
    }
    render("webhook: {namespaces: {include: [a, b]}}\nconfig: {namespaces: [b, a]}\ntest: {namespace: b}");
}

#[test]
fn helm_rejects_many_configurations_that_the_program_rejects() {
    let workload = |rest: &str| {
        format!(
            "config: {{customWorkloads: [{{group: a.test, version: v1, resource: as, kind: A, path: /spec/template, {rest}}}]}}"
        )
    };
    render(&workload("update: false"));
    render(
        "config: {drivers: [{name: a, provisioners: [b], scheduler: c, locality: [{kind: extender, service: {namespaces: [d], name: e, port: 80}}]}]}",
    );
    render(
        "config: {drivers: [{name: portworx}, {name: a, provisioners: [kubernetes.io/no-provisioner], locality: [{kind: nodeAffinity}]}]}",
    );
    for (values, message) in [
        ("config: {drivers: [{name: a, scheduler: b}]}", "driver a in config.drivers has no provisioners: set them"),
        (
            "config: {drivers: [{name: portworx}, {name: a, provisioners: [b]}]}",
            "driver a in config.drivers has no scheduler and no locality: set scheduler",
        ),
        (
            "config: {drivers: [{name: portworx}, {name: a, provisioners: [b], locality: []}]}",
            "driver a in config.drivers has no scheduler and no locality: set scheduler",
        ),
        (
            "config: {drivers: [{name: portworx}, {name: a, provisioners: [b], locality: [{kind: extender}]}]}",
            "driver a in config.drivers has a locality source of kind extender, but no scheduler that it could extend: set",
        ),
        (
            "config: {drivers: [{name: portworx}, {name: a, provisioners: [b], recognises: [class], locality: [{kind: nodeAffinity}]}]}",
            "driver a in config.drivers has recognises, but no scheduler that recognizes claims: set",
        ),
        (
            "config: {drivers: [{name: a, provisioners: [b], locality: [{kind: nodeAffinity}]}]}",
            "no driver in config.drivers has a scheduler, so colocate cannot change any pod: set scheduler",
        ),
        (
            "config: {drivers: [{name: portworx, provisioners: [kubernetes.io/no-provisioner]}]}",
            "driver portworx in config.drivers cannot have the provisioner kubernetes.io/no-provisioner: remove it",
        ),
        (
            "config: {drivers: [{name: portworx}, {name: a, provisioners: [kubernetes.io/no-provisioner], scheduler: b, locality: [{kind: nodeAffinity}]}]}",
            "driver a in config.drivers cannot have the provisioner kubernetes.io/no-provisioner: remove it",
        ),
        (
            "config: {drivers: [{name: portworx}, {name: a, provisioners: [b, kubernetes.io/no-provisioner], locality: [{kind: nodeAffinity}]}]}",
            "driver a in config.drivers cannot have the provisioner kubernetes.io/no-provisioner: remove it",
        ),
        (
            "config: {drivers: [{name: portworx}, {name: a, provisioners: [kubernetes.io/no-provisioner], locality: [{kind: customResource, name: topolvm}]}]}",
            "driver a in config.drivers cannot have the provisioner kubernetes.io/no-provisioner: remove it",
        ),
        ("config: {drivers: [{name: a, provisioners: [], scheduler: b}]}", "at '/config/drivers/0/provisioners"),
        ("config: {drivers: [{name: portworx, scheduler: ''}]}", "at '/config/drivers/0/scheduler"),
        ("config: {optOut: {namespaceLabel: ''}}", "at '/config/optOut/namespaceLabel"),
        ("config: {optOut: {annotations: ['']}}", "at '/config/optOut/annotations/0"),
        ("config: {drain: {timeout: 10s}}", "config.drain.timeout (10s) is shorter than config.drain.grace (15s)"),
        (&workload("resource: '*'"), "at '/config/customWorkloads/0/resource"),
        (&workload("resource: as/status"), "at '/config/customWorkloads/0/resource"),
        (&workload("path: /spec/"), "at '/config/customWorkloads/0/path"),
        (&workload("group: ''"), "config.customWorkloads has as of group \"\", which is a built-in API group"),
        (&workload("group: apps"), "which is a built-in API group: use a custom resource"),
        (&workload("group: coordination.k8s.io"), "which is a built-in API group: use a custom resource"),
        (&workload("group: storage.k8s.io"), "which is a built-in API group: use a custom resource"),
        (&workload("group: certificates.k8s.io"), "which is a built-in API group: use a custom resource"),
        (&workload("group: a."), "at '/config/customWorkloads/0/group"),
        (
            "config: {drivers: [{name: a, provisioners: [b], scheduler: {whenAbsent: skip}}]}",
            "driver a in config.drivers has a scheduler without a name: set it",
        ),
        ("config: {drivers: [{name: a, provisioners: [b], scheduler: {name: ''}}]}", "at '/config/drivers/0/scheduler"),
    ] {
        assert_refused(values, message);
    }
}

/// Otherwise, only the API server would reject it.
#[test]
fn invalid_services_are_rejected() {
    for name in ["123", "a.b", "A"] {
        let message = format!("{name} is not a valid name for a Service: set fullnameOverride");
        assert_refused(&format!("fullnameOverride: '{name}'"), &message);
    }
    assert_refused(
        "service: {ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6]}",
        "but service.ipFamilies has two entries",
    );
}

#[test]
fn contradictory_numbers_are_rejected() {
    assert_refused(
        "autoscaling: {enabled: true, minReplicas: 7}",
        "autoscaling.minReplicas (7) is greater than autoscaling.maxReplicas (6)",
    );
    assert_refused("hostNetwork: {port: 1, adminPort: 1}", "are equal: use different ports");
    assert_refused("service: {port: 8080}", "service.port is 8080, which the Service uses for metrics");
    for none in ["0", "abc", "0%"] {
        assert_refused(
            &format!("podDisruptionBudget: {{maxUnavailable: {none}}}"),
            "at '/podDisruptionBudget/maxUnavailable",
        );
    }
}

#[test]
fn invalid_values_are_rejected() {
    for (values, place) in [
        ("webhook: {failurePolicy: Sometimes}", "/webhook/failurePolicy"),
        ("webhook: {failurePolicy: ignore}", "/webhook/failurePolicy"),
        ("webhook: {timeoutSeconds: 0}", "/webhook/timeoutSeconds"),
        ("webhook: {timeoutSeconds: 30}", "/webhook/timeoutSeconds"),
        ("webhook: {name: A}", "/webhook/name"),
        ("webhook: {url: 'http://a.test'}", "/webhook/url"),
        ("webhook: {url: 'https://a.test?b=c'}", "/webhook/url"),
        ("webhook: {url: 'https://u:p@a.test'}", "/webhook/url"),
        ("webhook: {url: 'https://:8443'}", "/webhook/url"),
        ("webhook: {url: 'https://a.test:99999'}", "/webhook/url"),
        ("webhook: {url: 'https://a.test:abc'}", "/webhook/url"),
        ("webhook: {url: 'https://[2001:db8::1'}", "/webhook/url"),
        ("webhook: {url: 'https://*.a.test'}", "/webhook/url"),
        ("tls: {existingSecret: {name: Own_Bad}}", "/tls/existingSecret/name"),
        ("webhook: {namespaces: {exclude: ['kube-*']}}", "/webhook/namespaces/exclude/0"),
        (
            "webhook: {namespaces: {matchExpressions: [{key: a, operator: Is}]}}",
            "/webhook/namespaces/matchExpressions/0",
        ),
        ("tls: {source: letsencrypt}", "/tls/source"),
        ("image: {digest: 0123}", "/image/digest"),
        ("image: {pullPolicy: Sometimes}", "/image/pullPolicy"),
        ("replicaCount: two", "/replicaCount"),
        ("service: {port: 0}", "/service/port"),
        ("service: {ipFamilies: [IPv5]}", "/service/ipFamilies/0"),
        ("log: {level: loud}", "/log/level"),
        ("commonLabels: {a: 1}", "/commonLabels/a"),
        ("config: {mode: on}", "/config/mode"),
        ("config: {mode: watch}", "/config/mode"),
        ("config: {missingClaim: {wait: 2}}", "/config/missingClaim/wait"),
        ("config: {drivers: [{scheduler: a}]}", "/config/drivers/0"),
        ("config: {validation: {rules: {HC003: loud}}}", "/config/validation/rules/HC003"),
        ("networkPolicy: {apiServerPorts: []}", "/networkPolicy/apiServerPorts"),
        ("test: {namespace: 7}", "/test/namespace"),
    ] {
        assert_refused(values, &format!("at '{place}"));
    }
}

fn assert_refused(values: &str, message: &str) {
    let error = refused(values);
    assert!(error.contains(message), "{values}: {error}");
}
