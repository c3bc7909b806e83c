//! The gain of evictions, and the pods that it leaves out.

use serde_json::{Value, json};

use super::schedulers::{items, with};
use super::{CLAIMS, Objects, VOLUMES, WEBHOOKS, claim, document, each, list, pod, run_on, volume};

/// The claims and volumes of the cluster, without the volume of one claim.
fn storage(more: &[(&str, &str)], unseen: &str) -> (Vec<Value>, Vec<Value>) {
    let (mut claims, mut volumes) = (items(CLAIMS), items(VOLUMES));
    for (name, driver) in more {
        claims.push(claim(name, "other", "ReadWriteOnce"));
        volumes.push(volume(name, driver));
    }
    volumes.retain(|volume| volume["metadata"]["name"] != format!("pv-{unseen}"));
    (claims, volumes)
}

#[test]
fn a_volume_of_no_driver_can_tie_a_pod_to_its_node() {
    let (claims, mut volumes) = storage(&[("zonal", "ebs.example.com"), ("unseen", "ebs.example.com")], "unseen");
    let tied = volumes.iter_mut().find(|volume| volume["metadata"]["name"] == "pv-other").unwrap();
    tied["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"] = json!(["n4"]);
    let pods = [
        pod("tied", "stork", "n4", &["a", "other"]),
        // Of the nodes with replicas, n1 and n2, the other volume allows n2.
        pod("narrowed", "stork", "n4", &["b", "zonal"]),
        pod("unseen", "stork", "n4", &["a", "unseen"]),
    ];
    let document = document(&run_on(&with(&pods, &claims, &volumes), 404, "locality -o json"));
    let reasons = [("tied", "nodes-excluded"), ("narrowed", "unexplained"), ("unseen", "unexplained")];
    assert_eq!(each(&document, "notLocal", "/whyNot/0/reason"), reasons);
    let targets = [("tied", "-"), ("narrowed", "n2"), ("unseen", "-")];
    assert_eq!(each(&document, "notLocal", "/wouldRunOn"), targets);
    assert_eq!(document["gain"], 1);
    assert_eq!(
        document["notLocal"][0]["whyNot"][0]["text"],
        "its node selector, node affinity or another volume excludes every node with its replicas"
    );
}

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/system/endpointslices";

/// A pod of a `ReplicaSet` with the default scheduler, on a node without its data.
fn missed(name: &str, replica_set: &str) -> Value {
    let mut pod = pod(name, "default-scheduler", "n4", &["b"]);
    pod["metadata"]["ownerReferences"][0]["name"] = replica_set.into();
    pod["metadata"]["ownerReferences"][0]["uid"] = replica_set.into();
    pod
}

/// Adds what `colocate why` reads about these pods: a colocate that was installed before them, and the `ReplicaSet` `web-5d4`, whose template
/// names a scheduler.
fn explained(pods: &[Value], scheduler: &str) -> Objects {
    let labels = json!({"app.kubernetes.io/name": "colocate", "app.kubernetes.io/instance": "colocate"});
    let mut objects = with(pods, &items(CLAIMS), &items(VOLUMES));
    let webhooks = objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).map(|(_, content)| content).unwrap();
    webhooks["items"][0]["metadata"]["labels"] = labels.clone();
    webhooks["items"][0]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    let service = json!({"service": {"namespace": "system", "name": "colocate"}});
    webhooks["items"][0]["webhooks"][0]["clientConfig"] = service;
    let namespace = json!({"metadata": {"name": "db", "labels": {"kubernetes.io/metadata.name": "db"}}});
    objects.push(("/api/v1/namespaces/db", namespace));
    let slice = json!({
        "metadata": {
            "name": "colocate-1",
            "labels": {"kubernetes.io/service-name": "colocate"},
            "managedFields": [{
                "manager": "kube-controller-manager", "operation": "Update", "time": "2026-02-01T00:00:00Z",
                "fieldsV1": {"f:endpoints": {}},
            }],
        },
        "endpoints": [{"conditions": {"ready": true, "serving": true}}],
    });
    let deployment = json!({"metadata": {"name": "colocate", "namespace": "system", "labels": labels}, "spec": {"template": {"spec": {}}}});
    for (path, found) in [
        ("/api/v1/namespaces/db/persistentvolumeclaims", &*items(CLAIMS)),
        ("/api/v1/namespaces/db/pods", pods),
        ("/apis/apps/v1/namespaces/system/deployments", &[deployment]),
        ("/apis/apps/v1/namespaces/system/replicasets", &[]),
        ("/api/v1/namespaces/system/pods", &[]),
        ("/api/v1/namespaces/system/events", &[]),
        (SLICES, &[slice]),
        ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", &[]),
    ] {
        objects.push((path, list(found)));
    }
    for pod in pods {
        let path = format!("/api/v1/namespaces/db/pods/{}", pod["metadata"]["name"].as_str().unwrap());
        objects.push((path.leak(), pod.clone()));
    }
    let template = json!({"spec": {"schedulerName": scheduler, "volumes": pods[0]["spec"]["volumes"]}});
    // Generation 1: its template has never changed.
    let metadata = json!({"name": "web-5d4", "namespace": "db", "uid": "web-5d4", "generation": 1});
    let replica_set = json!({"metadata": metadata, "spec": {"template": template}});
    objects.push(("/apis/apps/v1/namespaces/db/replicasets/web-5d4", replica_set));
    objects
}

