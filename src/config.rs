//! The configuration file, and the only home of defaults.
//!
//! One YAML file, all of it optional. What differs by process (addresses, files, logging) is a flag and not here.

mod driver;
mod error;
mod file;
mod missing_claim;
mod namespaces;
mod restart;
mod scheduler;
mod tls;
mod validation;
mod workload;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::claims::ClaimLimits;
use crate::duration::GoDuration;
use crate::{companion, engine, schedulers};

pub use error::{Error, Location};
pub use file::ConfigFile;
pub use tls::{Secret, Service, Tls, Webhooks};

use driver::{Driver, Drivers};
use error::Invalid;
use missing_claim::{MissingClaim, Then};
use namespaces::Namespaces;
use validation::Validation;
use workload::CustomWorkloads;

/// The configuration as it is written. `Config::default()` is what an empty file means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    #[serde(deserialize_with = "or_default")]
    mode: Mode,
    #[serde(deserialize_with = "or_default")]
    templates: Templates,
    #[serde(deserialize_with = "or_default")]
    drivers: Drivers,
    #[serde(deserialize_with = "or_default")]
    replaceable_schedulers: ReplaceableSchedulers,
    #[serde(deserialize_with = "or_default")]
    opt_out: OptOut,
    #[serde(deserialize_with = "or_default")]
    custom_workloads: CustomWorkloads,
    #[serde(deserialize_with = "or_default")]
    namespaces: Namespaces,
    #[serde(deserialize_with = "or_default")]
    missing_claim: MissingClaim,
    #[serde(deserialize_with = "or_default")]
    validation: Validation,
    #[serde(deserialize_with = "or_default")]
    tls: Tls,
    #[serde(deserialize_with = "or_default")]
    drain: Drain,
}

