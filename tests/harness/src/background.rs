//! A runtime for asynchronous work during a blocking test.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

/// The runtime that all tests of this process share.
pub fn background() -> &'static Runtime {
    static BACKGROUND: LazyLock<Runtime> = LazyLock::new(|| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("the process can start threads")
    });
    &BACKGROUND
}
