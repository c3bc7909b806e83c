//! `colocate mutate` as a process, on files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod cluster;
mod decisions;
mod files;
mod folder;
mod output;
