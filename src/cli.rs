//! The command line. Each command has its own file; this one has what they share.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};

use self::examples::Examples;
use self::program::Program;
use crate::engine::printable_lines;
use crate::process::blocking_writer::BlockingWriter;

mod audit;
mod certs;
mod cluster_options;
mod console;
mod destination;
mod examples;
mod facts;
mod generate;
mod hunks;
mod input;
mod json_list;
mod locality;
mod mutate;
mod paint;
mod place;
mod probe;
mod problem;
mod program;
mod release;
mod serve;
mod survey;
mod validate;
mod why;

/// Keeps stateful pods next to their data: an admission server that sets the storage driver's scheduler
#[derive(Debug, Parser)]
#[command(name = "colocate", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = examples::text(&EXAMPLES))]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: Examples = [
    ("Show what would change in the manifests of a directory, and why:", "colocate mutate deploy --check --explain"),
    ("Find annotations that Stork ignores or misreads:", "colocate validate deploy"),
];

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Mutate(mutate::Mutate),
    Validate(validate::Validate),
    Audit(audit::Audit),
    Locality(locality::Locality),
    Place(place::Place),
    Why(why::Why),
    Release(release::Release),
    Probe(probe::Probe),
    Certs(certs::Certs),
    Completions(generate::Completions),
    Man(generate::Man),
}

/// The exit codes and their meanings, as listed in docs/running.md and the man page.
pub const EXIT_STATUS: [(&str, &str); 6] = [
    ("0", "success"),
    (
        "1",
        "failed: input that cannot be read or parsed, no cluster, no answer; for `validate`: findings of severity error, or of at least the severity of `--fail-on`",
    ),
    ("2", "usage error"),
    (
        "3",
        "with `--strict`: something could not be resolved, checked or read; with `mutate --check`: only the configuration prevents a change",
    ),
    (
        "4",
        "with `--check`: something would change, or an object is not as expected; with `--fail-under`: too few pods are as expected (`audit`), or too few run with their data (`locality`)",
    ),
    (
        "129, 130, 131, 143",
        "SIGHUP, SIGINT, SIGQUIT or SIGTERM ended `mutate --in-place` before it changed a file; or SIGINT or SIGTERM ended `serve` before it accepted connections, or a second one did before it had drained",
    ),
];

/// The exit code of a command that ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    /// `validate` found an error, or a file cannot be read or parsed.
    Failed = 1,
    /// With `--strict`: something could not be resolved, checked or read. With `mutate --check`: the configuration prevents a change.
    Unresolved = 3,
    /// With `--check`: something would change, or an object is not as expected. With `--fail-under`: too few pods are as expected
    /// (`audit`), or too few run with their data (`locality`).
    WouldChange = 4,
}

/// An invalid combination of arguments that clap does not detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

impl Cli {
    /// Parses the arguments of this process. Exits with a message if they are not valid, or ask for help.
    pub fn from_arguments() -> Self {
        let mut command = Program::current().command_with_help();
        let matches = command.get_matches_mut();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }

    /// Runs the command and returns its exit code ([`EXIT_STATUS`]). clap has already rejected most usage errors.
    pub async fn run(self) -> ExitCode {
        let exit = match self.command {
            // `serve` reports its failure itself, because it is possible that no one reads standard error.
            Command::Serve(serve) => return serve.run().await,
            Command::Mutate(mutate) => mutate.run().await,
            Command::Validate(validate) => validate.run().await,
            Command::Audit(audit) => audit.run().await,
            Command::Locality(locality) => locality.run().await,
            Command::Place(place) => place.run().await,
            Command::Why(why) => why.run().await,
            Command::Release(release) => release.run().await,
            Command::Probe(probe) => probe.run().await.map(|()| Exit::Done),
            Command::Certs(certs) => certs.run().map(|()| Exit::Done),
            Command::Completions(completions) => completions.run().map(|()| Exit::Done),
            Command::Man(man) => man.run().map(|()| Exit::Done),
        };
        match exit {
            Ok(exit) => ExitCode::from(exit as u8),
            Err(error) => {
                say(&last_line(&error));
                exit_code(&error)
            }
        }
    }
}

/// Returns the exit code of a failure.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error {
        error if reader_left(error) => ExitCode::SUCCESS,
        error if error.is::<Usage>() => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// Returns the line about a failure for standard error; empty if the reader of the output has had enough.
fn last_line(error: &anyhow::Error) -> String {
    if reader_left(error) { String::new() } else { format!("colocate: {}\n", one_line(error)) }
}

/// Returns true if the reader of the output has closed the pipe, as `head` does.
fn reader_left(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints lines on standard error, without characters that control a terminal or reorder its text. If standard error is
/// closed, only the exit code reports the result.
fn say(lines: &str) {
    let _ = BlockingWriter(io::stderr()).write_all(printable_lines(lines).as_bytes());
}

/// Formats an error and its causes as one line, or more if a cause has an excerpt. Skips a cause that the line already
/// contains.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    printable_lines(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_cannot_control_a_terminal() {
        let error = anyhow::anyhow!("1:1: invalid\n  1 | \u{1b}]0;a\u{202e}").context("cannot parse \u{9b}a");
        let expected = "cannot parse \u{fffd}a: 1:1: invalid\n  1 | \u{fffd}]0;a\u{fffd}";
        assert_eq!(one_line(&error), expected);
        assert_eq!(last_line(&error), format!("colocate: {expected}\n"));
    }

    #[test]
    fn a_repeated_cause_is_printed_once() {
        let error = anyhow::anyhow!("no such file").context("cannot read a: no such file").context("it failed");
        assert_eq!(one_line(&error), "it failed: cannot read a: no such file");
    }
}
