//! The two webhook configurations as they were observed last.

use jiff::Timestamp;
use tokio::time::Instant;

use super::configuration::{WebhookConfiguration, WebhookKind};
use super::configuration_watch::ConfigurationRef;
use super::propagation::{BundleObservation, Propagation};
use crate::api::{ApiClient, ApiError};
use crate::tls::ServingCertificate;

/// The names of the webhook configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookNames {
    /// The `MutatingWebhookConfiguration`.
    pub mutating: String,
    /// The `ValidatingWebhookConfiguration`.
    pub validating: String,
}

/// The webhook configurations that trust depends on, and the CAs that they carry.
pub(super) struct LiveConfigurations {
    /// In the order of [`WebhookKind::ALL`].
    configurations: [LiveConfiguration; 2],
    pub(super) propagation: Propagation,
}

/// A webhook configuration as it was observed last.
pub(super) struct LiveConfiguration {
    pub(super) reference: ConfigurationRef,
    pub(super) state: ConfigurationState,
}

/// The last observation of a configuration.
pub(super) enum ConfigurationState {
    Unknown,
    Absent,
    Present(WebhookConfiguration),
}

impl LiveConfigurations {
    /// Creates the state before the first read.
    pub(super) fn new(client: &ApiClient, names: &WebhookNames) -> Self {
        let unknown = |kind| {
            let name = match kind {
                WebhookKind::Mutating => names.mutating.clone(),
                WebhookKind::Validating => names.validating.clone(),
            };
            let reference = ConfigurationRef { client: client.clone(), kind, name };
            LiveConfiguration { reference, state: ConfigurationState::Unknown }
        };
        let propagation = Propagation::new(WebhookKind::ALL.map(WebhookKind::name));
        Self { configurations: WebhookKind::ALL.map(unknown), propagation }
    }

    /// Returns the configuration of a kind.
    pub(super) fn of(&self, kind: WebhookKind) -> &LiveConfiguration {
        &self.configurations[kind as usize]
    }

    /// Records an observation; `None` for a configuration that does not exist. `unbroken` means that no change since
    /// the last observation was missed.
    pub(super) fn record(&mut self, kind: WebhookKind, observed: Option<WebhookConfiguration>, unbroken: bool) {
        let existing = observed.as_ref().filter(|configuration| !configuration.is_empty());
        let observation = existing.map(|configuration| BundleObservation {
            version: &configuration.version,
            carried: configuration.carried_by_all(),
            unbroken,
        });
        self.propagation.record(kind.name(), observation, Instant::now());
        let state = observed.map_or(ConfigurationState::Absent, ConfigurationState::Present);
        self.configurations[kind as usize].state = state;
    }

    /// Reads the configuration of a kind now.
    pub(super) async fn read_one(&mut self, kind: WebhookKind) -> Result<(), ApiError> {
        let observed = self.of(kind).reference.read().await?;
        self.record(kind, observed, false);
        Ok(())
    }

    /// Reads both configurations now.
    pub(super) async fn read(&mut self) -> Result<(), ApiError> {
        for kind in WebhookKind::ALL {
            self.read_one(kind).await?;
        }
        Ok(())
    }

    /// Returns the reason why an API server might not trust `serving`; `None` if there is none.
    pub(super) fn obstacle(&self, serving: &ServingCertificate, now: Timestamp) -> Option<String> {
        let validity = serving.certificate.validity();
        if !validity.contains(now) {
            let (from, until) = (validity.not_before(), validity.not_after());
            return Some(format!("it is valid from {from} until {until}, and not now"));
        }
        let mut exists = false;
        for LiveConfiguration { reference, state } in &self.configurations {
            match state {
                ConfigurationState::Unknown => {
                    return Some("the webhook configurations have not been read yet".to_owned());
                }
                ConfigurationState::Present(configuration) if !configuration.is_empty() => {
                    exists = true;
                    if !serving.chains_to(&configuration.carried_by_all(), now) {
                        return Some(format!("it does not chain to a valid CA in the caBundle of {reference}"));
                    }
                }
                ConfigurationState::Absent | ConfigurationState::Present(_) => {}
            }
        }
        (!exists).then(|| {
            let [mutating, validating] = &self.configurations;
            format!(
                "neither {} nor {} exists with at least one webhook: create one of them, or set tls.webhooks to the names of your configurations",
                mutating.reference, validating.reference
            )
        })
    }
}
