//! The configuration file, read again while the server runs.

use std::sync::Arc;

use crate::config::{Config, ConfigFile};
use crate::process::metrics::Metrics;
use crate::server::SharedConfig;

/// Gives each good configuration to `shared`, and leaves them as they are where it is none; for ever.
pub(super) async fn reload(mut file: ConfigFile, started: Config, shared: SharedConfig, metrics: Arc<Metrics>) {
    loop {
        let changed = file.changed().await;
        metrics.config_reloads.inc([if changed.is_ok() { "applied" } else { "refused" }]);
        match changed {
            Ok(config) => {
                shared.replace(super::request_config(&config));
                tracing::info!("the configuration file changed, and is in effect");
                let parts = config.needs_restart(&started).join(", ");
                if !parts.is_empty() {
                    tracing::warn!(parts, "a part of the configuration takes effect only when colocate starts again");
                }
            }
            Err(error) => {
                let error = super::super::one_line(&error.into());
                tracing::error!(
                    error,
                    "the configuration file changed, and is refused: the one before stays in effect"
                );
            }
        }
    }
}
