//! What a cluster knows of claims, classes and volumes, kept current by watches.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::watch;

use super::freshness::{Freshness, LastHeard};
use super::limits::ClaimLimits;
use super::single_flight::SingleFlight;
use super::ttl_set::TtlSet;
use super::wait_slots::WaitSlots;
use super::watched::{Claims, Classes, Collection, WatchedKind};
use crate::api::{self, ApiClient};
use crate::engine::Inventory;
use crate::process::Process;
use crate::process::metrics::Metrics;

/// For how long a claim that was waited for in vain is not waited for again: a controller that creates its pods again and
/// again must not hold the wait slots of others.
const VAIN_TTL: Duration = Duration::from_secs(30);

/// How many such claims are remembered. 64 pods that wait 2 s each make 1,000 in that time.
const MAX_VAIN: usize = 4096;

/// What a cluster knows of claims, classes and volumes. Clones share it.
#[derive(Clone)]
pub struct ClaimCache {
    pub(super) client: ApiClient,
    inventory: Arc<RwLock<Inventory>>,
    /// Notified whenever a claim or a class is added or changed.
    pub(super) changed: watch::Sender<()>,
    pub(super) single_flight: Arc<SingleFlight>,
    pub(super) wait_slots: Arc<WaitSlots>,
    /// Claims, by namespace and name, that were waited for in vain.
    pub(super) vain: Arc<TtlSet<(String, String)>>,
    /// Missing claims that were logged, by namespace and name, and (without a namespace) other causes.
    pub(super) logged: Arc<TtlSet<(String, String)>>,
    pub(super) metrics: Arc<Metrics>,
}

impl ClaimCache {
    /// An empty cache of the cluster of `client`.
    pub fn new(client: ApiClient, limits: ClaimLimits, process: &Process) -> Self {
        Self {
            single_flight: Arc::new(SingleFlight::new(client.clone(), limits.max_gets, process.readiness.clone())),
            client,
            inventory: Arc::default(),
            changed: watch::Sender::new(()),
            wait_slots: Arc::new(WaitSlots::new(limits.max_waiters, limits.max_waiters_per_namespace)),
            vain: Arc::new(TtlSet::new(VAIN_TTL, MAX_VAIN)),
            logged: Arc::new(TtlSet::new(VAIN_TTL, MAX_VAIN)),
            metrics: process.metrics.clone(),
        }
    }

    /// Starts the watches: of the claims of these namespaces, or of all if the list is empty, and of classes. Readiness
    /// waits for the first list of each.
    pub fn watch(&self, namespaces: &[String], process: &Process) {
        let named: Vec<_> = namespaces.iter().cloned().map(Some).collect();
        self.watch_kind::<Claims>(if named.is_empty() { vec![None] } else { named }, process);
        self.watch_kind::<Classes>(vec![None], process);
    }

    /// Starts a watch for each of these namespaces (`None` for all), counts the objects, and measures the time since the
    /// watch that has waited longest heard from the API server.
    fn watch_kind<K: WatchedKind>(&self, namespaces: Vec<Option<String>>, process: &Process) {
        let watches = namespaces.into_iter().map(|namespace| self.watch_collection::<K>(namespace, process));
        let last_heard: Vec<_> = watches.collect();
        let inventory = self.inventory.clone();
        let count = move || K::COUNT(&inventory.read().unwrap_or_else(PoisonError::into_inner));
        let staleness = move || last_heard.iter().map(|heard| heard.ago()).max().unwrap_or_default();
        self.metrics.cached_objects.set(K::RESOURCE.name, Some(count));
        self.metrics.watch_staleness.set(K::RESOURCE.name, Some(staleness));
    }

    fn watch_collection<K: WatchedKind>(&self, namespace: Option<String>, process: &Process) -> Arc<LastHeard> {
        let last_heard = Arc::new(LastHeard::new(K::RESOURCE.name));
        let place = namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let name = format!("watch of {}{place}", K::RESOURCE.name);
        let detail = process.readiness.detail(name.clone());
        let freshness = Freshness { heard: last_heard.clone(), namespace: namespace.clone(), detail, lost: false };
        let listed = process.readiness.condition(K::CONDITION);
        let collection = Collection::<K>::new(self.clone(), namespace, freshness, listed);
        process.tasks.spawn(name, api::follow(self.client.clone(), collection));
        last_heard
    }

    /// Everything that is known at this moment.
    pub(super) fn inventory(&self) -> RwLockReadGuard<'_, Inventory> {
        // A panic between two changes leaves a record without its names: its claim is then like one that names no class.
        self.inventory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Inventory) -> T) -> T {
        change(&mut self.inventory.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// A claim was added or changed, or (without a namespace) a class.
    pub(super) fn arrived(&self, namespace: Option<&str>, name: Option<&str>) {
        match (namespace, name) {
            (Some(namespace), Some(name)) => {
                self.vain.remove(|| (namespace.to_owned(), name.to_owned()));
                self.single_flight.forget(|| Claims::object_path(namespace, name));
            }
            // Any claim may have waited for the class.
            _ => self.vain.clear(),
        }
        self.changed.send_replace(());
    }

    /// A page of a list was added.
    pub(super) fn listed(&self) {
        self.vain.clear();
        self.changed.send_replace(());
    }
}
