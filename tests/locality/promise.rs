//! The promise, end to end: pods run on the nodes that hold their data.
//!
//! Two kube-schedulers place the pods: one without an extender, and one with the profile `stork` and the extender. Half of the pods
//! are created in a namespace of colocate, and half in one without it.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Instant;

use colocate_harness::{Colocate, Namespace, Namespaces, WAIT_TIMEOUT, background};
use serde_json::Value;

use super::cluster::{Cluster, document};
use super::objects::{self, Creation, bare_pod, node_name};
use super::world::{Driver, NODES, Sharing, Volume};

/// The number of pods in each namespace.
const PODS: usize = 200;

/// The number of replicas of each volume.
const REPLICAS: usize = 2;

/// The configuration of Stork's kube-scheduler, as Portworx documents it, except for the address.
const EXTENDER: &str = "
extenders:
- urlPrefix: http://ADDRESS
  filterVerb: filter
  prioritizeVerb: prioritize
  weight: 5
  enableHTTPS: false
  nodeCacheCapable: false
";

pub(crate) fn pods_run_with_their_data(cluster: &Cluster) {
    let control_plane = &cluster.control_plane;
    let [with, without] = ["with-colocate", "without-colocate"].map(|name| Namespace::within(control_plane, name));
    let colocate = Colocate::start(control_plane, with.name(), "");
    colocate.admit(with.kubectl(), Namespaces::Only(&[with.name()]));
    let _schedulers = [
        start_scheduler(cluster, "default-scheduler", ""),
        start_scheduler(cluster, "stork", &EXTENDER.replace("ADDRESS", &cluster.stub.extender.to_string())),
    ];
    let volumes: Vec<_> =
        [&with, &without].into_iter().flat_map(|namespace| (0..PODS).map(|number| volume(namespace, number))).collect();
    teach(cluster, &volumes);
    cluster.create(volumes.iter().flat_map(objects::claim));
    let began = Instant::now();
    // The pods of both namespaces take turns.
    let pods = (0..PODS).flat_map(|number| [&with, &without].map(|namespace| pod(namespace, number)));
    cluster.create(pods);
    let shares = [&with, &without].map(|namespace| share(cluster, namespace));
    println!(
        "| {PODS} pods each, {REPLICAS} of {NODES} nodes with their data | run with their data | share |\n|---|---|---|"
    );
    for (name, local) in ["with colocate", "without colocate"].into_iter().zip(shares) {
        println!("| {name} | {local} | {}.{} % |", 100 * local / PODS, 1_000 * local / PODS % 10);
    }
    println!("placed in {:.1?}", began.elapsed());
    let [with_colocate, without_colocate] = shares;
    assert_eq!(with_colocate, PODS, "colocate gives each pod to Stork, and Stork prefers nodes with its data");
    assert!(without_colocate < PODS / 4, "the default scheduler does not know where the data is");
}

/// The name of the volume's claim is that of its pod.
fn volume(namespace: &Namespace, number: usize) -> Volume {
    let name = if namespace.name() == "with-colocate" { "with-colocate" } else { "without-colocate" };
    // Nodes 36 to 40 are cordoned, tainted, full, offline, or have no name in Portworx.
    let nodes = [1 + number % 35, 1 + (number * 7 + 3) % 35];
    let mut replicas: Vec<_> = nodes.into_iter().map(|node| (node, true)).collect();
    if nodes[0] == nodes[1] {
        replicas[1].0 = 1 + (nodes[0] % 35);
    }
    Volume {
        driver: Driver::Portworx,
        namespace: name,
        claim: format!("{name}-{number}"),
        replicas,
        phantom: 1,
        listed: true,
        sharing: Sharing::One,
    }
}

/// Lets the gateway and the extender know the volumes.
fn teach(cluster: &Cluster, volumes: &[Volume]) {
    let body = objects::gateway_volumes(cluster.world.volumes.iter().chain(volumes)).to_string();
    let scores: Vec<_> = volumes
        .iter()
        .map(|volume| {
            let nodes = volume.replicas.iter().map(|(node, _)| node_name(*node)).collect();
            (format!("{}/{}", volume.namespace, volume.claim), nodes)
        })
        .collect();
    cluster.stub.change(|answers| {
        answers.volumes.body = body;
        answers.scores.extend(scores);
    });
}

/// A pod whose owner does not know about schedulers.
fn pod(namespace: &Namespace, number: usize) -> Creation {
    let claim = format!("{}-{number}", namespace.name());
    let mut object = bare_pod(namespace.name(), &claim, "", &[&claim]);
    object["spec"].as_object_mut().unwrap().remove("schedulerName");
    Creation { path: format!("/api/v1/namespaces/{}/pods", namespace.name()), object, status: None }
}

/// Waits until all pods of a namespace run, and returns the number of those that run with their data, as colocate counts them.
/// Compares it with the nodes of the pods.
fn share(cluster: &Cluster, namespace: &Namespace) -> usize {
    let began = Instant::now();
    let path = format!("/api/v1/namespaces/{}/pods", namespace.name());
    let pods = loop {
        let list = background().block_on(cluster.api.get(&path)).object.0;
        let pods = list["items"].as_array().unwrap().clone();
        if pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count() == PODS {
            break pods;
        }
        assert!(began.elapsed() < 2 * WAIT_TIMEOUT, "the pods of {} are not placed", namespace.name());
    };
    let is_local = |pod: &&Value| {
        let number: usize = pod["metadata"]["name"].as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
        let replicas = volume(namespace, number).replicas;
        replicas.iter().any(|(node, _)| pod["spec"]["nodeName"] == *node_name(*node))
    };
    let local = pods.iter().filter(is_local).count();
    let document = document(&cluster.run(&format!("locality -n {} -o json", namespace.name())));
    assert_eq!(document["pods"]["local"], local, "{}", namespace.name());
    assert_eq!(document["pods"]["remote"], PODS - local, "{}", namespace.name());
    local
}

/// A kube-scheduler that ends with this value.
struct Scheduler(Child);

impl Drop for Scheduler {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Starts a kube-scheduler with one profile.
fn start_scheduler(cluster: &Cluster, profile: &str, extenders: &str) -> Scheduler {
    let control_plane = &cluster.control_plane;
    let kubeconfig = control_plane.dir().join("kube-scheduler.kubeconfig").display().to_string();
    let config = format!(
        "apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {{kubeconfig: {kubeconfig:?}, qps: 1000, burst: 2000}}
leaderElection: {{leaderElect: false}}
profiles: [{{schedulerName: {profile}}}]
{extenders}"
    );
    let path = control_plane.dir().join(format!("{profile}.yaml"));
    fs::write(&path, config).expect("the folder is writable");
    let mut command = control_plane.command(&control_plane.programs.join("controlplane"));
    command.arg("kube-scheduler").arg(format!("--config={}", path.display()));
    // It needs no port: nothing reads its metrics.
    command.args(["--secure-port=0", "--v=0"]).stdout(Stdio::null()).stderr(Stdio::null());
    Scheduler(command.spawn().expect("the control plane was built"))
}
