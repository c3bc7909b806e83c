//! SARIF 2.1.0, which code scanning services read.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::json;
use serde_sarif::sarif::{
    ArtifactLocation, Invocation, Location, LogicalLocation, Message, MultiformatMessageString, Notification,
    PhysicalLocation, Region, ReportingConfiguration, ReportingDescriptor, ReportingDescriptorReference,
    Result as SarifResult, ResultLevel, SCHEMA_URL, Suppression, Tool, ToolComponent, Version,
};

use super::outcome::{Gap, PlacedFinding, SourceRange, file};
use crate::cli::json_list::JsonList;
use crate::cli::problem::Problem;
use crate::companion::{Rule, Severity};
use crate::manifest::Position;

/// The characters that are encoded in a path of a URI: all but RFC 3986's unreserved ones and `/`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The largest number of gaps in a log. They are kept in memory until its end.
const MAX_GAPS: usize = 10_000;

/// A log with one run, which is printed piece by piece: the rules, the findings, and what could not be checked.
pub(super) struct Log {
    results: JsonList,
    notifications: Vec<Notification>,
    /// The number of gaps, including those that the log does not list.
    gaps: usize,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { results: JsonList::new(3), notifications: Vec::new(), gaps: 0 }
    }

    /// Renders the log up to its results.
    pub(super) fn begin() -> serde_json::Result<String> {
        let driver = ToolComponent::builder()
            .name("colocate")
            .semantic_version(env!("CARGO_PKG_VERSION"))
            .rules(Rule::ALL.iter().map(|rule| descriptor(*rule)).collect::<Vec<_>>())
            .build();
        let tool = nested(3, &Tool::builder().driver(driver).build())?;
        let (schema, version) = (json!(SCHEMA_URL), json!(Version::V2_1_0));
        Ok(format!(
            "{{
  \"$schema\": {schema},
  \"version\": {version},
  \"runs\": [
    {{
      \"tool\": {tool},
      \"columnKind\": {},
      \"results\": ",
            // The default is UTF-16 code units.
            json!("unicodeCodePoints"),
        ))
    }

    /// Renders a finding.
    pub(super) fn result(&mut self, finding: &PlacedFinding<'_>) -> serde_json::Result<String> {
        self.results.item(&result(finding))
    }

    /// Adds something that could not be checked.
    pub(super) fn add_gap(&mut self, gap: &Gap<'_>) {
        self.gaps += 1;
        if self.gaps <= MAX_GAPS {
            self.notifications.push(notification(gap));
        }
    }

    /// Adds a failure.
    pub(super) fn add_problem(&mut self, Problem { place, what, .. }: &Problem) {
        let location = |(name, position): &(String, Position)| {
            let region =
                Region::builder().start_line(number(position.line)).start_column(number(position.column)).build();
            let artifact = ArtifactLocation::builder().uri(uri(Some(file(name)))).build();
            let physical = PhysicalLocation::builder().artifact_location(artifact).region(region).build();
            Location::builder().physical_location(physical).build()
        };
        let locations: Vec<_> = place.iter().map(location).collect();
        let level = json!(ResultLevel::Error);
        self.notifications
            .push(Notification::builder().level(level).message(message(what)).locations(locations).build());
    }

    /// Renders the rest.
    pub(super) fn end(&mut self, successful: bool) -> serde_json::Result<String> {
        let mut notifications = std::mem::take(&mut self.notifications);
        if let Some(more @ 1..) = self.gaps.checked_sub(MAX_GAPS) {
            notifications.push(notification(&Gap::of_run(format!("{more} more, which standard error lists"))));
        }
        let invocation =
            Invocation::builder().execution_successful(successful).tool_execution_notifications(notifications).build();
        let (results, invocations) = (self.results.end(), nested(3, &[invocation])?);
        Ok(format!("{results},\n      \"invocations\": {invocations}\n    }}\n  ]\n}}\n"))
    }
}

/// Renders a value that is nested `depth` levels deep.
fn nested(depth: usize, value: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(value)?.replace('\n', &format!("\n{}", "  ".repeat(depth))))
}

