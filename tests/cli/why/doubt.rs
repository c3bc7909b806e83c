//! Facts that are missing or may have changed make a verdict weaker, and never wrong.

use colocate_harness::Folder;
use serde_json::{Value, json};

use super::{DEPLOYMENTS, POD, SLICES, Scene, WEBHOOKS, list, slice};

const REPLICA_SET: &str = "/apis/apps/v1/namespaces/shop/replicasets/web-5d4";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const CLAIMS: &str = "/api/v1/namespaces/shop/persistentvolumeclaims";
const CLAIM: &str = "/api/v1/namespaces/shop/persistentvolumeclaims/data";

/// The pod mounts the claim of Portworx, is on this scheduler, and was made from the template of a `ReplicaSet`, which names no
/// scheduler.
fn scene(scheduler: &str) -> Scene {
    let metadata = json!({
        "name": "web-5d4", "uid": "c", "generation": 1,
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "w", "controller": true}],
    });
    let set = json!({"metadata": metadata, "spec": {"template": {"metadata": {}, "spec": {}}}});
    Scene::new("ReplicaSet", "web-5d4", "7").mounting(scheduler).with(REPLICA_SET, set)
}

#[test]
fn a_changed_scheduler_is_never_expected_without_the_claims() {
    let without = |paths: &[&str], otherwise: u16| {
        let mut scene = Scene { otherwise, ..scene("volcano") };
        scene.objects.retain(|(path, _)| !paths.contains(path));
        scene.why()
    };
    let (verdict, evidence, _) = without(&[], 404);
    assert_eq!(verdict, "set-by-another", "{evidence}");
    for (paths, expected) in [(&[CLASSES][..], "claim `data`"), (&[CLAIMS, CLAIM], "claim `data`")] {
        let (verdict, evidence, _) = without(paths, 403);
        assert_eq!(verdict, "unknown", "{paths:?}: {evidence}");
        assert!(evidence.contains(expected), "{paths:?}: {evidence}");
    }
    // The claim was deleted.
    let mut gone = scene("volcano");
    *gone.object(CLAIMS) = list(&[]);
    gone.objects.retain(|(path, _)| *path != CLAIM);
    let (verdict, evidence, _) = gone.why();
    assert_eq!((verdict.as_str(), evidence.as_str()), ("unknown", "claim `data` does not exist"));
}

/// The webhook of the release `colocate` selects the Namespaces of one team, and that of a second release those of another. The
/// Namespace of the pod has the label `team: b`.
fn two_releases([one, two]: [&str; 2]) -> Scene {
    let mut scene = scene("default-scheduler");
    scene.object("/api/v1/namespaces/shop")["metadata"]["labels"] = json!({"team": "b"});
    let namespaces = [scene.object("/api/v1/namespaces/shop").clone()];
    scene.objects.push(("/api/v1/namespaces", list(&namespaces)));
    let mut first = scene.object(WEBHOOKS)["items"][0].clone();
    let mut second = first.clone();
    first["webhooks"][0]["namespaceSelector"] = json!({"matchLabels": {"team": one}});
    second["webhooks"][0]["namespaceSelector"] = json!({"matchLabels": {"team": two}});
    second["webhooks"][0]["clientConfig"]["service"] = json!({"namespace": "second", "name": "second"});
    second["metadata"]["name"] = "zz-second".into();
    *scene.object(WEBHOOKS) = list(&[first, second]);
    let deployments = scene.object(DEPLOYMENTS).clone();
    let config = json!({"data": {"config.yaml": "mode: audit"}});
    let empty = [
        "/apis/apps/v1/namespaces/second/replicasets",
        "/api/v1/namespaces/second/pods",
        "/api/v1/namespaces/second/events",
        "/apis/discovery.k8s.io/v1/namespaces/second/endpointslices",
    ];
    scene.objects.extend(empty.map(|path| (path, list(&[]))));
    scene
        .with("/apis/apps/v1/namespaces/second/deployments", deployments)
        .with("/api/v1/namespaces/second/configmaps/colocate", config)
}

#[test]
fn a_pod_is_explained_by_the_release_for_its_namespace() {
    // Its configuration says `mode: audit`.
    let (verdict, evidence, _) = two_releases(["a", "b"]).why();
    assert_eq!(verdict, "audit-mode", "{evidence}");
    let (verdict, evidence, _) = two_releases(["a", "a"]).why();
    assert!(evidence.contains("the selector requires `team=a`"), "{verdict}: {evidence}");
    // API servers call both, so neither is a certain cause.
    let (verdict, evidence, fix) = two_releases(["b", "b"]).why();
    assert_eq!(verdict, "missed", "{evidence}");
    assert!(evidence.contains("another release of colocate is called for it now, or may be: zz-second"), "{evidence}");
    assert!(fix["command"].as_str().unwrap().contains("/eviction"), "{fix}");
    let run = two_releases(["b", "b"]).server().run_command(&Folder::new(&[]), "why pod/web-0 -o json");
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let rows = document["webhooks"].as_array().unwrap().iter().map(|row| row["colocate"].as_bool().unwrap());
    assert_eq!(rows.collect::<Vec<_>>(), [true, true]);
}

