//! Pods counted by the reason of their expectation, by namespace and by workload.

use std::collections::BTreeMap;
use std::sync::Arc;

use colocate_engine::Reason;

use super::expectation::{Doubt, Expectation, Outcome};

/// The largest number of workloads and of namespaces that are counted separately. At 200 bytes each, they take 4 MB.
const MAX_ENTRIES: usize = 10_000;

/// Pods, counted. Its memory is bounded: workloads are counted separately only if one of their pods is not as expected.
#[derive(Debug, Default)]
pub struct Census {
    /// All pods.
    pub total: Counts,
    /// The pods by reason; those that have ended are not included.
    pub reasons: BTreeMap<&'static str, Counts>,
    /// The pods by namespace.
    pub namespaces: BTreeMap<Box<str>, Counts>,
    /// The workloads with pods that are not as expected.
    pub workloads: BTreeMap<WorkloadKey, WorkloadCounts>,
    /// The doubts about pods that may or may not be as expected.
    pub doubts: BTreeMap<Doubt, u64>,
    /// The number of pods whose namespace is not counted separately.
    pub more_namespaces: u64,
    /// The number of pods that are not as expected and whose workload is not counted separately.
    pub more_workloads: u64,
}

/// Numbers of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pods that name the scheduler that they should name.
    pub as_expected: u64,
    /// Pods that should name another scheduler.
    pub wrong: u64,
    /// Pods for which a fact is missing that decides.
    pub unknown: u64,
    /// Pods that have ended, which no scheduler places again.
    pub ended: u64,
}

/// A workload with pods that are not as expected, or a pod without a controller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadKey {
    /// The namespace.
    pub namespace: Box<str>,
    /// The kind.
    pub kind: Box<str>,
    /// The name.
    pub name: Box<str>,
}

/// The pods of a workload.
#[derive(Clone, Debug)]
pub struct WorkloadCounts {
    /// Its pods that are not as expected; the others are not counted.
    pub counts: Counts,
    /// One of these pods.
    pub pod: Box<str>,
    /// The reason of that pod.
    pub reason: Reason,
    /// The scheduler that it names.
    pub actual: Arc<str>,
    /// The scheduler that it should name.
    pub scheduler: Arc<str>,
}

/// A pod to count.
#[derive(Clone, Copy, Debug)]
pub struct CensusEntry<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The kind and the name of its topmost known controller; those of the pod itself if it has none.
    pub workload: (&'a str, &'a str),
}

impl Census {
    /// Counts a pod that has ended.
    pub fn add_ended(&mut self, namespace: &str) {
        self.total.ended += 1;
        if let Some(counts) = self.namespace(namespace) {
            counts.ended += 1;
        }
    }

    /// Counts a pod.
    pub fn add(&mut self, pod: CensusEntry<'_>, expectation: &Expectation) {
        let outcome = expectation.outcome();
        *self.total.of(outcome) += 1;
        *self.reasons.entry(expectation.reason.as_str()).or_default().of(outcome) += 1;
        if let Some(counts) = self.namespace(pod.namespace) {
            *counts.of(outcome) += 1;
        }
        if outcome == Outcome::AsExpected {
            return;
        }
        if let Some(doubt) = expectation.doubt {
            *self.doubts.entry(doubt).or_default() += 1;
        }
        let (kind, name) = pod.workload;
        let key = WorkloadKey { namespace: pod.namespace.into(), kind: kind.into(), name: name.into() };
        if self.workloads.len() >= MAX_ENTRIES && !self.workloads.contains_key(&key) {
            self.more_workloads += 1;
            return;
        }
        let entry = self.workloads.entry(key).or_insert_with(|| WorkloadCounts::new(pod, expectation));
        // An example of a pod that is wrong is worth more than one that may be.
        if outcome == Outcome::Wrong && entry.counts.wrong == 0 {
            *entry = WorkloadCounts { counts: entry.counts, ..WorkloadCounts::new(pod, expectation) };
        }
        *entry.counts.of(outcome) += 1;
    }

    fn namespace(&mut self, namespace: &str) -> Option<&mut Counts> {
        if !self.namespaces.contains_key(namespace) {
            if self.namespaces.len() >= MAX_ENTRIES {
                self.more_namespaces += 1;
                return None;
            }
            self.namespaces.insert(namespace.into(), Counts::default());
        }
        self.namespaces.get_mut(namespace)
    }
}

impl WorkloadCounts {
    fn new(pod: CensusEntry<'_>, expectation: &Expectation) -> Self {
        let Expectation { reason, actual, scheduler, .. } = expectation;
        let (actual, scheduler) = (actual.clone(), scheduler.clone());
        Self { counts: Counts::default(), pod: pod.name.into(), reason: *reason, actual, scheduler }
    }
}

impl Counts {
    /// The number of pods that a scheduler places, or has placed while they run.
    pub fn current(&self) -> u64 {
        self.as_expected + self.wrong + self.unknown
    }

    fn of(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::AsExpected => &mut self.as_expected,
            Outcome::Wrong => &mut self.wrong,
            Outcome::Unknown => &mut self.unknown,
        }
    }
}
