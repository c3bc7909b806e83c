//! `drivers`: the storage drivers that have a scheduler of their own.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::section::{Check, section};
use crate::duration::GoDuration;
use crate::engine::{self, Away, dns};
use crate::schedulers;

/// The lower bound of `staleAfter`. The Lease is polled four times per `staleAfter`, and each poll is a request to the
/// API server.
const SHORTEST_STALE_AFTER: Duration = Duration::from_secs(1);

/// The drivers by rank. Names and provisioners are unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<DriverEntry>")]
pub(super) struct DriversSection(pub(super) Vec<DriverEntry>);

/// A driver. The settings of its scheduler are in [`SchedulerSection`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawDriver")]
pub(super) struct DriverEntry {
    pub(super) name: String,
    provisioners: Vec<String>,
    #[serde(serialize_with = "short_if_possible")]
    scheduler: SchedulerSection,
}

section! {
    /// A driver's scheduler, the Lease that shows whether it is alive, and the behavior while it is not.
    struct SchedulerSection {
        /// `None` until the built-in driver has filled in its own.
        name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseEntry>,
        when_absent: Away,
        when_stale: Away,
        /// A leader renews every 2 s (Kubernetes' default). Three minutes are longer than a slow renewal or the restart
        /// of a node takes.
        stale_after: GoDuration = GoDuration(Duration::from_mins(3)),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseEntry {
    namespace: String,
    name: String,
}

/// A driver as written in the file. Only the built-in one may omit keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDriver {
    name: String,
    provisioners: Option<Vec<String>>,
    #[serde(default, deserialize_with = "short_or_long")]
    scheduler: Option<SchedulerSection>,
}

impl Default for DriversSection {
    fn default() -> Self {
        Self(vec![DriverEntry::portworx()])
    }
}

impl TryFrom<Vec<DriverEntry>> for DriversSection {
    type Error = String;

    fn try_from(drivers: Vec<DriverEntry>) -> Result<Self, String> {
        let mut names = HashSet::new();
        let mut provisioners = HashSet::new();
        for driver in &drivers {
            if !names.insert(&driver.name) {
                return Err(format!("two drivers have the name `{}`: give each its own", driver.name));
            }
            if let Some(twice) = driver.provisioners.iter().find(|name| !provisioners.insert(*name)) {
                return Err(format!("provisioner `{twice}` is listed twice: a volume belongs to one driver"));
            }
        }
        Ok(Self(drivers))
    }
}

impl TryFrom<RawDriver> for DriverEntry {
    type Error = String;

    fn try_from(RawDriver { name, provisioners, scheduler }: RawDriver) -> Result<Self, String> {
        let built_in = Some(Self::portworx()).filter(|driver| driver.name == name);
        let missing = |key| format!("driver `{name}` has no `{key}`: only the built-in driver `portworx` can omit it");
        if name.is_empty() {
            return Err("a driver has an empty name: set `name`".to_owned());
        }
        let provisioners = provisioners.or_else(|| Some(built_in.as_ref()?.provisioners.clone()));
        let provisioners = provisioners.ok_or_else(|| missing("provisioners"))?;
        let mut scheduler = scheduler.unwrap_or_default();
        scheduler.name = scheduler.name.or_else(|| built_in?.scheduler.name);
        let Some(scheduler_name) = &scheduler.name else { return Err(missing("scheduler")) };
        if provisioners.is_empty() {
            return Err(format!(
                "driver `{name}` has an empty list of provisioners, so it would own no volume: list at least one"
            ));
        }
        if scheduler_name.is_empty() || provisioners.iter().any(String::is_empty) {
            return Err(format!("driver `{name}` has an empty name for its scheduler or a provisioner: fill it in"));
        }
        if scheduler_name == engine::DEFAULT_SCHEDULER {
            return Err(format!(
                "driver `{name}` has the scheduler `{scheduler_name}`, which every pod gets by default: name the driver's own scheduler"
            ));
        }
        Ok(Self { name, provisioners, scheduler })
    }
}

impl DriverEntry {
    fn portworx() -> Self {
        let engine::Driver { name, provisioners, scheduler, .. } = engine::Driver::portworx();
        Self {
            name: name.to_string(),
            provisioners: provisioners.iter().map(ToString::to_string).collect(),
            scheduler: SchedulerSection::named(&scheduler),
        }
    }

    pub(super) fn scheduler(&self) -> &str {
        self.scheduler.name.as_deref().unwrap_or_default()
    }

    pub(super) fn to_engine(&self) -> engine::Driver {
        engine::Driver {
            name: self.name.as_str().into(),
            provisioners: self.provisioners.iter().map(|name| name.as_str().into()).collect(),
            scheduler: self.scheduler().into(),
            when_absent: self.scheduler.when_absent,
            when_stale: self.scheduler.when_stale,
        }
    }

    /// Returns its scheduler with the Leases that show whether it is alive; `None` if no Lease is known.
    pub(super) fn to_presence(&self) -> Option<schedulers::Scheduler> {
        let built_in = Self::portworx();
        let is_stork = self.name == built_in.name && self.scheduler.name == built_in.scheduler.name;
        let leases = match self.scheduler.lease.clone() {
            Some(LeaseEntry { namespace, name }) => vec![schedulers::LeaseRef { namespace: Some(namespace), name }],
            None if is_stork => stork_leases(),
            None => return None,
        };
        Some(schedulers::Scheduler {
            driver: self.name.as_str().into(),
            name: self.scheduler().into(),
            leases,
            stale_after: self.scheduler.stale_after.0,
        })
    }
}

/// Returns the Leases that Stork's scheduler may have. Portworx is installed in its own namespace, in `kube-system`, or
/// in one that the administrator chose, where colocate is likely to be installed too.
fn stork_leases() -> Vec<schedulers::LeaseRef> {
    [Some("portworx"), Some("kube-system"), None]
        .map(|namespace| schedulers::LeaseRef {
            namespace: namespace.map(str::to_owned),
            name: "stork-scheduler".to_owned(),
        })
        .to_vec()
}

impl SchedulerSection {
    /// Creates a scheduler of this name, with all other keys at their defaults.
    fn named(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }
}

impl Check for SchedulerSection {
    fn check(&self) -> Result<(), String> {
        const EXAMPLE: &str = "{namespace: kube-system, name: stork-scheduler}";
        if let Some(LeaseEntry { namespace, name }) = &self.lease
            && !(dns::is_label(namespace) && dns::is_subdomain(name))
        {
            return Err(format!("invalid Lease `{name}` in namespace `{namespace}`: use one such as {EXAMPLE}"));
        }
        let policies = [("whenAbsent", self.when_absent), ("whenStale", self.when_stale)];
        if let Some((key, _)) = policies.iter().find(|(_, away)| *away == Away::Skip && self.lease.is_none()) {
            return Err(format!(
                "`{key}: skip` needs a `lease` that shows whether the scheduler is alive: set it to the Lease of the scheduler's leader election, such as lease: {EXAMPLE}"
            ));
        }
        if self.stale_after.0 < SHORTEST_STALE_AFTER {
            let shortest = GoDuration(SHORTEST_STALE_AFTER);
            return Err(format!("`staleAfter: {}` is too short: use at least {shortest}", self.stale_after));
        }
        Ok(())
    }
}

/// Serializes only the name if all other keys have their defaults.
fn short_if_possible<S: Serializer>(scheduler: &SchedulerSection, serializer: S) -> Result<S::Ok, S::Error> {
    match &scheduler.name {
        Some(name) if *scheduler == SchedulerSection::named(name) => name.serialize(serializer),
        _ => scheduler.serialize(serializer),
    }
}

/// Deserializes a name, a mapping, or a key without a value.
fn short_or_long<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SchedulerSection>, D::Error> {
    struct ShortOrLong;

    impl<'de> Visitor<'de> for ShortOrLong {
        type Value = Option<SchedulerSection>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a scheduler, or a mapping such as {name: stork, staleAfter: 3m}")
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
            Ok(Some(SchedulerSection::named(name)))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
            SchedulerSection::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(ShortOrLong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_driver_with_only_its_name_has_the_built_in_values() {
        let config: Config = "drivers: [{name: portworx}]".parse().unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_scheduler_is_a_name_or_mapping_and_prints_in_short_form() {
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
            when_stale: Away::Skip,
            ..engine::Driver::portworx()
        };
        assert_eq!(config.policy().drivers, engine::Drivers(vec![expected]));
    }

    #[test]
    fn a_scheduler_is_watched_if_its_lease_is_known() {
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
}
