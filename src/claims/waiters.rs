//! All state of waiting: which pods may wait, which controllers' pods no longer wait, and which claims were logged.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::Duration;

use super::limits::ClaimLimits;
use super::ttl_counter::{Start, TtlCounter};
use super::wait_slots::{WaitSlot, WaitSlots};

/// The number of timed-out waits after which the pods of a controller do not wait. Spark creates the claim of an executor
/// after the response to its pod: ten executors, one after another, took 20 s. The first repeat of a wait, for the same claims
/// and a pod of the same name, is not counted: an API server may call colocate twice for a pod (`reinvocationPolicy`).
const MAX_TIMEOUTS: u32 = 2;

/// The time for which the pods of such a controller do not wait. It starts again whenever colocate decides about one of
/// these pods without its claim.
const TIMEOUTS_TTL: Duration = Duration::from_secs(30);

/// The maximum number of controllers with timed-out waits. With 64 pods waiting at once for 2 s each, about 1,000 waits
/// time out within [`TIMEOUTS_TTL`]. An evicted controller waits again.
const MAX_CONTROLLERS: usize = 4096;

/// The time for which a missing claim is not logged again.
const LOG_TTL: Duration = Duration::from_secs(30);

/// The maximum number of claims that are known to be logged. An evicted claim is logged again.
const MAX_LOGGED: usize = 4096;

/// The maximum number of missing claims of one namespace that are logged per [`LOG_TTL`], before a line says that no
/// more are logged.
const MAX_LINES: u32 = 64;

/// The namespace and name of a pod, and the UID of its controller.
#[derive(Clone, Copy, Debug)]
pub(super) struct PodOrigin<'r> {
    pub(super) namespace: &'r str,
    /// Its name, or what its name is generated from; empty for a review that does not wait.
    pub(super) name: &'r str,
    /// `None` for a pod without a controller, and for a review that does not wait.
    pub(super) controller: Option<&'r str>,
}

/// The pods that wait or have waited.
///
/// Nothing here is keyed by a claim that a request names, except the log. So a request cannot shorten the wait of a pod of
/// another namespace, or of another controller.
#[derive(Debug)]
pub(super) struct Waiters {
    slots: WaitSlots,
    /// Timed-out waits, by namespace and controller.
    timeouts: TtlCounter,
    /// Missing claims that were logged, by namespace and name.
    logged: TtlCounter,
    /// Log lines, by namespace.
    lines: TtlCounter,
}

/// The wait of one pod.
#[derive(Debug)]
pub(super) struct Wait<'w> {
    waiters: &'w Waiters,
    pod: PodOrigin<'w>,
    slot: Result<WaitSlot<'w>, NoSlot>,
}

/// The reason why a pod has no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoSlot {
    Unavailable,
    Evicted,
    ControllerTimedOut,
}

impl Waiters {
    pub(super) fn new(limits: ClaimLimits) -> Self {
        Self {
            slots: WaitSlots::new(limits.max_waiters, limits.max_waiters_per_namespace),
            timeouts: TtlCounter::new(TIMEOUTS_TTL, Start::Last, MAX_CONTROLLERS),
            logged: TtlCounter::new(LOG_TTL, Start::First, MAX_LOGGED),
            lines: TtlCounter::new(LOG_TTL, Start::First, MAX_LOGGED),
        }
    }

    /// Starts the wait of a pod, with a slot if it may have one.
    pub(super) fn start<'w>(&'w self, pod: PodOrigin<'w>) -> Wait<'w> {
        let timeouts = pod.key().map_or(0, |key| self.timeouts.count(&key));
        let slot = if timeouts >= MAX_TIMEOUTS {
            Err(NoSlot::ControllerTimedOut)
        } else {
            self.slots.take(pod.namespace).ok_or(NoSlot::Unavailable)
        };
        Wait { waiters: self, pod, slot }
    }

    /// Counts a missing claim, and returns the line to log.
    fn log_line(&self, namespace: &str, claim: &str) -> LogLine {
        if self.logged.increment(&(namespace, claim), 1).is_none() {
            return LogLine::None;
        }
        match self.lines.increment(&namespace, MAX_LINES + 1) {
            Some(..=MAX_LINES) => LogLine::Claim,
            Some(_) => LogLine::Omission,
            None => LogLine::None,
        }
    }
}

