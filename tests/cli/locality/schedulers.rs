//! Drivers without a scheduler, and volumes that only pods or claims attribute to a driver.

use colocate_harness::{ApiServer, Folder};
use serde_json::{Value, json};

use super::sources::configured;
use super::{
    CLAIMS, CLASSES, CONFIG, GATEWAY_NODES, GATEWAY_VOLUMES, Objects, PODS, REPLICAS, VOLUMES, claim, cluster, counts,
    document, each, list, pod, run_on, volume,
};

/// Replaces the pods, claims and volumes of the cluster.
pub(super) fn with(pods: &[Value], claims: &[Value], volumes: &[Value]) -> Objects {
    let mut objects = cluster();
    for (path, items) in [(PODS, pods), (CLAIMS, claims), (VOLUMES, volumes)] {
        objects.iter_mut().find(|(own, _)| *own == path).unwrap().1 = list(items);
    }
    objects
}

/// The items of a list of the cluster.
pub(super) fn items(path: &str) -> Vec<Value> {
    let object = cluster().into_iter().find(|(own, _)| *own == path).unwrap().1;
    object["items"].as_array().unwrap().clone()
}

#[test]
fn pods_of_a_driver_without_a_scheduler_are_not_on_the_wrong_one() {
    let replica =
        json!({"metadata": {}, "spec": {"volumeName": "id-lh", "nodeID": "n1", "healthyAt": "2026-11-30T00:00:00Z"}});
    let pods = [
        pod("default", "default-scheduler", "n2", &["lh"]),
        pod("volcano", "volcano", "n2", &["lh"]),
        pod("stork", "stork", "n2", &["lh"]),
        // Stork is expected, but the volume of Portworx may be anywhere.
        pod("exempt", "default-scheduler", "n2", &["shared", "lh"]),
        // The driver of the volume that counts has a scheduler. colocate sets the one of the first driver.
        pod("other", "stork", "n3", &["shared", "li"]),
    ];
    let mut objects = with(&pods, &items(CLAIMS), &items(VOLUMES));
    objects.iter_mut().find(|(path, _)| *path == REPLICAS).unwrap().1 = list(&[replica]);
    let document = document(&run_on(&objects, 404, "locality -o json"));
    let expected = [
        ("default", "no-scheduler"),
        ("volcano", "no-scheduler"),
        ("stork", "no-scheduler"),
        ("exempt", "no-scheduler"),
        ("other", "other-driver"),
    ];
    assert_eq!(each(&document, "notLocal", "/whyNot/0/reason"), expected);
    assert_eq!(document["gain"], 0, "{:#}", document["notLocal"]);
    assert_eq!(
        document["notLocal"][3]["whyNot"][0]["text"],
        "driver longhorn has no scheduler: kube-scheduler only considers the node affinity of its volumes"
    );
    assert_eq!(
        document["notLocal"][4]["whyNot"][0]["text"],
        "colocate gives it the scheduler stork, which cannot locate the volumes of driver linstor"
    );
}

#[test]
fn only_local_volumes_count_without_a_provisioner() {
    const CONFIG: &str = "drivers: [{name: portworx}, {name: local, provisioners: [kubernetes.io/no-provisioner], locality: [{kind: nodeAffinity}]}]";
    let by_hand = |name: &str, source: Value, provisioner: &str| {
        let mut volume = volume(name, provisioner);
        let spec = volume["spec"].as_object_mut().unwrap();
        spec.remove("csi");
        spec.extend(source.as_object().unwrap().clone());
        if provisioner.is_empty() {
            volume["metadata"].as_object_mut().unwrap().remove("annotations");
        }
        volume
    };
    let local = || json!({"local": {"path": "/mnt/a"}});
    let volumes = [
        by_hand("hand", local(), ""),
        by_hand("static", local(), "local-volume-provisioner-n2"),
        by_hand("classless", local(), ""),
        by_hand("unclassed", local(), "local-volume-provisioner-n2"),
        by_hand("nfs", json!({"nfs": {"server": "a", "path": "/"}}), ""),
        by_hand("path", local(), "rancher.io/local-path"),
    ];
    let claims = [
        claim("hand", "by-hand", "ReadWriteOnce"),
        claim("static", "by-hand", "ReadWriteOnce"),
        claim("classless", "", "ReadWriteOnce"),
        claim("unclassed", "", "ReadWriteOnce"),
        claim("nfs", "by-hand", "ReadWriteMany"),
        claim("path", "local-path", "ReadWriteOnce"),
    ];
    let names = ["hand", "static", "classless", "unclassed", "nfs", "path"];
    let pods = names.map(|name| pod(name, "default-scheduler", "n2", &[name]));
    let mut objects = with(&pods, &claims, &volumes);
    let classes = [("by-hand", "kubernetes.io/no-provisioner"), ("local-path", "rancher.io/local-path")];
    let classes = classes.map(|(name, provisioner)| json!({"metadata": {"name": name}, "provisioner": provisioner}));
    objects.iter_mut().find(|(path, _)| *path == CLASSES).unwrap().1 = list(&classes);
    for (config, expected) in [(CONFIG, [4, 0, 0, 0, 0]), ("drivers: [{name: portworx}]", [0; 5])] {
        let folder = Folder::new(&[("own.yaml", config)]);
        let run = ApiServer::new(&objects, 404).run_command(&folder, "locality -o json --config own.yaml");
        assert_eq!(counts(&document(&run)["pods"]), expected, "{config}: {}", run.out);
    }
}

