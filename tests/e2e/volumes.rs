//! Claims that are bound by hand: only the volume shows which driver provides them.

use colocate_harness::{AuditLog, Colocate, Namespace, example, pair};

/// A claim, and a volume that only names its CSI driver. They are bound to each other without a class, or with a class that
/// does not exist.
fn bound_by_hand(namespace: &Namespace, claim: &str, class: &str) -> String {
    let volume = format!("{}-{claim}", namespace.name());
    // Without `claimRef`, a claim of another test without a class could take the volume.
    format!(
        "apiVersion: v1
kind: PersistentVolume
metadata: {{name: {volume}}}
spec:
  storageClassName: '{class}'
  accessModes: [ReadWriteOnce]
  capacity: {{storage: 2Gi}}
  claimRef: {{namespace: {namespace}, name: {claim}}}
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
",
        namespace = namespace.name()
    )
}

#[test]
fn a_claim_without_a_class_needs_one_get_of_its_volume() {
    assert_resolved_by_its_volume("volume-no-class", "");
}

#[test]
fn a_claim_of_an_absent_class_needs_one_get_of_its_volume() {
    assert_resolved_by_its_volume("volume-absent-class", "gone");
}

fn assert_resolved_by_its_volume(name: &str, class: &str) {
    let namespace = Namespace::new(name);
    let colocate = Colocate::register(&namespace, "");
    namespace.apply(&bound_by_hand(&namespace, "mysql-data", class));
    namespace.run("wait --for=jsonpath={.status.phase}=Bound pvc/mysql-data --timeout=60s");

    // A template, which does not wait for claims, and then pods.
    namespace.apply(&example("mysql/deployment.yaml"));
    let output = namespace.apply(&pair::pod("mysql-data").to_string());

    assert_eq!(output.stderr, "");
    assert_eq!(namespace.get("deployment/mysql").scheduler(), "stork");
    assert_eq!(namespace.get("pod/mysql-data").scheduler(), "stork");
    assert_eq!(colocate.reason_at_create("Deployment", "mysql"), "injected");
    assert_eq!(colocate.reason_at_create("Pod", "mysql-data"), "injected");
    assert_eq!(namespace.bound_by(&namespace.running_pod("-l app=mysql")), "stork");
    assert_eq!((colocate.lookups("fetched"), colocate.lookups("missing")), (1, 0), "the result of the GET is cached");
    let user = format!("system:serviceaccount:{name}:colocate");
    let events = AuditLog::follow().events_until("create", "pods", name, "mysql-data");
    let gets = events.iter().filter(|event| event["verb"] == "get" && event["user"]["username"] == user.as_str());
    let names: Vec<_> = gets.map(|event| event["objectRef"]["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names.iter().filter(|volume| **volume == format!("{name}-mysql-data")).count(), 1, "{names:?}");
}

#[test]
fn a_pod_waits_until_its_new_claim_is_bound() {
    let namespace = Namespace::new("volume-together");
    let colocate = Colocate::register(&namespace, "");
    let manifest = format!("{}---\n{}", bound_by_hand(&namespace, "data", ""), pair::pod("data"));
    // A claim without `volumeName` is bound by the controller, which takes a moment.
    let manifest = manifest.replace("  volumeName: volume-together-data\n", "");

    let output = namespace.apply(&manifest);

    assert_eq!(output.stderr, "");
    assert_eq!(namespace.get("pod/data").scheduler(), "stork");
    assert_eq!(colocate.reason_at_create("Pod", "data"), "injected");
}
