//! The README and the other pages match the program, and their links are valid.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};

use colocate::cli::EXIT_STATUS;
use colocate::companion::Rule;
use colocate::config::Config;
use colocate::engine::{Reason, Topic};
use colocate::insight::Verdict;
use colocate::process::metrics::Metrics;
use serde_json::Value;

/// The root of the repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All Markdown pages.
const PAGES: [&str; 22] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "certs/README.md",
    "charts/colocate/README.md",
    "docs/SUMMARY.md",
    "docs/annotations.md",
    "docs/compatibility.md",
    "docs/configuration.md",
    "docs/insight.md",
    "docs/install.md",
    "docs/locality.md",
    "docs/manifests.md",
    "docs/measurements.md",
    "docs/pipelines.md",
    "docs/reasons.md",
    "docs/runbooks.md",
    "docs/running.md",
    "docs/why.md",
    "tests/controlplane/README.md",
    "tests/serve/corpus/README.md",
];

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the rows of the table whose first column has this name.
fn table(name: &str, column: &str) -> Vec<String> {
    let page = page(name);
    let head = format!("| {column} |");
    let table = page.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    table.take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
}

/// Returns the lines of a page outside code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    page.lines()
        .scan(false, |fenced, line| {
            let is_fence = line.trim_start().starts_with("```");
            *fenced ^= is_fence;
            Some((!*fenced && !is_fence).then_some(line))
        })
        .flatten()
}

/// Returns the code block of the README that begins with this fence.
fn readme_block(fence: &str) -> String {
    let readme = page("README.md");
    let block = readme.split_once(&format!("```{fence}\n")).and_then(|(_, rest)| rest.split_once("```\n"));
    block.unwrap_or_else(|| panic!("README.md has no block ```{fence}")).0.to_owned()
}

/// Runs a program in the root of the repository.
fn run(command: &mut Command) -> Output {
    command.current_dir(ROOT).output().expect("the program starts")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the output is text")
}

/// Returns the output of the demo with the port and the duration of the README, because each run has its own.
fn as_in_the_readme(output: &str) -> String {
    let port = output.split("127.0.0.1:").nth(1).expect("the output names the server's address");
    let port = port.split(|other: char| !other.is_ascii_digit()).next().expect("splitting yields a first part");
    let output = output.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:8443");
    let (before, after) = output.split_once("OK after ").expect("the output has the duration of the request");
    let (_, after) = after.split_once(',').expect("the line goes on after the duration");
    format!("{before}OK after 1.4ms,{after}")
}

/// Returns the alerts of the chart.
fn alerts() -> Vec<Value> {
    let mut groups: Value =
        serde_saphyr::from_str(&page("charts/colocate/files/alerts.yaml")).expect("the file is YAML");
    serde_json::from_value(groups["groups"][0]["rules"].take()).expect("the rules are a list")
}

/// Returns the anchors that GitHub generates for the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn the_table_of_reasons_matches_the_enum() {
    let wanted: Vec<_> =
        Reason::ALL.iter().map(|reason| format!("| `{reason}` | {} |", reason.explanation())).collect();
    assert_eq!(table("README.md", "reason"), wanted);
}

