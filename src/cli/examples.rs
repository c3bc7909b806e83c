//! The examples at the end of each `--help`, from which the man pages take them.

/// Two tasks, each with the command line that does it.
pub(super) type Examples = [(&'static str, &'static str); 2];

/// The title of the examples in the text of `--help`.
const TITLE: &str = "Examples:";

/// Renders examples for `--help`.
pub(super) fn text(examples: &Examples) -> String {
    let example = |(task, line): &(&str, &str)| format!("\n  {task}\n      {line}");
    TITLE.to_owned() + &examples.iter().map(example).collect::<String>()
}

/// Returns the examples in the text of a command's `--help`: tasks and command lines.
pub(super) fn of(command: &clap::Command) -> Vec<(String, String)> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines: Vec<_> = text.lines().skip_while(|line| *line != TITLE).skip(1).map(str::trim).collect();
    lines.chunks_exact(2).map(|example| (example[0].to_owned(), example[1].to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// Returns the calls of this program in a shell command line.
    fn calls(line: &str) -> Vec<&str> {
        line.split(['|', '<', '>', '(', ')']).map(str::trim).filter(|part| part.starts_with("colocate ")).collect()
    }

    #[test]
    fn every_command_has_two_examples_that_the_program_accepts() {
        let mut all = Vec::new();
        let root = Cli::command();
        for command in root.get_subcommands().chain([&root]) {
            let (name, examples) = (command.get_name(), of(command));
            assert_eq!(examples.len(), 2, "{name}");
            for (task, line) in examples {
                assert!(task.ends_with(':') && line.chars().count() < 90, "{name}: {task} {line}");
                let calls = calls(&line);
                assert_eq!(calls.len(), 1, "{line}");
                let matches = Cli::command().try_get_matches_from(calls[0].split(' ')).unwrap();
                assert!(name == root.get_name() || matches.subcommand_name() == Some(name), "{name}: {line}");
                all.extend([task, line]);
            }
        }
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
    }

    #[test]
    fn the_calls_in_a_line_are_found_next_to_other_programs() {
        assert_eq!(calls("a build . | colocate mutate -"), ["colocate mutate -"]);
        assert_eq!(calls("source <(colocate completions bash)"), ["colocate completions bash"]);
        assert_eq!(calls("colocate man > a.1"), ["colocate man"]);
        assert!(calls("helm install colocate").is_empty());
    }

    #[test]
    fn each_help_ends_with_its_examples() {
        let mut root = Cli::command();
        root.build();
        let names: Vec<_> = root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for name in names.iter().filter(|name| *name != "help") {
            let command = root.find_subcommand_mut(name).unwrap();
            let (_, last) = of(command).pop().unwrap();
            for help in [command.render_help(), command.render_long_help()] {
                assert!(help.to_string().trim_end().ends_with(&last), "{name}: {help}");
            }
        }
        let (_, last) = of(&root).pop().unwrap();
        assert!(root.render_long_help().to_string().trim_end().ends_with(&last));
    }
}
