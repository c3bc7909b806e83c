//! Network access to and from the pods.

use serde_json::{Value, json};

use crate::chart::{DEFAULTS, Rendered, render};

/// Returns a port of the Deployment's container, by name.
fn port(rendered: &Rendered, name: &str) -> Value {
    let ports = rendered.at("Deployment/colocate", "/spec/template/spec/containers/0/ports").as_array().unwrap();
    ports.iter().find(|port| port["name"] == *name).unwrap()["containerPort"].clone()
}

#[test]
fn a_network_policy_opens_the_ports_that_are_needed_and_no_other() {
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

/// A port alone does not confine a compromised pod: most of the internet listens on 443.
#[test]
fn a_network_policy_with_peers_leaves_no_direction_open() {
    let peers = |n: u8| format!("[{{ipBlock: {{cidr: 192.0.2.{n}/32}}}}]");
    let values = format!(
        "networkPolicy: {{enabled: true, callers: {}, scrapers: {}, apiServers: {}}}",
        peers(1),
        peers(2),
        peers(3)
    );
    let rendered = render(&values);
    let policy = |pointer| rendered.at("NetworkPolicy/colocate", pointer);
    let block = |n: u8| json!([{"ipBlock": {"cidr": format!("192.0.2.{n}/32")}}]);
    assert_eq!(policy("/spec/ingress/0/from"), &block(1));
    assert_eq!(policy("/spec/ingress/1/from"), &block(2));
    assert_eq!(policy("/spec/egress"), &json!([{"ports": [{"port": 443}, {"port": 6443}], "to": block(3)}]));
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let rules = policy("/spec")[direction].as_array().unwrap();
        assert!(rules.iter().all(|rule| rule[peers].as_array().is_some_and(|peers| !peers.is_empty())), "{rules:?}");
    }
}

/// A replica that has not listed the claims yet, or drains, must not receive requests.
#[test]
fn the_service_only_targets_ready_replicas() {
    assert_eq!(DEFAULTS.at("Service/colocate", "/spec/publishNotReadyAddresses"), &Value::Null);
    let ports = DEFAULTS.at("Service/colocate", "/spec/ports").as_array().unwrap();
    let https = ports.iter().find(|port| port["port"] == 443).unwrap();
    assert_eq!(https["targetPort"], "https");
}
