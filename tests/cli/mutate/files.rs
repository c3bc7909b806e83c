//! Reading and writing of files.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use colocate_harness::{CLAIM, CLASS, DEPLOYMENT, Folder, program};

use super::mutated;

#[test]
fn files_are_printed_in_order_with_separators_where_needed() {
    let folder = Folder::new(&[
        ("a.yaml", CLASS.trim_end()),
        ("b.yaml", &format!("# the claim\n---\n{CLAIM}")),
        ("d/deployment.yaml", DEPLOYMENT),
        ("d/.hidden.yaml", "["),
        ("d/notes.txt", "["),
    ]);
    let run = folder.run("mutate -f a.yaml -f b.yaml d");
    let expected = format!("{CLASS}# the claim\n---\n{CLAIM}---\n{}", mutated(DEPLOYMENT));
    assert_eq!((run.code, run.out), (Some(0), expected));
}

#[test]
fn in_place_rewrites_only_changed_files_and_keeps_their_mode() {
    let folder = Folder::mysql();
    fs::set_permissions(folder.path("deployment.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("deployment.yaml", folder.path("link.yaml")).unwrap();
    let inode = |name: &str| fs::metadata(folder.path(name)).unwrap().ino();
    let (class, deployment) = (inode("class.yaml"), inode("deployment.yaml"));
    let run = folder.run("mutate -f class.yaml claim.yaml link.yaml --in-place");
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""));
    assert_eq!(folder.text("deployment.yaml"), mutated(DEPLOYMENT));
    assert_eq!(fs::metadata(folder.path("deployment.yaml")).unwrap().mode() & 0o777, 0o640);
    assert!(folder.path("link.yaml").is_symlink());
    assert_eq!(inode("class.yaml"), class);
    assert_ne!(inode("deployment.yaml"), deployment, "the file was not replaced atomically");
    assert_eq!(fs::read_dir(folder.root()).unwrap().count(), 4, "a temporary file was left behind");
    // A second run has nothing to change.
    assert_eq!(folder.run("mutate -f . --check").code, Some(0));
}

#[test]
fn check_writes_nothing_and_reports_by_its_exit_code() {
    let folder = Folder::mysql();
    let run = folder.run("mutate -f . --check");
    let said = "./deployment.yaml:1:1: Deployment default/mysql: would be set to stork\n";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(4), "", said));
    let shown = folder.run("mutate -f . --check -o diff");
    assert_eq!((shown.code, shown.out, shown.err.as_str()), (Some(4), folder.run("mutate -f . -o diff").out, ""));
    let run = folder.run("mutate -f . --check -o json");
    assert_eq!((run.code, run.out.as_str()), (Some(2), ""));
    assert!(run.err.contains("remove -o, or use -o diff"), "{}", run.err);
    assert_eq!(folder.text("deployment.yaml"), DEPLOYMENT);
}

#[test]
fn a_file_named_twice_is_printed_once() {
    let folder = Folder::mysql();
    std::os::unix::fs::symlink("deployment.yaml", folder.path("link.yaml")).unwrap();
    let run = folder.run("mutate -f deployment.yaml -f ./deployment.yaml link.yaml --manifests class.yaml claim.yaml");
    assert_eq!((run.code, run.out), (Some(0), mutated(DEPLOYMENT)));
}

#[test]
fn dev_stdin_is_standard_input_even_if_it_is_a_file() {
    let folder = Folder::mysql();
    let run = |arguments: &str, file: &str| {
        let input = fs::File::open(folder.path(file)).unwrap();
        let mut command = program::command();
        command.args(arguments.split(' ')).current_dir(folder.root()).stdin(input);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let expected = run("mutate - --manifests class.yaml claim.yaml -o diff", "deployment.yaml");
    assert!(expected.1.starts_with("--- a/stdin\n") && expected.0 == Some(0), "{}", expected.2);
    for stdin in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let arguments = format!("{stdin} --manifests class.yaml claim.yaml");
        assert_eq!(run(&format!("mutate {arguments} -o diff"), "deployment.yaml"), expected);
        assert_eq!(run(&format!("mutate {arguments}"), "deployment.yaml").1, mutated(DEPLOYMENT));
        assert_eq!(run(&format!("mutate {arguments} --check"), "deployment.yaml").0, Some(4));
        let validated = run(&format!("validate {arguments}"), "deployment.yaml");
        assert_eq!(validated.2, "colocate: no findings in 1 object of 1 file\n");
        let (code, _, err) = run(&format!("mutate {arguments} --in-place"), "deployment.yaml");
        assert!(code == Some(2) && err.contains("--in-place cannot write to standard input"), "{err}");
        assert_eq!(run(&format!("mutate - {stdin}"), "deployment.yaml").0, Some(2));
    }
    fs::write(folder.path("empty.yaml"), "").unwrap();
    let (code, _, err) = run("mutate /dev/stdin", "empty.yaml");
    assert_eq!((code, err.as_str()), (Some(1), "colocate: no YAML document found in standard input\n"));
    assert_eq!(folder.text("deployment.yaml"), DEPLOYMENT);
}

