//! `colocate locality` on scripted clusters: its numbers and reasons, its formats, its exit codes, and what it cannot read.

mod examples;
mod gain;
mod memory;
mod reasons;
mod schedulers;
mod sources;
mod unknowns;

use colocate_harness::{ApiServer, Folder, Run};
use serde_json::{Value, json};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const PODS: &str = "/api/v1/pods";
const CLAIMS: &str = "/api/v1/persistentvolumeclaims";
const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const NAMESPACES: &str = "/api/v1/namespaces";
const NODES: &str = "/api/v1/nodes";
const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const REPLICAS: &str = "/apis/longhorn.io/v1beta2/replicas";
const RESOURCES: &str = "/apis/internal.linstor.linbit.com/v1-27-1/resources";
const GATEWAY_NODES: &str = "/api/v1/namespaces/portworx/services/portworx-api:9021/proxy/v1/nodes/filters";
const GATEWAY_VOLUMES: &str =
    "/api/v1/namespaces/portworx/services/portworx-api:9021/proxy/v1/volumes/inspectwithfilters";

/// Four drivers, each with another source. Longhorn and the local volumes have no scheduler.
const CONFIG: &str = "
drivers:
- name: portworx
- {name: longhorn, provisioners: [driver.longhorn.io], locality: [{kind: customResource, name: longhorn}]}
- {name: linstor, provisioners: [linstor.csi.linbit.com], scheduler: linstor-scheduler}
- {name: local, provisioners: [local.example.com], locality: [{kind: nodeAffinity}]}
";

type Objects = Vec<(&'static str, Value)>;

fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
}

/// A running pod that a `ReplicaSet` of the Deployment `web` controls.
fn pod(name: &str, scheduler: &str, node: &str, claims: &[&str]) -> Value {
    let volumes: Vec<_> = claims
        .iter()
        .map(|claim| json!({"name": format!("v-{claim}"), "persistentVolumeClaim": {"claimName": claim}}))
        .collect();
    json!({
        "metadata": {
            "name": name, "namespace": "db", "uid": name, "creationTimestamp": "2026-11-30T00:00:00Z",
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            "labels": {"pod-template-hash": "5d4"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4", "uid": "1", "controller": true}],
        },
        "spec": {"schedulerName": scheduler, "nodeName": node, "volumes": volumes},
        "status": {"phase": "Running"},
    })
}

fn claim(name: &str, class: &str, mode: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "db"}, "spec": {"storageClassName": class, "accessModes": [mode], "volumeName": format!("pv-{name}")}})
}

/// A volume that a claim is bound to. Volumes of drivers with replicas can be accessed from all nodes, the others from n2.
fn volume(claim: &str, driver: &str) -> Value {
    let terms = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}]}]);
    let has_replicas = [PX, "driver.longhorn.io", "linstor.csi.linbit.com"].contains(&driver);
    let affinity = if has_replicas { Value::Null } else { json!({"required": {"nodeSelectorTerms": terms}}) };
    json!({
        "metadata": {"name": format!("pv-{claim}"), "annotations": {"pv.kubernetes.io/provisioned-by": driver}},
        "spec": {
            "csi": {"driver": driver, "volumeHandle": format!("id-{claim}")},
            "claimRef": {"namespace": "db", "name": claim},
            "nodeAffinity": affinity,
        },
        "status": {"phase": "Bound"},
    })
}

fn node(name: &str, is_cordoned: bool) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {"unschedulable": is_cordoned},
        "status": {"allocatable": {"pods": "20"}},
    })
}

const PX: &str = "pxd.portworx.com";

/// The claims of Portworx, with the nodes of their replicas.
const LAYOUT: [(&str, &[&str]); 8] = [
    ("a", &["n1", "n2"]),
    ("b", &["n1", "n2"]),
    ("c", &["n1"]),
    ("d", &["n2"]),
    ("e", &["n3"]),
    ("shared", &["n1"]),
    ("down", &["n5"]),
    ("unnamed", &["n6"]),
];

