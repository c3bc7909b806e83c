//! The command line: exit codes and messages.

use std::fs::File;
use std::process::{Command, Output};

use colocate_harness::process::manifests;
use colocate_harness::program;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = program::command()
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("HOME", folder.path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn run_with_certificate(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let issued =
        program::command().args(["certs", "--name", "colocate.test.svc", "--dir"]).arg(folder.path()).output().unwrap();
    assert!(issued.status.success());
    let (certificate, key) = (path("tls.crt"), path("tls.key"));
    run(&[&["serve", "--tls-cert", &certificate, "--tls-key", &key], arguments].concat())
}

#[test]
fn without_a_cluster_or_manifests_the_error_names_both_options() {
    let (code, _, stderr) = run_with_certificate(&[]);
    assert_eq!(code, Some(1));
    let line = stderr.lines().last().unwrap();
    assert!(line.contains("KUBECONFIG") && line.contains("--manifests"), "{stderr}");
}

#[test]
fn only_a_valid_kubeconfig_named_by_the_variable_is_used() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n";
    std::fs::write(home.path().join(".kube/config"), kubeconfig).unwrap();
    let broken = home.path().join("broken");
    std::fs::write(&broken, "a: [\n").unwrap();
    let certificates = tempfile::tempdir().unwrap();
    let issued =
        program::command().args(["certs", "--name", "x.test", "--dir"]).arg(certificates.path()).output().unwrap();
    assert!(issued.status.success());
    for (kubeconfig, part) in [
        ("", "no cluster is configured"),
        ("/absent/kubeconfig", "/absent/kubeconfig"),
        (broken.to_str().unwrap(), "the kubeconfig that KUBECONFIG names cannot be used"),
    ] {
        let output = program::command()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--tls-cert"])
            .arg(certificates.path().join("tls.crt"))
            .arg("--tls-key")
            .arg(certificates.path().join("tls.key"))
            .env("HOME", home.path())
            .env("KUBECONFIG", kubeconfig)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(part), "{kubeconfig}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_closed_pipe_is_not_a_failure_but_a_full_disk_is() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = program::command().args(["serve", "--print-config"]).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status =
        program::command().args(["serve", "--print-config"]).stdout(full).stderr(std::process::Stdio::null()).status();
    assert_eq!(status.unwrap().code(), Some(1));
}

#[test]
fn usage_errors_exit_with_2() {
    for (arguments, part) in [
        (&["serve", "--manifests", "x"][..], "--tls-cert and --tls-key (colocate certs issues one)"),
        (&["serve", "--tls-cert", "x"], "--tls-key"),
        (&["serve", "--tls-ca", "x"], "--tls-cert"),
        (&["serve", "--listen", "8443"], "--listen"),
        (&["serve", "--tls-certt", "x"], "--tls-cert"),
        (&["serv"], "serve"),
        (&["certs", "--dir", "x", "--name", "not a name"], "not a name"),
        (&["probe", "--url", "http://localhost", "--ca", "x"], "https"),
        (&["probe"], "--url"),
        (&[], "Usage"),
    ] {
        let (code, _, stderr) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}

#[test]
fn unreadable_input_exits_with_1_and_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let config = file("config.yaml", "mode: inject\nmissingClaims: {}\n");
    let broken = file("broken.yaml", "a: [\n");
    let manifests = manifests();
    let manifests = manifests.to_str().unwrap();
    for (arguments, part) in [
        (
            &["--config", &config, "--manifests", manifests][..],
            "config.yaml:2:1: unknown key `missingClaims`; did you mean `missingClaim`?",
        ),
        (&["--config", "/absent.yaml", "--manifests", manifests], "/absent.yaml"),
        (&["--manifests", "/absent"], "/absent"),
        (&["--manifests", &broken], "broken.yaml"),
        (&["--manifests", manifests, "--listen", "192.0.2.1:1"], "192.0.2.1:1"),
    ] {
        let (code, _, stderr) = run_with_certificate(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
    let (code, _, stderr) =
        run(&["serve", "--tls-cert", "/absent.crt", "--tls-key", "/absent.key", "--manifests", manifests]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("/absent.crt"), "{stderr}");
}

/// A parent that uses asynchronous pipes, such as Node.js, may pass such a standard error.
#[test]
fn all_lines_reach_a_non_blocking_standard_error() {
    let pod = |n: usize| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{n}}}\nspec: {{volumes: [{{name: v, persistentVolumeClaim: {{claimName: absent}}}}]}}\n"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pods.yaml");
    std::fs::write(&file, (0..5_000).map(pod).collect::<String>()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut process = program::command()
        .args(["mutate", "--check", "-f"])
        .arg(&file)
        .env("HOME", folder.path())
        .stderr(writer)
        .spawn()
        .unwrap();
    let stderr = std::io::read_to_string(reader).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert_eq!((0..5_000).find(|n| !stderr.contains(&format!("/p{n}:"))), None);
}

#[test]
fn files_that_cannot_be_small_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (pipe, large) = (path("pipe"), path("large"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    File::create(&large).unwrap().set_len(1 << 30).unwrap();
    for (file, part) in [(&pipe, "not a regular file"), (&large, "larger than 1 MiB")] {
        for option in ["--config", "--client-ca"] {
            let (code, _, stderr) = run_with_certificate(&[option, file, "--manifests", manifests().to_str().unwrap()]);
            assert_eq!(code, Some(1), "{stderr}");
            assert!(stderr.contains(file.as_str()) && stderr.contains(part), "{option}: {stderr}");
        }
        let (code, _, stderr) = run(&["serve", "--tls-cert", file, "--tls-key", file, "--manifests", file]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("cannot read a certificate from"), "{stderr}");
    }
}

#[test]
fn manifests_must_be_regular_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (pipe, large) = (path("pipe"), path("large"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    File::create(&large).unwrap().set_len(1 << 40).unwrap();
    for (file, part) in [
        (pipe.as_str(), "not a regular file; save the contents of a pipe to a file"),
        ("/dev/zero", "not a regular file"),
        (&large, "larger than 256 MiB"),
    ] {
        let (code, _, stderr) = run_with_certificate(&["--manifests", file]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(&format!("cannot read {file}: {part}")), "{stderr}");
    }
    let (code, _, stderr) = run_with_certificate(&["--manifests", "-"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("cannot read standard input: "), "{stderr}");
}

/// The kubeconfig is read by a library, without a limit of time.
#[test]
fn a_signal_ends_a_process_that_hangs_in_its_start() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&kubeconfig).status().unwrap().success());
        let mut process = program::command()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .env("KUBECONFIG", &kubeconfig)
            .spawn()
            .unwrap();
        // The open ends when the process has opened the pipe to read it.
        let _writer = File::options().write(true).open(&kubeconfig).unwrap();
        let sent = Command::new("kill").args(["-s", signal, &process.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(process.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn too_few_open_files_are_refused_with_the_number_needed() {
    let folder = tempfile::tempdir().unwrap();
    let issued = program::command().args(["certs", "--name", "x.test", "--dir"]).arg(folder.path()).output().unwrap();
    assert!(issued.status.success());
    let output = Command::new("prlimit")
        .arg("--nofile=100:100")
        .arg(program::path())
        .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--manifests"])
        .arg(manifests())
        .arg("--tls-cert")
        .arg(folder.path().join("tls.crt"))
        .arg("--tls-key")
        .arg(folder.path().join("tls.key"))
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let needed = "colocate: the limit of open files is 100, which is too low: raise it to at least 260 (ulimit -n)";
    assert_eq!(stderr.lines().last(), Some(needed), "{stderr}");
}

#[test]
fn the_error_is_written_to_an_existing_termination_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("termination-log");
    let path = log.to_str().unwrap();
    let arguments = ["--manifests", "/absent", "--termination-log", path];
    assert_eq!(run_with_certificate(&arguments).0, Some(1));
    assert!(!log.exists());
    std::fs::write(&log, "an older message that is longer than the new one: ".repeat(9)).unwrap();
    let (_, _, stderr) = run_with_certificate(&arguments);
    let written = std::fs::read_to_string(&log).unwrap();
    assert_eq!(stderr.lines().last(), Some(format!("colocate: {}", written.trim_end()).as_str()));
    assert!(written.contains("/absent"), "{written}");
}

#[test]
fn the_printed_configuration_is_a_valid_file() {
    let (code, printed, _) = run(&["serve", "--print-config"]);
    assert_eq!(code, Some(0));
    assert!(printed.starts_with("mode: inject\n"), "{printed}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, &printed).unwrap();
    let (code, again, _) = run(&["serve", "--print-config", "--config", path.to_str().unwrap()]);
    assert_eq!((code, again), (Some(0), printed));
}

#[test]
fn version_and_help_exit_with_0() {
    assert_eq!(run(&["--version"]).0, Some(0));
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for command in ["serve", "probe", "certs"] {
        assert!(help.contains(command), "{help}");
    }
}
