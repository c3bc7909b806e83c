//! The audit as tables for people.

use std::fmt::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::ClusterAudit;
use super::document::mode_word;
use crate::cli::paint::{Paint, TextStyle, bounded};
use crate::engine::{amount, printable};
use crate::insight::{Census, Counts, Prediction};
use crate::inspect::{self, FileForecast, Webhooks, WorkloadForecast};

/// The number of rows of a table of namespaces or workloads, unless it is wide.
const MAX_ROWS: usize = 20;

/// Renders the results of clusters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    pub(super) paint: Paint,
    /// Whether all namespaces and workloads are listed.
    pub(super) wide: bool,
}

impl Tables {
    /// Renders the result of a cluster. `named` adds the context.
    pub(super) fn render(self, cluster: &ClusterAudit, named: bool) -> String {
        let mut text = String::new();
        if named && let Some(context) = &cluster.context {
            text += &self.line("context", TextStyle::Bold, context);
        }
        let Ok(audit) = &cluster.audit else {
            text += &self.line("", TextStyle::Red, "not audited: see the error");
            return text;
        };
        text += &self.summary(audit);
        if let Some(files) = &audit.files {
            text += &self.files(files, &cluster.skipped);
        }
        for (title, census) in [("pods", audit.pods.as_ref()), ("templates", audit.templates.as_ref())] {
            let Some(census) = census.filter(|census| census.total != Counts::default()) else { continue };
            text += &self.census(title, census);
        }
        text += &self.findings(audit);
        text += &self.webhooks(audit);
        if !cluster.not_seen.is_empty() {
            text += &self.title("not seen");
            for not_seen in &cluster.not_seen {
                let _ = writeln!(text, "  {}", bounded(&not_seen.to_string()));
            }
        }
        text
    }

    /// Renders the numbers, before all tables.
    fn summary(self, audit: &inspect::Audit) -> String {
        let mut text = String::new();
        match &audit.pods {
            Some(pods) => {
                let style = if pods.total.wrong > 0 { TextStyle::Red } else { TextStyle::Green };
                text += &self.line("pods", style, &numbers("are on the expected scheduler", &pods.total));
            }
            None => text += &self.line("pods", TextStyle::Yellow, "cannot be listed"),
        }
        match &audit.templates {
            Some(templates) => {
                let style = if templates.total.wrong > 0 { TextStyle::Yellow } else { TextStyle::Plain };
                let mut line = numbers("name the expected scheduler", &templates.total);
                if audit.more_templates {
                    line += "; some kinds cannot be listed";
                }
                text += &self.line("templates", style, &line);
            }
            None => text += &self.line("templates", TextStyle::Yellow, "cannot be listed"),
        }
        let claims = audit.claims.map_or_else(|| "? claims".to_owned(), |claims| amount(claims, "claim"));
        let classes = audit.classes.map_or_else(|| "? classes".to_owned(), |classes| amount(classes, "class"));
        let storage = format!("{claims}, {classes}");
        text += &self.line("storage", TextStyle::Plain, &storage);
        let installed = match audit.installed {
            Some(true) => "registered for pods",
            Some(false) => "not installed: a preview of what it would change",
            None => "not known whether it is installed",
        };
        let about = format!("{installed}; configuration: {}, mode: {}", audit.config, mode_word(audit.mode));
        text += &self.line("colocate", TextStyle::Plain, &about);
        if let Some(stork) = audit.stork {
            let state = if stork.active { "its own webhook is active" } else { "its own webhook is not active" };
            text += &self.line("stork", TextStyle::Plain, &format!("{state}: {}", stork.consequence()));
        }
        text
    }

