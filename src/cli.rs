//! The command line: what a person can ask for. Each command is a file; here is only what they share.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod serve;

/// Keeps stateful pods next to their data: an admission server that sets the storage driver's scheduler.
#[derive(Debug, Parser)]
#[command(name = "colocate", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
}

impl Cli {
    /// Does what was asked for, and says with the exit code how it went: 0 done, 1 failed. Wrong usage (2) is found by
    /// the parser before.
    pub async fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Serve(serve) => serve.run().await,
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("colocate: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}
