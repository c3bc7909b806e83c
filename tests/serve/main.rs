//! `colocate serve` as a process, called over a real socket, without a cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod callers;
mod cluster;
mod corpus;
mod end;
mod http;
mod limits;
mod log;
mod reload;
mod reviews;
mod usage;
mod validation;
