//! Pods counted by the reason of their expectation, by namespace and by workload.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::expectation::{Expectation, Outcome, UnknownFact};
use super::verdict::Verdict;

/// The largest number of workloads and of namespaces that are counted separately. At 200 bytes each, they take 4 MB.
const MAX_ENTRIES: usize = 10_000;

/// The word for pods that API servers do not send to colocate, next to the reasons of the engine.
pub(crate) const NOT_SENT: &str = "not-sent";

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
    /// The facts that are not known, with the number of pods that may or may not be as expected as a result.
    pub unknown_facts: BTreeMap<UnknownFact, u64>,
    /// The number of pods whose namespace is not counted separately.
    pub more_namespaces: u64,
    /// The number of pods that are not as expected and whose workload is not counted separately.
    pub more_workloads: u64,
}

/// Numbers of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pods on the expected scheduler.
    pub as_expected: u64,
    /// Pods that should be on another scheduler.
    pub wrong: u64,
    /// Pods for which a fact that the decision depends on is not known.
    pub unknown: u64,
    /// Pods for which colocate would set another scheduler, but that API servers do not send to it.
    pub not_sent: u64,
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
    /// The reason of that pod, or its verdict.
    pub reason: &'static str,
    /// The scheduler that it names.
    pub actual: Arc<str>,
    /// The expected scheduler.
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
    /// Its verdict, under which it is counted in place of the reason of its expectation.
    pub verdict: Option<Verdict>,
}

impl Census {
    /// Counts a pod that has ended.
    pub fn add_ended(&mut self, namespace: &str) {
        self.total.ended += 1;
        if let Some(counts) = self.namespace(namespace) {
            counts.ended += 1;
        }
    }

    /// Counts a pod that should be on another scheduler, but that API servers do not send to colocate. Whether that is intended is
    /// not known.
    pub fn add_not_sent(&mut self, namespace: &str) {
        self.total.not_sent += 1;
        self.reasons.entry(NOT_SENT).or_default().not_sent += 1;
        if let Some(counts) = self.namespace(namespace) {
            counts.not_sent += 1;
        }
    }

    /// Adds the pods of another census.
    pub fn merge(&mut self, other: Self) {
        self.total.add(other.total);
        for (reason, counts) in other.reasons {
            self.reasons.entry(reason).or_default().add(counts);
        }
        for (namespace, counts) in other.namespaces {
            match self.namespace(&namespace) {
                Some(own) => own.add(counts),
                None => self.more_namespaces += counts.all() - 1,
            }
        }
        for (key, workload) in other.workloads {
            if self.workloads.len() >= MAX_ENTRIES && !self.workloads.contains_key(&key) {
                self.more_workloads += workload.counts.all();
                continue;
            }
            let counts = workload.counts;
            match self.workloads.entry(key) {
                Entry::Vacant(entry) => drop(entry.insert(workload)),
                Entry::Occupied(mut entry) => entry.get_mut().counts.add(counts),
            }
        }
        for (unknown_fact, number) in other.unknown_facts {
            *self.unknown_facts.entry(unknown_fact).or_default() += number;
        }
        self.more_namespaces += other.more_namespaces;
        self.more_workloads += other.more_workloads;
    }

    /// Counts a pod.
    pub fn add(&mut self, pod: CensusEntry<'_>, expectation: &Expectation) {
        let outcome = expectation.outcome();
        *self.total.of(outcome) += 1;
        *self.reasons.entry(pod.reason(expectation)).or_default().of(outcome) += 1;
        if let Some(counts) = self.namespace(pod.namespace) {
            *counts.of(outcome) += 1;
        }
        if outcome == Outcome::AsExpected {
            return;
        }
        if let Some(unknown_fact) = expectation.unknown_fact {
            *self.unknown_facts.entry(unknown_fact).or_default() += 1;
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

impl CensusEntry<'_> {
    fn reason(&self, expectation: &Expectation) -> &'static str {
        self.verdict.map_or(expectation.reason.as_str(), Verdict::as_str)
    }
}

impl WorkloadCounts {
    fn new(pod: CensusEntry<'_>, expectation: &Expectation) -> Self {
        let Expectation { actual, scheduler, .. } = expectation;
        let (actual, scheduler) = (actual.clone(), scheduler.clone());
        Self { counts: Counts::default(), pod: pod.name.into(), reason: pod.reason(expectation), actual, scheduler }
    }
}

impl Counts {
    /// The number of pods that are compared: neither those that are not sent nor those that have ended.
    pub fn compared(&self) -> u64 {
        self.as_expected + self.wrong + self.unknown
    }

