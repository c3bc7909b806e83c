//! `colocate probe --apiserver`: checks whether an API server calls colocate. It needs only permission to create a Deployment.

use std::process::Command;

use colocate_harness::{Account, Colocate, ControlPlane, Namespace, Rule};

/// The permissions that the probe needs.
const PROBE: &[Rule] = &[Rule::new("apps", "deployments", &["create"])];

#[test]
fn the_probe_detects_whether_the_api_server_calls_colocate() {
    let (called, left_alone) = (Namespace::new("probe-called"), Namespace::new("probe-left-alone"));
    let _colocate = Colocate::register(&called, "");
    let account = Account::new(ControlPlane::shared(), called.name(), "probe", PROBE);

    let (code, stdout, stderr) = probe(&account, &called);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("\nscheduler  stork\n"), "{stdout}");

    let (code, stdout, stderr) = probe(&account, &left_alone);
    assert_eq!(code, Some(1));
    let expected = "colocate: the Deployment came back with schedulerName default-scheduler instead of stork: ";
    assert!(stderr.starts_with(expected), "{stderr}");
    assert!(stdout.contains("the namespace `probe-left-alone` is excluded"), "{stdout}");
    for namespace in [called, left_alone] {
        assert_eq!(namespace.list("deployments").len(), 0, "the probe is a dry run");
    }
}

#[test]
fn the_probe_names_a_missing_permission() {
    let namespace = Namespace::new("probe-no-permission");
    let account = Account::new(ControlPlane::shared(), namespace.name(), "probe", &[]);
    let (code, _, stderr) = probe(&account, &namespace);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("HTTP 403: deployments.apps is forbidden: ") && stderr.contains("(grant the verb `create`")
    );
}

fn probe(account: &Account, namespace: &Namespace) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_colocate"))
        .args(["probe", "--apiserver", "--namespace", namespace.name()])
        .env("KUBECONFIG", account.kubeconfig())
        .output()
        .expect("the colocate binary is built");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