fn descriptor(rule: Rule) -> ReportingDescriptor {
    let text = |text: &str| MultiformatMessageString::builder().text(text).build();
    ReportingDescriptor::builder()
        .id(rule.id())
        .name(rule.name())
        .short_description(text(rule.title()))
        .full_description(text(rule.explanation()))
        .help(text(&format!("{} See {}", rule.explanation(), rule.origin())))
        .help_uri(rule.origin())
        .default_configuration(ReportingConfiguration::builder().level(json!(level(rule.severity()))).build())
        .build()
}

fn result(PlacedFinding { range, finding, ignored, .. }: &PlacedFinding<'_>) -> SarifResult {
    let path = (!finding.path.is_root()).then(|| finding.path.to_string());
    let path = path.map(|path| LogicalLocation::builder().fully_qualified_name(path).kind("member").build());
    let mut location = Location::builder().physical_location(physical(range)).build();
    location.logical_locations = path.map(|path| vec![path]);
    let suppression = |reason: &str| {
        Suppression::builder().kind(json!("inSource")).status(json!("accepted")).justification(reason).build()
    };
    SarifResult::builder()
        .rule_id(finding.rule.id())
        .rule_index(finding.rule as i64)
        .level(level(finding.severity))
        .message(message(&format!("{}; {}", finding.message, finding.remedy)))
        .locations([location])
        // If one result of a run has this property, all must have it.
        .suppressions(ignored.iter().map(|reason| suppression(reason)).collect::<Vec<_>>())
        .build()
}

fn notification(Gap { range, rule, what, .. }: &Gap<'_>) -> Notification {
    let locations = range.iter().map(|range| Location::builder().physical_location(physical(range)).build());
    let mut notification = Notification::builder()
        .level(json!(ResultLevel::Note))
        .message(message(&format!("not checked: {what}")))
        .locations(locations.collect::<Vec<_>>())
        .build();
    notification.associated_rule =
        rule.map(|rule| ReportingDescriptorReference::builder().id(rule.id()).index(rule as i64).build());
    notification
}

fn message(text: &str) -> Message {
    Message::builder().text(text).build()
}

fn physical(range: &SourceRange<'_>) -> PhysicalLocation {
    let (start, end) = (range.start(), range.end());
    let region = Region::builder()
        .start_line(number(start.line))
        .start_column(number(start.column))
        .end_line(number(end.line))
        .end_column(number(end.column))
        .build();
    let file = ArtifactLocation::builder().uri(uri(range.file())).build();
    PhysicalLocation::builder().artifact_location(file).region(region).build()
}

/// Converts a file name to a URI, relative if the name is.
fn uri(file: Option<&str>) -> String {
    let Some(file) = file else { return "stdin".to_owned() };
    let scheme = if file.starts_with('/') { "file://" } else { "" };
    format!("{scheme}{}", utf8_percent_encode(file, ENCODED))
}

fn level(severity: Severity) -> ResultLevel {
    match severity {
        Severity::Error => ResultLevel::Error,
        Severity::Warning => ResultLevel::Warning,
        Severity::Info => ResultLevel::Note,
    }
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_uri() {
        assert_eq!(uri(Some("deploy/a b.yaml")), "deploy/a%20b.yaml");
        assert_eq!(uri(Some("a:b%/ü#?.yaml")), "a%3Ab%25/%C3%BC%23%3F.yaml");
        assert_eq!(uri(Some("/srv/a.yaml")), "file:///srv/a.yaml");
        assert_eq!(uri(None), "stdin");
    }

    #[test]
    fn gaps_past_the_limit_are_counted_and_failures_are_kept() {
        let log = |gaps: usize| {
            let mut log = Log::new();
            (0..gaps).for_each(|number| log.add_gap(&Gap::of_run(format!("a{number}"))));
            log.add_problem(&Problem::from(&anyhow::anyhow!("a failure")));
            log.end(false).unwrap()
        };
        let notes = |text: &str| text.matches("not checked: ").count();
        let (full, more) = (log(MAX_GAPS), log(MAX_GAPS + 2));
        assert_eq!((notes(&full), notes(&more)), (MAX_GAPS, MAX_GAPS + 1));
        assert!(!full.contains(" more, which") && full.contains("a failure"));
        assert!(more.contains("\"not checked: 2 more, which standard error lists\"") && more.contains("a failure"));
        assert!(more.contains("\"not checked: a9999\"") && !more.contains("\"not checked: a10000\""));
    }
}
