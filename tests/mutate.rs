//! `colocate mutate` as a process, on files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const CLASS: &str = include_str!("../examples/mysql/storageclass.yaml");
const CLAIM: &str = include_str!("../examples/mysql/claim.yaml");
const DEPLOYMENT: &str = include_str!("../examples/mysql/deployment.yaml");

/// The line that is inserted, and the one that it stands before.
const INSERTED: &str = "      schedulerName: stork\n      containers:\n";

fn mutated(text: &str) -> String {
    text.replacen("      containers:\n", INSERTED, 1)
}

/// A folder with files, in which the command runs.
struct Folder(TempDir);

struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = folder.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn mysql() -> Self {
        Self::new(&[("class.yaml", CLASS), ("claim.yaml", CLAIM), ("deployment.yaml", DEPLOYMENT)])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, arguments: &str) -> Run {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &str, stdin: &str) -> Run {
        let mut child = Command::new(env!("CARGO_BIN_EXE_colocate"))
            .arg("mutate")
            .args(arguments.split(' '))
            .current_dir(self.0.path())
            .env_remove("KUBECONFIG")
            .env("HOME", self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails before it reads closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn one_line_is_inserted_and_all_else_is_the_inputs_own_bytes() {
    let folder = Folder::mysql();
    let run = folder.run("-f deployment.yaml --manifests class.yaml claim.yaml");
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), mutated(DEPLOYMENT).as_str(), ""));
    // A second run changes nothing.
    let again = folder.run_with("-f - --manifests class.yaml claim.yaml", &run.out);
    assert_eq!((again.code, again.out), (Some(0), run.out));
}

#[test]
fn several_files_come_in_order_with_a_line_between_where_one_is_missing() {
    let folder = Folder::new(&[
        ("a.yaml", CLASS.trim_end()),
        ("b.yaml", &format!("# the claim\n---\n{CLAIM}")),
        ("d/deployment.yaml", DEPLOYMENT),
        ("d/.hidden.yaml", "["),
        ("d/notes.txt", "["),
    ]);
    let run = folder.run("-f a.yaml -f b.yaml d");
    let expected = format!("{CLASS}# the claim\n---\n{CLAIM}---\n{}", mutated(DEPLOYMENT));
    assert_eq!((run.code, run.out), (Some(0), expected));
}

#[test]
fn json_stays_json() {
    let deployment: Value = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": {
        "spec": {"containers": [], "volumes": [{"name": "v", "csi": {"driver": "pxd.portworx.com"}}]}}}});
    for text in [deployment.to_string(), serde_json::to_string_pretty(&deployment).unwrap()] {
        let run = Folder::new(&[("d.json", &text)]).run("-f d.json");
        let mut expected = deployment.clone();
        expected["spec"]["template"]["spec"]["schedulerName"] = json!("stork");
        assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap(), expected);
        assert!(run.out.lines().count() <= text.lines().count() + 1, "{}", run.out);
    }
}

#[test]
fn the_formats_say_the_same() {
    let folder = Folder::mysql();
    let diff = folder.run("-f . -o diff");
    let hunk = "+      schedulerName: stork";
    assert!(diff.out.starts_with("--- a/deployment.yaml\n+++ b/deployment.yaml\n@@ "), "{}", diff.out);
    assert_eq!(diff.out.lines().filter(|line| line.starts_with(['+', '-'])).skip(2).collect::<Vec<_>>(), [hunk]);
    assert_eq!(diff.out.lines().count(), 2 + 1 + 3 + 1 + 3, "a hunk has three lines around its change: {}", diff.out);

    let patch: Value = serde_json::from_str(&folder.run("-f . -o patch").out).unwrap();
    let operation = json!({"op": "add", "path": "/spec/template/spec/schedulerName", "value": "stork"});
    let name = json!({"file": "./deployment.yaml", "document": 1, "kind": "Deployment", "namespace": "default", "name": "mysql", "patch": [operation]});
    assert_eq!(patch, name);

    let list: Value = serde_json::from_str(&folder.run("-f . -o json").out).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("List"), 1));
    assert_eq!(list["items"][0]["spec"]["template"]["spec"]["schedulerName"], "stork");
}

