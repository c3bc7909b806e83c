//! An additional client of every replica. It trusts the bundle that the live configuration had a while ago, like an API
//! server that receives changes late.
//!
//! An API server keeps its connections, so it sees few certificates. The observer opens new connections to each replica all
//! the time, and so sees every certificate that is served.

mod observations;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use colocate::tls::Certificate;
use colocate_harness::{Api, WAIT_TIMEOUT, background, bundles};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_rustls::TlsConnector;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use observations::Observations;

use super::replicas::{COUNT, Replicas};

/// The interval between two rounds.
const INTERVAL: Duration = Duration::from_millis(100);

/// An observer that runs until it is stopped.
pub(crate) struct Observer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    end: DropGuard,
}

struct Shared {
    observations: Mutex<Observations>,
    changed: Condvar,
}

/// The parameters of the observer.
struct Target {
    api: Api,
    configuration: String,
    /// The server name that API servers use.
    name: ServerName<'static>,
    ports: Vec<u16>,
    /// The delay after which it receives a change.
    lag: Duration,
}

impl Observer {
    /// Starts to observe these replicas, like a client that receives changes `lag` later.
    pub(crate) fn start(replicas: &Replicas<'_>, lag: Duration) -> Self {
        let installation = &replicas.installation;
        let name = format!("colocate.{}.svc", replicas.namespace());
        let target = Target {
            api: background().block_on(Api::of(installation.account())),
            configuration: format!(
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}",
                installation.configuration_name()
            ),
            name: name.try_into().expect("the name of a Service is a valid DNS name"),
            ports: replicas.running.iter().map(|replica| replica.colocate.port()).collect(),
            lag,
        };
        let observations = Mutex::new(Observations::of(target.ports.len()));
        let (shared, end) = (Arc::new(Shared { observations, changed: Condvar::new() }), CancellationToken::new());
        let (until, writer) = (end.clone(), shared.clone());
        let task = background().spawn(async move {
            until.run_until_cancelled(target.run(&writer)).await;
        });
        Self { shared, task, end: end.drop_guard() }
    }

    /// Waits until every replica has rotated this many times, that is, has served certificates from this many new CAs in
    /// turn.
    pub(crate) fn wait_for_rotations(&self, count: usize) {
        let problem = format!("fewer than {count} rotations");
        self.wait(&problem, |observations| observations.rotations() >= count);
    }

    /// Waits until it has opened this number of further connections to each replica.
    pub(crate) fn wait_for_connections(&self, count: usize) {
        let enough = self.shared.lock().handshakes + count * COUNT;
        self.wait("too few connections", |observations| observations.handshakes >= enough);
    }

    /// Waits until the live configuration has had a CA for this long.
    pub(crate) fn wait_until_live_for(&self, authority: &Certificate, time: Duration) {
        self.wait("the live configuration lacks a CA", |observations| {
            observations.bundles.live_since(authority).is_some_and(|since| since.elapsed() >= time)
        });
    }

    /// Stops the observer, and returns its observations.
    pub(crate) fn stop(self) -> Observations {
        drop(self.end);
        background().block_on(self.task).expect("the observer did not panic");
        std::mem::take(&mut self.shared.lock())
    }

    fn wait(&self, problem: &str, done: impl Fn(&Observations) -> bool) {
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), WAIT_TIMEOUT, |observations| !done(observations));
        let (observations, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let refused = observations.refused.clone();
        drop(observations);
        assert!(!waited.timed_out(), "{problem}; refused: {refused:?}");
    }
}

impl Target {
    async fn run(&self, shared: &Shared) {
        let mut next = interval(INTERVAL);
        loop {
            next.tick().await;
            let live = self.live().await;
            shared.update(|observations| observations.bundles.add(Instant::now(), live));
            for (replica, port) in self.ports.iter().enumerate() {
                let trusted = shared.lock().bundles.as_of(Instant::now(), self.lag).to_vec();
                let served = self.served(*port, &trusted).await;
                shared.update(|observations| observations.add(replica, served));
            }
        }
    }

    /// Returns the bundle of the live configuration.
    async fn live(&self) -> Vec<Certificate> {
        let reply = self.api.get(&self.configuration).await;
        let pem = bundles(&reply.object).remove(0).expect("ready replicas have written the bundle");
        Certificate::all_from_pem(pem.as_bytes()).expect("the bundle is valid PEM")
    }

    /// Returns the certificate that the process on that port serves, if a client with these CAs trusts it.
    async fn served(&self, port: u16, trusted: &[Certificate]) -> Result<Certificate, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut roots = RootCertStore::empty();
        for authority in trusted {
            roots.add(authority.der().clone()).map_err(|error| text(&error))?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| text(&error))?;
        let connected = TlsConnector::from(Arc::new(config)).connect(self.name.clone(), stream).await;
        let stream = connected.map_err(|error| text(&error))?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let first = certificates.first().ok_or("no certificate was sent")?;
        Certificate::from_der(first).map_err(|error| text(&error))
    }
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut Observations)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Observations> {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