/// A cluster with a pod for each case. Node n3 is cordoned, the storage of n5 is offline, and Portworx does not know the name of n6.
fn cluster() -> Objects {
    let mut opted_out = pod("opted-out", "stork", "n4", &["b"]);
    opted_out["metadata"]["annotations"] = json!({"stork.libopenstorage.org/disableHyperconvergence": "true"});
    let mut ended = pod("ended", "stork", "n4", &["a"]);
    ended["status"]["phase"] = "Succeeded".into();
    let mut pending = pod("pending", "stork", "", &["a"]);
    pending["status"]["phase"] = "Pending".into();
    let pods = [
        pod("local", "stork", "n1", &["a"]),
        pod("wrong", "default-scheduler", "n4", &["b"]),
        pod("partly", "stork", "n1", &["c", "d"]),
        pod("cordoned", "stork", "n4", &["e"]),
        pod("shared", "stork", "n4", &["shared"]),
        pod("down", "stork", "n5", &["down"]),
        opted_out,
        pod("unlisted", "stork", "n1", &["unlisted"]),
        pod("unnamed", "stork", "n1", &["unnamed"]),
        pod("absent", "stork", "n1", &["absent"]),
        pod("lh-local", "default-scheduler", "n1", &["lh"]),
        pod("lh-remote", "default-scheduler", "n3", &["lh"]),
        pod("linstor-diskless", "linstor-scheduler", "n3", &["li"]),
        pod("local-local", "default-scheduler", "n2", &["lo"]),
        pod("other", "default-scheduler", "n1", &["other"]),
        pod("plain", "default-scheduler", "n1", &[]),
        ended,
        pending,
    ];
    let portworx = LAYOUT.iter().map(|(claim, _)| *claim).chain(["unlisted"]);
    let mut claims: Vec<_> = portworx
        .clone()
        .map(|name| claim(name, "px-db", if name == "shared" { "ReadWriteMany" } else { "ReadWriteOnce" }))
        .collect();
    let mut volumes: Vec<_> = portworx.map(|name| volume(name, PX)).collect();
    let others = [
        ("lh", "longhorn", "driver.longhorn.io"),
        ("li", "linstor", "linstor.csi.linbit.com"),
        ("lo", "local", "local.example.com"),
        ("other", "other", "other.example.com"),
    ];
    let mut classes = vec![json!({"metadata": {"name": "px-db"}, "provisioner": PX})];
    for (name, class, driver) in others {
        claims.push(claim(name, class, "ReadWriteOnce"));
        volumes.push(volume(name, driver));
        classes.push(json!({"metadata": {"name": class}, "provisioner": driver}));
    }
    // A volume of a claim of the same name that was deleted.
    let mut released = volume("a", PX);
    released["spec"]["csi"]["volumeHandle"] = "id-e".into();
    released["status"]["phase"] = "Released".into();
    volumes.push(released);

    let storage_node = |name: &str, status: &str| json!({"id": format!("node-{name}"), "scheduler_node_name": name, "status": status, "mem_total": "1"});
    let storage_nodes = [
        storage_node("n1", "STATUS_OK"),
        storage_node("n2", "STATUS_OK"),
        storage_node("n3", "STATUS_OK"),
        storage_node("n5", "STATUS_OFFLINE"),
    ];
    let inspected = LAYOUT.iter().map(|(claim, nodes)| {
        let nodes: Vec<_> = nodes.iter().map(|node| format!("node-{node}")).collect();
        let locator = json!({"name": format!("pv-{claim}")});
        json!({"volume": {"id": format!("id-{claim}"), "locator": locator, "replica_sets": [{"nodes": nodes}]}})
    });
    let replica = |node: &str, healthy_at: &str| json!({"metadata": {"name": node, "namespace": "longhorn-system"}, "spec": {"volumeName": "id-lh", "nodeID": node, "healthyAt": healthy_at, "failedAt": ""}});
    let resource = |node: &str, flags: u32| json!({"metadata": {"name": node}, "spec": {"node_name": node, "resource_name": "ID-LI", "resource_flags": flags, "snapshot_name": ""}});
    let nodes: Vec<_> = ["n1", "n2", "n3", "n4", "n5"].map(|name| node(name, name == "n3")).into();
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]);
    let hook = json!({"name": "pods.mutate.colocate", "failurePolicy": "Ignore", "rules": rules});
    vec![
        (REVIEWS, json!({"status": {"allowed": true}})),
        (PODS, list(&pods)),
        (CLAIMS, list(&claims)),
        (VOLUMES, list(&volumes)),
        (CLASSES, list(&classes)),
        (NAMESPACES, list(&[json!({"metadata": {"name": "db", "labels": {"kubernetes.io/metadata.name": "db"}}})])),
        (NODES, list(&nodes)),
        (WEBHOOKS, list(&[json!({"metadata": {"name": "zz-colocate"}, "webhooks": [hook]})])),
        (GATEWAY_NODES, json!({ "nodes": storage_nodes })),
        (GATEWAY_VOLUMES, json!({"volumes": inspected.collect::<Vec<_>>()})),
        (REPLICAS, list(&[replica("n1", "2026-11-30T00:00:00Z"), replica("n3", "")])),
        ("/apis/internal.linstor.linbit.com", json!({"preferredVersion": {"version": "v1-27-1"}})),
        (RESOURCES, list(&[resource("N1", 0), resource("N3", 260)])),
    ]
}

