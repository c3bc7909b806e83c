//! A webhook configuration, and what was observed of it last.

use tokio::time::Instant;

use super::configuration::WebhookConfiguration;
use super::configuration_watch::ConfigurationRef;
use super::rotation::{BundleObservation, Propagation};
use crate::api::ApiError;

/// A configuration that trust depends on.
pub(super) struct TrackedConfiguration {
    pub(super) place: ConfigurationRef,
    pub(super) seen: ConfigurationState,
}

/// The last observation.
pub(super) enum ConfigurationState {
    Nothing,
    Absent,
    There(WebhookConfiguration),
}

impl TrackedConfiguration {
    /// Records an observation.
    pub(super) fn saw(&mut self, live: &mut Propagation, configuration: Option<WebhookConfiguration>, unbroken: bool) {
        let existing = configuration.as_ref().filter(|configuration| !configuration.is_empty());
        let look = existing.map(|configuration| BundleObservation {
            version: &configuration.version,
            carried: configuration.carried(),
            unbroken,
        });
        live.saw(self.place.kind.name(), look, Instant::now());
        self.seen = configuration.map_or(ConfigurationState::Absent, ConfigurationState::There);
    }

    /// Reads it now.
    pub(super) async fn look(&mut self, live: &mut Propagation) -> Result<(), ApiError> {
        let configuration = self.place.read().await?;
        self.saw(live, configuration, false);
        Ok(())
    }
}
