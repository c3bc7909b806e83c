//! The outcome for each pod: durations and failures.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Once;
use std::time::{Duration, Instant};

use colocate_harness::{NoAnswer, Reply, Timings};
use hyper::StatusCode;

use super::pod::Pod;

/// The outcomes of a scenario.
pub(crate) struct Record {
    began: Instant,
    ended: Option<Instant>,
    /// The duration of each successful creation.
    took: Vec<Duration>,
    /// The number of pods that were created on each scheduler.
    schedulers: BTreeMap<String, usize>,
    failures: Vec<Failure>,
    misplaced: Vec<Misplaced>,
    /// The longest delay of a timer in this process.
    late: Duration,
}

/// A pod that was not created.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    cause: NotCreated,
}

/// The reason why a pod was not created.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCreated {
    /// The API server reports that colocate failed.
    #[error("{0}")]
    Colocate(String),
    /// The API server reports something else.
    #[error("HTTP {0}: {1}")]
    ApiServer(StatusCode, String),
    /// The API server did not answer.
    #[error("{0}")]
    NoAnswer(NoAnswer),
}

/// A pod that was created with the wrong scheduler.
#[derive(Debug)]
#[allow(dead_code, reason = "the fields are printed with Debug")]
struct Misplaced {
    sort: &'static str,
    scheduler: String,
}

impl NotCreated {
    /// Returns true if colocate caused it.
    pub(super) fn is_from_colocate(&self) -> bool {
        matches!(self, Self::Colocate(_))
    }
}

impl From<Reply> for NotCreated {
    fn from(reply: Reply) -> Self {
        let message = reply.object.text("/message").to_owned();
        if message.contains("failed calling webhook") {
            Self::Colocate(message)
        } else {
            Self::ApiServer(reply.status, message)
        }
    }
}

impl From<NoAnswer> for NotCreated {
    fn from(error: NoAnswer) -> Self {
        Self::NoAnswer(error)
    }
}

impl Failure {
    /// Returns true if colocate caused it, and not the API server.
    pub(crate) fn is_from_colocate(&self) -> bool {
        self.cause.is_from_colocate()
    }

    /// Returns true if it overlaps one of these periods.
    pub(crate) fn is_within(&self, times: &[(Instant, Instant)]) -> bool {
        times.iter().any(|(begin, end)| *begin <= self.ended && self.began <= *end)
    }
}

