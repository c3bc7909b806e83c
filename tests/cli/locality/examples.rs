//! The examples of docs/configuration.md, each run against a cluster that has what it names.

use std::collections::BTreeMap;

use colocate_harness::{ApiServer, Folder, repository};
use serde_json::{Value, json};

use super::{
    CLAIMS, CLASSES, NAMESPACES, NODES, Objects, PODS, REVIEWS, VOLUMES, WEBHOOKS, claim, document, list, node, pod,
    volume,
};

const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// A local volume that nothing provisioned.
fn by_hand(name: &str) -> Value {
    let mut volume = volume(name, NO_PROVISIONER);
    let spec = volume["spec"].as_object_mut().unwrap();
    spec.remove("csi");
    spec.insert("local".to_owned(), json!({"path": "/mnt/disk"}));
    volume["metadata"].as_object_mut().unwrap().remove("annotations");
    volume
}

/// The proxied path of a Service in the namespace `portworx`.
fn proxied(service: &str, path: &str) -> String {
    format!("/api/v1/namespaces/portworx/services/{service}/proxy{path}")
}

/// Returns the examples of the sections about sources and about drivers without a scheduler.
fn examples() -> Vec<String> {
    let page = std::fs::read_to_string(repository("docs/configuration.md")).unwrap();
    let sections = [("### Where volumes have their data", "\n## "), ("### Drivers without a scheduler", "\n### ")];
    let blocks = sections.iter().flat_map(|(begin, end)| {
        let section = page.split(begin).nth(1).expect("the section exists").split(end).next().unwrap();
        section.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned())
    });
    blocks.collect()
}

/// The provisioners of the drivers in an example, by the names of the drivers.
fn drivers(example: &str) -> BTreeMap<String, String> {
    let config: Value = yaml_serde::from_str(example).unwrap();
    let driver = |driver: &Value| {
        let provisioner = driver["provisioners"][0].as_str().unwrap_or("pxd.portworx.com");
        (driver["name"].as_str().unwrap().to_owned(), provisioner.to_owned())
    };
    config["drivers"].as_array().unwrap().iter().map(driver).collect()
}

