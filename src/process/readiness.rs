//! Whether the process can answer, and if not, what it waits for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// What must be there before requests can be answered.
///
/// A condition that was met once stays met: a replica that has the cluster's claims is never made unready by an API server
/// that is away for a while, since all replicas would be at the same moment.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    missing: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    details: Arc<Mutex<Vec<String>>>,
    draining: CancellationToken,
}

/// Something that must be there first.
#[derive(Debug)]
#[must_use = "a condition that is dropped unmet stays missing for ever"]
pub struct ReadinessCondition {
    name: &'static str,
    readiness: Readiness,
}

/// Something to know about a process that is ready all the same. The line goes when this value is dropped.
#[derive(Debug)]
#[must_use = "a detail that is dropped says nothing any more"]
pub struct ReadinessDetail {
    name: String,
    /// Its place among the lines.
    place: usize,
    readiness: Readiness,
}

impl Readiness {
    /// Readiness that ends when `draining` is cancelled.
    pub fn new(draining: CancellationToken) -> Self {
        Self { draining, ..Self::default() }
    }

    /// Adds something to wait for.
    pub fn condition(&self, name: &'static str) -> ReadinessCondition {
        *self.missing().entry(name).or_default() += 1;
        ReadinessCondition { name, readiness: self.clone() }
    }

    /// A line of its own in the text for people, which says nothing until it is set and never makes the process unready.
    pub fn detail(&self, name: impl Into<String>) -> ReadinessDetail {
        let mut lines = self.lines();
        lines.push(String::new());
        ReadinessDetail { name: name.into(), place: lines.len() - 1, readiness: self.clone() }
    }

    /// What there is to know beside, a line each, in the order in which they were added.
    pub fn details(&self) -> Vec<String> {
        self.lines().iter().filter(|line| !line.is_empty()).cloned().collect()
    }

    /// Whether requests can be answered; also while the process drains.
    pub fn can_answer(&self) -> bool {
        self.missing().is_empty()
    }

    /// What keeps new requests away: the conditions that are not met, or the end of the process. Empty means ready.
    pub fn obstacles(&self) -> Vec<&'static str> {
        let mut obstacles: Vec<_> = self.missing().keys().copied().collect();
        if self.draining.is_cancelled() {
            obstacles.push("draining");
        }
        obstacles
    }

    fn missing(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadinessCondition {
    /// It is there, and for good.
    pub fn met(self) {
        let mut missing = self.readiness.missing();
        if let Some(count) = missing.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                missing.remove(self.name);
            }
        }
        if missing.is_empty() {
            tracing::info!("ready");
        }
    }
}

impl ReadinessDetail {
    /// Says `<name>: <text>` from now on; with no text, nothing.
    pub fn set(&self, text: Option<String>) {
        // What an API server said may have several lines; here it has one.
        let line = text.map(|text| format!("{}: {text}", self.name).replace(char::is_control, " "));
        self.readiness.lines()[self.place] = line.unwrap_or_default();
    }
}

impl Drop for ReadinessDetail {
    fn drop(&mut self) {
        self.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_every_condition_is_met_and_names_those_that_are_not() {
        let readiness = Readiness::default();
        let (claims, classes) = (readiness.condition("claims"), readiness.condition("classes"));
        assert_eq!(readiness.obstacles(), ["claims", "classes"]);
        claims.met();
        assert_eq!(readiness.obstacles(), ["classes"]);
        assert!(!readiness.can_answer());
        classes.met();
        assert!(readiness.obstacles().is_empty() && readiness.can_answer());
    }

    #[test]
    fn a_condition_that_is_dropped_stays_missing() {
        let readiness = Readiness::default();
        drop(readiness.condition("claims"));
        assert_eq!(readiness.obstacles(), ["claims"]);
    }

    #[test]
    fn draining_turns_requests_away_and_still_answers_them() {
        let draining = CancellationToken::new();
        let readiness = Readiness::new(draining.clone());
        assert!(readiness.obstacles().is_empty());
        draining.cancel();
        assert_eq!(readiness.obstacles(), ["draining"]);
        assert!(readiness.can_answer());
    }

    #[test]
    fn details_are_lines_and_no_obstacles() {
        let readiness = Readiness::default();
        let (first, second) = (readiness.detail("scheduler stork"), readiness.detail("claims"));
        assert_eq!(readiness.details(), [""; 0]);
        second.set(Some("stale:\nnothing came".to_owned()));
        first.set(Some("absent".to_owned()));
        assert_eq!(readiness.clone().details(), ["scheduler stork: absent", "claims: stale: nothing came"]);
        assert!(readiness.obstacles().is_empty() && readiness.can_answer());
        first.set(None);
        assert_eq!(readiness.details(), ["claims: stale: nothing came"]);
        drop(second);
        assert_eq!(readiness.details(), [""; 0]);
    }
}
