//! Process plumbing, handed on as one value: how the process ends, whether it is ready, its metrics and its background
//! tasks.

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

/// What every part of a running process shares. Clones share it too.
#[derive(Clone, Debug)]
pub struct Process {
    /// How the process ends.
    pub shutdown: Shutdown,
    /// Whether the process can answer requests.
    pub readiness: Readiness,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Starts background tasks.
    pub tasks: Tasks,
}

impl Process {
    /// A process that is starting, and where failures of its background tasks arrive.
    pub fn new() -> (Self, TaskFailures) {
        let shutdown = Shutdown::default();
        let readiness = Readiness::new(shutdown.draining.clone());
        let (tasks, failures) = Tasks::new();
        (Self { shutdown, readiness, metrics: Arc::default(), tasks }, failures)
    }
}

#[cfg(test)]
impl Default for Process {
    /// A process whose failed tasks go unnoticed.
    fn default() -> Self {
        Self::new().0
    }
}