    /// The share of compared pods that are as expected, in percent; `None` if none are compared. Pods about which a fact is missing
    /// are not as expected.
    #[allow(clippy::cast_precision_loss, reason = "a cluster has fewer than 2^52 pods")]
    pub fn percent_as_expected(&self) -> Option<f64> {
        match self.compared() {
            0 => None,
            compared => Some(100.0 * self.as_expected as f64 / compared as f64),
        }
    }

    /// The number of all pods.
    fn all(&self) -> u64 {
        self.compared() + self.not_sent + self.ended
    }

    fn add(&mut self, other: Self) {
        self.as_expected += other.as_expected;
        self.wrong += other.wrong;
        self.unknown += other.unknown;
        self.not_sent += other.not_sent;
        self.ended += other.ended;
    }

    fn of(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::AsExpected => &mut self.as_expected,
            Outcome::Wrong => &mut self.wrong,
            Outcome::Unknown => &mut self.unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use colocate_engine::Reason;

    use super::*;

    fn expectation(reason: Reason, actual: &str, scheduler: &str, unknown_fact: Option<UnknownFact>) -> Expectation {
        let (actual, scheduler) = (actual.into(), scheduler.into());
        Expectation { reason, scheduler, actual, warnings: Vec::new(), claims: Vec::new(), unknown_fact }
    }

    fn entry<'a>(namespace: &'a str, name: &'a str, workload: &'a str) -> CensusEntry<'a> {
        CensusEntry { namespace, name, workload: ("StatefulSet", workload), verdict: None }
    }

    #[test]
    fn pods_are_counted_by_reason_namespace_and_workload() {
        let mut census = Census::default();
        let fine = expectation(Reason::Injected, "stork", "stork", None);
        let wrong = expectation(Reason::Injected, "default-scheduler", "stork", None);
        let open = expectation(Reason::Injected, "default-scheduler", "stork", Some(UnknownFact::Namespace));
        let none = expectation(Reason::NoClaims, "default-scheduler", "default-scheduler", None);
        census.add(entry("db", "mysql-0", "mysql"), &fine);
        census.add(entry("db", "mysql-1", "mysql"), &open);
        census.add(entry("db", "mysql-2", "mysql"), &wrong);
        census.add(entry("web", "a-0", "a"), &none);
        census.add_ended("web");
        census.add_not_sent("system");

        let counts = |as_expected, wrong, unknown, ended| Counts { as_expected, wrong, unknown, not_sent: 0, ended };
        let not_sent = Counts { not_sent: 1, ..Counts::default() };
        assert_eq!((census.total, census.total.compared()), (Counts { not_sent: 1, ..counts(2, 1, 1, 1) }, 4));
        assert_eq!((census.total.percent_as_expected(), not_sent.percent_as_expected()), (Some(50.0), None));
        assert_eq!(census.namespaces["system"], not_sent);
        let reasons: Vec<_> = census.reasons.iter().map(|(reason, counts)| (*reason, *counts)).collect();
        assert_eq!(
            reasons,
            [("injected", counts(1, 1, 1, 0)), ("no-claims", counts(1, 0, 0, 0)), (NOT_SENT, not_sent)]
        );
        assert_eq!(census.namespaces["db"], counts(1, 1, 1, 0));
        assert_eq!(census.namespaces["web"], counts(1, 0, 0, 1));
        assert_eq!(census.unknown_facts[&UnknownFact::Namespace], 1);
        // The example is a pod that is wrong, although another one came first.
        let [(key, mysql)] = &census.workloads.iter().collect::<Vec<_>>()[..] else { panic!("{census:?}") };
        assert_eq!((&*key.namespace, &*key.kind, &*key.name), ("db", "StatefulSet", "mysql"));
        assert_eq!((mysql.counts, &*mysql.pod), (counts(0, 1, 1, 0), "mysql-2"));
    }

    #[test]
    fn the_numbers_of_entries_are_bounded_and_the_totals_are_not() {
        let mut census = Census::default();
        let wrong = expectation(Reason::Injected, "default-scheduler", "stork", None);
        for number in 0..MAX_ENTRIES + 5 {
            let name = format!("n{number}");
            census.add(entry(&name, "pod", &name), &wrong);
        }
        census.add(entry("n0", "another", "n0"), &wrong);
        assert_eq!((census.workloads.len(), census.namespaces.len()), (MAX_ENTRIES, MAX_ENTRIES));
        assert_eq!((census.more_workloads, census.more_namespaces), (5, 5));
        assert_eq!(census.total.wrong, MAX_ENTRIES as u64 + 6);
        assert_eq!(census.namespaces["n0"].wrong, 2);
    }
}
