//! The options of commands that inspect a cluster.

use std::path::PathBuf;

use clap::Args;

use super::input::{load_config, path_or_nothing};
use crate::api::ClusterChoice;
use crate::config::{Config, ConfigError};

/// The cluster, and the configuration of its colocate.
#[derive(Debug, Args)]
pub(super) struct ClusterOptions {
    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The kubeconfig, instead of the one that kubectl would use
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The configuration file of the cluster's colocate; without one, it is read from the cluster
    #[arg(long, value_name = "FILE", env = "COLOCATE_CONFIG", value_parser = path_or_nothing())]
    config: Option<PathBuf>,
}

impl ClusterOptions {
    /// Returns the cluster.
    pub(super) fn choice(&self) -> ClusterChoice<'_> {
        ClusterChoice { kubeconfig: self.kubeconfig.as_deref(), context: self.context.as_deref() }
    }

    /// Reads the configuration file, if one is named.
    pub(super) fn config(&self) -> Result<Option<Config>, ConfigError> {
        load_config(self.config.as_deref())
    }
}
