//! colocate on a real control plane: kubectl, an API server that calls it over TLS, and two schedulers.
//!
//! One control plane for all but those who stop its parts, and a namespace and a colocate for each test. What a test makes stays until the control
//! plane goes, which is when this process ends.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod argo;
mod arrival;
mod contract;
mod existing;
mod kinds;
mod left_alone;
mod missing;
mod modes;
mod mysql;
mod no_harm;
mod offline;
mod opt_out;
mod outage;
mod picture;
mod probe;
mod rights;
mod scheduler;
mod trust;
mod validation;
mod volumes;
mod waiters;