#[test]
fn a_pod_is_not_created_again_while_colocate_is_away() {
    let away = |since: &str| {
        let mut scene = scene("default-scheduler");
        *scene.object(SLICES) = list(&[slice(false, since)]);
        scene
    };
    let advice = "Make colocate available first: none of its replicas is ready now. Then create the pod again.";
    for (since, expected) in [("2026-11-30T01:00:00Z", "colocate-away"), ("2026-11-30T10:00:00Z", "missed")] {
        let (verdict, evidence, fix) = away(since).why();
        assert_eq!((verdict.as_str(), &fix["advice"]), (expected, &json!(advice)), "{evidence}");
        assert_eq!(fix["command"], Value::Null);
    }
    // Without the endpoints, its pods show it.
    let mut scene = scene("default-scheduler");
    *scene.object(SLICES) = list(&[]);
    assert_eq!(scene.why().2["advice"], advice);
}

#[test]
fn a_dry_run_with_the_same_scheduler_ends_the_fix() {
    let fix = |scheduler: &str| {
        let scene = scene("default-scheduler");
        let mut pod = scene.objects.iter().find(|(path, _)| *path == POD).unwrap().1.clone();
        pod["spec"]["schedulerName"] = scheduler.into();
        let scene = scene.with("/api/v1/namespaces/shop/pods", pod);
        let run = scene.server().run_command(&Folder::new(&[]), "why pod/web-0 --dry-run -o json");
        let document: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((&document["verdict"], &document["dryRun"]["scheduler"]), (&json!("missed"), &json!(scheduler)));
        document["fix"].clone()
    };
    assert!(fix("stork")["command"].as_str().unwrap().contains("/eviction"));
    let advice = "Do not create the pod again yet: by the dry run, a new pod would be on default-scheduler.";
    assert_eq!(fix("default-scheduler"), json!({"advice": advice, "notes": []}));
}

#[test]
fn the_sources_of_a_custom_workload_say_nothing_about_an_old_template() {
    let scene = |kind: &str, generation: u64| {
        let custom = json!({"group": "argoproj.io", "version": "v1alpha1", "resource": "rollouts", "kind": "Rollout", "path": "/spec/template"});
        let mut scene = scene("stork");
        let config = json!({"customWorkloads": [custom]}).to_string();
        scene.object("/api/v1/namespaces/colocate/configmaps/colocate")["data"]["config.yaml"] = config.into();
        scene.object(POD)["spec"]["volumes"] = json!([]);
        let version = if kind == "Rollout" { "argoproj.io/v1alpha1" } else { "apps/v1" };
        let set = scene.object(REPLICA_SET);
        set["spec"]["template"]["spec"]["schedulerName"] = "stork".into();
        set["metadata"]["ownerReferences"][0] =
            json!({"apiVersion": version, "kind": kind, "name": "web", "uid": "w", "controller": true});
        let applied = json!({"spec": {"template": {"spec": {}}}}).to_string();
        let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
        let metadata = json!({"name": "web", "uid": "w", "generation": generation, "annotations": annotations});
        let top = json!({"metadata": metadata, "spec": {"template": {"spec": {"schedulerName": "stork"}}}});
        scene.with("/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web", top)
    };
    let (verdict, evidence, _) = scene("Rollout", 5).why();
    let text = "the source of its template is not known, so who chose stork is not known";
    assert_eq!((verdict.as_str(), evidence.as_str()), ("unknown", text));
    // Its template has never changed.
    assert_eq!(scene("Rollout", 1).why().0, "injected-earlier");
}

/// The webhook selects Namespaces with the label `colocate: on`. That of the pod has it or not, with this time of its last change.
fn opted_in(label: Option<&str>, endpoint: bool) -> Scene {
    let mut scene = scene("default-scheduler");
    let managed =
        |time: &str, fields: Value| json!([{"manager": "a", "operation": "Update", "time": time, "fieldsV1": fields}]);
    let webhook = &mut scene.object(WEBHOOKS)["items"][0];
    webhook["webhooks"][0]["namespaceSelector"] = json!({"matchLabels": {"colocate": "on"}});
    webhook["metadata"]["managedFields"] = managed("2026-11-01T00:00:00Z", json!({"f:webhooks": {}}));
    let mut namespace = scene.object("/api/v1/namespaces/shop").clone();
    if let Some(time) = label {
        namespace["metadata"]["labels"] = json!({"colocate": "on"});
        let fields = json!({"f:metadata": {"f:labels": {"f:colocate": {}}}});
        namespace["metadata"]["managedFields"] = managed(time, fields);
    }
    *scene.object("/api/v1/namespaces/shop") = namespace.clone();
    *scene.object(SLICES) = list(&[slice(endpoint, "2026-11-30T01:00:00Z")]);
    scene.with("/api/v1/namespaces", list(&[namespace]))
}