#[test]
fn the_patch_of_an_object_in_a_list_applies_to_the_list() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"volumes": [{"name": "v", "portworxVolume": {}}]}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": "Other"}, pod]});
    let folder = Folder::new(&[("list.json", &list.to_string())]);
    let line: Value = serde_json::from_str(&folder.run("-f list.json -o patch").out).unwrap();
    let mut patched = list.clone();
    let patch: json_patch::Patch = serde_json::from_value(line["patch"].clone()).unwrap();
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched["items"][1]["spec"]["schedulerName"], "stork");
    assert_eq!(serde_json::from_str::<Value>(&folder.run("-f list.json").out).unwrap(), patched);
}

#[test]
fn in_place_rewrites_changed_files_only_and_keeps_their_mode() {
    let folder = Folder::mysql();
    fs::set_permissions(folder.path("deployment.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("deployment.yaml", folder.path("link.yaml")).unwrap();
    let untouched = |name: &str| fs::metadata(folder.path(name)).unwrap().ino();
    let (class, deployment) = (untouched("class.yaml"), untouched("deployment.yaml"));
    let run = folder.run("-f class.yaml claim.yaml link.yaml --in-place");
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""));
    assert_eq!(folder.text("deployment.yaml"), mutated(DEPLOYMENT));
    assert_eq!(fs::metadata(folder.path("deployment.yaml")).unwrap().mode() & 0o777, 0o640);
    assert!(folder.path("link.yaml").is_symlink());
    assert_eq!(untouched("class.yaml"), class);
    assert_ne!(untouched("deployment.yaml"), deployment, "it was not replaced whole");
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 4, "something was left behind");
    // Nothing is left to do.
    assert_eq!(folder.run("-f . --check").code, Some(0));
}

#[test]
fn check_writes_nothing_and_says_by_its_exit_code() {
    let folder = Folder::mysql();
    let run = folder.run("-f . --check");
    let said = "./deployment.yaml:1:1: Deployment default/mysql: would be set to stork\n";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(4), "", said));
    let shown = folder.run("-f . --check -o diff");
    assert_eq!((shown.code, shown.out, shown.err.as_str()), (Some(4), folder.run("-f . -o diff").out, ""));
    let run = folder.run("-f . --check -o json");
    assert_eq!((run.code, run.out.as_str()), (Some(2), ""));
    assert!(run.err.contains("leave -o out, or write -o diff"), "{}", run.err);
    assert_eq!(folder.text("deployment.yaml"), DEPLOYMENT);
}

#[test]
fn a_diff_makes_of_the_old_files_the_new_ones() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  volumes: [{name: v, portworxVolume: {}}]";
    let json = r#"{"apiVersion":"v1","kind":"Pod","spec":{"volumes":[{"name":"v","portworxVolume":{}}]}}"#;
    let texts = [
        format!("{pod}\n"),
        pod.to_owned(),
        format!("\u{feff}{pod}\n").replace('\n', "\r\n"),
        format!("{pod}\n").replace('\n', "\r"),
        json.to_owned(),
        format!("{pod}\n# --- a\n#\n#\n#\n--- # +++ b\n{pod}\n--- {json}\n"),
        pod.replace("spec:\n", "spec:\n  schedulerName: ''\n"),
    ];
    let names: Vec<_> = (0..texts.len()).map(|number| format!("d/{number} of.yaml")).collect();
    let files: Vec<_> = names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = Folder::new(&files);
    let difference = folder.run("-f d -o diff").out;
    fs::write(folder.path("changes.diff"), &difference).unwrap();
    let applied = Command::new("git")
        .args(["apply", "--whitespace=nowarn", "changes.diff"])
        .env("GIT_CEILING_DIRECTORIES", folder.0.path())
        .current_dir(folder.0.path())
        .output()
        .unwrap();
    assert!(applied.status.success(), "{}\n{difference}", String::from_utf8_lossy(&applied.stderr));
    let patched: Vec<_> = names.iter().map(|name| folder.text(name)).collect();
    for (name, text) in &files {
        fs::write(folder.path(name), text).unwrap();
    }
    assert_eq!(folder.run("-f d --in-place").code, Some(0));
    let written: Vec<_> = names.iter().map(|name| folder.text(name)).collect();
    assert_eq!(patched, written);
    assert!(written.iter().zip(&texts).all(|(new, old)| new != old));
}

#[test]
fn a_file_that_is_named_twice_is_given_once() {
    let folder = Folder::mysql();
    std::os::unix::fs::symlink("deployment.yaml", folder.path("link.yaml")).unwrap();
    let run = folder.run("-f deployment.yaml -f ./deployment.yaml link.yaml --manifests class.yaml claim.yaml");
    assert_eq!((run.code, run.out), (Some(0), mutated(DEPLOYMENT)));
}

