//! The command line: what a person can ask for. Each command is a file; here is only what they share.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod certs;
mod generate;
mod hunks;
mod input;
mod knowledge;
mod mutate;
mod paint;
mod probe;
mod serve;
mod validate;

/// Keeps stateful pods next to their data: an admission server that sets the storage driver's scheduler
#[derive(Debug, Parser)]
#[command(name = "colocate", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Mutate(mutate::Mutate),
    Validate(validate::Validate),
    Probe(probe::Probe),
    Certs(certs::Certs),
    Completions(generate::Completions),
    Man(generate::Man),
}

/// The exit codes and what each means, as docs/running.md and the man page have them.
pub const EXIT_STATUS: [(&str, &str); 6] = [
    ("0", "done"),
    (
        "1",
        "failed: input that cannot be read or parsed, no cluster, no answer; for `validate`: findings of severity error",
    ),
    ("2", "wrong usage"),
    ("3", "with `--strict`: something could not be resolved or checked"),
    ("4", "with `--check`: something would change"),
    ("143, 130", "a second SIGTERM or SIGINT ended `serve` before it had drained"),
];

/// The exit code of a command that did what was asked for, where success is not all there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    /// Something was found that is an error.
    Findings = 1,
    /// With `--strict`: something could not be resolved or checked.
    Unresolved = 3,
    /// With `--check`: something would change.
    WouldChange = 4,
}

/// Arguments that do not go together, which the parser cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(&'static str);

impl Cli {
    /// Does what was asked for, and says with the exit code ([`EXIT_STATUS`]) how it went. Most wrong usage the parser
    /// finds before.
    pub async fn run(self) -> ExitCode {
        let exit = match self.command {
            Command::Serve(serve) => serve.run().await.map(|()| Exit::Done),
            Command::Mutate(mutate) => mutate.run().await,
            Command::Validate(validate) => validate.run().await,
            Command::Probe(probe) => probe.run().await.map(|()| Exit::Done),
            Command::Certs(certs) => certs.run().map(|()| Exit::Done),
            Command::Completions(completions) => completions.run().map(|()| Exit::Done),
            Command::Man(man) => man.run().map(|()| Exit::Done),
        };
        match exit {
            Ok(exit) => ExitCode::from(exit as u8),
            Err(error) if reader_left(&error) => ExitCode::SUCCESS,
            Err(error) => {
                // Where nobody listens, the exit code has to do.
                let _ = writeln!(io::stderr(), "colocate: {}", one_line(&error));
                ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
            }
        }
    }
}

/// Returns true if the reader of the output has had enough of it, as `head` has.
fn reader_left(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error and its causes; a cause that the text before it holds already is not said again.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("no such file").context("cannot read a: no such file").context("it failed");
        assert_eq!(one_line(&error), "it failed: cannot read a: no such file");
    }
}
