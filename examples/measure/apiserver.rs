//! A real API server with many claims, and the time that kubectl needs to list them.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use colocate_harness::{CLASSES, ControlPlane, NumberedClaim, Population, scramble};
use futures_util::{TryStreamExt, stream};
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::{self, Runtime};

use crate::figure::median;

/// The number of create requests in flight. It is large enough for etcd to batch its writes.
const AT_ONCE: usize = 64;

/// Progress is printed after this number of claims.
const STEP: usize = 5_000;

/// The number of times that kubectl is timed.
const TIMES: usize = 3;

const LIST: &str = "get pvc -A -o name";

/// A real API server. It is stopped when this value is dropped, or when this process is killed.
pub(crate) struct ApiServer {
    control_plane: ControlPlane,
    client: Client,
    runtime: Runtime,
    /// All claims that may be created, shuffled so that the namespaces fill evenly.
    claims: Vec<NumberedClaim>,
    created: usize,
}

impl ApiServer {
    /// Starts an API server with the namespaces and classes of `population`, but without its claims.
    pub(crate) fn start(population: Population) -> anyhow::Result<Self> {
        let control_plane = ControlPlane::start();
        // Controllers must not act on unbound claims during the measurement.
        for part in ["kwok", "kube-scheduler", "kube-controller-manager"] {
            control_plane.request(&format!("stop {part}"));
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(client(control_plane.kubeconfig()))?;
        let mut numbers: Vec<_> = (0..population.size()).collect();
        numbers.sort_by_key(|number| scramble(*number as u64));
        let claims = numbers.into_iter().map(|number| population.claim(number)).collect();
        let server = Self { control_plane, client, runtime, claims, created: 0 };

        let classes = CLASSES.iter().map(|class| ("/apis/storage.k8s.io/v1/storageclasses".to_owned(), class.object()));
        let namespace = |name| format!(r#"{{"kind":"Namespace","apiVersion":"v1","metadata":{{"name":"{name}"}}}}"#);
        let namespaces = population.namespaces().map(|name| ("/api/v1/namespaces".to_owned(), namespace(name)));
        server.create(classes.chain(namespaces))?;
        Ok(server)
    }

    /// Starts Stork's kube-scheduler again, so that its Lease is renewed. Answers have a warning three minutes after it stops.
    pub(crate) fn start_scheduler(&self) {
        self.control_plane.request("start kube-scheduler");
    }

    /// Creates claims until there are `claims` of them.
    pub(crate) fn fill(&mut self, claims: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.created < claims {
            let next = claims.min(self.created + STEP);
            self.create(self.claims[self.created..next].iter().map(|claim| {
                (format!("/api/v1/namespaces/{}/persistentvolumeclaims", claim.namespace), claim.draft())
            }))?;
            self.created = next;
            eprintln!("  {next} of {claims} claims, {:.0} s", began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Returns the Portworx claim that is closest to the end of the list.
    pub(crate) fn witness(&self) -> anyhow::Result<&NumberedClaim> {
        let created = self.claims[..self.created].iter().filter(|claim| claim.class().is_portworx());
        created.max_by_key(|claim| (&claim.namespace, &claim.name)).context("no claim was created")
    }

    /// Returns the administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        self.control_plane.kubeconfig()
    }

    /// Returns the time that kubectl needs to list the names of all claims.
    pub(crate) fn time_kubectl(&self) -> anyhow::Result<Duration> {
        let kubectl = self.control_plane.kubectl();
        // This first run fills kubectl's discovery cache, and checks the number of claims.
        let listed = kubectl.run(LIST).stdout.lines().count();
        ensure!(listed == self.created, "kubectl lists {listed} claims of {}", self.created);
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let began = Instant::now();
            let status = kubectl.command(LIST).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
            times.push(began.elapsed());
            ensure!(status.success(), "kubectl {LIST}: {status}");
        }
        Ok(median(times))
    }

    /// Creates objects: the path of each, and its JSON.
    pub(crate) fn create(&self, objects: impl Iterator<Item = (String, String)>) -> anyhow::Result<()> {
        let requests = objects.map(|(path, object)| {
            let request = Request::post(path).header(CONTENT_TYPE, "application/json").body(object.into_bytes());
            anyhow::Ok(async { anyhow::Ok(self.client.request_text(request?).await?) })
        });
        let created = stream::iter(requests).try_buffer_unordered(AT_ONCE).try_for_each(async |_| Ok(()));
        self.runtime.block_on(created).context("cannot create an object")
    }
}

async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
