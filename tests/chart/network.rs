//! Network access to and from the pods.

use serde_json::{Value, json};

use crate::chart::{DEFAULTS, Rendered, render};

/// Returns a port of the Deployment's container, by name.
fn port(rendered: &Rendered, name: &str) -> Value {
    let ports = rendered.at("Deployment/colocate", "/spec/template/spec/containers/0/ports").as_array().unwrap();
    ports.iter().find(|port| port["name"] == *name).unwrap()["containerPort"].clone()
}

#[test]
fn the_network_policy_only_allows_the_needed_traffic() {
    let rendered = render("networkPolicy: {enabled: true}");
    let policy = |pointer| rendered.at("NetworkPolicy/colocate", pointer);
    // A direction that is not listed here would be open, whatever the rules are.
    assert_eq!(policy("/spec/policyTypes"), &json!(["Ingress", "Egress"]));
    assert_eq!(policy("/spec/podSelector"), rendered.at("Deployment/colocate", "/spec/selector"));
    let listens = rendered.text_at("Deployment/colocate", "/spec/template/spec/containers/0/args/2");
    assert_eq!(listens, format!("--listen=0.0.0.0:{}", port(&rendered, "https")));
    assert_eq!(policy("/spec/ingress"), &json!([{"ports": [{"port": "https"}]}, {"ports": [{"port": "admin"}]}]));
    assert_eq!(policy("/spec/egress"), &json!([{"ports": [{"port": 443}, {"port": 6443}]}]));
}

/// A replica that has not listed the claims yet, or drains, must not receive requests.
#[test]
fn the_service_only_targets_ready_replicas() {
    assert_eq!(DEFAULTS.at("Service/colocate", "/spec/publishNotReadyAddresses"), &Value::Null);
    let ports = DEFAULTS.at("Service/colocate", "/spec/ports").as_array().unwrap();
    let https = ports.iter().find(|port| port["port"] == 443).unwrap();
    assert_eq!(https["targetPort"], "https");
}
