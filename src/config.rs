//! The configuration file, and the only place that defines defaults.
//!
//! It is one YAML file in which every key is optional. Settings that differ by process (addresses, files, logging) are
//! flags instead.
//!
//! A `...Section` is the value of a key in the file, and a `...Entry` is an item of a list. They are converted to the
//! types that the other modules use.

mod adapters;
mod config_error;
mod config_file;
mod custom_workloads;
mod drivers;
mod missing_claim;
mod namespaces;
mod restart;
mod section;
mod tls_section;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::claims::ClaimLimits;
use crate::companion::{self, Enforcement, Severities};
use crate::duration::GoDuration;
use crate::engine::dns;
use crate::locality::StorageDrivers;
use crate::{engine, file, schedulers};

pub use config_error::ConfigError;
pub use config_file::ConfigFile;
pub use tls_section::{SecretSection, ServiceSection, TlsSection, Webhooks};

use custom_workloads::CustomWorkloadsSection;
use drivers::{DriverEntry, DriversSection};
use missing_claim::MissingClaimSection;
use namespaces::NamespacesSection;
use section::{Check, section};

section! {
    /// The configuration as written in the file. `Config::default()` is the configuration without a file.
    pub struct Config {
        mode: engine::Mode,
        templates: engine::Templates,
        drivers: DriversSection,
        replaceable_schedulers: ReplaceableSection,
        opt_out: OptOutSection,
        custom_workloads: CustomWorkloadsSection,
        namespaces: NamespacesSection,
        missing_claim: MissingClaimSection,
        validation: ValidationSection,
        events: EventsSection,
        tls: TlsSection,
        drain: DrainSection,
    }
}

section! {
    struct OptOutSection {
        annotations: Vec<MetadataKey> = keys(&engine::OptOut::default().annotations),
        /// Also used in the `objectSelector` of the webhook configuration.
        labels: Vec<LabelKey> = labels(),
        owners: Vec<engine::OwnerKind>,
        /// Used in the `namespaceSelector` of the webhook configuration, not by the server, which does not see
        /// Namespaces.
        namespace_label: MetadataKey = MetadataKey(engine::OptOut::default().namespace_label.to_string()),
    }
}

section! {
    struct ValidationSection {
        mode: Enforcement,
        /// The rules with a configured severity.
        rules: Severities,
    }
}

section! {
    struct EventsSection {
        /// Needs a permission that no other feature needs, so it is off by default.
        enabled: bool,
    }
}

section! {
    /// The shutdown of the server.
    struct DrainSection {
        /// The API server keeps connections to a pod whose endpoint is gone, and proxies need some seconds to notice.
        grace: GoDuration = GoDuration(Duration::from_secs(15)),
        timeout: GoDuration = GoDuration(Duration::from_secs(30)),
    }
}

/// The names of the schedulers that may be replaced. Each is a valid name of a scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct ReplaceableSection(engine::ReplaceableSchedulers);

impl TryFrom<Vec<String>> for ReplaceableSection {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        // Some platforms' schedulers have a prefix, and others a name of several parts.
        match names.iter().find(|name| !dns::is_subdomain(name) && !dns::is_qualified_name(name)) {
            Some(name) => Err(format!("`{name}` is not the name of a scheduler: use one such as default-scheduler")),
            None => Ok(Self(engine::ReplaceableSchedulers(names))),
        }
    }
}

/// The key of an annotation or a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct MetadataKey(String);

impl TryFrom<String> for MetadataKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(format!(
                "`{text}` is not the key of an annotation or a label: use one such as example.com/opt-out"
            ));
        }
        Ok(Self(text))
    }
}

/// The key of a label, which API servers validate in a selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct LabelKey(String);

