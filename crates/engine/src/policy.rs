//! The operator's configuration, in the engine's own types.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::driver::{Driver, Drivers};
use super::opt_out::OptOut;
use super::owner::{Owner, Unknown};
use super::workload::Workloads;

/// The scheduler that Kubernetes sets if a pod names none.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The inputs of a decision in addition to the request and the claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The mode of operation.
    pub mode: Mode,
    /// The policy for pod templates.
    pub templates: Templates,
    /// The drivers, in the order of their rank.
    pub drivers: Drivers,
    /// The schedulers that may be replaced.
    pub replaceable: ReplaceableSchedulers,
    /// The objects that are left alone.
    pub opt_out: OptOut,
    /// The kinds of object that decisions apply to.
    pub workloads: Workloads,
    /// The policy for a pod whose claim does not exist.
    pub missing_claim: MissingClaim,
}

impl Policy {
    /// The driver whose scheduler pods with claims of these owners get: the first configured one whose scheduler recognizes
    /// a claim.
    pub fn first_driver<'o>(&self, owners: impl IntoIterator<Item = &'o Owner>) -> Option<&Driver> {
        let drivers = owners.into_iter().filter_map(|owner| self.recognising_driver(owner));
        drivers.min_by_key(|(rank, _)| *rank).map(|(_, driver)| driver)
    }

    /// The driver that Stork belongs to: the configured driver for Portworx volumes, or else the built-in one.
    pub fn portworx(&self) -> Driver {
        let built_in = Driver::portworx();
        let owner = built_in.provisioners.iter().find_map(|provisioner| self.drivers.owning(provisioner));
        owner.map_or(built_in.clone(), |(_, driver)| driver.clone())
    }

    /// Returns the driver that owns a claim, whether or not its scheduler recognizes the claim.
    pub(crate) fn driver_of(&self, owner: &Owner) -> Option<(usize, &Driver)> {
        match owner {
            Owner::Provisioner { provisioner, .. } => self.drivers.owning(provisioner),
            Owner::NoProvisioner | Owner::Missing | Owner::Unknown(_) => None,
        }
    }

    /// Returns the name of the volume that must be read to decide about a claim.
    pub fn volume_to_read<'o>(&self, owner: &'o Owner) -> Option<&'o Arc<str>> {
        match owner {
            Owner::Unknown(Unknown::VolumeMissing { volume, .. }) => Some(volume),
            Owner::Provisioner { unread_volume, .. } => {
                let (_, driver) = self.driver_of(owner)?;
                unread_volume.as_ref().filter(|_| driver.needs_volume(owner))
            }
            Owner::NoProvisioner | Owner::Missing | Owner::Unknown(_) => None,
        }
    }

    /// Returns the driver of a claim that the driver's scheduler recognizes.
    pub(crate) fn recognising_driver(&self, owner: &Owner) -> Option<(usize, &Driver)> {
        self.driver_of(owner).filter(|(_, driver)| driver.recognises_owner(owner))
    }
}

/// The mode of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Changes objects.
    #[default]
    Inject,
    /// Decides, counts and adds audit annotations, but changes nothing and never waits.
    Audit,
    /// Decides nothing.
    Off,
}

/// The policy for pod templates. In either case, pods get their scheduler when they are created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Templates {
    /// Templates name the scheduler too, so that a reader of the workload sees it.
    #[default]
    Inject,
    /// Templates are not changed.
    Leave,
}

/// The policy for a pod whose claim does not exist when the wait for it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingClaim {
    /// The pod keeps its scheduler.
    #[default]
    Skip,
    /// The pod gets the scheduler of the first driver.
    Inject,
}

/// The schedulers that may be replaced. An absent or empty `schedulerName` may always be replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplaceableSchedulers(pub Vec<String>);

impl ReplaceableSchedulers {
    /// Returns true if `scheduler` may be replaced.
    pub fn allow(&self, scheduler: Option<&str>) -> bool {
        scheduler.is_none_or(|scheduler| self.0.iter().any(|name| name == scheduler))
    }
}

/// Schedulers that a platform sets on every pod, by a webhook that API servers call before colocate. They place pods by
/// the utilization of nodes, so they are a default like `default-scheduler`, and not the choice of the pod's author.
///
/// These are GKE's autoscaling profile `optimize-utilization`, and Gardener's profile `bin-packing`.
const PLATFORM_SCHEDULERS: [&str; 2] = ["gke.io/optimize-utilization-scheduler", "bin-packing-scheduler"];

impl Default for ReplaceableSchedulers {
    fn default() -> Self {
        Self([DEFAULT_SCHEDULER].iter().chain(&PLATFORM_SCHEDULERS).map(ToString::to_string).collect())
    }
}
