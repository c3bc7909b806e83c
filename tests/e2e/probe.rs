//! `colocate probe --apiserver`: whether an API server asks colocate, by whoever may create a Deployment.

use std::process::Command;

use colocate_harness::{Account, Colocate, ControlPlane, Namespace, Rule};

/// All that the probe needs.
const PROBE: &[Rule] = &[Rule::new("apps", "deployments", &["create"])];

#[test]
fn an_api_server_that_asks_colocate_is_told_from_one_that_does_not() {
    let (asked, left_alone) = (Namespace::new("probe-asked"), Namespace::new("probe-left-alone"));
    let _colocate = Colocate::register(&asked, "");
    let account = Account::new(ControlPlane::shared(), asked.name(), "probe", PROBE);

    let (code, stdout, stderr) = probe(&account, &asked);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("\nscheduler  stork\n"), "{stdout}");

    let (code, stdout, stderr) = probe(&account, &left_alone);
    assert_eq!(code, Some(1));
    let said = "colocate: the Deployment came back with schedulerName default-scheduler instead of stork: ";
    assert!(stderr.starts_with(said), "{stderr}");
    assert!(stdout.contains("the namespace `probe-left-alone` is left alone"), "{stdout}");
    for namespace in [asked, left_alone] {
        assert_eq!(namespace.list("deployments").len(), 0, "it was a dry run");
    }
}

#[test]
fn a_right_that_is_missing_is_named() {
    let namespace = Namespace::new("probe-no-right");
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
        .expect("colocate was built");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
