//! Each reason why a pod is not local, produced for real.

use std::collections::BTreeMap;
use std::time::Instant;

use colocate_harness::WAIT_TIMEOUT;
use serde_json::{Value, json};

use super::cluster::{Cluster, document};
use super::objects::{self, Creation, bare_pod, gateway_volumes, handle, node_name};
use super::world::{Driver, OFFLINE, Sharing, Volume};

const NAMESPACE: &str = "reasons";

/// Nodes that cannot run another pod.
const CORDONED: usize = 36;
const TAINTED: usize = 37;
const FULL: usize = 38;

/// A pod that is not where its data is: its name, which is the reason, its scheduler, its claims, its node, and its spec.
type Case = (&'static str, &'static str, &'static [&'static str], usize, fn(&mut Value));

/// A claim with its driver and the nodes of its replicas, each with whether it is healthy.
type ClaimCase = (&'static str, Driver, &'static [(usize, bool)]);

const CLAIMS: [ClaimCase; 11] = [
    ("one", Driver::Portworx, &[(1, true)]),
    ("two", Driver::Portworx, &[(2, true)]),
    ("lost", Driver::Portworx, &[(OFFLINE, true)]),
    ("failed", Driver::Longhorn, &[(1, true), (2, false)]),
    ("static", Driver::Hwameistor, &[(1, true)]),
    ("class", Driver::Hwameistor, &[(1, true)]),
    ("cordoned", Driver::Portworx, &[(CORDONED, true)]),
    ("tainted", Driver::Portworx, &[(TAINTED, true)]),
    ("full", Driver::Portworx, &[(FULL, true)]),
    ("younger", Driver::Hwameistor, &[]),
    ("free", Driver::Longhorn, &[(1, true)]),
];

const CASES: [Case; 16] = [
    ("no-healthy-replica", "stork", &["lost"], 2, |_| ()),
    ("no-common-node", "stork", &["one", "two"], 3, |_| ()),
    ("replica-failed", "stork", &["failed"], 2, |_| ()),
    ("node-chosen", "default-scheduler", &["one"], 2, |pod| pod["spec"]["nodeName"] = "node-2".into()),
    ("scheduling-group", "default-scheduler", &["one"], 2, |pod| {
        pod["spec"]["schedulingGroup"] = json!({"podGroupName": "group"});
    }),
    ("not-recognized", "default-scheduler", &["static"], 2, |_| ()),
    ("wrong-scheduler", "default-scheduler", &["one"], 2, |_| ()),
    ("other-scheduler", "volcano", &["one"], 2, |_| ()),
    ("no-scheduler", "default-scheduler", &["free"], 2, |_| ()),
    ("claim-not-recognized", "stork", &["class", "static"], 2, |_| ()),
    ("nodes-excluded", "stork", &["one"], 2, |pod| {
        pod["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": "node-2"});
    }),
    ("replica-younger", "stork", &["younger"], 2, |_| ()),
    ("nodes-unavailable", "stork", &["cordoned"], 2, |_| ()),
    ("nodes-unavailable-taint", "stork", &["tainted"], 2, |_| ()),
    ("nodes-unavailable-full", "stork", &["full"], 2, request_a_cpu),
    ("unexplained", "stork", &["one"], 2, |_| ()),
];

fn request_a_cpu(pod: &mut Value) {
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}});
}

fn volume((claim, driver, replicas): &ClaimCase) -> Volume {
    Volume {
        driver: *driver,
        namespace: NAMESPACE,
        claim: (*claim).to_owned(),
        replicas: replicas.to_vec(),
        phantom: 1,
        listed: true,
        sharing: Sharing::One,
    }
}

