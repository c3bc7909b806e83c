//! One more client of every replica, which trusts what the live configuration had a while ago: an API server that hears of
//! changes late.
//!
//! An API server keeps its connections, so that it sees few certificates. This one makes a new connection to each replica
//! again and again, and so sees every certificate that is served.

mod sight;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use colocate::tls::Certificate;
use colocate_harness::{Api, PATIENCE, background, bundles};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_rustls::TlsConnector;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use sight::Sight;

use super::replicas::Replicas;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// An observer that looks for as long as this value lives.
pub(crate) struct Observer {
    sheet: Arc<Sheet>,
    task: JoinHandle<()>,
    end: DropGuard,
}

struct Sheet {
    sight: Mutex<Sight>,
    changed: Condvar,
}

/// Who looks, and at what.
struct Look {
    api: Api,
    configuration: String,
    /// By which the API server calls.
    name: ServerName<'static>,
    ports: Vec<u16>,
    /// How late it hears of a change.
    lag: Duration,
}

impl Observer {
    /// Begins to look at these replicas, as one that hears of a change `lag` after it is made.
    pub(crate) fn start(replicas: &Replicas<'_>, lag: Duration) -> Self {
        let installation = &replicas.installation;
        let name = format!("colocate.{}.svc", replicas.namespace());
        let look = Look {
            api: background().block_on(Api::of(installation.account())),
            configuration: format!(
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}",
                installation.configuration_name()
            ),
            name: name.try_into().expect("it is the name of a Service"),
            ports: replicas.running.iter().map(|replica| replica.colocate.port()).collect(),
            lag,
        };
        let sight = Mutex::new(Sight::of(look.ports.len()));
        let (sheet, end) = (Arc::new(Sheet { sight, changed: Condvar::new() }), CancellationToken::new());
        let (until, writing) = (end.clone(), sheet.clone());
        let task = background().spawn(async move {
            until.run_until_cancelled(look.again_and_again(&writing)).await;
        });
        Self { sheet, task, end: end.drop_guard() }
    }

    /// Returns when every replica has served certificates of so many CAs, one after the other, since it began to look.
    pub(crate) fn wait_for_rotations(&self, count: usize) {
        let what = format!("no {count} rotations");
        self.wait(&what, |sight| sight.rotations() >= count);
    }

    /// Returns when the live configuration has carried a CA for so long.
    pub(crate) fn wait_until_carried(&self, authority: &Certificate, time: Duration) {
        self.wait("a CA is not carried", |sight| {
            sight.bundles.since(authority).is_some_and(|since| since.elapsed() >= time)
        });
    }

    /// Ends it, and returns what it saw.
    pub(crate) fn stop(self) -> Sight {
        drop(self.end);
        background().block_on(self.task).expect("an observer that panicked says why");
        std::mem::take(&mut self.sheet.lock())
    }

    fn wait(&self, why_not: &str, done: impl Fn(&Sight) -> bool) {
        let waited = self.sheet.changed.wait_timeout_while(self.sheet.lock(), PATIENCE, |sight| !done(sight));
        let (sight, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let refused = sight.refused.clone();
        drop(sight);
        assert!(!waited.timed_out(), "{why_not}; refused: {refused:?}");
    }
}

impl Look {
    async fn again_and_again(&self, sheet: &Sheet) {
        let mut next = interval(INTERVAL);
        loop {
            next.tick().await;
            let live = self.live().await;
            sheet.enter(|sight| sight.bundles.saw(Instant::now(), live));
            for (replica, port) in self.ports.iter().enumerate() {
                let trusted = sheet.lock().bundles.as_of(Instant::now(), self.lag).to_vec();
                let served = self.served(*port, &trusted).await;
                sheet.enter(|sight| sight.saw(replica, served));
            }
        }
    }

    /// The bundle that is live now.
    async fn live(&self) -> Vec<Certificate> {
        let reply = self.api.get(&self.configuration).await;
        let pem = bundles(&reply.object).remove(0).expect("the replicas are ready, so that it was written");
        Certificate::all_from_pem(pem.as_bytes()).expect("the replicas wrote it")
    }

    /// The certificate by which the process on that port convinces whoever trusts these CAs.
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
        let first = certificates.first().ok_or("it sent no certificate")?;
        Certificate::from_der(first).map_err(|error| text(&error))
    }
}

impl Sheet {
    fn enter(&self, entry: impl FnOnce(&mut Sight)) {
        entry(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Sight> {
        self.sight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
