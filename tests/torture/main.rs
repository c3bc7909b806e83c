//! Two colocate processes under load during rollouts, rotations, crashes, and outages, and with wrong clocks.
//!
//! In each scenario, 16 clients create pods without pause at a real API server, with `failurePolicy: Fail`. The scenario
//! fails if a pod is not created because of colocate, or gets the wrong scheduler. Each scenario prints a row of figures.
//!
//! The last scenario, `dashboard`, runs the chart instead of two processes, and ends without any replica: see its file.
//!
//! `COLOCATE_TORTURE=long`, set by `make torture`, runs the scenarios at full length. Otherwise they run as briefly as is still
//! meaningful.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod clocks;
mod crash;
mod dashboard;
mod load;
mod observer;
mod outage;
mod replicas;
mod rollout;
mod rotation;
mod size;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock for one scenario at a time: two at once would distort each other's figures.
fn exclusive() -> MutexGuard<'static, ()> {
    static EXCLUSIVE: Mutex<()> = Mutex::new(());
    EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
