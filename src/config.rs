//! The configuration file, and the only home of defaults.
//!
//! One YAML file, all of it optional. What differs by process (addresses, files, logging) is a flag and not here.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;
use crate::engine;

/// The configuration as it is written. `Config::default()` is what an empty file means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    mode: Mode,
    templates: Templates,
    drivers: Drivers,
    replaceable_schedulers: Vec<String>,
    opt_out: OptOut,
    custom_workloads: Vec<CustomWorkload>,
    missing_claim: MissingClaim,
    drain: Drain,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Inject,
            templates: Templates::Inject,
            drivers: Drivers::default(),
            replaceable_schedulers: vec![engine::DEFAULT_SCHEDULER.to_owned()],
            opt_out: OptOut::default(),
            custom_workloads: Vec::new(),
            missing_claim: MissingClaim::default(),
            drain: Drain::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Mode {
    Inject,
    Audit,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Templates {
    Inject,
    Leave,
}

/// The drivers by rank, with no name and no provisioner twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Driver>")]
struct Drivers(Vec<Driver>);

impl Default for Drivers {
    fn default() -> Self {
        Self(vec![Driver::from(engine::Driver::portworx())])
    }
}

impl TryFrom<Vec<Driver>> for Drivers {
    type Error = Invalid;

    fn try_from(drivers: Vec<Driver>) -> Result<Self, Invalid> {
        let (mut names, mut provisioners) = (HashSet::new(), HashSet::new());
        for driver in &drivers {
            if !names.insert(&driver.name) {
                return Err(Invalid(format!("two drivers are called `{}`: give each its own name", driver.name)));
            }
            if let Some(twice) = driver.provisioners.iter().find(|name| !provisioners.insert(*name)) {
                let text = format!("provisioner `{twice}` stands in two places: a volume belongs to one driver");
                return Err(Invalid(text));
            }
        }
        Ok(Self(drivers))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DriverFields")]
struct Driver {
    name: String,
    provisioners: Vec<String>,
    scheduler: String,
}

/// A driver as it is written; only a built-in one may leave fields out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DriverFields {
    name: String,
    provisioners: Option<Vec<String>>,
    scheduler: Option<String>,
}

impl TryFrom<DriverFields> for Driver {
    type Error = Invalid;

    fn try_from(fields: DriverFields) -> Result<Self, Invalid> {
        let DriverFields { name, provisioners, scheduler } = fields;
        let built_in = (name == "portworx").then(|| Self::from(engine::Driver::portworx()));
        let missing = |field: &str| {
            Invalid(format!("driver `{name}` has no `{field}`; only the built-in driver `portworx` may leave it out"))
        };
        let provisioners = provisioners
            .or_else(|| built_in.as_ref().map(|driver| driver.provisioners.clone()))
            .filter(|p| !p.is_empty());
        let driver = Self {
            provisioners: provisioners.ok_or_else(|| missing("provisioners"))?,
            scheduler: scheduler.or(built_in.map(|driver| driver.scheduler)).ok_or_else(|| missing("scheduler"))?,
            name,
        };
        if driver.scheduler.is_empty() || driver.provisioners.iter().any(String::is_empty) {
            return Err(Invalid(format!("driver `{}` has an empty scheduler or provisioner", driver.name)));
        }
        if driver.scheduler == engine::DEFAULT_SCHEDULER {
            let text = format!(
                "driver `{}` has the scheduler `{}`, which every pod gets anyway; name the driver's own scheduler",
                driver.name, driver.scheduler
            );
            return Err(Invalid(text));
        }
        Ok(driver)
    }
}

impl From<engine::Driver> for Driver {
    fn from(driver: engine::Driver) -> Self {
        Self {
            name: driver.name.to_string(),
            provisioners: driver.provisioners.iter().map(ToString::to_string).collect(),
            scheduler: driver.scheduler.to_string(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OptOut {
    annotations: Vec<String>,
    owners: Vec<OwnerKind>,
    /// Read by whoever writes the webhook's `namespaceSelector`; the server sees no Namespace.
    namespace_label: String,
}

impl Default for OptOut {
    fn default() -> Self {
        Self {
            annotations: engine::OptOut::default().annotations.iter().map(ToString::to_string).collect(),
            owners: Vec::new(),
            namespace_label: engine::DISABLE_ADMISSION_CONTROLLER.to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnerKind {
    #[serde(default)]
    group: String,
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomWorkload {
    group: String,
    version: String,
    /// The plural, as in a webhook's rules; the server itself goes by the kind.
    resource: String,
    kind: String,
    path: TemplatePath,
    #[serde(default = "yes")]
    update: bool,
}

fn yes() -> bool {
    true
}

/// Where a pod template stands in an object: a JSON pointer (RFC 6901) of object keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct TemplatePath(Vec<String>);

impl TryFrom<String> for TemplatePath {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let wrong = |what: &str| Invalid(format!("path `{text}` {what}; write a JSON pointer such as /spec/template"));
        let pointer =
            json_patch::jsonptr::Pointer::parse(&text).map_err(|error| wrong(&format!("is wrong: {error}")))?;
        let keys: Vec<_> = pointer.tokens().map(|token| token.decoded().into_owned()).collect();
        if keys.is_empty() {
            return Err(wrong("is the whole object"));
        }
        if keys[0] == "metadata" {
            return Err(wrong("leads into metadata, which holds no pod template"));
        }
        Ok(Self(keys))
    }
}

impl From<TemplatePath> for String {
    fn from(path: TemplatePath) -> Self {
        json_patch::jsonptr::PointerBuf::from_tokens(path.0).to_string()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MissingClaim {
    wait: GoDuration,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Then {
    Skip,
    Inject,
}

impl Default for MissingClaim {
    fn default() -> Self {
        Self { wait: GoDuration(Duration::from_secs(2)), then: Then::Skip }
    }
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

/// A value that has the right type and makes no sense.
#[derive(Debug)]
struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key that does not exist.
    #[error("{location}: unknown key `{key}`{}", nearest(.key, .known))]
    UnknownKey {
        /// Where.
        location: Location,
        /// The key.
        key: String,
        /// The keys that exist there.
        known: Vec<&'static str>,
    },
    /// Text that is no configuration.
    #[error("{location}: {message}")]
    Invalid {
        /// Where.
        location: Location,
        /// What is wrong.
        message: String,
    },
}

/// A place in a file.
#[derive(Debug)]
pub struct Location {
    file: String,
    line_and_column: Option<(u64, u64)>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_and_column {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

fn nearest(key: &str, known: &[&str]) -> String {
    let distance = |name: &&&str| strsim::damerau_levenshtein(&key.to_lowercase(), &name.to_lowercase());
    match known.iter().min_by_key(distance).filter(|name| distance(name) * 2 <= name.len()) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; the keys here are {}", known.join(", ")),
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
        // serde-saphyr reads an empty document as null, which is no mapping.
        let empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        let config = if empty {
            Self::default()
        } else {
            serde_saphyr::from_str(text).map_err(|error| located(&error, file))?
        };
        config.check(file)
    }

    fn check(self, file: &str) -> Result<Self, Error> {
        let replaceable = |driver: &&Driver| self.replaceable_schedulers.contains(&driver.scheduler);
        if let Some(driver) = self.drivers.0.iter().find(replaceable) {
            return Err(Error::Invalid {
                location: Location { file: file.to_owned(), line_and_column: None },
                message: format!(
                    "`{}` is the scheduler of driver `{}` and also in replaceableSchedulers: take it out there, or each driver would undo the other",
                    driver.scheduler, driver.name
                ),
            });
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
        let custom = self.custom_workloads.iter().cloned().map(|custom| {
            let update = if custom.update { engine::Update::Allowed } else { engine::Update::Refused };
            engine::Workload::custom(custom.group, custom.version, custom.kind, custom.path.0, update)
        });
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
            drivers: engine::Drivers::new(self.drivers.0.iter().map(Driver::to_engine).collect()),
            replaceable: engine::ReplaceableSchedulers::new(self.replaceable_schedulers.clone()),
            opt_out: engine::OptOut {
                annotations: self.opt_out.annotations.iter().map(|key| key.as_str().into()).collect(),
                owners: self.opt_out.owners.iter().cloned().map(OwnerKind::into_engine).collect(),
            },
            workloads: engine::Workloads::new(custom),
            missing_claim: match self.missing_claim.then {
                Then::Skip => engine::MissingClaim::Skip,
                Then::Inject => engine::MissingClaim::Inject,
            },
        }
    }

    /// How long a pod may be made to wait for a claim that does not exist yet.
    pub fn missing_claim_wait(&self) -> Duration {
        self.missing_claim.wait.0
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

impl Driver {
    fn to_engine(&self) -> engine::Driver {
        engine::Driver {
            name: self.name.as_str().into(),
            provisioners: self.provisioners.iter().map(|name| name.as_str().into()).collect(),
            scheduler: self.scheduler.as_str().into(),
        }
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

fn located(error: &serde_saphyr::Error, file: &str) -> Error {
    let error = error.without_snippet();
    let location = Location {
        file: file.to_owned(),
        line_and_column: error.location().map(|location| (location.line(), location.column())),
    };
    match error {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
            Error::UnknownKey { location, key: field.clone(), known: expected.clone() }
        }
        serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
            Error::Invalid { location, message: format!("`{variant}` is not one of {}", expected.join(", ")) }
        }
        error => Error::Invalid { location, message: message(error) },
    }
}

/// The text of an error without the place, which stands before it already.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(place) => text[..place].to_owned(),
        None => text,
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
        for text in ["", "\n", "# nothing\n", "{}"] {
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
    fn a_driver_that_is_only_named_takes_the_built_in_values() {
        let config: Config = "drivers: [{name: portworx}]".parse().unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_key() {
        assert_eq!(
            error("mode: inject\ntemplate: leave\n"),
            "config.yaml:2:1: unknown key `template`; did you mean `templates`?"
        );
        assert_eq!(
            error("missingClaim:\n  timeout: 2s\n"),
            "config.yaml:2:3: unknown key `timeout`; the keys here are wait, then"
        );
        assert!(error("drivers:\n- name: portworx\n  schedular: x\n").contains("did you mean `scheduler`?"));
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_with_what_to_write() {
        for (text, part) in [
            ("mode: enforce\n", "config.yaml:1:7: `enforce` is not one of inject, audit, off"),
            (
                "missingClaim: {wait: 2}\n",
                "config.yaml:1:22: `2` is no duration; write one as in Go, such as 2s or 500ms",
            ),
            ("missingClaim: {wait: -2s}\n", "`-2s` is no duration"),
            ("drivers: [{name: linstor}]\n", "driver `linstor` has no `provisioners`"),
            ("drivers: [{name: portworx}, {name: portworx}]\n", "two drivers are called `portworx`"),
            (
                "drivers: [{name: a, provisioners: [x], scheduler: a}, {name: b, provisioners: [x], scheduler: b}]\n",
                "provisioner `x` stands in two places",
            ),
            ("drivers: [{name: portworx, scheduler: default-scheduler}]\n", "name the driver's own scheduler"),
            ("drivers: [{name: portworx, scheduler: ''}]\n", "empty scheduler"),
            ("replaceableSchedulers: [stork]\n", "take it out there"),
            (
                "customWorkloads: [{group: g, version: v1, resource: rs, kind: R, path: spec.template}]\n",
                "write a JSON pointer such as /spec/template",
            ),
            ("mode: [\n", "config.yaml:"),
        ] {
            let error = error(text);
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
