//! Process plumbing, passed on as one value: shutdown, readiness, metrics, background tasks and the log.

pub mod blocking_writer;
#[cfg(test)]
pub(crate) mod captured_log;
pub mod clock;
pub mod log;
pub mod log_line;
pub mod log_queue;
pub mod metrics;
pub mod open_files;
pub mod readiness;
pub mod shutdown;
pub mod tasks;

use std::sync::Arc;

use clock::Clock;
use log_queue::LogQueue;
use metrics::Metrics;
use readiness::Readiness;
use shutdown::Shutdown;
use tasks::{TaskFailures, Tasks};

/// The handles that every part of a running process uses. Clones share them.
#[derive(Clone, Debug)]
pub struct Process {
    /// The steps of a shutdown.
    pub shutdown: Shutdown,
    /// The readiness of the process for requests.
    pub readiness: Readiness,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
    /// The log lines of the process.
    pub log: LogQueue,
    /// Starts background tasks.
    pub tasks: Tasks,
    /// This machine's clock, and the API server's as far as it is known.
    pub clock: Clock,
}

impl Process {
    /// Creates the handles of a process that is starting, and the receiver of the failures of its background tasks.
    pub fn new() -> (Self, TaskFailures) {
        let shutdown = Shutdown::default();
        let readiness = Readiness::new(shutdown.draining.clone());
        let metrics: Arc<Metrics> = Arc::default();
        let log = LogQueue::new(metrics.clone());
        let (tasks, failures) = Tasks::new();
        let clock = Clock::system();
        let measured = clock.clone();
        metrics.clock_skew.set([], move || measured.read().skew());
        (Self { shutdown, readiness, metrics, log, tasks, clock }, failures)
    }
}

#[cfg(test)]
impl Default for Process {
    /// Creates a process that ignores failed tasks.
    fn default() -> Self {
        let (process, failures) = Self::new();
        // Dropping the receiver would cancel the tasks.
        std::mem::forget(failures);
        process
    }
}
