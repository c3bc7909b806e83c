//! `colocate audit --audit-log`: what API servers recorded about the calls of webhooks, from their audit logs.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::{Value, json};

use super::AuditFormat;
use crate::cli::Exit;
use crate::cli::console::Console;
use crate::cli::paint::{Paint, TextStyle, bounded};
use crate::engine::printable;
use crate::insight::{AuditLog, Comparison, WebhookCalls};
use crate::manifest::is_stdin;

/// The longest line that is read. API servers accept objects of 3 MiB, which can be escaped, and log them up to twice.
const MAX_LINE: u64 = 64 << 20;

/// The number of missed objects that are listed, unless the output is wide or JSON.
const MAX_ROWS: usize = 20;

/// The first bytes of a file that gzip compressed.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Audit logs, and the lines that are not events.
#[derive(Debug, Default)]
struct Report {
    log: AuditLog,
    /// The first and last lines of files that are parts of an event: the file was rotated or copied in the middle of a line.
    cut: u64,
    /// The other lines that are not events.
    unreadable: Vec<Unreadable>,
    more_unreadable: u64,
}

/// A line that is not an event.
#[derive(Debug, Serialize)]
struct Unreadable {
    file: String,
    line: u64,
    why: String,
}

/// Reads the logs, and prints what colocate missed. `-` is standard input. Files may be compressed by gzip.
///
/// # Errors
/// If a file cannot be read, or no line is an event.
pub(super) fn run(
    files: &[PathBuf],
    namespace: Option<&str>,
    output: AuditFormat,
    paint: Paint,
    strict: bool,
) -> anyhow::Result<Exit> {
    let mut console = Console::new(false);
    let mut report = Report { log: AuditLog::new(namespace.map(str::to_owned)), ..Report::default() };
    for file in files {
        let name = if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() };
        report.read_file(file, &name, &mut console).with_context(|| format!("cannot read {name}"))?;
    }
    console.clear();
    let Report { log, unreadable, .. } = &report;
    if log.events == 0 {
        let why = unreadable.first().map(|line| format!(": {}:{}: {}", line.file, line.line, line.why));
        anyhow::bail!("no event of audit.k8s.io/v1 found{}", why.unwrap_or_default());
    }
    let mut out = io::stdout().lock();
    match output {
        AuditFormat::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report.document())?)?,
        AuditFormat::Table => out.write_all(report.render(paint, MAX_ROWS).as_bytes())?,
        // Reports about audit logs are rejected before.
        AuditFormat::Wide | AuditFormat::OpenReports => out.write_all(report.render(paint, usize::MAX).as_bytes())?,
    }
    out.flush()?;
    Ok(if strict && !unreadable.is_empty() { Exit::Unresolved } else { Exit::Done })
}

impl Report {
    fn read_file(&mut self, path: &Path, name: &str, console: &mut Console) -> io::Result<()> {
        if is_stdin(path) {
            return self.read(io::stdin().lock(), name, console);
        }
        let file = File::open(path)?;
        console.start("reading audit logs", file.metadata()?.len());
        self.read(file, name, console)
    }

    /// Reads a log, which may be compressed. Holds one line in memory.
    fn read(&mut self, input: impl Read, name: &str, console: &mut Console) -> io::Result<()> {
        let mut input = BufReader::with_capacity(1 << 16, input);
        if input.fill_buf()?.starts_with(&GZIP) {
            self.read_lines(BufReader::new(MultiGzDecoder::new(input)), name, console)
        } else {
            self.read_lines(input, name, console)
        }
    }

    fn read_lines(&mut self, mut input: impl BufRead, name: &str, console: &mut Console) -> io::Result<()> {
        let (mut line, mut number) = (Vec::new(), 0);
        // A line that is not an event is judged when it is known whether another one follows.
        let mut last = None::<Unreadable>;
        loop {
            line.clear();
            let length = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
            let length = match length {
                Ok(0) => break,
                Ok(length) => length,
                // The end of a compressed file that was cut.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.cut += 1;
                    break;
                }
                Err(error) => return Err(error),
            };
            number += 1;
            console.advance(length);
            if let Some(unreadable) = last.take() {
                self.add_unreadable(unreadable);
            }
            let is_whole = line.ends_with(b"\n");
            if !is_whole && length as u64 == MAX_LINE {
                skip_line(&mut input)?;
                let why = format!("the line is longer than {} MiB", MAX_LINE >> 20);
                last = Some(Unreadable { file: name.to_owned(), line: number, why });
                continue;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            if let Err(error) = self.log.add(&line) {
                let unreadable = Unreadable { file: name.to_owned(), line: number, why: bounded(&error.to_string()) };
                if number == 1 || !is_whole { self.cut += 1 } else { last = Some(unreadable) }
            }
            // The rest of a line that an API server is writing may follow.
            if !is_whole {
                break;
            }
        }
        if last.is_some() {
            self.cut += 1;
        }
        Ok(())
    }

