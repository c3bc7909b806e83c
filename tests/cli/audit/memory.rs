//! The memory of an audit is bounded by a page of a list.

use colocate_harness::{ApiServer, Folder, Measured};
use serde_json::{Value, json};

use super::{CLAIMS, NAMESPACES, PODS, cluster, counts, pod};

/// The target for 10,000 pods. The target for their time, 10 s on 2 cores, is for a release build.
const MAX_MEMORY: u64 = 150_000_000;

/// The `ReplicaSets` of all namespaces.
const REPLICA_SETS: &str = "/apis/apps/v1/replicasets";

/// Audits that many pods, one in five of which is wrong, each with its claim and its `ReplicaSet`. Their names and Namespaces replace
/// words in `pod`.
fn audit(pod: &Value, pods: u64) -> Measured {
    let claim = json!({
        "metadata": {"name": "claim-NUMBER", "namespace": "team-TEAM"},
        "spec": {"storageClassName": "px-db", "accessModes": ["ReadWriteOnce"]},
    });
    let set = json!({
        "metadata": {"name": "set-NUMBER", "namespace": "team-TEAM", "uid": "set-NUMBER"},
        "spec": {"replicas": 1, "template": {"spec": {"schedulerName": "default-scheduler"}}},
        "status": {"replicas": 1},
    });
    let labels = json!({"kubernetes.io/metadata.name": "team-TEAM"});
    let namespace = json!({"metadata": {"name": "team-TEAM", "labels": labels}});
    let many = |object: &Value, count: u64| -> Vec<String> {
        let text = object.to_string();
        let replaced = (0..count).map(|number| {
            let scheduler = if number % 5 == 0 { "default-scheduler" } else { "stork" };
            let text = text.replace("NUMBER", &number.to_string()).replace("SCHEDULER", scheduler);
            text.replace("TEAM", &(number % 300).to_string())
        });
        replaced.collect()
    };
    let mut pod = pod.clone();
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "set-NUMBER", "uid": "set-NUMBER", "controller": true,
    }]);
    let lists = vec![
        (PODS, many(&pod, pods)),
        (REPLICA_SETS, many(&set, pods)),
        (CLAIMS, many(&claim, pods)),
        (NAMESPACES, many(&namespace, 300)),
    ];
    let folder = Folder::new(&[]);
    let server = ApiServer::with_lists(&cluster(), lists, 404);
    server.write_kubeconfig(&folder);

    let measured = Measured::run(&folder, "audit -o json");
    assert_eq!(counts(&measured.document["clusters"][0]["pods"]), [pods / 5 * 4, pods / 5, 0, 0]);
    measured
}

#[test]
fn memory_does_not_grow_with_the_number_of_pods() {
    // Long, and cheap to read.
    let metadata = json!({"namespace": "team-TEAM", "annotations": {"long": "x".repeat(16_000)}});
    let pod = pod("pod-NUMBER", "SCHEDULER", "claim-NUMBER", &metadata);
    // One page and three.
    let [one, three] = [500, 1_500].map(|pods| audit(&pod, pods).peak);
    println!("500 pods of 16 kB: {} MB, 1,500: {} MB", one / 1_000_000, three / 1_000_000);
    // The objects of the other pages have 16 MB.
    assert!(three < one + 4_000_000, "{one} and {three} bytes");
}

#[test]
#[ignore = "a measurement, of 40 s in a debug build: `make bench-audit`"]
fn ten_thousand_pods_take_little_memory() {
    let managed = |manager: &str, operation: &str| {
        let fields: Value = (0..120)
            .map(|number| (format!("f:field-{number}"), json!({"f:value": {}})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        json!({"manager": manager, "operation": operation, "time": "2026-11-30T00:00:00Z", "fieldsV1": {"f:metadata": fields}})
    };
    let fields = json!([managed("kube-controller-manager", "Update"), managed("kubelet", "Update")]);
    let pod =
        pod("pod-NUMBER", "SCHEDULER", "claim-NUMBER", &json!({"managedFields": fields, "namespace": "team-TEAM"}));
    let size = pod.to_string().len();
    assert!(size > 4_000, "a pod has {size} bytes; real ones have 5 to 10 kB");
    let Measured { took, cpu, peak, .. } = audit(&pod, 10_000);
    println!("10,000 pods of {size} bytes: {took:.1?}, {cpu:.1?} of CPU time, {} MB", peak / 1_000_000);
    assert!(peak < MAX_MEMORY, "{peak} bytes");
}