#[test]
fn one_verdict_decides_about_all_pods_of_a_workload() {
    let pods: Vec<_> = (0..40).map(|number| missed(&format!("web-{number:02}"), "web-5d4")).collect();
    for (scheduler, gain, verdict) in [("default-scheduler", 40, "missed"), ("volcano", 0, "set-by-another")] {
        let document = document(&run_on(&explained(&pods, scheduler), 404, "locality -o json"));
        let texts = each(&document, "notLocal", "/whyNot/0/text");
        let first = format!("it has the scheduler default-scheduler instead of stork ({verdict})");
        assert_eq!(texts[0], ("web-00", &*first));
        // The other pods can have missed colocate for other reasons.
        let others = format!("it has the scheduler default-scheduler instead of stork (web-00: {verdict})");
        assert!(texts[1..].iter().all(|(_, text)| *text == others), "{texts:?}");
        assert_eq!((&document["gain"], &document["gainUnknown"]), (&json!(gain), &json!(0)), "{verdict}");
    }
}

#[test]
fn there_is_no_gain_while_colocate_would_not_change_pods() {
    let pods: Vec<_> = (0..40).map(|number| missed(&format!("web-{number:02}"), "web-5d4")).collect();
    let change = |path: &str, change: &dyn Fn(&mut Value)| {
        let mut objects = explained(&pods, "default-scheduler");
        change(&mut objects.iter_mut().find(|(own, _)| *own == path).unwrap().1);
        let document = document(&run_on(&objects, 404, "locality -o json"));
        (document["gain"].clone(), document["gainUnknown"].clone())
    };
    assert_eq!(change(WEBHOOKS, &|_| {}), (json!(40), json!(0)));
    let none = (json!(0), json!(0));
    assert_eq!(change(WEBHOOKS, &|list| list["items"] = json!([])), none, "it is not installed");
    assert_eq!(change(SLICES, &|list| list["items"] = json!([])), none, "no replica is ready");
    let selector = json!({"matchLabels": {"team": "other"}});
    let exclude = |list: &mut Value| list["items"][0]["webhooks"][0]["namespaceSelector"] = selector.clone();
    assert_eq!(change(WEBHOOKS, &exclude), none, "the namespace is excluded");
}

#[test]
fn the_gain_is_unknown_without_the_right_to_read_webhooks() {
    let pods: Vec<_> = (0..3).map(|number| missed(&format!("web-{number}"), "web-5d4")).collect();
    let mut objects = explained(&pods, "default-scheduler");
    objects.retain(|(path, _)| *path != WEBHOOKS);
    let document = document(&run_on(&objects, 403, "locality -o json"));
    assert_eq!((&document["gain"], &document["gainUnknown"]), (&json!(0), &json!(3)), "{document:#}");
}

#[test]
fn workloads_past_the_first_20_have_an_unknown_gain() {
    let mut pods: Vec<_> =
        (0..25).map(|number| missed(&format!("small-{number:02}"), &format!("small-{number:02}"))).collect();
    pods.push(missed("web-0", "web-5d4"));
    pods.push(missed("web-1", "web-5d4"));
    // Like the others, but without a controller.
    let mut bare = missed("web-2", "");
    bare["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    pods.push(bare);
    let objects = explained(&pods, "default-scheduler");
    let document = document(&run_on(&objects, 404, "locality -o json"));
    let texts = each(&document, "notLocal", "/whyNot/0/text");
    let explained: Vec<_> = texts.iter().filter(|(_, text)| text.ends_with(')')).map(|(name, _)| *name).collect();
    let expected = (0..19).map(|number| format!("small-{number:02}")).chain(["web-0".to_owned(), "web-1".to_owned()]);
    assert_eq!(explained, expected.collect::<Vec<_>>());
    assert_eq!((&document["gain"], &document["gainUnknown"]), (&json!(21), &json!(6)));
    let table = run_on(&objects, 404, "locality");
    let line = "gain       21 pods would be local if they were evicted now; unknown for 6 others\n";
    assert!(table.out.contains(line), "{}", table.out);
}
