//! The Events that this process reports: one for each series of equal occurrences.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::event::{self, Tally};
use super::occurrence::Occurrence;
use super::token_bucket::{Limit, TokenBucket};

/// The time after its last occurrence at which a series ends. The next equal occurrence starts a new Event.
const WINDOW: Duration = Duration::from_mins(10);

/// The time from the first write of a series to the second one. Pods of one controller are often created together. The time
/// doubles with each write.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest time between two writes of a series. It is shorter than the window, so that no count is lost.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The time for which nothing is written to a namespace after the API server forbade it.
const FORBIDDEN_PAUSE: Duration = Duration::from_mins(5);

/// The limit on new Events of one controller, which is that of client-go (`EventSourceObjectSpamFilter`).
const PER_CONTROLLER: Limit = Limit { burst: 25, interval: Duration::from_mins(5) };

/// The limit on requests of this process: little load for an API server. Requests beyond it are delayed.
const REQUESTS: Limit = Limit { burst: 50, interval: Duration::from_secs(1) };

/// The most series: 2 MB, if all have the longest names and texts.
const MAX_SERIES: usize = 1024;

/// The most series of one namespace, so that no namespace takes the place of all others.
const MAX_SERIES_PER_NAMESPACE: usize = MAX_SERIES / 8;

/// The most buckets of controllers: 100 kB.
const MAX_CONTROLLERS: usize = 4 * MAX_SERIES;

/// The series of equal occurrences, with the limits on new series and on requests.
#[derive(Debug)]
pub(super) struct SeriesTable {
    series: HashMap<Occurrence, Series>,
    /// The buckets of controllers, by the hash of the controller.
    controllers: HashMap<u64, TokenBucket>,
    requests: TokenBucket,
    hasher: RandomState,
    /// The number of names so far.
    names: u64,
}

#[derive(Debug)]
struct Series {
    /// The name of its Event.
    name: String,
    tally: Tally,
    /// The number of occurrences that the API server knows; 0 while the Event does not exist.
    written: u32,
    /// The time of the last occurrence.
    seen: Instant,
    /// The earliest time of the next write.
    due: Instant,
    /// The time from the next write to the one after it.
    pause: Duration,
    /// Whether the API server forbade the last write to its namespace.
    forbidden: bool,
}

/// A write of a series, which is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeriesWrite {
    pub(super) occurrence: Occurrence,
    /// The name of the Event.
    pub(super) name: String,
    pub(super) tally: Tally,
    /// Whether the Event exists.
    pub(super) exists: bool,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    /// The Event does not exist anymore.
    EventGone,
    /// The API server forbids writes of Events to the namespace.
    Forbidden,
    /// It will never be accepted.
    Rejected,
    /// It may be accepted later.
    Unavailable,
}

