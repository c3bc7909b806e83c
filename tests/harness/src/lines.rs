//! Collects the output lines of a program.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::WAIT_TIMEOUT;
use super::colocate::message;

/// The lines so far. Clones share them.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    so_far: Mutex<SoFar>,
    grew: Condvar,
}

#[derive(Default)]
struct SoFar {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Collects the lines of `source` until its end.
    pub fn of(source: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let collector = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                collector.lock().lines.push(line);
                collector.0.grew.notify_all();
            }
            collector.lock().ended = true;
            collector.0.grew.notify_all();
        });
        lines
    }

    /// All lines so far.
    pub fn so_far(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// Waits until `pick` returns a value for a line, and returns the value. `what` is the subject of the panic message if no
    /// such line appears.
    pub fn wait_for<T>(&self, what: &str, mut pick: impl FnMut(&str) -> Option<T>) -> T {
        let mut seen = 0;
        let mut picked = None;
        let more = |so_far: &mut SoFar| {
            picked = so_far.lines[seen..].iter().find_map(|line| pick(line));
            seen = so_far.lines.len();
            picked.is_none() && !so_far.ended
        };
        let waited = self.0.grew.wait_timeout_while(self.lock(), WAIT_TIMEOUT, more);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        picked.unwrap_or_else(|| panic!("{what} did not appear; the last lines:\n{}", self.last()))
    }

    /// Waits for `count` lines of a JSON log with that message.
    pub fn wait_for_message(&self, text: &str, count: usize) {
        let mut seen = 0;
        self.wait_for(&format!("{text:?}, {count} times,"), |line| {
            seen += usize::from(message::<serde_json::Value>(line, text).is_some());
            (seen == count).then_some(())
        });
    }

    /// Waits for the end of the output.
    pub fn wait_for_end(&self, program: &str) {
        let waited = self.0.grew.wait_timeout_while(self.lock(), WAIT_TIMEOUT, |so_far| !so_far.ended);
        let (so_far, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(so_far);
        assert!(!waited.timed_out(), "{program} did not exit; its last lines:\n{}", self.last());
    }

    /// Calls `take` with each line until the end of the output.
    pub fn follow(&self, mut take: impl FnMut(&str)) {
        for index in 0.. {
            let so_far = self.lock();
            let waiting = |so_far: &mut SoFar| so_far.lines.len() <= index && !so_far.ended;
            let so_far = self.0.grew.wait_while(so_far, waiting).unwrap_or_else(PoisonError::into_inner);
            let Some(line) = so_far.lines.get(index).cloned() else { return };
            drop(so_far);
            take(&line);
        }
    }

    /// Returns the last 100 lines only, because an audit log has megabytes.
    fn last(&self) -> String {
        let lines = self.so_far();
        lines[lines.len().saturating_sub(100)..].join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, SoFar> {
        self.0.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
