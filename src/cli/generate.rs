//! `colocate completions` and `colocate man`: made from the command line's own definition.

use std::io::{self, Write as _};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;

/// Print the completions of a shell
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

/// Print the man page, of all commands
///
/// To read it: colocate man | man -l -
#[derive(Debug, Args)]
pub(super) struct Man {}

impl Man {
    #[expect(clippy::unused_self, reason = "commands are run alike")]
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut command = Cli::command();
        command.build();
        let mut text = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut text)?;
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            clap_mangen::Man::new(command.clone()).render(&mut text)?;
        }
        Ok(io::stdout().write_all(&text)?)
    }
}
