//! Reports, in the log and in `/readyz`, that this replica's clock and the API server's disagree.

use jiff::Unit;

use super::rotation::TOLERANCE;
use crate::process::clock::ClockReading;
use crate::process::readiness::{Readiness, ReadinessDetail};

/// Reports whether the two clocks agree. Each change is logged once.
#[derive(Debug)]
pub(super) struct ClockReport {
    detail: ReadinessDetail,
    /// Whether the clocks disagreed at the last report.
    disagreed: bool,
}

impl ClockReport {
    /// Creates a report of clocks that have not been read yet.
    pub(super) fn new(readiness: &Readiness) -> Self {
        Self { detail: readiness.detail("clock"), disagreed: false }
    }

    /// Reports these clocks.
    pub(super) fn update(&mut self, clocks: &ClockReading) {
        let problem = problem(clocks);
        // Before the log line, so that a reader of the log finds the same state in /readyz.
        self.detail.set(problem.clone());
        match (&problem, self.disagreed) {
            (Some(problem), false) => tracing::warn!(local = %clocks.local, "{problem}"),
            (None, true) => tracing::info!("the clock agrees with the API server's again"),
            (Some(_), true) | (None, false) => {}
        }
        self.disagreed = problem.is_some();
    }
}

/// Returns why this replica may not take a step of the rotation; `None` if it may.
fn problem(clocks: &ClockReading) -> Option<String> {
    if clocks.agrees_within(TOLERANCE) {
        return None;
    }
    let consequence = "this replica does not create, rotate or remove CAs";
    let Some(skew) = clocks.skew() else {
        return Some(format!("responses of the API server have no Date header, so its time is unknown: {consequence}"));
    };
    let minutes = skew.abs().round(Unit::Minute).unwrap_or(skew);
    let direction = if skew.is_positive() { "ahead of" } else { "behind" };
    Some(format!(
        "the clock of this machine is {minutes:#} {direction} the API server's: {consequence}; set both clocks, for example by NTP"
    ))
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn clocks_that_disagree_are_reported_until_they_agree() {
        let readiness = Readiness::default();
        let mut report = ClockReport::new(&readiness);
        let server: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let line = |ahead: i64, suffix: &str| {
            let ahead = SignedDuration::from_secs(ahead);
            (ClockReading { local: server + ahead, server: Some(server), at: Instant::now() }, suffix.to_owned())
        };
        for (clocks, expected) in [
            line(3600, ""),
            line(3601, "clock: the clock of this machine is 1h ahead of the API server's: this replica does not"),
            line(
                -8 * 3600 - 61,
                "clock: the clock of this machine is 8h 1m behind the API server's: this replica does",
            ),
            line(0, ""),
            (
                ClockReading { server: None, ..line(0, "").0 },
                "clock: responses of the API server have no Date header".to_owned(),
            ),
        ] {
            report.update(&clocks);
            let details = readiness.details().join("\n");
            assert!(details.starts_with(&expected) && details.is_empty() == expected.is_empty(), "{details}");
        }
    }
}