impl Record {
    /// Starts an empty record.
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            ended: None,
            took: Vec::new(),
            schedulers: BTreeMap::new(),
            failures: Vec::new(),
            misplaced: Vec::new(),
            late: Duration::ZERO,
        }
    }

    /// Records a creation, with the pod's scheduler, or a failure.
    pub(super) fn add(&mut self, pod: &Pod, began: Instant, outcome: Result<String, NotCreated>) {
        let ended = Instant::now();
        match outcome {
            Ok(scheduler) => {
                self.took.push(ended - began);
                *self.schedulers.entry(scheduler.clone()).or_default() += 1;
                if scheduler != pod.scheduler {
                    self.misplaced.push(Misplaced { sort: pod.sort, scheduler });
                }
            }
            Err(cause) => self.failures.push(Failure { began, ended, cause }),
        }
    }

    /// Records the delay of a timer.
    pub(super) fn was_late(&mut self, late: Duration) {
        self.late = self.late.max(late);
    }

    pub(super) fn end(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// Returns the number of created pods.
    pub(super) fn created(&self) -> usize {
        self.took.len()
    }

    /// Returns the reason of the last failure.
    pub(super) fn last_failure(&self) -> String {
        self.failures.last().map(|failure| failure.cause.to_string()).unwrap_or_default()
    }

    /// Returns the number of pods that were not created because of colocate.
    pub(crate) fn lost(&self) -> usize {
        self.failures.iter().filter(|failure| failure.is_from_colocate()).count()
    }

    /// Panics unless every pod was created on its scheduler.
    pub(crate) fn assert_nothing_failed(&self) {
        self.assert_no_failure_except(|_| false);
    }

    /// Panics unless every created pod is on its scheduler, and every failure is `explained`.
    pub(crate) fn assert_no_failure_except(&self, explained: impl Fn(&Failure) -> bool) {
        let unexplained: Vec<_> = self.failures.iter().filter(|failure| !explained(failure)).collect();
        let first: Vec<_> = unexplained.iter().take(5).map(|failure| failure.cause.to_string()).collect();
        assert!(
            unexplained.is_empty(),
            "{} pods were not created: {first:#?}\n(this process did not get CPU time for up to {} ms)",
            unexplained.len(),
            self.late.as_millis()
        );
        assert!(self.misplaced.is_empty(), "{:#?}", self.misplaced);
        assert!(self.schedulers.contains_key("stork") && self.schedulers.len() == 2, "{:?}", self.schedulers);
    }

    /// Prints a row of figures about a scenario, with `notes` in the last column.
    pub(crate) fn print(&self, scenario: &str, notes: &str) {
        static HEADER: Once = Once::new();
        HEADER.call_once(|| {
            print(
                "| scenario | pods | on `stork` | failed by colocate | failed, API server down | pods per second | p50 | p99 | longest | duration | notes |",
            );
            print("|---|---|---|---|---|---|---|---|---|---|---|");
        });
        let lasted = self.ended.unwrap_or_else(Instant::now) - self.began;
        let timings = Timings::new(self.took.clone(), lasted);
        let [p50, p99, longest] = [50, 99, 100].map(|percent| timings.percentile(percent).as_millis());
        print(&format!(
            "| {scenario} | {} | {} | {} | {} | {:.0} | {p50} ms | {p99} ms | {longest} ms | {} s | {notes} |",
            self.created(),
            self.schedulers.get("stork").copied().unwrap_or_default(),
            self.lost(),
            self.failures.len() - self.lost(),
            timings.per_second(),
            lasted.as_secs(),
        ));
    }
}

/// Prints to stderr directly, because the test runner captures what tests print.
fn print(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use colocate_harness::Object;

    fn failed(message: &str) -> NotCreated {
        let object = Object(json!({"message": message}));
        NotCreated::from(Reply { status: StatusCode::INTERNAL_SERVER_ERROR, warnings: Vec::new(), object })
    }

    fn record<const N: usize>(outcomes: [Result<&str, NotCreated>; N]) -> Record {
        let mut record = Record::begin();
        for outcome in outcomes {
            record.add(&Pod::of_portworx(), Instant::now(), outcome.map(str::to_owned));
        }
        record.schedulers.entry("default-scheduler".to_owned()).or_default();
        record
    }

    #[test]
    fn failures_are_attributed_by_the_api_servers_message() {
        let message = "Internal error occurred: failed calling webhook \"mutate.colocate.test\": EOF";
        assert!(failed(message).is_from_colocate());
        assert!(!failed("etcdserver: request timed out").is_from_colocate());
    }

    #[test]
    fn a_failure_is_within_the_periods_that_it_overlaps() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let failure = Failure { began: at(3), ended: at(5), cause: failed("") };
        for (begin, end, within) in [(0, 2, false), (0, 3, true), (4, 4, true), (5, 9, true), (6, 9, false)] {
            assert_eq!(failure.is_within(&[(at(10), at(11)), (at(begin), at(end))]), within, "{begin} to {end}");
        }
    }

    #[test]
    fn pods_on_their_scheduler_pass() {
        record([Ok("stork"), Ok("stork")]).assert_nothing_failed();
    }

    #[test]
    #[should_panic(expected = "default-scheduler")]
    fn a_pod_on_the_wrong_scheduler_does_not_pass() {
        record([Ok("stork"), Ok("default-scheduler")]).assert_nothing_failed();
    }

    #[test]
    #[should_panic(expected = "1 pods were not created")]
    fn an_unexplained_failure_does_not_pass() {
        let outcomes = [Ok("stork"), Err(failed("failed calling webhook")), Err(failed("etcd"))];
        record(outcomes).assert_no_failure_except(|failure| !failure.is_from_colocate());
    }

    #[test]
    #[should_panic(expected = "{}")]
    fn an_empty_record_does_not_pass() {
        Record::begin().assert_nothing_failed();
    }
}