/// A cluster in which all data of these drivers is on n2. Each driver has a pod there, and one on n1.
fn cluster(drivers: &BTreeMap<String, String>) -> Vec<(String, Value)> {
    let (mut pods, mut claims, mut volumes, mut classes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (name, provisioner) in drivers {
        for at in ["n1", "n2"] {
            pods.push(pod(&format!("{name}-{at}"), "default-scheduler", at, &[name]));
        }
        claims.push(claim(name, name, "ReadWriteOnce"));
        volumes.push(if provisioner == NO_PROVISIONER { by_hand(name) } else { volume(name, provisioner) });
        classes.push(json!({"metadata": {"name": name}, "provisioner": provisioner}));
    }
    let objects: Objects = vec![
        (REVIEWS, json!({"status": {"allowed": true}})),
        (PODS, list(&pods)),
        (CLAIMS, list(&claims)),
        (VOLUMES, list(&volumes)),
        (CLASSES, list(&classes)),
        (NAMESPACES, list(&[json!({"metadata": {"name": "db", "labels": {}}})])),
        (NODES, list(&[node("n1", false), node("n2", false)])),
        (WEBHOOKS, list(&[])),
    ];
    let mut objects: Vec<_> = objects.into_iter().map(|(path, object)| (path.to_owned(), object)).collect();
    for name in drivers.keys() {
        objects.extend(storage(name));
    }
    objects
}

/// The responses of the storage systems about the volume `id-NAME`.
fn storage(name: &str) -> Vec<(String, Value)> {
    let id = format!("id-{name}");
    let resource = |path: &str, object: Value| vec![(path.to_owned(), list(&[object]))];
    let secret = json!({"metadata": {"name": "px-user-token"}, "data": {"auth-token": "dG9rZW4="}});
    let nodes = json!({"nodes": [{"id": "a", "scheduler_node_name": "n2", "status": "STATUS_OK"}]});
    let volumes = json!({"volumes": [{"volume": {"id": id, "replica_sets": [{"nodes": ["a"]}]}}]});
    let filter = json!({"NodeNames": ["n1", "n2"]});
    let scores = json!([{"Host": "n1", "Score": 5}, {"Host": "n2", "Score": 100}]);
    match name {
        "longhorn" => resource(
            "/apis/longhorn.io/v1beta2/replicas",
            json!({"metadata": {}, "spec": {"volumeName": id, "nodeID": "n2", "healthyAt": "2026-11-30T00:00:00Z"}}),
        ),
        "hwameistor" => resource(
            "/apis/hwameistor.io/v1alpha1/localvolumereplicas",
            json!({"metadata": {}, "spec": {"volumeName": id, "nodeName": "n2"}, "status": {"state": "Ready"}}),
        ),
        "topolvm" => resource(
            "/apis/topolvm.io/v1/logicalvolumes",
            json!({"metadata": {}, "spec": {"nodeName": "n2"}, "status": {"volumeID": id}}),
        ),
        "openebs-lvm" => resource(
            "/apis/local.openebs.io/v1alpha1/lvmvolumes",
            json!({"metadata": {"name": id}, "spec": {"ownerNodeID": "n2"}, "status": {"state": "Ready"}}),
        ),
        "linstor" => [
            vec![("/apis/internal.linstor.linbit.com".to_owned(), json!({"preferredVersion": {"version": "v1-27-1"}}))],
            resource(
                "/apis/internal.linstor.linbit.com/v1-27-1/resources",
                json!({"metadata": {}, "spec": {"resource_name": id.to_uppercase(), "node_name": "N2", "resource_flags": 0, "snapshot_name": ""}}),
            ),
        ]
        .concat(),
        "example" => resource(
            "/apis/storage.example.com/v1/replicas",
            json!({"metadata": {}, "spec": {"volumeName": id, "nodeName": "n2"}, "status": {"state": "Ready"}}),
        ),
        "local" => Vec::new(),
        "portworx" => [
            ("/api/v1/namespaces/portworx/secrets/px-user-token".to_owned(), secret),
            (proxied("https:portworx-api:9021", "/v1/nodes/filters"), nodes.clone()),
            (proxied("https:portworx-api:9021", "/v1/volumes/inspectwithfilters"), volumes.clone()),
            (proxied("portworx-api:9021", "/v1/nodes/filters"), nodes),
            (proxied("portworx-api:9021", "/v1/volumes/inspectwithfilters"), volumes),
            (proxied("stork-service:8099", "/filter"), filter),
            (proxied("stork-service:8099", "/prioritize"), scores),
        ]
        .into(),
        other => panic!("the example of driver {other} is not run: add what its storage answers"),
    }
}

fn run(example: &str, objects: &[(String, Value)]) -> Value {
    let folder = Folder::new(&[("own.yaml", example)]);
    let objects: Vec<_> = objects.iter().map(|(path, object)| (&**path, object.clone())).collect();
    document(&ApiServer::new(&objects, 404).run_command(&folder, "locality -o json --by driver --config own.yaml"))
}

/// Asserts that of each driver one pod is local and one is remote, and returns the sources.
fn sources(example: &str, document: &Value) -> Vec<String> {
    let expected: Vec<_> = drivers(example).into_keys().map(|name| (name, json!(1), json!(1), json!(0))).collect();
    let groups = document["shares"]["groups"].as_array().unwrap().iter();
    let found = groups.map(|group| {
        let name = group["driver"].as_str().unwrap().to_owned();
        (name, group["local"].clone(), group["remote"].clone(), group["unknown"].clone())
    });
    assert_eq!(found.collect::<Vec<_>>(), expected, "{example}\n{document:#}");
    let sources = document["sources"].as_array().unwrap().iter();
    sources.map(|row| row["source"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_documented_source_shows_where_pods_are() {
    let mut seen = Vec::new();
    for example in examples() {
        let objects = cluster(&drivers(&example));
        let document = run(&example, &objects);
        assert_eq!(document["notSeen"], json!([]), "{example}");
        seen.extend(sources(&example, &document));
        if example.contains("kind: extender") {
            let rest: Vec<_> = objects.into_iter().filter(|(path, _)| !path.contains("portworx-api")).collect();
            seen.extend(sources(&example, &run(&example, &rest)));
        }
    }
    seen.sort();
    seen.dedup();
    let expected = [
        "Service portworx-api",
        "extender stork-service",
        "localvolumereplicas.hwameistor.io",
        "logicalvolumes.topolvm.io",
        "lvmvolumes.local.openebs.io",
        "node affinity",
        "replicas.longhorn.io",
        "replicas.storage.example.com",
        "resources.internal.linstor.linbit.com",
    ];
    assert_eq!(seen, expected);
}
