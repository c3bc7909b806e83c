//! The CA that colocate manages in a Secret, and the leaf that this replica serves.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::ca_secret::{CaSecret, SecretSnapshot, WriteOutcome};
use super::clock_report::ClockReport;
use super::live_configurations::LiveConfigurations;
use super::propagation::Propagation;
use super::rotation::{CaState, LeafInUse, Lifetimes, RotationStep, TOLERANCE};
use super::trust_error::TrustError;
use crate::api::ApiClient;
use crate::process::clock::Clock;
use crate::process::metrics::Metrics;
use crate::process::readiness::Readiness;
use crate::tls::{Certificate, CertificateResolver, SubjectName};

/// The interval at which the Secret is read. Other replicas may take a step in between.
const INTERVAL: Duration = Duration::from_secs(10);

/// The lower bound of the interval for very short lifetimes.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The number of attempts in one round: five steps (fill or replace, shorten, retire, publish, switch), and up to three
/// conflicts with other replicas.
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
    clock: Clock,
    clock_report: ClockReport,
    last_read: Option<SecretRead>,
    leaf: Option<LeafInUse>,
}

/// The last state that was read from the Secret.
struct SecretRead {
    state: CaState,
    /// A moment before the request was sent, by the API server's clock.
    at: Timestamp,
}

impl ManagedCa {
    /// Creates a CA that has not been read yet.
    pub fn new(client: &ApiClient, settings: CaSettings, readiness: &Readiness) -> Self {
        let CaSettings { namespace, name, create, names, lifetimes } = settings;
        let namespace = namespace.unwrap_or_else(|| client.namespace().to_owned());
        let secret = CaSecret { client: client.clone(), namespace, name, create };
        let clock = client.clock().clone();
        let clock_report = ClockReport::new(readiness);
        Self { secret, names, lifetimes, clock, clock_report, last_read: None, leaf: None }
    }

    pub(super) fn interval(&self) -> Duration {
        let shortest = (self.lifetimes.settle / 4).min(self.lifetimes.leaf / 8);
        Duration::try_from(shortest).unwrap_or_default().clamp(SHORTEST_INTERVAL, INTERVAL)
    }

    /// Returns the CA that signs leaves, if it is known.
    pub(super) fn authorities(&self) -> &[Certificate] {
        self.last_read.as_ref().map_or(&[], |read| std::slice::from_ref(read.state.current.certificate()))
    }

    /// Returns the place of the CA, for messages.
    pub(super) fn place(&self) -> String {
        format!("Secret {}", self.secret)
    }

    /// Reads the Secret, serves a new leaf if one is due, and takes the steps of the rotation that are due.
    pub(super) async fn advance(
        &mut self,
        live: &mut LiveConfigurations,
        resolver: &CertificateResolver,
        metrics: &Metrics,
    ) -> Result<(), TrustError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.read().await?;
            // First of all: a leaf that is due must not wait for the requests below, which may be slow or fail.
            self.issue(&live.propagation, resolver, metrics)?;
            let Some(state) = &snapshot.state else {
                self.fill(&snapshot, metrics).await?;
                continue;
            };
            let mut clocks = self.clock.read();
            let mut step = state.step(&clocks, &live.propagation, &self.lifetimes);
            if step == Some(RotationStep::Switch) {
                // A dead watch shows an old bundle. The next CA signs only if the configurations carry it right now.
                live.read().await?;
                clocks = self.clock.read();
                step = state.step(&clocks, &live.propagation, &self.lifetimes);
            }
            let Some(step) = step else { return Ok(()) };
            let after = state.after(step, clocks.now(), &self.lifetimes)?;
            if self.secret.write(&snapshot, &after).await? == WriteOutcome::Written {
                self.report(step, state, clocks.now(), metrics);
            }
        }
        Ok(())
    }

    /// Logs and counts a step that was taken from `before`.
    fn report(&self, step: RotationStep, before: &CaState, now: Timestamp, metrics: &Metrics) {
        let secret = self.secret.to_string();
        if matches!(step, RotationStep::Switch | RotationStep::Replace) {
            metrics.certificate_rotations.inc(["ca"]);
        }
        match step {
            RotationStep::Publish => {
                tracing::info!(
                    secret,
                    "created the next CA, which issues certificates when all webhook configurations have it"
                );
            }
            RotationStep::Switch => tracing::info!(secret, "switched to the next CA"),
            RotationStep::Replace => {
                let validity = before.current.certificate().validity();
                let (from, until) = (validity.not_before(), validity.not_after());
                tracing::warn!(secret, %from, %until, %now, "replaced the CA, which was not valid");
            }
            RotationStep::Shorten => {
                let until = before.old.as_ref().map(|old| tracing::field::display(old.until));
                tracing::warn!(
                    secret,
                    until,
                    "old-ca.until was not a time, or later than any leaf of the old CA can end; shortened it"
                );
            }
            RotationStep::Retire => tracing::info!(secret, "removed the old CA"),
        }
    }

    /// Fills an empty Secret. A replica that still has the CA that the Secret held writes that CA back, so that clients
    /// keep trusting the leaves of this CA.
    async fn fill(&self, snapshot: &SecretSnapshot, metrics: &Metrics) -> Result<(), TrustError> {
        let clocks = self.clock.read();
        if !clocks.agrees_within(TOLERANCE) {
            return Err(TrustError::NotFilled(self.secret.to_string()));
        }
        let now = clocks.now();
        let remembered = self.last_read.as_ref().map(|read| &read.state);
        let remembered = remembered.filter(|state| state.current.certificate().validity().contains(now));
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
        let due = state.leaf(*at, &self.clock.read(), self.leaf.as_ref(), propagation, &self.lifetimes)?;
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
        let sent = Instant::now();
        let snapshot = self.secret.read().await?;
        let clocks = self.clock.read();
        self.clock_report.update(&clocks);
        // The clocks are read after the request, not before, because the API server's time is unknown until its first
        // response, which may be this one.
        let passed = SignedDuration::try_from(clocks.at.saturating_duration_since(sent)).unwrap_or(SignedDuration::MAX);
        let at = clocks.now().saturating_sub(passed).unwrap_or(Timestamp::MIN);
        if let Some(state) = snapshot.state.clone() {
            self.last_read = Some(SecretRead { state, at });
        }
        Ok(snapshot)
    }
}
