//! The presence of a driver's scheduler, and the policy while it is not running.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The state of a driver's scheduler. A scheduler may be several processes, each with its own Lease, and needs all of
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Not known: Leases are not read, or access to them is denied.
    #[default]
    Unknown,
    /// It renews its Leases.
    Alive,
    /// It has not renewed this Lease for too long.
    Stale(Arc<str>),
    /// It does not have this Lease.
    Absent(Arc<str>),
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
