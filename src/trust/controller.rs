//! The trust controller: keeps the CA in its Secret, serves a leaf of it, and writes its certificate into the live
//! webhook configurations.
//!
//! A replica never removes a CA from a live configuration if a fresh read of the Secret still lists it. If the bundle that
//! it wants lacks a certificate that the configuration carries, it reads the Secret again *after* it read the configuration,
//! and its patch applies to that version of the configuration only.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, timeout_at};

use super::configuration::{WebhookConfiguration, WebhookKind};
use super::configuration_watch::{ConfigurationUpdate, ConfigurationWatch};
use super::live_configurations::{ConfigurationState, LiveConfiguration, LiveConfigurations};
use super::managed::ManagedCa;
use super::mounted::MountedCa;
use super::trust_error::TrustError;
use crate::api::{self, ApiClient};
use crate::process::Process;
use crate::process::clock::Clock;
use crate::process::metrics::Metrics;
use crate::process::readiness::{ReadinessCondition, ReadinessDetail};
use crate::process::tasks::Tasks;
use crate::tls::{Certificate, CertificateResolver, Validity};

pub use super::live_configurations::WebhookNames;

/// The pause after the first failed round. It doubles with each further failure, up to the interval. If a round fails
/// to write the bundle of a new webhook entry, the entry waits this long for the next attempt.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// The number of patch attempts in one round: the first, one retry each for a conflict with Helm and with another
/// replica, and one spare.
const PATCH_ATTEMPTS: usize = 4;

/// The source of the CAs that the configurations carry.
pub enum TrustSource {
    /// A Secret that colocate manages. The certificate that is served comes from its CA.
    Managed(Box<ManagedCa>),
    /// A file. The certificate that is served is managed elsewhere.
    Mounted(MountedCa),
}

/// The trust controller.
pub struct TrustController {
    source: TrustSource,
    live: LiveConfigurations,
    resolver: CertificateResolver,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// The condition of readiness, until it is met.
    condition: Option<ReadinessCondition>,
    detail: ReadinessDetail,
    /// The failure of the last round, as it was logged.
    failure: Option<String>,
    /// The number of rounds that have failed in a row.
    failures: u32,
}

impl TrustController {
    /// Creates a controller that has not started. The process is not ready until the live configurations trust the
    /// certificate that `resolver` serves.
    pub fn new(
        client: &ApiClient,
        source: TrustSource,
        webhooks: &WebhookNames,
        resolver: &CertificateResolver,
        process: &Process,
    ) -> Self {
        Self {
            source,
            live: LiveConfigurations::new(client, webhooks),
            resolver: resolver.clone(),
            clock: client.clock().clone(),
            metrics: process.metrics.clone(),
            condition: Some(process.readiness.condition("certificate")),
            detail: process.readiness.detail("certificate"),
            failure: None,
            failures: 0,
        }
    }

    /// Starts the controller and the watches of the configurations.
    pub fn start(self, tasks: &Tasks) {
        let (sender, updates) = channel(16);
        for kind in WebhookKind::ALL {
            let reference = self.live.of(kind).reference.clone();
            let client = reference.client.clone();
            let watch = ConfigurationWatch::new(reference, sender.clone());
            tasks.spawn("watch of a webhook configuration", api::follow(client, watch));
        }
        tasks.spawn("trust controller", self.run(updates));
    }

    async fn run(mut self, mut updates: Receiver<ConfigurationUpdate>) {
        loop {
            let pause = self.round().await;
            let next = Instant::now() + pause;
            // Each update is handled at once. However many there are, they do not postpone the next round, which renews the leaf.
            while Instant::now() < next
                && let Ok(update) = timeout_at(next, updates.recv()).await
            {
                let Some(ConfigurationUpdate { kind, configuration, unbroken }) = update else { return };
                self.live.record(kind, configuration, unbroken);
                // While no CA exists yet, the Secret may have been created just before: read it now, not in the next
                // round.
                if self.source.authorities().is_empty() || self.reconcile().await.is_err() {
                    break;
                }
            }
        }
    }

