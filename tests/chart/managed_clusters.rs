//! The rules by which managed clusters find webhooks that could stop them.

use serde_json::Value;

use crate::chart::{HOME, Rendered, render, text, texts};

/// Values with which nothing may become unsafe.
const VALUES: [&str; 4] = [
    "",
    "webhook: {failurePolicy: Fail, timeoutSeconds: 15}\nconfig: {validation: {mode: enforce}}",
    "webhook: {failurePolicy: Fail, url: 'https://colocate.example.com', namespaces: {exclude: [a], include: [b]}}",
    "config: {customWorkloads: [{group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template}]}",
];

fn webhooks_of(values: &str, check: impl Fn(&Rendered, &Value, &str)) {
    let rendered = render(values);
    assert!(rendered.webhooks().count() > 0);
    for webhook in rendered.webhooks() {
        check(&rendered, webhook, text(webhook, "/name"));
    }
}

fn leaves_alone(webhook: &Value, namespace: &str) -> bool {
    let expressions = webhook.pointer("/namespaceSelector/matchExpressions").and_then(Value::as_array);
    expressions.into_iter().flatten().any(|expression| {
        let by_name = expression["key"] == "kubernetes.io/metadata.name" && expression["operator"] == "NotIn";
        by_name && texts(&expression["values"]).contains(&namespace)
    })
}

/// Gardener's remediator flags a webhook that may hold up kube-system, nodes or leases: one that fails closed, or takes
/// longer than 15 s.
#[test]
fn gardener_finds_nothing_to_remedy() {
    for values in VALUES {
        webhooks_of(values, |_, webhook, name| {
            assert!(webhook["timeoutSeconds"].as_u64().is_some_and(|seconds| seconds <= 15), "{name}");
            for namespace in ["kube-system", "kube-node-lease"] {
                assert!(leaves_alone(webhook, namespace), "{name}: {namespace}");
            }
        });
    }
}

/// GKE's check of the same asks for nothing that intercepts kube-system, nodes or leases, whatever the policy; neither may
/// there be a wildcard that takes them in.
#[test]
fn nothing_intercepts_nodes_or_leases() {
    for values in VALUES {
        webhooks_of(values, |_, webhook, name| {
            for rule in webhook["rules"].as_array().expect("it has rules") {
                for list in ["apiGroups", "apiVersions", "resources", "operations"] {
                    let texts = texts(&rule[list]);
                    assert!(!texts.is_empty() && texts.iter().all(|text| !text.contains('*')), "{name}: {rule}");
                }
                let resources = texts(&rule["resources"]);
                for absent in ["nodes", "leases", "tokenreviews", "subjectaccessreviews", "endpointslices"] {
                    assert!(!resources.contains(&absent), "{name}: {absent}");
                }
                assert!(resources.iter().all(|resource| !resource.contains('/')), "{name}: a subresource");
            }
        });
    }
}

/// A webhook that fails closed must never be asked about its own pods.
#[test]
fn its_own_pods_come_without_it() {
    for values in VALUES {
        webhooks_of(values, |_, webhook, name| assert!(leaves_alone(webhook, HOME), "{name}"));
    }
}
