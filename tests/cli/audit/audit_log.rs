//! `colocate audit --audit-log`: what it cannot read, its exit codes, and its memory.

use std::fs;
use std::io::Write as _;

use colocate_harness::{ApiServer, Folder, Run};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{cluster, missed_pod, valid_document};

/// Returns the document about audit logs, which matches its schema.
fn document(run: &Run) -> Value {
    valid_document(run, include_str!("../../../docs/schemas/audit-log.json"))
}

/// The event of [`missed_pod`], changed.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut event: Value = serde_json::from_str(&missed_pod("v1")).unwrap();
    change(&mut event);
    format!("{event}\n")
}

/// Runs the command with these files and options, without a cluster.
fn audit(folder: &Folder, arguments: &str) -> Run {
    folder.run(&format!("audit --offline --audit-log {arguments}"))
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_not_read_of_a_log_fails_only_with_strict() {
    let missed = missed_pod("v1");
    let whole = compressed(&missed);
    let mut damaged = whole.clone();
    let checksum = whole.len() - 6;
    damaged[checksum] ^= 0xff;
    let folder = Folder::new(&[
        ("whole.log", &missed),
        ("cut.log", &format!("{}{missed}{}", &missed[9..], &missed[..40])),
        ("other.log", "hello\nworld\n"),
        ("empty.log", ""),
    ]);
    fs::write(folder.path("whole.log.gz"), &whole).unwrap();
    fs::write(folder.path("damaged.log.gz"), &damaged).unwrap();
    fs::write(folder.path("truncated.log.gz"), &whole[..whole.len() - 8]).unwrap();
    fs::write(folder.path("trailing.log.gz"), [&whole[..], &[0; 512]].concat()).unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    let run = |arguments: &str| audit(&folder, arguments);
    let strict = |files: &str| run(&format!("{files} --strict"));
    for files in ["whole.log", "whole.log.gz", "cut.log", "whole.log empty.log"] {
        assert_eq!(strict(files).code, Some(0), "{files}");
    }
    for (file, why) in [
        ("damaged.log.gz", "damaged.log.gz:2: the rest of the file cannot be decompressed: corrupt"),
        ("truncated.log.gz", "truncated.log.gz:2: the rest of the file cannot be decompressed: "),
        ("trailing.log.gz", "trailing.log.gz:2: the rest of the file cannot be decompressed: invalid gzip header"),
        ("other.log", "other.log:1: expected value at column 1\n  other.log:2: expected value at column 1"),
    ] {
        // The other files are read, in any order.
        for files in [format!("{file} whole.log"), format!("whole.log {file}")] {
            let run = strict(&files);
            assert_eq!(run.code, Some(3), "{files}: {}", run.err);
            assert!(
                run.out.contains("\nat least 1 object was admitted although colocate did not answer\n"),
                "{}",
                run.out
            );
            assert!(run.out.contains(&format!("\nnot read\n  {why}")), "{}", run.out);
            assert_eq!(audit(&folder, &files).code, Some(0));
        }
    }
    let document = document(&run("damaged.log.gz whole.log -o json"));
    let unreadable = document["unreadable"].as_array().unwrap();
    assert_eq!((&document["unreadableLines"], &document["cutLines"], unreadable.len()), (&json!(1), &json!(0), 1));
    for (files, message) in [
        ("other.log", "no event of audit.k8s.io/v1 found: other.log:1: expected value at column 1"),
        ("empty.log", "no event of audit.k8s.io/v1 found\n"),
        ("absent.log whole.log", "cannot read absent.log"),
        ("whole.log folder", "cannot read folder"),
    ] {
        let run = run(files);
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{files}");
        assert!(run.err.contains(message), "{files}: {}", run.err);
    }
}

#[test]
fn a_pod_by_server_side_apply_is_missed_and_an_update_is_not() {
    let applied = changed(|event| event["verb"] = "patch".into());
    let updated = changed(|event| {
        event["verb"] = "update".into();
        event["responseStatus"]["code"] = 200.into();
    });
    let answered = changed(|event| {
        event["annotations"].as_object_mut().unwrap().retain(|key, _| !key.starts_with("failed-open."));
    });
    let folder = Folder::new(&[("applied.log", &applied), ("updated.log", &updated), ("answered.log", &answered)]);
    for (file, missed, failed_open, verdict) in [
        ("applied.log", 1, 1, "1 object was admitted although colocate did not answer"),
        ("updated.log", 0, 1, "colocate did not answer 1 request, but no object was missed"),
        ("answered.log", 0, 0, "colocate answered every recorded request"),
    ] {
        let run = |format: &str| audit(&folder, &format!("{file} {format}"));
        let document = document(&run("-o json"));
        assert_eq!(document["missed"].as_array().unwrap().len(), missed, "{file}: {document:#}");
        assert_eq!(document["webhooks"][0]["failedOpen"], failed_open, "{file}: {document:#}");
        assert_eq!(run("-o wide").out.lines().nth(1), Some(verdict), "{file}");
    }
}

#[test]
fn a_log_that_is_read_twice_counts_each_missed_object_once() {
    let folder = Folder::new(&[("audit.log", &missed_pod("v1"))]);
    let document = document(&audit(&folder, "audit.log audit.log -o json"));
    assert_eq!((document["missed"].as_array().unwrap().len(), &document["moreMissed"]), (1, &json!(false)));
}

#[test]
fn a_missed_object_of_a_version_that_is_not_served_is_not_known_to_be_gone() {
    let folder = Folder::new(&[("audit.log", &missed_pod("v1beta1"))]);
    let server = ApiServer::new(&cluster(), 404);
    let run = server.run_command(&folder, "audit --audit-log audit.log --strict");
    assert_eq!(run.code, Some(3), "{}{}", run.out, run.err);
    assert!(run.out.contains("0 of them still exist, 1 is unknown"), "{}", run.out);
    let line = "pods: the API server does not serve the version v1beta1 of the log; not known as a result: which of the missed pods still exist";
    assert!(run.out.contains(line), "{}", run.out);
}
