//! JUnit XML, as GitLab, Jenkins and Azure DevOps read it: a suite for each file, and a test case for each object.
//!
//! These readers show only one result of a test case. It is a failure if there is a finding that fails the run, or else skipped if
//! something was ignored or could not be checked. Everything else is in the output of the test case.

use std::collections::BTreeMap;
use std::io;

use quick_xml::Writer;
use quick_xml::events::BytesText;
use quick_xml::writer::ElementWriter;

use super::outcome::{Gap, Outcome, PlacedFinding, file};
use super::text;
use crate::cli::paint::{Paint, bounded};
use crate::cli::problem::Problem;
use crate::companion::Severity;
use crate::manifest::{Source, ValidatedObject};

/// The name of the suite for results that do not belong to a file.
const RUN: &str = "colocate";

/// The suites, which are printed file by file.
pub(super) struct Suites {
    /// The lowest severity of a finding that is a failure.
    fail_on: Severity,
    current: Suite,
    /// The suites that only have errors so far: each with its file.
    pending: BTreeMap<String, Suite>,
}

#[derive(Default)]
struct Suite {
    cases: Vec<u8>,
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

/// The result of a test case that did not pass.
enum CaseResult {
    Failure { rule: &'static str, message: String, text: String },
    Error(String),
    Skipped(String),
}

/// A test case.
struct Case<'c> {
    /// The file; `None` if it is not about one.
    file: Option<&'c str>,
    name: &'c str,
    line: Option<usize>,
    result: Option<CaseResult>,
    output: String,
}

impl Suites {
    pub(super) fn new(fail_on: Severity) -> Self {
        Self { fail_on, current: Suite::default(), pending: BTreeMap::new() }
    }

    /// Renders the beginning.
    pub(super) fn begin() -> String {
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"colocate validate\">\n".to_owned()
    }

    /// Adds the results of a document to the suite of its file.
    pub(super) fn add(&mut self, source: &Source, outcome: &Outcome<'_>) -> io::Result<()> {
        let file = Some(file(&source.name));
        for object in outcome.objects {
            let findings = outcome.findings.iter().filter(|finding| std::ptr::eq(finding.object, object));
            let gaps = outcome.gaps.iter().filter(|gap| gap.object.is_some_and(|other| std::ptr::eq(other, object)));
            let (result, output) = self.result(findings, gaps);
            let (name, line) = (name(object), Some(object.object.position.line));
            self.current.add(&Case { file, name: &name, line, result, output })?;
        }
        for gap in outcome.gaps.iter().filter(|gap| gap.object.is_none()) {
            let line = gap.range.as_ref().map(|range| range.start().line);
            let name = line.map_or_else(|| source.name.clone(), |line| format!("line {line}"));
            let result = Some(CaseResult::Skipped(gap.what.clone()));
            self.current.add(&Case { file, name: &name, line, result, output: String::new() })?;
        }
        Ok(())
    }

    /// Ends a file, and renders its suite.
    pub(super) fn end_file(&mut self, source: &Source) -> io::Result<String> {
        let name = file(&source.name);
        let mut suite = std::mem::take(&mut self.current);
        if let Some(errors) = self.pending.remove(name) {
            suite.join(&errors);
        }
        if suite.tests == 0 {
            suite.add(&Case { file: Some(name), name, line: None, result: None, output: String::new() })?;
        }
        suite.render(name)
    }

    /// Adds something that could not be checked and is not about a place in a checked file.
    pub(super) fn add_gap(&mut self, gap: &Gap<'_>) -> io::Result<()> {
        let result = Some(CaseResult::Skipped(gap.what.clone()));
        let case = Case { file: None, name: &gap.what, line: None, result, output: String::new() };
        self.pending.entry(RUN.to_owned()).or_default().add(&case)
    }

    /// Adds a failure.
    pub(super) fn add_problem(&mut self, Problem { place, what, .. }: &Problem) -> io::Result<()> {
        let result = Some(CaseResult::Error(what.clone()));
        let output = String::new();
        let Some((name, position)) = place else {
            let case = Case { file: None, name: what, line: None, result, output };
            return self.pending.entry(RUN.to_owned()).or_default().add(&case);
        };
        let (file, case) = (file(name), format!("line {}", position.line));
        let case = Case { file: Some(file), name: &case, line: Some(position.line), result, output };
        self.pending.entry(file.to_owned()).or_default().add(&case)
    }

    /// Renders the rest.
    pub(super) fn end(&mut self) -> io::Result<String> {
        let suites = std::mem::take(&mut self.pending);
        let suites = suites.iter().map(|(name, suite)| suite.render(name)).collect::<io::Result<String>>()?;
        Ok(suites + "</testsuites>\n")
    }

