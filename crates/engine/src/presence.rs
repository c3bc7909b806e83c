//! The presence of a driver's scheduler, and the policy while it is not running.

use serde::{Deserialize, Serialize};

/// The state of a driver's scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Not known: Leases are not read, or access to them is denied.
    #[default]
    Unknown,
    /// It renews its Lease.
    Alive,
    /// It has a Lease, and has not renewed it for too long.
    Stale,
    /// It has no Lease.
    Absent,
}

/// The policy for a pod whose driver's scheduler is not running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Away {
    /// The pod gets the driver's scheduler anyway, and stays Pending until that scheduler is back.
    #[default]
    Inject,
    /// The pod keeps its current scheduler, and may run on a node without its data.
    Skip,
}
