//! Fuzzes the body of an AdmissionReview.

#![no_main]

#[path = "../json.rs"]
mod json;

use colocate_laws::review;

/// The keys that a decision depends on.
const KEYS: [&str; 36] = [
    "annotations",
    "claimName",
    "controller",
    "csi",
    "driver",
    "dryRun",
    "ephemeral",
    "fieldsV1",
    "group",
    "jobTemplate",
    "kind",
    "kubectl.kubernetes.io/last-applied-configuration",
    "kubernetes.io/config.mirror",
    "managedFields",
    "metadata",
    "name",
    "nodeName",
    "object",
    "oldObject",
    "operation",
    "ownerReferences",
    "persistentVolumeClaim",
    "portworxVolume",
    "schedulerName",
    "schedulingGroup",
    "spec",
    "stork.libopenstorage.org/disable-admission-controller",
    "stork.libopenstorage.org/disableHyperconvergence",
    "storageClassName",
    "subResource",
    "template",
    "version",
    "volume.beta.kubernetes.io/storage-class",
    "volumeClaimTemplate",
    "volumeClaimTemplates",
    "volumes",
];

libfuzzer_sys::fuzz_target!(|body: &[u8]| review::hold(body));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed, &KEYS)
});
