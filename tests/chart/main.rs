//! The Helm chart: the output of the real helm, and the documentation of the chart.
//!
//! These tests do not need a cluster. `tests/installation` covers what only an API server can check.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod chart;

mod alerts;
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
mod package;
mod refusals;
mod release;
mod rights;
mod schema;
mod tls;
mod values;
mod webhooks;
