//! The watches that keep the cache current: a list in pages, then its changes.

use std::marker::PhantomData;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cache::ClaimCache;
use super::freshness::{Freshness, LastHeard};
use super::watched_kind::{Claims, Classes, WatchedKind, key};
use crate::api::{self, ApiClient, ApiError, ListMeta, Resource, Watch, WatchEvent};
use crate::engine::storage::{HasMetadata, Named};
use crate::engine::{Listing, Text, object};
use crate::process::Process;
use crate::process::readiness::ReadinessCondition;

/// The page size of a list, the same as kubectl's. A page of claims is about a megabyte.
const PAGE: usize = 500;

/// The longest time that a page of a list may take.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);

/// The objects of one kind, in one namespace or in all.
pub(super) struct Collection<K> {
    cache: ClaimCache,
    namespace: Option<String>,
    freshness: Freshness,
    /// The readiness condition that the first complete list meets; `None` from then on.
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

    /// Adds the objects of a page, and returns their number. An object that cannot be decoded keeps its last known
    /// state.
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
        self.cache.arrived();
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
                    self.cache.arrived();
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

/// Logs an object that cannot be decoded, and returns its name if the name can be decoded.
fn undecodable<'o, K: WatchedKind>(json: &'o RawValue, error: &serde_json::Error) -> Option<Named<'o>> {
    let named = serde_json::from_str::<Named<'o>>(json.get()).ok();
    tracing::warn!(
        resource = K::RESOURCE.name,
        namespace = named.as_ref().and_then(|named| named.namespace()),
        name = named.as_ref().and_then(|named| named.name()),
        %error,
        "cannot decode an object; its last known state stays in effect"
    );
    named
}

impl ClaimCache {
    /// Starts the watches of claims and classes. Readiness waits for the first list of each.
    pub fn watch(&self, process: &Process) {
        let named: Vec<_> = self.namespaces.iter().cloned().map(Some).collect();
        self.watch_kind::<Claims>(if named.is_empty() { vec![None] } else { named }, process);
        self.watch_kind::<Classes>(vec![None], process);
    }

    /// Starts a watch for each of these namespaces (`None` for all). Sets two gauges: the number of objects, and the
    /// staleness of the watch that has been silent the longest.
    fn watch_kind<K: WatchedKind>(&self, namespaces: Vec<Option<String>>, process: &Process) {
        let watches = namespaces.into_iter().map(|namespace| self.watch_collection::<K>(namespace, process));
        let last_heard: Vec<_> = watches.collect();
        let inventory = self.inventory.clone();
        let count = move || Some(K::COUNT(&inventory.read().unwrap_or_else(PoisonError::into_inner)));
        let staleness = move || last_heard.iter().map(|heard| heard.ago()).max();
        self.metrics.cached_objects.set([K::RESOURCE.name], count);
        self.metrics.watch_staleness.set([K::RESOURCE.name], staleness);
    }

    fn watch_collection<K: WatchedKind>(&self, namespace: Option<String>, process: &Process) -> Arc<LastHeard> {
        let last_heard = Arc::new(LastHeard::new(K::RESOURCE.name));
        let place = namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let name = format!("watch of {}{place}", K::RESOURCE.name);
        let detail = process.readiness.detail(name.clone());
        let clock = process.clock.clone();
        let freshness =
            Freshness { heard: last_heard.clone(), namespace: namespace.clone(), detail, clock, lost: false };
        let listed = process.readiness.condition(K::CONDITION);
        let collection = Collection::<K>::new(self.clone(), namespace, freshness, listed);
        process.tasks.spawn(name, api::follow(self.client.clone(), collection));
        last_heard
    }
}

#[cfg(test)]
mod tests;
