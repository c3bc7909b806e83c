//! SECURITY.md says what is so.

#![allow(clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use colocate::cli::Cli;
use colocate::config::Config;
use serde_json::Value;

const SECURITY: &str = include_str!("../SECURITY.md");

/// What stands between backticks.
fn quoted() -> impl Iterator<Item = &'static str> {
    SECURITY.split('`').skip(1).step_by(2)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_test_that_is_named_exists() {
    let tests: Vec<_> = quoted().filter_map(|text| text.split_once(".rs::")).collect();
    assert!(tests.len() > 50, "only {} are named", tests.len());
    for (file, name) in tests {
        let text = fs::read_to_string(root().join(format!("{file}.rs")));
        let text = text.unwrap_or_else(|error| panic!("{file}.rs: {error}"));
        let (before, _) = text.split_once(&format!("fn {name}(")).unwrap_or_else(|| panic!("{file}.rs has no {name}"));
        let attributes = before.rsplit('\n').skip(1).take_while(|line| line.trim_start().starts_with('#'));
        let is_test = attributes.into_iter().any(|line| line.contains("#[test]") || line.contains("#[tokio::test"));
        assert!(is_test, "{file}.rs::{name} is no test");
    }
}

#[test]
fn every_threat_of_the_model_has_its_place() {
    let titles: Vec<_> = SECURITY.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let numbers = titles.iter().flat_map(|title| title.split('.').next().unwrap_or_default().split(", "));
    let numbers: Vec<_> = numbers.map(|number| number.parse::<u8>().expect("a title begins with numbers")).collect();
    assert_eq!(numbers, (1..=18).collect::<Vec<_>>());
}

#[test]
fn every_flag_and_value_that_is_named_exists() {
    let command = Cli::command();
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help");
    let known: BTreeSet<_> = commands.flat_map(Command::get_arguments).filter_map(|flag| flag.get_long()).collect();
    let flags = quoted().flat_map(|text| text.split(' ')).filter_map(|word| word.strip_prefix("--"));
    let flags: BTreeSet<_> = flags.collect();
    assert!(flags.len() > 5 && flags.is_subset(&known), "there is no {:?}", flags.difference(&known));

    // A key that both have is the configuration's.
    let config = Config::default().to_yaml().expect("it can be printed");
    let chart = fs::read_to_string(root().join("charts/colocate/values.yaml")).expect("there is a chart");
    let [config, chart] = [config, chart].map(|text| serde_saphyr::from_str::<Value>(&text).expect("it is YAML"));
    let mut named = [0, 0];
    for text in quoted() {
        let path = text.split(':').next().unwrap_or_default();
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let is_path = rest.chars().all(|c| c.is_ascii_alphabetic() || c == '.');
        let Some(place) = [&config, &chart].iter().position(|values| is_path && values.get(first).is_some()) else {
            continue;
        };
        let pointer = format!("/{}", path.replace('.', "/"));
        assert!([&config, &chart][place].pointer(&pointer).is_some(), "there is no {path}");
        named[place] += 1;
    }
    assert!(named[0] > 8 && named[1] > 5, "values of the configuration and of the chart: {named:?}");
}

/// The resources of Kubernetes, by the names that they have in paths.
const RESOURCES: [&str; 41] = [
    "certificatesigningrequests",
    "clusterrolebindings",
    "clusterroles",
    "componentstatuses",
    "configmaps",
    "controllerrevisions",
    "cronjobs",
    "csidrivers",
    "csinodes",
    "csistoragecapacities",
    "customresourcedefinitions",
    "daemonsets",
    "deployments",
    "endpoints",
    "endpointslices",
    "events",
    "ingresses",
    "jobs",
    "leases",
    "limitranges",
    "mutatingwebhookconfigurations",
    "namespaces",
    "networkpolicies",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "poddisruptionbudgets",
    "pods",
    "podtemplates",
    "replicasets",
    "replicationcontrollers",
    "resourcequotas",
    "rolebindings",
    "roles",
    "secrets",
    "serviceaccounts",
    "services",
    "statefulsets",
    "storageclasses",
    "validatingwebhookconfigurations",
    "volumeplacementstrategies",
];

#[test]
fn it_asks_for_what_the_table_says_and_for_nothing_else() {
    let table = SECURITY.lines().skip_while(|line| !line.starts_with("| resource |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let told: BTreeSet<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();

    // Only one room names the client library, and four send requests.
    let in_room = |file: &Path, room: &str| {
        file.starts_with(root().join("src").join(room)) || file.ends_with(format!("src/{room}.rs"))
    };
    let sources = files(&root().join("src"));
    let of = |rooms: &[&str], wanted: bool| -> String {
        let is_in = |file: &&PathBuf| rooms.iter().any(|room| in_room(file, room)) == wanted;
        sources.iter().filter(is_in).map(|file| code(file)).collect()
    };
    let others = of(&["api"], false);
    assert!(!others.contains("kube::") && !others.contains("k8s_openapi::"), "another room has a client");
    let code = of(&["api", "claims", "schedulers", "trust"], true);
    // In a path, or as a name that becomes part of one.
    let is_named = |resource: &&str| {
        let ends = ["\"", "/", "?"].map(|end| format!("/{resource}{end}"));
        code.contains(&format!("\"{resource}\"")) || ends.iter().any(|end| code.contains(end))
    };
    let asked: BTreeSet<_> = RESOURCES.into_iter().filter(is_named).collect();
    assert_eq!(asked, told);
}

/// The sources below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().expect("a folder can be read");
    let paths = entries.map(|entry| entry.expect("a folder can be read").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A source without its tests and comments.
fn code(file: &Path) -> String {
    if file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests") {
        return String::new();
    }
    let Ok(text) = fs::read_to_string(file) else { return String::new() };
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}
