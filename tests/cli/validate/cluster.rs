//! `--cluster`: the requests to the API server, and the handling of denied ones.

use colocate_harness::ApiServer;
use colocate_harness::Folder;
use serde_json::{Value, json};

use super::{CLASS, DISABLE, LOCAL_ONLY, deployment};

const CLAIM_PATH: &str = "/api/v1/namespaces/shop/persistentvolumeclaims/data";
const NAMESPACE_PATH: &str = "/api/v1/namespaces/shop";
const CLASSES_PATH: &str = "/apis/storage.k8s.io/v1/storageclasses";
const STRATEGIES_PATH: &str = "/apis/portworx.io/v1beta2/volumeplacementstrategies";
const VOLUME_PATH: &str = "/api/v1/persistentvolumes/pv-1";

fn claim(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"}, "spec": spec})
}

fn shared() -> Value {
    claim(&json!({"storageClassName": "px", "accessModes": ["ReadWriteMany"]}))
}

fn namespace(label: &str) -> Value {
    let labels = json!({"stork.libopenstorage.org/disable-admission-controller": label});
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}})
}

fn list(items: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})
}

fn classes() -> Value {
    list(&json!([{"metadata": {"name": "px"}, "provisioner": "pxd.portworx.com"}]))
}

#[test]
fn only_objects_that_rules_need_and_files_lack_are_requested() {
    let objects = [(CLAIM_PATH, shared()), (NAMESPACE_PATH, namespace("false")), (CLASSES_PATH, classes())];
    let server = ApiServer::new(&objects, 404);
    let of_pod = |annotations: &str| Folder::new(&[("a.yaml", &deployment(annotations)), ("class.yaml", CLASS)]);

    let run = server.run(&of_pod(&format!("{LOCAL_ONLY}: \"true\"")), "validate -f a.yaml --strict");
    assert_eq!((run.code, run.places()), (Some(0), vec!["a.yaml:9:21: warning[HC014]"]), "{}", run.err);
    assert_eq!(server.asked(), [NAMESPACE_PATH, CLAIM_PATH, CLASSES_PATH]);

    // The opt-out of a Namespace does not matter if the pod opts out itself.
    let run =
        server.run(&of_pod(&format!("{DISABLE}: \"true\"")), "validate -f a.yaml --manifests class.yaml --strict");
    assert_eq!((run.code, run.places().len()), (Some(0), 3), "{}", run.out);
    assert_eq!(server.asked(), [CLAIM_PATH]);

    for nothing in ["", "example.com/a: b", "stork.libopenstorage.org/preferlocalnodeonly: \"true\""] {
        server.run(&of_pod(nothing), "validate -f a.yaml");
        assert_eq!(server.asked(), [""; 0], "no rule needs claims: {nothing}");
    }

    let opted_out = ApiServer::new(&[(CLAIM_PATH, shared()), (NAMESPACE_PATH, namespace("true"))], 404);
    let run = opted_out.run(&of_pod(&format!("{LOCAL_ONLY}: \"true\"")), "validate -f a.yaml class.yaml");
    assert_eq!((run.code, run.places()[0]), (Some(1), "a.yaml:9:21: error[HC012]"), "{}", run.out);

    let run = server.run(&of_pod(&format!("{LOCAL_ONLY}: \"true\"")), "validate -f a.yaml -n elsewhere --strict");
    assert_eq!(run.code, Some(3));
    assert!(run.err.contains(": claim `data` does not exist (at ") && !run.err.contains("--cluster"), "{}", run.err);
}

#[test]
fn strategies_are_listed_if_a_named_one_is_not_in_the_files() {
    let class = CLASS.replace("repl: \"2\"", "placement_strategy: spraed");
    let strategy = "apiVersion: portworx.io/v1beta2\nkind: VolumePlacementStrategy\nmetadata: {name: spraed}\n";
    let other = class.replace("spraed", "together");
    let files = [("class.yaml", &*class), ("other.yaml", &other), ("plain.yaml", CLASS), ("strategy.yaml", strategy)];
    let folder = Folder::new(&files);
    let names = list(&json!([{"metadata": {"name": "spread"}}, {"metadata": {"name": "together"}}]));
    let server = ApiServer::new(&[(STRATEGIES_PATH, names)], 404);
    let run = server.run(&folder, "validate -f class.yaml");
    assert_eq!((run.code, run.places()), (Some(1), vec!["class.yaml:5:34: error[HC020]"]), "{}", run.out);
    assert!(run.out.contains("such as spread, together"), "{}", run.out);
    assert_eq!(server.asked(), [STRATEGIES_PATH]);
    assert_eq!(server.run(&folder, "validate -f class.yaml --manifests strategy.yaml --strict").code, Some(0));
    assert_eq!(server.run(&folder, "validate -f plain.yaml --strict").code, Some(0));
    assert_eq!(server.asked(), [""; 0]);
    // One strategy exists already, and the other is in the files.
    assert_eq!(
        server.run(&folder, "validate -f class.yaml other.yaml --manifests strategy.yaml --strict").code,
        Some(0)
    );
    assert_eq!(server.asked(), [STRATEGIES_PATH]);

    let not_installed = ApiServer::new(&[], 404);
    let run = not_installed.run(&folder, "validate -f class.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{}", run.err);

    let hidden = ApiServer::new(&[], 403);
    let run = hidden.run(&folder, "validate -f class.yaml --strict");
    assert_eq!(run.code, Some(3));
    let note = "colocate: cannot list volumeplacementstrategies.portworx.io (grant the verb `list`): references to them stay unchecked\n";
    assert!(run.err.starts_with(note), "{}", run.err);
    assert!(
        run.err.contains("class.yaml:5:14: unchecked[HC020] ") && run.err.contains("not allowed to list them"),
        "{}",
        run.err
    );
}

