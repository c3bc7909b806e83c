//! A namespace that does not exist is an error; an empty one is not.

use colocate_harness::{ApiServer, Folder};
use serde_json::{Value, json};

use super::{CLAIMS, DEPLOYMENTS, OTHER_WORKLOADS, Objects, PODS, cluster, document, list};

/// The cluster with the Namespace `empty`. The API server lists nothing in it, and nothing in `typo`.
fn with_empty() -> Objects {
    let mut objects = cluster();
    let lists = [PODS, CLAIMS, DEPLOYMENTS, "/api/v1/podtemplates"].into_iter().chain(OTHER_WORKLOADS);
    objects.extend(lists.flat_map(|path| {
        ["typo", "empty"].map(|name| (&*path.replace("/v1/", &format!("/v1/namespaces/{name}/")).leak(), list(&[])))
    }));
    objects.push(("/api/v1/namespaces/empty", json!({"metadata": {"name": "empty"}})));
    objects
}

#[test]
fn a_namespace_that_does_not_exist_is_an_error() {
    let objects = with_empty();
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let new = "apiVersion: v1\nkind: Namespace\nmetadata: {name: typo}\n";
    let folder = Folder::new(&[("map.yaml", map), ("new.yaml", new)]);
    for (arguments, otherwise, code) in [
        ("audit -n typo", 404, 1),
        ("audit -n typo --strict --fail-under 99", 404, 1),
        ("audit -n typo -o json", 404, 1),
        ("audit -n typo --repair-plan", 404, 1),
        ("audit -n empty --strict", 404, 0),
        // It may exist if Namespaces cannot be read.
        ("audit -n typo", 403, 0),
        ("audit -n typo --strict", 403, 3),
        ("audit -n typo -f map.yaml", 404, 1),
        // The files create it.
        ("audit -n typo -f map.yaml new.yaml", 404, 0),
        ("release -n typo --check --strict", 404, 1),
        ("release -n typo -o json", 404, 1),
        ("release deployment/web -n typo", 404, 1),
        ("release -n empty --check --strict", 404, 0),
        ("release -n typo --check", 403, 0),
        ("release -n typo --check --strict", 403, 3),
    ] {
        let run = ApiServer::new(&objects, otherwise).run_command(&folder, arguments);
        assert_eq!(run.code, Some(code), "{arguments}: {}{}", run.out, run.err);
        let line = "namespace typo does not exist: check the name (-n) and the cluster (--context)";
        assert_eq!(run.err.contains(line), code == 1, "{arguments}: {}", run.err);
        if arguments.starts_with("audit") && arguments.ends_with("json") {
            assert_eq!((&document(&run)["clusters"][0]["error"], run.err.is_empty()), (&Value::from(line), false));
        }
    }
}
