//! `colocate mutate --cluster` and `colocate validate --cluster`: local manifests, checked against the claims of a cluster.

use std::io::Write as _;
use std::process::{Command, Stdio};

use colocate_harness::{ControlPlane, Namespace, PORTWORX_CLASS, example};

fn mutate(arguments: &str, text: &str) -> (Option<i32>, String, String) {
    run("mutate", arguments, text)
}

/// Runs the command with `text` on stdin; returns its exit code, stdout and stderr.
fn run(command: &str, arguments: &str, text: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_colocate"))
        .args([command, "-f", "-", "--cluster"])
        .args(arguments.split_whitespace())
        .env("KUBECONFIG", ControlPlane::shared().kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the colocate binary is built");
    child.stdin.take().expect("stdin is piped").write_all(text.as_bytes()).expect("colocate reads stdin");
    let output = child.wait_with_output().expect("colocate exits");
    let text = |bytes| String::from_utf8(bytes).expect("colocate prints UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn mutate_with_the_claims_of_the_cluster_needs_no_webhook() {
    let namespace = Namespace::new("offline");
    let deployment = example("mysql/deployment.yaml");
    let (code, unchanged, stderr) = mutate("-n offline --strict", &deployment);
    assert_eq!((code, unchanged), (Some(3), deployment.clone()));
    assert!(stderr.contains("claim-missing: claim `mysql-data`: missing"), "{stderr}");

    namespace.add_claim("mysql-data", PORTWORX_CLASS);
    let (code, changed, stderr) = mutate("-n offline --strict", &deployment);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(changed.replace("      schedulerName: stork\n", ""), deployment);

    namespace.apply(&changed);
    let pod = namespace.running_pod("-l app=mysql");
    assert_eq!(namespace.bound_by(&pod), "stork");

    // The namespace of the kubeconfig's context is `default`, which does not have this claim.
    assert_eq!(mutate("--strict", &deployment).0, Some(3));
    let label = "stork.libopenstorage.org/disable-admission-controller";
    namespace.run(&format!("label namespace offline {label}=true"));
    let (code, unchanged, stderr) = mutate("-n offline --explain", &deployment);
    assert_eq!((code, unchanged), (Some(0), deployment.clone()));
    assert!(stderr.contains("namespace-opted-out"), "{stderr}");
    // A Namespace in the manifest takes precedence.
    let manifest = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: offline}}\n---\n{deployment}");
    assert_eq!(mutate("-n offline --check", &manifest).0, Some(4));
}

#[test]
fn validate_uses_the_claims_of_the_cluster() {
    let namespace = Namespace::new("offline-validate");
    let validate = |text: &str| run("validate", "-n offline-validate --strict", text);
    let deployment = example("mysql/deployment.yaml");
    let local = "annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"true\"}, labels: {app: mysql, version";
    let local = deployment.replace("labels: {app: mysql, version", local);
    assert_eq!(
        validate(&deployment),
        (Some(0), String::new(), "colocate: no findings in 1 object of 1 file\n".to_owned())
    );
    let (code, found, stderr) = validate(&local);
    assert_eq!((code, found.as_str()), (Some(3), ""));
    assert!(stderr.contains("unchecked[HC014]") && stderr.contains("claim `mysql-data` does not exist"), "{stderr}");

    namespace.add_claim("mysql-data", PORTWORX_CLASS);
    let (code, found, stderr) = validate(&local);
    assert_eq!((code, found.as_str()), (Some(0), ""), "{stderr}");

    namespace.run("label namespace offline-validate stork.libopenstorage.org/disable-admission-controller=true");
    let (code, found, _) = validate(&local);
    assert_eq!(code, Some(1));
    assert!(found.contains(": error[HC012] ") && found.contains("its Namespace opts out by its label"), "{found}");
}

#[test]
fn an_unreachable_cluster_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_colocate"))
        .args(["mutate", "-f", "examples/mysql", "--cluster"])
        .env("KUBECONFIG", "/absent/kubeconfig")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the colocate binary is built");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{stderr}");
    assert!(stderr.contains("/absent/kubeconfig"), "{stderr}");
}
