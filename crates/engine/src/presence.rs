//! The presence of a driver's scheduler, and the policy while it is not running.

use std::fmt;
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
    /// It is not running: these Leases, at least one, are not renewed.
    Away(Arc<[LostLease]>),
}

/// A Lease that a process of a scheduler should renew, and does not. Its text is a clause of a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostLease {
    /// No Lease of this name exists.
    Absent(Arc<str>),
    /// The Lease with this namespace and name was not renewed for too long.
    Stale(Arc<str>),
}

impl fmt::Display for LostLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(name) => write!(f, "there is no Lease {name}"),
            Self::Stale(lease) => write!(f, "Lease {lease} is not renewed"),
        }
    }
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
