//! The report of `colocate validate`, printed document by document.

use super::outcome::{Gap, Outcome, PlacedFinding};
use super::sarif::Log;
use super::text::Totals;
use super::{FindingFormat, github, json, text};
use crate::cli::Exit;
use crate::cli::console::Console;
use crate::cli::destination::Destination;
use crate::cli::json_list::JsonList;
use crate::cli::paint::Paint;
use crate::cli::problem::Problem;
use crate::companion::Severity;

/// Writes findings to the destination, and prints gaps and a summary on standard error. A closed standard error does not change the
/// result.
pub(super) struct Report {
    pub(super) console: Console,
    out: Destination,
    format: Format,
    totals: Totals,
    /// The number of files that were read.
    pub(super) files: usize,
    problems: usize,
}

enum Format {
    Text(Paint),
    Json(JsonList),
    Sarif(Log),
    Github,
}

impl Report {
    pub(super) fn new(format: FindingFormat, paint: Paint, out: Destination, console: Console) -> anyhow::Result<Self> {
        let format = match format {
            FindingFormat::Text => Format::Text(paint),
            FindingFormat::Json => Format::Json(JsonList::new(0)),
            FindingFormat::Sarif => Format::Sarif(Log::new()),
            FindingFormat::Github => Format::Github,
        };
        let totals = Totals::default();
        let mut report = Self { console, out, format, totals, files: 0, problems: 0 };
        if let Format::Sarif(_) = report.format {
            report.print(&Log::begin()?)?;
        }
        Ok(report)
    }

    /// Adds the result for a document.
    pub(super) fn add(&mut self, outcome: &Outcome<'_>) -> anyhow::Result<()> {
        self.totals.objects += outcome.objects.len();
        for gap in &outcome.gaps {
            self.add_gap(gap)?;
        }
        outcome.remarks.iter().for_each(|remark| self.console.say(&text::remark(remark)));
        for finding in &outcome.findings {
            self.add_finding(finding)?;
        }
        Ok(())
    }

    fn add_finding(&mut self, finding: &PlacedFinding<'_>) -> anyhow::Result<()> {
        let first = self.totals.findings() == 0;
        if finding.ignored.is_some() {
            self.totals.ignored += 1;
        } else {
            *self.totals.of(finding.finding.severity) += 1;
        }
        let rendered = match &mut self.format {
            Format::Sarif(log) => log.result(finding)?,
            _ if finding.ignored.is_some() => return Ok(()),
            Format::Text(paint) => (if first { "" } else { "\n" }).to_owned() + &text::finding(finding, *paint),
            Format::Json(list) => list.item(&json::entry(finding))?,
            Format::Github => github::finding(finding),
        };
        self.print(&rendered)
    }

    /// Adds something that could not be checked.
    pub(super) fn add_gap(&mut self, gap: &Gap<'_>) -> anyhow::Result<()> {
        self.totals.gaps += 1;
        self.totals.rules_are_open |= gap.rule.is_some();
        self.console.say(&text::gap(gap));
        match &mut self.format {
            Format::Sarif(log) => log.add_gap(gap),
            Format::Github => self.print(&github::gap(gap))?,
            Format::Text(_) | Format::Json(_) => {}
        }
        Ok(())
    }

    /// Adds a failure, which standard error shows already.
    pub(super) fn add_problem(&mut self, problem: &Problem) -> anyhow::Result<()> {
        self.problems += 1;
        match &mut self.format {
            Format::Sarif(log) => log.add_problem(problem),
            Format::Github => self.print(&github::problem(problem))?,
            // The list has findings only, on which its readers rely.
            Format::Text(_) | Format::Json(_) => {}
        }
        Ok(())
    }

    /// Ends the output, and prints a summary. If `offline`, it has advice on how to check more.
    pub(super) fn finish(&mut self, offline: bool) -> anyhow::Result<()> {
        self.end()?;
        if matches!(self.format, Format::Text(_)) {
            let advice = offline && self.totals.rules_are_open;
            let summary = text::summary(&self.totals, self.files, self.problems, advice);
            self.console.say(&summary);
        }
        Ok(())
    }

    /// Ends the output after a failure of the whole run, so that it is a complete document.
    pub(super) fn fail(&mut self, problem: &Problem) -> anyhow::Result<()> {
        self.add_problem(problem)?;
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let successful = self.problems == 0;
        let end = match &self.format {
            Format::Json(list) => list.end() + "\n",
            Format::Sarif(log) => log.end(successful)?,
            Format::Text(_) | Format::Github => String::new(),
        };
        self.print(&end)?;
        self.out.finish()
    }

    /// The exit code. `fail_on` is the lowest severity of a finding that counts as a failure.
    pub(super) fn exit(&self, fail_on: Severity, strict: bool) -> Exit {
        if self.totals.worst() >= Some(fail_on) || self.problems > 0 {
            Exit::Failed
        } else if strict && self.totals.gaps > 0 {
            Exit::Unresolved
        } else {
            Exit::Done
        }
    }

    fn print(&mut self, text: &str) -> anyhow::Result<()> {
        self.console.clear();
        self.out.write(text)
    }
}

impl Totals {
    fn of(&mut self, severity: Severity) -> &mut usize {
        match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Info => &mut self.infos,
        }
    }

    /// The highest severity of the findings.
    fn worst(&self) -> Option<Severity> {
        let counts = [(self.errors, Severity::Error), (self.warnings, Severity::Warning), (self.infos, Severity::Info)];
        counts.into_iter().find(|(count, _)| *count > 0).map(|(_, severity)| severity)
    }

    fn findings(&self) -> usize {
        self.errors + self.warnings + self.infos
    }
}
