//! colocate
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
pub mod admin;
pub mod claims;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod duration;
pub mod engine;
pub mod log;
pub mod manifest;
pub mod metrics;
pub mod readiness;
pub mod server;
pub mod shutdown;
mod storage;
pub mod tls;
