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
    draining: CancellationToken,
}

/// Something that must be there first.
#[derive(Debug)]
#[must_use = "a condition that is dropped unmet stays missing for ever"]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Readiness that ends when `draining` is cancelled.
    pub fn new(draining: CancellationToken) -> Self {
        Self { missing: Arc::default(), draining }
    }

    /// Adds something to wait for.
    pub fn condition(&self, name: &'static str) -> Condition {
        *self.missing().entry(name).or_default() += 1;
        Condition { name, readiness: self.clone() }
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
}

impl Condition {
    /// It is there, and for good.
    pub fn met(self) {
        let mut missing = self.readiness.missing();
        if let Some(count) = missing.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                missing.remove(self.name);
            }
        }
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
}
