//! Process plumbing, passed on as one value: shutdown, readiness, metrics and background tasks.

pub mod log;
pub mod metrics;
pub mod readiness;
pub mod shutdown;
pub mod tasks;

use std::sync::Arc;

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
    /// Starts background tasks.
    pub tasks: Tasks,
}

impl Process {
    /// Creates the handles of a process that is starting, and the receiver of the failures of its background tasks.
    pub fn new() -> (Self, TaskFailures) {
        let shutdown = Shutdown::default();
        let readiness = Readiness::new(shutdown.draining.clone());
        let (tasks, failures) = Tasks::new();
        (Self { shutdown, readiness, metrics: Arc::default(), tasks }, failures)
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
