//! The report of `colocate validate`, printed document by document.

use super::junit::Suites;
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
use crate::manifest::Source;

/// Writes findings to the destination, and prints gaps and a summary on standard error. A closed standard error does not change the
/// result.
pub(super) struct Report {
    pub(super) console: Console,
    out: Destination,
    /// The lowest severity of a finding that fails the run.
    fail_on: Severity,
    format: Format,
    totals: Totals,
    /// The number of files that were read.
    files: usize,
    problems: usize,
}

enum Format {
    Text(Paint),
    Json(JsonList),
    Sarif(Log),
    Github,
    Junit(Suites),
}

impl Report {
    pub(super) fn new(
        format: FindingFormat,
        fail_on: Severity,
        paint: Paint,
        out: Destination,
        console: Console,
    ) -> anyhow::Result<Self> {
        let format = match format {
            FindingFormat::Text => Format::Text(paint),
            FindingFormat::Json => Format::Json(JsonList::new(0)),
            FindingFormat::Sarif => Format::Sarif(Log::new()),
            FindingFormat::Github => Format::Github,
            FindingFormat::Junit => Format::Junit(Suites::new(fail_on)),
        };
        let totals = Totals::default();
        let mut report = Self { console, out, fail_on, format, totals, files: 0, problems: 0 };
        let begin = match report.format {
            Format::Sarif(_) => Log::begin()?,
            Format::Junit(_) => Suites::begin(),
            _ => String::new(),
        };
        report.print(&begin)?;
        Ok(report)
    }

    /// Adds the result for a document of a file.
    pub(super) fn add(&mut self, source: &Source, outcome: &Outcome<'_>) -> anyhow::Result<()> {
        self.totals.objects += outcome.objects.len();
        if let Format::Junit(suites) = &mut self.format {
            suites.add(source, outcome)?;
        }
        for gap in &outcome.gaps {
            self.add_gap(gap)?;
        }
        outcome.remarks.iter().for_each(|remark| self.console.say(&text::remark(remark)));
        for finding in &outcome.findings {
            self.add_finding(finding)?;
        }
        Ok(())
    }

    /// Ends a file.
    pub(super) fn end_file(&mut self, source: &Source) -> anyhow::Result<()> {
        self.files += 1;
        match &mut self.format {
            Format::Junit(suites) => {
                let suite = suites.end_file(source)?;
                self.print(&suite)
            }
            _ => Ok(()),
        }
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
            // The suite of the file has it already.
            Format::Junit(_) => return Ok(()),
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
            Format::Junit(suites) if gap.range.is_none() => suites.add_gap(gap)?,
            Format::Junit(_) | Format::Text(_) | Format::Json(_) => {}
        }
        Ok(())
    }

    /// Adds a failure, which standard error shows already.
    pub(super) fn add_problem(&mut self, problem: &Problem) -> anyhow::Result<()> {
        self.problems += 1;
        match &mut self.format {
            Format::Sarif(log) => log.add_problem(problem),
            Format::Github => self.print(&github::problem(problem))?,
            Format::Junit(suites) => suites.add_problem(problem)?,
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
        let end = match &mut self.format {
            Format::Json(list) => list.end() + "\n",
            Format::Sarif(log) => log.end(successful)?,
            Format::Junit(suites) => suites.end()?,
            Format::Text(_) | Format::Github => String::new(),
        };
        self.print(&end)?;
        self.out.finish()
    }

    /// The exit code.
    pub(super) fn exit(&self, strict: bool) -> Exit {
        if self.totals.worst() >= Some(self.fail_on) || self.problems > 0 {
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
