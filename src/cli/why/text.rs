//! The answer as text: the verdict first, then the evidence, the fix, and the tables.

use std::fmt::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use crate::cli::paint::{Paint, TextStyle, bounded};
use crate::engine::printable;
use crate::insight::Verdict;
use crate::inspect::{Cause, ClaimRow, DryRunResult, PartAnswer, PendingFacts, PodRow, Report, WebhookRow};

/// The width of the labels in front of lines.
const INDENT: usize = 11;

/// Renders a report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen(pub(super) Paint);

impl Screen {
    /// Renders the whole report.
    pub(super) fn report(self, report: &Report) -> String {
        let mut text = self.verdict(report);
        text += &self.cause(&report.cause, report.object.created.map(|created| format!("created {created}")));
        if let Some(place) = &report.place {
            let _ = writeln!(text, "\n{} {}", self.0.text(TextStyle::Bold, "WHERE"), bounded(&place.to_string()));
        }
        if let Some(pending) = &report.pending {
            text += &self.pending(pending);
        }
        if let Some(dry_run) = &report.dry_run {
            text += &self.dry_run(dry_run);
        }
        text += &self.claims(&report.claims);
        if let Some(pods) = &report.pods {
            text += &self.pods(pods, report.pod_count.unwrap_or(pods.len()));
        }
        text += &self.webhooks(&report.webhooks);
        if !report.not_seen.is_empty() {
            text += &self.title("not seen");
            for one in &report.not_seen {
                let _ = writeln!(text, "  {}", bounded(&one.to_string()));
            }
        }
        text
    }

    fn verdict(self, report: &Report) -> String {
        let Report { object, cause, .. } = report;
        let object = format!("{} {}/{}", object.kind, object.namespace, object.name);
        let (mark, style) = mark(cause.verdict);
        let schedulers = schedulers(cause);
        let line = format!("{mark} {schedulers}");
        let object = self.0.text(TextStyle::Bold, &printable(&object));
        format!("{object}   {}   {}\n", self.0.text(style, &printable(&line)), cause.verdict)
    }

    fn cause(self, cause: &Cause, created: Option<String>) -> String {
        let mut text = String::new();
        let evidence = created.into_iter().chain(cause.evidence.iter().cloned());
        for (number, line) in evidence.enumerate() {
            text += &self.line(if number == 0 { "evidence" } else { "" }, TextStyle::Plain, &line);
        }
        let reason = format!("{} ({})", cause.reason, cause.reason_documentation);
        text += &self.line("reason", TextStyle::Plain, &reason);
        for warning in &cause.warnings {
            text += &self.line("warning", TextStyle::Yellow, warning);
        }
        if let Some(fix) = &cause.fix {
            text += &self.line("fix", TextStyle::Plain, &fix.advice);
            // A command must be copied as one line.
            for line in fix.command.iter().chain(&fix.notes) {
                text += &self.line("", TextStyle::Plain, line);
            }
        }
        text += &self.line("see", TextStyle::Plain, &cause.documentation);
        text
    }

    fn pending(self, facts: &PendingFacts) -> String {
        let mut text = String::new();
        let PendingFacts { scheduler, claims, node_restrictions, last_message } = facts;
        let parts = [("scheduler", scheduler), ("claims", claims), ("nodes", node_restrictions)];
        for (label, lines) in parts {
            for (number, line) in lines.iter().enumerate() {
                text += &self.line(if number == 0 { label } else { "" }, TextStyle::Plain, line);
            }
        }
        if let Some(message) = last_message {
            text += &self.line("last", TextStyle::Yellow, message);
        }
        if text.is_empty() {
            return text;
        }
        format!("{}{text}", self.title("pending"))
    }

    fn dry_run(self, result: &DryRunResult) -> String {
        let mut text = self.title("dry run");
        match (&result.scheduler, &result.error) {
            (Some(scheduler), _) => {
                let line = format!("the API server would create the same pod with the scheduler {scheduler}");
                text += &self.line("answer", TextStyle::Plain, &line);
            }
            (None, error) => text += &self.line("failed", TextStyle::Red, error.as_deref().unwrap_or_default()),
        }
        for warning in &result.warnings {
            text += &self.line("warning", TextStyle::Yellow, warning);
        }
        text
    }

