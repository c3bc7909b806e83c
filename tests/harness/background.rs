//! What goes on beside a test, which is a script and waits for one thing after the other.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

/// Runs it, in any test of this process.
pub(crate) fn background() -> &'static Runtime {
    static BACKGROUND: LazyLock<Runtime> = LazyLock::new(|| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a process may have threads")
    });
    &BACKGROUND
}