    /// Renders what the files would change: first for running pods, then in the templates of the files.
    fn files(self, files: &FileForecast, skipped: &[String]) -> String {
        let FileForecast { workloads, pods, notes } = files;
        let mut text = self.title("what the files would change for running pods");
        let or_unknown = |scheduler: Option<&str>| scheduler.unwrap_or("?").to_owned();
        let rows = pods.counts.iter().take(self.rows()).map(|(change, count)| {
            let workload = format!("{}/{}", change.kind, change.name);
            let after = or_unknown(change.after.as_deref());
            let about = [&*change.today, &*after, change.when, change.reason];
            let place = row([&*change.namespace, &*workload], [count.to_string()]);
            place.into_iter().chain(about.map(printable)).collect()
        });
        if pods.counts.is_empty() {
            text += "  nothing\n";
        } else {
            text += &table(&["NAMESPACE", "WORKLOAD", "PODS", "TODAY", "AFTER", "WHEN", "REASON"], rows, 2..3);
        }
        text += &self.more(pods.counts.len(), pods.more, "pods");

        let is_shown = |forecast: &&WorkloadForecast| {
            let Prediction { today, after, .. } = &forecast.prediction;
            let is_same = after.scheduler.is_some() && after.scheduler.as_deref() == today.as_deref();
            self.wide || !is_same || forecast.prediction.rejection.is_some()
        };
        let shown: Vec<_> = workloads.iter().filter(is_shown).collect();
        if !shown.is_empty() {
            text += &self.title("workloads of the files");
            let rows = shown.iter().take(self.rows()).map(|forecast| {
                let Prediction { when, today, after, rejection, .. } = &forecast.prediction;
                let workload = format!("{}/{}", forecast.kind, forecast.name);
                let (today, after_scheduler) =
                    (today.as_deref().unwrap_or("-"), or_unknown(after.scheduler.as_deref()));
                let why = rejection.unwrap_or(after.reason);
                [&*forecast.namespace, &*workload, today, &*after_scheduler, when.as_str(), why].map(printable).to_vec()
            });
            text += &table(&["NAMESPACE", "WORKLOAD", "TODAY", "AFTER", "WHEN", "REASON"], rows, 0..0);
            text += &self.more(shown.len(), 0, "workloads");
        }
        for line in notes.iter().chain(skipped) {
            let _ = writeln!(text, "  {}", bounded(line));
        }
        text
    }

    fn census(self, title: &str, census: &Census) -> String {
        let columns = ["AS EXPECTED", "WRONG", "UNKNOWN", "NOT SENT"];
        let cells = |counts: &Counts| {
            [counts.as_expected, counts.wrong, counts.unknown, counts.not_sent].map(|number| number.to_string())
        };
        let (mut text, is_of_pods) = (String::new(), title == "pods");
        if is_of_pods || self.wide {
            text += &self.title(&format!("{title} by reason"));
            let rows = census.reasons.iter().map(|(reason, counts)| row([*reason], cells(counts)));
            text += &table(&[&["REASON"][..], &columns].concat(), rows, 1..5);
        }

        let needs_attention = |counts: &&Counts| self.wide || counts.wrong + counts.unknown + counts.not_sent > 0;
        let mut namespaces: Vec<_> = census.namespaces.iter().filter(|(_, counts)| needs_attention(counts)).collect();
        namespaces.sort_by_key(|(_, counts)| std::cmp::Reverse((counts.wrong, counts.unknown, counts.not_sent)));
        if !namespaces.is_empty() && (is_of_pods || self.wide) {
            text += &self.title(&format!("{title} by namespace"));
            let rows =
                namespaces.iter().take(self.rows()).map(|(namespace, counts)| row([&***namespace], cells(counts)));
            text += &table(&[&["NAMESPACE"][..], &columns].concat(), rows, 1..5);
            text += &self.more(namespaces.len(), census.more_namespaces, title);
        }

        let mut workloads: Vec<_> = census.workloads.iter().collect();
        workloads.sort_by_key(|(_, workload)| std::cmp::Reverse((workload.counts.wrong, workload.counts.unknown)));
        if !workloads.is_empty() {
            text += &self.title(&format!("{title} that are not as expected"));
            let rows = workloads.iter().take(self.rows()).map(|(key, workload)| {
                let Counts { wrong, unknown, .. } = workload.counts;
                let name = format!("{}/{}", key.kind, key.name);
                let numbers = [wrong.to_string(), unknown.to_string()];
                let expected = if wrong > 0 { &*workload.scheduler } else { "?" };
                let about = [workload.reason, &*workload.actual, expected, &*workload.pod];
                let place = row([&*key.namespace, &*name], numbers);
                place.into_iter().chain(about.map(printable)).collect()
            });
            let header =
                ["NAMESPACE", "WORKLOAD", "WRONG", "UNKNOWN", "REASON", "SCHEDULER", "EXPECTED", "FOR EXAMPLE"];
            text += &table(&header, rows, 2..4);
            text += &self.more(workloads.len(), census.more_workloads, title);
        }
        for (unknown_fact, number) in &census.unknown_facts {
            let explanation = unknown_fact.explanation();
            let _ = match number {
                1 => writeln!(text, "  1 of the {title} is unknown because {explanation}"),
                _ => writeln!(text, "  {number} {title} are unknown because {explanation}"),
            };
        }
        text
    }

