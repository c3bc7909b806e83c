//! The kinds that are watched, and how each is kept in the inventory.

use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cache::ClaimCache;
use super::freshness::Freshness;
use crate::api::{ApiClient, ApiError, ListMeta, Resource, Watch, WatchEvent};
use crate::engine::storage::{HasMetadata, Named, PersistentVolumeClaim, StorageClass};
use crate::engine::{Inventory, Listing, Text, object};
use crate::process::readiness::ReadinessCondition;

/// As many as kubectl asks for. A page of claims is about a megabyte.
const PAGE: usize = 500;

/// How long a page of a list may take.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);

/// A kind of object that is listed, watched, and kept in the inventory.
pub(super) trait WatchedKind: Send + 'static {
    /// The resource.
    const RESOURCE: Resource;
    /// The readiness condition that the first list meets.
    const CONDITION: &'static str;
    /// Keeps what is known of an object that a list brought and that cannot be decoded.
    const KEEP: fn(&mut Inventory, &Listing, &str, &str);
    /// Removes an object.
    const REMOVE: fn(&mut Inventory, &str, &str);
    /// Removes what a list did not bring.
    const END: fn(&mut Inventory, &Listing);
    /// How many are kept.
    const COUNT: fn(&Inventory) -> usize;

    /// An object, as far as it is decoded.
    type Object<'a>: HasMetadata + Deserialize<'a>;

    /// The path of the collection in a namespace, or in all.
    fn path(namespace: Option<&str>) -> String;

    /// Adds an object that a list, or else a watch, brought.
    fn insert(inventory: &mut Inventory, listing: Option<&Listing>, object: &Self::Object<'_>);
}

/// `persistentvolumeclaims` of `v1`.
pub(super) struct Claims;

/// `storageclasses` of `storage.k8s.io/v1`.
pub(super) struct Classes;

/// `persistentvolumes` of `v1`. They are not watched.
pub(super) const VOLUMES: Resource = Resource::new("", "persistentvolumes");

impl Claims {
    /// The path of one claim.
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

/// The objects of one kind, in one namespace or in all.
pub(super) struct Collection<K> {
    cache: ClaimCache,
    namespace: Option<String>,
    freshness: Freshness,
    /// Until the first complete list meets it.
    listed: Option<ReadinessCondition>,
    kind: PhantomData<fn(K)>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<ListMeta<'a>>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

impl<K: WatchedKind> Collection<K> {
    pub(super) fn new(
        cache: ClaimCache,
        namespace: Option<String>,
        freshness: Freshness,
        listed: ReadinessCondition,
    ) -> Self {
        Self { cache, namespace, freshness, listed: Some(listed), kind: PhantomData }
    }

    /// Reads all pages of a list, and returns its version and the number of its objects.
    async fn list(&mut self, client: &ApiClient) -> Result<(String, usize), ApiError> {
        let path = K::path(self.namespace.as_deref());
        let listing = self.cache.update(|inventory| inventory.list(self.namespace.as_deref()));
        let (mut body, mut rest, mut count) = (Vec::new(), String::new(), 0);
        loop {
            client.list(K::RESOURCE, &format!("{path}?limit={PAGE}{rest}"), PAGE_TIMEOUT, &mut body).await?;
            let page: Page<'_> = K::RESOURCE.decode("list", &body)?;
            self.freshness.heard();
            count += self.add(&listing, &page.items.unwrap_or_default());
            let metadata = page.metadata.unwrap_or_default();
            let Some(token) = Text::non_empty(metadata.rest.as_ref()) else {
                self.cache.update(|inventory| K::END(inventory, &listing));
                return Ok((metadata.resource_version.as_deref().unwrap_or_default().to_owned(), count));
            };
            rest = format!("&continue={token}");
        }
    }

    /// Adds the objects of a page, and returns their number. What is known of an object that cannot be decoded stays.
    fn add(&self, listing: &Listing, items: &[&RawValue]) -> usize {
        // Decoded before the lock is taken, so that lookups wait for the insertions only.
        let decoded: Vec<_> = items.iter().map(|item| serde_json::from_str::<K::Object<'_>>(item.get())).collect();
        self.cache.update(|inventory| {
            for (item, decoded) in items.iter().zip(&decoded) {
                match decoded {
                    Ok(object) => K::insert(inventory, Some(listing), object),
                    Err(error) => {
                        if let Some((namespace, name)) = undecodable::<K>(item, error).as_ref().and_then(key) {
                            K::KEEP(inventory, listing, namespace, name);
                        }
                    }
                }
            }
        });
        self.cache.listed();
        items.len()
    }
}

impl<K: WatchedKind> Watch for Collection<K> {
    fn resource(&self) -> Resource {
        K::RESOURCE
    }

    fn query(&self) -> String {
        format!("{}?", K::path(self.namespace.as_deref()))
    }

    fn name(&self) -> String {
        let namespace = self.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        format!("{}{namespace}", K::RESOURCE.name)
    }

    async fn read(&mut self, client: &ApiClient) -> Result<String, ApiError> {
        let (version, count) = self.list(client).await?;
        if let Some(listed) = self.listed.take() {
            listed.met();
        }
        // Logged after readiness is set, so that a reader of this line finds the process ready.
        tracing::info!(resource = K::RESOURCE.name, namespace = self.namespace, count, "listed");
        Ok(version)
    }

    async fn apply(&mut self, event: &WatchEvent<'_>) -> Result<(), ApiError> {
        let json = event.object.get();
        match &*event.kind {
            "ADDED" | "MODIFIED" => match serde_json::from_str::<K::Object<'_>>(json) {
                Ok(object) => {
                    self.cache.update(|inventory| K::insert(inventory, None, &object));
                    self.cache.arrived(object.namespace(), object.name());
                }
                Err(error) => drop(undecodable::<K>(event.object, &error)),
            },
            "DELETED" => match serde_json::from_str::<Named<'_>>(json) {
                Ok(named) => {
                    if let Some((namespace, name)) = key(&named) {
                        self.cache.update(|inventory| K::REMOVE(inventory, namespace, name));
                    }
                }
                Err(error) => drop(undecodable::<K>(event.object, &error)),
            },
            _ => {}
        }
        Ok(())
    }

    fn heard(&mut self) {
        self.freshness.heard();
    }

    fn lost(&mut self, reason: &ApiError) {
        self.freshness.lost(&reason.to_string());
    }
}

/// Returns the namespace, empty for a class, and the name of an object; `None` for one that never was in a cluster.
fn key(object: &impl HasMetadata) -> Option<(&str, &str)> {
    Some((object.namespace().unwrap_or_default(), object.name()?))
}

/// Warns of an object that cannot be decoded. Its name often can.
fn undecodable<'o, K: WatchedKind>(json: &'o RawValue, error: &serde_json::Error) -> Option<Named<'o>> {
    let named = serde_json::from_str::<Named<'o>>(json.get()).ok();
    tracing::warn!(
        resource = K::RESOURCE.name,
        namespace = named.as_ref().and_then(|named| named.namespace()),
        name = named.as_ref().and_then(|named| named.name()),
        %error,
        "cannot decode an object; what was known of it stays"
    );
    named
}

#[cfg(test)]
mod tests;
