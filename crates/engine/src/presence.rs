//! The presence of a driver's scheduler, and what is done while it is away.

use serde::{Deserialize, Serialize};

/// What is known of a driver's scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Nothing: nobody asks, or nobody may.
    #[default]
    Unknown,
    /// It renews its Lease.
    Alive,
    /// It has a Lease, and has not renewed it for too long.
    Stale,
    /// It has no Lease.
    Absent,
}

/// What is done to a pod whose driver's scheduler is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Away {
    /// It gets the scheduler all the same, and stays Pending until that is back.
    #[default]
    Inject,
    /// It keeps its scheduler, and may run away from its data.
    Skip,
}