    fn findings(self, audit: &inspect::Audit) -> String {
        let findings = &audit.findings;
        if findings.rules.is_empty() {
            return String::new();
        }
        let mut text = self.title(&format!("findings in {}", amount(findings.objects, "object")));
        let rows = findings.rules.iter().map(|(rule, count)| {
            let severity = count.severity.map_or("", |severity| severity.as_str());
            let numbers = [count.count.to_string(), count.unchecked.to_string()];
            let example = if count.count > 0 { &count.example } else { &count.why };
            let place = row([rule.id(), severity], numbers);
            place.into_iter().chain([rule.title(), example].map(printable)).collect()
        });
        text += &table(&["RULE", "SEVERITY", "COUNT", "UNCHECKED", "TITLE", "FOR EXAMPLE"], rows, 2..4);
        text
    }

    fn webhooks(self, audit: &inspect::Audit) -> String {
        let webhooks = audit.webhooks.as_ref().map(Webhooks::pod_webhooks).unwrap_or_default();
        if webhooks.is_empty() {
            return String::new();
        }
        let mut text = self.title("mutating webhooks for pods, in the order of their calls");
        let rows = webhooks.iter().map(|webhook| {
            let again = if webhook.reinvoked { "yes" } else { "no" };
            let cells = [&*webhook.configuration, &webhook.name, &webhook.failure_policy, again];
            cells.map(printable).to_vec()
        });
        text += &table(&["CONFIGURATION", "WEBHOOK", "FAILURE POLICY", "CALLED AGAIN"], rows, 0..0);
        text
    }

    fn rows(self) -> usize {
        if self.wide { usize::MAX } else { MAX_ROWS }
    }

    /// Renders what a table leaves out.
    fn more(self, rows: usize, uncounted: u64, title: &str) -> String {
        let mut text = String::new();
        let hidden = rows.saturating_sub(self.rows());
        if hidden > 0 {
            let _ = writeln!(text, "  and {hidden} more: -o wide lists all");
        }
        if uncounted > 0 {
            let _ = writeln!(text, "  {uncounted} more of the {title}: counted in the totals only");
        }
        text
    }

    fn title(self, title: &str) -> String {
        format!("\n{}\n", self.paint.text(TextStyle::Bold, &title.to_uppercase()))
    }

    fn line(self, label: &str, style: TextStyle, text: &str) -> String {
        format!("{label:<11}{}\n", self.paint.text(style, &bounded(text)))
    }
}

/// Renders numbers of pods or templates.
fn numbers(what: &str, counts: &Counts) -> String {
    let Counts { as_expected, wrong, unknown, not_sent, ended } = counts;
    let percent = counts.percent_as_expected().map_or_else(|| "-".to_owned(), floor_to_tenth);
    let mut text = format!("{as_expected} of {} {what} ({percent} %)", counts.compared());
    let not_counted = [(not_sent, "not sent to colocate and not counted"), (ended, "ended and not counted")];
    for (number, word) in [(wrong, "wrong"), (unknown, "unknown")].into_iter().chain(not_counted) {
        if *number > 0 {
            let _ = write!(text, ", {number} {word}");
        }
    }
    text
}

/// Rounds down, so that 100 means all.
pub(in crate::cli) fn floor_to_tenth(percent: f64) -> String {
    let tenths = (percent * 10.0).floor() / 10.0;
    if tenths >= 100.0 { "100".to_owned() } else { format!("{tenths:.1}") }
}

fn row<const N: usize, const M: usize>(names: [&str; N], numbers: [String; M]) -> Vec<String> {
    names.map(printable).into_iter().chain(numbers).collect()
}

/// Renders a table without borders, with two spaces between its columns. The columns of numbers are aligned to the right.
pub(in crate::cli) fn table(
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    numbers: std::ops::Range<usize>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((2, 0));
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}
