//! The kinds of object that are watched, and how each is kept in the inventory.

use serde::Deserialize;

use crate::api::Resource;
use crate::engine::storage::{HasMetadata, PersistentVolumeClaim, StorageClass};
use crate::engine::{Inventory, Listing};

/// A kind of object that is listed, watched, and kept in the inventory.
pub(super) trait WatchedKind: Send + 'static {
    /// The resource.
    const RESOURCE: Resource;
    /// The readiness condition that the first list meets.
    const CONDITION: &'static str;
    /// Keeps the last known state of a listed object that cannot be decoded.
    const KEEP: fn(&mut Inventory, &Listing, &str, &str);
    /// Removes an object.
    const REMOVE: fn(&mut Inventory, &str, &str);
    /// Removes the objects that a list did not contain.
    const END: fn(&mut Inventory, &Listing);
    /// Returns the number of objects that are kept.
    const COUNT: fn(&Inventory) -> usize;

    /// An object, as far as it is decoded.
    type Object<'a>: HasMetadata + Deserialize<'a>;

    /// Returns the path of the collection in a namespace, or in all.
    fn path(namespace: Option<&str>) -> String;

    /// Adds an object from a list or, without one, from a watch.
    fn insert(inventory: &mut Inventory, listing: Option<&Listing>, object: &Self::Object<'_>);
}

/// `persistentvolumeclaims` of `v1`.
pub(super) struct Claims;

/// `storageclasses` of `storage.k8s.io/v1`.
pub(super) struct Classes;

/// `persistentvolumes` of `v1`. They are not watched.
pub(super) const VOLUMES: Resource = Resource::new("", "persistentvolumes");

impl Claims {
    /// Returns the path of one claim.
    pub(super) fn object_path(namespace: &str, name: &str) -> String {
        format!("{}/{name}", Self::path(Some(namespace)))
    }
}

/// Returns the path of one volume.
pub(super) fn volume_path(name: &str) -> String {
    format!("/api/v1/persistentvolumes/{name}")
}

impl WatchedKind for Claims {
    const RESOURCE: Resource = Resource::new("", "persistentvolumeclaims");
    const CONDITION: &'static str = "list of claims";
    const KEEP: fn(&mut Inventory, &Listing, &str, &str) = Inventory::keep_listed_claim;
    const REMOVE: fn(&mut Inventory, &str, &str) = Inventory::remove_claim;
    const END: fn(&mut Inventory, &Listing) = Inventory::end_claims;
    const COUNT: fn(&Inventory) -> usize = Inventory::claim_count;

    type Object<'a> = PersistentVolumeClaim<'a>;

    fn path(namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"),
            None => "/api/v1/persistentvolumeclaims".to_owned(),
        }
    }

    fn insert(inventory: &mut Inventory, listing: Option<&Listing>, claim: &Self::Object<'_>) {
        let Some((namespace, name)) = key(claim) else { return };
        match listing {
            Some(listing) => inventory.insert_listed_claim(listing, namespace, name, &claim.facts()),
            None => inventory.insert_claim(namespace, name, &claim.facts()),
        }
    }
}

impl WatchedKind for Classes {
    const RESOURCE: Resource = Resource::new("storage.k8s.io", "storageclasses");
    const CONDITION: &'static str = "list of storage classes";
    const KEEP: fn(&mut Inventory, &Listing, &str, &str) =
        |known, listing, _, name| known.keep_listed_class(listing, name);
    const REMOVE: fn(&mut Inventory, &str, &str) = |known, _, name| known.remove_class(name);
    const END: fn(&mut Inventory, &Listing) = Inventory::end_classes;
    const COUNT: fn(&Inventory) -> usize = Inventory::class_count;

    type Object<'a> = StorageClass<'a>;

    fn path(_: Option<&str>) -> String {
        "/apis/storage.k8s.io/v1/storageclasses".to_owned()
    }

    fn insert(inventory: &mut Inventory, listing: Option<&Listing>, class: &Self::Object<'_>) {
        let Some((_, name)) = key(class) else { return };
        match listing {
            Some(listing) => inventory.insert_listed_class(listing, name, class.facts()),
            None => inventory.insert_class(name, class.facts()),
        }
    }
}

/// Returns the namespace, empty for a class, and the name of an object; `None` for an object that was never in a
/// cluster.
pub(super) fn key(object: &impl HasMetadata) -> Option<(&str, &str)> {
    Some((object.namespace().unwrap_or_default(), object.name()?))
}