#[test]
fn a_namespace_that_can_be_none_is_wrong_usage() {
    let folder = Folder::mysql();
    let long = "a".repeat(64);
    for name in ["", "Shop", "a_b", "-a", "a-", "a.b", long.as_str()] {
        let run = folder.run(&format!("-f deployment.yaml --namespace={name}"));
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{name}");
        assert!(run.err.contains("lower-case letters, digits and `-`"), "{}", run.err);
    }
    assert_eq!(folder.run(&format!("-f deployment.yaml -n {}", &long[..63])).code, Some(0));
}

#[test]
fn a_helm_template_is_told_from_a_manifest() {
    let broken = "kind: Deployment\nspec:\n{{- if .Values.db }}\n  replicas: 1\n{{- end }}\n";
    let run = Folder::new(&[("a.yaml", broken)]).run("-f a.yaml");
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("colocate: a.yaml:3:3: ") && run.err.contains("`helm template`"), "{}", run.err);
    // One that is YAML all the same.
    let whole = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  nodeName: {{ .Values.node }}\n";
    let folder = Folder::new(&[("a.yaml", whole)]);
    let run = folder.run("-f a.yaml");
    assert_eq!((run.code, run.out.as_str()), (Some(0), whole));
    assert!(run.err.starts_with("a.yaml:5:13: left as it is: ") && run.err.contains("`helm template`"), "{}", run.err);
    assert_eq!(folder.run("-f a.yaml --strict").code, Some(3));
}

#[test]
fn a_file_keeps_its_owner_or_stays_as_it_is() {
    let folder = Folder::mysql();
    let deployment = folder.path("deployment.yaml");
    fs::set_permissions(&deployment, fs::Permissions::from_mode(0o604)).unwrap();
    if std::os::unix::fs::chown(&deployment, Some(4711), Some(4712)).is_err() {
        // Only root gives files away, and only to root's runs is this anything.
        return;
    }
    // Somebody who may write in the folder and is not the file's owner.
    let program = folder.path("colocate");
    fs::copy(env!("CARGO_BIN_EXE_colocate"), &program).unwrap();
    fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let arguments = ["mutate", "-f", "claim.yaml", "class.yaml", "deployment.yaml", "--in-place"];
    let mut stranger = Command::new(&program);
    let output = stranger.args(arguments).current_dir(folder.0.path()).uid(4713).gid(4713).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("deployment.yaml: its owner (4711:4712) could not be kept: "), "{said}");
    assert_eq!(folder.text("deployment.yaml"), DEPLOYMENT);

    assert_eq!(folder.run(&arguments[1..].join(" ")).code, Some(0));
    let metadata = fs::metadata(&deployment).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (4711, 4712, 0o604));
    assert_eq!(folder.text("deployment.yaml"), mutated(DEPLOYMENT));
}

#[test]
fn what_cannot_be_read_as_its_kind_is_explained_too() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: odd}\nspec: {schedulerName: 3, volumes: []}\n";
    let run = Folder::new(&[("pod.yaml", pod)]).run("-f pod.yaml --explain");
    assert!(run.err.contains("expected a string"), "{}", run.err);
}

#[test]
fn a_file_that_does_not_parse_is_named_with_its_place_and_nothing_is_written() {
    let folder = Folder::mysql();
    fs::write(folder.path("z.yaml"), "a: 1\nb: [\n").unwrap();
    let run = folder.run("-f . --in-place");
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("colocate: ./z.yaml:2:4: unclosed") && run.err.contains("b: ["), "{}", run.err);
    assert_eq!(folder.text("deployment.yaml"), DEPLOYMENT);
}

#[test]
fn what_cannot_be_resolved_is_said_and_strict_makes_it_exit_3() {
    let folder = Folder::mysql();
    let run = folder.run("-f deployment.yaml");
    assert_eq!((run.code, run.out.as_str()), (Some(0), DEPLOYMENT));
    assert!(run.err.starts_with("deployment.yaml:1:1: Deployment default/mysql: claim-missing: "), "{}", run.err);
    assert_eq!(folder.run("-f deployment.yaml --strict").code, Some(3));
    assert_eq!(folder.run("-f . --strict").code, Some(0));
    // Of several, the first of 2, 1, 3, 4.
    fs::write(folder.path("other.yaml"), DEPLOYMENT.replace("mysql-data", "absent")).unwrap();
    assert_eq!(folder.run("-f . --strict --check").code, Some(3));
    assert_eq!(folder.run("-f absent.yaml --strict --check").code, Some(1));
    assert_eq!(folder.run("-f - --in-place --strict").code, Some(2));
}

