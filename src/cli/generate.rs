//! `colocate completions` and `colocate man`, generated from the definition of the command line.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::roff::{Roff, bold, roman};

use super::examples::{self, Examples};
use super::program::Program;
use super::{EXIT_STATUS, certs};

/// Print a shell completion script
#[derive(Debug, Args)]
#[command(after_help = examples::text(&OF_COMPLETIONS))]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

const OF_COMPLETIONS: Examples = [
    ("Enable completions in the current bash session:", "source <(colocate completions bash)"),
    (
        "Enable completions in all new fish sessions:",
        "colocate completions fish > ~/.config/fish/completions/colocate.fish",
    ),
];

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        Ok(io::stdout().write_all(completions(self.shell, Program::current())?.as_bytes())?)
    }
}

/// Returns the completion script of a shell.
fn completions(shell: Shell, program: Program) -> anyhow::Result<String> {
    let file = program.file();
    // clap_complete 4.6.11 gives each command two names in bash if the name of the file has a hyphen, so that none is completed.
    let name = if shell == Shell::Bash { file.replace('-', "_") } else { file.to_owned() };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program.command(), &name, &mut text);
    // The line `complete -F _kubectl_colocate ... kubectl_colocate` ends with the file.
    Ok(String::from_utf8(text)?.replace(&format!(" {name}\n"), &format!(" {file}\n")))
}

/// Print the man page of a command, or write all pages to a directory
#[derive(Debug, Args)]
#[command(after_help = examples::text(&OF_MAN))]
pub(super) struct Man {
    /// The command whose page is printed; without one, the page of colocate itself
    #[arg(value_name = "COMMAND", value_parser = command_name)]
    command: Option<String>,

    /// Write all pages to this directory instead, and create it if it does not exist
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

const OF_MAN: Examples = [
    ("Read the page of a command:", "colocate man mutate | man -l -"),
    ("Install all pages for the current user:", "colocate man --dir ~/.local/share/man/man1"),
];

impl Man {
    /// Prints or writes the pages.
    ///
    /// # Errors
    /// If the directory cannot be written to.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let root = root(Program::current());
        if let Some(dir) = &self.dir {
            return write_all(&root, dir);
        }
        // The name was checked when it was parsed.
        let command = self.command.as_deref().and_then(|name| root.find_subcommand(name));
        Ok(io::stdout().write_all(page(command.unwrap_or(&root), &root)?.as_bytes())?)
    }
}

/// Parses the name of a command.
fn command_name(name: &str) -> Result<String, String> {
    let root = root(Program::current());
    let names: Vec<_> = root.get_subcommands().map(Command::get_name).collect();
    let known = names.contains(&name).then(|| name.to_owned());
    known.ok_or_else(|| format!("no such command: use one of {}", names.join(", ")))
}

/// Returns the command line without clap's command `help`, which has no page.
fn root(program: Program) -> Command {
    let mut root = program.command().disable_help_subcommand(true);
    root.build();
    root
}

