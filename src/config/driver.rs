//! `drivers`: the storage drivers that have a scheduler of their own.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::error::Invalid;
use super::scheduler::{Scheduler, Written};
use crate::{engine, schedulers};

/// The drivers by rank, with no name and no provisioner twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Driver>")]
pub(super) struct Drivers(Vec<Driver>);

impl Drivers {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Driver> {
        self.0.iter()
    }
}

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
pub(super) struct Driver {
    pub(super) name: String,
    provisioners: Vec<String>,
    pub(super) scheduler: Scheduler,
}

/// A driver as it is written; only a built-in one may leave fields out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DriverFields {
    name: String,
    provisioners: Option<Vec<String>>,
    #[serde(default, deserialize_with = "Written::short_or_long")]
    scheduler: Option<Written>,
}

impl TryFrom<DriverFields> for Driver {
    type Error = Invalid;

    fn try_from(fields: DriverFields) -> Result<Self, Invalid> {
        let DriverFields { name, provisioners, scheduler } = fields;
        let built_in = (name == "portworx").then(|| Self::from(engine::Driver::portworx()));
        let missing = |field: &str| {
            Invalid(format!("driver `{name}` has no `{field}`; only the built-in driver `portworx` may leave it out"))
        };
        if name.is_empty() {
            return Err(Invalid("a driver has an empty name".to_owned()));
        }
        let provisioners = provisioners.or_else(|| built_in.as_ref().map(|driver| driver.provisioners.clone()));
        let scheduler = scheduler.unwrap_or_default().of(&name, built_in.map(|driver| driver.scheduler.name))?;
        let driver = Self {
            provisioners: provisioners.ok_or_else(|| missing("provisioners"))?,
            scheduler: scheduler.ok_or_else(|| missing("scheduler"))?,
            name,
        };
        if driver.provisioners.is_empty() {
            return Err(Invalid(format!(
                "driver `{}` has an empty list of provisioners: it would own nothing",
                driver.name
            )));
        }
        if driver.scheduler.name.is_empty() || driver.provisioners.iter().any(String::is_empty) {
            return Err(Invalid(format!("driver `{}` has an empty scheduler or provisioner", driver.name)));
        }
        if driver.scheduler.name == engine::DEFAULT_SCHEDULER {
            let text = format!(
                "driver `{}` has the scheduler `{}`, which every pod gets anyway; name the driver's own scheduler",
                driver.name, driver.scheduler.name
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
            scheduler: Scheduler::new(&*driver.scheduler),
        }
    }
}

impl Driver {
    pub(super) fn to_engine(&self) -> engine::Driver {
        let (when_absent, when_stale) = self.scheduler.when_away();
        engine::Driver {
            name: self.name.as_str().into(),
            provisioners: self.provisioners.iter().map(|name| name.as_str().into()).collect(),
            scheduler: self.scheduler.name.as_str().into(),
            when_absent,
            when_stale,
        }
    }

    /// How to tell that its scheduler is there; `None` where nothing says how.
    pub(super) fn to_presence(&self) -> Option<schedulers::Scheduler> {
        let built_in = engine::Driver::portworx();
        let is_stork = self.name == *built_in.name && self.scheduler.name == *built_in.scheduler;
        let leases = match self.scheduler.lease() {
            Some(lease) => vec![lease],
            None if is_stork => stork_leases(),
            None => return None,
        };
        Some(schedulers::Scheduler {
            driver: self.name.as_str().into(),
            name: self.scheduler.name.as_str().into(),
            leases,
            stale_after: self.scheduler.stale_after(),
        })
    }
}

/// Where Stork's scheduler may have its Lease: Portworx is installed in a namespace of its own, in `kube-system`, or in one
/// that its administrator chose, to which colocate is likely to go as well.
fn stork_leases() -> Vec<schedulers::LeaseRef> {
    [Some("portworx"), Some("kube-system"), None]
        .map(|namespace| schedulers::LeaseRef {
            namespace: namespace.map(str::to_owned),
            name: "stork-scheduler".to_owned(),
        })
        .to_vec()
}