#[test]
fn a_missing_permission_is_named_with_its_consequence() {
    let folder = Folder::new(&[("a.yaml", &deployment(&format!("{LOCAL_ONLY}: \"true\"")))]);
    let no_namespace = "colocate: cannot get namespaces `shop` (grant the verb `get` on `namespaces`): assuming that they do not opt out\n";
    let no_classes = "colocate: cannot list storageclasses (grant the verb `list`): claims whose driver is identified only by their class stay unresolved\n";
    let no_volumes = "colocate: cannot get persistentvolumes (grant the verb `get`): claims whose driver is identified only by a volume stay unresolved\n";
    let run = |objects: &[(&str, Value)], arguments: &str| {
        let server = ApiServer::new(objects, 403);
        let run = server.run(&folder, &format!("validate -f a.yaml {arguments}"));
        (run.code, run.err, server.asked())
    };
    let bound = claim(&json!({"storageClassName": "", "volumeName": "pv-1"}));
    let (code, said, asked) = run(&[(CLAIM_PATH, bound)], "--strict");
    assert_eq!(code, Some(3));
    assert!(
        said.starts_with(&format!("{no_namespace}{no_classes}{no_volumes}a.yaml:9:21: unchecked[HC013] ")),
        "{said}"
    );
    assert!(said.contains(": claim `data`: its PersistentVolume `pv-1` is not accessible (at "), "{said}");
    assert_eq!(asked, [NAMESPACE_PATH, CLAIM_PATH, VOLUME_PATH, CLASSES_PATH]);

    let (code, said, _) = run(&[(CLAIM_PATH, shared()), (NAMESPACE_PATH, namespace(""))], "-o text");
    assert_eq!(code, Some(0));
    assert!(said.starts_with(no_classes) && said.contains("its StorageClass `px` is not accessible"), "{said}");

    // The annotation reveals the owner of the claim, but not whether the claim is shared.
    let mut annotated = claim(&json!({"storageClassName": "px", "accessModes": ["ReadWriteOnce"]}));
    annotated["metadata"]["annotations"] = json!({"volume.kubernetes.io/storage-provisioner": "pxd.portworx.com"});
    let (code, said, _) = run(&[(CLAIM_PATH, annotated), (NAMESPACE_PATH, namespace(""))], "--strict");
    assert_eq!(code, Some(3));
    assert!(said.starts_with(no_classes) && said.contains("the class of claim `data` is not known"), "{said}");

    let (code, said, _) = run(&[(NAMESPACE_PATH, namespace("")), (CLASSES_PATH, classes())], "--strict");
    assert_eq!(code, Some(3));
    assert!(said.starts_with("colocate: cannot get persistentvolumeclaims: no (grant the verb `get` on `persistentvolumeclaims`): rules that need the claims are not checked\n"), "{said}");
    assert!(said.contains(": claim `data` is not accessible (at "), "{said}");
    // Findings that do not depend on the permission are reported.
    let server = ApiServer::new(&[], 403);
    let wrong = Folder::new(&[("a.yaml", &deployment(&format!("{LOCAL_ONLY}: \"true\", {DISABLE}: \"true\"")))]);
    let run = server.run(&wrong, "validate -f a.yaml --strict");
    assert_eq!((run.code, run.places()), (Some(1), vec!["a.yaml:9:21: error[HC011]"]), "{}", run.err);
}

#[test]
fn a_failing_or_missing_cluster_is_a_failure() {
    let server = ApiServer::new(&[], 500);
    let folder = Folder::new(&[("a.yaml", &deployment(&format!("{LOCAL_ONLY}: \"true\", {DISABLE}: \"on\"")))]);
    let run = server.run(&folder, "validate -f a.yaml");
    assert_eq!((run.code, run.places().len()), (Some(1), 1), "the files are checked without the cluster: {}", run.out);
    assert!(run.err.starts_with("colocate: cannot get namespaces: "), "{}", run.err);
    assert!(run.err.contains("claim `data` is not in the files") && run.err.contains("; 1 failure"), "{}", run.err);
    let run = Folder::new(&[("class.yaml", CLASS)]).run("validate -f class.yaml --cluster");
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("kubeconfig"), "{}", run.err);
}