#[test]
fn a_label_that_may_have_changed_makes_the_cause_uncertain() {
    // It may have been removed, which managedFields do not show.
    let (verdict, evidence, fix) = opted_in(None, true).why();
    assert_eq!(verdict, "missed", "{evidence}");
    let removed = "label `colocate` may have been removed from Namespace shop, which leaves no time";
    assert!(evidence.contains(removed), "{evidence}");
    assert!(fix["advice"].as_str().unwrap().starts_with("Change the named rule"), "{fix}");
    // It was added later.
    let later = "label `colocate` of Namespace shop changed at 2026-11-30T09:00:00Z, so whether the object was sent to colocate before is not known";
    for endpoint in [true, false] {
        let (verdict, evidence, _) = opted_in(Some("2026-11-30T09:00:00Z"), endpoint).why();
        assert_eq!(verdict, "missed", "{evidence}");
        assert!(evidence.contains(later), "{evidence}");
    }
    assert_eq!(opted_in(Some("2026-11-01T00:00:00Z"), false).why().0, "colocate-away");
    // An opt-out that counts no more.
    let label = "stork.libopenstorage.org/disable-admission-controller";
    let mut opted_out = opted_in(Some("2026-11-01T00:00:00Z"), false);
    let fields = json!({"f:metadata": {"f:labels": {format!("f:{label}"): {}}}});
    let entry = json!({"manager": "b", "operation": "Update", "time": "2026-11-30T09:00:00Z", "fieldsV1": fields});
    let metadata = &mut opted_out.object("/api/v1/namespaces/shop")["metadata"];
    metadata["labels"][label] = "false".into();
    metadata["managedFields"].as_array_mut().unwrap().push(entry);
    let (verdict, evidence, _) = opted_out.why();
    assert_eq!(verdict, "missed", "{evidence}");
    assert!(
        evidence.contains(&format!("label `{label}` of Namespace shop changed at 2026-11-30T09:00:00Z")),
        "{evidence}"
    );
}

#[test]
fn only_writes_of_the_template_date_a_workload() {
    let verdict = |generation: u64, template_written: &str| {
        let mut scene = scene("default-scheduler");
        let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}});
        let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields});
        let fields = [
            entry("kubectl-client-side-apply", template_written, json!({"f:spec": {"f:template": {}}})),
            entry(
                "kubectl-annotate",
                "2026-11-30T01:00:00Z",
                json!({"f:metadata": {"f:annotations": {"f:owner": {}}}}),
            ),
        ];
        let metadata = json!({
            "name": "web", "namespace": "shop", "uid": "w", "generation": generation,
            "creationTimestamp": "2026-10-01T00:00:00Z", "managedFields": fields,
        });
        let template = json!({"metadata": {}, "spec": {"volumes": [volume]}});
        let rules =
            json!([{"apiGroups": ["", "apps"], "apiVersions": ["v1"], "resources": ["*"], "operations": ["*"]}]);
        scene.object(WEBHOOKS)["items"][0]["webhooks"][0]["rules"] = rules;
        let scene = scene
            .with(
                "/apis/apps/v1/namespaces/shop/deployments/web",
                json!({"metadata": metadata, "spec": {"template": template}}),
            )
            .with("/apis/apps/v1/namespaces/shop/replicasets", list(&[]))
            .with("/api/v1/namespaces/shop/pods", list(&[]));
        let run = scene.server().run_command(&Folder::new(&[]), "why deploy/web -o json");
        let document: Value = serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.err));
        // API servers record no time for a write that only removes fields.
        let is_doubted = run.out.contains("apart from writes that only removed fields");
        (document["verdict"].as_str().unwrap().to_owned(), is_doubted)
    };
    let is = |verdict: &str, is_doubted| (verdict.to_owned(), is_doubted);
    assert_eq!(verdict(1, "2026-10-01T00:00:00Z"), is("before-colocate", false));
    // The same manager wrote another field later.
    assert_eq!(verdict(1, "2026-11-20T00:00:00Z"), is("before-colocate", false));
    assert_eq!(verdict(3, "2026-10-20T00:00:00Z"), is("before-colocate", true));
    assert_eq!(verdict(3, "2026-11-20T00:00:00Z"), is("missed", true));
}

