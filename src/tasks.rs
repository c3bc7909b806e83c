//! What runs in the background for as long as the process lives, by name.

use std::any::Any;
use std::collections::HashMap;
use std::future::pending;

use tokio::task::{Id, JoinSet};

/// Background tasks. None of them may end: a process of which a part has stopped must not look as if it was well.
#[derive(Debug, Default)]
pub struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, String>,
}

/// A background task that ended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the background task `{name}` {how}")]
pub struct Ended {
    name: String,
    how: String,
}

impl Tasks {
    /// Starts a task; `name` says what it does.
    pub fn spawn(&mut self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.running.spawn(task);
        self.names.insert(handle.id(), name.into());
    }

    /// Returns when a task has ended, which is a failure.
    pub async fn ended(&mut self) -> Ended {
        let (id, how) = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => (id, "ended, and nothing does its work any more".to_owned()),
            Some(Err(error)) => {
                (error.id(), error.try_into_panic().map_or("was stopped".to_owned(), |cause| panicked(&*cause)))
            }
            None => pending().await,
        };
        Ended { name: self.names.remove(&id).unwrap_or_default(), how }
    }
}

fn panicked(cause: &(dyn Any + Send)) -> String {
    let words = cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str));
    words.map_or("panicked".to_owned(), |words| format!("panicked: {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_named_with_its_cause() {
        for (task, expected) in [
            (0, "the background task `two` ended, and nothing does its work any more"),
            (1, "the background task `two` panicked: it broke"),
            (2, "the background task `two` panicked: at 7"),
        ] {
            let mut tasks = Tasks::default();
            tasks.spawn("one", pending());
            tasks.spawn("two", async move {
                assert!(task != 1, "it broke");
                assert!(task != 2, "at {}", 7);
            });
            assert_eq!(tasks.ended().await.to_string(), expected);
        }
    }
}
