//! SECURITY.md matches the code.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use colocate::cli::Cli;
use colocate::config::Config;
use serde_json::Value;

const SECURITY: &str = include_str!("../SECURITY.md");

/// Returns the texts between backticks.
fn quoted() -> impl Iterator<Item = &'static str> {
    SECURITY.split('`').skip(1).step_by(2)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_named_test_exists() {
    let tests: Vec<_> = quoted().filter_map(|text| text.split_once(".rs::")).collect();
    assert!(tests.len() > 50, "SECURITY.md names only {} tests", tests.len());
    for (file, name) in tests {
        let text = fs::read_to_string(root().join(format!("{file}.rs")));
        let text = text.unwrap_or_else(|error| panic!("{file}.rs: {error}"));
        let (before, _) = text.split_once(&format!("fn {name}(")).unwrap_or_else(|| panic!("{file}.rs has no {name}"));
        let attributes = before.rsplit('\n').skip(1).take_while(|line| line.trim_start().starts_with('#'));
        let is_test = attributes.into_iter().any(|line| line.contains("#[test]") || line.contains("#[tokio::test"));
        assert!(is_test, "{file}.rs::{name} is not a test");
    }
}

#[test]
fn every_threat_of_the_model_is_covered() {
    let titles: Vec<_> = SECURITY.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let numbers = titles.iter().flat_map(|title| title.split('.').next().unwrap_or_default().split(", "));
    let numbers: Vec<_> = numbers.map(|number| number.parse::<u8>().expect("the title starts with numbers")).collect();
    assert_eq!(numbers, (1..=18).collect::<Vec<_>>());
}

#[test]
fn every_named_flag_and_value_exists() {
    let command = Cli::command();
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help");
    let known: BTreeSet<_> = commands.flat_map(Command::get_arguments).filter_map(|flag| flag.get_long()).collect();
    let flags = quoted().flat_map(|text| text.split(' ')).filter_map(|word| word.strip_prefix("--"));
    let flags: BTreeSet<_> = flags.collect();
    assert!(flags.len() > 5 && flags.is_subset(&known), "unknown flags: {:?}", flags.difference(&known));

    // A key that exists in both belongs to the configuration.
    let config = Config::default().to_yaml().expect("the configuration can be printed");
    let chart = fs::read_to_string(root().join("charts/colocate/values.yaml")).expect("the chart has a values.yaml");
    let [config, chart] = [config, chart].map(|text| serde_saphyr::from_str::<Value>(&text).expect("the text is YAML"));
    let mut named = [0, 0];
    for text in quoted() {
        let path = text.split(':').next().unwrap_or_default();
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let is_path = rest.chars().all(|c| c.is_ascii_alphabetic() || c == '.');
        let Some(place) = [&config, &chart].iter().position(|values| is_path && values.get(first).is_some()) else {
            continue;
        };
        let pointer = format!("/{}", path.replace('.', "/"));
        assert!([&config, &chart][place].pointer(&pointer).is_some(), "unknown key {path}");
        named[place] += 1;
    }
    assert!(named[0] > 8 && named[1] > 5, "too few keys of the configuration and of the chart are named: {named:?}");
}

/// The resources of Kubernetes, by their names in API paths.
const RESOURCES: [&str; 42] = [
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
    "services/proxy",
    "statefulsets",
    "storageclasses",
    "validatingwebhookconfigurations",
    "volumeplacementstrategies",
];

#[test]
fn only_the_resources_in_the_table_are_requested() {
    let table = SECURITY.lines().skip_while(|line| !line.starts_with("| resource |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let documented: BTreeSet<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();

    // One module uses the client library, and five send requests.
    let in_module = |file: &Path, module: &str| {
        file.starts_with(root().join("src").join(module)) || file.ends_with(format!("src/{module}.rs"))
    };
    let sources = files(&root().join("src"));
    let code_of = |modules: &[&str], wanted: bool| -> String {
        let is_in = |file: &&PathBuf| modules.iter().any(|module| in_module(file, module)) == wanted;
        sources.iter().filter(is_in).map(|file| code(file)).collect()
    };
    let others = code_of(&["api"], false);
    assert!(
        !others.contains("kube::") && !others.contains("k8s_openapi::"),
        "a module other than `api` uses the client library"
    );
    let code = code_of(&["api", "claims", "events", "inspect", "schedulers", "trust"], true);
    // A resource occurs in a path, or as a name that becomes part of a path.
    let is_named = |resource: &&str| {
        let ends = ["\"", "/", "?"].map(|end| format!("/{resource}{end}"));
        code.contains(&format!("\"{resource}\"")) || ends.iter().any(|end| code.contains(end))
    };
    let requested: BTreeSet<_> = RESOURCES.into_iter().filter(is_named).collect();
    assert_eq!(requested, documented);
}

/// Returns the source files in a folder and its subfolders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().expect("the folder is readable");
    let paths = entries.map(|entry| entry.expect("the folder is readable").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Returns the code of a source file, without its tests and comments.
fn code(file: &Path) -> String {
    if file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests") {
        return String::new();
    }
    let Ok(text) = fs::read_to_string(file) else { return String::new() };
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}
