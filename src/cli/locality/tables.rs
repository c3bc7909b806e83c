//! The result as tables for people.

use std::fmt::Write as _;

use super::Outcome;
use crate::cli::audit::{floor_to_tenth, table};
use crate::cli::paint::{Paint, TextStyle, bounded};
use crate::engine::{amount, printable};
use crate::inspect::{ConfigSource, LocalityReport, NonLocalPod, PodPlace, SourceRow, UnknownPod};
use crate::locality::{Counts, GainCount, WhyNot};

/// The number of rows of a table, unless it is wide.
const MAX_ROWS: usize = 20;

/// Renders the result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    pub(super) paint: Paint,
    /// Whether all rows are listed, and what to do.
    pub(super) wide: bool,
}

impl Tables {
    /// Renders the result: the percentage first.
    pub(super) fn render(self, outcome: &Outcome<'_>) -> String {
        let Outcome { report, not_seen, .. } = outcome;
        let mut text = self.summary(outcome);
        text += &self.groups(outcome);
        text += &self.non_local(report);
        text += &self.unknown(report);
        if report.more > 0 {
            let _ = writeln!(text, "\n{} more pods are counted and not listed", report.more);
        }
        if !not_seen.is_empty() {
            text += &self.title("not seen");
            for one in *not_seen {
                let _ = writeln!(text, "  {}", bounded(&one.to_string()));
            }
        }
        text
    }

    fn summary(self, outcome: &Outcome<'_>) -> String {
        let Outcome { report, namespace, .. } = outcome;
        let mut text = match &report.shares {
            Some(shares) => {
                let Counts { partly, remote, .. } = shares.total;
                let style = if partly + remote > 0 { TextStyle::Red } else { TextStyle::Green };
                // Without the configuration, pods of its other drivers are not counted at all.
                if report.config == ConfigSource::NotSeen && shares.total.all() == 0 {
                    self.line(
                        "pods",
                        TextStyle::Yellow,
                        "not known: the drivers are in the configuration, which could not be read",
                    )
                } else {
                    self.line("pods", style, &sentence(&shares.total))
                }
            }
            None => self.line("pods", TextStyle::Yellow, "cannot be listed"),
        };
        let gain = match report.gain {
            Some(GainCount { pods, unknown }) => {
                let counted = match pods {
                    1 => "1 pod would be local if it were evicted now".to_owned(),
                    _ => format!("{pods} pods would be local if they were evicted now"),
                };
                match unknown {
                    0 => counted,
                    1 => format!("{counted}; unknown for 1 other"),
                    _ => format!("{counted}; unknown for {unknown} others"),
                }
            }
            None if namespace.is_some() => {
                "not known: the requests of pods in other namespaces, which are not read with -n, may fill the nodes"
                    .to_owned()
            }
            None => "not known: the nodes or the pods cannot be listed".to_owned(),
        };
        text += &self.line("gain", TextStyle::Plain, &gain);
        for SourceRow { driver, source } in &report.sources {
            text += &match source {
                Ok(source) => self.line("storage", TextStyle::Plain, &format!("{driver}: {source}")),
                Err(why) => self.line("storage", TextStyle::Yellow, &format!("{driver}: {why}")),
            };
        }
        for (provisioner, claims) in &report.not_counted {
            let are = if *claims == 1 { "is" } else { "are" };
            let why = format!(
                "{provisioner}: {} {are} not counted, because no driver of the configuration has this provisioner: add one as in docs/locality.md",
                amount(*claims, "claim")
            );
            text += &self.line("no driver", TextStyle::Yellow, &why);
        }
        text += &self.line("colocate", TextStyle::Plain, &format!("configuration: {}", report.config));
        text
    }

    /// Renders the shares of the groups, the worst first.
    fn groups(self, outcome: &Outcome<'_>) -> String {
        let Some(shares) = &outcome.report.shares else { return String::new() };
        let needs_attention = |counts: &Counts| self.wide || counts.partly + counts.remote + counts.unknown > 0;
        let mut groups = outcome.by.groups(shares);
        groups.retain(|(_, counts)| needs_attention(counts));
        if groups.is_empty() {
            return String::new();
        }
        groups.sort_by_key(|(_, counts)| std::cmp::Reverse((counts.remote + counts.partly, counts.unknown)));
        let labels = outcome.by.labels();
        let mut text = self.title(&format!("by {}", labels.join(", ")));
        let header: Vec<_> = labels.iter().map(|label| label.to_uppercase()).collect();
        let numbers = ["LOCAL", "PARTLY", "REMOTE", "MEANT TO BE REMOTE", "UNKNOWN", "% LOCAL"];
        let header: Vec<_> = header.iter().map(String::as_str).chain(numbers).collect();
        let rows = groups.iter().take(self.rows()).map(|(values, counts)| {
            let Counts { local, partly, remote, meant_to_be_remote, unknown } = counts;
            let cells = [local, partly, remote, meant_to_be_remote, unknown].map(ToString::to_string);
            values.iter().map(|value| printable(value)).chain(cells).chain([percent(counts)]).collect()
        });
        text += &table(&header, rows, labels.len()..header.len());
        text += &self.more(groups.len());
        let more = outcome.by.more(shares);
        if more > 0 {
            let _ = writeln!(text, "  at most 10,000 groups are kept: {more} more pods are only in the total");
        }
        text
    }

