//! A limit on a rate that allows bursts.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket. It starts full. Callers pass the limit to each method, so a bucket stores only one `Instant`.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenBucket {
    /// The time at which all tokens are back.
    full: Instant,
}

/// The size of a bucket, and the time in which one token comes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) burst: u32,
    pub(super) interval: Duration,
}

impl TokenBucket {
    /// Creates a full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self { full: now }
    }

    /// Takes a token, and returns whether there was one.
    pub(super) fn take(&mut self, limit: Limit, now: Instant) -> bool {
        let has_token = self.next(limit, now) <= now;
        if has_token {
            self.full = self.full.max(now) + limit.interval;
        }
        has_token
    }

    /// Returns the time from which on there is a token.
    pub(super) fn next(&self, limit: Limit, now: Instant) -> Instant {
        // With one token missing of `burst`, the others can be taken now.
        let spare = limit.interval * limit.burst.saturating_sub(1);
        self.full.checked_sub(spare).unwrap_or(now).max(now)
    }

    /// Returns the time at which all tokens are back.
    pub(super) fn full(&self) -> Instant {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIMIT: Limit = Limit { burst: 3, interval: Duration::from_secs(10) };

    fn take(bucket: &mut TokenBucket, times: usize) -> usize {
        (0..times).filter(|_| bucket.take(LIMIT, Instant::now())).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_allowed_and_then_one_per_interval() {
        let mut bucket = TokenBucket::new(Instant::now());
        assert_eq!(take(&mut bucket, 5), 3);
        assert_eq!(bucket.next(LIMIT, Instant::now()) - Instant::now(), LIMIT.interval);
        advance(Duration::from_secs(9)).await;
        assert_eq!(take(&mut bucket, 5), 0);
        advance(Duration::from_secs(1)).await;
        assert_eq!(take(&mut bucket, 5), 1);
        advance(Duration::from_secs(20)).await;
        assert_eq!(take(&mut bucket, 5), 2);
        advance(Duration::from_hours(1)).await;
        assert_eq!(take(&mut bucket, 5), 3, "no more than a burst is saved up");
    }
}
