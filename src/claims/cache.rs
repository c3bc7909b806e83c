//! A cache of a cluster's claims, classes and volumes, kept current by watches.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use super::limits::ClaimLimits;
use super::single_flight::SingleFlight;
use super::strategies::StrategyLists;
use super::waiters::Waiters;
use crate::api::ApiClient;
use crate::engine::Inventory;
use crate::process::Process;
use crate::process::metrics::Metrics;

/// A cache of a cluster's claims, classes and volumes. Clones share it.
#[derive(Clone)]
pub struct ClaimCache {
    pub(super) client: ApiClient,
    /// The namespaces whose claims are watched; empty for all.
    pub(super) namespaces: Arc<[String]>,
    pub(super) inventory: Arc<RwLock<Inventory>>,
    /// Notified whenever a claim or a class is added or changed.
    pub(super) changed: watch::Sender<()>,
    pub(super) single_flight: Arc<SingleFlight>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) strategies: Arc<StrategyLists>,
    pub(super) metrics: Arc<Metrics>,
}

impl ClaimCache {
    /// Creates an empty cache of the cluster of `client`, for the claims of these namespaces, or of all if the list is
    /// empty.
    pub fn new(client: ApiClient, namespaces: &[String], limits: ClaimLimits, process: &Process) -> Self {
        Self {
            single_flight: Arc::new(SingleFlight::new(client.clone(), limits.max_gets, process.readiness.clone())),
            strategies: Arc::new(StrategyLists::new(client.clone())),
            client,
            namespaces: namespaces.into(),
            inventory: Arc::default(),
            changed: watch::Sender::new(()),
            waiters: Arc::new(Waiters::new(limits)),
            metrics: process.metrics.clone(),
        }
    }

    /// Returns true if the claims of `namespace` are watched, so that one that the cache does not have does not exist.
    pub(super) fn watches(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|watched| watched == namespace)
    }

    /// Locks the inventory for reading.
    pub(super) fn inventory(&self) -> RwLockReadGuard<'_, Inventory> {
        // A panic between two changes can leave a claim's record without the names of its class and provisioner. Such a
        // claim is treated as one without a class, so the data behind the poisoned lock is still usable.
        self.inventory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the inventory.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Inventory) -> T) -> T {
        change(&mut self.inventory.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notifies the waiters that a claim or a class was added or changed.
    pub(super) fn arrived(&self) {
        self.changed.send_replace(());
    }
}
