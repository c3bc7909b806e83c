//! A webhook configuration, and what was observed of it last.

use tokio::time::Instant;

use super::configuration::WebhookConfiguration;
use super::configuration_watch::ConfigurationRef;
use super::rotation::{Live, Look};
use crate::api::ApiError;

/// A configuration that trust depends on.
pub(super) struct TrackedConfiguration {
    pub(super) place: ConfigurationRef,
    pub(super) seen: Seen,
}

/// The last observation.
pub(super) enum Seen {
    Nothing,
    Absent,
    There(WebhookConfiguration),
}

impl TrackedConfiguration {
    /// Records an observation.
    pub(super) fn saw(&mut self, live: &mut Live, configuration: Option<WebhookConfiguration>, unbroken: bool) {
        let existing = configuration.as_ref().filter(|configuration| !configuration.is_empty());
        let look = existing.map(|configuration| Look {
            version: &configuration.version,
            carried: configuration.carried(),
            unbroken,
        });
        live.saw(self.place.kind.name(), look, Instant::now());
        self.seen = configuration.map_or(Seen::Absent, Seen::There);
    }

    /// Reads it now.
    pub(super) async fn look(&mut self, live: &mut Live) -> Result<(), ApiError> {
        let configuration = self.place.read().await?;
        self.saw(live, configuration, false);
        Ok(())
    }
}