#[test]
fn a_spec_that_cannot_be_changed_alone_stays_and_is_unresolved() {
    let pod = |name: &str, spec: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {spec}\n");
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}- {}",
        pod("a", "&spec\n    volumes: [{name: v, portworxVolume: {}}]")
            .replace("\nkind", "\n  kind")
            .replace("\nmeta", "\n  meta")
            .replace("\nspec", "\n  spec"),
        pod("b", "*spec").replace("\nkind", "\n  kind").replace("\nmeta", "\n  meta").replace("\nspec", "\n  spec"),
    );
    let run = Folder::new(&[("list.yaml", &list)]).run("-f list.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(3), list.as_str()), "{}", run.err);
    assert!(run.err.contains("Pod default/a: left as it is: ") && run.err.contains("anchor"), "{}", run.err);
    assert!(run.err.contains("Pod default/b: left as it is: ") && run.err.contains("alias"), "{}", run.err);
}

#[test]
fn every_workload_is_explained_on_one_line() {
    let folder = Folder::mysql();
    let run = folder.run("-f . --explain --check");
    for part in [
        "deployment.yaml:1:1: Deployment default/mysql: injected -> stork; ",
        "mysql-data",
        "px-db",
        "pxd.portworx.com",
        "portworx",
    ] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
}

#[test]
fn a_namespace_is_the_objects_or_the_one_that_is_named_and_may_opt_out() {
    let folder = Folder::mysql();
    let claim = CLAIM.replace("{name: mysql-data}", "{name: mysql-data, namespace: shop}");
    fs::write(folder.path("claim.yaml"), &claim).unwrap();
    assert_eq!(folder.run("-f . --check").code, Some(0));
    assert_eq!(folder.run("-f . --check -n shop").code, Some(4));
    for (value, code) in [("true", 0), ("1", 0), ("false", 4), ("yes", 4)] {
        let label = format!("stork.libopenstorage.org/disable-admission-controller: \"{value}\"");
        let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{{label}}}}}\n");
        fs::write(folder.path("namespace.yaml"), namespace).unwrap();
        assert_eq!(folder.run("-f . --check -n shop").code, Some(code), "{value}");
    }
}

#[test]
fn the_configuration_counts() {
    let folder = Folder::mysql();
    fs::write(folder.path("config.txt"), "templates: leave\n").unwrap();
    assert_eq!(folder.run("-f . --check --config config.txt").code, Some(0));
    fs::write(
        folder.path("config.txt"),
        "drivers: [{name: other, provisioners: [pxd.portworx.com], scheduler: other}]\n",
    )
    .unwrap();
    let run = folder.run("-f deployment.yaml --manifests class.yaml claim.yaml --config config.txt");
    assert_eq!(run.out, mutated(DEPLOYMENT).replace("schedulerName: stork", "schedulerName: other"));
    fs::write(folder.path("config.txt"), "template: leave\n").unwrap();
    let run = folder.run("-f . --config config.txt");
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("config.txt:1:1: unknown key `template`; did you mean `templates`?"), "{}", run.err);
}

#[test]
fn what_is_no_kubernetes_object_passes_through() {
    let text = "# nothing\n---\n- a list\n---\nplain text\n--- # empty\n...\n---\nkind: Deployment\n";
    let run = Folder::new(&[("a.yaml", text)]).run("-f a.yaml --strict");
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), text, ""));
}

#[test]
fn completions_and_the_man_page_know_every_command() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_colocate")).args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = run(&["completions", shell]);
        assert!(text.contains("mutate") && text.contains("in-place"), "{shell}");
    }
    let page = run(&["man"]);
    for word in ["colocate\\-serve", "colocate\\-mutate", "in\\-place", "tls\\-cert", "EXIT STATUS", "EXAMPLES"] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn files_that_cannot_stand_behind_each_other_are_not_put_there() {
    let folder = Folder::new(&[
        ("a.yaml", "a: 1"),
        ("b.yaml", "%YAML 1.2\n---\nb: 1\n"),
        ("c.yaml", "\u{feff}c: 1\n"),
        ("d.json", "{\"d\": 1}\n{\"d\": 2}\n"),
    ]);
    assert_eq!(folder.run("-f a.yaml b.yaml").out, "a: 1\n...\n%YAML 1.2\n---\nb: 1\n");
    assert_eq!(folder.run("-f a.yaml c.yaml").out, "a: 1\n---\nc: 1\n");
    let run = folder.run("-f a.yaml d.json");
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{}", run.err);
    assert!(run.err.contains("cannot stand behind each other"), "{}", run.err);
}