/// The pod waits for a node, and the API server has these Leases, which were renewed just now, and these Events about the pod.
fn pending(scheduler: &str, leases: &[&str], events: &[Value]) -> Value {
    let mut scene = scene(scheduler);
    let pod = scene.object(POD);
    pod["status"]["phase"] = "Pending".into();
    pod["spec"]["nodeName"] = "".into();
    let lease = |name: &&str| {
        let (namespace, name) = name.split_once('/').unwrap();
        json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"renewTime": "2099-01-01T00:00:00.000000Z"}})
    };
    let leases: Vec<_> = leases.iter().map(lease).collect();
    let kube = leases.iter().find(|lease| lease["metadata"]["name"] == "kube-scheduler").cloned();
    let scene = scene
        .with("/apis/coordination.k8s.io/v1/leases", list(&leases))
        .with("/api/v1/namespaces/shop/events", list(events));
    let scene = kube.into_iter().fold(scene, |scene, lease| {
        scene.with("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler", lease)
    });
    let run = scene.server().run_command(&Folder::new(&[]), "why pod/web-0 -o json");
    let mut document: Value = serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.err));
    document["pending"].take()
}

#[test]
fn a_lease_is_searched_in_all_namespaces() {
    let stork = pending("stork", &["px-system/stork", "px-system/other"], &[])["scheduler"].to_string();
    assert!(stork.contains("in colocate, kube-system, portworx, where colocate looks for it"), "{stork}");
    assert!(stork.contains("but Lease px-system/stork was renewed at 2099-01-01T00:00:00Z"), "{stork}");
    let none = "stork has no Lease stork in any namespace: it is not running, or it has no leader election";
    assert!(pending("stork", &[], &[])["scheduler"].to_string().contains(none));
}

#[test]
fn the_default_scheduler_has_a_line_too() {
    let scheduler = |name: &str, leases: &[&str]| pending(name, leases, &[])["scheduler"].clone();
    let alive = "default-scheduler is running: Lease kube-system/kube-scheduler was renewed at 2099-01-01T00:00:00Z";
    assert_eq!(scheduler("default-scheduler", &["kube-system/kube-scheduler"]), json!([alive]));
    assert!(scheduler("default-scheduler", &[])[0].as_str().unwrap().contains("has no Lease kube-scheduler in any"));
    let unknown = "whether yunikorn is running is not known: no Lease of it is configured";
    assert_eq!(scheduler("yunikorn", &[]), json!([unknown]));
}

#[test]
fn the_last_message_is_that_of_the_last_repetition() {
    let event = |message: &str, times: Value| {
        let mut event = json!({"reason": "FailedScheduling", "message": message, "involvedObject": {"uid": "p"}});
        event.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        event
    };
    let series = json!({"count": 9, "lastObservedTime": "2026-11-30T03:00:00.000000Z"});
    let events = [
        event("single", json!({"eventTime": "2026-11-30T02:20:00.000000Z", "lastTimestamp": null})),
        event(
            "repeated",
            json!({"eventTime": "2026-11-30T02:15:00.000000Z", "firstTimestamp": null, "series": series}),
        ),
        event("counted", json!({"firstTimestamp": "2026-11-30T02:10:00Z", "lastTimestamp": "2026-11-30T02:59:00Z"})),
    ];
    assert_eq!(pending("stork", &[], &events)["lastMessage"], "repeated");
}

#[test]
fn a_workload_with_more_pods_than_are_listed_says_so() {
    let screen = |count: usize| {
        let mut scene = scene("default-scheduler");
        let pod = scene.object(POD).clone();
        let pods: Vec<_> = (0..count)
            .map(|number| {
                let mut pod = pod.clone();
                pod["metadata"]["name"] = format!("web-{number}").into();
                pod
            })
            .collect();
        let scene = scene.with("/api/v1/namespaces/shop/pods", list(&pods));
        let run = |output: &str| {
            let run = scene.server().run_command(&Folder::new(&[]), &format!("why rs/web-5d4 -o {output}"));
            assert_eq!(run.code, Some(0), "{}", run.err);
            run.out
        };
        let document: Value = serde_json::from_str(&run("json")).unwrap();
        assert_eq!((&document["podCount"], document["pods"].as_array().unwrap().len()), (&json!(count), count.min(5)));
        run("text")
    };
    assert!(screen(6).contains("\nNEWEST PODS (5 of 6)  CREATED"));
    assert!(screen(5).contains("\nNEWEST PODS  CREATED"));
}