impl<'r> PodOrigin<'r> {
    fn key(self) -> Option<(&'r str, &'r str)> {
        self.controller.map(|controller| (self.namespace, controller))
    }
}

impl Wait<'_> {
    /// Returns true while the pod has a slot.
    pub(super) fn has_slot(&self) -> bool {
        self.slot.is_ok()
    }

    /// Waits until the pod loses its slot to another namespace. Without a slot, waits forever.
    pub(super) async fn evicted(&mut self) {
        match &mut self.slot {
            Ok(slot) => slot.evicted().await,
            Err(_) => pending().await,
        }
        self.slot = Err(NoSlot::Evicted);
    }

    /// Records that all claims were found that the decision about the pod depends on.
    pub(super) fn found(&self) {
        if let Some(key) = self.pod.key() {
            self.waiters.timeouts.reset(&key);
        }
    }

    /// Records that colocate decides about the pod without these claims, which are missing or do not lead to a driver. A pod
    /// that was evicted from its slot, or found no free slot, says nothing about its controller. (A pod that got no slot
    /// because its controller has timed out does count.)
    pub(super) fn timed_out(&self, claims: &BTreeSet<&str>) {
        if let Some(key) = self.pod.key()
            && matches!(self.slot, Ok(_) | Err(NoSlot::ControllerTimedOut))
        {
            self.waiters.timeouts.increment_for(&key, &(self.pod.name, claims));
        }
    }

    /// Logs a claim that does not exist or, if it is `unread`, may exist. A controller does not show warnings: this line is
    /// all that an operator sees.
    pub(super) fn log(&self, claim: &str, unread: bool) {
        let namespace = self.pod.namespace;
        let why = match self.slot {
            _ if unread => "the API server did not return it",
            Ok(_) => "the wait for it timed out",
            Err(NoSlot::Unavailable) => {
                "too many pods are waiting already (missingClaim.maxWaiters, maxWaitersPerNamespace)"
            }
            Err(NoSlot::Evicted) => "its wait slot went to another namespace (missingClaim.maxWaiters)",
            Err(NoSlot::ControllerTimedOut) => "not waited for: the waits of two pods of its controller timed out",
        };
        match self.waiters.log_line(namespace, claim) {
            LogLine::Claim if unread => tracing::warn!(
                namespace,
                claim,
                why,
                "missingClaim.then was applied to a pod, because its claim could not be read; to change the pod's scheduler, delete and recreate the pod"
            ),
            LogLine::Claim => tracing::warn!(
                namespace,
                claim,
                why,
                "missingClaim.then was applied to a pod, because its claim does not exist; to change the pod's scheduler, create the claim, then delete and recreate the pod"
            ),
            LogLine::Omission => tracing::warn!(
                namespace,
                "further missing claims of this namespace are not logged, for up to {} s",
                LOG_TTL.as_secs()
            ),
            LogLine::None => {}
        }
    }
}

/// The log line for a missing claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogLine {
    /// One that names the claim.
    Claim,
    /// One that says that no more claims are named.
    Omission,
    /// None: it was logged already, or its namespace has too many.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ClaimLimits =
        ClaimLimits { wait: Duration::from_secs(2), max_waiters: 64, max_waiters_per_namespace: 16, max_gets: 64 };

    #[tokio::test(start_paused = true)]
    async fn no_namespace_keeps_the_missing_claims_of_another_from_the_log() {
        let waiters = Waiters::new(LIMITS);
        // More claims than `MAX_LOGGED`, in fewer namespaces than `MAX_LOGGED`.
        for number in 0..3_000 {
            let line = waiters.log_line("flood", &number.to_string());
            let expected = match number {
                0..64 => LogLine::Claim,
                64 => LogLine::Omission,
                _ => LogLine::None,
            };
            assert_eq!(line, expected, "{number}");
            waiters.log_line(&format!("flood-{number}"), "data");
        }
        assert_eq!(waiters.log_line("shop", "data"), LogLine::Claim);
        assert_eq!(waiters.log_line("shop", "data"), LogLine::None, "once is enough");
        tokio::time::advance(LOG_TTL).await;
        assert_eq!([waiters.log_line("shop", "data"), waiters.log_line("flood", "1")], [LogLine::Claim; 2]);
    }
}
