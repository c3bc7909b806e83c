//! Manifests of classes, claims and volumes. Each volume names its claim, because no provisioner runs.

use super::example;

/// The Portworx class of `examples/mysql/storageclass.yaml`.
pub const PORTWORX_CLASS: &str = "px-db";

/// A class whose provisioner does not belong to a configured driver.
pub const OTHER_CLASS: &str = "other";

/// The manifest of both classes.
pub(crate) fn classes() -> String {
    let portworx = example("mysql/storageclass.yaml");
    format!(
        "{portworx}---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {OTHER_CLASS}}}
provisioner: other.example.test
"
    )
}

/// The manifest of a claim.
pub(crate) fn claim(name: &str, class: &str) -> String {
    format!(
        "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec:
  storageClassName: {class}
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 2Gi}}}}
"
    )
}

/// The manifest of the volume that is bound to a claim. The name contains the claim's namespace, because volumes are not
/// namespaced.
pub fn volume(namespace: &str, claim: &str, class: &str) -> String {
    let driver = if class == PORTWORX_CLASS { "pxd.portworx.com" } else { "other.example.test" };
    format!(
        "apiVersion: v1
kind: PersistentVolume
metadata: {{name: {namespace}-{claim}}}
spec:
  storageClassName: {class}
  accessModes: [ReadWriteOnce]
  capacity: {{storage: 2Gi}}
  claimRef: {{namespace: {namespace}, name: {claim}}}
  csi: {{driver: {driver}, volumeHandle: {namespace}-{claim}}}
"
    )
}
