//! `colocate place`: the answers of the extender, and nothing is created.

use std::collections::BTreeSet;
use std::fs;

use colocate_harness::{Account, Folder, Run};
use serde_json::{Value, json};

use super::cluster::{Cluster, HOME, document, places, reader};
use super::objects::node_name;
use super::stub::Fault;
use super::world::{Driver, NODES, OFFLINE, Pod, Sharing};

/// The configuration of a driver whose scheduler has an extender, next to the gateway.
const CONFIG: &str = "
drivers:
- name: portworx
  locality:
  - kind: openStorage
    service: {tls: true}
    token: {namespace: portworx, name: px-user-token, key: auth-token}
  - {kind: extender}
";

pub(crate) fn place_asks_and_creates_nothing(cluster: &Cluster) {
    score_portworx(cluster);
    let account = Account::new(&cluster.control_plane, HOME, "placer", &reader());
    let pods = cluster.world.pods.iter().filter(|pod| is_plain(cluster, pod));
    let pods: Vec<_> = pods.take(3).collect();
    for pod in &pods {
        agrees(cluster, pod, &place(&account, &format!("{} -n {}", pod.name, pod.namespace), &[]));
    }
    // The same pod, before it exists.
    let pod = pods[0];
    let claim = &cluster.world.volumes[pod.volumes[0]].claim;
    let spec = json!({"containers": [{"name": "main", "image": "example.test/main:1"}], "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]});
    let template = json!({"metadata": {"labels": {"app": "new"}}, "spec": spec});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "new", "namespace": pod.namespace}, "spec": {"selector": {"matchLabels": {"app": "new"}}, "template": template}});
    agrees(cluster, pod, &place(&account, "-f new.yaml", &[("new.yaml", &deployment.to_string())]));
    assert_eq!(cluster.stub.asked().iter().filter(|path| **path == "/filter").count(), 4);
    created_nothing(cluster);
    the_extender_is_a_fallback(cluster);
}

/// Lets the extender score the volumes of Portworx, too.
fn score_portworx(cluster: &Cluster) {
    let volumes = cluster.world.volumes.iter().filter(|volume| volume.driver == Driver::Portworx && volume.listed);
    let own: Vec<_> = volumes
        .map(|volume| {
            let nodes = volume.replicas.iter().map(|(node, _)| node_name(*node)).collect::<BTreeSet<_>>();
            (format!("{}/{}", volume.namespace, volume.claim), nodes)
        })
        .collect();
    cluster.stub.change(|answers| answers.scores.extend(own));
    cluster.stub.asked();
}

/// Returns true if a pod has one volume of Portworx that is known, and does not opt out.
fn is_plain(cluster: &Cluster, pod: &Pod) -> bool {
    let [index] = pod.volumes[..] else { return false };
    let volume = &cluster.world.volumes[index];
    volume.driver == Driver::Portworx
        && volume.listed
        && volume.sharing == Sharing::One
        && !pod.opts_out
        && pod.namespace != "data-out"
        && (1..=NODES).all(|node| volume.is_on(node).is_some())
}

fn place(account: &Account, arguments: &str, files: &[(&str, &str)]) -> Value {
    let files: Vec<_> = files.iter().copied().chain([("own.yaml", CONFIG)]).collect();
    let kubeconfig = account.kubeconfig().display();
    let run =
        Folder::new(&files).run(&format!("place {arguments} -o json --config own.yaml --kubeconfig {kubeconfig}"));
    assert_eq!((run.code, &*run.err), (Some(0), ""), "{arguments}: {}", run.out);
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../docs/schemas/place.json")).unwrap();
    assert!(jsonschema::draft202012::new(&schema).unwrap().is_valid(&document), "{document:#}");
    assert_eq!(document["notSeen"], json!([]), "{arguments}");
    document
}

/// Compares the answer about each node with the seed.
fn agrees(cluster: &Cluster, pod: &Pod, document: &Value) {
    let volume = &cluster.world.volumes[pod.volumes[0]];
    let nodes = document["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), NODES);
    for number in 1..=NODES {
        let name = node_name(number);
        let node = nodes.iter().find(|node| node["node"] == *name).unwrap();
        let has_replica = volume.replicas.iter().any(|(node, _)| *node == number);
        let refused = number == OFFLINE;
        let expected = json!({
            "node": name,
            "passes": !refused,
            "why": refused.then_some("storage is offline"),
            "score": if has_replica { 100 } else { 5 },
            "locality": if volume.is_on(number) == Some(true) { "local" } else { "remote" },
        });
        assert_eq!(*node, expected);
    }
}

/// Reads the audit log: of what could store something, the account only created reviews of its own rights, and called Services.
fn created_nothing(cluster: &Cluster) {
    let log = fs::read_to_string(cluster.control_plane.audit_log()).unwrap();
    let own = log.lines().filter(|line| line.contains("system:serviceaccount:locality:placer"));
    let events = own.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events = events.filter(|event| event["user"]["username"] == "system:serviceaccount:locality:placer");
    let mut writes = BTreeSet::new();
    let mut reads = 0;
    for event in events {
        let text = |key: &str| event["objectRef"][key].as_str().unwrap_or_default().to_owned();
        match event["verb"].as_str().unwrap() {
            "get" | "list" => reads += 1,
            verb => {
                writes.insert((verb.to_owned(), text("resource"), text("subresource")));
            }
        }
    }
    let expected = [("selfsubjectaccessreviews", ""), ("services", "proxy")];
    let expected: BTreeSet<_> =
        expected.map(|(resource, sub)| ("create".to_owned(), resource.to_owned(), sub.to_owned())).into();
    assert_eq!(writes, expected);
    assert!(reads > 10, "{reads} reads are in the audit log");
}

/// Without the gateway, the extender is asked about each pod. It knows some, and no pod is in another place than before.
fn the_extender_is_a_fallback(cluster: &Cluster) {
    let run = |arguments: &str| -> Run {
        let kubeconfig = cluster.control_plane.kubeconfig().display();
        Folder::new(&[("own.yaml", CONFIG)]).run(&format!("{arguments} --config own.yaml --kubeconfig {kubeconfig}"))
    };
    let command = "locality --by workload -o json";
    let before = places(&document(&run(command)));
    let fallback = document(&cluster.stub.with(|answers| answers.volumes.fault = Fault::Error, || run(command)));
    assert_eq!(fallback["sources"][0]["source"], "extender stork-service");
    let after = places(&fallback);
    assert_eq!(after.len(), before.len());
    let mut known = 0;
    for (pod, place) in &after {
        let expected = before[pod];
        // Stork knows the node whose name the gateway does not know.
        assert!(
            *place == expected || *place == "unknown" || expected == "unknown",
            "{pod:?} is {place}, not {expected}"
        );
        known += usize::from(["local", "remote"].contains(place));
    }
    assert!(known > 100, "the extender knows {known} pods");
}