    fn add_unreadable(&mut self, unreadable: Unreadable) {
        if self.unreadable.len() < MAX_ROWS { self.unreadable.push(unreadable) } else { self.more_unreadable += 1 }
    }

    fn unreadable(&self) -> u64 {
        self.unreadable.len() as u64 + self.more_unreadable
    }

    /// The report as one JSON document, which docs/schemas/audit-log.json describes.
    fn document(&self) -> Value {
        let Self { log, cut, unreadable, .. } = self;
        let period = |period: &Option<[String; 2]>| period.as_ref().map(|[from, to]| json!({"from": from, "to": to}));
        let webhooks = log.webhooks.iter().map(|([configuration, webhook], calls)| {
            let WebhookCalls { requests, changed, failed_open, failures } = calls;
            json!({
                "configuration": configuration, "webhook": webhook, "requests": requests, "changed": changed,
                "failedOpen": failed_open, "failures": period(failures),
            })
        });
        let missed = log.missed.iter().map(|missed| {
            json!({
                "time": missed.time, "resource": missed.resource, "namespace": missed.namespace, "name": missed.name,
                "verb": missed.verb, "user": missed.user, "setBy": missed.set_by, "auditID": missed.audit_id,
            })
        });
        let comparison = log.comparison.iter().map(|(comparison, compared)| {
            let [resource, namespace, name] = &compared.example;
            json!({
                "result": comparison.as_str(), "explanation": comparison.explanation(), "objects": compared.objects,
                "reasons": compared.reasons,
                "example": {"resource": resource, "namespace": namespace, "name": name},
            })
        });
        json!({
            "apiVersion": "colocate/v1", "kind": "AuditLog", "namespace": log.namespace,
            "events": log.events, "period": period(&log.period),
            "missed": missed.collect::<Vec<_>>(), "moreMissed": log.more_missed,
            "webhooks": webhooks.collect::<Vec<_>>(), "moreCalls": log.more_calls,
            "comparison": comparison.collect::<Vec<_>>(),
            "cutLines": cut, "unreadableLines": self.unreadable(), "unreadable": unreadable,
        })
    }

    /// Renders the report for people, with at most `rows` missed objects.
    fn render(&self, paint: Paint, rows: usize) -> String {
        let log = &self.log;
        let title = |text: &str| format!("\n{}\n", paint.text(TextStyle::Bold, text));
        let mut text = String::new();
        let [from, to] = log.period.clone().unwrap_or_default();
        let _ = writeln!(text, "{} events from {} to {}", log.events, printable(&from), printable(&to));
        let (style, missed) = match log.missed_total() {
            _ if !log.has_colocate() => (TextStyle::Yellow, "no call of colocate is recorded".to_owned()),
            0 => (TextStyle::Green, "colocate answered every call".to_owned()),
            total => (TextStyle::Red, format!("{total} objects were admitted although colocate did not answer")),
        };
        let _ = writeln!(text, "{}", paint.text(style, &missed));
        if !log.missed.is_empty() {
            text += &title("missed by colocate");
            let cells = log.missed.iter().take(rows).map(|missed| {
                let set_by = missed.set_by.as_deref().unwrap_or("-");
                let place = format!("{}/{}", missed.namespace, missed.name);
                vec![&*missed.time, &*missed.verb, &*missed.resource, &place, &*missed.user, set_by]
                    .into_iter()
                    .map(str::to_owned)
                    .collect()
            });
            text += &table(&["TIME", "VERB", "RESOURCE", "OBJECT", "USER", "SCHEDULER SET BY"], cells);
            let more = log.missed_total() - log.missed.len().min(rows) as u64;
            if more > 0 {
                let _ = writeln!(text, "  and {more} more: -o wide or -o json lists up to 10000");
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
        }
        if log.has_stork() {
            text += &title("colocate and Stork's own webhook");
            let cells = log.comparison.iter().map(|(comparison, compared)| {
                let reasons = compared.reasons.iter().map(|(reason, number)| format!("{reason} {number}"));
                let reasons = reasons.collect::<Vec<_>>().join(", ");
                let [resource, namespace, name] = &compared.example;
                let example = format!("{resource} {namespace}/{name}");
                vec![compared.objects.to_string(), Comparison::explanation(*comparison).to_owned(), reasons, example]
            });
            text += &table(&["OBJECTS", "RESULT", "REASONS OF COLOCATE", "EXAMPLE"], cells);
        }
        if self.cut + self.unreadable() > 0 {
            text += &title("not read");
            if self.cut > 0 {
                let _ = writeln!(text, "  {} lines at the start or the end of a file, which was cut there", self.cut);
            }
            for Unreadable { file, line, why } in &self.unreadable {
                let _ = writeln!(text, "  {}:{line}: {why}", printable(file));
            }
            if self.more_unreadable > 0 {
                let _ = writeln!(text, "  and {} more lines that are not events", self.more_unreadable);
            }
        }
        text
    }
}

/// Skips the rest of a line.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (length, found) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(index) => (index + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(length);
        if found {
            return Ok(());
        }
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
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","stageTimestamp":"2026-11-30T02:14:07.1Z"}"#;

