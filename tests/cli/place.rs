//! `colocate place` on scripted clusters: the answers of the extender, and what is wrong if there is none.

use colocate_harness::{ApiServer, Folder, Run};
use serde_json::{Value, json};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const POD: &str = "/api/v1/namespaces/db/pods/mysql-0";
const CLAIMS: &str = "/api/v1/namespaces/db/persistentvolumeclaims";
const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const NAMESPACE: &str = "/api/v1/namespaces/db";
const NODES: &str = "/api/v1/nodes";
const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const FILTER: &str = "/api/v1/namespaces/kube-system/services/stork-service:8099/proxy/filter";
const PRIORITIZE: &str = "/api/v1/namespaces/kube-system/services/stork-service:8099/proxy/prioritize";
const GATEWAY_NODES: &str = "/api/v1/namespaces/portworx/services/portworx-api:9021/proxy/v1/nodes/filters";
const GATEWAY_VOLUMES: &str =
    "/api/v1/namespaces/portworx/services/portworx-api:9021/proxy/v1/volumes/inspectwithfilters";

type Objects = Vec<(&'static str, Value)>;

fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
}

/// Three nodes. The volume of the claim `data-mysql-0` has its data on n1; the extender refuses n3.
fn cluster() -> Objects {
    let pod = json!({
        "metadata": {"name": "mysql-0", "namespace": "db", "uid": "1"},
        "spec": {
            "schedulerName": "stork", "nodeName": "n2",
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-mysql-0"}}],
        },
        "status": {"phase": "Running"},
    });
    let claim = |name: &str, class: &str| json!({"metadata": {"name": name, "namespace": "db"}, "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"]}});
    let class = |name: &str, provisioner: &str| json!({"metadata": {"name": name}, "provisioner": provisioner});
    let volume = json!({
        "metadata": {"name": "pv", "annotations": {"pv.kubernetes.io/provisioned-by": "pxd.portworx.com"}},
        "spec": {
            "csi": {"driver": "pxd.portworx.com", "volumeHandle": "1"},
            "claimRef": {"namespace": "db", "name": "data-mysql-0"},
        },
        "status": {"phase": "Bound"},
    });
    let node = |name: &str| json!({"metadata": {"name": name}, "status": {"images": [{"names": ["large"]}]}});
    let storage_node = |name: &str| json!({"id": name, "scheduler_node_name": name, "status": "STATUS_OK"});
    let replicas = json!({"volumes": [{"volume": {"id": "1", "replica_sets": [{"nodes": ["n1"]}]}}]});
    let (passing, storage_nodes) = (["n1", "n2"].map(node), ["n1", "n2", "n3"].map(storage_node));
    vec![
        (REVIEWS, json!({"status": {"allowed": true}})),
        (POD, pod),
        (CLAIMS, list(&[claim("data-mysql-0", "px-db"), claim("other", "other")])),
        (VOLUMES, list(&[volume])),
        (CLASSES, list(&[class("px-db", "pxd.portworx.com"), class("other", "other.example.com")])),
        (NAMESPACE, json!({"metadata": {"name": "db"}})),
        (NODES, list(&["n1", "n2", "n3"].map(node))),
        (WEBHOOKS, list(&[])),
        (FILTER, json!({"Nodes": {"items": passing}, "FailedNodes": {"n3": "storage is offline"}})),
        (PRIORITIZE, json!([{"Host": "n1", "Score": 100}, {"Host": "n2", "Score": 5}])),
        (GATEWAY_NODES, json!({ "nodes": storage_nodes })),
        (GATEWAY_VOLUMES, replicas),
    ]
}

fn without(path: &str) -> Objects {
    cluster().into_iter().filter(|(own, _)| *own != path).collect()
}

const STATEFUL_SET: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: mysql, namespace: db}
spec:
  template: {spec: {containers: []}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: px-db}}]
---
apiVersion: v1
kind: Service
metadata: {name: mysql, namespace: db}
";

fn run_on(objects: &Objects, otherwise: u16, arguments: &str) -> Run {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {volumes: [{name: d, persistentVolumeClaim: {claimName: CLAIM}}]}}";
    let [other, missing] = ["other", "missing"].map(|claim| pod.replace("CLAIM", claim));
    let folder = Folder::new(&[
        ("mysql.yaml", STATEFUL_SET),
        ("other.yaml", &other),
        ("missing.yaml", &missing),
        ("no-extender.yaml", "drivers: [{name: portworx, locality: []}]"),
    ]);
    ApiServer::new(objects, otherwise).run_command(&folder, arguments)
}

/// Returns the document, which matches its schema.
fn document(run: &Run) -> Value {
    let document: Value =
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err));
    let schema: Value = serde_json::from_str(include_str!("../../docs/schemas/place.json")).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    document
}

