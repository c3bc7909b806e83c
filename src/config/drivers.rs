//! `drivers`: the storage drivers. colocate sets a driver's scheduler on its pods. Pods of a driver without a scheduler are only counted.

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
use crate::locality::{self, Adapter, StorageDriver};
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
    /// `None` for a driver whose pods are only counted.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "short_if_possible")]
    scheduler: Option<SchedulerSection>,
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
        if name.is_empty() {
            return Err("a driver has an empty name: set `name`".to_owned());
        }
        let provisioners = provisioners.or_else(|| Some(built_in.as_ref()?.provisioners.clone()));
        let provisioners = provisioners.ok_or_else(|| {
            format!("driver `{name}` has no `provisioners`: only the built-in driver `portworx` can omit it")
        })?;
        if provisioners.is_empty() {
            return Err(format!(
                "driver `{name}` has an empty list of provisioners, so it would own no volume: list at least one"
            ));
        }
        if provisioners.iter().any(String::is_empty) {
            return Err(format!("driver `{name}` has an empty name for a provisioner: fill it in"));
        }
        let scheduler = match scheduler {
            Some(scheduler) => Some(scheduler.checked(&name, built_in.as_ref())?),
            None => built_in.and_then(|driver| driver.scheduler),
        };
        if scheduler.is_none() {
            check_counted(&name, locality.as_deref(), recognises.is_some())?;
        }
        check_no_provisioner(&name, &provisioners, scheduler.is_some(), locality.as_deref())?;
        let recognises = recognised(&name, recognises)?;
        Ok(Self { name, provisioners, recognises, scheduler, locality })
    }
}

/// Checks a driver without a scheduler, whose pods are only counted.
fn check_counted(name: &str, locality: Option<&[AdapterEntry]>, states_recognition: bool) -> Result<(), String> {
    let Some(adapters) = locality.filter(|adapters| !adapters.is_empty()) else {
        return Err(format!(
            "driver `{name}` has neither `scheduler` nor `locality`, so nothing would use it: set `scheduler` to have colocate set it on pods, or `locality` to count the pods with `colocate locality`"
        ));
    };
    if adapters.iter().any(|entry| matches!(entry.adapter, Adapter::Extender(_))) {
        return Err(format!(
            "driver `{name}` has a `locality` source of kind `extender`, but no `scheduler` that it could extend: set `scheduler`, or remove the source"
        ));
    }
    if states_recognition {
        return Err(format!(
            "driver `{name}` has `recognises`, but no `scheduler` that recognizes claims: set `scheduler`, or remove `recognises`"
        ));
    }
    Ok(())
}

/// Checks that `kubernetes.io/no-provisioner` is only used as the sole provisioner of a driver without a scheduler, with sources of kind
/// `nodeAffinity`.
fn check_no_provisioner(
    name: &str,
    provisioners: &[String],
    has_scheduler: bool,
    locality: Option<&[AdapterEntry]>,
) -> Result<(), String> {
    let is_counted = !has_scheduler
        && provisioners.len() == 1
        && locality.is_some_and(|adapters| adapters.iter().all(|entry| entry.adapter == Adapter::NodeAffinity));
    if is_counted || provisioners.iter().all(|name| *name != engine::NO_PROVISIONER) {
        return Ok(());
    }
    Err(format!(
        "driver `{name}` cannot have the provisioner `{0}`, because a StorageClass of any driver may name it: remove it; colocate finds the driver by the bound volume. To count pods with local volumes, add a separate driver: {{name: local, provisioners: [{0}], locality: [{{kind: nodeAffinity}}]}}",
        engine::NO_PROVISIONER
    ))
}

impl DriverEntry {
    fn portworx() -> Self {
        let engine::Driver { name, provisioners, recognises, scheduler, .. } = engine::Driver::portworx();
        Self {
            name: name.to_string(),
            provisioners: provisioners.iter().map(ToString::to_string).collect(),
            recognises,
            scheduler: Some(SchedulerSection::named(&scheduler)),
            locality: None,
        }
    }

