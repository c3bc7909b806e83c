//! Claims, classes and volumes as a cluster has them: three watches that feed one [`Inventory`].

mod watch;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Api, Client};
use tokio::sync::{Semaphore, watch as changes};
use tokio::task::JoinSet;

use crate::engine::{Claim, Inventory, Owner};
use crate::readiness::Readiness;

/// How many pods may wait for a claim at once. Each holds a seat of the API server's priority level: 500 starve it, 100
/// delay other requests by 0.16 s (measured).
const MAX_WAITERS: usize = 64;

/// What a cluster has, kept current by watches.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    inventory: Arc<RwLock<Inventory>>,
    /// Told whenever a claim comes or changes.
    claims_changed: changes::Sender<()>,
    seats: Arc<Semaphore>,
}

/// A cluster that cannot even be tried.
#[derive(Debug, thiserror::Error)]
#[error(
    "no cluster is configured: set KUBECONFIG, run in a pod with a service account, or name files with --manifests"
)]
pub struct NotConfigured(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Cluster {
    /// Finds the cluster in `KUBECONFIG` (or `~/.kube/config`), or else in the environment of a pod. Whether it can be
    /// reached is another matter, and is waited for.
    ///
    /// # Errors
    /// Where neither names a cluster.
    pub async fn infer() -> Result<Self, NotConfigured> {
        let config = kube::Config::infer().await.map_err(|error| NotConfigured(error.into()))?;
        let client = Client::try_from(config).map_err(|error| NotConfigured(error.into()))?;
        Ok(Self {
            client,
            inventory: Arc::default(),
            claims_changed: changes::Sender::new(()),
            seats: Arc::new(Semaphore::new(MAX_WAITERS)),
        })
    }

    /// Starts the watches in `tasks`. `readiness` waits for the first list of each; a task that ends has failed.
    pub fn watch(&self, readiness: &Readiness, tasks: &mut JoinSet<()>) {
        tasks.spawn(watch::follow::<PersistentVolumeClaim>(self.clone(), readiness.condition("list of claims")));
        tasks.spawn(watch::follow::<StorageClass>(self.clone(), readiness.condition("list of storage classes")));
        tasks.spawn(watch::follow::<PersistentVolume>(self.clone(), readiness.condition("list of volumes")));
    }

    /// All that is known at this moment.
    pub(crate) fn inventory(&self) -> RwLockReadGuard<'_, Inventory> {
        // Writers only insert and remove: a panic between two of these leaves a map that is still a map.
        self.inventory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known.
    fn update<T>(&self, change: impl FnOnce(&mut Inventory) -> T) -> T {
        change(&mut self.inventory.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The owner of a claim that was missing a moment ago: asks the API server once, then waits for the watch.
    pub(crate) async fn await_owner(&self, namespace: &str, name: &str, patience: Duration) -> Owner {
        let Ok(_seat) = self.seats.try_acquire() else { return Owner::Missing };
        // From here on every change is seen: what comes while the API server is asked is not missed.
        let mut changed = self.claims_changed.subscribe();
        let arrival = async {
            if let Some(owner) = self.fetch(namespace, name).await {
                return owner;
            }
            loop {
                match self.inventory().owner(namespace, name) {
                    Owner::Missing => {}
                    owner => return owner,
                }
                if changed.changed().await.is_err() {
                    return Owner::Missing;
                }
            }
        };
        tokio::time::timeout(patience, arrival).await.unwrap_or(Owner::Missing)
    }

    async fn fetch(&self, namespace: &str, name: &str) -> Option<Owner> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        match claims.get_opt(name).await {
            Ok(claim) => claim.map(|claim| self.inventory().owner_of(&Claim::from(&claim))),
            Err(error) => {
                tracing::warn!(%error, namespace, name, "cannot get a persistentvolumeclaim");
                None
            }
        }
    }
}
