//! The kinds that are watched, and how each is kept.

use serde::Deserialize;

use crate::engine::storage::{Named, Object, PersistentVolumeClaim, StorageClass};
use crate::engine::{Inventory, Listing};

/// A kind of object that is listed, watched, and kept in the inventory.
pub(super) trait Kind: Send + 'static {
    /// The objects' name in requests, rights and metrics.
    const RESOURCE: &'static str;
    /// The API group, with which messages about rights name the resource; empty for the core group.
    const GROUP: &'static str;

    /// An object, as far as it is decoded.
    type Object<'a>: Object + Deserialize<'a>;

    /// Where the objects of a namespace, or of all, are listed.
    fn path(namespace: Option<&str>) -> String;

    /// Adds an object that a list (or else a watch) brought.
    fn insert(inventory: &mut Inventory, listing: Option<&Listing>, object: &Self::Object<'_>);

    /// A list brought an object that cannot be decoded: what is known of it stays.
    fn keep(inventory: &mut Inventory, listing: &Listing, object: &Named<'_>);

    /// Forgets an object.
    fn remove(inventory: &mut Inventory, object: &Named<'_>);

    /// Forgets what a list did not bring.
    fn end(inventory: &mut Inventory, listing: &Listing);

    /// How many are kept.
    fn count(inventory: &Inventory) -> usize;
}

/// `persistentvolumeclaims` of `v1`.
pub(super) struct Claims;

/// `storageclasses` of `storage.k8s.io/v1`.
pub(super) struct Classes;

impl Claims {
    /// Where one claim is.
    pub(super) fn object_path(namespace: &str, name: &str) -> String {
        format!("{}/{name}", Self::path(Some(namespace)))
    }
}

impl Kind for Claims {
    const RESOURCE: &'static str = "persistentvolumeclaims";
    const GROUP: &'static str = "";

    type Object<'a> = PersistentVolumeClaim<'a>;

    fn path(namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"),
            None => "/api/v1/persistentvolumeclaims".to_owned(),
        }
    }

    fn insert(inventory: &mut Inventory, listing: Option<&Listing>, claim: &Self::Object<'_>) {
        let (Some(namespace), Some(name)) = (claim.namespace(), claim.name()) else { return };
        match listing {
            Some(listing) => inventory.insert_listed_claim(listing, namespace, name, &claim.facts()),
            None => inventory.insert_claim(namespace, name, &claim.facts()),
        }
    }

    fn keep(inventory: &mut Inventory, listing: &Listing, claim: &Named<'_>) {
        let (Some(namespace), Some(name)) = (claim.namespace(), claim.name()) else { return };
        inventory.keep_listed_claim(listing, namespace, name);
    }

    fn remove(inventory: &mut Inventory, claim: &Named<'_>) {
        let (Some(namespace), Some(name)) = (claim.namespace(), claim.name()) else { return };
        inventory.remove_claim(namespace, name);
    }

    fn end(inventory: &mut Inventory, listing: &Listing) {
        inventory.end_claims(listing);
    }

    fn count(inventory: &Inventory) -> usize {
        inventory.claim_count()
    }
}

impl Kind for Classes {
    const RESOURCE: &'static str = "storageclasses";
    const GROUP: &'static str = "storage.k8s.io";

    type Object<'a> = StorageClass<'a>;

    fn path(_: Option<&str>) -> String {
        "/apis/storage.k8s.io/v1/storageclasses".to_owned()
    }

    fn insert(inventory: &mut Inventory, listing: Option<&Listing>, class: &Self::Object<'_>) {
        let Some(name) = class.name() else { return };
        match listing {
            Some(listing) => inventory.insert_listed_class(listing, name, class.facts()),
            None => inventory.insert_class(name, class.facts()),
        }
    }

    fn keep(inventory: &mut Inventory, listing: &Listing, class: &Named<'_>) {
        if let Some(name) = class.name() {
            inventory.keep_listed_class(listing, name);
        }
    }

    fn remove(inventory: &mut Inventory, class: &Named<'_>) {
        if let Some(name) = class.name() {
            inventory.remove_class(name);
        }
    }

    fn end(inventory: &mut Inventory, listing: &Listing) {
        inventory.end_classes(listing);
    }

    fn count(inventory: &Inventory) -> usize {
        inventory.class_count()
    }
}
