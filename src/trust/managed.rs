//! The CA that colocate manages in a Secret, and the leaf that this replica serves.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::ca_secret::{CaSecret, SecretSnapshot, WriteOutcome};
use super::live_configurations::LiveConfigurations;
use super::propagation::Propagation;
use super::rotation::{CaState, LeafInUse, Lifetimes, RotationStep};
use super::trust_error::TrustError;
use crate::api::ApiClient;
use crate::process::metrics::Metrics;
use crate::tls::{Certificate, CertificateResolver, SubjectName};

/// The interval at which the Secret is read. Other replicas may take a step in between.
const INTERVAL: Duration = Duration::from_secs(10);

/// The lower bound of the interval for very short lifetimes.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The number of attempts in one round: four steps (fill, publish, switch, retire), and up to four conflicts with other
/// replicas.
const ATTEMPTS: usize = 8;

/// The settings of a [`ManagedCa`].
#[derive(Clone, Debug)]
pub struct CaSettings {
    /// The namespace of the Secret; `None` for that of the process.
    pub namespace: Option<String>,
    /// The name of the Secret.
    pub name: String,
    /// Whether the Secret is created if it does not exist.
    pub create: bool,
    /// The names that leaves are issued for.
    pub names: Vec<SubjectName>,
    /// The lifetimes of certificates.
    pub lifetimes: Lifetimes,
}

/// The CA in a Secret, and the leaf of this replica.
pub struct ManagedCa {
    secret: CaSecret,
    names: Vec<SubjectName>,
    lifetimes: Lifetimes,
    last_read: Option<SecretRead>,
    leaf: Option<LeafInUse>,
}

/// The last state that was read from the Secret.
struct SecretRead {
    state: CaState,
    /// A moment before the request was sent.
    at: Timestamp,
}

impl ManagedCa {
    /// Creates a CA that has not been read yet.
    pub fn new(client: &ApiClient, settings: CaSettings) -> Self {
        let CaSettings { namespace, name, create, names, lifetimes } = settings;
        let namespace = namespace.unwrap_or_else(|| client.namespace().to_owned());
        let secret = CaSecret { client: client.clone(), namespace, name, create };
        Self { secret, names, lifetimes, last_read: None, leaf: None }
    }

    pub(super) fn interval(&self) -> Duration {
        let shortest = (self.lifetimes.settle / 4).min(self.lifetimes.leaf / 8);
        Duration::try_from(shortest).unwrap_or_default().clamp(SHORTEST_INTERVAL, INTERVAL)
    }

    pub(super) fn ca_expiry(&self) -> Option<Timestamp> {
        Some(self.last_read.as_ref()?.state.current.certificate().validity().not_after())
    }

    /// Reads the Secret, and takes the steps of the rotation that are due.
    pub(super) async fn advance(&mut self, live: &mut LiveConfigurations, metrics: &Metrics) -> Result<(), TrustError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.read().await?;
            let Some(state) = &snapshot.state else {
                self.fill(&snapshot, metrics).await?;
                continue;
            };
            let due = |live: &LiveConfigurations| {
                state.step(Timestamp::now(), Instant::now(), &live.propagation, &self.lifetimes)
            };
            let mut step = due(live);
            if step == Some(RotationStep::Switch) {
                // A dead watch shows an old bundle. The next CA signs only if the configurations carry it right now.
                live.read().await?;
                step = due(live);
            }
            let Some(step) = step else { return Ok(()) };
            let after = state.after(step, Timestamp::now(), &self.lifetimes)?;
            if self.secret.write(&snapshot, &after).await? == WriteOutcome::Written {
                let secret = self.secret.to_string();
                match step {
                    RotationStep::Publish => {
                        tracing::info!(
                            secret,
                            "created the next CA, which issues certificates when all webhook configurations have it"
                        );
                    }
                    RotationStep::Switch => {
                        metrics.certificate_rotations.inc(["ca"]);
                        tracing::info!(secret, "switched to the next CA");
                    }
                    RotationStep::Retire => tracing::info!(secret, "removed the old CA"),
                }
            }
        }
        Ok(())
    }

    /// Fills an empty Secret. A replica that knows what the Secret held restores it, so that its clients keep trusting
    /// it.
    async fn fill(&self, snapshot: &SecretSnapshot, metrics: &Metrics) -> Result<(), TrustError> {
        let now = Timestamp::now();
        let remembered = self.last_read.as_ref().map(|read| &read.state);
        let remembered = remembered.filter(|state| state.current.certificate().validity().not_after() > now);
        let state = match remembered {
            Some(state) => state.clone(),
            None => CaState::first(now, &self.lifetimes)?,
        };
        if self.secret.write(snapshot, &state).await? == WriteOutcome::Written {
            let secret = self.secret.to_string();
            if remembered.is_some() {
                tracing::warn!(secret, "the Secret was empty; restored the CA that it held");
            } else {
                metrics.certificate_rotations.inc(["ca"]);
                tracing::info!(secret, "the Secret was empty; created a CA");
            }
        }
        Ok(())
    }

    /// Serves a new leaf of the current CA if one is due.
    pub(super) fn issue(
        &mut self,
        propagation: &Propagation,
        resolver: &CertificateResolver,
        metrics: &Metrics,
    ) -> Result<(), TrustError> {
        let Some(SecretRead { state, at }) = &self.last_read else { return Ok(()) };
        let due = state.leaf(*at, Timestamp::now(), self.leaf.as_ref(), propagation, &self.lifetimes)?;
        let Some(validity) = due else { return Ok(()) };
        resolver.serve(state.current.issue(&self.names, validity)?.serving()?);
        self.leaf = Some(LeafInUse { authority: state.current.certificate().clone(), validity });
        metrics.certificate_rotations.inc(["leaf"]);
        tracing::info!(until = %validity.not_after(), "serving a new certificate");
        Ok(())
    }

    /// Returns the certificates for a configuration that carries `carried` now; `None` if no state is known yet.
    ///
    /// A certificate is dropped only if a fresh read of the Secret does not list it. If the Secret cannot be read, no
    /// certificate is dropped.
    pub(super) async fn bundle(&mut self, carried: &[Certificate]) -> Option<Vec<Certificate>> {
        let bundle = self.last_bundle()?;
        if carried.iter().all(|certificate| bundle.contains(certificate)) {
            return Some(bundle);
        }
        match self.read().await {
            Ok(SecretSnapshot { state: Some(_), .. }) => self.last_bundle(),
            Ok(_) | Err(_) => Some([&bundle, carried].concat()),
        }
    }

    fn last_bundle(&self) -> Option<Vec<Certificate>> {
        Some(self.last_read.as_ref()?.state.bundle().into_iter().cloned().collect())
    }

    async fn read(&mut self) -> Result<SecretSnapshot, TrustError> {
        let at = Timestamp::now();
        let snapshot = self.secret.read().await?;
        if let Some(state) = snapshot.state.clone() {
            self.last_read = Some(SecretRead { state, at });
        }
        Ok(snapshot)
    }
}
