//! Claims, classes and volumes as a cluster has them: three watches that feed one [`Inventory`].

mod presence;
mod snapshot;
mod watch;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::config::{KubeConfigOptions, KubeconfigError};
use kube::{Api, Client};
use tokio::sync::{Semaphore, watch as changes};
use tokio::task::JoinSet;

use crate::engine::{Claim, Inventory, Owner, one_line};
use crate::readiness::Readiness;

pub use snapshot::{Snapshot, SnapshotError};

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
pub enum NotConfigured {
    /// Nothing names a cluster.
    #[error(
        "no cluster is configured: set KUBECONFIG, run in a pod with a service account, or name files with --manifests"
    )]
    Nowhere,
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig that KUBECONFIG names cannot be used: {}", one_line(&.0.to_string(), 512))]
    Kubeconfig(KubeconfigError),
    /// The cluster that is named cannot be asked.
    #[error("no client can be made for the cluster: {}", one_line(&.0.to_string(), 512))]
    Client(kube::Error),
}

impl Cluster {
    /// Finds the cluster that `KUBECONFIG` names, or else the one that this pod runs in. `~/.kube/config` is not looked
    /// at: a server must not serve from whatever cluster somebody used last. Whether the cluster can be reached is
    /// another matter, and is waited for.
    ///
    /// # Errors
    /// Where neither names a cluster, or the kubeconfig cannot be used.
    pub async fn infer() -> Result<Self, NotConfigured> {
        let config = if std::env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty()) {
            let options = KubeConfigOptions::default();
            kube::Config::from_kubeconfig(&options).await.map_err(NotConfigured::Kubeconfig)?
        } else {
            kube::Config::incluster().map_err(|_| NotConfigured::Nowhere)?
        };
        Ok(Self::new(Client::try_from(config).map_err(NotConfigured::Client)?))
    }

    fn new(client: Client) -> Self {
        Self {
            client,
            inventory: Arc::default(),
            claims_changed: changes::Sender::new(()),
            seats: Arc::new(Semaphore::new(MAX_WAITERS)),
        }
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

    /// The owners of claims that were missing a moment ago, in the order of their names: asks the API server once for
    /// each, and watches meanwhile. Ends as soon as `enough` says that these owners are, or none is missing; else when
    /// `patience` is over.
    pub(crate) async fn await_owners(
        &self,
        namespace: &str,
        names: &[&str],
        patience: Duration,
        enough: impl Fn(&[Owner]) -> bool,
    ) -> Vec<Owner> {
        let mut owners = vec![Owner::Missing; names.len()];
        let Ok(_seat) = self.seats.try_acquire() else { return owners };
        // From here on every change is seen: what comes while the API server is asked is not missed.
        let mut changed = self.claims_changed.subscribe();
        let mut asked: FuturesUnordered<_> = names
            .iter()
            .enumerate()
            .map(|(index, name)| async move { (index, self.fetch(namespace, name).await) })
            .collect();
        let arrivals = async {
            loop {
                self.look_again(namespace, names, &mut owners);
                if enough(&owners) || !owners.contains(&Owner::Missing) {
                    return;
                }
                tokio::select! {
                    Some((index, fetched)) = asked.next() => {
                        if let Some(owner) = fetched {
                            owners[index] = owner;
                        }
                    }
                    told = changed.changed() => if told.is_err() { return },
                }
            }
        };
        if tokio::time::timeout(patience, arrivals).await.is_err() {
            self.look_again(namespace, names, &mut owners);
        }
        owners
    }

    fn look_again(&self, namespace: &str, names: &[&str], owners: &mut [Owner]) {
        let inventory = self.inventory();
        let missing = names.iter().zip(owners).filter(|(_, owner)| **owner == Owner::Missing);
        missing.for_each(|(name, owner)| *owner = inventory.owner(namespace, name));
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use kube::client::Body;
    use tokio::time::{Instant, sleep};
    use tower_test::mock::{self, Handle};

    use super::*;
    use crate::engine::Class;

    type Server = Handle<hyper::Request<Body>, hyper::Response<Body>>;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn cluster() -> (Cluster, Server) {
        let (service, server) = mock::pair();
        let cluster = Cluster::new(Client::new(service, "default"));
        let class = Class::new(|_| None::<&str>, "pxd.portworx.com", 0);
        cluster.update(|inventory| inventory.classes().insert("px".to_owned(), class));
        (cluster, server)
    }

    fn arrive(cluster: &Cluster, name: &str) {
        let claim = Claim::new(|_| None::<&str>, Some("px"), None);
        cluster.update(|inventory| inventory.insert_claim("demo", name, claim));
        cluster.claims_changed.send_replace(());
    }

    /// An API server that answers each GET of a claim with a status and a body, and counts them.
    async fn answer(mut server: Server, status: u16, body: &'static str) -> HashMap<String, usize> {
        let mut asked = HashMap::new();
        while let Some((request, send)) = server.next_request().await {
            *asked.entry(request.uri().path().to_owned()).or_default() += 1;
            send.send_response(
                hyper::Response::builder().status(status).body(Body::from(body.as_bytes().to_vec())).unwrap(),
            );
        }
        asked
    }

    const NOT_FOUND: &str = r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404,"message":"gone"}"#;
    const FOUND: &str = r#"{"metadata":{"name":"one"},"spec":{"storageClassName":"px"}}"#;

    fn any_driver(owners: &[Owner]) -> bool {
        owners.iter().any(|owner| matches!(owner, Owner::Provisioner { .. }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_the_watch_does_not_have_yet_is_found_by_asking_once() {
        let (cluster, server) = cluster();
        let answers = tokio::spawn(answer(server, 200, FOUND));
        let owners = cluster.await_owners("demo", &["one"], PATIENCE, any_driver).await;
        assert!(any_driver(&owners), "{owners:?}");
        drop(cluster);
        let path = "/api/v1/namespaces/demo/persistentvolumeclaims/one".to_owned();
        assert_eq!(answers.await.unwrap(), HashMap::from([(path, 1)]));
    }

    #[tokio::test(start_paused = true)]
    async fn claims_are_waited_for_together_and_one_of_a_driver_is_enough() {
        let (cluster, server) = cluster();
        tokio::spawn(answer(server, 404, NOT_FOUND));
        let begun = Instant::now();
        let arrival = async {
            sleep(Duration::from_millis(300)).await;
            arrive(&cluster, "two");
        };
        let wait = cluster.await_owners("demo", &["one", "two"], PATIENCE, any_driver);
        let (owners, ()) = tokio::join!(wait, arrival);
        assert_eq!(begun.elapsed(), Duration::from_millis(300));
        assert!(owners[0] == Owner::Missing && any_driver(&owners[1..]), "{owners:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_keeps_nobody_from_the_watch() {
        let (cluster, _server) = cluster();
        let arrival = async {
            sleep(Duration::from_millis(300)).await;
            arrive(&cluster, "one");
        };
        let (owners, ()) = tokio::join!(cluster.await_owners("demo", &["one"], PATIENCE, any_driver), arrival);
        assert!(any_driver(&owners), "{owners:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_when_patience_does() {
        let (cluster, server) = cluster();
        tokio::spawn(answer(server, 404, NOT_FOUND));
        let begun = Instant::now();
        let owners = cluster.await_owners("demo", &["one", "two"], PATIENCE, any_driver).await;
        assert_eq!(owners, [Owner::Missing, Owner::Missing]);
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn with_no_seat_left_nobody_waits() {
        let (cluster, _server) = cluster();
        let seats = cluster.seats.clone();
        let _all = seats.try_acquire_many(u32::try_from(MAX_WAITERS).unwrap()).unwrap();
        let begun = Instant::now();
        assert_eq!(cluster.await_owners("demo", &["one"], PATIENCE, any_driver).await, [Owner::Missing]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