    /// Returns whether the file names its sources of locality.
    pub(super) fn names_adapters(&self) -> bool {
        self.locality.as_ref().is_some_and(|entries| !entries.is_empty())
    }

    /// Returns the driver with its sources of locality.
    pub(super) fn to_locality(&self) -> StorageDriver {
        let adapters = match &self.locality {
            Some(entries) => entries.iter().map(|entry| entry.adapter.clone()).collect(),
            None => locality::built_in(&self.provisioners),
        };
        StorageDriver {
            name: self.name.as_str().into(),
            provisioners: self.provisioners.iter().map(|name| name.as_str().into()).collect(),
            scheduler: self.scheduler().map(Into::into),
            adapters,
        }
    }

    /// Returns the name of its scheduler; `None` if its pods are only counted.
    pub(super) fn scheduler(&self) -> Option<&str> {
        self.scheduler.as_ref()?.name.as_deref()
    }

    /// Returns the driver for the engine; `None` if it has no scheduler, so that its pods are left alone.
    pub(super) fn to_engine(&self) -> Option<engine::Driver> {
        let scheduler = self.scheduler.as_ref()?;
        Some(engine::Driver {
            name: self.name.as_str().into(),
            provisioners: self.provisioners.iter().map(|name| name.as_str().into()).collect(),
            recognises: self.recognises.clone(),
            scheduler: self.scheduler()?.into(),
            when_absent: scheduler.when_absent,
            when_stale: scheduler.when_stale,
        })
    }

    /// Returns its scheduler with the Leases that show whether it is alive; `None` if no Lease is known.
    pub(super) fn to_presence(&self) -> Option<schedulers::Scheduler> {
        let built_in = Self::portworx();
        let is_stork = self.name == built_in.name && self.scheduler() == built_in.scheduler();
        let scheduler = self.scheduler.as_ref()?;
        let leases = match scheduler.leases() {
            Some(leases) => leases.into_iter().map(LeaseEntry::into_ref).collect(),
            None if is_stork => stork_leases(),
            None => Vec::new(),
        };
        if leases.is_empty() {
            return None;
        }
        Some(schedulers::Scheduler {
            driver: self.name.as_str().into(),
            name: self.scheduler()?.into(),
            leases,
            stale_after: scheduler.stale_after.0,
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

    /// Fills in the name of the built-in driver's scheduler, and checks the name.
    fn checked(mut self, driver: &str, built_in: Option<&DriverEntry>) -> Result<Self, String> {
        self.name = self.name.or_else(|| built_in?.scheduler().map(str::to_owned));
        let Some(name) = &self.name else {
            return Err(format!(
                "driver `{driver}` has a `scheduler` without a name: set `name` in it (only the built-in driver `portworx` can omit it)"
            ));
        };
        if name.is_empty() {
            return Err(format!("driver `{driver}` has an empty name for its scheduler: fill it in"));
        }
        if !dns::is_subdomain(name) {
            return Err(format!(
                "driver `{driver}` has the scheduler `{name}`, which is not a DNS subdomain: use the schedulerName of the driver's scheduler, such as stork"
            ));
        }
        if name == engine::DEFAULT_SCHEDULER {
            return Err(format!(
                "driver `{driver}` has the scheduler `{name}`, which every pod gets by default: name the driver's own scheduler"
            ));
        }
        Ok(self)
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
///
/// `None` is left out by `skip_serializing_if`.
#[expect(clippy::ref_option, reason = "`serialize_with` passes a reference to the field")]
fn short_if_possible<S: Serializer>(scheduler: &Option<SchedulerSection>, serializer: S) -> Result<S::Ok, S::Error> {
    match scheduler.as_ref().and_then(|scheduler| scheduler.name.as_deref()) {
        Some(name) if *scheduler == Some(SchedulerSection::named(name)) => name.serialize(serializer),
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
mod tests;
