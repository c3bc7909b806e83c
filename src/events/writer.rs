//! The background task that writes Events.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::header::CONTENT_TYPE;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::event;
use super::recorder::Report;
use super::series_table::{Outcome, SeriesTable, SeriesWrite};
use crate::api::{ApiClient, ApiError, FIELD_MANAGER, Resource};
use crate::process::Process;
use crate::process::metrics::Metrics;
use crate::process::readiness::ReadinessDetail;

const EVENTS: Resource = Resource::new("events.k8s.io", "events");

/// The first back-off after the API server did not respond or was overloaded. It doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest back-off.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// The time between two log lines about failures with the same status.
const LOG_INTERVAL: Duration = Duration::from_hours(1);

/// Writes the Events of a queue, one request at a time.
pub(super) struct EventWriter {
    client: ApiClient,
    queue: Receiver<Report>,
    table: SeriesTable,
    /// The name of this process in Events.
    instance: String,
    /// The earliest time of the next request.
    resume: Instant,
    /// The next pause.
    pause: Duration,
    /// The times of the last log lines, by status.
    logged: BTreeMap<Option<u16>, Instant>,
    metrics: Arc<Metrics>,
    detail: ReadinessDetail,
}

impl EventWriter {
    pub(super) fn new(client: ApiClient, queue: Receiver<Report>, process: &Process) -> Self {
        let now = Instant::now();
        Self {
            client,
            queue,
            table: SeriesTable::new(now),
            instance: host_name(),
            resume: now,
            pause: FIRST_PAUSE,
            logged: BTreeMap::new(),
            metrics: process.metrics.clone(),
            detail: process.readiness.detail("events"),
        }
    }

    /// Writes Events until the process drains. A request in flight is then cancelled, so that it does not delay pending reviews.
    pub(super) async fn run(mut self, draining: CancellationToken) {
        draining.run_until_cancelled(self.write_all()).await;
        pending::<()>().await;
    }

    async fn write_all(&mut self) {
        let mut reports = Vec::new();
        loop {
            let next = self.table.next(Instant::now()).map(|next| next.max(self.resume));
            tokio::select! {
                count = self.queue.recv_many(&mut reports, usize::MAX) => if count == 0 { return },
                () = sleep_until(next.unwrap_or(self.resume)), if next.is_some() => {}
            }
            let now = Instant::now();
            let mut lost = self.table.end_series(now);
            for Report { occurrence, time } in reports.drain(..) {
                lost += self.table.observe(occurrence, time, now);
            }
            self.count_dropped(lost);
            if self.resume <= now
                && let Some(write) = self.table.next_write(now)
            {
                self.write(write).await;
            }
        }
    }

    async fn write(&mut self, write: SeriesWrite) {
        let error = self.send(&write).await.err();
        let outcome = match &error {
            None => Outcome::Written,
            Some(error) => outcome(error, write.exists),
        };
        let now = Instant::now();
        let lost = self.table.record(&write, outcome, now);
        self.count_dropped(lost);
        match (outcome, error) {
            (Outcome::Written, _) => {
                self.metrics.events.inc([if write.exists { "updated" } else { "created" }]);
                self.pause = FIRST_PAUSE;
                self.detail.set(None);
            }
            (_, Some(error)) if !is_expected(&error) => {
                if outcome == Outcome::Unavailable {
                    self.resume = now + self.pause;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
                self.metrics.events.inc(["failed"]);
                // Before the log line, so that a reader of the log finds the same state in /readyz.
                self.detail.set(Some(error.to_string()));
                self.log(&error, now);
            }
            (_, error) => tracing::debug!(?error, "an Event or its namespace is gone"),
        }
    }

    async fn send(&self, write: &SeriesWrite) -> Result<Vec<u8>, ApiError> {
        let SeriesWrite { occurrence, name, tally, exists } = write;
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", occurrence.controller.namespace);
        let (verb, request, body) = if *exists {
            let request = Request::patch(format!("{path}/{name}?{FIELD_MANAGER}"))
                .header(CONTENT_TYPE, "application/merge-patch+json");
            ("patch", request, event::patch(*tally))
        } else {
            let request = Request::post(format!("{path}?{FIELD_MANAGER}")).header(CONTENT_TYPE, "application/json");
            ("create", request, event::event(name, occurrence, *tally, &self.instance))
        };
        self.client.call((verb, EVENTS), request, body.to_string().into_bytes()).await
    }

    /// Logs a failure, unless one with the same status was logged within the last hour.
    fn log(&mut self, error: &ApiError, now: Instant) {
        let last = self.logged.get(&error.code());
        if last.is_none_or(|last| now - *last >= LOG_INTERVAL) {
            self.logged.insert(error.code(), now);
            tracing::warn!(%error, "cannot record Events; repetitions are logged once an hour");
        }
    }

    fn count_dropped(&self, occurrences: u64) {
        if occurrences > 0 {
            self.metrics.events.add(["dropped"], occurrences);
        }
    }
}

/// Returns the outcome of a write that failed.
fn outcome(error: &ApiError, exists: bool) -> Outcome {
    match error.code() {
        // The response to an earlier request was lost.
        Some(409) if !exists => Outcome::Written,
        Some(404) if exists => Outcome::EventGone,
        Some(403) if !error.is_namespace_terminating() => Outcome::Forbidden,
        // The namespace is gone or terminating, or the Event is invalid.
        Some(400 | 403 | 404 | 413 | 422) => Outcome::Rejected,
        _ => Outcome::Unavailable,
    }
}

/// Returns true if an error is expected: an Event or its namespace was deleted.
fn is_expected(error: &ApiError) -> bool {
    error.code() == Some(404) || error.is_namespace_terminating()
}

/// Returns the name of the host, which in a pod is the name of the pod, or with `hostNetwork` that of its node.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

#[cfg(test)]
mod tests;
