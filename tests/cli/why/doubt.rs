//! Facts that are missing or may have changed make a verdict weaker, and never wrong.

use serde_json::json;

use super::{Scene, list};

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
