//! Lines on standard error, and one that shows the progress of a long run.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use super::say;

/// The time after which the progress is shown. Most runs are shorter.
const PROGRESS_DELAY: Duration = Duration::from_secs(1);

/// The shortest time between two updates.
const INTERVAL: Duration = Duration::from_millis(100);

/// Standard error. If it is closed, the result of the command does not change.
pub(super) struct Console {
    started: Instant,
    /// Whether only errors are printed.
    quiet: bool,
    progress: Option<Progress<io::Stderr>>,
}

/// A line of a terminal that is overwritten.
struct Progress<W> {
    out: W,
    what: &'static str,
    done: u64,
    /// The number of bytes; `None` for objects, whose number is not known before.
    total: Option<u64>,
    shown: Option<Duration>,
}

impl Console {
    pub(super) fn new(quiet: bool) -> Self {
        let stderr = io::stderr();
        let progress = (!quiet && stderr.is_terminal()).then(|| Progress::new(stderr));
        Self { started: Instant::now(), quiet, progress }
    }

    /// Prints complete lines, unless only errors are printed.
    pub(super) fn say(&mut self, lines: &str) {
        if !self.quiet {
            self.error(lines);
        }
    }

    /// Prints complete lines about an error.
    pub(super) fn error(&mut self, lines: &str) {
        if !lines.is_empty() {
            self.clear();
            say(lines);
        }
    }

    /// Starts to count what is done with `total` bytes.
    pub(super) fn start(&mut self, what: &'static str, total: u64) {
        if let Some(progress) = &mut self.progress {
            (progress.what, progress.done, progress.total) = (what, 0, Some(total));
        }
    }

    /// Counts bytes that are done.
    pub(super) fn advance(&mut self, bytes: usize) {
        if let Some(progress) = &mut self.progress {
            progress.advance(bytes as u64, self.started.elapsed());
        }
    }

    /// Counts an object. The count starts anew when another kind is counted.
    pub(super) fn count(&mut self, what: &'static str) {
        if let Some(progress) = &mut self.progress {
            progress.count(what, self.started.elapsed());
        }
    }

    /// Erases the progress, so that other text can be printed.
    pub(super) fn clear(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<W: Write> Progress<W> {
    fn new(out: W) -> Self {
        Self { out, what: "", done: 0, total: None, shown: None }
    }

    /// `elapsed` is the time since the start of the command.
    fn advance(&mut self, bytes: u64, elapsed: Duration) {
        self.done += bytes;
        let due = self.shown.map_or(PROGRESS_DELAY, |shown| shown + INTERVAL);
        if elapsed >= due {
            self.shown = Some(elapsed);
            let Self { what, done, total, .. } = self;
            let amount = match total {
                Some(total) => {
                    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
                    // A file may have grown since it was found.
                    let (done, total) = (megabytes(*done), megabytes(*total).max(megabytes(*done)));
                    format!("{done} of {total} MB")
                }
                None => done.to_string(),
            };
            let _ = write!(self.out, "\r\x1b[Kcolocate: {what}: {amount}").and_then(|()| self.out.flush());
        }
    }

    fn count(&mut self, what: &'static str, elapsed: Duration) {
        if self.what != what || self.total.is_some() {
            (self.what, self.done, self.total) = (what, 0, None);
        }
        self.advance(1, elapsed);
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = self.out.write_all(b"\r\x1b[K").and_then(|()| self.out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_is_shown_after_a_second_and_erased() {
        let mut progress = Progress::new(Vec::new());
        (progress.what, progress.total) = ("reading", Some(10_000_000));
        let at = |milliseconds, progress: &mut Progress<Vec<u8>>| {
            progress.advance(2_000_000, Duration::from_millis(milliseconds));
            String::from_utf8(std::mem::take(&mut progress.out)).unwrap()
        };
        assert_eq!(at(999, &mut progress), "");
        assert_eq!(at(1_000, &mut progress), "\r\x1b[Kcolocate: reading: 4 of 10 MB");
        assert_eq!(at(1_099, &mut progress), "");
        assert_eq!(at(1_100, &mut progress), "\r\x1b[Kcolocate: reading: 8 of 10 MB");
        progress.clear();
        progress.clear();
        assert_eq!(progress.out, b"\r\x1b[K");
    }

    #[test]
    fn objects_are_counted_by_kind() {
        let mut progress = Progress::new(Vec::new());
        let at = |what, milliseconds, progress: &mut Progress<Vec<u8>>| {
            progress.count(what, Duration::from_millis(milliseconds));
            String::from_utf8(std::mem::take(&mut progress.out)).unwrap()
        };
        assert_eq!(at("jobs", 999, &mut progress), "");
        assert_eq!(at("jobs", 1_000, &mut progress), "\r\x1b[Kcolocate: jobs: 2");
        assert_eq!(at("pods", 1_100, &mut progress), "\r\x1b[Kcolocate: pods: 1");
    }
}
