//! Options about the output, which `mutate` and `validate` share.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use colocate_harness::Folder;
use serde_json::Value;

const YES: &str = "apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"yes\"}
";

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.root()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_output_is_the_same_in_a_file() {
    let folder = Folder::mysql();
    fs::write(folder.path("yes.yaml"), YES).unwrap();
    for command in [
        "mutate .",
        "mutate . -o json",
        "mutate . -o diff",
        "mutate . --check -o diff",
        "validate .",
        "validate . -o json",
        "validate . -o sarif",
        "validate . -o github",
        "validate --list-rules",
    ] {
        let printed = folder.run(command);
        assert!(!printed.out.is_empty(), "{command}");
        // The second run must not read the file of the first one.
        for _ in 0..2 {
            let run = folder.run(&format!("{command} --output-file out.json"));
            assert_eq!((run.code, run.out, run.err), (printed.code, String::new(), printed.err.clone()), "{command}");
            assert_eq!(folder.text("out.json"), printed.out, "{command}");
        }
        fs::remove_file(folder.path("out.json")).unwrap();
        assert_eq!(names(&folder), ["claim.yaml", "class.yaml", "deployment.yaml", "yes.yaml"]);
    }
}

#[test]
fn the_output_file_keeps_its_mode_and_its_link() {
    let folder = Folder::new(&[("yes.yaml", YES), ("reports/old.txt", "old")]);
    fs::set_permissions(folder.path("reports/old.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("reports/old.txt", folder.path("link")).unwrap();
    folder.run("validate yes.yaml -o json --output-file link");
    assert!(folder.path("link").is_symlink() && folder.text("reports/old.txt").starts_with("[\n"));
    assert_eq!(fs::metadata(folder.path("reports/old.txt")).unwrap().permissions().mode() & 0o777, 0o640);
    folder.run("validate yes.yaml -o json --output-file new.json");
    let mode = fs::metadata(folder.path("new.json")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & !0o022, 0o644, "{mode:o}");
    // A device is written, not replaced.
    let run = folder.run("validate yes.yaml -o json --output-file /dev/stderr");
    assert!(run.err.contains("\"rule\": \"HC001\""), "{}", run.err);
}

#[test]
fn an_output_file_that_cannot_be_written_is_an_error_first() {
    let folder = Folder::new(&[("yes.yaml", YES), ("folder/a.txt", "")]);
    for (arguments, code, message) in [
        ("validate bad --output-file folder", 1, "cannot write folder: it is a directory: name a file in it\n"),
        ("mutate bad --output-file no/x.json", 1, "cannot write no/x.json: No such file or directory"),
        ("validate yes.yaml --output-file -", 2, "--output-file names a file: remove it"),
        (
            "mutate yes.yaml --output-file yes.yaml",
            2,
            "--output-file yes.yaml is also an input: write to another file\n",
        ),
        ("validate . --manifests yes.yaml --output-file ./yes.yaml", 2, "--output-file ./yes.yaml is also an input"),
        ("mutate yes.yaml --check --output-file x", 2, "remove --output-file, or add -o diff\n"),
        ("mutate yes.yaml --in-place --output-file x", 2, "'--in-place' cannot be used with '--output-file <FILE>'"),
    ] {
        let run = folder.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(code), ""), "{arguments}");
        assert!(run.err.contains(message), "{arguments}: {}", run.err);
        assert!(!run.err.contains("cannot read"), "{arguments}: {}", run.err);
        assert_eq!(names(&folder), ["folder", "yes.yaml"], "{arguments}");
        assert_eq!(folder.text("yes.yaml"), YES);
    }
}

#[test]
fn a_failed_run_leaves_a_complete_document_or_the_old_file() {
    let folder = Folder::new(&[("bad.yaml", "a: b\n c: d\n"), ("out", "old"), ("empty/notes.txt", "")]);
    for (arguments, exit) in [("bad.yaml", 1), ("empty", 1)] {
        assert_eq!(folder.run(&format!("validate {arguments} -o sarif --output-file out")).code, Some(exit));
        let log: Value = serde_json::from_str(&folder.text("out")).unwrap();
        assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], false);
        fs::write(folder.path("out"), "old").unwrap();
        assert_eq!(folder.run(&format!("mutate {arguments} --output-file out")).code, Some(exit));
        assert_eq!(folder.text("out"), "old");
    }
}

#[test]
fn quiet_prints_only_errors() {
    let folder = Folder::mysql();
    fs::write(folder.path("yes.yaml"), YES).unwrap();
    fs::remove_file(folder.path("claim.yaml")).unwrap();
    for (command, code) in [("mutate . --strict", 3), ("mutate . --check", 0), ("validate . -o text", 1)] {
        let (loud, quiet) = (folder.run(command), folder.run(&format!("{command} -q")));
        assert!(!loud.err.is_empty() || command.contains("--check"), "{command}");
        assert_eq!((quiet.code, quiet.err.as_str()), (Some(code), ""), "{command}");
        assert_eq!(quiet.out, loud.out, "{command}");
    }
    fs::write(folder.path("bad.yaml"), "a: b\n c: d\n").unwrap();
    let error = "./bad.yaml:2:3: mapping values are not allowed in this context\n  2 |  c: d\n    |   ^\n";
    assert_eq!(folder.run("validate . --quiet").err, error);
    let nothing = "colocate: 1 error, so nothing was printed: correct the files, or leave them out with --exclude\n";
    assert_eq!(folder.run("mutate . --quiet").err, format!("{error}{nothing}"));
    assert_eq!(folder.run("mutate . --quiet --explain").code, Some(2));
}

#[test]
fn color_can_be_forced_and_switched_off() {
    let folder = Folder::mysql();
    fs::write(folder.path("yes.yaml"), YES).unwrap();
    for (command, color) in [
        ("mutate . -o diff", "\u{1b}[32m+      schedulerName: stork\u{1b}[0m\n"),
        ("validate .", "\u{1b}[31merror[HC001]\u{1b}[0m"),
        ("validate --list-rules", "\u{1b}[1mHC001\u{1b}[0m"),
    ] {
        let out = |options: &str| folder.run(&format!("{command}{options}")).out;
        assert!(out(" --color always").contains(color), "{}", out(" --color always"));
        assert!(!out("").contains('\u{1b}') && out(" --color never") == out("") && out(" --color=auto") == out(""));
        folder.run(&format!("{command} --color always --output-file /dev/null"));
    }
    assert_eq!(folder.run("validate . --color maybe").code, Some(2));
}

#[test]
fn findings_fail_from_the_severity_of_fail_on() {
    let at = |severity: &str| format!("validation: {{rules: {{HC001: {severity}}}}}");
    let folder = Folder::new(&[
        ("a.yaml", YES),
        ("error.txt", &at("error")),
        ("warning.txt", &at("warning")),
        ("info.txt", &at("info")),
    ]);
    let codes = |severity: &str| {
        ["", " --fail-on error", " --fail-on warning", " --fail-on info"].map(|option| {
            let run = folder.run(&format!("validate a.yaml --config {severity}.txt -o json{option}"));
            assert_eq!(run.out.matches("HC001").count(), 1);
            run.code.unwrap()
        })
    };
    assert_eq!(codes("error"), [1, 1, 1, 1]);
    assert_eq!(codes("warning"), [0, 0, 1, 1]);
    assert_eq!(codes("info"), [0, 0, 0, 1]);
    assert_eq!(folder.run("validate a.yaml --fail-on never").code, Some(2));
}
