//! How long, how often and how many at once.

use std::time::Duration;

/// Limits on asking and waiting for claims that do not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimLimits {
    /// How long a pod may be made to wait for a claim that does not exist yet.
    pub wait: Duration,
    /// How many pods may wait at once; 0 means that none ever waits.
    pub max_waiters: usize,
    /// How many pods of one namespace may wait at once; at most `max_waiters`.
    pub max_waiters_per_namespace: usize,
    /// How many GETs may be in flight at once; at least 1.
    pub max_gets: usize,
}