impl SeriesTable {
    /// Creates an empty table.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            series: HashMap::new(),
            controllers: HashMap::new(),
            requests: TokenBucket::new(now),
            hasher: RandomState::new(),
            names: 0,
        }
    }

    /// Removes expired series. Returns the number of occurrences that are lost with them.
    pub(super) fn end_series(&mut self, now: Instant) -> u64 {
        let ended = self.series.extract_if(|_, series| now - series.seen >= WINDOW);
        ended.map(|(_, series)| series.unwritten()).sum()
    }

    /// Counts an occurrence, or starts a series with it. Returns the number of occurrences that are lost to a limit.
    pub(super) fn observe(&mut self, occurrence: Occurrence, time: Timestamp, now: Instant) -> u64 {
        if let Some(series) = self.series.get_mut(&occurrence) {
            series.tally.total = series.tally.total.saturating_add(1);
            series.tally.last = time;
            series.seen = now;
            return 0;
        }
        if !self.bucket(&occurrence, now).take(PER_CONTROLLER, now) {
            return 1;
        }
        let evicted = self.make_room(&occurrence.controller.namespace);
        let forbidden = self.of_namespace(&occurrence.controller.namespace).find(|series| series.forbidden);
        let (forbidden, due) = forbidden.map_or((false, now), |series| (true, series.due));
        let name = self.new_name(&occurrence);
        let tally = Tally { total: 1, first: time, last: time };
        let series = Series { name, tally, written: 0, seen: now, due, pause: FIRST_PAUSE, forbidden };
        self.series.insert(occurrence, series);
        evicted
    }

    /// Returns the time of the next write; `None` if everything is written.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let due = self.series.values().filter(|series| series.unwritten() > 0).map(|series| series.due).min();
        due.map(|due| due.max(self.requests.next(REQUESTS, now)))
    }

    /// Returns the write that has been due for the longest time, if the limit on requests allows one.
    pub(super) fn next_write(&mut self, now: Instant) -> Option<SeriesWrite> {
        let due = self.series.iter().filter(|(_, series)| series.unwritten() > 0 && series.due <= now);
        let (occurrence, series) = due.min_by_key(|(_, series)| series.due)?;
        if !self.requests.take(REQUESTS, now) {
            return None;
        }
        let (name, tally, exists) = (series.name.clone(), series.tally, series.written > 0);
        Some(SeriesWrite { occurrence: occurrence.clone(), name, tally, exists })
    }

    /// Records the outcome of a write. Returns the number of occurrences that are lost with it.
    pub(super) fn record(&mut self, write: &SeriesWrite, outcome: Outcome, now: Instant) -> u64 {
        let SeriesWrite { occurrence, tally, .. } = write;
        match outcome {
            Outcome::Written => {
                self.of_namespace_mut(&occurrence.controller.namespace).for_each(|series| series.forbidden = false);
                if let Some(series) = self.series.get_mut(occurrence) {
                    series.written = tally.total;
                    series.due = now + series.pause;
                    series.pause = (series.pause * 2).min(LONGEST_PAUSE);
                }
            }
            Outcome::EventGone => {
                let name = self.new_name(occurrence);
                if let Some(series) = self.series.get_mut(occurrence) {
                    series.written = 0;
                    series.name = name;
                }
            }
            Outcome::Forbidden => self.of_namespace_mut(&occurrence.controller.namespace).for_each(|series| {
                series.forbidden = true;
                series.due = now + FORBIDDEN_PAUSE;
            }),
            Outcome::Rejected => return self.series.remove(occurrence).map_or(0, |series| series.unwritten()),
            Outcome::Unavailable => {}
        }
        0
    }

    /// Evicts the least recently seen series: of this namespace if it is at its limit, otherwise of all.
    fn make_room(&mut self, namespace: &str) -> u64 {
        let is_crowded = self.of_namespace(namespace).count() >= MAX_SERIES_PER_NAMESPACE;
        if !is_crowded && self.series.len() < MAX_SERIES {
            return 0;
        }
        let rivals = self.series.iter().filter(|(key, _)| !is_crowded || key.controller.namespace == namespace);
        let oldest = rivals.min_by_key(|(_, series)| series.seen).map(|(key, _)| key.clone());
        oldest.and_then(|key| self.series.remove(&key)).map_or(0, |series| series.unwritten())
    }

    /// Returns the bucket of a controller. If there are too many, one of the fullest buckets is evicted.
    fn bucket(&mut self, occurrence: &Occurrence, now: Instant) -> &mut TokenBucket {
        let key = self.hasher.hash_one(&occurrence.controller);
        if self.controllers.len() >= MAX_CONTROLLERS && !self.controllers.contains_key(&key) {
            self.controllers.retain(|_, bucket| bucket.full() > now);
            if self.controllers.len() >= MAX_CONTROLLERS {
                let fullest = self.controllers.iter().min_by_key(|(_, bucket)| bucket.full()).map(|(key, _)| *key);
                fullest.and_then(|key| self.controllers.remove(&key));
            }
        }
        self.controllers.entry(key).or_insert_with(|| TokenBucket::new(now))
    }

    fn new_name(&mut self, occurrence: &Occurrence) -> String {
        self.names += 1;
        // The hasher has a random seed, so two processes choose different names.
        event::name(&occurrence.controller.name, self.hasher.hash_one(self.names))
    }

    fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(move |(key, _)| key.controller.namespace == namespace).map(|(_, series)| series)
    }

    fn of_namespace_mut(&mut self, namespace: &str) -> impl Iterator<Item = &mut Series> {
        self.series.iter_mut().filter(move |(key, _)| key.controller.namespace == namespace).map(|(_, series)| series)
    }
}

impl Series {
    /// The number of occurrences that the API server does not know.
    fn unwritten(&self) -> u64 {
        (self.tally.total - self.written).into()
    }
}

#[cfg(test)]
mod tests;