    fn claims(self, claims: &[ClaimRow]) -> String {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let rows = claims.iter().map(|row| {
            let ClaimRow { claim, class, provisioner, from, driver } = row;
            vec![claim.clone(), or_none(class), or_none(provisioner), or_none(from), or_none(driver)]
        });
        self.table(&["CLAIM", "CLASS", "PROVISIONER", "FROM", "DRIVER"], rows)
    }

    fn pods(self, pods: &[PodRow], all: usize) -> String {
        let rows = pods.iter().map(|pod| {
            let created = pod.created.map(|created| created.to_string()).unwrap_or_default();
            let none = if pod.cause.verdict == Verdict::Ended { "-" } else { "?" };
            let expected = pod.cause.expected_scheduler.clone().unwrap_or_else(|| none.to_owned());
            let verdict = pod.cause.verdict.as_str().to_owned();
            let mark = if pod.differs_from_template { " (not the template's)" } else { "" };
            let scheduler = format!("{}{mark}", pod.cause.scheduler);
            vec![pod.name.clone(), created, pod.phase.clone(), scheduler, expected, verdict]
        });
        let newest = match pods.len() {
            shown if shown < all => format!("NEWEST PODS ({shown} of {all})"),
            _ => "NEWEST PODS".to_owned(),
        };
        self.table(&[&newest, "CREATED", "PHASE", "SCHEDULER", "EXPECTED", "VERDICT"], rows)
    }

    fn webhooks(self, webhooks: &[WebhookRow]) -> String {
        let rows = webhooks.iter().map(|row| {
            let conditions = match row.conditions_total {
                0 => "-".to_owned(),
                total => format!("{} {} of {total}", symbol(&row.conditions), row.conditions_true),
            };
            let (namespace, object) = (symbol(&row.namespace), symbol(&row.object));
            vec![
                row.configuration.clone(),
                symbol(&row.rules).to_owned(),
                namespace.to_owned(),
                object.to_owned(),
                conditions,
                row.failure_policy.clone(),
                row.called.cause.clone().unwrap_or_default(),
            ]
        });
        let header = ["CALLED?", "RULES", "NAMESPACE", "OBJECT", "CONDITIONS", "FAILURE POLICY", "CAUSE"];
        self.table(&header, rows)
    }

    /// Renders a table; nothing without rows.
    fn table(self, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header.to_vec());
        for row in rows {
            table.add_row(row.iter().map(|cell| bounded(cell)));
        }
        if table.is_empty() {
            return String::new();
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        let (header, rows) = lines.split_first().map_or(("", &[][..]), |(header, rows)| (header.as_str(), rows));
        format!("\n{}\n{}\n", self.0.text(TextStyle::Bold, header), rows.join("\n"))
    }

    fn title(self, title: &str) -> String {
        format!("\n{}\n", self.0.text(TextStyle::Bold, &title.to_uppercase()))
    }

    fn line(self, label: &str, style: TextStyle, text: &str) -> String {
        format!("  {label:<INDENT$}{}\n", self.0.text(style, &bounded(text)))
    }
}

/// Describes the scheduler, and the one that was expected.
fn schedulers(cause: &Cause) -> String {
    let actual = &cause.scheduler;
    match &cause.expected_scheduler {
        Some(expected) if expected == actual => format!("on {actual}"),
        None if cause.verdict == Verdict::Ended => format!("on {actual}"),
        Some(expected) => format!("on {actual}, should be on {expected}"),
        None => format!("on {actual}, expected scheduler unknown"),
    }
}

fn mark(verdict: Verdict) -> (&'static str, TextStyle) {
    match verdict {
        Verdict::Unknown => ("?", TextStyle::Yellow),
        Verdict::Ended => ("-", TextStyle::Plain),
        verdict if verdict.is_expected() => ("✔", TextStyle::Green),
        _ => ("✗", TextStyle::Red),
    }
}