/// Writes each page under its name. An existing page is replaced in one step.
fn write_all(root: &Command, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create the directory {}", dir.display()))?;
    for command in root.get_subcommands().chain([root]) {
        let path = dir.join(clap_mangen::Man::new(command.clone()).get_filename());
        let written = certs::stage(dir, 0o644, &page(command, root)?).and_then(|file| Ok(file.persist(&path)?));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Renders the page of a command of `root`, or of `root` itself.
fn page(command: &Command, root: &Command) -> anyhow::Result<String> {
    let man = clap_mangen::Man::new(command.clone()).source(concat!("colocate ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    let is_root = command.has_subcommands();
    if is_root {
        man.render_subcommands_section(&mut text)?;
    }
    exit_status(command).to_writer(&mut text)?;
    example_section(command).to_writer(&mut text)?;
    if !is_root {
        let mut section = Roff::new();
        section.control("SH", ["SEE ALSO"]).text([bold(root.get_name()), roman("(1)")]);
        section.to_writer(&mut text)?;
    }
    Ok(String::from_utf8(text)?)
}

fn exit_status(command: &Command) -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_STATUS.iter().filter(|(code, _)| has_exit_code(command, code)) {
        section.control("TP", []).text([bold(*code)]).text([roman(meaning.replace('`', ""))]);
    }
    if has_exit_code(command, "3") {
        section.control("PP", []).text([roman("If several apply, the first of 2, 1, 3, 4 is used.")]);
    }
    section
}

/// Returns true if the command, or one of its subcommands, can end with this code of [`EXIT_STATUS`].
fn has_exit_code(command: &Command, code: &str) -> bool {
    let has = |name: &str| command.get_arguments().any(|argument| argument.get_long() == Some(name));
    let own = match code {
        "3" => has("strict"),
        "4" => has("check") || has("fail-under"),
        "129, 130, 131, 143" => has("in-place") || has("listen"),
        _ => true,
    };
    own || command.get_subcommands().any(|command| has_exit_code(command, code))
}

fn example_section(command: &Command) -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXAMPLES"]);
    for (task, line) in examples::of(command) {
        section.control("PP", []).text([roman(task)]);
        section.control("PP", []).control("RS", []).text([bold(line)]).control("RE", []);
    }
    section
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Returns the pages that a page mentions, such as `colocate-mutate(1)`.
    fn mentioned(page: &str) -> BTreeSet<String> {
        // roff escapes hyphens, and sets the section in another font.
        let page = page.replace("\\-", "-").replace("\\fR", "").replace("\\fB", "");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let before = page.match_indices("(1)").map(|(end, _)| &page[..end]);
        before.map(|text| text[text.trim_end_matches(is_name).len()..].to_owned()).collect()
    }

    #[test]
    fn every_page_that_a_page_mentions_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("share/man1");
        for _ in 0..2 {
            Man { command: None, dir: Some(dir.clone()) }.run().unwrap();
        }
        let files = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let written: BTreeSet<_> = files.map(|name| name.strip_suffix(".1").unwrap().to_owned()).collect();
        let root = root(Program::Colocate);
        let names = root.get_subcommands().map(|command| format!("colocate-{}", command.get_name()));
        let expected: BTreeSet<_> = names.chain(["colocate".to_owned()]).collect();
        assert_eq!(written, expected);
        for name in &written {
            let page = fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
            assert!(page.contains(&format!(".TH {name} 1 ")), "{page}");
            let mentioned = mentioned(&page);
            assert!(mentioned.is_subset(&written), "{name}: {mentioned:?}");
            let others: BTreeSet<_> = written.iter().filter(|other| *other != "colocate").cloned().collect();
            assert_eq!(mentioned, if name == "colocate" { others } else { BTreeSet::from(["colocate".to_owned()]) });
        }
    }

    #[test]
    fn a_page_has_the_examples_and_exit_codes_of_its_command() {
        let root = root(Program::Colocate);
        for (name, codes) in [
            ("mutate", &["0", "1", "2", "3", "4", "129, 130, 131, 143"][..]),
            ("validate", &["0", "1", "2", "3"]),
            ("serve", &["0", "1", "2", "129, 130, 131, 143"]),
            ("certs", &["0", "1", "2"]),
        ] {
            let command = root.find_subcommand(name).unwrap();
            let has = EXIT_STATUS.iter().map(|(code, _)| *code).filter(|code| has_exit_code(command, code));
            assert_eq!(has.collect::<Vec<_>>(), codes, "{name}");
            let page = page(command, &root).unwrap().replace("\\-", "-");
            let (_, section) = page.split_once(".SH EXAMPLES\n").unwrap();
            for (task, line) in examples::of(command) {
                assert!(section.contains(&task) && section.contains(&line), "{name}: {section}");
            }
        }
        assert!(EXIT_STATUS.iter().all(|(code, _)| has_exit_code(&root, code)));
    }

    #[test]
    fn the_completions_of_the_plugin_are_for_its_file() {
        let bash = completions(Shell::Bash, Program::KubectlPlugin).unwrap();
        assert_eq!(bash.matches("complete -F _kubectl_colocate ").count(), 2, "{bash}");
        assert!(bash.trim_end().ends_with("\nfi") && bash.contains(" -o default kubectl-colocate\n"), "{bash}");
        assert!(
            !bash.contains(" kubectl_colocate\n") && bash.contains("\n        kubectl_colocate__subcmd__why)\n"),
            "{bash}"
        );
        let own = completions(Shell::Bash, Program::Colocate).unwrap();
        assert!(own.contains(" -o default colocate\n"), "{own}");
    }

    #[test]
    fn the_pages_of_the_plugin_are_those_of_kubectl() {
        let root = root(Program::KubectlPlugin);
        let why = page(root.find_subcommand("why").unwrap(), &root).unwrap().replace("\\-", "-");
        for part in [
            ".TH kubectl-colocate-why 1 ",
            "\nkubectl-colocate-why - ",
            "\\fBkubectl colocate why\\fR ",
            "colocate why pod/",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert_eq!(mentioned(&why), BTreeSet::from(["kubectl-colocate".to_owned()]));
        let page = page(&root, &root).unwrap();
        assert!(mentioned(&page).iter().all(|name| name.starts_with("kubectl-colocate-")), "{page}");
    }

    #[test]
    fn an_unknown_command_has_no_page() {
        for name in ["help", "mutat", ""] {
            let error = command_name(name).unwrap_err();
            assert!(error.starts_with("no such command: use one of serve, mutate, validate, "), "{error}");
        }
    }
}
