//! The rules of an audit: the configuration of colocate, and where it was read.

use std::fmt;

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::companion::Severities;
use crate::config::Config;
use crate::engine::Policy;
use crate::inspect::cluster::Cluster;
use crate::inspect::kinds::ResourceKind;
use crate::inspect::why::{InstalledConfig, Reader};
use crate::locality::StorageDrivers;

/// The rules of an audit.
#[derive(Clone, Debug)]
pub(in crate::inspect) struct Rules {
    pub(in crate::inspect) policy: Policy,
    pub(super) severities: Severities,
    /// All drivers. Unlike `policy`, this includes those without a scheduler.
    pub(in crate::inspect) drivers: StorageDrivers,
    pub(in crate::inspect) custom: Vec<CustomKind>,
    pub(in crate::inspect) source: ConfigSource,
}

/// The origin of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    /// A file that the user named.
    File,
    /// The `ConfigMap` of the cluster's colocate: its namespace and name.
    Cluster(String),
    /// The defaults, because colocate is not installed.
    #[default]
    Defaults,
    /// The defaults, because the configuration of the cluster's colocate could not be read. Whatever depends on it is unknown.
    NotSeen,
}

/// A kind of custom workload.
#[derive(Clone, Copy, Debug)]
pub(in crate::inspect) struct CustomKind {
    pub(in crate::inspect) kind: ResourceKind,
    pub(in crate::inspect) version: &'static str,
    pub(in crate::inspect) name: &'static str,
}

impl ConfigSource {
    /// Returns the source and the `ConfigMap` as a part of a document.
    pub(crate) fn document(&self) -> Value {
        let (source, config_map) = match self {
            Self::File => ("file", None),
            Self::Cluster(place) => ("cluster", Some(place)),
            Self::Defaults => ("defaults", None),
            Self::NotSeen => ("not-seen", None),
        };
        json!({"source": source, "configMap": config_map})
    }
}

/// The source for people.
impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("from --config"),
            Self::Cluster(place) => write!(f, "ConfigMap {place}"),
            Self::Defaults => f.write_str("the defaults"),
            Self::NotSeen => f.write_str("not known (pass it with --config)"),
        }
    }
}

impl Rules {
    /// Reads the configuration: the one that the user named, or else that of the cluster's colocate.
    pub(in crate::inspect) async fn read(
        reader: &mut Reader,
        config: Option<&Config>,
        namespace: Option<&str>,
        cluster: &Cluster,
    ) -> Result<Self, ApiError> {
        if let Some(config) = config {
            return Ok(Self::new(config, ConfigSource::File));
        }
        let namespace = namespace.map(|name| {
            let labels = cluster.namespaces.as_ref().and_then(|all| all.labels(name));
            (name, labels)
        });
        Ok(match InstalledConfig::read(reader, cluster.webhooks.as_deref(), namespace).await? {
            InstalledConfig::Found(config, place) => Self::new(&config, ConfigSource::Cluster(place)),
            InstalledConfig::Absent => Self::new(&Config::default(), ConfigSource::Defaults),
            InstalledConfig::NotSeen => Self::new(&Config::default(), ConfigSource::NotSeen),
        })
    }

    /// Makes the rules of a configuration.
    pub(in crate::inspect) fn new(config: &Config, source: ConfigSource) -> Self {
        let custom = config.custom_workloads().map(CustomKind::from).collect();
        let (policy, severities) = (config.policy(), config.validation().severities);
        Self { policy, severities, drivers: config.locality(), custom, source }
    }
}

impl From<[&str; 4]> for CustomKind {
    /// Makes the kind of a group, version, resource and kind. The names live until the process exits: a configuration has few.
    fn from(names: [&str; 4]) -> Self {
        let [group, version, resource, name] = names.map(|name| &*name.to_owned().leak());
        Self { kind: ResourceKind::namespaced(group, version, resource), version, name }
    }
}
