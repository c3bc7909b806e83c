//! `colocate mutate` and `colocate validate` as processes, on files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod destination;
mod environments;
mod input;
mod memory;
mod mutate;
mod validate;
