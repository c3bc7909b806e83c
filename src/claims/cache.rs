//! A cache of a cluster's claims, classes and volumes, kept current by watches.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::watch;

use super::limits::ClaimLimits;
use super::single_flight::SingleFlight;
use super::ttl_set::TtlSet;
use super::wait_slots::WaitSlots;
use super::watched_kind::Claims;
use crate::api::ApiClient;
use crate::engine::Inventory;
use crate::process::Process;
use crate::process::metrics::Metrics;

/// The time for which a claim that was waited for in vain is not waited for again: a controller that creates its pods
/// again and again must not hold the wait slots of others.
const VAIN_TTL: Duration = Duration::from_secs(30);

/// The most such claims that are remembered. 64 pods that wait 2 s each make 1,000 in that time.
const MAX_VAIN: usize = 4096;

/// A cache of a cluster's claims, classes and volumes. Clones share it.
#[derive(Clone)]
pub struct ClaimCache {
    pub(super) client: ApiClient,
    pub(super) inventory: Arc<RwLock<Inventory>>,
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

    /// Everything that is known at this moment.
    pub(super) fn inventory(&self) -> RwLockReadGuard<'_, Inventory> {
        // A panic between two changes can leave a record without names. Its claim then reads like one without a class,
        // so the poisoned lock is still usable.
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
