//! `colocate audit -f`: files whose application is simulated, and those that are not used.

use colocate_harness::{ApiServer, Folder, Run};
use serde_json::json;

use super::{cluster, document, list};

/// Runs `audit -f` with these files on the scripted cluster, with the `ReplicaSets` that it also lists.
fn run_with_files(files: &[(&str, &str)], arguments: &str) -> Run {
    let mut objects = cluster();
    objects.push(("/apis/apps/v1/replicasets", list(&[])));
    let folder = Folder::new(files);
    ApiServer::new(&objects, 404).run_command(&folder, &format!("audit {arguments}"))
}

/// The file of the Deployment `web`, with another image and this claim.
fn web(claim: &str) -> String {
    let volumes = json!([{"name": "d", "persistentVolumeClaim": {"claimName": claim}}]);
    let spec = json!({"containers": [{"name": "main", "image": "a:2"}], "volumes": volumes});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "db"},
        "spec": {"template": {"metadata": {}, "spec": spec}},
    });
    object.to_string()
}

#[test]
fn files_are_laid_over_the_cluster() {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: missing, namespace: db}\nspec: {storageClassName: px-db, accessModes: [ReadWriteOnce]}\n";
    let class =
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: other}\nprovisioner: pxd.portworx.com\n";
    let run = run_with_files(
        &[("a/web.json", &web("px")), ("a/claim.yaml", claim), ("a/class.yaml", class)],
        "-A -o json -f a",
    );
    let document = document(&run);
    let files = &document["clusters"][0]["files"];
    let pods: Vec<_> = files["pods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ["kind", "name", "when", "today", "after"].map(|key| row[key].as_str().unwrap_or("?")))
        .collect();
    let stork = |kind, name, when| [kind, name, when, "default-scheduler", "stork"];
    assert_eq!(pods, [stork("Deployment", "web", "rollout"), stork("Pod", "open", "re-creation")]);
    let workload = &files["workloads"][0];
    // The webhooks are registered for pods only, so the template keeps its scheduler.
    assert_eq!((&workload["when"], &workload["after"]), (&json!("rollout"), &json!("default-scheduler")));
    // The API server would not accept another provisioner, so the pod `other` stays on its scheduler.
    let note = files["notes"][0].as_str().unwrap();
    assert!(note.starts_with("a/class.yaml:1:1: the API server rejects the change of StorageClass other"), "{note}");
    let table = run_with_files(&[("web.json", &web("px"))], "-A -f web.json").out;
    assert!(
        table.contains("\n  db         Deployment/web     1  default-scheduler  stork  rollout  injected\n"),
        "{table}"
    );
}

#[test]
fn files_that_are_not_used_are_named() {
    let web = web("px");
    let duplicate = "apiVersion: v1\nkind: Pod\nkind: Pod\nmetadata: {name: a}\n";
    let template = "metadata:\n  name: {{ .Values.name }}\n";
    let files = [("a/web.json", web.as_str()), ("a/duplicate.yaml", duplicate), ("b/twice.json", web.as_str())];
    let run = run_with_files(&files, "-A -f a,b");
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains("a/duplicate.yaml:3:1: skipped: duplicate key"), "{}", run.out);
    assert!(run.out.contains("Deployment web is defined in a/web.json:1:1 and b/twice.json:1:1"), "{}", run.out);
    assert_eq!(run_with_files(&files, "-A --strict -f a,b").code, Some(3));
    assert_eq!(run_with_files(&files, "-A --strict -f a --exclude duplicate.yaml").code, Some(0));
    let run = run_with_files(&[("a.yaml", template)], "-A --strict -f a.yaml");
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert!(run.out.contains("a.yaml:2:9: skipped: this looks like a template"), "{}", run.out);

    for (files, arguments, code, message) in [
        (&[("a.yaml", "a: [")][..], "-f a.yaml", 1, "a.yaml:1:"),
        (&[("a.yaml", "# nothing\n")], "-f .", 1, "no YAML document found in ."),
        (&[], "-f absent.yaml", 1, "absent.yaml"),
        (&[], "-f https://example.test/a.yaml", 2, "colocate audit -f -"),
        (&[("a.yaml", "")], "-o openreports -f a.yaml", 2, "the reports are about the live cluster"),
        (&[], "-o openreports --context a --context b", 2, "the reports are for one cluster"),
    ] {
        let run = run_with_files(files, arguments);
        assert_eq!(run.code, Some(code), "{arguments}: {}{}", run.out, run.err);
        assert!(run.err.contains(message), "{arguments}: {}", run.err);
    }
}
