//! A cache of a cluster's claims, classes and volumes, kept current by watches.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::watch;

use super::limits::ClaimLimits;
use super::single_flight::SingleFlight;
use super::strategies::StrategyLists;
use super::ttl_set::TtlSet;
use super::wait_slots::WaitSlots;
use super::watched_kind::Claims;
use crate::api::ApiClient;
use crate::engine::Inventory;
use crate::process::Process;
use crate::process::metrics::Metrics;

/// The time for which a claim is not waited for again after its wait timed out: a controller that keeps creating pods
/// must not hold the wait slots of others.
const TIMED_OUT_TTL: Duration = Duration::from_secs(30);

/// The maximum number of such claims. 64 pods that wait 2 s each produce 1,000 in that time.
const MAX_TIMED_OUT: usize = 4096;

/// A cache of a cluster's claims, classes and volumes. Clones share it.
#[derive(Clone)]
pub struct ClaimCache {
    pub(super) client: ApiClient,
    pub(super) inventory: Arc<RwLock<Inventory>>,
    /// Notified whenever a claim or a class is added or changed.
    pub(super) changed: watch::Sender<()>,
    pub(super) single_flight: Arc<SingleFlight>,
    pub(super) wait_slots: Arc<WaitSlots>,
    /// Claims whose wait timed out, by namespace and name.
    pub(super) timed_out: Arc<TtlSet<(String, String)>>,
    /// Missing claims that were logged, by namespace and name.
    pub(super) logged: Arc<TtlSet<(String, String)>>,
    pub(super) strategies: Arc<StrategyLists>,
    pub(super) metrics: Arc<Metrics>,
}

impl ClaimCache {
    /// Creates an empty cache of the cluster of `client`.
    pub fn new(client: ApiClient, limits: ClaimLimits, process: &Process) -> Self {
        Self {
            single_flight: Arc::new(SingleFlight::new(client.clone(), limits.max_gets, process.readiness.clone())),
            strategies: Arc::new(StrategyLists::new(client.clone())),
            client,
            inventory: Arc::default(),
            changed: watch::Sender::new(()),
            wait_slots: Arc::new(WaitSlots::new(limits.max_waiters, limits.max_waiters_per_namespace)),
            timed_out: Arc::new(TtlSet::new(TIMED_OUT_TTL, MAX_TIMED_OUT)),
            logged: Arc::new(TtlSet::new(TIMED_OUT_TTL, MAX_TIMED_OUT)),
            metrics: process.metrics.clone(),
        }
    }

    /// Locks the inventory for reading.
    pub(super) fn inventory(&self) -> RwLockReadGuard<'_, Inventory> {
        // A panic between two changes can leave a record without names. Its claim then reads like one without a class,
        // so the poisoned lock is still usable.
        self.inventory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the inventory.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Inventory) -> T) -> T {
        change(&mut self.inventory.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notifies the waiters that a claim was added or changed, or (without a namespace) a class.
    pub(super) fn arrived(&self, namespace: Option<&str>, name: Option<&str>) {
        match (namespace, name) {
            (Some(namespace), Some(name)) => {
                self.timed_out.remove(|| (namespace.to_owned(), name.to_owned()));
                self.single_flight.forget(|| Claims::object_path(namespace, name));
            }
            // Any claim may have waited for the class.
            _ => self.timed_out.clear(),
        }
        self.changed.send_replace(());
    }

    /// Notifies the waiters that a page of a list was added.
    pub(super) fn listed(&self) {
        self.timed_out.clear();
        self.changed.send_replace(());
    }
}
