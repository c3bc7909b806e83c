//! The log lines that wait for their output, which may be slow or not read at all.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::metrics::Metrics;

/// The memory for lines that wait, in bytes: about 8,000 decisions at `debug`, or 100 of the longest lines.
const CAPACITY: usize = 4 * 1024 * 1024;

/// The longest wait for the last lines of the process. An active reader takes them within milliseconds.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A queue of log lines with a thread that writes them. Clones share it.
///
/// The output is often a pipe. If no one reads it, a write blocks, but a request that logs must not block. A line for
/// which the queue has no room is therefore dropped and counted.
#[derive(Clone, Debug)]
pub struct LogQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lines: Mutex<Lines>,
    /// Notified when a line is added.
    added: Condvar,
    /// Notified when all lines are written.
    written: Condvar,
    capacity: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: VecDeque<Box<[u8]>>,
    /// The length of all lines that are not written yet.
    bytes: usize,
    /// The lines that were dropped since this was last logged.
    dropped: u64,
}

impl LogQueue {
    /// Creates a queue that counts the lines that it drops in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self::with_capacity(CAPACITY, metrics)
    }

    fn with_capacity(capacity: usize, metrics: Arc<Metrics>) -> Self {
        let (added, written) = (Condvar::new(), Condvar::new());
        Self(Arc::new(Shared { lines: Mutex::default(), added, written, capacity, metrics }))
    }

    /// Starts the thread that writes the lines.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn write_to(&self, output: impl Write + Send + 'static) -> io::Result<()> {
        let queue = self.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || queue.write(output))?;
        Ok(())
    }

    /// Adds a line, which includes its line break, or drops it. Never waits for the output.
    pub fn push(&self, line: &[u8]) {
        let mut lines = self.lock();
        if lines.bytes + line.len() > self.0.capacity {
            self.count_dropped(&mut lines);
            return;
        }
        lines.bytes += line.len();
        lines.waiting.push_back(line.into());
        self.0.added.notify_one();
    }

    /// Waits until all lines are written, but no longer than a second.
    pub fn flush(&self) {
        self.flush_within(LAST_LINES);
    }

    fn flush_within(&self, limit: Duration) {
        drop(self.0.written.wait_timeout_while(self.lock(), limit, |lines| lines.bytes > 0));
    }

    fn write(&self, mut output: impl Write) {
        loop {
            let mut lines = self.lock();
            let line = loop {
                match lines.waiting.pop_front() {
                    Some(line) => break line,
                    None => lines = self.0.added.wait(lines).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(lines);
            let written = output.write_all(&line).and_then(|()| output.flush());
            let mut lines = self.lock();
            if written.is_err() {
                self.count_dropped(&mut lines);
            } else if lines.waiting.is_empty() {
                let dropped = std::mem::take(&mut lines.dropped);
                drop(lines);
                if dropped > 0 {
                    tracing::warn!(lines = dropped, "dropped log lines, because standard error was not read in time");
                }
                lines = self.lock();
            }
            lines.bytes -= line.len();
            if lines.bytes == 0 {
                self.0.written.notify_all();
            }
        }
    }

    fn count_dropped(&self, lines: &mut Lines) {
        lines.dropped += 1;
        self.0.metrics.log_lines_dropped.inc();
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each write of the formatter is one line.
impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// An output whose reader takes one line at a time.
    struct Pipe {
        ready: Receiver<()>,
        lines: Sender<Vec<u8>>,
    }

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.ready.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.lines.send(line.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue with room for 10 bytes, and the reader of its output.
    fn queue() -> (LogQueue, Sender<()>, Receiver<Vec<u8>>) {
        let queue = LogQueue::with_capacity(10, Arc::default());
        let ((take, ready), (lines, read)) = (channel(), channel());
        queue.write_to(Pipe { ready, lines }).unwrap();
        (queue, take, read)
    }

    fn dropped(queue: &LogQueue) -> String {
        let text = queue.0.metrics.encode();
        let line = text.lines().find_map(|line| line.strip_prefix("colocate_log_lines_dropped_total ")).unwrap();
        line.to_owned()
    }

    #[test]
    fn lines_that_no_one_reads_are_dropped_and_counted() {
        let (queue, take, read) = queue();
        for _ in 0..100 {
            queue.push(b"1234\n");
        }
        assert_eq!(dropped(&queue), "98", "the line that is being written counts until it is written");
        for _ in 0..2 {
            take.send(()).unwrap();
            assert_eq!(read.recv().unwrap(), b"1234\n");
        }
        queue.flush_within(Duration::MAX);
        queue.push(b"123456789\n");
        take.send(()).unwrap();
        assert_eq!(read.recv().unwrap(), b"123456789\n");
        assert_eq!(dropped(&queue), "98");
    }

    #[test]
    fn a_flush_waits_for_all_lines_but_not_for_a_reader_that_is_gone() {
        let (queue, take, read) = queue();
        queue.push(b"a\n");
        queue.flush_within(Duration::ZERO);
        queue.push(b"b\n");
        take.send(()).unwrap();
        take.send(()).unwrap();
        queue.flush_within(Duration::MAX);
        assert_eq!(read.try_iter().collect::<Vec<_>>(), [b"a\n", b"b\n"]);
        drop(take);
        queue.push(b"c\n");
        queue.flush_within(Duration::MAX);
        assert_eq!(dropped(&queue), "1");
    }
}
