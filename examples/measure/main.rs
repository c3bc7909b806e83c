//! The measurements of `make bench`, `make bench-claims` and `make bench-waiters`: targets and figures as tables for
//! `docs/measurements.md`.
//!
//! A missed target is printed but is not a failure, because figures depend on the machine.

mod apiserver;
mod claims;
mod engine;
mod figure;
mod machine;
mod server;
mod table;
mod waiters;

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
}

fn main() -> anyhow::Result<()> {
    match Measurement::parse() {
        Measurement::Engine => engine::run(),
        Measurement::Claims(options) => claims::run(options),
        Measurement::Waiters => tokio::runtime::Runtime::new()?.block_on(waiters::run()),
    }
}
