//! The time and memory of `colocate locality` in a large cluster.

use colocate_harness::{ApiServer, Folder, Measured};
use serde_json::{Value, json};

use super::{
    CLAIMS, CLASSES, GATEWAY_NODES, GATEWAY_VOLUMES, NAMESPACES, NODES, PODS, PX, REVIEWS, VOLUMES, WEBHOOKS, cluster,
    counts, document_of, node, pod, volume,
};

/// The targets for 10,000 pods. That for the time is for a release build on 2 cores.
const MAX_MEMORY: u64 = 200_000_000;
const MAX_SECONDS: u64 = 10;

const NODE_COUNT: u64 = 300;

/// Reads that many pods, each with its claim, one in five of which is not on a node with its data.
fn measure(pods: u64) -> Measured {
    let name = |number: u64| format!("n{}", number % NODE_COUNT);
    let in_namespace = |object: &Value, number: u64| {
        let text = object.to_string().replace("\"db\"", &format!("\"team-{}\"", number % 300));
        text.replace("\"metadata\":{", "\"metadata\":{\"resourceVersion\":\"1\",")
    };
    let each = |make: &dyn Fn(u64) -> Value| -> Vec<String> {
        (0..pods).map(|number| in_namespace(&make(number), number)).collect()
    };
    let fields: Value = (0..120)
        .map(|number| (format!("f:field-{number}"), json!({"f:value": {}})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let managed = |manager: &str| json!({"manager": manager, "operation": "Update", "time": "2026-11-30T00:00:00Z", "fieldsV1": {"f:metadata": fields}});
    let managed = json!([managed("kube-controller-manager"), managed("kubelet")]);
    let pod_of = |number: u64| {
        let is_local = !number.is_multiple_of(5);
        let scheduler = if is_local { "stork" } else { "default-scheduler" };
        let node = name(number + u64::from(!is_local) * 7);
        let mut pod = pod(&format!("pod-{number}"), scheduler, &node, &[&format!("c{number}")]);
        pod["metadata"]["managedFields"] = managed.clone();
        pod
    };
    let claim_of = |number: u64| super::claim(&format!("c{number}"), "px-db", "ReadWriteOnce");
    let volume_of = |number: u64| volume(&format!("c{number}"), PX);
    let size = pod_of(0).to_string().len();
    assert!(size > 4_000, "a pod has {size} bytes; real ones have 5 to 10 kB");

    // A volume of Portworx has 2 to 3 kB in the answer of its gateway.
    let inspected = (0..pods).map(|number| {
        let nodes = [0, 1, 2].map(|next| format!("node-{}", name(number + next)));
        let spec: serde_json::Map<_, _> = (0..60).map(|key| (format!("option_{key}"), json!("some value"))).collect();
        json!({"volume": {"id": format!("id-c{number}"), "locator": {"name": format!("pvc-{number}")}, "spec": spec, "replica_sets": [{"nodes": nodes}]}})
    });
    let inspected = json!({"volumes": inspected.collect::<Vec<_>>()});
    let storage_nodes = (0..NODE_COUNT).map(|number| json!({"id": format!("node-{}", name(number)), "scheduler_node_name": name(number), "status": "STATUS_OK"}));
    let mut objects = cluster();
    objects.retain(|(path, _)| [REVIEWS, CLASSES, WEBHOOKS].contains(path));
    objects.push((GATEWAY_NODES, json!({"nodes": storage_nodes.collect::<Vec<_>>()})));
    objects.push((GATEWAY_VOLUMES, inspected));
    let nodes = (0..NODE_COUNT).map(|number| node(&name(number), false).to_string()).collect();
    let namespace = |number: u64| {
        let name = format!("team-{number}");
        json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}).to_string()
    };
    let lists = vec![
        (PODS, each(&pod_of)),
        (CLAIMS, each(&claim_of)),
        (VOLUMES, each(&volume_of)),
        (NODES, nodes),
        (NAMESPACES, (0..300).map(namespace).collect()),
    ];
    let folder = Folder::new(&[("own.yaml", "drivers: [{name: portworx}]")]);
    ApiServer::with_lists(&objects, lists, 404).write_kubeconfig(&folder);
    let measured = Measured::run(&folder, "locality -o json --by workload --config own.yaml");
    assert_eq!(counts(&document_of(&measured.document)["pods"]), [pods / 5 * 4, 0, pods / 5, 0, 0]);
    measured
}

#[test]
#[ignore = "a measurement: `make bench-locality`"]
fn ten_thousand_pods_are_located_in_time() {
    let Measured { took, cpu, peak, .. } = measure(10_000);
    println!("10,000 pods and volumes: {took:.1?}, {cpu:.1?} of CPU time, {} MB", peak / 1_000_000);
    assert!(peak < MAX_MEMORY, "{peak} bytes");
    assert!(cfg!(debug_assertions) || took.as_secs() < MAX_SECONDS, "{took:?}");
}

#[test]
fn memory_does_not_grow_with_the_size_of_pods() {
    // One page and three.
    let [one, three] = [500, 1_500].map(|pods| measure(pods).peak);
    println!("500 pods and volumes: {} MB, 1,500: {} MB", one / 1_000_000, three / 1_000_000);
    // The pods of the other pages have 8 MB, and their volumes 2 MB in the response of the gateway, which is held in memory as a whole.
    assert!(three < one + 8_000_000, "{one} and {three} bytes");
}
