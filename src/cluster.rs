//! Claims and classes as a cluster has them: watches that feed one [`Inventory`], and what is done about a claim that is
//! not there yet.

mod arrival;
mod bundle;
mod bundle_watch;
mod ca_secret;
mod dry_run;
mod freshness;
mod gets;
mod kind;
mod memory;
mod presence;
mod report;
mod request;
mod seats;
mod snapshot;
mod strategies;
mod trust;
mod watch;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, KubeconfigError};
use tokio::sync::watch as changes;

use crate::config::ClaimLimits;
use crate::engine::{Inventory, one_line};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::tasks::Tasks;

use freshness::{Freshness, Heard};
use gets::Gets;
use kind::{Claims, Classes, Kind};
use memory::Memory;
use report::Report;
use seats::Seats;
use watch::Watch;

pub(crate) use arrival::Sought;
pub use arrival::{Found, Question};
pub use dry_run::{ApiServer, DryRun, DryRunError, Outcome};
pub use request::Unanswered;
pub use snapshot::{Refused, Snapshot, SnapshotError};
pub use trust::{Managed, Mounted, Source as TrustSource};

/// A claim that was waited for in vain is not waited for again for so long: whoever makes its pods again and again must not
/// keep the seats of those who wait with reason.
const IN_VAIN_FOR: Duration = Duration::from_secs(30);

/// How many such claims are remembered. 64 pods that wait 2 s each make 1,000 in that time.
const MOST_IN_VAIN: usize = 4096;

/// What a cluster has, kept current by watches.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// Whether this process runs in a pod, by whose service account it asks.
    in_pod: bool,
    inventory: Arc<RwLock<Inventory>>,
    /// Told whenever a claim or a class comes or changes.
    changed: changes::Sender<()>,
    gets: Arc<Gets>,
    seats: Arc<Seats>,
    /// Claims, by namespace and name, that were waited for in vain.
    in_vain: Arc<Memory<(String, String)>>,
    /// Claims that the log has told to be missing, and (without a namespace) what else it does not tell each time.
    told: Arc<Memory<(String, String)>>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
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
    pub async fn infer(
        limits: ClaimLimits,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> Result<Self, NotConfigured> {
        let in_pod = std::env::var_os("KUBECONFIG").is_none_or(|path| path.is_empty());
        let mut config = if in_pod {
            kube::Config::incluster().map_err(|_| NotConfigured::Nowhere)?
        } else {
            let options = KubeConfigOptions::default();
            kube::Config::from_kubeconfig(&options).await.map_err(NotConfigured::Kubeconfig)?
        };
        // Whoever asks decides when to ask again, and says so: kube would retry for a minute without a word.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(NotConfigured::Client)?;
        Ok(Self { in_pod, ..Self::new(client, limits, metrics, readiness) })
    }

    fn new(client: Client, limits: ClaimLimits, metrics: Arc<Metrics>, readiness: Readiness) -> Self {
        Self {
            client,
            in_pod: false,
            inventory: Arc::default(),
            changed: changes::Sender::new(()),
            gets: Arc::new(Gets::new(limits.max_gets, readiness.clone())),
            seats: Arc::new(Seats::new(limits.max_waiters, limits.max_waiters_per_namespace)),
            in_vain: Arc::new(Memory::new(IN_VAIN_FOR, MOST_IN_VAIN)),
            told: Arc::new(Memory::new(IN_VAIN_FOR, MOST_IN_VAIN)),
            metrics,
            readiness,
        }
    }

    /// The namespace that this process runs in, or that the kubeconfig names.
    pub fn namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// The namespace of the pod that this process runs in; `None` elsewhere.
    pub fn pod_namespace(&self) -> Option<&str> {
        self.in_pod.then(|| self.namespace())
    }

    /// Starts the watches in `tasks`: of the claims of these namespaces, or of all if none is named, and of classes.
    /// Readiness waits for the first list of each; a task that ends has failed.
    pub fn watch(&self, namespaces: &[String], tasks: &mut Tasks) {
        let mut heard = Vec::new();
        let everywhere = [None];
        let named: Vec<_> = namespaces.iter().map(|name| Some(name.clone())).collect();
        for namespace in if named.is_empty() { &everywhere[..] } else { &named } {
            heard.push(self.follow::<Claims>(namespace.clone(), "list of claims", tasks));
        }
        heard.push(self.follow::<Classes>(None, "list of storage classes", tasks));
        self.metrics.collect(Box::new(Report::new(self.inventory.clone(), heard)));
    }

    fn follow<K: Kind>(&self, namespace: Option<String>, condition: &'static str, tasks: &mut Tasks) -> Arc<Heard> {
        let heard = Arc::new(Heard::new(K::RESOURCE));
        let name = match &namespace {
            Some(namespace) => format!("watch of {} in {namespace}", K::RESOURCE),
            None => format!("watch of {}", K::RESOURCE),
        };
        let freshness = Freshness::new(heard.clone(), namespace.clone(), self.readiness.detail(name.clone()));
        let watch = Watch::<K>::new(self.clone(), namespace, freshness);
        tasks.spawn(name, watch.follow(self.readiness.condition(condition)));
        heard
    }

    /// All that is known at this moment.
    pub(crate) fn inventory(&self) -> RwLockReadGuard<'_, Inventory> {
        // A panic between two changes leaves a record without its names: its claim is then like one that names no class.
        self.inventory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known.
    fn update<T>(&self, change: impl FnOnce(&mut Inventory) -> T) -> T {
        change(&mut self.inventory.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// A claim came or changed, or (without a namespace) a class.
    fn arrived(&self, namespace: Option<&str>, name: Option<&str>) {
        match (namespace, name) {
            (Some(namespace), Some(name)) => {
                self.in_vain.forget(|| (namespace.to_owned(), name.to_owned()));
                self.gets.came(|| Claims::object_path(namespace, name));
            }
            // Any claim may have waited for the class.
            _ => self.in_vain.clear(),
        }
        self.changed.send_replace(());
    }

    /// Many came.
    fn listed(&self) {
        self.in_vain.clear();
        self.changed.send_replace(());
    }
}
