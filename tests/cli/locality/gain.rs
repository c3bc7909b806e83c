//! The gain of evictions, and the pods that it leaves out.

use serde_json::{Value, json};

use super::schedulers::{items, with};
use super::{CLAIMS, VOLUMES, claim, document, each, pod, run_on, volume};

/// The claims and volumes of the cluster, without the volume of one claim.
fn storage(more: &[(&str, &str)], unseen: &str) -> (Vec<Value>, Vec<Value>) {
    let (mut claims, mut volumes) = (items(CLAIMS), items(VOLUMES));
    for (name, driver) in more {
        claims.push(claim(name, "other", "ReadWriteOnce"));
        volumes.push(volume(name, driver));
    }
    volumes.retain(|volume| volume["metadata"]["name"] != format!("pv-{unseen}"));
    (claims, volumes)
}

#[test]
fn a_volume_of_no_driver_can_tie_a_pod_to_its_node() {
    let (claims, mut volumes) = storage(&[("zonal", "ebs.example.com"), ("unseen", "ebs.example.com")], "unseen");
    let tied = volumes.iter_mut().find(|volume| volume["metadata"]["name"] == "pv-other").unwrap();
    tied["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] = json!(["n4"]);
    let pods = [
        pod("tied", "stork", "n4", &["a", "other"]),
        // Of the nodes with replicas, n1 and n2, the other volume allows n2.
        pod("narrowed", "stork", "n4", &["b", "zonal"]),
        pod("unseen", "stork", "n4", &["a", "unseen"]),
    ];
    let document = document(&run_on(&with(&pods, &claims, &volumes), 404, "locality -o json"));
    let reasons = [("tied", "nodes-excluded"), ("narrowed", "unexplained"), ("unseen", "unexplained")];
    assert_eq!(each(&document, "notLocal", "/whyNot/0/reason"), reasons);
    let targets = [("tied", "-"), ("narrowed", "n2"), ("unseen", "-")];
    assert_eq!(each(&document, "notLocal", "/wouldRunOn"), targets);
    assert_eq!(document["gain"], 1);
    assert_eq!(
        document["notLocal"][0]["whyNot"][0]["text"],
        "its node selector, node affinity or another volume excludes every node with its replicas"
    );
}
