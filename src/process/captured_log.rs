//! The log lines of one test, for assertions.

use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Gives every thread its own log. Installed once, before the first line, because tracing caches for each call site
/// whether it is enabled, for all threads.
static LOG: LazyLock<()> = LazyLock::new(|| {
    let lines = tracing_subscriber::fmt().with_ansi(false).with_target(false).without_time();
    tracing::subscriber::set_global_default(lines.with_writer(|| Log).finish()).unwrap();
});

struct Log;

/// Starts to capture the lines of this thread.
pub(crate) fn start() {
    LazyLock::force(&LOG);
    LOGGED.take();
}

/// Returns the lines of this thread since the start.
pub(crate) fn lines() -> Vec<String> {
    let text = LOGGED.with_borrow(|logged| String::from_utf8(logged.clone()).unwrap());
    text.lines().map(|line| line.trim().to_owned()).collect()
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