#[test]
fn the_page_of_reasons_explains_what_links_to_it() {
    let page = page("docs/reasons.md");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Each section begins with the explanation, and ends with what to do.
    let sections = page.split("\n### ").skip(1).map(|section| {
        let section = section.split("\n## ").next().unwrap_or_default();
        let (title, text) = section.split_once("\n\n").expect("a section has a text");
        let (text, advice) = text.split_once("**What to do:**").unwrap_or_else(|| panic!("{title} says nothing to do"));
        (title.to_owned(), words(text), words(advice))
    });
    let sections: Vec<_> = sections.collect();
    let verdicts = Verdict::ALL.iter().map(|verdict| (format!("Verdict: {verdict}"), verdict.explanation()));
    let reasons = Reason::ALL.iter().map(|reason| (format!("Reason: {reason}"), reason.explanation()));
    let warnings = Topic::OTHERS.iter().map(|topic| (format!("Warning: {}", topic.as_str()), ""));
    let wanted: Vec<_> = verdicts.chain(reasons).chain(warnings).collect();
    let titles = |titles: &[&String]| titles.iter().map(|title| (*title).clone()).collect::<Vec<_>>();
    assert_eq!(
        titles(&sections.iter().map(|(title, ..)| title).collect::<Vec<_>>()),
        titles(&wanted.iter().map(|(title, _)| title).collect::<Vec<_>>())
    );
    for ((title, text, advice), (_, explanation)) in sections.iter().zip(wanted) {
        assert!(text.starts_with(explanation), "{title}: {text}");
        assert!(advice.ends_with('.'), "{title}: {advice}");
    }
    for verdict in Verdict::ALL.iter().filter(|verdict| !verdict.advice().is_empty()) {
        let title = format!("Verdict: {verdict}");
        let section = sections.iter().find(|(own, ..)| *own == title);
        assert_eq!(section.map(|(.., advice)| advice.as_str()), Some(verdict.advice()), "{title}");
    }
}

#[test]
fn each_alert_has_a_runbook_with_four_parts() {
    let page = page("docs/runbooks.md");
    let runbooks: Vec<_> = page.split("\n## ").skip(1).collect();
    let titles: Vec<_> = runbooks.iter().filter_map(|runbook| runbook.lines().next()).collect();
    let alerts = alerts();
    assert_eq!(titles, alerts.iter().map(|alert| alert["alert"].as_str().unwrap_or_default()).collect::<Vec<_>>());
    for runbook in runbooks {
        let paragraphs = runbook.split("\n\n").skip(1);
        let parts: Vec<_> = paragraphs.filter_map(|text| text.strip_prefix("**")?.split_once(":** ")).collect();
        let names: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["Meaning", "Impact", "Diagnosis", "Mitigation"], "{runbook}");
        assert!(parts.iter().all(|(_, text)| text.trim_end().ends_with('.')), "{runbook}");
    }
}

#[test]
fn every_warning_and_alert_links_to_an_anchor() {
    let alerts = alerts();
    let runbooks =
        alerts.iter().map(|alert| alert["annotations"]["runbook_url"].as_str().unwrap_or_default().to_owned());
    let topics = Reason::ALL.iter().copied().map(Topic::Reason).chain(Topic::OTHERS);
    let links: BTreeSet<_> = topics.map(|topic| topic.section().to_string()).chain(runbooks).collect();
    assert_eq!(links.len(), Reason::ALL.len() + Topic::OTHERS.len() + alerts.len(), "two have the same link");
    for link in links {
        let (name, anchor) = link.split_once('#').unwrap_or_else(|| panic!("{link:?} has no anchor"));
        assert!(anchors(&page(name)).contains(anchor), "{link} does not exist");
    }
}

#[test]
fn the_table_of_warnings_lists_those_without_a_reason() {
    let rows = table("README.md", "warning");
    let documented: Vec<_> = rows.iter().filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(documented, Topic::OTHERS.map(Topic::as_str));
}

