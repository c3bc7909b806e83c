//! Who reaches the pods, and whom they reach.

use serde_json::{Value, json};

use crate::chart::{DEFAULTS, Rendered, render};

/// The ports of the Deployment's container, by name.
fn port(rendered: &Rendered, name: &str) -> Value {
    let ports = rendered.at("Deployment/colocate", "/spec/template/spec/containers/0/ports").as_array().unwrap();
    ports.iter().find(|port| port["name"] == *name).unwrap()["containerPort"].clone()
}

#[test]
fn a_network_policy_lets_reviews_and_scrapes_in_and_requests_to_api_servers_out_and_nothing_else() {
    let rendered = render("networkPolicy: {enabled: true}");
    let policy = |pointer| rendered.at("NetworkPolicy/colocate", pointer);
    // What is not named here would be open, whatever the rules say.
    assert_eq!(policy("/spec/policyTypes"), &json!(["Ingress", "Egress"]));
    assert_eq!(policy("/spec/podSelector"), rendered.at("Deployment/colocate", "/spec/selector"));
    let listens = rendered.text_at("Deployment/colocate", "/spec/template/spec/containers/0/args/2");
    assert_eq!(listens, format!("--listen=0.0.0.0:{}", port(&rendered, "https")));
    assert_eq!(policy("/spec/ingress"), &json!([{"ports": [{"port": "https"}]}, {"ports": [{"port": "admin"}]}]));
    assert_eq!(policy("/spec/egress"), &json!([{"ports": [{"port": 443}, {"port": 6443}]}]));
}

/// A replica that does not know the claims yet, or ends, must not be asked.
#[test]
fn the_service_leads_to_replicas_that_are_ready() {
    assert_eq!(DEFAULTS.at("Service/colocate", "/spec/publishNotReadyAddresses"), &Value::Null);
    let ports = DEFAULTS.at("Service/colocate", "/spec/ports").as_array().unwrap();
    let https = ports.iter().find(|port| port["port"] == 443).unwrap();
    assert_eq!(https["targetPort"], "https");
}
