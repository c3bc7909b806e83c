//! The memory of a run is bounded by the largest document, not by the largest file.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use colocate_harness::{CLAIM, CLASS, DEPLOYMENT, Folder, program};
use serde_json::json;

/// The size of a document, and the number of documents of a file.
const DOCUMENT: usize = 256 << 10;
const COUNT: usize = 96;

/// The most private memory of a process, in KiB: half of the file.
const LIMIT: usize = 12 << 10;

/// Writes many large documents with `write`, and a workload with its claim at the end.
fn write(path: &Path, document: impl Fn(&str) -> String, end: &str) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let content = "x".repeat(DOCUMENT);
    for _ in 0..COUNT {
        file.write_all(document(&content).as_bytes()).unwrap();
    }
    file.write_all(end.as_bytes()).unwrap();
}

/// Runs `colocate` with [`LIMIT`], and returns its exit code and the length of its output.
fn run(folder: &Folder, arguments: &str, stdin: Stdio) -> (Option<i32>, usize) {
    run_within(LIMIT, folder, arguments, stdin)
}

/// Like [`run`], with another limit in KiB.
fn run_within(limit: usize, folder: &Folder, arguments: &str, stdin: Stdio) -> (Option<i32>, usize) {
    let limited = format!("ulimit -d {limit} && exec \"$0\" {arguments}");
    let mut command = Command::new("sh");
    command.arg("-c").arg(limited).arg(program::path()).current_dir(folder.root());
    let output = command.stdin(stdin).stderr(Stdio::inherit()).output().unwrap();
    (output.status.code(), output.stdout.len())
}

#[test]
fn a_large_file_is_not_kept_in_memory() {
    let folder = Folder::new(&[]);
    let large =
        |text: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{b: {text}}}\n---\n");
    write(&folder.path("a.yaml"), large, &format!("{DEPLOYMENT}---\n{CLAIM}---\n{CLASS}"));
    let stdin = || File::open(folder.path("a.yaml")).unwrap().into();
    let size = usize::try_from(fs::metadata(folder.path("a.yaml")).unwrap().len()).unwrap();
    assert!(size > 2 * LIMIT * 1024);
    assert_eq!(run(&folder, "mutate - --check", stdin()), (Some(4), 0));
    let (code, length) = run(&folder, "mutate a.yaml -o diff", Stdio::null());
    assert!(code == Some(0) && (100..1000).contains(&length), "{code:?}, {length}");
    assert_eq!(run(&folder, "validate a.yaml --strict", Stdio::null()), (Some(0), 0));
    assert_eq!(run(&folder, "mutate a.yaml --in-place", Stdio::null()), (Some(0), 0));
    let changed = usize::try_from(fs::metadata(folder.path("a.yaml")).unwrap().len()).unwrap();
    assert_eq!(changed, size + "      schedulerName: stork\n".len());
}

#[test]
fn a_large_file_of_json_values_is_not_kept_in_memory() {
    for separator in ["\n", "\n---\n", "", "\n  "] {
        let folder = Folder::mysql();
        let large = |text: &str| {
            let value = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "b": text } });
            format!("{value}{separator}")
        };
        write(&folder.path("a.json"), large, "");
        assert_eq!(run(&folder, "mutate . --check", Stdio::null()), (Some(4), 0));
    }
}

/// A tree of the patch takes 17 times its size, and a map of the annotations 8 times.
#[test]
fn a_long_line_of_an_audit_log_takes_little_memory() {
    const LINE: usize = 16 << 20;
    let patch = format!(r#"{{"configuration":"x","webhook":"a.x","patch":[0{}]}}"#, ",0".repeat(LINE / 2));
    let long = json!({"patch.webhook.admission.k8s.io/round_0_index_0": patch});
    let short = || (0..LINE / 12).map(|number| format!(r#","{number:x}":"""#));
    let many = format!(r#"{{"a":"b"{}}}"#, short().collect::<String>());
    for (annotations, code) in [(long.to_string(), 0), (many, 3)] {
        let start = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","responseStatus":{"code":201}"#;
        let event = format!("{start}}}\n");
        let line = format!("{start},\"annotations\":{annotations}}}\n");
        assert!(line.len() > LINE - (4 << 20), "{}", line.len());
        let folder = Folder::new(&[("a.log", &format!("{event}{line}{event}"))]);
        let (found, length) =
            run_within((6 * LINE) >> 10, &folder, "audit --audit-log a.log --offline --strict", Stdio::null());
        assert_eq!(found, Some(code));
        assert!(length > 0);
    }
}