#[test]
fn the_first_errors_of_a_file_are_listed_and_the_rest_is_counted() {
    let folder = Folder::new(&[("a.yaml", &"[\n---\n".repeat(150)), ("b.yaml", "a: [\n")]);
    for command in ["mutate", "validate"] {
        let run = folder.run(&format!("{command} ."));
        let lines = |begin: &str| run.err.lines().filter(|line| line.starts_with(begin)).count();
        assert_eq!((run.code, lines("./a.yaml:"), lines("./b.yaml:")), (Some(1), 101, 1), "{}", run.err);
        assert!(run.err.contains("./a.yaml:1:1: 50 more documents cannot be parsed\n"), "{}", run.err);
    }
}

#[test]
fn a_pipe_is_not_replaced_by_a_file() {
    let folder = Folder::mysql();
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    let run = folder.run("mutate . pipe --in-place");
    let expected = "colocate: --in-place cannot replace pipe, which is not a regular file: remove --in-place\n";
    assert_eq!((run.code, run.err.as_str()), (Some(2), expected));
    assert_eq!(folder.text("deployment.yaml"), DEPLOYMENT);
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&fs::metadata(folder.path("pipe")).unwrap().file_type()));
}

#[test]
fn a_file_keeps_its_owner_or_is_not_written() {
    let folder = Folder::mysql();
    let deployment = folder.path("deployment.yaml");
    fs::set_permissions(&deployment, fs::Permissions::from_mode(0o604)).unwrap();
    if std::os::unix::fs::chown(&deployment, Some(4711), Some(4712)).is_err() {
        // Only root can change the owner of a file, so the test cannot run as another user.
        return;
    }
    // A user who may write to the folder but does not own the file.
    let program = folder.path("colocate");
    // Another process makes the copy. A child that another test starts in the meantime would inherit a file that this process has
    // open for writing, and an open file cannot be executed.
    assert!(Command::new("cp").arg(program::path()).arg(&program).status().unwrap().success());
    fs::set_permissions(folder.root(), fs::Permissions::from_mode(0o777)).unwrap();
    let arguments = ["mutate", "-f", "claim.yaml", "class.yaml", "deployment.yaml", "--in-place"];
    let mut other_user = Command::new(&program);
    let output = other_user.args(arguments).current_dir(folder.root()).uid(4713).gid(4713).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("deployment.yaml: cannot keep its owner (4711:4712): "), "{stderr}");
    assert_eq!(folder.text("deployment.yaml"), DEPLOYMENT);

    assert_eq!(folder.run(&arguments.join(" ")).code, Some(0));
    let metadata = fs::metadata(&deployment).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (4711, 4712, 0o604));
    assert_eq!(folder.text("deployment.yaml"), mutated(DEPLOYMENT));
}

