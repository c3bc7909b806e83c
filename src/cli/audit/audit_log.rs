//! `colocate audit --audit-log`: what API servers recorded about the calls of webhooks, from their audit logs.

mod screen;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::{Value, json};

use super::AuditFormat;
use crate::api::{ApiClient, ClusterChoice};
use crate::cli::Exit;
use crate::cli::console::Console;
use crate::cli::paint::{Paint, bounded};
use crate::cli::problem::Problem;
use crate::insight::{AuditLineError, AuditLog, Fate, MissedObject, WebhookCalls};
use crate::inspect::{self, Access, NotSeen};
use crate::manifest::is_stdin;

/// The longest line that is read. API servers accept objects of 3 MiB, which can be escaped, and log them up to twice.
const MAX_LINE: u64 = 64 << 20;

/// The number of missed objects that are listed, unless the output is wide or JSON.
const MAX_ROWS: usize = 20;

/// The first bytes of a file that gzip compressed.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The logs to read, and the form of the report.
#[derive(Debug)]
pub(super) struct AuditLogOptions<'a> {
    /// The files; `-` is standard input. They may be compressed by gzip.
    pub(super) files: &'a [PathBuf],
    /// The namespace; `None` for all.
    pub(super) namespace: Option<&'a str>,
    /// The cluster to ask what still exists; `None` to ask none.
    pub(super) cluster: Option<ClusterChoice<'a>>,
    /// The format.
    pub(super) output: AuditFormat,
    /// The colors.
    pub(super) paint: Paint,
    /// Whether something that is not read fails the command.
    pub(super) strict: bool,
}