    /// Renders the pods that are not local.
    fn non_local(self, report: &LocalityReport) -> String {
        if report.non_local.is_empty() {
            return String::new();
        }
        let mut text = self.title("pods that do not run with their data");
        let mut header = vec!["NAMESPACE", "POD", "NODE", "LOCALITY", "REPLICAS", "WHY NOT"];
        if self.wide {
            header.extend(["WHAT TO DO", "WOULD RUN ON"]);
        }
        let rows = report.non_local.iter().take(self.rows()).map(
            |NonLocalPod { pod, locality, replicas, some_replicas, why_not, target }| {
                let PodPlace { namespace, name, node, .. } = pod;
                let replicas = match (replicas.is_empty(), some_replicas.is_empty()) {
                    (false, _) => replicas.join(", "),
                    (true, false) => format!("{} (none has all)", some_replicas.join(", ")),
                    (true, true) => "-".to_owned(),
                };
                let why: Vec<_> = why_not.iter().map(ToString::to_string).collect();
                // One reason decides, and wide has room for the others.
                let why = if self.wide { why.join("; ") } else { why.first().cloned().unwrap_or_default() };
                let mut cells = vec![printable(namespace), printable(name), printable(node), locality.to_string()];
                cells.extend([printable(&replicas), printable(&why)]);
                if self.wide {
                    let advice = why_not.first().map_or("", WhyNot::advice);
                    cells.extend([advice.to_owned(), printable(target.as_deref().unwrap_or("-"))]);
                }
                cells
            },
        );
        text += &table(&header, rows, 0..0);
        text += &self.more(report.non_local.len());
        text
    }

    /// Renders the pods of which a fact is missing.
    fn unknown(self, report: &LocalityReport) -> String {
        if report.unknown.is_empty() {
            return String::new();
        }
        let mut text = self.title("unknown pods");
        let rows = report.unknown.iter().take(self.rows()).map(|UnknownPod { pod, why, .. }| {
            let PodPlace { namespace, name, driver, node, .. } = pod;
            let mut cells = [namespace, name, &**driver, node].map(printable).to_vec();
            cells.push(bounded(why));
            cells
        });
        text += &table(&["NAMESPACE", "POD", "DRIVER", "NODE", "WHY"], rows, 0..0);
        text += &self.more(report.unknown.len());
        text
    }

    fn rows(self) -> usize {
        if self.wide { usize::MAX } else { MAX_ROWS }
    }

    /// Renders how many rows a table leaves out.
    fn more(self, rows: usize) -> String {
        match rows.saturating_sub(self.rows()) {
            0 => String::new(),
            hidden => format!("  and {hidden} more: -o wide lists them\n"),
        }
    }

    fn title(self, title: &str) -> String {
        format!("\n{}\n", self.paint.text(TextStyle::Bold, &title.to_uppercase()))
    }

    fn line(self, label: &str, style: TextStyle, text: &str) -> String {
        format!("{label:<11}{}\n", self.paint.text(style, &bounded(text)))
    }
}

/// Renders the percentage, and the numbers that it is made of.
fn sentence(counts: &Counts) -> String {
    let Counts { local, partly, remote, meant_to_be_remote, unknown } = counts;
    let known = local + partly + remote;
    let mut text = match counts.percent_local() {
        Some(share) => format!("{} % run with their data: {local} of {known}", floor_to_tenth(share)),
        None => "no pod is known to run with its data or without it".to_owned(),
    };
    if counts.all() == 0 {
        return "none has a claim of a driver".to_owned();
    }
    if known + unknown == 0 {
        return format!("all are meant to be remote and not counted: {meant_to_be_remote}");
    }
    let numbers = [
        (partly, "partly"),
        (remote, "remote"),
        (meant_to_be_remote, "meant to be remote and not counted"),
        (unknown, "unknown and not counted"),
    ];
    for (number, word) in numbers.into_iter().filter(|(number, _)| **number > 0) {
        let _ = write!(text, ", {number} {word}");
    }
    text
}

fn percent(counts: &Counts) -> String {
    counts.percent_local().map_or_else(|| "-".to_owned(), floor_to_tenth)
}
