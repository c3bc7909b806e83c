//! The rules of an audit: the configuration of colocate, and where it was read.

use super::AuditQuestion;
use crate::api::ApiError;
use crate::companion::Severities;
use crate::config::Config;
use crate::engine::Policy;
use crate::inspect::cluster::Cluster;
use crate::inspect::kinds::Kind;
use crate::inspect::why::{InstalledConfig, Reader};

/// The rules of an audit.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) policy: Policy,
    pub(super) severities: Severities,
    pub(super) custom: Vec<CustomKind>,
    pub(super) source: ConfigSource,
}

/// The origin of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    /// A file that the user named.
    File,
    /// The `ConfigMap` of the cluster's colocate: its namespace and name.
    Cluster(String),
    /// The defaults, because no colocate of the chart was found.
    #[default]
    Defaults,
    /// The defaults, because the configuration of the cluster's colocate could not be read. Whatever depends on it is unknown.
    NotSeen,
}

/// A kind of custom workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct CustomKind {
    pub(super) kind: Kind,
    pub(super) version: &'static str,
    pub(super) name: &'static str,
}

impl Rules {
    /// Reads the configuration: the one that the user named, or else that of the cluster's colocate.
    pub(super) async fn read(
        reader: &mut Reader,
        question: AuditQuestion<'_>,
        cluster: &Cluster,
    ) -> Result<Self, ApiError> {
        if let Some(config) = question.config {
            return Ok(Self::new(config, ConfigSource::File));
        }
        let namespace = question.namespace.map(|name| {
            let labels = cluster.namespaces.as_ref().and_then(|all| all.get(name));
            (name, labels)
        });
        Ok(match InstalledConfig::read(reader, cluster.webhooks.as_deref(), namespace).await? {
            InstalledConfig::Found(config, place) => Self::new(&config, ConfigSource::Cluster(place)),
            InstalledConfig::Absent => Self::new(&Config::default(), ConfigSource::Defaults),
            InstalledConfig::NotSeen => Self::new(&Config::default(), ConfigSource::NotSeen),
        })
    }

    fn new(config: &Config, source: ConfigSource) -> Self {
        let custom = config.custom_workloads().map(CustomKind::from).collect();
        Self { policy: config.policy(), severities: config.validation().severities, custom, source }
    }
}

impl From<[&str; 4]> for CustomKind {
    /// Makes the kind of a group, version, resource and kind. The names live until the process exits: a configuration has few.
    fn from(names: [&str; 4]) -> Self {
        let [group, version, resource, name] = names.map(|name| &*name.to_owned().leak());
        Self { kind: Kind::namespaced(group, version, resource), version, name }
    }
}
