//! Reloads the configuration file while the server runs.

use crate::config::{Config, ConfigFile};
use crate::process::Process;
use crate::server::SharedConfig;

/// Applies each valid change of the file to `shared`, and logs each invalid one, forever.
pub(super) async fn reload(mut file: ConfigFile, started: Config, shared: SharedConfig, process: Process) {
    let (metrics, detail) = (process.metrics, process.readiness.detail("configuration file"));
    metrics.file_usable.set(["configuration"], Some(true));
    loop {
        let changed = file.changed().await;
        metrics.config_reloads.inc([if changed.is_ok() { "applied" } else { "refused" }]);
        metrics.file_usable.set(["configuration"], Some(changed.is_ok()));
        match changed {
            Ok(config) => {
                detail.set(None);
                shared.replace(super::request_config(&config));
                tracing::info!("configuration reloaded");
                let parts = config.needs_restart(&started).join(", ");
                if !parts.is_empty() {
                    tracing::warn!(parts, "these parts of the configuration take effect only after a restart");
                }
            }
            Err(error) => {
                let error = super::super::one_line(&error.into());
                detail.set(Some(format!("{error}; the previous configuration stays in effect")));
                tracing::error!(error, "invalid configuration ignored: the previous one stays in effect");
            }
        }
    }
}