/// Creates the pods, and looks for the reason of each.
pub(crate) fn each_reason_is_found_for_real(cluster: &Cluster) {
    let kubectl = cluster.control_plane.kubectl();
    kubectl.run(&format!("create namespace {NAMESPACE}"));
    let volumes: Vec<_> = CLAIMS.iter().map(volume).collect();
    let body = gateway_volumes(cluster.world.volumes.iter().chain(&volumes)).to_string();
    cluster.stub.change(|answers| answers.volumes.body = body);
    cluster.create(volumes.iter().flat_map(claim));
    cluster.create(volumes.iter().flat_map(objects::custom_resources));
    cluster.create(CASES.iter().map(|(name, scheduler, claims, _, change)| {
        let mut pod = bare_pod(NAMESPACE, name, scheduler, claims);
        change(&mut pod);
        Creation { path: format!("/api/v1/namespaces/{NAMESPACE}/pods"), object: pod, status: None }
    }));
    fill(cluster);
    let unbound = CASES.iter().filter(|(name, ..)| *name != "node-chosen");
    cluster.bind(unbound.map(|(name, _, _, node, _)| (NAMESPACE, *name, *node)));
    let database = bound_database(cluster);
    let daemon = bound_daemon(cluster);
    create_a_younger_replica(cluster, &volumes[9]);
    kubectl.run(&format!("cordon {}", node_name(CORDONED)));
    kubectl.run(&format!("taint node {} dedicated=batch:NoSchedule", node_name(TAINTED)));
    let within = kubectl.within(NAMESPACE);
    within.run("wait --for=jsonpath={.status.phase}=Running pod --all --timeout=60s");

    let document = document(&cluster.run("locality -A -o json"));
    assert_eq!(document["more"], 0);
    let own = document["notLocal"].as_array().unwrap().iter().filter(|pod| pod["namespace"] == NAMESPACE);
    let found: BTreeMap<_, _> = own.map(|pod| (pod["name"].as_str().unwrap(), pod)).collect();
    for (name, ..) in CASES {
        let pod = found.get(name).unwrap_or_else(|| panic!("{name} is not in {:?}", found.keys()));
        let reason = pod["whyNot"][0]["reason"].as_str().unwrap();
        let expected = if name.starts_with("nodes-unavailable") { "nodes-unavailable" } else { name };
        assert_eq!(reason, expected, "{name}: {}", pod["whyNot"]);
    }
    for (name, text) in [
        ("nodes-unavailable", "node-36 is cordoned"),
        ("nodes-unavailable-taint", "node-37 has the taint dedicated=batch:NoSchedule"),
        ("nodes-unavailable-full", "node-38 has insufficient cpu"),
        ("replica-younger", "the replicas were created after the pod was placed, at 20"),
        ("replica-failed", "the replica of claim `failed` on its node is not healthy"),
        ("no-healthy-replica", "claim `lost` has no healthy replica"),
        ("claim-not-recognized", "the driver's scheduler does not recognize claim `static`"),
    ] {
        let found = found[name]["whyNot"][0]["text"].as_str().unwrap();
        assert!(found.starts_with(text), "{name}: {found}");
    }
    let advice = found["no-common-node"]["whyNot"][0]["advice"].as_str().unwrap();
    assert!(advice.contains("VolumePlacementStrategy that has `volumeAffinity`"), "{advice}");
    let daemon = &found[&*daemon]["whyNot"];
    assert_eq!((&daemon[0]["reason"], daemon.as_array().unwrap().len()), (&json!("daemon-set"), 1), "{daemon}");
    // Only a pod with a controller comes back after an eviction.
    assert_eq!((&found[&*database]["wouldRunOn"], &document["gain"]), (&json!("node-1"), &json!(1)));

    explained_by_why(cluster);
    // The causes of the first 20 pods with a wrong scheduler are asked, so those of this namespace if there is no other one.
    let document = super::cluster::document(&cluster.run(&format!("locality -n {NAMESPACE} -o json")));
    let own = document["notLocal"].as_array().unwrap().iter().find(|pod| pod["name"] == "wrong-scheduler").unwrap();
    let why = cluster.run(&format!("why pod/wrong-scheduler -n {NAMESPACE} -o json"));
    let why: Value = serde_json::from_str(&why.out).unwrap();
    let text =
        format!("it has the scheduler default-scheduler instead of stork ({})", why["verdict"].as_str().unwrap());
    assert_eq!(own["whyNot"][0]["text"], text);
    assert_eq!(why["where"], json!({"node": "node-2", "replicas": ["node-1"], "locality": "remote"}));
}