    /// Does everything that is due, and returns the pause until the next round.
    async fn round(&mut self) -> Duration {
        let interval = self.source.interval();
        let advanced = self.advance().await;
        let reconciled = self.reconcile().await;
        match advanced.and(reconciled) {
            Ok(()) => {
                self.failures = 0;
                if self.failure.take().is_some() {
                    // Before the log line, so that a reader of the log finds the same state in /readyz.
                    self.detail.set(self.obstacle());
                    tracing::info!("the CA, the certificate and the caBundles are up to date again");
                }
                interval
            }
            Err(error) => {
                let failure = error.to_string();
                self.detail.set(Some(failure.clone()));
                if self.failure.as_ref() != Some(&failure) {
                    tracing::error!("{failure}");
                }
                self.failure = Some(failure);
                let pause = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(self.failures)).min(interval);
                self.failures += 1;
                pause
            }
        }
    }

    async fn advance(&mut self) -> Result<(), TrustError> {
        match &mut self.source {
            TrustSource::Managed(managed) => managed.advance(&mut self.live, &self.resolver, &self.metrics).await?,
            TrustSource::Mounted(mounted) => {
                let read = mounted.read().await;
                self.metrics.file_usable.set(["ca"], Some(read.is_ok()));
                read?;
            }
        }
        self.issue()?;
        self.source.check(self.clock.read().now())
    }

    fn issue(&mut self) -> Result<(), TrustError> {
        match &mut self.source {
            TrustSource::Managed(managed) => managed.issue(&self.live.propagation, &self.resolver, &self.metrics),
            TrustSource::Mounted(_) => Ok(()),
        }
    }

    /// Updates the bundle of every configuration, and checks whether the served certificate is trusted.
    async fn reconcile(&mut self) -> Result<(), TrustError> {
        let mut result = Ok(());
        for kind in WebhookKind::ALL {
            result = result.and(self.repair(kind).await);
            result = result.and(self.issue());
        }
        self.measure();
        let obstacle = self.obstacle();
        if obstacle.is_none()
            && let Some(condition) = self.condition.take()
        {
            condition.met();
        }
        if self.failure.is_none() {
            self.detail.set(obstacle);
        }
        result
    }

    /// Updates the bundle of a configuration, if it is not up to date.
    async fn repair(&mut self, kind: WebhookKind) -> Result<(), TrustError> {
        let reference = self.live.of(kind).reference.clone();
        let label = reference.to_string();
        for _ in 0..PATCH_ATTEMPTS {
            let LiveConfiguration { state: ConfigurationState::Present(configuration), .. } = self.live.of(kind) else {
                self.metrics.ca_bundle_in_sync.set([&label], None);
                return Ok(());
            };
            let Some(bundle) = self.source.bundle(configuration).await else {
                self.metrics.ca_bundle_in_sync.set([&label], Some(false));
                return Ok(());
            };
            let Some(patch) = configuration.patch(&bundle) else {
                self.metrics.ca_bundle_in_sync.set([&label], Some(true));
                return Ok(());
            };
            self.metrics.ca_bundle_in_sync.set([&label], Some(false));
            match reference.patch(&patch).await {
                Ok(patched) => {
                    tracing::info!(configuration = label, "updated the caBundle");
                    // The patch applies only to the version that was read, so no change was missed in between.
                    self.live.record(kind, Some(patched), true);
                }
                // The configuration was deleted, or it was changed and the API server answers 422.
                Err(error) if matches!(error.code(), Some(404 | 409 | 422)) => {
                    tracing::debug!(configuration = label, %error, "the configuration has changed; reading it again");
                    self.live.read_one(kind).await?;
                }
                Err(error) => return Err(TrustError::Bundle { configuration: label, source: error.into() }),
            }
        }
        Err(TrustError::Contended { configuration: label })
    }

    /// Sets the metrics of the certificates in use.
    fn measure(&self) {
        let now = self.clock.read().now();
        let leaf = self.resolver.served().map(|served| served.certificate.validity());
        self.metrics.certificate_valid.set(["leaf"], leaf.map(|leaf| leaf.contains(now)));
        self.metrics.certificate_valid.set(["ca"], self.source.is_valid(now));
        for (name, validity) in [("leaf", leaf), ("ca", self.source.last())] {
            self.metrics.certificate_expiry.set_end(name, validity.map(|own| own.not_after()), &self.clock);
            self.metrics.certificate_renewal.set_end(name, validity.map(|own| own.renewal()), &self.clock);
        }
    }

    /// Returns the reason why an API server might not trust the served certificate; `None` if there is none.
    fn obstacle(&self) -> Option<String> {
        let Some(serving) = self.resolver.served() else {
            return Some("no certificate has been issued yet".to_owned());
        };
        self.live.obstacle(&serving, self.clock.read().now())
    }
}

impl TrustSource {
    /// Returns the interval at which the source is read.
    fn interval(&self) -> Duration {
        match self {
            Self::Managed(managed) => managed.interval(),
            Self::Mounted(_) => MountedCa::INTERVAL,
        }
    }

    /// Returns the CAs that sign what is served; none if none is known yet.
    fn authorities(&self) -> &[Certificate] {
        match self {
            Self::Managed(managed) => managed.authorities(),
            Self::Mounted(mounted) => mounted.authorities(),
        }
    }

    /// Returns the validity of the CA that ends last: one that ends sooner is being replaced.
    fn last(&self) -> Option<Validity> {
        self.authorities().iter().map(Certificate::validity).max_by_key(Validity::not_after)
    }

    /// Returns whether a CA is valid at this time; `None` if none is known yet.
    fn is_valid(&self, now: Timestamp) -> Option<bool> {
        let authorities = self.authorities();
        let valid = authorities.iter().any(|authority| authority.validity().contains(now));
        (!authorities.is_empty()).then_some(valid)
    }

    /// Checks that a CA is valid at this time, if any is known.
    fn check(&self, now: Timestamp) -> Result<(), TrustError> {
        let Some(last) = self.last().filter(|_| self.is_valid(now) == Some(false)) else { return Ok(()) };
        let place = match self {
            Self::Managed(managed) => managed.place(),
            Self::Mounted(mounted) => mounted.place(),
        };
        Err(TrustError::NotValid { place, from: last.not_before(), until: last.not_after() })
    }

    /// Returns the bundle that this configuration should have, as PEM; `None` if no CA is known yet.
    async fn bundle(&mut self, configuration: &WebhookConfiguration) -> Option<String> {
        let carried = configuration.carried_by_any();
        let mut bundle = match self {
            Self::Managed(managed) => managed.bundle(&carried).await?,
            Self::Mounted(mounted) => mounted.bundle(&carried)?,
        };
        // All replicas write the same order, so that they do not undo each other's patches.
        bundle.sort_unstable_by(|one, other| one.der().cmp(other.der()));
        bundle.dedup();
        Some(bundle.iter().map(Certificate::pem).collect())
    }
}

#[cfg(test)]
mod tests;