    /// The result and the output of the test case of an object.
    fn result<'o>(
        &self,
        findings: impl Iterator<Item = &'o PlacedFinding<'o>>,
        gaps: impl Iterator<Item = &'o Gap<'o>>,
    ) -> (Option<CaseResult>, String) {
        let (ignored, findings): (Vec<_>, Vec<_>) = findings.partition(|finding| finding.ignored.is_some());
        let (mut failed, passed): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|found| found.finding.severity >= self.fail_on);
        let mut output: String = passed.iter().map(|finding| text::finding(finding, Paint::PLAIN)).collect();
        let reason =
            |found: &PlacedFinding<'_>| found.ignored.map(|reason| format!("{} ignored: {reason}", found.finding.rule));
        let skipped = ignored.iter().filter_map(|found| reason(found)).chain(gaps.map(|gap| match gap.rule {
            Some(rule) => format!("{rule} not checked: {}", gap.what),
            None => format!("not checked: {}", gap.what),
        }));
        let skipped: Vec<_> = skipped.collect();
        failed.sort_by_key(|found| std::cmp::Reverse(found.finding.severity));
        let Some(worst) = failed.first() else {
            let result = (!skipped.is_empty()).then(|| CaseResult::Skipped(skipped.join("; ")));
            return (result, output);
        };
        output.extend(skipped.iter().map(|line| bounded(line) + "\n"));
        let more = if failed.len() == 1 { String::new() } else { format!(" (and {} more)", failed.len() - 1) };
        let result = CaseResult::Failure {
            rule: worst.finding.rule.id(),
            message: format!("{}: {}{more}", worst.finding.rule, worst.finding.message),
            text: failed.iter().map(|finding| text::finding(finding, Paint::PLAIN)).collect(),
        };
        (Some(result), output)
    }
}

impl Suite {
    fn add(&mut self, case: &Case<'_>) -> io::Result<()> {
        self.tests += 1;
        match &case.result {
            Some(CaseResult::Failure { .. }) => self.failures += 1,
            Some(CaseResult::Error(_)) => self.errors += 1,
            Some(CaseResult::Skipped(_)) => self.skipped += 1,
            None => {}
        }
        case.write(&mut self.cases)
    }

    fn join(&mut self, other: &Self) {
        self.cases.extend_from_slice(&other.cases);
        self.tests += other.tests;
        self.failures += other.failures;
        self.errors += other.errors;
        self.skipped += other.skipped;
    }

    fn render(&self, name: &str) -> io::Result<String> {
        let mut out = Writer::new(Vec::new());
        let counts =
            [("tests", self.tests), ("failures", self.failures), ("errors", self.errors), ("skipped", self.skipped)];
        let element = with(out.create_element("testsuite"), "name", name);
        let element =
            counts.into_iter().fold(element, |element, (name, count)| with(element, name, &count.to_string()));
        element.write_inner_content(|out| {
            out.get_mut().push(b'\n');
            out.get_mut().extend_from_slice(&self.cases);
            Ok(())
        })?;
        Ok(String::from_utf8_lossy(&out.into_inner()).into_owned() + "\n")
    }
}

impl Case<'_> {
    fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut out = Writer::new(out);
        let mut element = with(out.create_element("testcase"), "name", self.name);
        // GitLab shows the class as the suite of a test.
        element = with(element, "classname", self.file.unwrap_or(RUN));
        if let Some(file) = self.file {
            element = with(element, "file", file);
        }
        if let Some(line) = self.line {
            element = with(element, "line", &line.to_string());
        }
        if self.result.is_none() && self.output.is_empty() {
            element.write_empty()?;
        } else {
            element.write_inner_content(|out| {
                self.write_result(out)?;
                if !self.output.is_empty() {
                    out.create_element("system-out").write_text_content(BytesText::new(&characters(&self.output)))?;
                }
                Ok(())
            })?;
        }
        out.get_mut().push(b'\n');
        Ok(())
    }

    fn write_result(&self, out: &mut Writer<&mut Vec<u8>>) -> io::Result<()> {
        match &self.result {
            None => {}
            Some(CaseResult::Failure { rule, message, text }) => {
                let element = with(with(out.create_element("failure"), "type", rule), "message", message);
                element.write_text_content(BytesText::new(&characters(text)))?;
            }
            Some(CaseResult::Error(message)) => {
                let element = with(with(out.create_element("error"), "type", "unreadable"), "message", message);
                element.write_text_content(BytesText::new(&characters(message)))?;
            }
            Some(CaseResult::Skipped(message)) => {
                with(out.create_element("skipped"), "message", message).write_empty()?;
            }
        }
        Ok(())
    }
}

/// Adds an attribute. Its value is shortened to one line.
fn with<'w, W: io::Write>(element: ElementWriter<'w, W>, name: &str, value: &str) -> ElementWriter<'w, W> {
    element.with_attribute((name, &*characters(&bounded(value))))
}

/// Replaces the characters that XML does not have.
fn characters(text: &str) -> String {
    let is_allowed = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_allowed(c) { c } else { '\u{fffd}' }).collect()
}

/// The name of an object's test case, which stays the same when its place changes.
fn name(ValidatedObject { object, namespace, name, .. }: &ValidatedObject<'_>) -> String {
    let name = match namespace {
        Some(namespace) => format!("{} {namespace}/{name}", object.kind),
        None => format!("{} {name}", object.kind),
    };
    name.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_xml_lacks_are_replaced() {
        assert_eq!(
            characters("a\u{0}\u{b}\u{1b}\u{fffe}\u{ffff}\t\nü\u{1f600}"),
            "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\t\nü\u{1f600}"
        );
    }
}