/// `colocate why` shows where a pod is, and where its data is.
fn explained_by_why(cluster: &Cluster) {
    for (pod, line) in [
        ("unexplained", "WHERE node node-2 · replicas node-1 -> remote"),
        ("no-common-node", "WHERE node node-3 · replicas node-1, node-2 -> remote"),
        ("no-healthy-replica", "WHERE node node-2 · replicas - -> remote"),
    ] {
        let run = cluster.run(&format!("why pod/{pod} -n {NAMESPACE}"));
        let is_there = run.out.lines().any(|own| own == line);
        assert!(is_there, "{pod}: {line}\n{}{}", run.out, run.err);
    }
}

/// The claim `static` has no class, and nothing but its volume names the driver.
fn claim(volume: &Volume) -> [Creation; 2] {
    let [mut claim, mut bound] = objects::claim(volume);
    if volume.claim == "static" {
        claim.object["spec"]["storageClassName"] = "".into();
        bound.object["spec"]["storageClassName"] = "".into();
        bound.object["metadata"].as_object_mut().unwrap().remove("annotations");
    }
    [claim, bound]
}

/// Fills a node with one pod.
fn fill(cluster: &Cluster) {
    let node = background_get(cluster, &format!("/api/v1/nodes/{}", node_name(FULL)));
    let mut pod = bare_pod(NAMESPACE, "filler", "none", &[]);
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": node["status"]["allocatable"]["cpu"]}});
    cluster.create([Creation { path: format!("/api/v1/namespaces/{NAMESPACE}/pods"), object: pod, status: None }]);
    cluster.bind([(NAMESPACE, "filler", FULL)]);
}

/// Creates a Deployment whose pod is not where its data is, and returns the name of that pod.
fn bound_database(cluster: &Cluster) -> String {
    let within = cluster.control_plane.kubectl().within(NAMESPACE);
    let labels = json!({"app": "database"});
    let spec = bare_pod(NAMESPACE, "database", "stork", &["one"])["spec"].take();
    let template = json!({"metadata": {"labels": labels}, "spec": spec});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "database"}, "spec": {"selector": {"matchLabels": labels}, "template": template}});
    within.feed("create -f -", &deployment.to_string());
    let name = within.watch("pods -l app=database", |pod| Some(pod.name().to_owned()));
    cluster.bind([(NAMESPACE, &*name, 2)]);
    name
}

/// Creates a DaemonSet whose one pod is not where its data is, and returns the name of that pod.
fn bound_daemon(cluster: &Cluster) -> String {
    let within = cluster.control_plane.kubectl().within(NAMESPACE);
    let labels = json!({"app": "daemon"});
    let mut spec = bare_pod(NAMESPACE, "daemon", "stork", &["one"])["spec"].take();
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": "node-2"});
    let template = json!({"metadata": {"labels": labels}, "spec": spec});
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "daemon"}, "spec": {"selector": {"matchLabels": labels}, "template": template}});
    within.feed("create -f -", &set.to_string());
    let name = within.watch("pods -l app=daemon", |pod| Some(pod.name().to_owned()));
    cluster.bind([(NAMESPACE, &*name, 2)]);
    name
}

/// Creates a replica until it is younger than the pod. Times in Kubernetes have a resolution of one second.
fn create_a_younger_replica(cluster: &Cluster, volume: &Volume) {
    let kubectl = cluster.control_plane.kubectl();
    let pod = background_get(cluster, &format!("/api/v1/namespaces/{NAMESPACE}/pods/replica-younger"));
    let created = pod["metadata"]["creationTimestamp"].as_str().unwrap().to_owned();
    let moved = Volume { replicas: vec![(1, true)], ..volume.clone() };
    let name = format!("{}-r-0", handle(volume));
    let began = Instant::now();
    loop {
        cluster.create(objects::custom_resources(&moved));
        let replica = kubectl.object(&format!("get localvolumereplicas.hwameistor.io {name}"));
        if replica.text("/metadata/creationTimestamp") > &*created {
            return;
        }
        assert!(began.elapsed() < WAIT_TIMEOUT, "the replica is not younger than {created}");
        kubectl.run(&format!("delete localvolumereplicas.hwameistor.io {name}"));
    }
}

fn background_get(cluster: &Cluster, path: &str) -> Value {
    colocate_harness::background().block_on(cluster.api.get(path)).object.0
}