fn symbol(answer: &PartAnswer) -> &'static str {
    match answer.answer {
        "yes" => "✔",
        "no" => "✗",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Fix, Subject};

    fn yes() -> PartAnswer {
        PartAnswer { answer: "yes", cause: None }
    }

    fn report(verdict: Verdict) -> Report {
        let cause = Cause {
            verdict,
            explanation: verdict.explanation(),
            documentation: format!("docs/reasons.md#verdict-{verdict}"),
            scheduler: "default-scheduler".to_owned(),
            expected_scheduler: (verdict != Verdict::Unknown).then(|| "stork".to_owned()),
            reason: "injected",
            reason_documentation: "docs/reasons.md#reason-injected".to_owned(),
            evidence: vec!["no replica was ready \u{1b}[31m".to_owned()],
            warnings: Vec::new(),
            fix: Some(Fix {
                advice: "Create it again.".to_owned(),
                command: Some("kubectl".to_owned()),
                notes: Vec::new(),
                is_recreation: true,
            }),
        };
        let no = PartAnswer { answer: "no", cause: Some("why not".to_owned()) };
        let webhook = WebhookRow {
            configuration: "zz-colocate".to_owned(),
            webhook: "pods".to_owned(),
            colocate: true,
            called: no.clone(),
            rules: yes(),
            namespace: yes(),
            object: PartAnswer { answer: "not-evaluated", cause: None },
            conditions: no,
            conditions_true: 4,
            conditions_total: 5,
            failure_policy: "Ignore".to_owned(),
            reinvocation_policy: "Never".to_owned(),
        };
        let claim = ClaimRow {
            claim: "data".to_owned(),
            class: None,
            provisioner: Some("pxd.portworx.com".to_owned()),
            from: Some("class".to_owned()),
            driver: Some("portworx".to_owned()),
        };
        let created = "2026-11-30T02:14:07Z".parse().ok();
        Report {
            api_version: "colocate/v1",
            kind: "Why",
            object: Subject { kind: "Pod", namespace: "db".to_owned(), name: "mysql-0".to_owned(), created },
            cause,
            place: None,
            claims: vec![claim],
            webhooks: vec![webhook],
            pending: Some(PendingFacts::default()),
            pods: None,
            pod_count: None,
            dry_run: None,
            seen: Vec::new(),
            not_seen: Vec::new(),
        }
    }

    #[test]
    fn the_verdict_comes_first_and_then_evidence_fix_and_tables() {
        let expected = "\
Pod db/mysql-0   ✗ on default-scheduler, should be on stork   missed
  evidence   created 2026-11-30T02:14:07Z
             no replica was ready \u{fffd}[31m
  reason     injected (docs/reasons.md#reason-injected)
  fix        Create it again.
             kubectl
  see        docs/reasons.md#verdict-missed

CLAIM  CLASS  PROVISIONER       FROM   DRIVER
data   -      pxd.portworx.com  class  portworx

CALLED?      RULES  NAMESPACE  OBJECT  CONDITIONS  FAILURE POLICY  CAUSE
zz-colocate  ✔      ✔          ?       ✗ 4 of 5    Ignore          why not
";
        assert_eq!(Screen(Paint::PLAIN).report(&report(Verdict::Missed)), expected);
    }

    #[test]
    fn an_unknown_verdict_names_no_scheduler() {
        let text = Screen(Paint::PLAIN).report(&report(Verdict::Unknown));
        let first = "Pod db/mysql-0   ? on default-scheduler, expected scheduler unknown   unknown\n";
        assert!(text.starts_with(first), "{text}");
    }

    #[test]
    fn color_marks_the_verdict() {
        let text = Screen(Paint::COLOR).report(&report(Verdict::Missed));
        let first = "\u{1b}[1mPod db/mysql-0\u{1b}[0m   \u{1b}[31m✗ on default-scheduler, should be on stork\u{1b}[0m   missed\n";
        assert!(text.starts_with(first), "{text}");
    }
}
