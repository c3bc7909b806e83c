//! `colocate serve` as a process, with raw connections to it.

mod connection;
mod server;

pub use connection::{Answer, Connection};
pub use server::{NAME, Server};

use std::path::PathBuf;
use std::process::Command;

use super::{WAIT_TIMEOUT, program, repository};

/// The folder of the MySQL example's manifests.
pub fn manifests() -> PathBuf {
    repository("examples/mysql")
}

/// Sets the limit of open files for a process and its future children.
pub fn allow_files(process: u32, count: usize) {
    let (process, limit) = (process.to_string(), format!("--nofile={count}:"));
    assert!(Command::new("prlimit").args(["--pid", &process, &limit]).status().unwrap().success());
}
