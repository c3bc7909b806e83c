//! `colocate audit --repair-plan`: which pods it evicts.

use colocate_harness::{ApiServer, Folder};
use serde_json::json;

use super::{Objects, PODS, WEBHOOKS, cluster, list, pod, run_on, with_release, without_release};

#[test]
fn a_repair_plan_evicts_only_what_a_new_pod_would_improve() {
    let plan = |objects: &Objects| run_on(objects, 404, "audit --repair-plan --context c").out;
    let eviction = "kubectl --context=c create --raw /api/v1/namespaces/db/pods/web-5d4-a/eviction -f -";
    assert!(plan(&cluster()).contains(eviction), "{}", plan(&cluster()));
    assert!(plan(&cluster()).contains("# 1 pod in 1 round; nothing has been run\n"), "{}", plan(&cluster()));
    // This command has no options for the cluster.
    let probe = "# check first, with KUBECONFIG and the current context of this cluster, that API servers call colocate: colocate probe";
    assert!(plan(&cluster()).contains(probe), "{}", plan(&cluster()));
    for (objects, why) in [
        (with_release("mode: audit"), "# no plan: the configuration says mode: audit,"),
        (with_release("mode: off"), "# no plan: the configuration says mode: off,"),
        (without_release(), "# no plan: the configuration of colocate is not known,"),
        (with_condition("object.metadata.name != 'web-5d4-a'"), "(the match condition `edited` is false)"),
    ] {
        let script = plan(&objects);
        assert!(script.lines().all(|line| line.is_empty() || line.starts_with('#')), "{script}");
        assert!(script.contains(why), "{why}: {script}");
    }
    // A file is what the user says the configuration is, whatever the cluster's colocate says.
    let folder = Folder::new(&[("a.yaml", "mode: inject")]);
    let of_file = ApiServer::new(&with_release("mode: audit"), 404)
        .run_command(&folder, "audit --repair-plan --context c --config a.yaml");
    assert!(of_file.out.contains(eviction), "{}", of_file.out);
    let comment = "# configuration: the file of --config; if colocate runs with another one, new pods may get the same scheduler\n";
    assert!(of_file.out.contains(comment), "{}", of_file.out);
    assert!(plan(&cluster()).contains("# configuration: ConfigMap system/colocate\n"));
    // What cannot be evaluated does not prevent an eviction.
    let unknown = with_condition("request.userInfo.username != 'a'");
    assert!(plan(&unknown).contains(eviction), "{}", plan(&unknown));
}

#[test]
fn only_pods_that_their_own_controller_creates_again_are_evicted() {
    let custom = "customWorkloads: [{group: example.com, version: v1, resource: sets, kind: Set, path: /spec/template, update: true}]";
    let job = "/apis/batch/v1/jobs";
    let scaled =
        json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "name": "s", "uid": "s", "controller": true});
    for (api_version, kind, left_out) in [
        ("apps/v1", "ReplicaSet", None),
        ("apps/v1", "StatefulSet", None),
        ("apps/v1", "DaemonSet", None),
        ("v1", "ReplicationController", None),
        ("example.com/v1", "Set", None),
        ("example.com/v2", "Set", None),
        ("batch/v1", "Job", Some("a Job counts an eviction as a failure,")),
        ("argoproj.io/v1alpha1", "Workflow", Some("a Workflow may not create the pod again:")),
        ("tekton.dev/v1", "TaskRun", Some("a TaskRun may not create the pod again:")),
        ("example.com/v1", "StatefulSet", Some("a StatefulSet may not create the pod again:")),
    ] {
        let mut objects = with_release(custom);
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": "o", "uid": "o", "controller": true});
        let metadata = json!({"ownerReferences": [owner]});
        let mut replace =
            |path, object| objects.iter_mut().find(|(other, _)| *other == path).unwrap().1 = list(&[object]);
        replace(PODS, pod("a", "default-scheduler", "px", &metadata));
        // The topmost controller does not matter.
        replace(
            job,
            json!({"metadata": {"name": "o", "namespace": "db", "uid": "o", "ownerReferences": [scaled]}, "spec": {}}),
        );
        objects.push(("/apis/example.com/v1/sets", list(&[])));
        let script = run_on(&objects, 404, "audit --repair-plan").out;
        assert_eq!(script.contains("/pods/a/eviction"), left_out.is_none(), "{api_version} {kind}: {script}");
        let expected = left_out.map(|why| format!("\n# not in the plan\n# db/a: {why}")).unwrap_or_default();
        assert!(script.contains(&expected), "{api_version} {kind}: {script}");
    }
}

/// The cluster with a match condition of colocate's webhook.
fn with_condition(expression: &str) -> Objects {
    let mut objects = cluster();
    let webhooks = objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
    webhooks.1["items"][0]["webhooks"][0]["matchConditions"] = json!([{"name": "edited", "expression": expression}]);
    objects
}
