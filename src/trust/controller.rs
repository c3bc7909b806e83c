//! Trust, kept for as long as the process lives: the CA in its Secret, a leaf of it in use, and its certificate in the
//! live webhook configurations.
//!
//! A replica never takes a CA out of a live configuration that a fresh GET of the Secret still lists: where the bundle that
//! it wants has less than what it sees, it reads the Secret again, *after* it saw the configuration, and patches that
//! version of the configuration or none.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, timeout_at};

use super::configuration::{WebhookConfiguration, WebhookKind};
use super::configuration_watch::{ConfigurationRef, ConfigurationUpdate, ConfigurationWatch};
use super::live_configurations::{ConfigurationState, TrackedConfiguration};
use super::managed::ManagedCa;
use super::mounted::MountedCa;
use super::rotation::Propagation;
use crate::api::{self, ApiClient};
use crate::process::Process;
use crate::process::metrics::Metrics;
use crate::process::readiness::{Condition, Detail};
use crate::tls::{Certificate, CertificateResolver};

/// How soon what failed is tried again, which an entry without its bundle waits for; and then half as often each time.
const SOON: Duration = Duration::from_millis(500);

/// How often a patch is tried at once, when somebody else was faster: Helm and another replica, and once more.
const ATTEMPTS: usize = 4;

/// Where the CAs come from that the configurations are to carry.
pub enum TrustSource {
    /// From a Secret that is ours, and so does the certificate that is served.
    Managed(Box<ManagedCa>),
    /// From a file; the certificate that is served is another's business.
    Mounted(MountedCa),
}

/// The names of the webhook configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookNames {
    /// The `MutatingWebhookConfiguration`.
    pub mutating: String,
    /// The `ValidatingWebhookConfiguration`.
    pub validating: String,
}

/// Starts to keep trust. Readiness waits until the live configurations trust what `resolver` serves.
pub fn keep(
    client: &ApiClient,
    source: TrustSource,
    webhooks: WebhookNames,
    resolver: &CertificateResolver,
    process: &Process,
) {
    let controller = TrustController::new(client, source, webhooks, resolver, process);
    let (sender, updates) = channel(16);
    for known in &controller.configurations {
        let watch = ConfigurationWatch::new(known.place.clone(), sender.clone());
        process.tasks.spawn("watch of a webhook configuration", api::follow(client.clone(), watch));
    }
    process.tasks.spawn("trust in the certificate", controller.run(updates));
}

/// Who keeps trust.
struct TrustController {
    source: TrustSource,
    configurations: [TrackedConfiguration; 2],
    live: Propagation,
    resolver: CertificateResolver,
    metrics: Arc<Metrics>,
    /// Until it is met.
    condition: Option<Condition>,
    detail: Detail,
    /// What was said last to be wrong.
    complaint: Option<String>,
    /// How many rounds have failed, one after the other.
    failures: u32,
}

impl TrustController {
    fn new(
        client: &ApiClient,
        source: TrustSource,
        webhooks: WebhookNames,
        resolver: &CertificateResolver,
        process: &Process,
    ) -> Self {
        let place = |kind, name| ConfigurationRef { client: client.clone(), kind, name };
        let places =
            [place(WebhookKind::Mutating, webhooks.mutating), place(WebhookKind::Validating, webhooks.validating)];
        Self {
            source,
            live: Propagation::new(places.iter().map(|place| place.kind.name().to_owned())),
            configurations: places.map(|place| TrackedConfiguration { place, seen: ConfigurationState::Nothing }),
            resolver: resolver.clone(),
            metrics: process.metrics.clone(),
            condition: Some(process.readiness.condition("certificate")),
            detail: process.readiness.detail("certificate"),
            complaint: None,
            failures: 0,
        }
    }

    async fn run(mut self, mut updates: Receiver<ConfigurationUpdate>) {
        loop {
            let pause = self.round().await;
            let next = Instant::now() + pause;
            // Each update is acted upon at once, and does not put off the next round.
            while let Ok(update) = timeout_at(next, updates.recv()).await {
                let Some(ConfigurationUpdate { kind, configuration, unbroken }) = update else { return };
                self.saw(kind, configuration, unbroken);
                // With no CA yet, the Secret may have come just before: what waits for it does not wait for the next round.
                if self.source.ca_expiry().is_none() || self.reconcile().await.is_err() {
                    break;
                }
            }
        }
    }

    /// Does all that is due, and returns when to come again.
    async fn round(&mut self) -> Duration {
        let interval = match &self.source {
            TrustSource::Managed(managed) => managed.interval(),
            TrustSource::Mounted(_) => MountedCa::INTERVAL,
        };
        let advanced = self.advance().await;
        let reconciled = self.reconcile().await;
        match advanced.and(reconciled) {
            Ok(()) => {
                self.failures = 0;
                if self.complaint.take().is_some() {
                    tracing::info!("certificates and their CA are as they should be again");
                    self.detail.set(self.obstacle());
                }
                interval
            }
            Err(problem) => {
                if self.complaint.as_ref() != Some(&problem) {
                    tracing::error!("{problem}");
                }
                self.detail.set(Some(problem.clone()));
                self.complaint = Some(problem);
                let pause = SOON.saturating_mul(2_u32.saturating_pow(self.failures)).min(interval);
                self.failures += 1;
                pause
            }
        }
    }

