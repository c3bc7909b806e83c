//! Two colocate processes under load while everything around them goes wrong: rollouts, rotations, crashes, outages.
//!
//! In each scenario, 16 clients create pods without pause at a real API server that has `failurePolicy: Fail`. A pod that
//! was not created because of colocate, or is on the wrong scheduler, fails it. Each prints a row of figures.
//!
//! `COLOCATE_TORTURE=long`, which is `make torture`, runs them at full length; else they are as short as still tells.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod crash;
mod load;
mod observer;
mod outage;
mod replicas;
mod rollout;
mod rotation;
mod size;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The machine, for one scenario at a time: two at once would measure each other.
fn stage() -> MutexGuard<'static, ()> {
    static STAGE: Mutex<()> = Mutex::new(());
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}
