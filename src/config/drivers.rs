//! `drivers`: the storage drivers that have a scheduler of their own.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::adapters::AdapterEntry;
use super::section::{Check, section};
use crate::duration::GoDuration;
use crate::engine::{self, Away, Evidence, dns};
use crate::locality::{self, Adapter};
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
    /// The evidence by which its scheduler recognizes volumes, in the order of [`Evidence::ALL`].
    #[serde(skip_serializing_if = "is_all")]
    recognises: Vec<Evidence>,
    #[serde(serialize_with = "short_if_possible")]
    scheduler: SchedulerSection,
    /// The sources of the layout of its volumes; `None` for those that are built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    locality: Option<Vec<AdapterEntry>>,
}

section! {
    /// A driver's scheduler, the Leases that show whether it is alive, and the behavior while it is not.
    struct SchedulerSection {
        /// `None` until the built-in driver has filled in its own.
        name: Option<String>,
        /// Short for a single entry of `leases` with one namespace.
        #[serde(skip_serializing_if = "Option::is_none")]
        lease: Option<NamespacedLease>,
        /// The Leases of its processes, which must all be renewed; empty to monitor none.
        #[serde(skip_serializing_if = "Option::is_none")]
        leases: Option<Vec<LeaseEntry>>,
        when_absent: Away,
        when_stale: Away,
        /// A leader renews every 2 s (Kubernetes' default). Three minutes are longer than a slow renewal or the restart
        /// of a node takes.
        stale_after: GoDuration = GoDuration(Duration::from_mins(3)),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamespacedLease {
    namespace: String,
    name: String,
}

/// A Lease in one of several namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseEntry {
    name: String,
    namespaces: Vec<String>,
}

/// A driver as written in the file. Only the built-in one may omit keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDriver {
    name: String,
    provisioners: Option<Vec<String>>,
    recognises: Option<Vec<Evidence>>,
    #[serde(default, deserialize_with = "short_or_long")]
    scheduler: Option<SchedulerSection>,
    locality: Option<Vec<AdapterEntry>>,
}

impl Default for DriversSection {
    fn default() -> Self {
        Self(vec![DriverEntry::portworx()])
    }
}

impl TryFrom<Vec<DriverEntry>> for DriversSection {
    type Error = String;

    fn try_from(drivers: Vec<DriverEntry>) -> Result<Self, String> {
        if drivers.is_empty() {
            return Err(
                "no driver is listed, so nothing could be changed: list at least one, or set `mode: off`".to_owned()
            );
        }
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

    fn try_from(raw: RawDriver) -> Result<Self, String> {
        let RawDriver { name, provisioners, recognises, scheduler, locality } = raw;
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
        if provisioners.iter().any(|name| *name == engine::NO_PROVISIONER) {
            return Err(format!(
                "driver `{name}` has the provisioner `{}`, which classes of every driver may name because it provisions nothing: remove it, and the driver is found by the bound volume",
                engine::NO_PROVISIONER
            ));
        }
        if !dns::is_subdomain(scheduler_name) {
            return Err(format!(
                "driver `{name}` has the scheduler `{scheduler_name}`, which is not a DNS subdomain: use the schedulerName of the driver's scheduler, such as stork"
            ));
        }
        if scheduler_name == engine::DEFAULT_SCHEDULER {
            return Err(format!(
                "driver `{name}` has the scheduler `{scheduler_name}`, which every pod gets by default: name the driver's own scheduler"
            ));
        }
        let recognises = recognised(&name, recognises)?;
        Ok(Self { name, provisioners, recognises, scheduler, locality })
    }
}

impl DriverEntry {
    fn portworx() -> Self {
        let engine::Driver { name, provisioners, recognises, scheduler, .. } = engine::Driver::portworx();
        Self {
            name: name.to_string(),
            provisioners: provisioners.iter().map(ToString::to_string).collect(),
            recognises,
            scheduler: SchedulerSection::named(&scheduler),
            locality: None,
        }
    }

    /// Returns whether the file names the sources of the layout of its volumes.
    pub(super) fn names_adapters(&self) -> bool {
        self.locality.as_ref().is_some_and(|entries| !entries.is_empty())
    }

