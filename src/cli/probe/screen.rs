//! The output, which fits one screen of 80 columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::Value;
use similar::ChangeTag;

use super::sent_review::SentReview;
use crate::api::{DryRun, DryRunOutcome};
use crate::cli::hunks;
use crate::cli::paint::{Paint, TextStyle};
use crate::engine::{Reason, printable};
use crate::probe::{Answer, ProtocolVersion, Target, Verdict};

const WIDTH: usize = 80;
/// The column at which text begins, after its label.
const INDENT: usize = 11;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Renders the parts of the output, in the order in which they become known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen(pub(super) Paint);

impl Screen {
    /// Renders the request.
    pub(super) fn request(self, review: &SentReview, target: &Target) -> String {
        self.lines("request", &[&review.summary(), &target.to_string()], TextStyle::Bold)
    }

    /// Renders the status of the answer.
    pub(super) fn answer(self, answer: &Answer) -> String {
        let text = format!("HTTP {} after {:.1?}, over {}", answer.status, answer.took, tls(answer.tls));
        self.lines("answer", &[&text], if answer.status.is_success() { TextStyle::Plain } else { TextStyle::Red })
    }

    /// Renders the decision.
    pub(super) fn verdict(self, verdict: &Verdict) -> anyhow::Result<String> {
        let mut text = if verdict.allowed {
            let changes = match verdict.changes() {
                0 => "allowed, unchanged".into(),
                1 => "allowed, with one change".into(),
                many => format!("allowed, with {many} changes"),
            };
            self.lines("", &[&changes], TextStyle::Green)
        } else {
            let code = verdict.code.map(|code| format!(" ({code})")).unwrap_or_default();
            self.lines("", &[&format!("refused{code}")], TextStyle::Red)
        };
        if let Some(message) = &verdict.message {
            text += &self.lines("message", &[message], TextStyle::Plain);
        }
        text += &self.annotations(&verdict.audit_annotations);
        for warning in &verdict.warnings {
            text += &self.lines("warning", &[warning], TextStyle::Yellow);
        }
        if let Some(patch) = verdict.patch.as_ref().filter(|patch| !patch.is_empty()) {
            let whole = serde_json::to_string(patch)?;
            let operations = patch.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
            let shown = if whole.chars().count() <= WIDTH { whole } else { format!("[{}]", operations.join(",\n ")) };
            let shown: Vec<_> = shown.lines().map(printable).collect();
            write!(text, "\n{}\n{}\n", self.0.text(TextStyle::Bold, "patch"), shown.join("\n"))?;
        }
        Ok(text)
    }

    fn annotations(self, annotations: &BTreeMap<String, String>) -> String {
        const OURS: [&str; 3] = ["reason", "scheduler", "claims"];
        let mut text = String::new();
        for (key, value) in OURS.iter().filter_map(|key| annotations.get_key_value(*key)) {
            let known = Reason::ALL.iter().find(|reason| key == "reason" && reason.as_str() == value);
            match known {
                Some(reason) => text += &self.lines(key, &[value, reason.explanation()], TextStyle::Bold),
                None => text += &self.lines(key, &[value], TextStyle::Bold),
            }
        }
        for (key, value) in annotations.iter().filter(|(key, _)| !OURS.contains(&key.as_str())) {
            text += &self.lines("audit", &[&format!("{key}: {value}")], TextStyle::Plain);
        }
        text
    }

    /// Renders the difference that a patch makes, as YAML.
    pub(super) fn change(self, before: &Value, after: &Value) -> anyhow::Result<String> {
        if before == after {
            return Ok(format!("\n{}\n", self.0.text(TextStyle::Bold, "the object is the same before and after")));
        }
        let (before, after) = without_bookkeeping(before, after);
        let before = serde_saphyr::to_string(&before).context("cannot write the object as YAML")?;
        let after = serde_saphyr::to_string(&after).context("cannot write the object as YAML")?;
        let mut text = format!("\n{}\n", self.0.text(TextStyle::Bold, "the object, before and after"));
        for hunk in hunks::between(&before, &after) {
            writeln!(text, "{}", self.0.text(TextStyle::Cyan, &hunk.header))?;
            for change in hunk.lines {
                let line = printable(change.value().trim_end_matches('\n'));
                let line = match change.tag() {
                    ChangeTag::Equal => format!(" {line}"),
                    ChangeTag::Delete => self.0.text(TextStyle::Red, &format!("-{line}")),
                    ChangeTag::Insert => self.0.text(TextStyle::Green, &format!("+{line}")),
                };
                writeln!(text, "{line}")?;
            }
        }
        Ok(text)
    }

