//! The README says what the program does.

#![allow(clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::path::Path;

use colocate::cli::EXIT_STATUS;
use colocate::companion::Rule;
use colocate::config::Config;
use colocate::engine::Reason;

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    fs::read_to_string(path).expect("there is a README")
}

/// The rows of the table that begins with that column.
fn table(column: &str) -> Vec<String> {
    let readme = readme();
    let head = format!("| {column} |");
    let table = readme.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    table.take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

#[test]
fn the_table_of_reasons_is_the_enum() {
    let wanted: Vec<_> =
        Reason::ALL.iter().map(|reason| format!("| `{reason}` | {} |", reason.explanation())).collect();
    assert_eq!(table("reason"), wanted);
}

#[test]
fn the_table_of_rules_is_the_companions() {
    let row = |rule: &Rule| {
        let (id, severity, title, explanation) = (rule.id(), rule.severity(), rule.title(), rule.explanation());
        format!("| {id} | {severity} | {title} | {explanation} |")
    };
    assert_eq!(table("id"), Rule::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_table_of_exit_codes_is_that_of_the_man_page() {
    assert_eq!(table("code"), EXIT_STATUS.map(|(code, meaning)| format!("| {code} | {meaning} |")));
}

#[test]
fn the_configuration_in_the_readme_is_the_default_and_every_example_is_valid() {
    let readme = readme();
    let examples: Vec<_> =
        readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or("")).collect();
    assert!(examples.len() >= 3, "the examples are gone");
    let configs: Vec<Config> =
        examples.iter().map(|text| Config::parse(text, "README.md").expect("an example is valid")).collect();
    assert_eq!(configs[0], Config::default());
}

#[test]
fn nothing_is_left_to_fill_in() {
    assert!(!readme().contains("@TIMES"));
}
