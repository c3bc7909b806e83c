//! The chart, installed by the real Helm on a real control plane.
//!
//! KWOK calls pods ready and runs nothing: a kubelet of the tests runs those of the chart, as processes of this machine, with the
//! rendered arguments, files and account (`tests/harness/src/kubelet.rs`).

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod conditions;
mod dry_run;
mod findings;
mod hook;
mod leaving;
mod life;
mod reach;
mod rights;
mod stream;
mod strict;