    async fn advance(&mut self) -> Result<(), String> {
        match &mut self.source {
            TrustSource::Managed(managed) => {
                managed.advance(&mut self.configurations, &mut self.live, &self.metrics).await?;
                managed.issue(&self.live, &self.resolver, &self.metrics)
            }
            TrustSource::Mounted(mounted) => mounted.read(),
        }
    }

    fn saw(&mut self, kind: WebhookKind, configuration: Option<WebhookConfiguration>, unbroken: bool) {
        if let Some(known) = self.configurations.iter_mut().find(|known| known.place.kind == kind) {
            known.saw(&mut self.live, configuration, unbroken);
        }
    }

    /// Gives every configuration its bundle, and says whether what is served is trusted.
    async fn reconcile(&mut self) -> Result<(), String> {
        let mut result = Ok(());
        for place in 0..self.configurations.len() {
            result = result.and(self.repair(place).await);
        }
        if let TrustSource::Managed(managed) = &mut self.source {
            result = result.and(managed.issue(&self.live, &self.resolver, &self.metrics));
        }
        self.tell_expiry();
        let obstacle = self.obstacle();
        if obstacle.is_none()
            && let Some(condition) = self.condition.take()
        {
            condition.met();
        }
        if self.complaint.is_none() {
            self.detail.set(obstacle);
        }
        result
    }

    /// Gives a configuration its bundle, if it does not have it.
    async fn repair(&mut self, place: usize) -> Result<(), String> {
        for _ in 0..ATTEMPTS {
            let known = &self.configurations[place];
            let label = format!("{}/{}", known.place.kind.name(), known.place.name);
            let ConfigurationState::There(configuration) = &known.seen else {
                self.metrics.bundle_in_sync(&label, None);
                return Ok(());
            };
            let Some(wanted) = wanted(&mut self.source, configuration).await else {
                self.metrics.bundle_in_sync(&label, Some(false));
                return Ok(());
            };
            let Some(patch) = configuration.patch(&wanted) else {
                self.metrics.bundle_in_sync(&label, Some(true));
                return Ok(());
            };
            self.metrics.bundle_in_sync(&label, Some(false));
            let known = &mut self.configurations[place];
            match known.place.patch(&patch).await {
                Ok(patched) => {
                    tracing::info!(configuration = label, "the caBundle was written");
                    // It is the version that was looked at and this patch: nothing lies between.
                    known.saw(&mut self.live, Some(patched), true);
                }
                // The version is another by now (which comes back as Invalid), or it is gone.
                Err(failure) if matches!(failure.code(), Some(404 | 409 | 422)) => {
                    tracing::debug!(configuration = label, %failure, "the configuration changed meanwhile");
                    known.look(&mut self.live).await.map_err(|failure| failure.to_string())?;
                }
                Err(failure) => return Err(format!("the caBundle of {label}: {failure}")),
            }
        }
        let TrackedConfiguration { place, .. } = &self.configurations[place];
        Err(format!("{} {} changes faster than its caBundle can be written", place.kind.name(), place.name))
    }

    fn tell_expiry(&self) {
        self.metrics.certificate_expires("leaf", self.resolver.expiry());
        self.metrics.certificate_expires("ca", self.source.ca_expiry());
    }

    /// Why an API server may not trust what is served; `None` if it does.
    fn obstacle(&self) -> Option<String> {
        let Some(served) = self.resolver.served() else { return Some("there is none yet".to_owned()) };
        if self.configurations.iter().any(|known| matches!(known.seen, ConfigurationState::Nothing)) {
            return Some("the webhook configurations have not been read yet".to_owned());
        }
        let now = Timestamp::now();
        let mut exists = false;
        for known in &self.configurations {
            let ConfigurationState::There(configuration) = &known.seen else { continue };
            exists |= !configuration.is_empty();
            if !configuration.is_empty() && !served.chains_to(&configuration.carried(), now) {
                let ConfigurationRef { kind, name, .. } = &known.place;
                return Some(format!("{} {name} has no caBundle that it chains to", kind.name()));
            }
        }
        let [mutating, validating] = &self.configurations;
        (!exists).then(|| {
            let (mutating, validating) = (&mutating.place.name, &validating.place.name);
            format!(
                "there is neither a MutatingWebhookConfiguration {mutating} nor a ValidatingWebhookConfiguration {validating} with an entry (tls.webhooks names them)"
            )
        })
    }
}

impl TrustSource {
    /// Until when the CA is valid that certificates come from; `None` where none is known yet.
    fn ca_expiry(&self) -> Option<Timestamp> {
        match self {
            Self::Managed(managed) => managed.ca_expiry(),
            Self::Mounted(mounted) => mounted.ca_expiry(),
        }
    }
}

/// The bundle that a configuration is to have, which was seen as it is here; `None` where nothing is known to want.
async fn wanted(source: &mut TrustSource, configuration: &WebhookConfiguration) -> Option<String> {
    let known = configuration.known();
    let mut wanted = match source {
        TrustSource::Managed(managed) => managed.bundle(&known).await?,
        TrustSource::Mounted(mounted) => mounted.bundle(&known)?,
    };
    // In one order, whoever writes it: two replicas must not undo each other.
    wanted.sort_unstable_by(|one, other| one.der().cmp(other.der()));
    wanted.dedup();
    Some(wanted.iter().map(Certificate::pem).collect())
}

#[cfg(test)]
mod tests;