    /// Renders the request to an API server.
    pub(super) fn dry_run(self, dry_run: &DryRun, namespace: &str) -> String {
        let what = format!("CREATE Deployment {namespace}/colocate-probe-* (apps/v1), a dry run");
        let volume = format!("{} (driver {})", dry_run.volume, dry_run.driver);
        self.lines("request", &[&what, &volume], TextStyle::Bold)
    }

    /// Renders the Deployment that the API server would have created.
    pub(super) fn outcome(self, dry_run: &DryRun, outcome: &DryRunOutcome) -> String {
        let style = if *outcome.scheduler == *dry_run.scheduler { TextStyle::Green } else { TextStyle::Red };
        let mut text = self.lines("answer", &[&format!("created after {:.1?}", outcome.took)], TextStyle::Plain);
        text += &self.lines("scheduler", &[&outcome.scheduler], style);
        for warning in &outcome.warnings {
            text += &self.lines("warning", &[warning], TextStyle::Yellow);
        }
        text
    }

    /// Renders the possible causes of a failure.
    pub(super) fn causes(self, causes: &[String]) -> String {
        if let [cause] = causes {
            return self.lines("cause", &[cause], TextStyle::Plain);
        }
        let list = causes.iter().enumerate();
        list.map(|(rank, cause)| {
            let label = if rank == 0 { "causes" } else { "" };
            self.lines(label, &[&format!("- {cause}")], TextStyle::Plain)
        })
        .collect()
    }

    /// Renders paragraphs after a label, the first of them painted.
    fn lines(self, label: &str, paragraphs: &[&str], style: TextStyle) -> String {
        let mut text = String::new();
        let mut label = format!("{label:INDENT$}");
        for (rank, paragraph) in paragraphs.iter().enumerate() {
            for line in wrap(paragraph) {
                let line = printable(&line);
                let line = if rank == 0 { self.0.text(style, &line) } else { line };
                text += &label;
                text += &line;
                text.push('\n');
                label = " ".repeat(INDENT);
            }
        }
        text
    }
}

/// Wraps a paragraph at its spaces.
fn wrap(paragraph: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut room = WIDTH - INDENT;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        let line = match lines.last_mut() {
            Some(line) if line.is_empty() || length < room => line,
            _ => {
                room = WIDTH - INDENT;
                lines.push_mut(String::new())
            }
        };
        if !line.is_empty() {
            line.push(' ');
            room -= 1;
        }
        line.push_str(word);
        room = room.saturating_sub(length);
    }
    lines
}

/// Removes the bookkeeping of the API server and kubectl where it is equal in both objects.
fn without_bookkeeping(before: &Value, after: &Value) -> (Value, Value) {
    let (mut before, mut after) = (before.clone(), after.clone());
    for (parent, key) in [("/metadata", "managedFields"), ("/metadata/annotations", LAST_APPLIED)] {
        let (Some(old), Some(new)) = (members(&mut before, parent), members(&mut after, parent)) else { continue };
        if old.get(key) == new.get(key) {
            old.remove(key);
            new.remove(key);
        }
    }
    (before, after)
}

fn members<'a>(object: &'a mut Value, pointer: &str) -> Option<&'a mut serde_json::Map<String, Value>> {
    object.pointer_mut(pointer).and_then(Value::as_object_mut)
}

