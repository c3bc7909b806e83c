//! The report about audit logs, for people.

use std::fmt::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use super::{Report, Unreadable};
use crate::cli::paint::{Paint, TextStyle};
use crate::engine::{amount, printable};
use crate::insight::{Comparison, Fate};

impl Report {
    /// The number of missed objects that exist, for people.
    fn left(&self) -> String {
        let Some(fates) = &self.fates else { return String::new() };
        let count = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
        let existing = count(|fate| matches!(fate, Fate::Exists(_)));
        let unknown = match count(|fate| *fate == Fate::Unknown) {
            0 => String::new(),
            1 => ", 1 is unknown".to_owned(),
            unknown => format!(", {unknown} are unknown"),
        };
        let of_whom = if self.log.more_missed { format!("the first {}", fates.len()) } else { "them".to_owned() };
        let exist = if existing == 1 { "exists" } else { "exist" };
        format!("; {existing} of {of_whom} still {exist}{unknown}")
    }

    /// The sentence about what colocate missed, and its style.
    fn verdict(&self) -> (TextStyle, String) {
        let log = &self.log;
        let is_partial = self.cut + self.unreadable() > 0;
        match (log.missed_total(), log.failed_open()) {
            (0, _) if !log.has_colocate() => (TextStyle::Yellow, "no call of colocate is recorded".to_owned()),
            (0, 0) if is_partial => {
                (TextStyle::Yellow, "no missed object is recorded in the lines that could be read".to_owned())
            }
            (0, 0) => (TextStyle::Green, "colocate answered every recorded request".to_owned()),
            (0, failed) => {
                let requests = amount(failed, "request");
                (TextStyle::Yellow, format!("colocate did not answer {requests}, but no object was missed"))
            }
            (total, _) => {
                let at_least = if is_partial { "at least " } else { self.at_least() };
                let objects = amount(total, "object");
                let were = if total == 1 { "was" } else { "were" };
                let missed = format!("{at_least}{objects} {were} admitted although colocate did not answer");
                (TextStyle::Red, format!("{missed}{}", self.left()))
            }
        }
    }

    /// The words before a number of missed objects.
    fn at_least(&self) -> &'static str {
        if self.log.more_missed { "at least " } else { "" }
    }

    /// Renders the report for people, with at most `rows` missed objects.
    pub(super) fn render(&self, paint: Paint, rows: usize) -> String {
        let log = &self.log;
        let title = |text: &str| format!("\n{}\n", paint.text(TextStyle::Bold, text));
        let mut text = String::new();
        let [from, to] = log.period.clone().unwrap_or_default();
        let _ = writeln!(text, "{} from {} to {}", amount(log.events, "event"), printable(&from), printable(&to));
        let (style, missed) = self.verdict();
        let _ = writeln!(text, "{}", paint.text(style, &missed));
        if !log.missed.is_empty() {
            text += &title("missed by colocate");
            let cells = self.missed().take(rows).map(|(missed, fate)| {
                let set_by = missed.set_by.as_deref().unwrap_or("-");
                let name = if let Some(Fate::Exists(live)) = fate { &live.name } else { &missed.name };
                let place = format!("{}/{name}", missed.namespace);
                vec![&*missed.time, &*missed.verb, &*missed.resource, &place, &*missed.user, set_by, &now(fate)]
                    .into_iter()
                    .map(str::to_owned)
                    .collect()
            });
            text += &table(&["TIME", "VERB", "RESOURCE", "OBJECT", "USER", "SCHEDULER SET BY", "NOW"], cells);
            let more = log.missed_total() - log.missed.len().min(rows) as u64;
            if more > 0 {
                let _ = writeln!(text, "  and {}{more} more: -o wide or -o json lists up to 10000", self.at_least());
            }
        }
        if !log.webhooks.is_empty() {
            text += &title("calls of mutating webhooks for admitted objects");
            let cells = log.webhooks.iter().map(|([configuration, webhook], calls)| {
                let [first, last] = calls.failures.clone().unwrap_or_else(|| ["-".to_owned(), "-".to_owned()]);
                let numbers = [calls.requests, calls.changed, calls.failed_open].map(|number| number.to_string());
                [configuration.clone(), webhook.clone()].into_iter().chain(numbers).chain([first, last]).collect()
            });
            let header =
                ["CONFIGURATION", "WEBHOOK", "REQUESTS", "CHANGED", "FAILED OPEN", "FIRST FAILURE", "LAST FAILURE"];
            text += &table(&header, cells);
            if log.more_calls > 0 {
                let _ = writeln!(text, "  and {} of other webhooks", amount(log.more_calls, "call"));
            }
        }
        if log.has_stork() {
            text += &title("colocate and Stork's own webhook");
            if log.comparison.is_empty() {
                text += "  neither set the scheduler of a recorded object\n";
            }
            let cells = log.comparison.iter().map(|(comparison, compared)| {
                let reasons = compared.reasons.iter().map(|(reason, number)| format!("{reason} {number}"));
                let reasons = reasons.collect::<Vec<_>>().join(", ");
                let [resource, namespace, name] = &compared.example;
                let example = format!("{resource} {namespace}/{name}");
                vec![compared.objects.to_string(), Comparison::explanation(*comparison).to_owned(), reasons, example]
            });
            if !log.comparison.is_empty() {
                text += &table(&["OBJECTS", "RESULT", "REASONS OF COLOCATE", "EXAMPLE"], cells);
            }
        }
        if self.cut + self.unreadable() > 0 || !self.not_seen.is_empty() {
            text += &title("not read");
            for not_seen in &self.not_seen {
                let _ = writeln!(text, "  {}", printable(&not_seen.to_string()));
            }
            if self.cut > 0 {
                let _ = writeln!(
                    text,
                    "  {} at the start or the end of a file (rotated or copied in the middle of a line)",
                    amount(self.cut, "partial line")
                );
            }
            for Unreadable { file, line, why } in &self.unreadable {
                let _ = writeln!(text, "  {}:{line}: {why}", printable(file));
            }
            if self.more_unreadable > 0 {
                let lines = amount(self.more_unreadable, "more line");
                let _ = writeln!(text, "  and {lines} without an event");
            }
        }
        text
    }
}

