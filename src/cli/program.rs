//! The program as its user calls it: `colocate`, or as a plugin of kubectl.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;

use clap::{Command, CommandFactory as _};

use super::Cli;
use super::examples::{self, Examples};

/// The way in which this process was called.
static CURRENT: LazyLock<Program> =
    LazyLock::new(|| std::env::args_os().next().map_or(Program::Colocate, |path| Program::of(&path)));

const OF_HELP: Examples = [
    ("List the commands:", "colocate help"),
    ("Show the options of a command, with examples:", "colocate help mutate"),
];

/// The program as its user calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// `colocate`.
    Colocate,
    /// `kubectl colocate`: kubectl runs the file `kubectl-colocate`.
    KubectlPlugin,
}

impl Program {
    /// Returns the way in which this process was called.
    pub(super) fn current() -> Self {
        *CURRENT
    }

    fn of(path: &OsStr) -> Self {
        let is_plugin = Path::new(path).file_stem() == Some(OsStr::new(Self::KubectlPlugin.file()));
        if is_plugin { Self::KubectlPlugin } else { Self::Colocate }
    }

    /// The start of each command line.
    pub(super) fn call(self) -> &'static str {
        match self {
            Self::Colocate => "colocate",
            Self::KubectlPlugin => "kubectl colocate",
        }
    }

    /// The name of the file, which shells complete, and the man page.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Colocate => "colocate",
            Self::KubectlPlugin => "kubectl-colocate",
        }
    }

    /// Returns the definition of the command line, with this call in usages and examples.
    pub(super) fn command(self) -> Command {
        let command = Cli::command().name(self.file()).bin_name(self.call());
        let names: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        // These texts are written by hand.
        let replace_in = |mut command: Command| {
            if let Some(text) = command.get_after_help().map(ToString::to_string) {
                command = command.after_help(self.replace_calls(text, &names));
            }
            if let Some(text) = command.get_overridden_usage().map(ToString::to_string) {
                command = command.override_usage(self.replace_calls(text, &names));
            }
            command
        };
        replace_in(command).mut_subcommands(replace_in)
    }

    /// Returns the definition of the command line, with examples of clap's command `help`, too.
    pub(super) fn command_with_help(self) -> Command {
        let mut command = self.command();
        command.build();
        let examples = self.replace_calls(examples::text(&OF_HELP), &["help".to_owned()]);
        command.mut_subcommand("help", |help| help.after_help(examples))
    }

    /// Replaces the calls of `colocate` with one of these commands.
    fn replace_calls(self, text: String, commands: &[String]) -> String {
        let replace =
            |text: String, command| text.replace(&format!("colocate {command}"), &format!("{} {command}", self.call()));
        commands.iter().fold(text, replace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::examples;

    #[test]
    fn the_name_of_the_file_decides() {
        for path in ["kubectl-colocate", "/opt/krew/bin/kubectl-colocate", "./kubectl-colocate.exe"] {
            assert_eq!(Program::of(OsStr::new(path)), Program::KubectlPlugin, "{path}");
        }
        for path in ["colocate", "/kubectl-colocate/colocate", "kubectl-colocate-x", "kubectl", ""] {
            assert_eq!(Program::of(OsStr::new(path)), Program::Colocate, "{path}");
        }
    }

    #[test]
    fn a_plugin_is_called_by_kubectl_in_usages_and_examples() {
        let mut root = Program::KubectlPlugin.command();
        root.build();
        let names: Vec<_> = root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let mut commands = vec![root.clone()];
        commands.extend(root.get_subcommands().cloned());
        for mut command in commands {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Usage: kubectl colocate "), "{help}");
            for name in &names {
                let call = format!("colocate {name} ");
                let without = help.replace(&format!("kubectl {call}"), "");
                assert!(!without.contains(&call), "{without}");
            }
            let count = if command.get_name() == "help" { 0 } else { 2 };
            let examples = examples::of(&command);
            assert_eq!(examples.iter().filter(|(_, line)| line.contains("kubectl colocate ")).count(), count, "{help}");
        }
    }

    #[test]
    fn without_kubectl_the_help_is_as_it_is_written() {
        let (mut own, mut program) = (Cli::command(), Program::Colocate.command());
        assert_eq!(program.render_long_help().to_string(), own.render_long_help().to_string());
        for command in Cli::command().get_subcommands() {
            let own = own.find_subcommand_mut(command.get_name()).unwrap().render_long_help().to_string();
            let other = program.find_subcommand_mut(command.get_name()).unwrap().render_long_help().to_string();
            assert_eq!(own, other);
        }
    }

    #[test]
    fn the_help_of_each_command_has_two_examples() {
        for program in [Program::Colocate, Program::KubectlPlugin] {
            let root = program.command_with_help();
            let names: Vec<_> = root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
            assert!(names.contains(&"help".to_owned()));
            for name in names {
                let line = format!("{} help {name}", program.file());
                let help = program.command_with_help().try_get_matches_from(line.split(' ')).unwrap_err().to_string();
                let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{line}: {help}"));
                let calls = examples.lines().filter(|example| example.starts_with("      "));
                let calls: Vec<_> = calls.map(|call| call.contains(&format!("{} ", program.call()))).collect();
                assert_eq!(calls, [true, true], "{line}: {help}");
            }
        }
    }

    #[test]
    fn a_usage_error_shows_the_call_of_the_plugin() {
        let error = |line: &str| Program::KubectlPlugin.command().try_get_matches_from(line.split(' ')).unwrap_err();
        let why = error("/bin/kubectl-colocate why").to_string();
        assert!(why.contains("Usage: kubectl colocate why <KIND/NAME>"), "{why}");
        let version = error("/bin/kubectl-colocate --version").to_string();
        assert_eq!(version, concat!("kubectl-colocate ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}
