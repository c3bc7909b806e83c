//! `missingClaim`: the handling of claims that do not exist, and its limits.

use std::time::Duration;

use super::section::{Check, section};
use crate::claims::ClaimLimits;
use crate::duration::GoDuration;
use crate::engine;

section! {
    /// The section as written in the file.
    pub(super) struct MissingClaimSection {
        /// Clients that create a claim and its pod together do so milliseconds apart. A webhook's timeout is 3 to 5 s.
        wait: GoDuration = GoDuration(Duration::from_secs(2)),
        pub(super) then: engine::MissingClaim,
        /// A pod that waits holds a seat of the API server's priority level: 500 starve it, 100 delay other requests by 0.16 s
        /// (measured).
        max_waiters: u32 = 64,
        /// A quarter of `maxWaiters`: up to four namespaces can use their maximum at once; if more namespaces wait,
        /// each gets a smaller share. A lower `maxWaiters` also lowers it.
        max_waiters_per_namespace: u32 = max_waiters.min(16),
        /// One for each pod that may wait.
        max_gets: u32 = 64,
    }
}

/// The upper bound of `wait`: the longest timeout that Kubernetes accepts for a webhook.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Check for MissingClaimSection {
    fn check(&self) -> Result<(), String> {
        let Self { wait, max_waiters: all, max_waiters_per_namespace: part, max_gets, .. } = *self;
        if wait.0 > LONGEST_WAIT {
            let longest = GoDuration(LONGEST_WAIT);
            return Err(format!("wait ({wait}) is longer than any webhook's timeout: use at most {longest}"));
        }
        if part > all {
            return Err(format!(
                "maxWaitersPerNamespace ({part}) is larger than maxWaiters ({all}), which counts the waiters of all namespaces: use at most {all}"
            ));
        }
        if part == 0 && all > 0 {
            return Err("maxWaitersPerNamespace is 0: use at least 1, or maxWaiters: 0 if no pod should wait".into());
        }
        if max_gets == 0 {
            return Err("maxGets is 0, so no claim could be looked up: use at least 1".into());
        }
        Ok(())
    }
}

impl MissingClaimSection {
    pub(super) fn limits(&self) -> ClaimLimits {
        // `usize` has at least 32 bits on every supported target.
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        ClaimLimits {
            wait: self.wait.0,
            max_waiters: count(self.max_waiters),
            max_waiters_per_namespace: count(self.max_waiters_per_namespace),
            max_gets: count(self.max_gets),
        }
    }
}