/// The cell about what became of a missed object.
fn now(fate: Option<&Fate>) -> String {
    match fate {
        None => "-".to_owned(),
        Some(Fate::Exists(live)) => match &live.scheduler {
            Some(scheduler) => format!("exists, on {scheduler}"),
            None => "exists".to_owned(),
        },
        Some(fate) => fate.as_str().to_owned(),
    }
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    let lines: Vec<_> = table.lines().map(|line| format!(" {}\n", line.trim_end())).collect();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::audit::audit_log::MAX_ROWS;
    use crate::cli::console::Console;

    const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","stageTimestamp":"2026-11-30T02:14:07.1Z"}"#;

    /// An event about a pod, with a call of a webhook.
    fn call(verb: &str, code: u16, [configuration, webhook]: [&str; 2], failed: bool) -> String {
        let call = json!({"configuration": configuration, "webhook": webhook, "mutated": false}).to_string();
        let mut event: Value = serde_json::from_str(EVENT).unwrap();
        event["verb"] = verb.into();
        event["objectRef"] = json!({"resource": "pods", "namespace": "db", "name": "a"});
        event["responseStatus"] = json!({"code": code});
        event["annotations"] = json!({"mutation.webhook.admission.k8s.io/round_0_index_0": call});
        if failed {
            event["annotations"]["failed-open.mutation.webhook.admission.k8s.io/round_0_index_0"] = webhook.into();
        }
        format!("{event}\n")
    }

    fn report(lines: &str) -> Report {
        let mut report = Report::default();
        report.read(lines.as_bytes(), "a.log", &mut Console::new(false)).unwrap();
        report
    }

    #[test]
    fn only_answers_to_all_calls_are_reported_as_such() {
        let ours = ["zz-colocate", "pods.mutate.colocate"];
        let answered = call("create", 201, ours, false);
        let missed = call("create", 201, ours, true);
        let cut = format!("{answered}{}", &EVENT[..40]);
        for (lines, expected) in [
            (EVENT, "no call of colocate is recorded"),
            (&answered, "colocate answered every recorded request"),
            (&cut, "no missed object is recorded in the lines that could be read"),
            (&call("update", 200, ours, true), "colocate did not answer 1 request, but no object was missed"),
            (&call("delete", 200, ours, true), "colocate did not answer 1 request, but no object was missed"),
            (&format!("{missed}{}", &EVENT[..40]), "at least 1 object was admitted although colocate did not answer"),
            (&call("patch", 201, ours, true), "1 object was admitted although colocate did not answer"),
        ] {
            assert_eq!(report(lines).verdict().1, expected, "{lines}");
        }
        let mut more = report(&call("create", 201, ours, true));
        more.log.more_missed = true;
        more.fates = Some(vec![Fate::Unknown]);
        let expected = "at least 2 objects were admitted although colocate did not answer; 0 of the first 1 still exist, 1 is unknown";
        assert_eq!(more.verdict().1, expected);
    }

    #[test]
    fn a_comparison_without_a_difference_is_a_sentence() {
        let stork = ["stork-webhooks-cfg", "webhook.stork.libopenstorage.org"];
        let text = report(&call("create", 201, stork, false)).render(Paint::default(), MAX_ROWS);
        assert!(text.contains("own webhook\n  neither set the scheduler of a recorded object\n"), "{text}");
        assert!(!text.contains("REASONS OF COLOCATE"), "{text}");
    }
}