#[test]
fn each_node_has_the_answers_of_the_extender_and_its_data() {
    let nodes = json!([
        {"node": "n1", "passes": true, "why": null, "score": 100, "locality": "local"},
        {"node": "n2", "passes": true, "why": null, "score": 5, "locality": "remote"},
        {"node": "n3", "passes": false, "why": "storage is offline", "score": null, "locality": "remote"},
    ]);
    // The first pod of the StatefulSet has the same claim.
    for (arguments, scheduler) in
        [("mysql-0 -n db", "stork"), ("pod/mysql-0 -n db", "stork"), ("-f mysql.yaml", "default-scheduler")]
    {
        let document = document(&run_on(&cluster(), 404, &format!("place {arguments} -o json")));
        assert_eq!(document["nodes"], nodes, "{arguments}");
        assert_eq!(document["pod"], json!({"namespace": "db", "name": "mysql-0", "scheduler": scheduler}));
        assert_eq!((&document["driver"], &document["scheduler"]), (&json!("portworx"), &json!("stork")));
    }
    let run = run_on(&cluster(), 404, "place -f mysql.yaml");
    assert_eq!(run.out, include_str!("place/text.txt"), "\n{}", run.out);
}

#[test]
fn nothing_is_created() {
    let server = ApiServer::new(&cluster(), 404);
    server.run_command(&Folder::new(&[("mysql.yaml", STATEFUL_SET)]), "place -f mysql.yaml");
    let asked = server.asked();
    let is_proxied = |path: &&String| path.contains("/proxy/");
    // The extender is asked in two namespaces, because the first one does not have it.
    assert_eq!(asked.iter().filter(is_proxied).count(), 6, "{asked:?}");
    let reads = [CLAIMS, VOLUMES, CLASSES, NAMESPACE, NODES, WEBHOOKS, REVIEWS, "/apis/apps/v1/deployments"];
    for path in asked.iter().filter(|path| !is_proxied(path)) {
        assert!(reads.contains(&path.as_str()), "{path}");
    }
}

#[test]
fn without_the_layout_the_answers_remain() {
    // A score of 100 for each volume shows the data, as for `colocate locality`.
    for (score, expected) in
        [(100, [json!("local"), json!("remote"), json!("remote")]), (50, [json!(null), json!(null), json!(null)])]
    {
        let mut objects = without(GATEWAY_VOLUMES);
        let scores = objects.iter_mut().find(|(path, _)| *path == PRIORITIZE).unwrap();
        scores.1[0]["Score"] = score.into();
        let document = document(&run_on(&objects, 404, "place mysql-0 -n db -o json"));
        let localities: Vec<_> =
            document["nodes"].as_array().unwrap().iter().map(|node| node["locality"].clone()).collect();
        assert_eq!(localities, expected, "{score}");
        assert_eq!(document["nodes"][0]["score"], score);
    }
    let document = document(&run_on(&without(GATEWAY_VOLUMES), 404, "place mysql-0 -n db -o json"));
    assert_eq!(document["notSeen"][0]["resource"], "services/proxy");
}

#[test]
fn errors_say_what_is_missing() {
    for (path, otherwise, arguments, expected) in [
        (POD, 404, "mysql-0 -n db", "Pod db/mysql-0 does not exist: check the name and the namespace (-n)"),
        (POD, 403, "mysql-0 -n db", "Pod db/mysql-0 cannot be read (grant the verb `get` on `pods`)"),
        (NODES, 403, "mysql-0 -n db", "nodes cannot be listed (grant the verb `list` on `nodes`)"),
        (FILTER, 404, "mysql-0 -n db", "there is no Service stork-service in namespace portworx or kube-system"),
        (
            PRIORITIZE,
            403,
            "mysql-0 -n db",
            "missing permission to create services/proxy stork-service:8099 in portworx",
        ),
        ("", 404, "-f other.yaml -n db", "no claim of the pod belongs to a configured driver"),
        ("", 404, "-f missing.yaml -n db", "the driver of claim `missing` is not known: check that the claim and its"),
        ("", 404, "-f mysql.yaml other.yaml", "more than one pod or workload (StatefulSet mysql, Pod a): name a file"),
        ("", 404, "mysql-0 -n db --config no-extender.yaml", "driver portworx has no extender: set `locality: [{kind:"),
    ] {
        let run = run_on(&without(path), otherwise, &format!("place {arguments}"));
        assert!(run.err.contains(expected), "{arguments}: {}{}", run.out, run.err);
        assert_eq!(run.code, Some(1), "{arguments}");
    }
    for arguments in ["place", "place a -f mysql.yaml", "place A/b"] {
        assert_eq!(run_on(&cluster(), 404, arguments).code, Some(2), "{arguments}");
    }
    let mut wrong = cluster();
    wrong.iter_mut().find(|(path, _)| *path == PRIORITIZE).unwrap().1 = json!({"Host": "n1"});
    let run = run_on(&wrong, 404, "place mysql-0 -n db");
    assert!(run.err.contains("cannot decode the response of extender stork-service to /prioritize"), "{}", run.err);
}
