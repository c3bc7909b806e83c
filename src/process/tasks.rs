//! Background tasks that run for as long as the process lives.

use std::any::Any;
use std::future::pending;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Starts background tasks. A task that ends is a failure, so that a process without that task does not look healthy.
#[derive(Clone, Debug)]
pub struct Tasks {
    failures: UnboundedSender<TaskFailure>,
    stop: CancellationToken,
}

/// Receives the tasks that have ended. When it is dropped, the tasks are cancelled.
#[derive(Debug)]
pub struct TaskFailures {
    receiver: UnboundedReceiver<TaskFailure>,
    _stop: DropGuard,
}

/// A background task that ended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the background task `{name}` {how}")]
pub struct TaskFailure {
    name: String,
    how: String,
}

impl Tasks {
    /// Creates a handle that starts tasks, and the receiver of their failures.
    pub fn new() -> (Self, TaskFailures) {
        let (failures, receiver) = unbounded_channel();
        let stop = CancellationToken::new();
        (Self { failures, stop: stop.clone() }, TaskFailures { receiver, _stop: stop.drop_guard() })
    }

    /// Starts a task. Its failure names it by `name`.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let Self { failures, stop } = self.clone();
        let name = name.into();
        tokio::spawn(async move {
            let how = match stop.run_until_cancelled(AssertUnwindSafe(task).catch_unwind()).await {
                // The process is ending.
                None => return,
                Some(Ok(())) => "ended unexpectedly".to_owned(),
                Some(Err(cause)) => panicked(&*cause),
            };
            let _ = failures.send(TaskFailure { name, how });
        });
    }
}

impl TaskFailures {
    /// Waits for a task to end.
    pub async fn next(&mut self) -> TaskFailure {
        match self.receiver.recv().await {
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
            (0, "the background task `two` ended unexpectedly"),
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

    #[tokio::test]
    async fn tasks_are_cancelled_with_the_receiver_of_their_failures() {
        let (tasks, failures) = Tasks::new();
        let (held, mut released) = tokio::sync::mpsc::channel::<()>(1);
        tasks.spawn("one", async move {
            pending::<()>().await;
            drop(held);
        });
        drop(failures);
        assert_eq!(released.recv().await, None);
    }
}
