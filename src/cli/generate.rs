//! `colocate completions` and `colocate man`, generated from the definition of the command line.

use std::io::{self, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, EXIT_STATUS};

/// Print a shell completion script
///
/// For bash: source <(colocate completions bash)
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "colocate", &mut text);
        Ok(io::stdout().write_all(&text)?)
    }
}

/// Print the man page of all commands
///
/// To read it: colocate man | man -l -
#[derive(Debug, Args)]
pub(super) struct Man {}

impl Man {
    #[expect(clippy::unused_self, reason = "all commands are run in the same way")]
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut command = Cli::command();
        command.build();
        let mut text = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut text)?;
        exit_status().to_writer(&mut text)?;
        examples().to_writer(&mut text)?;
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            clap_mangen::Man::new(command.clone()).render(&mut text)?;
        }
        Ok(io::stdout().write_all(&text)?)
    }
}

fn exit_status() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_STATUS {
        section.control("TP", []).text([bold(code)]).text([roman(meaning.replace('`', ""))]);
    }
    section.control("PP", []).text([roman("If several apply, the first of 2, 1, 3, 4 is used.")]);
    section
}

/// Tasks, each followed by its command line.
const EXAMPLES: &str = "\
Set the scheduler in all manifests of a directory, in place:
    colocate mutate -f deploy --manifests storage --in-place
Show what would change, and exit with 4 if anything would:
    colocate mutate -f deploy --check -o diff
Set it in the output of kustomize, with the claims of a cluster:
    kustomize build . | colocate mutate -f - --cluster
Find annotations that Stork ignores or misreads, and exit with 3 if something could not be checked:
    colocate validate -f deploy --manifests storage --strict
Report the findings to a code scanning service:
    colocate validate -f deploy --manifests storage -o sarif
Issue a certificate for development:
    colocate certs --dir certs --name colocate.colocate.svc
Serve admission reviews, with claims from files:
    colocate serve --tls-cert certs/tls.crt --tls-key certs/tls.key --manifests storage
Ask a server for its decision:
    colocate probe --url https://localhost:8443 --ca certs/ca.crt
Ask a cluster's API server whether it calls colocate:
    colocate probe --apiserver --namespace team-a";

fn examples() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXAMPLES"]);
    for line in EXAMPLES.lines() {
        section.control("PP", []);
        match line.strip_prefix("    ") {
            Some(command) => section.control("RS", []).text([bold(command)]).control("RE", []),
            None => section.text([roman(line)]),
        };
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_accepted_by_the_program() {
        for line in EXAMPLES.lines().filter_map(|line| line.strip_prefix("    ")) {
            let line = line.rsplit("| ").next().unwrap();
            Cli::command().try_get_matches_from(line.split(' ')).unwrap();
        }
    }
}