    fn read(input: &[u8]) -> (u64, u64, u64) {
        let mut report = Report::default();
        report.read(input, "a.log", &mut Console::new(false)).unwrap();
        (report.log.events, report.cut, report.unreadable())
    }

    fn compressed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_that_are_cut_are_told_from_those_that_are_not_events() {
        let half = &EVENT[..40];
        for (text, expected) in [
            (format!("{EVENT}\n{EVENT}\n"), (2, 0, 0)),
            (format!("{EVENT}\n{EVENT}"), (2, 0, 0)),
            (format!("{half}\n{EVENT}\n"), (1, 1, 0)),
            (format!("{EVENT}\n{half}"), (1, 1, 0)),
            (format!("{EVENT}\n{half}\n"), (1, 1, 0)),
            (format!("{EVENT}\n{half}\n{EVENT}\n"), (2, 0, 1)),
            (format!("{EVENT}\n\n{EVENT}\n"), (2, 0, 0)),
            (String::new(), (0, 0, 0)),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn compressed_files_are_read_also_if_they_were_cut() {
        let whole = compressed(&format!("{EVENT}\n{EVENT}\n"));
        assert_eq!(read(&whole), (2, 0, 0));
        // Two rotated files in a row.
        assert_eq!(read(&[whole.clone(), whole].concat()), (4, 0, 0));
        let events: String = (0..2_000).map(|number| EVENT.replace("07.1", &format!("{number}")) + "\n").collect();
        let long = compressed(&events);
        let (events, cut, unreadable) = read(&long[..long.len() / 2]);
        assert!((1..2_000).contains(&events), "{events}");
        assert_eq!((cut, unreadable), (1, 0));
    }

    /// A log that an API server is writing: each read ends where the log ended then.
    struct Growing<'a>(Vec<&'a str>);

    impl Read for Growing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Ok(0) } else { self.0.remove(0).as_bytes().read(buffer) }
        }
    }

    #[test]
    fn a_line_that_is_being_written_is_the_last() {
        let (whole, (half, rest)) = (format!("{EVENT}\n"), EVENT.split_at(40));
        let rest = format!("{rest}\n{EVENT}\n");
        let mut report = Report::default();
        let log = Growing(vec![&whole, half, "", &rest]);
        report.read(log, "a.log", &mut Console::new(false)).unwrap();
        assert_eq!((report.log.events, report.cut, report.unreadable()), (1, 1, 0));
    }

    #[test]
    fn a_line_without_end_is_skipped() {
        let mut input = EVENT.as_bytes().to_vec();
        input.push(b'\n');
        input.extend(vec![b' '; usize::try_from(MAX_LINE).unwrap() + 9]);
        input.push(b'\n');
        input.extend(EVENT.as_bytes());
        assert_eq!(read(&input), (2, 0, 1));
    }
}
