//! The limits on waiting for claims and fetching them.

use std::time::Duration;

/// Limits on waiting for and fetching claims that do not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimLimits {
    /// The longest time that a pod may be made to wait for a claim that does not exist yet.
    pub wait: Duration,
    /// The number of pods that may wait at once; 0 means that no pod waits.
    pub max_waiters: usize,
    /// The number of pods of one namespace that may wait at once; at most `max_waiters`.
    pub max_waiters_per_namespace: usize,
    /// The number of GETs that may be in flight at once; at least 1.
    pub max_gets: usize,
}