#[test]
fn input_with_no_document_is_a_failure() {
    let folder = Folder::new(&[("empty/notes.txt", "x"), ("comment.yaml", "# nothing\n---\n")]);
    for (arguments, named) in [("-f -", "standard input"), ("-f empty", "empty"), ("-f comment.yaml", "comment.yaml")] {
        let run = folder.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{arguments}");
        assert!(run.err.contains("there is no document in") && run.err.contains(named), "{}", run.err);
    }
}

#[test]
fn a_name_in_a_diff_is_the_files_own_and_stays_on_its_line() {
    let folder = Folder::mysql();
    for (name, header) in [
        (".argo.yaml", "--- a/.argo.yaml\n"),
        ("with space.yaml", "--- a/with space.yaml\t\n"),
        ("line\nbreak.yaml", "--- \"a/line\\nbreak.yaml\"\n"),
    ] {
        fs::write(folder.path(name), DEPLOYMENT).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_colocate"))
            .args(["mutate", "-o", "diff", "--manifests", "claim.yaml", "class.yaml", "-f", &format!("./{name}")])
            .current_dir(folder.0.path())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.starts_with(header), "{out}");
    }
}

#[test]
fn nobody_listening_changes_nothing_but_what_is_heard() {
    let folder = Folder::mysql();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_colocate"));
        command.arg("mutate").args(arguments).current_dir(folder.0.path()).stderr(closed.try_clone().unwrap());
        command
    };
    assert_eq!(command(&["-f", ".", "--check", "--explain"]).status().unwrap().code(), Some(4));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(command(&["-f", "absent.yaml"]).stderr(full).status().unwrap().code(), Some(1));
    let status = command(&["-f", "deployment.yaml", "--strict"]).stdout(closed.try_clone().unwrap()).status().unwrap();
    assert_eq!(status.code(), Some(3));
    assert_eq!(command(&["-f", ".", "--in-place", "--explain"]).status().unwrap().code(), Some(0));
    assert_eq!(folder.text("deployment.yaml"), mutated(DEPLOYMENT));
}

#[test]
fn what_is_not_built_as_its_kind_is_said_with_its_name_and_why() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: odd}\nspec: {schedulerName: 3, volumes: []}\n";
    let run = Folder::new(&[("pod.yaml", pod)]).run("-f pod.yaml --strict");
    assert_eq!(run.code, Some(3));
    assert!(
        run.err.starts_with("pod.yaml:1:1: Pod default/odd: unreadable: ") && run.err.contains("expected a string"),
        "{}",
        run.err
    );
}

#[test]
fn more_files_than_may_be_open_at_once_are_written() {
    let names: Vec<_> = (0..40).map(|n| format!("d/{n}.yaml")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), DEPLOYMENT)).collect();
    let folder = Folder::new(&files);
    fs::write(folder.path("class.yaml"), CLASS).unwrap();
    fs::write(folder.path("claim.yaml"), CLAIM).unwrap();
    let line = format!("ulimit -n 24; exec {} mutate -f . --in-place", env!("CARGO_BIN_EXE_colocate"));
    let output = Command::new("sh").args(["-c", &line]).current_dir(folder.0.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(names.iter().all(|name| folder.text(name) == mutated(DEPLOYMENT)));
}

#[test]
fn what_readers_of_yaml_see_differently_is_left_as_it_is() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  # see\u{2028}  schedulerName: mine\n  volumes: [{name: v, portworxVolume: {}}]\n";
    let run = Folder::new(&[("pod.yaml", pod)]).run("-f pod.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(3), pod));
    assert!(
        run.err.starts_with("pod.yaml:5:8: Pod default/p: left as it is: ") && run.err.contains("U+2028"),
        "{}",
        run.err
    );
}

#[test]
fn a_file_that_is_no_text_is_named_with_its_line_and_what_to_do() {
    let folder = Folder::mysql();
    fs::write(folder.path("z.yaml"), b"a: 1\nb: caf\xe9\n").unwrap();
    let run = folder.run("-f .");
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("z.yaml:2:7: the byte 0xE9 here is no UTF-8; save it as UTF-8"), "{}", run.err);
    fs::write(folder.path("z.yaml"), b"\xff\xfea\0").unwrap();
    assert!(folder.run("-f .").err.contains("it looks like UTF-16"));
}
