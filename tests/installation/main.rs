//! The chart, installed by the real Helm on a real control plane.
//!
//! KWOK reports pods as ready but does not run them. A kubelet of the test harness (`tests/harness/src/kubelet.rs`) runs the
//! chart's pods as local processes, with the rendered arguments, files, and service account.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod conditions;
mod dry_run;
mod findings;
mod hook;
mod leaving;
mod life;
mod manifest;
mod reach;
mod rights;
mod stream;
mod strict;
