//! The time budget of one review.

use std::time::Duration;

use tokio::time::Instant;

/// The API server rounds `timeoutSeconds` up before it sends it, so 1 s is subtracted. At most 80 % of the rest is
/// used, which leaves time for the response to travel.
const ROUNDING: Duration = Duration::from_secs(1);
const SHARE: f64 = 0.8;

/// The longest time that a GET may delay a review that must not wait: that of a template, that of a dry run, and every
/// one in audit mode. The GET takes one round trip.
const LOOKUP: Duration = Duration::from_millis(500);

/// The longest time that a pod without a wait slot waits for a GET that others may have started.
const WITHOUT_SLOT: Duration = Duration::from_millis(500);

/// The longest time of the last GET, after the wait for a claim timed out. On a busy machine, the watch was 1.1 s
/// behind (measured).
const LAST_GET: Duration = Duration::from_millis(500);

/// The deadlines of the parts of one review.
///
/// ```text
/// 0                                              answer                       timeout
/// |------------- 0.8 x (timeout - 1 s) -------------|---- response and rounding -----|
/// |- volumes -|--- wait: missingClaim.wait ---|- last GET -|- volumes -|       a pod with a wait slot
/// |- volumes -|- GET: 0.5 s -|- volumes -|                                     a pod without one
/// |- claims, volumes: 0.5 s -|                                                 a template, a dry run, an audit
/// |- volumes: 0.5 s -|- strategies: 0.5 s -|- volumes: 0.5 s -|                a validation, with its old object
/// ```
///
/// Each part also ends at `answer`. With the defaults (`timeoutSeconds: 5`, `missingClaim.wait: 2s`), `answer` is at
/// 3.2 s, and a wait that starts at once ends at 2 s. A GET may take 10 s; by then its callers are gone.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The time at which the answer must be ready.
    pub(super) answer: Instant,
    wait: Duration,
}

impl Deadlines {
    /// Creates the deadlines of a review that begins now. Its sender gives up after `timeout`. The wait for a claim
    /// that does not exist takes at most `wait`.
    pub fn new(timeout: Duration, wait: Duration) -> Self {
        Self { answer: Instant::now() + timeout.saturating_sub(ROUNDING).mul_f64(SHARE), wait }
    }

    /// Returns the deadlines of a review that reads existing objects and never waits.
    #[must_use]
    pub fn without_wait(self) -> Self {
        Self { answer: self.answer.min(Instant::now() + LOOKUP), wait: Duration::ZERO }
    }

    /// Returns true if the review may wait for claims that do not exist.
    pub(super) fn allow_wait(self) -> bool {
        !self.wait.is_zero()
    }

    /// Returns the instant at which a wait that begins now must end.
    pub(super) fn wait_end(self, has_slot: bool) -> Instant {
        let wait = if has_slot { self.wait } else { self.wait.min(WITHOUT_SLOT) };
        self.answer.min(Instant::now() + wait)
    }

    /// Returns the instant at which the last GET must end, after a wait that has just timed out.
    pub(super) fn last_get_end(self) -> Instant {
        self.answer.min(Instant::now() + LAST_GET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_part_ends_when_the_answer_must_be_ready() {
        let now = Instant::now();
        let after = |millis| now + Duration::from_millis(millis);
        let deadlines = Deadlines::new(Duration::from_secs(5), Duration::from_secs(2));
        assert_eq!(deadlines.answer, after(3200));
        assert_eq!((deadlines.wait_end(true), deadlines.wait_end(false)), (after(2000), after(500)));
        assert_eq!(deadlines.last_get_end(), after(500));
        let lookup = deadlines.without_wait();
        assert_eq!((lookup.answer, lookup.allow_wait()), (after(500), false));
        let short = Deadlines::new(Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!([short.answer, short.wait_end(true), short.last_get_end(), short.without_wait().answer], [now; 4]);
    }
}
