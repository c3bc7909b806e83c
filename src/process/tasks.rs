//! Background tasks that run for as long as the process lives.

use std::any::Any;
use std::future::pending;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Starts background tasks. A task that ends is a failure, so that a process that has lost a part does not look healthy.
#[derive(Clone, Debug)]
pub struct Tasks(UnboundedSender<TaskFailure>);

/// Receives the tasks that have ended.
#[derive(Debug)]
pub struct TaskFailures(UnboundedReceiver<TaskFailure>);

/// A background task that ended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the background task `{name}` {how}")]
pub struct TaskFailure {
    name: String,
    how: String,
}

impl Tasks {
    /// Creates a starter of tasks and the receiver of their failures.
    pub fn new() -> (Self, TaskFailures) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), TaskFailures(receiver))
    }

    /// Starts a task. Its failure names it by `name`.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let (name, failures) = (name.into(), self.0.clone());
        tokio::spawn(async move {
            let how = match AssertUnwindSafe(task).catch_unwind().await {
                Ok(()) => "ended, and nothing has taken over its work".to_owned(),
                Err(cause) => panicked(&*cause),
            };
            // Without a receiver, the process is ending.
            let _ = failures.send(TaskFailure { name, how });
        });
    }
}

impl TaskFailures {
    /// Waits for a task to end.
    pub async fn next(&mut self) -> TaskFailure {
        match self.0.recv().await {
            Some(failure) => failure,
            None => pending().await,
        }
    }
}

fn panicked(cause: &(dyn Any + Send)) -> String {
    let message = cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str));
    message.map_or("panicked".to_owned(), |message| format!("panicked: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_named_with_its_cause() {
        for (task, expected) in [
            (0, "the background task `two` ended, and nothing has taken over its work"),
            (1, "the background task `two` panicked: it broke"),
            (2, "the background task `two` panicked: at 7"),
        ] {
            let (tasks, mut failures) = Tasks::new();
            tasks.spawn("one", pending());
            tasks.spawn("two", async move {
                assert!(task != 1, "it broke");
                assert!(task != 2, "at {}", 7);
            });
            assert_eq!(failures.next().await.to_string(), expected);
        }
    }
}