fn tls(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLS 1.3",
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        _ => "TLS",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::StatusCode;
    use serde_json::json;

    use super::*;

    const SCREEN: Screen = Screen(Paint::PLAIN);

    fn verdict() -> Verdict {
        Verdict {
            allowed: true,
            message: None,
            code: None,
            patch: None,
            warnings: Vec::new(),
            audit_annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn long_lines_are_wrapped_after_their_label() {
        let warnings = vec!["word ".repeat(30), "x".repeat(100)];
        let text = SCREEN.verdict(&Verdict { warnings, ..verdict() }).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[1], format!("warning    {}", ["word"; 14].join(" ")));
        assert_eq!(lines[2], format!("           {}", ["word"; 14].join(" ")));
        assert_eq!(lines[3], "           word word");
        assert_eq!(lines[4], format!("warning    {}", "x".repeat(100)));
        assert_eq!(wrap(&format!("{} 1 2", "x".repeat(67))), [format!("{} 1", "x".repeat(67)), "2".into()]);
    }

    #[test]
    fn our_annotations_come_first_and_others_follow() {
        let audit_annotations = [("reason", "no-claims"), ("a", "1"), ("scheduler", "s")];
        let audit_annotations = audit_annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let text = SCREEN.verdict(&Verdict { audit_annotations, ..verdict() }).unwrap();
        let expected = "           allowed, unchanged\n\
                        reason     no-claims\n           No volume of the pod can belong to a storage driver.\n\
                        scheduler  s\naudit      a: 1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn another_webhooks_reason_is_shown_without_our_explanation() {
        let audit_annotations = BTreeMap::from([("reason".to_owned(), "tuesday".to_owned())]);
        let text = SCREEN.verdict(&Verdict { audit_annotations, ..verdict() }).unwrap();
        assert!(text.ends_with("\nreason     tuesday\n"), "{text}");
    }

    #[test]
    fn many_operations_are_shown_one_per_line() {
        let operation = json!({"op": "add", "path": "/metadata/labels/a", "value": "b"});
        let patch = Some(serde_json::from_value(json!([operation, operation])).unwrap());
        let text = SCREEN.verdict(&Verdict { patch, ..verdict() }).unwrap();
        assert!(text.contains("allowed, with 2 changes\n"), "{text}");
        let line = "{\"op\":\"add\",\"path\":\"/metadata/labels/a\",\"value\":\"b\"}";
        assert!(text.ends_with(&format!("\npatch\n[{line},\n {line}]\n")), "{text}");
    }

    #[test]
    fn only_unchanged_bookkeeping_is_omitted() {
        let object = json!({"metadata": {"annotations": {LAST_APPLIED: "{}"}, "managedFields": [1]}, "spec": 1});
        let mut after = object.clone();
        after["spec"] = json!(2);
        let text = SCREEN.change(&object, &after).unwrap();
        assert!(text.contains("-spec: 1\n+spec: 2\n") && !text.contains("managedFields"), "{text}");
        assert!(!text.contains(LAST_APPLIED), "{text}");
        after["metadata"]["managedFields"] = json!([]);
        let text = SCREEN.change(&object, &after).unwrap();
        assert!(text.contains("+  managedFields: []\n"), "{text}");
        assert_eq!(SCREEN.change(&object, &object).unwrap(), "\nthe object is the same before and after\n");
    }

    #[test]
    fn color_surrounds_the_text_but_not_its_label() {
        let screen = Screen(Paint::COLOR);
        assert_eq!(screen.lines("warning", &["careful"], TextStyle::Yellow), "warning    \u{1b}[33mcareful\u{1b}[0m\n");
        let text = screen.change(&json!({"a": 1}), &json!({"a": 2})).unwrap();
        assert!(text.contains("\u{1b}[31m-a: 1\u{1b}[0m\n\u{1b}[32m+a: 2\u{1b}[0m\n"), "{text:?}");
    }

    #[test]
    fn an_answer_is_shown_with_its_duration_and_tls_version() {
        let answer = Answer {
            status: StatusCode::OK,
            retry_after: None,
            body: "".into(),
            took: Duration::from_micros(1234),
            tls: ProtocolVersion::TLSv1_2,
        };
        assert_eq!(SCREEN.answer(&answer), "answer     HTTP 200 OK after 1.2ms, over TLS 1.2\n");
    }
}
