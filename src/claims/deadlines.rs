//! The time budget of one review.

use std::time::Duration;

use tokio::time::Instant;

/// The API server rounds `timeoutSeconds` up before it sends it, so 1 s is subtracted. At most 80 % of the rest is
/// used, which leaves time for the response to travel.
const ROUNDING: Duration = Duration::from_secs(1);
const SHARE: f64 = 0.8;

/// The longest time that a GET may delay a review that must not wait: of a template, a dry run, or in audit mode. What
/// it gets exists, so that the answer only has to travel.
const LOOKUP: Duration = Duration::from_millis(500);

/// The longest time that a pod without a wait slot waits for a GET that others may have begun.
const WITHOUT_SLOT: Duration = Duration::from_millis(500);

/// The longest time that the last GET may take, after a claim was waited for in vain. On a busy machine, the watch was
/// seen 1.1 s behind.
const LAST_GET: Duration = Duration::from_millis(500);

/// The deadlines of the parts of one review.
///
/// ```text
/// 0                                              answer                       timeout
/// |------------- 0.8 x (timeout - 1 s) -------------|---- the way back, rounding ----|
/// |- volumes -|--- wait: missingClaim.wait ---|- last GET -|- volumes -|       a pod with a wait slot
/// |- volumes -|- GET: 0.5 s -|- volumes -|                                     a pod without one
/// |- volumes: 0.5 s -|                                                         a template, a dry run, an audit
/// |- volumes: 0.5 s -|- strategies: 0.5 s -|- volumes: 0.5 s -|                a validation, with its old object
/// ```
///
/// Each part also ends at `answer`. With the defaults (`timeoutSeconds: 5`, `missingClaim.wait: 2s`), `answer` is at 3.2 s,
/// and a claim that is waited for from the start is waited for until 2 s. One GET may take 10 s, after which its callers are gone.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// When the answer must be ready.
    pub(super) answer: Instant,
    wait: Duration,
}

impl Deadlines {
    /// The deadlines of a review that begins now. Its sender gives up after `timeout`; a claim that does not exist may be
    /// waited for as long as `wait`.
    pub fn new(timeout: Duration, wait: Duration) -> Self {
        Self { answer: Instant::now() + timeout.saturating_sub(ROUNDING).mul_f64(SHARE), wait }
    }

    /// The deadlines of a review that only reads what exists, and waits for nothing.
    #[must_use]
    pub fn without_wait(self) -> Self {
        Self { answer: self.answer.min(Instant::now() + LOOKUP), wait: Duration::ZERO }
    }

    /// Returns true if claims that do not exist are waited for at all.
    pub(super) fn allow_wait(self) -> bool {
        !self.wait.is_zero()
    }

    /// Returns the instant at which a wait that begins now must end.
    pub(super) fn wait_end(self, has_slot: bool) -> Instant {
        let wait = if has_slot { self.wait } else { self.wait.min(WITHOUT_SLOT) };
        self.answer.min(Instant::now() + wait)
    }

    /// Returns the instant at which the last GET must end, after a wait in vain that has just ended.
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
