//! The measurements of `make bench`, `make bench-claims`, `make bench-waiters` and `make bench-peers`: targets and figures as
//! tables for `docs/measurements.md`.
//!
//! A missed target is printed but is not a failure, because figures depend on the machine. The ratios of `make bench-peers` do
//! not: with a missed goal, it exits with 1.

mod apiserver;
mod claims;
mod engine;
mod figure;
mod machine;
mod peers;
mod server;
mod table;
mod waiters;

use std::process::ExitCode;

use clap::Parser;

/// Measure colocate.
#[derive(Debug, Parser)]
enum Measurement {
    /// The engine, from the output of the bench `engine`, and the server
    Engine,
    /// The cache of claims
    Claims(claims::Options),
    /// The cost of waiting pods
    Waiters,
    /// The same webhook, written in Go
    Peers(peers::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    match Measurement::parse() {
        Measurement::Engine => engine::run()?,
        Measurement::Claims(options) => claims::run(options)?,
        Measurement::Waiters => tokio::runtime::Runtime::new()?.block_on(waiters::run())?,
        Measurement::Peers(options) => return peers::run(&options),
    }
    Ok(ExitCode::SUCCESS)
}
