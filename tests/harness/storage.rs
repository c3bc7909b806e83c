//! Classes, claims and the volumes that they are bound to. No provisioner runs: a volume names its claim.

use super::example;

/// The class of `examples/mysql/storageclass.yaml`, which Portworx provisions.
pub(crate) const PORTWORX_CLASS: &str = "px-db";

/// A class that no configured driver provisions.
pub(crate) const OTHER_CLASS: &str = "other";

/// Both classes.
pub(super) fn classes() -> String {
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

/// A claim of that class.
pub(super) fn claim(name: &str, class: &str) -> String {
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

/// The volume that a claim is bound to as soon as both are there. Volumes have no namespace, so that their names tell it.
pub(crate) fn volume(namespace: &str, claim: &str, class: &str) -> String {
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
