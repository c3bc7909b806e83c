//! Two colocate processes under load while everything around them goes wrong: rollouts, rotations, crashes, outages.
//!
//! In each scenario, 16 clients create pods without pause at a real API server that has `failurePolicy: Fail`. A pod that
//! was not created because of colocate, or is on the wrong scheduler, fails it. Each prints a row of figures.
//!
//! `COLOCATE_TORTURE=long`, which is `make torture`, runs them at full length; else they are as short as still tells.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../harness/harness.rs"]
mod harness;

mod balancer;
mod crash;
mod load;
mod mount;
mod observer;
mod outage;
mod replicas;
mod rollout;
mod rotation;
mod size;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Builder, Runtime};

/// Runs what goes on beside a scenario, which is a script and waits for one thing after the other.
fn background() -> &'static Runtime {
    static BACKGROUND: LazyLock<Runtime> = LazyLock::new(|| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a process may have threads")
    });
    &BACKGROUND
}

/// The machine, for one scenario at a time: two at once would measure each other.
fn stage() -> MutexGuard<'static, ()> {
    static STAGE: Mutex<()> = Mutex::new(());
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}
