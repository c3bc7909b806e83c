//! Counters that expire.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A limited number of counters, by key. A counter expires one TTL after its first or its last increment. When there is
/// no room for another one, the counter that would expire first is evicted.
///
/// A key is kept as its hash with a random seed: the memory for it is constant, although users of a cluster can invent
/// keys of any length, and no one can choose two keys with one hash.
#[derive(Debug)]
pub(super) struct TtlCounter {
    ttl: Duration,
    start: Start,
    capacity: usize,
    hasher: RandomState,
    counters: Mutex<Counters>,
}

/// The increment at which the TTL of a counter starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    First,
    Last,
}

#[derive(Debug, Default)]
struct Counters {
    by_key: HashMap<u64, Counter>,
    /// The keys in the order in which their TTLs started.
    order: BTreeMap<u64, u64>,
    /// The count of starts so far. It is also the number of the next start.
    starts: u64,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    count: u32,
    /// The hash of what the last increment was for, if that was stated and has not been repeated.
    cause: Option<u64>,
    /// The number of the TTL's start.
    start: u64,
    /// The time of the TTL's start.
    started: Instant,
}

impl TtlCounter {
    pub(super) fn new(ttl: Duration, start: Start, capacity: usize) -> Self {
        Self { ttl, start, capacity, hasher: RandomState::new(), counters: Mutex::default() }
    }

    /// Increments a counter and returns its new value; `None` if it has reached `limit`, in which case it stays as it is.
    pub(super) fn increment(&self, key: &impl Hash, limit: u32) -> Option<u32> {
        self.add(key, limit, None)
    }

    /// Increments a counter, unless this repeats the cause of its last increment for the first time. A repeat extends the
    /// counter as an increment does.
    pub(super) fn increment_for(&self, key: &impl Hash, cause: &impl Hash) {
        self.add(key, u32::MAX, Some(self.hasher.hash_one(cause)));
    }

    fn add(&self, key: &impl Hash, limit: u32, cause: Option<u64>) -> Option<u32> {
        let key = self.hasher.hash_one(key);
        let now = Instant::now();
        let mut counters = self.counters();
        counters.expire(now, self.ttl);
        if let Some(counter) = counters.by_key.get_mut(&key) {
            if counter.count >= limit {
                return None;
            }
            if cause.is_some() && counter.cause == cause {
                counter.cause = None;
            } else {
                counter.count += 1;
                counter.cause = cause;
            }
            let counter = *counter;
            if self.start == Start::Last {
                counters.order.remove(&counter.start);
                counters.start(key, counter.count, counter.cause, now);
            }
            return Some(counter.count);
        }
        if limit == 0 {
            return None;
        }
        if counters.by_key.len() >= self.capacity {
            counters.remove_first();
        }
        counters.start(key, 1, cause, now);
        Some(1)
    }

    /// Returns the value of a counter; 0 if there is none.
    pub(super) fn count(&self, key: &impl Hash) -> u32 {
        let key = self.hasher.hash_one(key);
        let counter = self.counters().by_key.get(&key).copied();
        counter.filter(|counter| counter.started.elapsed() < self.ttl).map_or(0, |counter| counter.count)
    }

    /// Removes a counter before it expires.
    pub(super) fn reset(&self, key: &impl Hash) {
        let key = self.hasher.hash_one(key);
        let mut counters = self.counters();
        if let Some(counter) = counters.by_key.remove(&key) {
            counters.order.remove(&counter.start);
        }
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        // A panic between two changes leaves at most a key without a counter, which `remove_first` skips.
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn start(&mut self, key: u64, count: u32, cause: Option<u64>, now: Instant) {
        let start = self.starts;
        self.starts += 1;
        self.order.insert(start, key);
        self.by_key.insert(key, Counter { count, cause, start, started: now });
    }

    fn expire(&mut self, now: Instant, ttl: Duration) {
        let is_expired = |counter: &Counter| now - counter.started >= ttl;
        while let Some((_, key)) = self.order.first_key_value()
            && self.by_key.get(key).is_none_or(is_expired)
        {
            self.remove_first();
        }
    }

    fn remove_first(&mut self) {
        if let Some((_, key)) = self.order.pop_first() {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_counter_expires_after_its_first_or_last_increment() {
        for start in [Start::First, Start::Last] {
            let counter = TtlCounter::new(Duration::from_secs(30), start, 8);
            assert_eq!((counter.count(&"a"), counter.increment(&"a", 2)), (0, Some(1)));
            advance(Duration::from_secs(29)).await;
            assert_eq!((counter.increment(&"a", 2), counter.increment(&"a", 2)), (Some(2), None));
            advance(Duration::from_secs(1)).await;
            assert_eq!(counter.count(&"a"), if start == Start::First { 0 } else { 2 });
            advance(Duration::from_secs(28)).await;
            assert_eq!(counter.increment(&"a", 2).is_none(), start == Start::Last, "a refusal does not extend it");
            advance(Duration::from_secs(1)).await;
            assert_eq!(counter.increment(&"b", 2), Some(1));
            assert_eq!(counter.count(&"a"), u32::from(start == Start::First));
            counter.reset(&"a");
            assert_eq!((counter.count(&"a"), counter.counters().order.len()), (0, 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_repeat_of_a_cause_is_not_an_increment() {
        let counter = TtlCounter::new(Duration::from_secs(30), Start::Last, 8);
        for (cause, count) in [("x", 1), ("x", 1), ("x", 2), ("y", 3), ("y", 3), ("x", 4)] {
            counter.increment_for(&"a", &cause);
            assert_eq!(counter.count(&"a"), count, "{cause}");
            advance(Duration::from_secs(29)).await;
        }
        counter.increment_for(&"b", &"x");
        assert_eq!([counter.count(&"a"), counter.count(&"b")], [4, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_counter_that_would_expire_first_is_evicted() {
        for (start, counts) in [(Start::First, [0, 1, 1]), (Start::Last, [2, 0, 1])] {
            let counter = TtlCounter::new(Duration::from_secs(30), start, 2);
            for key in ["a", "b", "a", "c"] {
                assert!(counter.increment(&key, 9).is_some());
            }
            assert_eq!(["a", "b", "c"].map(|key| counter.count(&key)), counts);
            let counters = counter.counters();
            assert_eq!((counters.by_key.len(), counters.order.len()), (2, 2));
        }
    }
}