fn run_on(objects: &Objects, otherwise: u16, arguments: &str) -> Run {
    let folder = Folder::new(&[("own.yaml", CONFIG)]);
    ApiServer::new(objects, otherwise).run_command(&folder, &format!("{arguments} --config own.yaml"))
}

/// Returns the document of a run, which matches its schema.
fn document(run: &Run) -> Value {
    let document = serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err));
    document_of(&document).clone()
}

/// Returns a document after comparing it with its schema.
fn document_of(document: &Value) -> &Value {
    let schema: Value = serde_json::from_str(include_str!("../../docs/schemas/locality.json")).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> =
        schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    document
}

/// The numbers of pods that are local, partly local, remote, meant to be remote, and unknown.
fn counts(counts: &Value) -> [u64; 5] {
    ["local", "partly", "remote", "meantToBeRemote", "unknown"].map(|name| counts[name].as_u64().unwrap())
}

/// The counts of the cluster: 3 local (`local`, `lh-local`, `local-local`), 5 remote, 2 meant to be remote, and 3 unknown.
const COUNTS: [u64; 5] = [3, 1, 5, 2, 3];

/// Returns one field of each pod in a list.
fn each<'d>(document: &'d Value, list: &str, field: &str) -> Vec<(&'d str, &'d str)> {
    let pods = document[list].as_array().unwrap().iter();
    pods.map(|pod| (pod["name"].as_str().unwrap(), pod.pointer(field).and_then(Value::as_str).unwrap_or("-"))).collect()
}

#[test]
fn each_pod_has_its_locality_and_reason() {
    let document = document(&run_on(&cluster(), 404, "locality -o json"));
    assert_eq!(counts(&document["pods"]), COUNTS);
    assert!((document["pods"]["percentLocal"].as_f64().unwrap() - 100.0 * 3.0 / 9.0).abs() < 1e-9);
    assert_eq!(
        each(&document, "notLocal", "/whyNot/0/reason"),
        [
            ("wrong", "wrong-scheduler"),
            ("partly", "no-common-node"),
            ("cordoned", "nodes-unavailable"),
            ("down", "no-healthy-replica"),
            ("lh-remote", "replica-failed"),
            ("linstor-diskless", "unexplained"),
        ]
    );
    let advice = "Place the volumes together with a VolumePlacementStrategy that has `volumeAffinity`.";
    assert_eq!(document["notLocal"][1]["whyNot"][0]["advice"], advice);
    assert_eq!(document["notLocal"][2]["whyNot"][0]["text"], "n3 is cordoned");
    assert_eq!(document["notLocal"][0]["replicas"], json!(["n1", "n2"]));
    // Pods with the right scheduler would be placed again on their replicas. `why` has no answer about `wrong`. No scheduler would bring
    // `lh-remote` to its replica.
    let gain = [("linstor-diskless", "n1")];
    let would: Vec<_> =
        each(&document, "notLocal", "/wouldRunOn").into_iter().filter(|(_, node)| *node != "-").collect();
    assert_eq!((would, &document["gain"], &document["gainUnknown"]), (gain.to_vec(), &json!(1), &json!(1)));
    assert_eq!(
        each(&document, "unknown", "/reason"),
        [("unlisted", "volume-not-listed"), ("unnamed", "node-not-named"), ("absent", "claim-not-known")]
    );
    let sources = json!([
        {"driver": "portworx", "source": "Service portworx-api", "error": null},
        {"driver": "longhorn", "source": "replicas.longhorn.io", "error": null},
        {"driver": "linstor", "source": "resources.internal.linstor.linbit.com", "error": null},
        {"driver": "local", "source": "node affinity", "error": null},
    ]);
    assert_eq!(document["sources"], sources);
    assert_eq!(document["notSeen"], json!([]));
}

