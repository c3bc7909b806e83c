//! The time, by this machine's clock and by the API server's clock.
//!
//! An API server verifies certificates by its own clock. That clock is known from the `Date` header of its responses, and is
//! extrapolated between two responses by a monotonic clock. A jump of this machine's clock therefore changes the difference
//! of the two at once. The monotonic clock stops while the machine is suspended: afterwards, the two differ until the next
//! response.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The resolution of a `Date`.
const RESOLUTION: SignedDuration = SignedDuration::from_secs(1);

/// The number of seconds by which [`Clock::system`] is ahead. For tests only: release builds do not read it.
#[cfg(debug_assertions)]
const TEST_OFFSET: &str = "COLOCATE_TEST_CLOCK_AHEAD";

/// This machine's clock, and the API server's as far as it is known. Clones share it.
#[derive(Clone)]
pub struct Clock {
    local: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    server: Arc<Mutex<Option<ServerDate>>>,
}

/// The `Date` of a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerDate {
    pub(crate) date: Timestamp,
    /// The time at which the request was sent.
    pub(crate) sent: Instant,
    /// The time at which the response arrived.
    pub(crate) received: Instant,
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// The time by this machine's clock.
    pub local: Timestamp,
    /// The time by the API server's clock; `None` before its first response.
    pub server: Option<Timestamp>,
    /// The same moment by the monotonic clock.
    pub at: Instant,
}

impl Clock {
    /// Returns the system's clock.
    pub fn system() -> Self {
        #[cfg(debug_assertions)]
        if let Some(ahead) = std::env::var(TEST_OFFSET).ok().and_then(|ahead| ahead.parse().ok()) {
            let ahead = SignedDuration::from_secs(ahead);
            return Self::new(move || Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX));
        }
        Self::new(Timestamp::now)
    }

    /// Creates a clock with `local` as this machine's clock.
    pub fn new(local: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { local: Arc::new(local), server: Arc::default() }
    }

    /// Records the `Date` of a response that has just arrived from the API server. Its request was sent at `sent`.
    pub fn record(&self, date: Timestamp, sent: Instant) {
        let server = ServerDate { date, sent, received: Instant::now() };
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// Reads both clocks now.
    pub fn read(&self) -> ClockReading {
        let local = (self.local)();
        let at = Instant::now();
        let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
        ClockReading { local, server: server.map(|server| server.time(at, local)), at }
    }
}

impl ServerDate {
    /// Returns the API server's time at `at`.
    ///
    /// The response was dated between `sent` and `received`, and the date is truncated to seconds. That leaves an interval: a
    /// local time within it counts as right, so that two clocks that agree do not differ by the round-trip time.
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
    /// Returns the time by the API server's clock, or by this machine's clock before the first response.
    pub fn now(&self) -> Timestamp {
        self.server.unwrap_or(self.local)
    }

    /// Returns the smallest possible difference between the two clocks: positive if this machine's clock is ahead of
    /// the API server's, negative if it is behind.
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
        f.debug_struct("Clock").field("server", &self.server).finish_non_exhaustive()
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

    /// Returns a stopped clock that is this number of milliseconds ahead of `begin()`.
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
            // The API server dated its response within the last 3 s, and truncated up to one second.
            clock.record(begin(), sent);
            assert_eq!(millis(&clock), skew, "{local}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_disagrees_at_once() {
        let (clock, ahead) = clock(0);
        clock.record(begin(), Instant::now());
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
    async fn the_api_servers_time_advances_between_responses() {
        let (clock, ahead) = clock(0);
        clock.record(begin(), Instant::now());
        advance(Duration::from_mins(10)).await;
        assert_eq!(millis(&clock), -600_000, "this machine's clock is stopped");
        ahead.store(600_000, Ordering::Relaxed);
        assert_eq!(millis(&clock), 0);
        // The last response counts.
        clock.clone().record(begin() + SignedDuration::from_hours(2), Instant::now());
        assert_eq!(millis(&clock), -6_600_000);
    }
}
