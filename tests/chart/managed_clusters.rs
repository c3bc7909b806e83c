//! The rules by which managed Kubernetes services detect webhooks that could break a cluster.

use serde_json::Value;

use crate::chart::{HOME, Rendered, render, text, texts};

/// Values with which the webhooks must stay safe.
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

/// Gardener's remediator flags webhooks that can block kube-system, nodes, or leases: those that fail closed, or have a
/// timeout above 15 s.
#[test]
fn gardener_does_not_flag_the_webhooks() {
    for values in VALUES {
        webhooks_of(values, |_, webhook, name| {
            assert!(webhook["timeoutSeconds"].as_u64().is_some_and(|seconds| seconds <= 15), "{name}");
            for namespace in ["kube-system", "kube-node-lease"] {
                assert!(leaves_alone(webhook, namespace), "{name}: {namespace}");
            }
        });
    }
}

/// GKE's check flags every webhook that intercepts kube-system, nodes, or leases, whatever its failure policy. Wildcards that
/// include them are flagged, too.
#[test]
fn no_webhook_intercepts_nodes_or_leases() {
    for values in VALUES {
        webhooks_of(values, |_, webhook, name| {
            for rule in webhook["rules"].as_array().expect("a webhook has rules") {
                for list in ["apiGroups", "apiVersions", "resources", "operations"] {
                    let texts = texts(&rule[list]);
                    assert!(!texts.is_empty() && texts.iter().all(|text| !text.contains('*')), "{name}: {rule}");
                }
                let resources = texts(&rule["resources"]);
                for absent in ["nodes", "leases", "tokenreviews", "subjectaccessreviews", "endpointslices"] {
                    assert!(!resources.contains(&absent), "{name}: {absent}");
                }
                assert!(resources.iter().all(|resource| !resource.contains('/')), "{name} intercepts a subresource");
            }
        });
    }
}

/// A webhook that fails closed must never intercept its own pods.
#[test]
fn webhooks_do_not_intercept_colocates_own_pods() {
    for values in VALUES {
        webhooks_of(values, |_, webhook, name| assert!(leaves_alone(webhook, HOME), "{name}"));
    }
}