#[test]
fn a_wrong_scheduler_has_the_verdict_of_why() {
    let mut objects = cluster();
    let hooks = objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
    hooks.1["items"][0]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    let of_db = objects.clone().into_iter().filter(|(path, _)| [PODS, CLAIMS].contains(path));
    objects.extend(of_db.map(|(path, body)| (&*path.replace("/v1/", "/v1/namespaces/db/").leak(), body)));
    objects.push(("/api/v1/namespaces/db", json!({"metadata": {"name": "db"}})));
    let original = objects.clone();
    let wrong = |template: Value| {
        let set = json!({"metadata": {"name": "web-5d4", "uid": "1", "generation": 1}, "spec": {"template": {"spec": template}}});
        let own = [
            ("/api/v1/namespaces/db/pods/wrong", pod("wrong", "default-scheduler", "n4", &["b"])),
            ("/apis/apps/v1/namespaces/db/replicasets/web-5d4", set),
        ];
        let document = document(&run_on(&[&original[..], &own].concat(), 404, "locality -o json"));
        let wrong = &document["notLocal"][0];
        (wrong["whyNot"][0]["text"].as_str().unwrap().to_owned(), wrong["wouldRunOn"].clone())
    };
    let missed = "it has the scheduler default-scheduler instead of stork (missed)";
    assert_eq!(wrong(json!({})), (missed.to_owned(), json!("n1")));
    // A new pod would be changed, too.
    let changed = "it has the scheduler default-scheduler instead of stork (set-by-another)";
    assert_eq!(wrong(json!({"schedulerName": "stork"})), (changed.to_owned(), Value::Null));
    // Nothing is asked about the pods of a DaemonSet, of which there are more than the limit.
    let mut of_daemon_set = pod("a", "default-scheduler", "n4", &["b"]);
    of_daemon_set["metadata"]["ownerReferences"][0]["kind"] = "DaemonSet".into();
    for path in [PODS, "/api/v1/namespaces/db/pods"] {
        let pods = objects.iter_mut().find(|(own, _)| *own == path).unwrap().1["items"].as_array_mut().unwrap();
        pods.extend(std::iter::repeat_n(of_daemon_set.clone(), 30));
        pods.rotate_right(30);
    }
    let set = json!({"metadata": {"name": "web-5d4", "uid": "1", "generation": 1}, "spec": {"template": {"spec": {}}}});
    objects.push(("/api/v1/namespaces/db/pods/wrong", pod("wrong", "default-scheduler", "n4", &["b"])));
    objects.push(("/apis/apps/v1/namespaces/db/replicasets/web-5d4", set));
    let document = document(&run_on(&objects, 404, "locality -o json"));
    assert_eq!(document["notLocal"][30]["whyNot"][0]["text"], missed);
}

#[test]
fn shares_are_grouped_by_what_the_user_names() {
    for (by, key, expected) in [
        ("namespace", "namespace", vec![("db", COUNTS)]),
        ("workload", "name", vec![("web", COUNTS)]),
        (
            "driver",
            "driver",
            vec![
                ("?", [0, 0, 0, 0, 1]),
                ("linstor", [0, 0, 1, 0, 0]),
                ("local", [1, 0, 0, 0, 0]),
                ("longhorn", [1, 0, 1, 0, 0]),
                ("portworx", [1, 1, 3, 2, 2]),
            ],
        ),
        (
            "node",
            "node",
            vec![
                ("n1", [2, 1, 0, 0, 3]),
                ("n2", [1, 0, 0, 0, 0]),
                ("n3", [0, 0, 2, 0, 0]),
                ("n4", [0, 0, 2, 2, 0]),
                ("n5", [0, 0, 1, 0, 0]),
            ],
        ),
    ] {
        let document = document(&run_on(&cluster(), 404, &format!("locality -A -o json --by {by}")));
        let groups = document["shares"]["groups"].as_array().unwrap();
        let found: Vec<_> = groups.iter().map(|group| (group[key].as_str().unwrap(), counts(group))).collect();
        assert_eq!(found, expected, "{by}");
    }
}