#[test]
fn the_table_of_rules_matches_the_rules() {
    let row = |rule: &Rule| {
        let (id, severity, title, explanation) = (rule.id(), rule.severity(), rule.title(), rule.explanation());
        format!("| {id} | {severity} | {title} | {explanation} |")
    };
    assert_eq!(table("docs/annotations.md", "id"), Rule::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_table_of_exit_codes_matches_the_man_page() {
    let wanted = EXIT_STATUS.map(|(code, meaning)| format!("| {code} | {meaning} |"));
    assert_eq!(table("docs/running.md", "code"), wanted);
}

#[test]
fn the_table_of_metrics_lists_every_metric_with_its_labels() {
    let rows = table("docs/running.md", "metric");
    let documented: Vec<_> = rows.iter().filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(documented, Metrics::names());
}

#[test]
fn the_documented_defaults_are_correct_and_examples_are_valid() {
    let examples = |name: &str| -> Vec<Config> {
        let page = page(name);
        let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(""));
        blocks.map(|text| Config::parse(text, name).expect("the example is valid")).collect()
    };
    let configs = examples("docs/configuration.md");
    assert!(configs.len() >= 3, "docs/configuration.md has fewer examples than expected");
    assert_eq!(configs[0], Config::default());
    assert!(!examples("docs/running.md").is_empty(), "docs/running.md has no example");
}

#[test]
fn the_documented_driver_has_every_key_of_a_scheduler() {
    let page = page("docs/running.md");
    let (_, block) = page.split_once("```yaml\ndrivers:\n").expect("the page shows a driver");
    let documented = format!("drivers:\n{}", block.split("```").next().unwrap_or_default());
    let config: Config = documented.parse().expect("the example is valid");
    let keys = |text: &str| -> Vec<String> {
        let value: Value = serde_saphyr::from_str(text).expect("the text is YAML");
        let scheduler = value["drivers"][0]["scheduler"].as_object().expect("the scheduler is a mapping");
        scheduler.keys().cloned().collect()
    };
    assert_eq!(keys(&documented), keys(&config.to_yaml().expect("the configuration can be printed")));
}

#[test]
fn the_readme_shows_the_output_of_the_demo() {
    let binary = env!("CARGO_BIN_EXE_colocate");
    let output = run(Command::new("examples/demo").env("COLOCATE_BINARY", binary).env_remove("COLUMNS"));
    assert_eq!(text(output.stderr), "");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(as_in_the_readme(&text(output.stdout)), readme_block("text demo"));
}

#[test]
fn the_readme_shows_a_finding_of_validate() {
    let block = readme_block("console validate");
    let (command, expected) = block.split_once('\n').expect("the block is a command and its output");
    let arguments = command.strip_prefix("$ colocate ").expect("the command is colocate");
    let output = run(Command::new(env!("CARGO_BIN_EXE_colocate")).args(arguments.split(' ')));
    assert_eq!(text(output.stdout) + &text(output.stderr), expected);
    assert_eq!(output.status.code(), Some(1), "a finding is an error");
}

#[test]
fn issue_forms_are_complete_and_ask_for_why() {
    let folder = Path::new(ROOT).join(".github/ISSUE_TEMPLATE");
    let names = folder.read_dir().expect("the folder is readable").map(|entry| entry.expect("it is readable").path());
    let forms: Vec<_> = names.filter(|path| path.file_name().is_some_and(|name| name != "config.yml")).collect();
    assert_eq!(forms.len(), 3);
    let mut asked = String::new();
    for path in forms {
        let form: Value = serde_saphyr::from_str(&fs::read_to_string(&path).expect("the form is readable"))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(form["name"].is_string() && form["description"].is_string(), "{}", path.display());
        let fields =
            form["body"].as_array().expect("a form has a body").iter().filter(|field| field["type"] != "markdown");
        let mut ids = BTreeSet::new();
        for field in fields {
            assert!(field["attributes"]["label"].is_string() && ids.insert(field["id"].as_str()), "{field}");
            asked += field["attributes"]["description"].as_str().unwrap_or_default();
        }
    }
    assert!(asked.contains("`colocate why KIND/NAME -n NAMESPACE -o json`"), "{asked}");
}

/// The custom manager in `renovate.json` finds a version only in this form.
#[test]
fn renovate_finds_each_version_in_the_makefile() {
    let makefile = page("Makefile");
    let lines: Vec<_> = makefile.lines().collect();
    let mut found = 0;
    for pair in lines.windows(2) {
        let Some((name, version)) = pair[0].split_once("_VERSION := ") else { continue };
        let program = name.to_lowercase().replace('_', "-");
        assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{}", pair[0]);
        assert_eq!(pair[1], format!("{name} := $(CACHE)/{program}-$({name}_VERSION)"));
        found += 1;
    }
    assert!(found >= 3, "only {found} versions");
}

#[test]
fn the_supported_versions_are_those_of_the_tests() {
    let versions = text(run(&mut Command::new("tests/compat/versions")).stdout);
    let rows = table("docs/compatibility.md", "Kubernetes");
    let rows = rows.iter().map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let (rows, tested): (Vec<_>, Vec<_>) = rows.map(|row| (row[1].to_owned(), !row[2].is_empty())).unzip();
    assert_eq!(rows, versions.lines().collect::<Vec<_>>());
    let untested: Vec<_> = rows.iter().zip(tested).filter(|(_, tested)| !tested).map(|(row, _)| row).collect();
    assert!(untested.is_empty(), "run make compat: {untested:?} were not tested");

    let minor = rows[0].rsplit_once('.').map(|(minor, _)| minor).expect("the version has a patch version");
    let chart = page("charts/colocate/Chart.yaml");
    assert!(chart.contains(&format!("\nkubeVersion: \">={minor}.0-0\"\n")), "{chart}");
    for name in ["README.md", "charts/colocate/README.md", "docs/install.md"] {
        assert!(page(name).contains(&format!("Kubernetes {minor} or later")), "{name}");
    }
}

#[test]
fn measurements_have_no_placeholder() {
    assert!(!page("docs/measurements.md").contains("@TIMES"));
}

#[test]
fn every_link_points_to_an_existing_file_and_heading() {
    let mut wrong = Vec::new();
    let mut found = 0;
    for name in PAGES {
        let text = page(name);
        for line in prose(&text) {
            for rest in line.split("](").skip(1) {
                let link = rest.split(')').next().unwrap_or_default();
                if link.contains("://") {
                    continue;
                }
                found += 1;
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let file = if path.is_empty() { PathBuf::from(name) } else { linked(name, path) };
                let target = Path::new(ROOT).join(&file);
                let is_valid = if anchor.is_empty() {
                    target.exists()
                } else {
                    fs::read_to_string(target).is_ok_and(|page| anchors(&page).contains(anchor))
                };
                if !is_valid {
                    wrong.push(format!("{name}: {link}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(found > 60, "only {found} links");
    for entry in Path::new(ROOT).join("docs").read_dir().expect("docs is a readable folder") {
        let name = entry.expect("the entry is readable").file_name();
        // These are not pages.
        assert!(
            ["schemas", "book.toml", "build", "dashboard.svg"].contains(&name.to_string_lossy().as_ref())
                || PAGES.iter().any(|page| Path::new(page) == Path::new("docs").join(&name)),
            "{name:?} is missing in PAGES"
        );
    }
}

/// `make docs` builds the book from these pages, and checks the links in its HTML.
#[test]
fn the_book_has_every_page_under_its_title() {
    let summary = page("docs/SUMMARY.md");
    let chapters = summary.lines().filter_map(|line| line.trim_start_matches("- ").strip_prefix('[')?.split_once("]("));
    let mut listed = BTreeSet::from([PathBuf::from("docs/SUMMARY.md")]);
    for (title, link) in chapters {
        let name = clean(&linked("docs/SUMMARY.md", link.trim_end_matches(')')));
        let text = page(name.to_str().expect("the path is UTF-8"));
        let heading = text.lines().find_map(|line| line.strip_prefix("# ")).expect("a page has a title");
        assert_eq!(title, heading, "{link}");
        assert!(listed.insert(name), "{title} is listed twice");
    }
    assert_eq!(listed, PAGES.iter().map(PathBuf::from).collect());
}

/// Removes `..` from a path.
fn clean(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        if part == Component::ParentDir {
            path.pop();
        } else {
            path.push(part);
        }
        path
    })
}

/// Returns the file that a link of a page points to.
fn linked(page: &str, link: &str) -> PathBuf {
    Path::new(page).parent().unwrap_or(Path::new("")).join(link)
}
