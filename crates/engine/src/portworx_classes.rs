//! The `StorageClasses` that an installation of Portworx creates by itself, which manifests name but do not contain.

use super::driver::PORTWORX_IN_TREE;
use super::setting::{Setting, Settings};
use super::storage_facts::ClassFacts;

const CSI: &str = "pxd.portworx.com";

/// The names of the classes, without their prefix. The operator creates each of them for the in-tree driver as `px-NAME` and for
/// the CSI driver as `px-csi-NAME` (`drivers/storage/portworx/component/storageclass.go` of libopenstorage/operator).
const REPLICATED: [&str; 8] = [
    "db",
    "db-cloud-snapshot",
    "db-cloud-snapshot-encrypted",
    "db-encrypted",
    "db-local-snapshot",
    "db-local-snapshot-encrypted",
    "replicated",
    "replicated-encrypted",
];

/// The classes of volumes on an array, each with its `backend`. The operator creates them if `FlashArrays` or `FlashBlades` are
/// configured.
const EXTERNAL: [(&str, &str); 3] = [
    ("px-fa-direct-access", "pure_block"),
    ("px-fb-direct-access-nfsv3", "pure_file"),
    ("px-fb-direct-access-nfsv4", "pure_file"),
];

/// The class of claims that Stork restores from a snapshot, and its provisioner.
const SNAPSHOT: (&str, &str) = ("stork-snapshot-sc", "stork-snapshot");

/// Returns the classes that Portworx' operator and Stork create by themselves, each with its name.
///
/// None of them is the default class, and all bind immediately. The list serves files that are read without a cluster: a cluster
/// knows its own classes.
pub fn portworx_classes() -> impl Iterator<Item = (String, ClassFacts<'static>)> {
    let class = |name: String, provisioner: &'static str, backend: Option<&str>| {
        let parameters = Settings::read(|key| backend.filter(|_| key == Setting::Backend.key()));
        (name, ClassFacts { provisioner: provisioner.into(), parameters, ..ClassFacts::default() })
    };
    let replicated = REPLICATED.into_iter().flat_map(move |name| {
        [class(format!("px-{name}"), PORTWORX_IN_TREE, None), class(format!("px-csi-{name}"), CSI, None)]
    });
    let external = EXTERNAL.into_iter().map(move |(name, backend)| class(name.to_owned(), CSI, Some(backend)));
    replicated.chain(external).chain([class(SNAPSHOT.0.to_owned(), SNAPSHOT.1, None)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Driver;

    #[test]
    fn every_class_belongs_to_portworx() {
        let provisioners = Driver::portworx().provisioners;
        let names: Vec<_> = portworx_classes()
            .map(|(name, class)| {
                assert!(provisioners.iter().any(|own| **own == *class.provisioner), "{name}");
                name
            })
            .collect();
        assert_eq!(names.len(), 20);
        for name in ["px-db", "px-csi-db", "px-csi-replicated-encrypted", "px-fa-direct-access", "stork-snapshot-sc"] {
            assert!(names.iter().any(|own| own == name), "{name}");
        }
    }
}