#[test]
fn what_cannot_be_read_makes_pods_unknown_and_nothing_else() {
    for (path, resource, unknown) in [
        // `other` may have a claim of a driver, too. `opted-out` may be anywhere, whatever its claims are.
        (CLAIMS, "persistentvolumeclaims", 15 - 1),
        (VOLUMES, "persistentvolumes", 14 - 2),
        (CLASSES, "storageclasses.storage.k8s.io", 15 - 1),
        (NAMESPACES, "namespaces", 14 - 2),
        (NODES, "nodes", 3 + 1),
        (GATEWAY_NODES, "services/proxy", 3 + 5),
        (GATEWAY_VOLUMES, "services/proxy", 3 + 5),
        (REPLICAS, "replicas.longhorn.io", 3 + 2),
        (RESOURCES, "resources.internal.linstor.linbit.com", 3 + 1),
    ] {
        let mut objects = cluster();
        objects.retain(|(own, _)| *own != path);
        let document = document(&run_on(&objects, 403, "locality -o json"));
        let found = counts(&document["pods"]);
        let more = found.iter().zip(COUNTS).take(4).filter(|(found, before)| *found > before).count();
        assert_eq!((more, found[4]), (0, unknown), "{path}: {found:?} {:#}", document["unknown"]);
        let not_seen = document["notSeen"].as_array().unwrap();
        assert!(not_seen.iter().any(|one| one["resource"] == resource), "{path}: {not_seen:#?}");
    }
}

#[test]
fn a_storage_system_that_does_not_answer_is_named() {
    for (path, otherwise, expected) in [
        (GATEWAY_NODES, 404, "there is no Service portworx-api in namespace portworx or kube-system"),
        (GATEWAY_VOLUMES, 500, "Service portworx/portworx-api:9021 does not answer: no"),
        (REPLICAS, 404, "the API server does not serve replicas.longhorn.io"),
        (
            "/apis/internal.linstor.linbit.com",
            404,
            "the API server does not serve resources.internal.linstor.linbit.com",
        ),
    ] {
        let mut objects = cluster();
        objects.retain(|(own, _)| *own != path);
        let run = run_on(&objects, otherwise, "locality --strict");
        assert!(
            run.out.contains(&format!("{expected}; not known as a result: where the volumes of driver ")),
            "{path}: {}",
            run.out
        );
        assert_eq!(run.code, Some(3), "{path}");
    }
    let mut objects = cluster();
    objects.iter_mut().find(|(path, _)| *path == GATEWAY_VOLUMES).unwrap().1 = json!({"volumes": 1});
    let run = run_on(&objects, 404, "locality");
    assert!(run.out.contains("cannot decode the response of Service portworx-api: invalid type"), "{}", run.out);
}

#[test]
fn the_gateway_may_need_tls_and_a_token() {
    let config = "drivers: [{name: portworx, locality: [{kind: openStorage, service: {namespaces: [px], name: gate, port: 443, tls: true}, token: {namespace: px, name: user, key: auth-token}}]}]";
    let folder = Folder::new(&[("own.yaml", config)]);
    let proxy = |path: &str| format!("/api/v1/namespaces/px/services/https:gate:443/proxy{path}");
    let renamed = |(path, body): &(&'static str, Value)| {
        let path = path.split_once("/proxy").map_or((*path).to_owned(), |(_, path)| proxy(path));
        (&*path.leak(), body.clone())
    };
    let objects: Objects = cluster().iter().map(renamed).collect();
    let unknown = |objects: &Objects| {
        let run = ApiServer::new(objects, 404).run_command(&folder, "locality -o json --config own.yaml");
        let document = document(&run);
        let of_portworx = document["unknown"].as_array().unwrap().iter().filter(|pod| pod["driver"] == "portworx");
        let reasons: Vec<_> = of_portworx.map(|pod| pod["text"].as_str().unwrap().to_owned()).collect();
        reasons
    };
    let secret = |data: Value| ("/api/v1/namespaces/px/secrets/user", json!({ "data": data }));
    let with = |data: Value| [&objects[..], &[secret(data)]].concat();
    assert!(unknown(&objects).contains(&"there is no Secret px/user with the token".to_owned()));
    for data in [json!({}), json!({"auth-token": ""}), json!({"auth-token": "%"}), json!({"auth-token": "Cg=="})] {
        let expected = "Secret px/user has no token under the key auth-token".to_owned();
        assert!(unknown(&with(data.clone())).contains(&expected), "{data}");
    }
    assert_eq!(unknown(&with(json!({"auth-token": "c2VjcmV0Cg=="}))).len(), 2);
}

