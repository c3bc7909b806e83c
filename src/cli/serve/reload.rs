//! Reloads the configuration file while the server runs.

use std::sync::Arc;

use crate::config::{Config, ConfigFile};
use crate::process::metrics::Metrics;
use crate::server::SharedConfig;

/// Applies each valid change of the file to `shared`, and logs each invalid one, forever.
pub(super) async fn reload(mut file: ConfigFile, started: Config, shared: SharedConfig, metrics: Arc<Metrics>) {
    loop {
        let changed = file.changed().await;
        metrics.config_reloads.inc([if changed.is_ok() { "applied" } else { "refused" }]);
        match changed {
            Ok(config) => {
                shared.replace(super::request_config(&config));
                tracing::info!("configuration reloaded");
                let parts = config.needs_restart(&started).join(", ");
                if !parts.is_empty() {
                    tracing::warn!(parts, "these parts of the configuration take effect only after a restart");
                }
            }
            Err(error) => {
                let error = super::super::one_line(&error.into());
                tracing::error!(error, "invalid configuration ignored: the previous one stays in effect");
            }
        }
    }
}