#[test]
fn a_driver_that_only_pods_and_claims_name_is_asked() {
    let mut inline = pod("inline", "stork", "n1", &[]);
    inline["spec"]["volumes"] = json!([{"name": "data", "portworxVolume": {"volumeID": "id-a"}}]);
    // Nothing in the volume names the driver, but the class of the claim does.
    let mut silent = volume("b", "");
    silent["metadata"].as_object_mut().unwrap().remove("annotations");
    silent["spec"]["csi"]["driver"] = "".into();
    let claim = items(CLAIMS).into_iter().find(|claim| claim["metadata"]["name"] == "b").unwrap();
    let named = pod("named", "stork", "n4", &["b"]);
    for (pods, claims, volumes, expected) in [
        (vec![inline.clone()], vec![], vec![], [1, 0, 0, 0, 0]),
        (vec![named.clone()], vec![claim.clone()], vec![silent.clone()], [0, 0, 1, 0, 0]),
        (vec![inline, named], vec![claim], vec![silent], [1, 0, 1, 0, 0]),
    ] {
        let document = document(&run_on(&with(&pods, &claims, &volumes), 404, "locality -o json"));
        assert_eq!(counts(&document["pods"]), expected, "{document:#}");
        assert_eq!(
            document["sources"],
            json!([{"driver": "portworx", "source": "Service portworx-api", "error": null}])
        );
    }
    // The node affinity of such a volume counts as well.
    let mut silent = volume("lo", "");
    silent["metadata"].as_object_mut().unwrap().remove("annotations");
    silent["spec"].as_object_mut().unwrap().remove("csi");
    let claim = items(CLAIMS).into_iter().find(|claim| claim["metadata"]["name"] == "lo").unwrap();
    let pods = [pod("here", "default-scheduler", "n2", &["lo"]), pod("there", "default-scheduler", "n3", &["lo"])];
    let document = document(&run_on(&with(&pods, &[claim], &[silent]), 404, "locality -o json"));
    assert_eq!(counts(&document["pods"]), [1, 0, 1, 0, 0], "{document:#}");
    // Without such pods, no storage system is asked.
    let server = ApiServer::new(&with(&[], &[], &[]), 404);
    server.run_command(&Folder::new(&[("own.yaml", CONFIG)]), "locality --config own.yaml");
    let asked = server.asked();
    assert!(!asked.iter().any(|path| [GATEWAY_NODES, GATEWAY_VOLUMES, REPLICAS].contains(&path.as_str())), "{asked:?}");
}

#[test]
fn why_shows_where_the_pods_of_a_driver_without_a_scheduler_are() {
    let mut objects = configured(CONFIG);
    for name in ["lh-remote", "local-local"] {
        let pod = items(PODS).into_iter().find(|pod| pod["metadata"]["name"] == name).unwrap();
        objects.push((&*format!("/api/v1/namespaces/db/pods/{name}").leak(), pod));
    }
    for (pod, expected) in [
        ("lh-remote", "WHERE node n3 · replicas n1 -> remote"),
        ("local-local", "WHERE node n2 · replicas n2 -> local"),
        ("local", "WHERE node n1 · replicas n1, n2 -> local"),
    ] {
        let run = ApiServer::new(&objects, 404).run_command(&Folder::new(&[]), &format!("why pod/{pod} -n db"));
        assert!(run.out.lines().any(|line| line == expected), "{pod}: {}{}", run.out, run.err);
    }
}

#[test]
fn why_does_not_guess_the_configuration() {
    let mut objects = configured(CONFIG);
    objects.retain(|(path, _)| !path.ends_with("/configmaps/colocate"));
    let server = ApiServer::new(&objects, 403);
    let run = server.run_command(&Folder::new(&[]), "why pod/local -n db");
    let expected = "WHERE node n1 · replicas - -> unknown: the configuration of colocate could not be read: name a file with --config";
    assert!(run.out.lines().any(|line| line == expected), "{}{}", run.out, run.err);
    assert!(!server.asked().iter().any(|path| path.contains("/proxy/")), "{:?}", server.asked());
}