#[test]
fn tables_begin_with_the_percentage() {
    let run = run_on(&cluster(), 404, "locality");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(run.out, include_str!("locality/table.txt"), "\n{}", run.out);
    let wide = run_on(&cluster(), 404, "locality -o wide");
    assert!(wide.out.contains("WHAT TO DO") && !run.out.contains("WHAT TO DO"), "{}", wide.out);
}

#[test]
fn metrics_have_the_labels_of_the_groups() {
    let run = run_on(&cluster(), 404, "locality -o openmetrics --by driver");
    for line in [
        "# TYPE colocate_locality_pods gauge",
        r#"colocate_locality_pods{driver="portworx",locality="remote"} 3"#,
        r#"colocate_locality_pods{driver="local",locality="local"} 1"#,
        r#"colocate_locality_reasons{reason="no-common-node"} 1"#,
        "colocate_locality_gain_pods 1",
        "colocate_locality_gain_unknown_pods 1",
        "colocate_locality_not_seen 0",
    ] {
        assert!(run.out.lines().any(|own| own == line), "{line}\n{}", run.out);
    }
    assert!(run.out.ends_with("\n# EOF\n"));
}

#[test]
fn exit_codes_are_those_of_the_documentation() {
    let mut denied = cluster();
    denied.retain(|(path, _)| *path != NODES);
    let mut no_pods = cluster();
    no_pods.retain(|(path, _)| *path != PODS);
    let mut unknown = cluster();
    unknown.retain(|(path, _)| *path != NAMESPACES && *path != CLAIMS);
    for (objects, otherwise, arguments, code) in [
        (&cluster(), 404, "locality --fail-under 33", 0),
        (&cluster(), 404, "locality --fail-under 33.4%", 4),
        (&cluster(), 404, "locality --fail-under 33.4 -o json", 4),
        (&cluster(), 404, "locality --strict", 3),
        (&denied, 403, "locality", 0),
        (&denied, 403, "locality --strict", 3),
        (&denied, 403, "locality --strict --fail-under 100", 3),
        (&no_pods, 403, "locality", 0),
        (&no_pods, 403, "locality --fail-under 0", 1),
        (&unknown, 403, "locality --fail-under 0", 1),
        (&cluster(), 500, "locality --fail-under 101", 2),
        (&cluster(), 404, "locality -A -n db", 2),
        (&cluster(), 404, "locality --by pod", 2),
        (&cluster(), 404, "locality --context none", 1),
    ] {
        let run = run_on(objects, otherwise, arguments);
        assert_eq!(run.code, Some(code), "{arguments}: {}{}", run.out, run.err);
    }
}

#[test]
fn without_a_configuration_of_the_cluster_nothing_is_guessed() {
    let mut objects = cluster();
    let labels = json!({"app.kubernetes.io/name": "colocate", "app.kubernetes.io/instance": "colocate"});
    let hooks = objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
    hooks.1["items"][0]["metadata"]["labels"] = labels;
    hooks.1["items"][0]["webhooks"][0]["clientConfig"] =
        json!({"service": {"namespace": "system", "name": "colocate"}});
    let folder = Folder::new(&[]);
    let document = document(&ApiServer::new(&objects, 403).run_command(&folder, "locality -o json"));
    assert_eq!(document["configuration"]["source"], "not-seen");
    let [local, partly, remote, meant_to_be_remote, unknown] = counts(&document["pods"]);
    assert_eq!([local, partly, remote, meant_to_be_remote], [0; 4]);
    assert!(
        unknown > 0 && each(&document, "unknown", "/reason").iter().all(|(_, why)| *why == "configuration-not-known")
    );
}