/// Audit logs, and the lines that are not events.
#[derive(Debug, Default)]
struct Report {
    log: AuditLog,
    /// The fate of each missed object, in their order; `None` if no cluster was checked.
    fates: Option<Vec<Fate>>,
    /// The resources that were read.
    seen: Vec<String>,
    not_seen: Vec<NotSeen>,
    /// The first and last lines of files that are parts of an event: the file was rotated or copied in the middle of a line.
    cut: u64,
    /// The other lines that are not events, and the rests of compressed files that are damaged.
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

/// Reads the logs, and prints what colocate missed. If the cluster does not answer, everything else is printed.
///
/// # Errors
/// If a file cannot be read, or no line is an event.
pub(super) async fn run(options: &AuditLogOptions<'_>) -> anyhow::Result<Exit> {
    let AuditLogOptions { files, namespace, cluster, output, paint, strict } = *options;
    let mut console = Console::new(false);
    let mut report = Report { log: AuditLog::new(namespace.map(str::to_owned)), ..Report::default() };
    for file in files {
        let name = if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() };
        report.read_file(file, &name, &mut console).with_context(|| format!("cannot read {name}"))?;
    }
    console.clear();
    if report.log.events == 0 {
        let why = report.unreadable.first().map(|line| format!(": {}:{}: {}", line.file, line.line, line.why));
        anyhow::bail!("no event of audit.k8s.io/v1 found{}", why.unwrap_or_default());
    }
    let mut exit = Exit::Done;
    if let Some(cluster) = cluster.filter(|_| !report.log.missed.is_empty()) {
        let asked = report.ask(cluster, &mut console).await;
        console.clear();
        if let Err(error) = asked {
            let Problem { what, .. } = Problem::from(&error);
            let line = format!(
                "colocate: cannot check which of the missed objects still exist: {what}: fix the connection, or use --offline to skip the check"
            );
            console.say(&format!("{}\n", bounded(&line)));
            exit = Exit::Failed;
        }
    }
    if exit == Exit::Done && strict && !(report.unreadable.is_empty() && report.not_seen.is_empty()) {
        exit = Exit::Unresolved;
    }
    let mut out = io::stdout().lock();
    match output {
        AuditFormat::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report.document())?)?,
        AuditFormat::Table => out.write_all(report.render(paint, MAX_ROWS).as_bytes())?,
        // Reports about audit logs are rejected before.
        AuditFormat::Wide | AuditFormat::OpenReports => out.write_all(report.render(paint, usize::MAX).as_bytes())?,
    }
    out.flush()?;
    Ok(exit)
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
        // A pipe may have fewer bytes than that at first.
        let mut start = Vec::new();
        input.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
        let input = start.as_slice().chain(input);
        if start == GZIP {
            self.read_lines(BufReader::new(MultiGzDecoder::new(input)), name, console)
        } else {
            self.read_lines(input, name, console)
        }
    }

    fn read_lines(&mut self, mut input: impl BufRead, name: &str, console: &mut Console) -> io::Result<()> {
        let events = self.log.events;
        let (mut line, mut number) = (Vec::new(), 0);
        // The first and the last line may be parts of an event. It is judged later whether they are.
        let (mut first, mut last) = (None, None);
        let mut rest = None;
        loop {
            let (length, is_too_long) = match read_line(&mut input, &mut line) {
                Ok((0, _)) => break,
                Ok(read) => read,
                // Errors of the decoder, unlike those of the operating system, have no code: the compressed file is truncated or
                // damaged.
                Err(error) if error.raw_os_error().is_none() => {
                    let why = bounded(&format!("the rest of the file cannot be decompressed: {error}"));
                    rest = Some(Unreadable { file: name.to_owned(), line: number + 1, why });
                    break;
                }
                Err(error) => return Err(error),
            };
            number += 1;
            console.advance(length);
            if !is_too_long && line.trim_ascii().is_empty() {
                continue;
            }
            self.add_unreadable(last.take());
            let is_whole = line.ends_with(b"\n");
            let unreadable = |why| Some(Unreadable { file: name.to_owned(), line: number, why });
            if is_too_long {
                self.add_unreadable(unreadable(format!("the line is longer than {} MiB", MAX_LINE >> 20)));
            } else if let Err(error) = self.log.add(line.trim_ascii()) {
                let unreadable = unreadable(bounded(&error.to_string()));
                match error {
                    AuditLineError::Json(_) if number == 1 => first = unreadable,
                    error => {
                        // Only one line can be partial at the start. A second one before any event shows that the first was
                        // not a partial event either.
                        if self.log.events == events {
                            self.add_unreadable(first.take());
                        }
                        let ends_early = matches!(error, AuditLineError::Json(error) if error.is_eof());
                        if ends_early { last = unreadable } else { self.add_unreadable(unreadable) }
                    }
                }
            }
            // The rest of a line that an API server is writing may follow.
            if !is_whole && !is_too_long {
                break;
            }
        }
        // A file without an event is not a log that was cut.
        let has_events = self.log.events > events;
        for (line, may_be_cut) in [(first, has_events), (last, has_events && rest.is_none())] {
            if may_be_cut { self.cut += u64::from(line.is_some()) } else { self.add_unreadable(line) }
        }
        self.add_unreadable(rest);
        Ok(())
    }

    fn add_unreadable(&mut self, unreadable: Option<Unreadable>) {
        let Some(unreadable) = unreadable else { return };
        if self.unreadable.len() < MAX_ROWS { self.unreadable.push(unreadable) } else { self.more_unreadable += 1 }
    }

    fn unreadable(&self) -> u64 {
        self.unreadable.len() as u64 + self.more_unreadable
    }

    /// Asks a cluster which of the missed objects still exist.
    async fn ask(&mut self, cluster: ClusterChoice<'_>, console: &mut Console) -> anyhow::Result<()> {
        let mut access = Access::new(ApiClient::for_command(true, cluster).await?);
        self.fates = Some(inspect::fates(&mut access, &self.log.missed, |what| console.count(what)).await?);
        self.seen = access.seen.into_iter().collect();
        self.not_seen = access.not_seen;
        Ok(())
    }

    /// The missed objects, each with its fate.
    fn missed(&self) -> impl Iterator<Item = (&MissedObject, Option<&Fate>)> {
        let fates = self.fates.iter().flatten().map(Some).chain(std::iter::repeat(None));
        self.log.missed.iter().zip(fates)
    }

    /// The report as one JSON document, which docs/schemas/audit-log.json describes.
    fn document(&self) -> Value {
        let Self { log, seen, not_seen, cut, unreadable, .. } = self;
        let period = |period: &Option<[String; 2]>| period.as_ref().map(|[from, to]| json!({"from": from, "to": to}));
        let webhooks = log.webhooks.iter().map(|([configuration, webhook], calls)| {
            let WebhookCalls { requests, changed, failed_open, failures } = calls;
            json!({
                "configuration": configuration, "webhook": webhook, "requests": requests, "changed": changed,
                "failedOpen": failed_open, "failures": period(failures),
            })
        });
        let missed = self.missed().map(|(missed, fate)| {
            let live = match fate {
                Some(Fate::Exists(live)) => json!({"name": live.name, "uid": live.uid, "scheduler": live.scheduler}),
                _ => Value::Null,
            };
            json!({
                "time": missed.time, "resource": missed.resource, "namespace": missed.namespace, "name": missed.name,
                "verb": missed.verb, "user": missed.user, "setBy": missed.set_by, "auditID": missed.audit_id,
                "fate": fate.map(Fate::as_str), "live": live,
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
            "comparison": comparison.collect::<Vec<_>>(), "seen": seen, "notSeen": not_seen,
            "cutLines": cut, "unreadableLines": self.unreadable(), "unreadable": unreadable,
        })
    }
}

/// Reads a line, and returns its length and whether it was longer than [`MAX_LINE`]. The rest of such a line is skipped.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<(usize, bool)> {
    line.clear();
    let length = input.by_ref().take(MAX_LINE).read_until(b'\n', line)?;
    let is_too_long = length as u64 == MAX_LINE && !line.ends_with(b"\n");
    if is_too_long {
        skip_line(input)?;
    }
    Ok((length, is_too_long))
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
    fn partial_lines_are_distinguished_from_invalid_lines() {
        let half = &EVENT[..40];
        for (text, expected) in [
            (format!("{EVENT}\n{EVENT}\n"), (2, 0, 0)),
            (format!("{EVENT}\n{EVENT}"), (2, 0, 0)),
            (format!("{half}\n{EVENT}\n"), (1, 1, 0)),
            (format!("{EVENT}\n{half}"), (1, 1, 0)),
            (format!("{EVENT}\n{half}\n"), (1, 1, 0)),
            (format!("{EVENT}\n{half}\n{EVENT}\n"), (2, 0, 1)),
            (format!("{EVENT}\n\n{EVENT}\n"), (2, 0, 0)),
            (format!("{EVENT}\n{half}\n\n"), (1, 1, 0)),
            (format!("{half}\n{EVENT}\n{half}"), (1, 2, 0)),
            // It is another file.
            (format!("{half}\n{half}\n{EVENT}\n"), (1, 0, 2)),
            (format!("{half}\n{half}\n"), (0, 0, 2)),
            (half.to_owned(), (0, 0, 1)),
            // These are not parts of an event.
            (format!("{EVENT}\nhello\n"), (1, 0, 1)),
            (format!("{EVENT}\nhello"), (1, 0, 1)),
            (format!("{EVENT}\n{{}}\n"), (1, 0, 1)),
            (format!("{{}}\n{EVENT}\n"), (1, 0, 1)),
            (format!("{}\n{EVENT}\n", &EVENT[40..]), (1, 1, 0)),
            (String::new(), (0, 0, 0)),
            ("\n".to_owned(), (0, 0, 0)),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn compressed_files_are_read_also_if_they_were_cut() {
        let whole = compressed(&format!("{EVENT}\n{EVENT}\n"));
        assert_eq!(read(&whole), (2, 0, 0));
        // A pipe that has one byte at first.
        let mut report = Report::default();
        let pipe = whole[..1].chain(&whole[1..]);
        report.read(pipe, "a.log", &mut Console::new(false)).unwrap();
        assert_eq!((report.log.events, report.unreadable()), (2, 0));
        // Two rotated files in a row.
        assert_eq!(read(&[whole.clone(), whole].concat()), (4, 0, 0));
        let events: String = (0..2_000).map(|number| EVENT.replace("07.1", &format!("{number}")) + "\n").collect();
        let long = compressed(&events);
        let (events, cut, unreadable) = read(&long[..long.len() / 2]);
        assert!((1..2_000).contains(&events), "{events}");
        assert_eq!((cut, unreadable), (0, 1));
    }

    #[test]
    fn the_rest_of_a_damaged_file_is_not_read() {
        let whole = compressed(&format!("{EVENT}\n"));
        let mut wrong = whole.clone();
        let checksum = whole.len() - 6;
        wrong[checksum] ^= 0xff;
        for damaged in [[whole.clone(), vec![0; 512]].concat(), wrong] {
            let mut report = Report::default();
            for input in [&damaged, &whole] {
                report.read(&input[..], "a.log", &mut Console::new(false)).unwrap();
            }
            assert_eq!((report.log.events, report.cut, report.unreadable()), (2, 0, 1));
            let Unreadable { line, why, .. } = &report.unreadable[0];
            assert!(*line == 2 && why.starts_with("the rest of the file cannot be decompressed: "), "{line}: {why}");
        }
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
        let end = input.len();
        input.push(b'\n');
        input.extend(EVENT.as_bytes());
        assert_eq!(read(&input), (2, 0, 1));
        // The first and the last one were not cut either.
        assert_eq!(read(&input[EVENT.len() + 1..]), (1, 0, 1));
        assert_eq!(read(&input[..end]), (1, 0, 1));
    }
}