    /// Returns the sources of the layout of its volumes.
    pub(super) fn adapters(&self) -> Vec<Adapter> {
        match &self.locality {
            Some(entries) => entries.iter().map(|entry| entry.adapter.clone()).collect(),
            None => locality::built_in(&self.provisioners),
        }
    }

    pub(super) fn scheduler(&self) -> &str {
        self.scheduler.name.as_deref().unwrap_or_default()
    }

    pub(super) fn to_engine(&self) -> engine::Driver {
        engine::Driver {
            name: self.name.as_str().into(),
            provisioners: self.provisioners.iter().map(|name| name.as_str().into()).collect(),
            recognises: self.recognises.clone(),
            scheduler: self.scheduler().into(),
            when_absent: self.scheduler.when_absent,
            when_stale: self.scheduler.when_stale,
        }
    }

    /// Returns its scheduler with the Leases that show whether it is alive; `None` if no Lease is known.
    pub(super) fn to_presence(&self) -> Option<schedulers::Scheduler> {
        let built_in = Self::portworx();
        let is_stork = self.name == built_in.name && self.scheduler.name == built_in.scheduler.name;
        let leases = match self.scheduler.leases() {
            Some(leases) => leases.into_iter().map(LeaseEntry::into_ref).collect(),
            None if is_stork => stork_leases(),
            None => Vec::new(),
        };
        if leases.is_empty() {
            return None;
        }
        Some(schedulers::Scheduler {
            driver: self.name.as_str().into(),
            name: self.scheduler().into(),
            leases,
            stale_after: self.scheduler.stale_after.0,
        })
    }
}

/// Returns the evidence that a driver's scheduler recognizes: everything by default.
fn recognised(driver: &str, written: Option<Vec<Evidence>>) -> Result<Vec<Evidence>, String> {
    let Some(written) = written else { return Ok(Evidence::ALL.to_vec()) };
    let recognises: Vec<_> = Evidence::ALL.into_iter().filter(|evidence| written.contains(evidence)).collect();
    if recognises.is_empty() {
        return Err(format!(
            "driver `{driver}` has an empty list `recognises`, so no claim would count: remove the key, or list what its scheduler recognizes"
        ));
    }
    if recognises.len() < written.len() {
        return Err(format!("driver `{driver}` lists the same entry of `recognises` twice: list each once"));
    }
    Ok(recognises)
}

fn is_all(recognises: &[Evidence]) -> bool {
    recognises.len() == Evidence::ALL.len()
}

/// Returns the Leases of Stork's two processes: kube-scheduler with the profile `stork`, and Stork itself, the extender
/// that kube-scheduler calls for each pod. Without the extender, kube-scheduler runs and places no pod.
///
/// Portworx is installed in its own namespace, in `kube-system`, or in one that the administrator chose, where colocate is
/// likely to be installed too.
fn stork_leases() -> Vec<schedulers::LeaseRef> {
    let namespaces = [Some("portworx"), Some("kube-system"), None].map(|namespace| namespace.map(str::to_owned));
    ["stork-scheduler", "stork"]
        .map(|name| schedulers::LeaseRef { name: name.to_owned(), namespaces: namespaces.to_vec() })
        .to_vec()
}

impl LeaseEntry {
    fn into_ref(self) -> schedulers::LeaseRef {
        schedulers::LeaseRef { name: self.name, namespaces: self.namespaces.into_iter().map(Some).collect() }
    }
}

impl SchedulerSection {
    /// Creates a scheduler of this name, with all other keys at their defaults.
    fn named(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    /// Returns the Leases that the file has, in either form.
    fn leases(&self) -> Option<Vec<LeaseEntry>> {
        let short = self
            .lease
            .clone()
            .map(|NamespacedLease { namespace, name }| vec![LeaseEntry { name, namespaces: vec![namespace] }]);
        short.or_else(|| self.leases.clone())
    }
}

impl Check for SchedulerSection {
    fn check(&self) -> Result<(), String> {
        const EXAMPLE: &str = "leases: [{name: stork-scheduler, namespaces: [kube-system]}]";
        if self.lease.is_some() && self.leases.is_some() {
            return Err(format!("`lease` and `leases` exclude each other: use {EXAMPLE}"));
        }
        let leases = self.leases().unwrap_or_default();
        for (index, LeaseEntry { name, namespaces }) in leases.iter().enumerate() {
            if namespaces.is_empty() {
                return Err(format!("Lease `{name}` has no namespace: use {EXAMPLE}"));
            }
            if let Some(namespace) = namespaces.iter().find(|name| !dns::is_label(name)) {
                return Err(format!("invalid namespace `{namespace}` of Lease `{name}`: use {EXAMPLE}"));
            }
            if !dns::is_subdomain(name) {
                return Err(format!("invalid name `{name}` of a Lease: use {EXAMPLE}"));
            }
            if leases[..index].iter().any(|other| other.name == *name) {
                return Err(format!("Lease `{name}` is listed twice: list all of its namespaces in one entry"));
            }
        }
        let policies = [("whenAbsent", self.when_absent), ("whenStale", self.when_stale)];
        if let Some((key, _)) = policies.iter().find(|(_, away)| *away == Away::Skip && leases.is_empty()) {
            return Err(format!(
                "`{key}: skip` needs `leases` that show whether the scheduler is alive: set the Leases of the leader elections of its processes, such as {EXAMPLE}"
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
        for short in ["stork", "{}", "{name: stork}", "{whenAbsent: inject, staleAfter: 180s}", "{lease: , leases: }"] {
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
    fn a_driver_recognises_everything_unless_it_lists_what() {
        let portworx =
            |recognises: &str| format!("drivers: [{{name: portworx{recognises}}}]").parse::<Config>().unwrap();
        let all = "class, betaProvisionerAnnotation, gaProvisionerAnnotation, provisionedBy, staticCsi, inTree, inlineCsi, ephemeral, noProvisioner";
        for recognises in ["", ", recognises: ", &format!(", recognises: [{all}]")] {
            assert_eq!(portworx(recognises), Config::default(), "{recognises}");
        }
        let some = portworx(", recognises: [inTree, class]");
        assert_eq!(some.policy().drivers.0[0].recognises, [Evidence::Class, Evidence::InTree]);
        assert_eq!(Config::parse(&some.to_yaml().unwrap(), "printed").unwrap(), some);
        assert!(some.needs_restart(&Config::default()).is_empty());
    }

    #[test]
    fn a_scheduler_is_watched_if_its_lease_is_known() {
        let leases = |text: &str| {
            let config: Config = text.parse().unwrap();
            let lease = |lease: schedulers::LeaseRef| {
                (lease.name, lease.namespaces.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>())
            };
            let schedulers = config.schedulers().map(|scheduler| {
                let leases: Vec<_> = scheduler.leases.into_iter().map(lease).collect();
                (scheduler.driver.to_string(), scheduler.name.to_string(), leases, scheduler.stale_after)
            });
            schedulers.collect::<Vec<_>>()
        };
        let three_minutes = Duration::from_mins(3);
        let lease = |name: &str, namespaces: &[&str]| {
            (name.to_owned(), namespaces.iter().map(|namespace| (*namespace).to_owned()).collect::<Vec<_>>())
        };
        let portworx = |leases| ("portworx".to_owned(), "stork".to_owned(), leases, three_minutes);
        let default = ["stork-scheduler", "stork"].map(|name| lease(name, &["portworx", "kube-system", ""]));
        assert_eq!(leases("{}"), [portworx(default.to_vec())]);
        for (text, expected) in [
            ("lease: {namespace: a, name: b}", vec![lease("b", &["a"])]),
            ("leases: [{name: b, namespaces: [a]}]", vec![lease("b", &["a"])]),
            (
                "leases: [{name: b, namespaces: [a, c]}, {name: d, namespaces: [a]}]",
                vec![lease("b", &["a", "c"]), lease("d", &["a"])],
            ),
        ] {
            let text = format!("drivers: [{{name: portworx, scheduler: {{{text}}}}}]");
            assert_eq!(leases(&text), [portworx(expected)], "{text}");
        }
        for text in [
            "drivers: [{name: portworx, scheduler: another}]",
            "drivers: [{name: other, provisioners: [x], scheduler: stork}]",
            "drivers: [{name: portworx, scheduler: {leases: []}}]",
        ] {
            assert_eq!(leases(text), [], "{text}");
        }
    }
}