#[test]
fn every_invalid_document_is_named_and_nothing_is_written() {
    let folder = Folder::mysql();
    fs::write(folder.path("z.yaml"), "a: 1\nb: [\n---\nc: 1\n---\n# c\nf: [\n").unwrap();
    fs::write(folder.path("b.yaml"), "a: b\n c: d\n").unwrap();
    let run = folder.run("mutate -f . --in-place");
    assert_eq!(run.code, Some(1));
    let expected = "\
./b.yaml:2:3: mapping values are not allowed in this context
  2 |  c: d
    |   ^
./z.yaml:2:4: unclosed bracket '['
  2 | b: [
    |    ^
./z.yaml:7:4: unclosed bracket '['
  7 | f: [
    |    ^
colocate: 3 errors, so nothing was changed: correct the files, or leave them out with --exclude
";
    assert_eq!(run.err, expected);
    assert_eq!(folder.text("deployment.yaml"), DEPLOYMENT);
    let run = folder.run("mutate absent.yaml b.yaml claim.yaml");
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(
        run.err.starts_with("colocate: cannot read absent.yaml: ") && run.err.contains("b.yaml:2:3:"),
        "{}",
        run.err
    );
    // Without the invalid files, the others are changed.
    assert_eq!(folder.run("mutate . --exclude b.yaml --exclude z.yaml --in-place").code, Some(0));
    assert_eq!(folder.text("deployment.yaml"), mutated(DEPLOYMENT));
}

#[test]
fn files_that_cannot_be_concatenated_are_rejected() {
    let folder = Folder::new(&[
        ("a.yaml", "a: 1"),
        ("b.yaml", "%YAML 1.2\n---\nb: 1\n"),
        ("c.yaml", "\u{feff}c: 1\n"),
        ("d.json", "{\"d\": 1}\n{\"d\": 2}\n"),
    ]);
    assert_eq!(folder.run("mutate -f a.yaml b.yaml").out, "a: 1\n...\n%YAML 1.2\n---\nb: 1\n");
    assert_eq!(folder.run("mutate -f a.yaml c.yaml").out, "a: 1\n---\nc: 1\n");
    let run = folder.run("mutate -f a.yaml d.json");
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{}", run.err);
    assert!(run.err.starts_with("colocate: d.json cannot be joined with the other files"), "{}", run.err);
}

#[test]
fn json_files_are_joined_without_a_marker() {
    let value =
        |name: &str| format!("{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\"}}}}");
    let folder = Folder::new(&[
        ("a.json", &value("a")),
        ("b.json", &format!("\u{feff}{}\n", value("b"))),
        ("c.json", &format!("{}{}", value("c"), value("d"))),
        ("e.yaml", "e: 1\n"),
    ]);
    let run = folder.run("mutate a.json b.json c.json");
    assert_eq!(run.out, format!("{}\n{}\n{}{}", value("a"), value("b"), value("c"), value("d")));
    assert_eq!(
        folder.run("mutate a.json e.yaml b.json").out,
        format!("{}\n---\ne: 1\n---\n{}\n", value("a"), value("b"))
    );
    assert_eq!(folder.run("mutate c.json e.yaml").code, Some(1));
}

#[test]
fn the_last_value_of_a_file_is_not_changed_by_joining() {
    for last in ["a: |+\n  b", "--- |\nb"] {
        let folder = Folder::new(&[("a.yaml", last), ("b.yaml", "# c\n---\nb: 1\n")]);
        let run = folder.run("mutate a.yaml b.yaml");
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{last}");
    }
}

#[test]
fn a_signal_leaves_neither_new_files_nor_changes() {
    let files: Vec<_> = (0..1_000).map(|n| (format!("d/{n:03}.yaml"), DEPLOYMENT)).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let folder = Folder::new(&files);
    fs::write(folder.path("class.yaml"), CLASS).unwrap();
    fs::write(folder.path("claim.yaml"), CLAIM).unwrap();
    // The tests themselves may run with ignored signals, as with `nohup` or in the background of a script.
    let default = "--default-signal=HUP,INT,QUIT,TERM";
    for (start, signals, code) in [
        (default, &["TERM"][..], 143),
        (default, &["HUP"], 129),
        (default, &["INT"], 130),
        (default, &["QUIT"], 131),
        // The second signal ends the process.
        ("--ignore-signal=HUP", &["HUP", "TERM"], 143),
    ] {
        let mut child = Command::new("env")
            .args([default, start])
            .arg(program::path())
            .args(["mutate", ".", "--in-place", "--explain"])
            .current_dir(folder.root())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The lines do not fit into the pipe, so that the process waits for a reader before it can end.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(
            lines.by_ref().take(2).all(|line| line.unwrap().contains("injected")),
            "the first file has its new file now"
        );
        for signal in signals {
            let kill = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
            assert!(kill.success());
        }
        assert_eq!(child.wait().unwrap().code(), Some(code), "{start}{signals:?}");
        assert_eq!(fs::read_dir(folder.path("d")).unwrap().count(), 1_000, "{signals:?}: something was left behind");
        assert!(files.iter().all(|(name, _)| folder.text(name) == DEPLOYMENT));
    }
}

#[test]
fn input_without_a_document_is_a_failure() {
    let folder =
        Folder::new(&[("empty/notes.txt", "x"), ("comment.yaml", "# nothing\n---\n"), ("full.yaml", "a: 1\n")]);
    for (arguments, named) in [
        ("mutate -f -", "standard input"),
        ("mutate - full.yaml", "standard input"),
        ("mutate -f empty", "empty"),
        ("mutate comment.yaml empty", "comment.yaml"),
    ] {
        let run = folder.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{arguments}");
        assert!(run.err.contains("no YAML document found in") && run.err.contains(named), "{}", run.err);
    }
}

#[test]
fn closed_output_streams_do_not_change_the_result() {
    let folder = Folder::mysql();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let command = |arguments: &[&str]| {
        let mut command = program::command();
        command.arg("mutate").args(arguments).current_dir(folder.root()).stderr(closed.try_clone().unwrap());
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
fn more_files_than_may_be_open_at_once_can_be_written() {
    let names: Vec<_> = (0..40).map(|n| format!("d/{n}.yaml")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), DEPLOYMENT)).collect();
    let folder = Folder::new(&files);
    fs::write(folder.path("class.yaml"), CLASS).unwrap();
    fs::write(folder.path("claim.yaml"), CLAIM).unwrap();
    let line = format!("ulimit -n 24; exec {} mutate -f . --in-place", program::path().display());
    let output = Command::new("sh").args(["-c", &line]).current_dir(folder.root()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(names.iter().all(|name| folder.text(name) == mutated(DEPLOYMENT)));
}

#[test]
fn a_file_that_is_not_utf8_is_named_with_its_line_and_a_remedy() {
    let folder = Folder::mysql();
    fs::write(folder.path("z.yaml"), b"a: 1\nb: caf\xe9\n").unwrap();
    let run = folder.run("mutate -f .");
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("z.yaml:2:7: the byte 0xE9 is not valid UTF-8; save the file as UTF-8"), "{}", run.err);
    fs::write(folder.path("z.yaml"), b"\xff\xfea\0").unwrap();
    assert!(folder.run("mutate -f .").err.contains("it looks like UTF-16"));
}