/// A key with nothing behind it, as where all that stood there was commented out, is as good as no key.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Mode {
    #[default]
    Inject,
    Audit,
    Off,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Templates {
    #[default]
    Inject,
    Leave,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct ReplaceableSchedulers(Vec<String>);

impl Default for ReplaceableSchedulers {
    fn default() -> Self {
        Self(vec![engine::DEFAULT_SCHEDULER.to_owned()])
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OptOut {
    #[serde(deserialize_with = "or_default")]
    annotations: Annotations,
    #[serde(deserialize_with = "or_default")]
    owners: Vec<OwnerKind>,
    /// Read by whoever writes the webhook's `namespaceSelector`; the server sees no Namespace.
    namespace_label: Key,
}

impl Default for OptOut {
    fn default() -> Self {
        Self {
            annotations: Annotations::default(),
            owners: Vec::new(),
            namespace_label: Key(engine::DISABLE_ADMISSION_CONTROLLER.to_owned()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Annotations(Vec<Key>);

impl Default for Annotations {
    fn default() -> Self {
        Self(engine::OptOut::default().annotations.iter().map(|key| Key(key.to_string())).collect())
    }
}

/// The key of an annotation or a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Key(String);

impl TryFrom<String> for Key {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(Invalid(format!(
                "`{text}` is no key of an annotation or a label; write one such as example.com/opt-out"
            )));
        }
        Ok(Self(text))
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnerKind {
    #[serde(default)]
    group: String,
    kind: String,
}

/// How the server ends, from the signal on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Drain {
    grace: GoDuration,
    timeout: GoDuration,
}

impl Default for Drain {
    fn default() -> Self {
        // The API server keeps connections to a pod whose endpoint is gone, and proxies need some seconds to hear of it.
        Self { grace: GoDuration(Duration::from_secs(15)), timeout: GoDuration(Duration::from_secs(30)) }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, is no YAML, has an unknown key, or a value that makes no sense; with the place.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a text; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, file: &str) -> Result<Self, Error> {
        // An empty file, or one of comments alone, is null to YAML.
        let config: Option<Self> = serde_saphyr::from_str(text).map_err(|error| Error::found(&error, file))?;
        config.unwrap_or_default().check(file)
    }

    /// What no part of the configuration can see for itself.
    fn check(self, file: &str) -> Result<Self, Error> {
        let replaceable = |driver: &&Driver| self.replaceable_schedulers.0.contains(&driver.scheduler.name);
        if let Some(Driver { name, scheduler, .. }) = self.drivers.iter().find(replaceable) {
            let scheduler = &scheduler.name;
            let message = format!(
                "`{scheduler}` is the scheduler of driver `{name}` and also in replaceableSchedulers: take it out there, or each driver would undo the other"
            );
            return Err(Error::contradiction(file, message));
        }
        let Drain { grace, timeout } = self.drain;
        if timeout.0 < grace.0 {
            let message =
                format!("drain.timeout ({timeout}) is shorter than drain.grace ({grace}), which is a part of it");
            return Err(Error::contradiction(file, message));
        }
        Ok(self)
    }

    /// The configuration as a file that means the same.
    ///
    /// # Errors
    /// None that is known of: every value of a configuration can be written.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::SerializeError> {
        serde_saphyr::to_string(self)
    }

    /// The rules of the engine.
    pub fn policy(&self) -> engine::Policy {
        engine::Policy {
            mode: match self.mode {
                Mode::Inject => engine::Mode::Inject,
                Mode::Audit => engine::Mode::Audit,
                Mode::Off => engine::Mode::Off,
            },
            templates: match self.templates {
                Templates::Inject => engine::Templates::Inject,
                Templates::Leave => engine::Templates::Leave,
            },
            drivers: engine::Drivers::new(self.drivers.iter().map(Driver::to_engine).collect()),
            replaceable: engine::ReplaceableSchedulers::new(self.replaceable_schedulers.0.clone()),
            opt_out: engine::OptOut {
                annotations: self.opt_out.annotations.0.iter().map(|key| key.0.as_str().into()).collect(),
                owners: self.opt_out.owners.iter().cloned().map(OwnerKind::into_engine).collect(),
                namespace_label: self.opt_out.namespace_label.0.as_str().into(),
            },
            workloads: self.custom_workloads.to_engine(),
            missing_claim: match self.missing_claim.then {
                Then::Skip => engine::MissingClaim::Skip,
                Then::Inject => engine::MissingClaim::Inject,
            },
        }
    }

    /// How the companion validates.
    pub fn validation(&self) -> companion::Validation {
        self.validation.to_companion()
    }

    /// How much is done about claims that are not there.
    pub fn claim_limits(&self) -> ClaimLimits {
        self.missing_claim.limits()
    }

    /// The drivers' schedulers of which it can be told whether they are there.
    pub fn schedulers(&self) -> impl Iterator<Item = schedulers::Scheduler> {
        self.drivers.iter().filter_map(Driver::to_presence)
    }

    /// The namespaces whose claims are watched; empty means all.
    pub fn namespaces(&self) -> &[String] {
        self.namespaces.names()
    }

    /// What is served over TLS, and who is told to trust it.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// How long requests are still answered after the signal to end.
    pub fn drain_grace(&self) -> Duration {
        self.drain.grace.0
    }

    /// How long after the signal the process ends at the latest.
    pub fn drain_timeout(&self) -> Duration {
        self.drain.timeout.0
    }
}

impl OwnerKind {
    fn into_engine(self) -> engine::OwnerKind {
        engine::OwnerKind { group: self.group, kind: self.kind }
    }
}

impl FromStr for Config {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text, "the configuration")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Config::parse(text, "config.yaml").unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_the_default_and_the_default_is_the_engines() {
        for text in [
            "",
            "\n",
            "# nothing\n",
            "---\n# nothing\n",
            "{}",
            "mode:\ndrivers: null\noptOut:\n  # annotations: []\nmissingClaim: ~\n",
        ] {
            assert_eq!(Config::parse(text, "config.yaml").unwrap(), Config::default(), "{text:?}");
        }
        assert_eq!(Config::default().policy(), engine::Policy::default());
    }

    #[test]
    fn the_printed_configuration_means_the_same() {
        let text = "mode: audit\ntemplates: leave\ndrivers:\n- {name: portworx}\n- {name: linstor, provisioners: [linstor.csi.linbit.com], scheduler: linstor-scheduler}\ncustomWorkloads:\n- {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template}\nmissingClaim: {wait: 1m30s, then: inject}\noptOut: {owners: [{group: apps, kind: ReplicaSet}]}\n";
        for config in [Config::default(), Config::parse(text, "config.yaml").unwrap()] {
            let printed = config.to_yaml().unwrap();
            assert_eq!(Config::parse(&printed, "printed").unwrap(), config, "{printed}");
        }
    }

    #[test]
    fn the_limits_on_missing_claims_are_defaults_and_what_is_written() {
        let limits = |text: &str| text.parse::<Config>().unwrap().claim_limits();
        let default =
            ClaimLimits { wait: Duration::from_secs(2), max_waiters: 64, max_waiters_per_namespace: 16, max_gets: 64 };
        assert_eq!(limits(""), default);
        assert_eq!(limits("missingClaim: {maxWaiters:, maxGets: 1}"), ClaimLimits { max_gets: 1, ..default });
        let lowered = ClaimLimits { max_waiters: 8, max_waiters_per_namespace: 8, ..default };
        assert_eq!(limits("missingClaim: {maxWaiters: 8}"), lowered);
        let never = ClaimLimits { max_waiters: 0, max_waiters_per_namespace: 0, ..default };
        assert_eq!(limits("missingClaim: {maxWaiters: 0}"), never);
        let printed = "missingClaim: {maxWaiters: 0}".parse::<Config>().unwrap().to_yaml().unwrap();
        assert_eq!(limits(&printed), never);
    }

    #[test]
    fn namespaces_are_all_where_none_is_named() {
        assert!(Config::default().namespaces().is_empty());
        let config: Config = "namespaces: [team-a, 7]".parse().unwrap();
        assert_eq!(config.namespaces(), ["team-a", "7"]);
    }

    #[test]
    fn a_driver_that_is_only_named_takes_the_built_in_values() {
        let config: Config = "drivers: [{name: portworx}]".parse().unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_scheduler_is_a_name_or_a_mapping_and_printed_as_short_as_it_can_be() {
        for short in ["stork", "{}", "{name: stork}", "{whenAbsent: inject, staleAfter: 180s}", "{lease: }"] {
            let config: Config = format!("drivers: [{{name: portworx, scheduler: {short}}}]").parse().unwrap();
            assert_eq!(config, Config::default(), "{short}");
        }
        assert!(Config::default().to_yaml().unwrap().contains("scheduler: stork\n"));
        let lease = "lease: {namespace: storage, name: linstor}";
        let text = format!(
            "drivers: [{{name: linstor, provisioners: [x], scheduler: {{name: linstor-scheduler, {lease}, whenStale: skip}}}}]"
        );
        let config: Config = text.parse().unwrap();
        let printed = config.to_yaml().unwrap();
        for line in ["name: linstor-scheduler", "whenAbsent: inject", "whenStale: skip", "staleAfter: 3m"] {
            assert!(printed.contains(line), "{line}\n{printed}");
        }
        assert_eq!(Config::parse(&printed, "printed").unwrap(), config);
        let expected = engine::Driver {
            name: "linstor".into(),
            provisioners: vec!["x".into()],
            scheduler: "linstor-scheduler".into(),
            when_absent: engine::Away::Inject,
            when_stale: engine::Away::Skip,
        };
        assert_eq!(config.policy().drivers, engine::Drivers::new(vec![expected]));
    }

    #[test]
    fn a_scheduler_is_watched_where_its_lease_is_named_or_known() {
        let leases = |text: &str| {
            let config: Config = text.parse().unwrap();
            let lease = |lease: schedulers::LeaseRef| (lease.namespace.unwrap_or_default(), lease.name);
            let schedulers = config.schedulers().map(|scheduler| {
                let leases: Vec<_> = scheduler.leases.into_iter().map(lease).collect();
                (scheduler.driver.to_string(), scheduler.name.to_string(), leases, scheduler.stale_after)
            });
            schedulers.collect::<Vec<_>>()
        };
        let three_minutes = Duration::from_mins(3);
        let own = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        let stork = ["portworx", "kube-system", ""].map(|namespace| own(namespace, "stork-scheduler")).to_vec();
        let portworx = |leases| ("portworx".to_owned(), "stork".to_owned(), leases, three_minutes);
        assert_eq!(leases(""), [portworx(stork)]);
        assert_eq!(
            leases("drivers: [{name: portworx, scheduler: {lease: {namespace: a, name: b}}}]"),
            [portworx(vec![own("a", "b")])]
        );
        for text in [
            "drivers: [{name: portworx, scheduler: another}]",
            "drivers: [{name: other, provisioners: [x], scheduler: stork}]",
        ] {
            assert_eq!(leases(text), [], "{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_key() {
        assert_eq!(
            error("mode: inject\ntemplate: leave\n"),
            "config.yaml:2:1: unknown key `template`; did you mean `templates`?"
        );
        assert_eq!(
            error("missingClaim:\n  timeout: 2s\n"),
            "config.yaml:2:3: unknown key `timeout`; the nearest key here is `then`, of wait, then, maxWaiters, maxWaitersPerNamespace, maxGets"
        );
        assert!(error("drivers:\n- name: portworx\n  schedular: x\n").contains("did you mean `scheduler`?"));
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_with_what_to_write() {
        for (text, part) in [
            ("mode: enforce\n", "config.yaml:1:7: `enforce` is not one of inject, audit, off"),
            (
                "missingClaim: {wait: 2}\n",
                "config.yaml:1:22: invalid duration `2`: use Go syntax, for example `2s` or `1m30s`",
            ),
            ("missingClaim: {wait: -2s}\n", "invalid duration `-2s`"),
            ("missingClaim: {maxGets: 0}\n", "maxGets is 0: no claim could be asked for; write at least 1"),
            ("missingClaim: {maxWaitersPerNamespace: 0}\n", "or maxWaiters: 0 where no pod should wait"),
            (
                "missingClaim: {maxWaiters: 8, maxWaitersPerNamespace: 9}\n",
                "config.yaml:1:15: maxWaitersPerNamespace (9) is larger than maxWaiters (8)",
            ),
            ("missingClaim: {maxWaiters: -1}\n", "config.yaml:1:28: a whole number is expected here"),
            ("namespaces: [Team A]\n", "`Team A` is not the name of a namespace: write one such as team-a"),
            ("namespaces: ['']\n", "is not the name of a namespace"),
            ("namespaces: [-a]\n", "`-a` is not the name of a namespace"),
            ("namespaces: [a, b, a]\n", "config.yaml:1:13: namespace `a` stands here twice"),
            ("drivers: [{name: linstor}]\n", "driver `linstor` has no `provisioners`"),
            ("drivers: [{name: portworx}, {name: portworx}]\n", "two drivers are called `portworx`"),
            (
                "drivers: [{name: a, provisioners: [x], scheduler: a}, {name: b, provisioners: [x], scheduler: b}]\n",
                "provisioner `x` stands in two places",
            ),
            ("drivers: [{name: portworx, scheduler: default-scheduler}]\n", "name the driver's own scheduler"),
            ("drivers: [{name: portworx, scheduler: ''}]\n", "empty scheduler"),
            ("drivers: [{name: portworx, scheduler: {name: ''}}]\n", "empty scheduler"),
            ("drivers: [{name: portworx, scheduler: [stork]}]\n", "the name of a scheduler, or a mapping"),
            ("drivers: [{name: linstor, provisioners: [x], scheduler: {}}]\n", "driver `linstor` has no `scheduler`"),
            (
                "drivers: [{name: portworx, scheduler: {whenStale: skip}}]\n",
                "has `whenStale: skip` and no `lease`, by which it would be seen; write the Lease of the scheduler's leader election, such as lease: {namespace: kube-system, name: stork}",
            ),
            (
                "drivers: [{name: portworx, scheduler: {staleAfter: 999ms}}]\n",
                "has `staleAfter: 999ms`; write at least 1s",
            ),
            ("drivers: [{name: portworx, scheduler: {whenGone: skip}}]\n", "did you mean"),
            ("drivers: [{name: portworx, scheduler: {whenStale: wait}}]\n", "`wait` is not one of inject, skip"),
            (
                "drivers: [{name: portworx, scheduler: {lease: {namespace: a, name: ../pods}}}]\n",
                "which cannot be; write one such as {namespace: kube-system, name: stork-scheduler}",
            ),
            ("drivers: [{name: portworx, scheduler: {lease: {name: stork}}}]\n", "missing field `namespace`"),
            ("replaceableSchedulers: [stork]\n", "take it out there"),
            (
                "customWorkloads: [{group: g, version: v1, resource: rs, kind: R, path: spec.template}]\n",
                "write a JSON pointer such as /spec/template",
            ),
            (
                "customWorkloads: [{group: apps, version: v1, resource: deployments, kind: Deployment, path: /spec/template}]\n",
                "Deployment of apps/v1 is built in",
            ),
            (
                "customWorkloads: [{group: g/v1, version: v1, resource: rs, kind: R, path: /spec}]\n",
                "`g/v1` is no API group",
            ),
            ("customWorkloads: [{group: g, version: v1, resource: rs, kind: R, path: /}]\n", "has an empty step"),
            ("drivers: [{name: portworx, provisioners: []}]\n", "an empty list of provisioners"),
            ("optOut: {annotations: ['']}\n", "is no key of an annotation"),
            ("drain: {grace: 5s, timeout: 1s}\n", "drain.timeout (1s) is shorter than drain.grace (5s)"),
            ("drivers: portworx\n", "config.yaml:1:10: a list is expected here"),
            ("optOut: true\n", "config.yaml:1:9: a mapping of keys and values is expected here"),
            ("mode: inject\nmode: audit\n", "each key stands once"),
            ("mode: inject\n---\nmode: audit\n", "the file holds one"),
            ("mode: [\n", "config.yaml:"),
        ] {
            let error = error(text);
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
