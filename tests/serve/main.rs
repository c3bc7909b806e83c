//! `colocate serve` as a process, asked over a real socket; no cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod callers;
mod cluster;
mod end;
mod http;
mod limits;
mod reload;
mod reviews;
mod usage;
mod validation;
