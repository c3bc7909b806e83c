//! `colocate serve` as a process of its own, and the ways to talk to it.

#![allow(dead_code, unused_imports, reason = "each of its users uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it fails by panicking")]

mod connection;
mod server;

pub(crate) use connection::{Answer, Connection};
pub(crate) use server::{NAME, Server};

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longer than anything takes on a busy machine, and shorter than a person waits for a test that hangs.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_colocate"))
}

pub(crate) fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/mysql")
}

/// Lets a process, and what it starts from now on, open so many files.
pub(crate) fn allow_files(process: u32, count: usize) {
    let (process, limit) = (process.to_string(), format!("--nofile={count}:"));
    assert!(Command::new("prlimit").args(["--pid", &process, &limit]).status().unwrap().success());
}
