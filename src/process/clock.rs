//! The time: by this machine's clock, and by the API server's clock as its answers tell.
//!
//! A certificate is valid or not by the clock of the API server that verifies it. That clock is known from the `Date` of
//! answers that arrive anyway. Between two answers it goes on by a clock that does not jump, so a jump of this machine's
//! clock changes the difference of the two at once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The resolution of a `Date`.
const RESOLUTION: SignedDuration = SignedDuration::from_secs(1);

/// For tests only, and not in release builds: the number of seconds by which the process takes its clock to be ahead.
#[cfg(debug_assertions)]
const TEST_OFFSET: &str = "COLOCATE_TEST_CLOCK_AHEAD";

/// The clock of this machine, and what is known of the API server's. Clones share it.
#[derive(Clone)]
pub struct Clock {
    local: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    heard: Arc<Mutex<Option<ServerDate>>>,
}

/// The `Date` of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerDate {
    pub(crate) date: Timestamp,
    /// When the request was sent.
    pub(crate) sent: Instant,
    /// When the answer had come.
    pub(crate) received: Instant,
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// The time by this machine's clock.
    pub local: Timestamp,
    /// The time by the API server's clock; `None` if no answer has told it yet.
    pub server: Option<Timestamp>,
    /// The same moment on a clock that does not jump.
    pub at: Instant,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        #[cfg(debug_assertions)]
        if let Some(ahead) = std::env::var(TEST_OFFSET).ok().and_then(|ahead| ahead.parse().ok()) {
            let ahead = SignedDuration::from_secs(ahead);
            return Self::new(move || Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX));
        }
        Self::new(Timestamp::now)
    }

    /// A clock that shows what `local` returns.
    pub fn new(local: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { local: Arc::new(local), heard: Arc::default() }
    }

    /// Records the `Date` of an answer of the API server that has just come. Its request was sent at `sent`.
    pub fn hear(&self, date: Timestamp, sent: Instant) {
        let heard = ServerDate { date, sent, received: Instant::now() };
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
    }

    /// Reads both clocks now.
    pub fn read(&self) -> ClockReading {
        let (local, at) = ((self.local)(), Instant::now());
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        ClockReading { local, server: heard.map(|heard| heard.time(at, local)), at }
    }
}

impl ServerDate {
    /// Returns the API server's time at `at`.
    ///
    /// The answer was dated between `sent` and `received`, and its date is cut to whole seconds, which leaves an interval. A
    /// local time within it is taken as right, so that two clocks that agree have no difference.
    pub(crate) fn time(&self, at: Instant, local: Timestamp) -> Timestamp {
        let after = |since: Instant| {
            let passed = SignedDuration::try_from(at.saturating_duration_since(since)).unwrap_or(SignedDuration::MAX);
            self.date.saturating_add(passed).unwrap_or(Timestamp::MAX)
        };
        let latest = after(self.sent).saturating_add(RESOLUTION).unwrap_or(Timestamp::MAX);
        local.max(after(self.received)).min(latest)
    }
}

impl ClockReading {
    /// Returns the time by the API server's clock, or by this machine's while that is all that is known.
    pub fn now(&self) -> Timestamp {
        self.server.unwrap_or(self.local)
    }

    /// Returns how far this machine's clock is ahead of the API server's, at least; negative if it is behind.
    pub fn skew(&self) -> Option<SignedDuration> {
        Some(self.local.duration_since(self.server?))
    }

    /// Returns whether the two clocks are known to differ by `tolerance` at most.
    pub fn agrees_within(&self, tolerance: SignedDuration) -> bool {
        self.skew().is_some_and(|skew| skew.abs() <= tolerance)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("heard", &self.heard).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tokio::time::{Duration, advance};

    use super::*;

    const HOUR: i64 = 3600;

    fn begin() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    /// Returns a clock that is that many milliseconds ahead of `begin()`, and stands still.
    fn clock(ahead: i64) -> (Clock, Arc<AtomicI64>) {
        let ahead = Arc::new(AtomicI64::new(ahead));
        let shown = ahead.clone();
        (Clock::new(move || begin() + SignedDuration::from_millis(shown.load(Ordering::Relaxed))), ahead)
    }

    fn millis(clock: &Clock) -> i128 {
        clock.read().skew().unwrap().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn a_date_leaves_an_interval_in_which_the_clock_is_right() {
        for (local, skew) in
            [(-60_000, -60_000), (-1, -1), (0, 0), (2_500, 0), (4_000, 0), (4_001, 1), (60_000, 56_000)]
        {
            let (clock, _) = clock(local);
            assert!(clock.read().skew().is_none() && !clock.read().agrees_within(SignedDuration::MAX));
            let sent = Instant::now();
            advance(Duration::from_secs(3)).await;
            // The API server wrote it within the last 3 s, and it may be up to one second older than it says.
            clock.hear(begin(), sent);
            assert_eq!(millis(&clock), skew, "{local}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_disagrees_at_once() {
        let (clock, ahead) = clock(0);
        clock.hear(begin(), Instant::now());
        assert_eq!(clock.read().now(), begin());
        for hours in [8, 400 * 24, -30 * 24] {
            ahead.store(hours * HOUR * 1000, Ordering::Relaxed);
            let (reading, tolerance) = (clock.read(), SignedDuration::from_hours(1));
            assert!(!reading.agrees_within(tolerance), "{hours}");
            assert!(reading.now().duration_since(begin()).abs() <= RESOLUTION, "{hours}");
        }
        ahead.store(0, Ordering::Relaxed);
        assert_eq!(millis(&clock), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_api_servers_time_goes_on_between_its_answers() {
        let (clock, ahead) = clock(0);
        clock.hear(begin(), Instant::now());
        advance(Duration::from_secs(600)).await;
        assert_eq!(millis(&clock), -600_000, "the clock here stands still");
        ahead.store(600_000, Ordering::Relaxed);
        assert_eq!(millis(&clock), 0);
        // The last answer counts.
        clock.clone().hear(begin() + SignedDuration::from_hours(2), Instant::now());
        assert_eq!(millis(&clock), -6_600_000);
    }
}
