//! The queue from reviews to the Events that are written in the background.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc::{Sender, channel};

use super::occurrence::Occurrence;
use super::writer::EventWriter;
use crate::api::ApiClient;
use crate::engine::{Decision, Request};
use crate::process::Process;

/// The most occurrences that wait for the writer, which takes all of them between two requests. Each has 2 kB at most.
const CAPACITY: usize = 256;

/// Records the warnings about pods as Events on their controllers. Clones share its queue.
#[derive(Clone, Debug, Default)]
pub struct EventRecorder(Option<Arc<Queue>>);

#[derive(Debug)]
struct Queue {
    reports: Sender<Report>,
    /// The namespaces whose claims are watched, and that may be written to; empty means all.
    namespaces: Vec<String>,
    process: Process,
}

/// An occurrence, and its time by the API server's clock.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) occurrence: Occurrence,
    pub(super) time: Timestamp,
}

impl EventRecorder {
    /// Creates a recorder that records nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts the task that writes Events, in these namespaces only; empty means all.
    pub fn start(client: ApiClient, namespaces: &[String], process: &Process) -> Self {
        let (reports, queue) = channel(CAPACITY);
        let writer = EventWriter::new(client, queue, process);
        process.tasks.spawn("Events", writer.run(process.shutdown.draining.clone()));
        let (namespaces, process) = (namespaces.to_vec(), process.clone());
        Self(Some(Arc::new(Queue { reports, namespaces, process })))
    }

    /// Records the warnings of a decision about a new pod with a controller. Never waits: without room in the queue, a warning
    /// is dropped and counted.
    pub fn record(&self, request: &Request<'_>, decision: &Decision<'_>) {
        let Some(Queue { reports, namespaces, process }) = self.0.as_deref() else { return };
        let is_foreign = !namespaces.is_empty() && !namespaces.iter().any(|name| name == request.namespace());
        if decision.warnings.is_empty() || is_foreign || process.shutdown.draining.is_cancelled() {
            return;
        }
        for occurrence in Occurrence::of(request, decision) {
            if reports.try_send(Report { occurrence, time: process.clock.read().now() }).is_err() {
                process.metrics.events.inc(["dropped"]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
