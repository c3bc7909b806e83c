//! Claims that are bound by hand: only their volumes tell whose they are.

use colocate_harness::{AuditLog, Colocate, Namespace, example, pair};

/// A claim, and a volume that says nothing but the name of its CSI driver. They are bound to each other without a class, or
/// with one that does not exist.
fn bound_by_hand(namespace: &Namespace, claim: &str, class: &str) -> String {
    let volume = format!("{}-{claim}", namespace.name());
    format!(
        "apiVersion: v1
kind: PersistentVolume
metadata: {{name: {volume}}}
spec:
  storageClassName: '{class}'
  accessModes: [ReadWriteOnce]
  capacity: {{storage: 2Gi}}
  csi: {{driver: pxd.portworx.com, volumeHandle: {volume}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {claim}}}
spec:
  storageClassName: '{class}'
  volumeName: {volume}
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 2Gi}}}}
"
    )
}

#[test]
fn a_claim_without_a_class_is_told_by_one_get_of_its_volume() {
    told_by_its_volume("volume-no-class", "");
}

#[test]
fn a_claim_of_a_class_that_does_not_exist_is_told_by_one_get_of_its_volume() {
    told_by_its_volume("volume-absent-class", "gone");
}

fn told_by_its_volume(name: &str, class: &str) {
    let namespace = Namespace::new(name);
    let colocate = Colocate::register(&namespace, "");
    namespace.apply(&bound_by_hand(&namespace, "mysql-data", class));
    namespace.run("wait --for=jsonpath={.status.phase}=Bound pvc/mysql-data --timeout=60s");

    // A template, for whose claims nobody waits, and then pods.
    namespace.apply(&example("mysql/deployment.yaml"));
    let output = namespace.apply(&pair::pod("mysql-data").to_string());

    assert_eq!(output.stderr, "");
    assert_eq!(namespace.get("deployment/mysql").scheduler(), "stork");
    assert_eq!(namespace.get("pod/mysql-data").scheduler(), "stork");
    assert_eq!(colocate.reason_at_create("Deployment", "mysql"), "injected");
    assert_eq!(colocate.reason_at_create("Pod", "mysql-data"), "injected");
    assert_eq!(namespace.bound_by(&namespace.running_pod("-l app=mysql")), "stork");
    assert_eq!((colocate.lookups("fetched"), colocate.lookups("missing")), (1, 0), "the answer is kept");
    let user = format!("system:serviceaccount:{name}:colocate");
    let events = AuditLog::follow().events_until("create", "pods", name, "mysql-data");
    let gets = events.iter().filter(|event| event["verb"] == "get" && event["user"]["username"] == user.as_str());
    let asked: Vec<_> = gets.map(|event| event["objectRef"]["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(asked.iter().filter(|asked| **asked == format!("{name}-mysql-data")).count(), 1, "{asked:?}");
}

#[test]
fn a_pod_made_together_with_its_volume_and_its_claim_waits_until_they_are_bound() {
    let namespace = Namespace::new("volume-together");
    let colocate = Colocate::register(&namespace, "");
    let manifest = format!("{}---\n{}", bound_by_hand(&namespace, "data", ""), pair::pod("data"));
    // The API server is told of a claim; who binds it takes its time.
    let manifest = manifest.replace("  volumeName: volume-together-data\n", "");

    let output = namespace.apply(&manifest);

    assert_eq!(output.stderr, "");
    assert_eq!(namespace.get("pod/data").scheduler(), "stork");
    assert_eq!(colocate.reason_at_create("Pod", "data"), "injected");
}