impl TryFrom<String> for LabelKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !dns::is_qualified_name(&text) {
            return Err(format!("`{text}` is not the key of a label: use one such as example.com/opt-out"));
        }
        Ok(Self(text))
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// If the file cannot be read, is empty, is not YAML, or has an unknown key or an invalid value. The error has the
    /// position.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = file::read_blocking(path).and_then(file::to_string);
        Self::parse(&text.map_err(|source| ConfigError::unreadable(path, source))?, &path.display().to_string())
    }

    /// Parses a configuration. `file` is its name in errors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        // A file without content, which is null in YAML, was probably truncated. Its defaults could switch on what its
        // content had switched off.
        let config: Option<Self> = serde_saphyr::from_str(text).map_err(|error| ConfigError::found(&error, file))?;
        config.ok_or_else(|| ConfigError::Empty { file: file.to_owned() })
    }

    /// Returns the configuration as YAML, including all defaults.
    ///
    /// # Errors
    /// None in practice: every value of a configuration can be serialized.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::SerializeError> {
        serde_saphyr::to_string(self)
    }

    /// Returns the policy of the engine, without the drivers that have no scheduler.
    pub fn policy(&self) -> engine::Policy {
        let OptOutSection { annotations, labels, owners, namespace_label } = &self.opt_out;
        engine::Policy {
            mode: self.mode,
            templates: self.templates,
            drivers: engine::Drivers(self.drivers.0.iter().filter_map(DriverEntry::to_engine).collect()),
            replaceable: self.replaceable_schedulers.0.clone(),
            opt_out: engine::OptOut {
                annotations: annotations.iter().map(|key| key.0.as_str().into()).collect(),
                labels: labels.iter().map(|key| key.0.as_str().into()).collect(),
                owners: owners.clone(),
                namespace_label: namespace_label.0.as_str().into(),
            },
            workloads: self.custom_workloads.to_engine(),
            missing_claim: self.missing_claim.then,
        }
    }

    /// Returns the validation policy of the companion.
    pub fn validation(&self) -> companion::ValidationPolicy {
        let ValidationSection { mode, rules } = &self.validation;
        companion::ValidationPolicy { enforcement: *mode, severities: rules.clone() }
    }

    /// Returns the group, version, resource and kind of each custom workload.
    pub fn custom_workloads(&self) -> impl Iterator<Item = [&str; 4]> {
        self.custom_workloads.names()
    }

    /// Returns the limits on fetching and waiting for claims that do not exist.
    pub fn claim_limits(&self) -> ClaimLimits {
        self.missing_claim.limits()
    }

    /// Returns the drivers' schedulers whose Lease is known.
    pub fn schedulers(&self) -> impl Iterator<Item = schedulers::Scheduler> {
        self.drivers.0.iter().filter_map(DriverEntry::to_presence)
    }

    /// Returns all drivers by rank, each with its sources of locality.
    pub fn locality(&self) -> StorageDrivers {
        StorageDrivers(self.drivers.0.iter().map(DriverEntry::to_locality).collect())
    }

    /// Returns whether the file names the sources of the layout of a driver's volumes.
    pub fn names_locality(&self) -> bool {
        self.drivers.0.iter().any(DriverEntry::names_adapters)
    }

    /// Returns the namespaces whose claims are watched; empty means all.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces.0
    }

    /// Returns whether the warnings about pods are recorded as Events on their controllers.
    pub fn records_events(&self) -> bool {
        self.events.enabled
    }

    /// Returns the settings of the served certificate, and of the webhook configurations that carry its CA.
    pub fn tls(&self) -> &TlsSection {
        &self.tls
    }

    /// Returns the time for which requests are still answered after the shutdown signal.
    pub fn drain_grace(&self) -> Duration {
        self.drain.grace.0
    }

    /// Returns the longest time from the shutdown signal to the end of the process.
    pub fn drain_timeout(&self) -> Duration {
        self.drain.timeout.0
    }
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text, "the configuration")
    }
}

impl Check for Config {
    fn check(&self) -> Result<(), String> {
        let mut schedulers = self.drivers.0.iter().filter_map(|driver| Some((driver, driver.scheduler()?))).peekable();
        if schedulers.peek().is_none() && self.mode != engine::Mode::Off {
            return Err(
                "no driver has a `scheduler`, so colocate cannot change any pod: set `scheduler` for at least one driver, or set `mode: off`"
                    .to_owned(),
            );
        }
        match schedulers.find(|(_, scheduler)| self.replaceable_schedulers.0.allow(Some(scheduler))) {
            Some((driver, scheduler)) => Err(format!(
                "`{scheduler}` is the scheduler of driver `{}` and also in replaceableSchedulers: remove it there, or drivers would replace each other's schedulers",
                driver.name,
            )),
            None => Ok(()),
        }
    }
}

impl Check for OptOutSection {}

impl Check for ValidationSection {}

impl Check for EventsSection {}

impl Check for DrainSection {
    fn check(&self) -> Result<(), String> {
        let Self { grace, timeout } = self;
        if timeout.0 < grace.0 {
            return Err(format!(
                "drain.timeout ({timeout}) is shorter than drain.grace ({grace}), which it includes: use a longer timeout"
            ));
        }
        Ok(())
    }
}

fn labels() -> Vec<LabelKey> {
    engine::OptOut::default().labels.iter().map(|text| LabelKey(text.to_string())).collect()
}

fn keys(texts: &[std::sync::Arc<str>]) -> Vec<MetadataKey> {
    texts.iter().map(|text| MetadataKey(text.to_string())).collect()
}

#[cfg(test)]
mod tests;
