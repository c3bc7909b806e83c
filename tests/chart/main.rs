//! The Helm chart: what the real helm makes of it, and that what is said of it is true.
//!
//! No cluster is asked. `tests/installation` has what only an API server can tell.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod chart;

mod conditions;
mod config;
mod defaults;
mod documents;
mod effects;
mod install_page;
mod managed_clusters;
mod names;
mod network;
mod observability;
mod refusals;
mod rights;
mod schema;
mod tls;
mod values;
mod webhooks;
