//! `--cluster`: the requests to the API server, and the handling of denied ones.

use std::fs;

use colocate_harness::ApiServer;
use colocate_harness::{CLAIM, CLASS, DEPLOYMENT, Folder};
use serde_json::{Value, json};

use super::mutated;

const CLAIM_PATH: &str = "/api/v1/namespaces/shop/persistentvolumeclaims/mysql-data";
const NAMESPACE_PATH: &str = "/api/v1/namespaces/shop";
const CLASSES_PATH: &str = "/apis/storage.k8s.io/v1/storageclasses";
const VOLUME_PATH: &str = "/api/v1/persistentvolumes/pv-1";

fn claim(annotated: bool, spec: &Value) -> Value {
    let annotations =
        if annotated { json!({"volume.kubernetes.io/storage-provisioner": "pxd.portworx.com"}) } else { json!({}) };
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "mysql-data", "namespace": "shop", "annotations": annotations}, "spec": spec})
}

fn namespace(label: &str) -> Value {
    let labels = json!({"stork.libopenstorage.org/disable-admission-controller": label});
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}})
}

fn classes() -> Value {
    let class = json!({"metadata": {"name": "px-db"}, "provisioner": "pxd.portworx.com"});
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClassList", "metadata": {}, "items": [class]})
}

#[test]
fn only_objects_that_the_files_lack_are_requested() {
    let spec = json!({"storageClassName": "px-db"});
    let objects = [(CLAIM_PATH, claim(false, &spec)), (NAMESPACE_PATH, namespace("false")), (CLASSES_PATH, classes())];
    let server = ApiServer::new(&objects, 404);
    let folder = Folder::new(&[("deployment.yaml", DEPLOYMENT), ("claim.yaml", CLAIM), ("class.yaml", CLASS)]);
    let run = server.run(&folder, "mutate -f deployment.yaml");
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), &*mutated(DEPLOYMENT), ""));
    assert_eq!(server.asked(), [NAMESPACE_PATH, CLAIM_PATH, CLASSES_PATH]);

    assert_eq!(server.run(&folder, "mutate -f deployment.yaml claim.yaml").code, Some(0));
    assert_eq!(server.asked(), [NAMESPACE_PATH, CLASSES_PATH], "the claim is in the files");

    fs::write(folder.path("namespace.yaml"), namespace("true").to_string()).unwrap();
    let run =
        server.run(&folder, "mutate -f deployment.yaml --manifests claim.yaml class.yaml namespace.yaml --explain");
    assert!(run.err.contains("namespace-opted-out"), "{}", run.err);
    assert_eq!(server.asked(), [""; 0], "everything is in the files");

    fs::write(folder.path("namespace.yaml"), namespace("false").to_string()).unwrap();
    let opted_out = ApiServer::new(&[(CLAIM_PATH, claim(false, &spec)), (NAMESPACE_PATH, namespace("true"))], 404);
    let run = opted_out.run(&folder, "mutate -f deployment.yaml --manifests class.yaml namespace.yaml");
    assert_eq!((run.code, run.out, opted_out.asked()), (Some(0), mutated(DEPLOYMENT), vec![CLAIM_PATH.to_owned()]));

    let run = server.run(&folder, "mutate -f class.yaml claim.yaml");
    assert_eq!((run.code, server.asked()), (Some(0), Vec::new()), "no object refers to a claim");

    fs::write(folder.path("bad.yaml"), "a: [\n").unwrap();
    for arguments in ["mutate -f deployment.yaml bad.yaml", "mutate -f deployment.yaml --manifests bad.yaml"] {
        let run = server.run(&folder, arguments);
        assert_eq!((run.code, server.asked()), (Some(1), Vec::new()), "{arguments}");
        assert!(run.err.starts_with("bad.yaml:1:4: "), "{}", run.err);
    }
}

#[test]
fn claims_of_an_opted_out_namespace_are_not_requested() {
    let server = ApiServer::new(&[(NAMESPACE_PATH, namespace("true"))], 404);
    let folder = Folder::new(&[("deployment.yaml", DEPLOYMENT)]);
    let run = server.run(&folder, "mutate -f deployment.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(0), DEPLOYMENT), "{}", run.err);
    assert_eq!(server.asked(), [NAMESPACE_PATH]);
}

#[test]
fn missing_permissions_except_for_claims_are_reported() {
    let no_namespace = "colocate: cannot get namespaces `shop` (grant the verb `get` on `namespaces`): assuming that they do not opt out\n";
    let no_classes = "colocate: cannot list storageclasses (grant the verb `list`): claims whose driver is identified only by their class stay unresolved\n";
    let no_volumes = "colocate: cannot get persistentvolumes (grant the verb `get`): claims whose driver is identified only by a volume stay unresolved\n";
    let unresolved = "deployment.yaml:1:1: Deployment shop/mysql: claim-unknown: claim `mysql-data`: unknown: ";
    let named = json!({"storageClassName": "px-db"});
    let bound = json!({"storageClassName": "", "volumeName": "pv-1"});
    let folder = Folder::new(&[("deployment.yaml", DEPLOYMENT)]);
    let run = |claim: Value, arguments: &str| {
        let server = ApiServer::new(&[(CLAIM_PATH, claim)], 403);
        let run = server.run(&folder, &format!("mutate -f deployment.yaml {arguments}"));
        (run.code, run.out, run.err, server.asked())
    };
    let (code, out, said, asked) = run(claim(true, &named), "--strict");
    assert_eq!((code, out, said.as_str()), (Some(0), mutated(DEPLOYMENT), no_namespace));
    assert_eq!(asked, [NAMESPACE_PATH, CLAIM_PATH]);

    let (code, out, said, asked) = run(claim(false, &named), "--strict");
    assert_eq!((code, out.as_str()), (Some(3), DEPLOYMENT));
    assert_eq!(said, format!("{no_namespace}{no_classes}{unresolved}its StorageClass `px-db` is not accessible\n"));
    assert_eq!(asked, [NAMESPACE_PATH, CLAIM_PATH, CLASSES_PATH]);

    let (_, _, said, _) = run(claim(false, &json!({})), "-o yaml");
    assert!(said.contains("it names no StorageClass, and the default StorageClass is not accessible"), "{said}");

    let (code, out, said, asked) = run(claim(false, &bound), "--strict");
    assert_eq!((code, out.as_str()), (Some(3), DEPLOYMENT));
    assert_eq!(
        said,
        format!("{no_namespace}{no_classes}{no_volumes}{unresolved}its PersistentVolume `pv-1` is not accessible\n")
    );
    assert_eq!(asked, [NAMESPACE_PATH, CLAIM_PATH, VOLUME_PATH, CLASSES_PATH]);

    // A missing permission is not reported if nothing depends on it.
    let (code, _, said, _) = run(claim(true, &named), "--explain");
    assert_eq!((code, said.lines().count()), (Some(0), 2), "{said}");
}

#[test]
fn without_permission_to_get_claims_mutate_fails() {
    let server = ApiServer::new(&[], 403);
    let folder = Folder::new(&[("deployment.yaml", DEPLOYMENT)]);
    let run = server.run(&folder, "mutate -f deployment.yaml");
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(run.err.starts_with("colocate: cannot get persistentvolumeclaims: "), "{}", run.err);
}
