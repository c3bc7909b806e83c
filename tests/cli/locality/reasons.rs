//! The reasons why pods are not local.

use super::*;

#[test]
fn pods_without_a_common_node_have_the_nodes_of_some_volumes() {
    let document = document(&run_on(&cluster(), 404, "locality -o json"));
    let of = |name: &str| document["notLocal"].as_array().unwrap().iter().find(|pod| pod["name"] == name).unwrap();
    assert_eq!((&of("partly")["replicas"], &of("partly")["someReplicas"]), (&json!([]), &json!(["n1", "n2"])));
    assert_eq!((&of("down")["replicas"], &of("down")["someReplicas"]), (&json!([]), &json!([])));
    assert_eq!(of("wrong")["someReplicas"], json!(["n1", "n2"]));
}

#[test]
fn volumes_that_longhorn_serves_do_not_count() {
    for (mode, migratable, expected) in [
        ("ReadWriteOnce", "false", [1, 0, 1, 0, 0]),
        ("ReadWriteMany", "false", [0, 0, 0, 2, 0]),
        ("ReadWriteMany", "true", [1, 0, 1, 0, 0]),
    ] {
        let mut objects = cluster();
        for (path, body) in &mut objects {
            let of = |name: &str, object: &Value| object["metadata"]["name"] == name;
            let Some(items) = body["items"].as_array_mut() else { continue };
            match *path {
                PODS => items.retain(|pod| of("lh-local", pod) || of("lh-remote", pod)),
                VOLUMES => {
                    let volume = items.iter_mut().find(|volume| of("pv-lh", volume)).unwrap();
                    volume["spec"]["accessModes"] = json!([mode]);
                    volume["spec"]["csi"]["volumeAttributes"] = json!({"migratable": migratable});
                }
                _ => {}
            }
        }
        let document = document(&run_on(&objects, 404, "locality -o json"));
        assert_eq!(counts(&document["pods"]), expected, "{mode} {migratable}");
    }
}

#[test]
fn replicas_are_compared_with_the_time_of_the_placement() {
    let replica = json!({
        "metadata": {"name": "r", "creationTimestamp": "2026-11-30T00:00:03Z"},
        "spec": {"volumeName": "id-lh", "nodeID": "n1", "healthyAt": "2026-11-30T00:00:04Z", "failedAt": ""},
    });
    let scheduled = |time: &str, status: &str| json!({"conditions": [{"type": "PodScheduled", "status": status, "lastTransitionTime": time}]});
    // The pod was created 3 s before the replica.
    for (mut status, is_younger) in [
        (json!({}), true),
        (json!({"startTime": "2026-11-30T00:00:02Z"}), true),
        (json!({"startTime": "2026-11-30T00:00:04Z"}), false),
        (scheduled("2026-11-30T00:00:02Z", "True"), true),
        (scheduled("2026-11-30T00:00:04Z", "True"), false),
        (scheduled("2026-11-30T00:00:04Z", "False"), true),
    ] {
        status["phase"] = "Running".into();
        let mut objects = cluster();
        let mut pod = pod("lh-remote", "default-scheduler", "n3", &["lh"]);
        pod["status"] = status.clone();
        for (path, body) in &mut objects {
            match *path {
                PODS => *body = list(std::slice::from_ref(&pod)),
                REPLICAS => *body = list(std::slice::from_ref(&replica)),
                _ => {}
            }
        }
        let document = document(&run_on(&objects, 404, "locality -o json"));
        let why = document["notLocal"][0]["whyNot"].to_string();
        assert_eq!(why.contains("replica-younger"), is_younger, "{status} {why}");
    }
}
