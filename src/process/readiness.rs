//! Readiness of the process, and the conditions that it waits for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::engine::one_line;

/// The conditions that must be met before requests can be answered.
///
/// A condition that was met once stays met. A temporarily unreachable API server must not make a replica unready,
/// because it would make all replicas unready at once.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    missing: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    details: Arc<Mutex<Vec<String>>>,
    draining: CancellationToken,
}

/// A condition of readiness.
#[derive(Debug)]
#[must_use = "a condition that is dropped unmet stays unmet"]
pub struct ReadinessCondition {
    name: &'static str,
    readiness: Readiness,
}

/// A line of `/readyz` that does not affect readiness. It is removed when this value is dropped.
#[derive(Debug)]
#[must_use = "a detail that is dropped removes its line"]
pub struct ReadinessDetail {
    name: String,
    /// The index of its line.
    index: usize,
    readiness: Readiness,
}

impl Readiness {
    /// Creates readiness that ends when `draining` is cancelled.
    pub fn new(draining: CancellationToken) -> Self {
        Self { draining, ..Self::default() }
    }

    /// Adds a condition.
    pub fn condition(&self, name: &'static str) -> ReadinessCondition {
        *self.missing().entry(name).or_default() += 1;
        ReadinessCondition { name, readiness: self.clone() }
    }

    /// Adds a detail, which is hidden until it is set.
    pub fn detail(&self, name: impl Into<String>) -> ReadinessDetail {
        let mut lines = self.lines();
        lines.push(String::new());
        ReadinessDetail { name: name.into(), index: lines.len() - 1, readiness: self.clone() }
    }

    /// Returns the lines of the details, in the order in which they were added.
    pub fn details(&self) -> Vec<String> {
        self.lines().iter().filter(|line| !line.is_empty()).cloned().collect()
    }

    /// Returns whether requests can be answered, which is also true while the process drains.
    pub fn can_answer(&self) -> bool {
        self.missing().is_empty()
    }

    /// Returns the unmet conditions, and `draining` while the process drains. An empty list means ready.
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
    /// Marks the condition as met, permanently.
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
    /// Sets the line to `<name>: <text>`; `None` hides it.
    pub fn set(&self, text: Option<String>) {
        // The text may come from an API server or a file, and have several lines.
        let line = text.map(|text| one_line(&format!("{}: {text}", self.name), usize::MAX));
        self.readiness.lines()[self.index] = line.unwrap_or_default();
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
    fn unmet_conditions_are_named_until_all_are_met() {
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
    fn a_condition_that_is_dropped_stays_unmet() {
        let readiness = Readiness::default();
        drop(readiness.condition("claims"));
        assert_eq!(readiness.obstacles(), ["claims"]);
    }

    #[test]
    fn a_draining_process_is_unready_and_can_answer() {
        let draining = CancellationToken::new();
        let readiness = Readiness::new(draining.clone());
        assert!(readiness.obstacles().is_empty());
        draining.cancel();
        assert_eq!(readiness.obstacles(), ["draining"]);
        assert!(readiness.can_answer());
    }

    #[test]
    fn details_are_lines_and_not_obstacles() {
        let readiness = Readiness::default();
        let (first, second) = (readiness.detail("scheduler stork"), readiness.detail("claims"));
        assert_eq!(readiness.details(), [""; 0]);
        second.set(Some("stale:\n\u{202e}nothing came\u{9b}".to_owned()));
        first.set(Some("absent".to_owned()));
        assert_eq!(
            readiness.clone().details(),
            ["scheduler stork: absent", "claims: stale:\u{fffd}\u{fffd}nothing came\u{fffd}"]
        );
        assert!(readiness.obstacles().is_empty() && readiness.can_answer());
        first.set(None);
        assert_eq!(readiness.details(), ["claims: stale:\u{fffd}\u{fffd}nothing came\u{fffd}"]);
        drop(second);
        assert_eq!(readiness.details(), [""; 0]);
    }
}
