//! What is not known is not presented as a result.

use super::*;

/// Keeps only these pods, and adds the lists of the namespace.
fn with_pods(names: &[&str]) -> Objects {
    let mut objects = cluster();
    let pods = objects.iter_mut().find(|(path, _)| *path == PODS).unwrap();
    let is_kept = |pod: &Value| names.contains(&pod["metadata"]["name"].as_str().unwrap());
    pods.1["items"].as_array_mut().unwrap().retain(is_kept);
    of_namespace(objects)
}

fn of_namespace(mut objects: Objects) -> Objects {
    let of_db = objects.clone().into_iter().filter(|(path, _)| [PODS, CLAIMS].contains(path));
    objects.extend(of_db.map(|(path, body)| (&*path.replace("/v1/", "/v1/namespaces/db/").leak(), body)));
    objects.push(("/api/v1/namespaces/db", json!({"metadata": {"name": "db"}})));
    objects
}

#[test]
fn a_strict_gate_does_not_pass_with_unknown_pods() {
    for (names, arguments, code) in [
        (&["local"][..], "locality --strict --fail-under 95", 0),
        (&["local", "unlisted"], "locality --fail-under 95", 0),
        (&["local", "unlisted"], "locality --strict --fail-under 95", 3),
        (&["local", "unlisted"], "locality --strict", 3),
        (&["local", "shared"], "locality --strict", 0),
    ] {
        let run = run_on(&with_pods(names), 404, arguments);
        assert_eq!(run.code, Some(code), "{names:?} {arguments}: {}{}", run.out, run.err);
    }
}

#[test]
fn a_gate_does_not_pass_without_the_drivers() {
    for (names, line) in [
        (&["lh-remote"][..], "pods       not known: the drivers are in the configuration, which could not be read\n"),
        (&["lh-remote", "local"], "pods       no pod is known to run with its data or without it, 1 unknown"),
    ] {
        let mut objects = with_pods(names);
        let hooks = objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
        hooks.1["items"][0]["metadata"]["labels"] =
            json!({"app.kubernetes.io/name": "colocate", "app.kubernetes.io/instance": "colocate"});
        hooks.1["items"][0]["webhooks"][0]["clientConfig"] =
            json!({"service": {"namespace": "system", "name": "colocate"}});
        let run = ApiServer::new(&objects, 403).run_command(&Folder::new(&[]), "locality --fail-under 95");
        assert!(run.out.starts_with(line), "{names:?}: {}", run.out);
        assert_eq!(run.code, Some(1), "{names:?}: {}", run.err);
        assert!(run.err.contains("--fail-under cannot be evaluated: the drivers are not known"), "{}", run.err);
    }
}

#[test]
fn a_storage_system_without_a_driver_is_not_silent() {
    let folder = Folder::new(&[]);
    for (arguments, code) in
        [("-A", 0), ("--fail-under 95", 0), ("--fail-under 95 --strict", 3), ("--strict -o json", 3)]
    {
        // Without a colocate, the defaults apply, which name Portworx only.
        let mut objects = with_pods(&["lh-remote"]);
        objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap().1 = list(&[]);
        let run = ApiServer::new(&objects, 404).run_command(&folder, &format!("locality {arguments}"));
        assert_eq!(run.code, Some(code), "{arguments}: {}{}", run.out, run.err);
        if arguments.contains("json") {
            let expected = json!([
                {"provisioner": "driver.longhorn.io", "claims": 1}, {"provisioner": "linstor.csi.linbit.com", "claims": 1},
            ]);
            assert_eq!(document(&run)["notCounted"], expected);
        } else {
            let line =
                "no driver  driver.longhorn.io: 1 claim is not counted, because no driver of the configuration has";
            assert!(run.out.contains(line), "{arguments}: {}", run.out);
        }
    }
    let run = run_on(&cluster(), 404, "locality -o json");
    assert_eq!(document(&run)["notCounted"], json!([]));
}

#[test]
fn a_namespace_that_does_not_exist_is_an_error() {
    let empty = |namespace: &str| {
        ["pods", "persistentvolumeclaims"]
            .map(|kind| (&*format!("/api/v1/namespaces/{namespace}/{kind}").leak(), list(&[])))
    };
    let mut objects = cluster();
    objects.extend(empty("typo").into_iter().chain(empty("empty")));
    objects.push(("/api/v1/namespaces/empty", json!({"metadata": {"name": "empty"}})));
    for (arguments, otherwise, code) in [
        ("locality -n typo --fail-under 95 --strict", 404, 1),
        ("locality -n typo", 404, 1),
        ("locality -n typo -o json", 404, 1),
        ("locality -n empty --fail-under 95 --strict", 404, 0),
        // It may exist if Namespaces cannot be read.
        ("locality -n typo", 403, 0),
        ("locality -n typo --strict", 403, 3),
    ] {
        let run = run_on(&objects, otherwise, arguments);
        assert_eq!(run.code, Some(code), "{arguments}: {}{}", run.out, run.err);
        assert_eq!(run.err.contains("namespace typo does not exist: check the name (-n)"), code == 1, "{}", run.err);
    }
}

#[test]
fn one_namespace_has_no_gain() {
    let objects = of_namespace(cluster());
    let document = document(&run_on(&objects, 404, "locality -n db -o json"));
    assert_eq!((counts(&document["pods"]), &document["gain"]), (COUNTS, &Value::Null));
    assert!(each(&document, "notLocal", "/wouldRunOn").iter().all(|(_, node)| *node == "-"));
    let run = run_on(&objects, 404, "locality -n db");
    let line = "gain       not known: the requests of pods in other namespaces, which are not read with -n, may fill";
    assert!(run.out.contains(line), "{}", run.out);
}

#[test]
fn pods_that_are_all_meant_to_be_remote_are_not_unknown() {
    let run = run_on(&with_pods(&["shared", "opted-out"]), 404, "locality --strict --fail-under 95");
    assert!(run.out.starts_with("pods       all are meant to be remote and not counted: 2\n"), "{}", run.out);
    assert_eq!(run.code, Some(0));
}

#[test]
fn why_shows_the_replicas_of_the_volumes_that_count() {
    let mut objects = with_pods(&["local"]);
    objects.push(("/api/v1/namespaces/db/pods/mixed", pod("mixed", "stork", "n1", &["d", "shared"])));
    let run = run_on(&objects, 404, "why pod/mixed -n db");
    assert!(run.out.contains("WHERE node n1 · replicas n2 -> remote\n"), "{}{}", run.out, run.err);
}

#[test]
fn names_that_are_not_those_of_kubernetes_are_unknown() {
    let mut objects = cluster();
    let nodes = objects.iter_mut().find(|(path, _)| *path == GATEWAY_NODES).unwrap();
    for node in nodes.1["nodes"].as_array_mut().unwrap() {
        let name = format!("{}.example.com", node["scheduler_node_name"].as_str().unwrap());
        node["scheduler_node_name"] = name.into();
    }
    let document = document(&run_on(&objects, 404, "locality -o json --by driver"));
    let reasons = each(&document, "unknown", "/reason");
    let local = ("local", "node-not-named");
    assert!(reasons.contains(&local) && reasons.contains(&("wrong", "node-not-named")), "{reasons:?}");
    let error = "the storage does not name the Kubernetes node of a replica, or names only nodes that do not exist";
    assert_eq!(document["sources"][0], json!({"driver": "portworx", "source": null, "error": error}));
}
