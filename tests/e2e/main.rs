//! colocate on a real control plane: kubectl, an API server that calls it over TLS, and two schedulers.
//!
//! The tests share one control plane, except for those that stop parts of it. Each test has its own namespace and its own
//! colocate. Objects of a test stay until this process ends, and the control plane with it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod argo;
mod arrival;
mod contract;
mod events;
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
