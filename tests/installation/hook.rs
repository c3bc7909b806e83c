//! `helm test`: it passes if API servers call colocate; otherwise it fails and reports why.

use colocate_harness::{ControlPlane, Namespace, Release};

const VALUES: &str = "webhook: {namespaces: {include: [hook-apps]}}\n";

#[test]
fn helm_test_passes_only_if_pods_are_changed() {
    let control_plane = ControlPlane::shared();
    let release = Release::prepare(control_plane, "hook");
    let _apps = Namespace::new("hook-apps");
    release.install(VALUES);
    assert_passes(&release);

    // A changed configuration takes effect without a restart.
    for (changes, mode) in (1..).zip(["audit", "off", "inject"]) {
        release.upgrade(&format!("{VALUES}config: {{mode: {mode}}}"));
        let running = release.kubelet().running();
        assert_eq!(running.len(), 2);
        for replica in running {
            replica.wait_for_message("configuration reloaded", changes);
        }
        match mode {
            "inject" => assert_passes(&release),
            _ => assert_fails(&release, &format!("the configuration has `mode: {mode}`")),
        }
    }

    // Without the configurations, colocate is not called at all, whatever the state of its pods. An upgrade restores them.
    let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations";
    release.namespace().run(&format!("delete {kinds} {}", release.configuration()));
    assert_fails(&release, "the webhook configuration does not exist");
    release.upgrade(VALUES);
    release.wait_until_called("hook-apps");
    assert_passes(&release);

    release.upgrade(&format!("{VALUES}replicaCount: 0"));
    release.kubelet().wait_until_all_have_ended();
    assert_fails(&release, "colocate does not answer, and failurePolicy is Ignore");
}

fn assert_passes(release: &Release) {
    let output = release.test();
    assert!(output.succeeded && output.stdout.contains("Phase:          Succeeded"), "{output:?}");
}

fn assert_fails(release: &Release, expected: &str) {
    let output = release.test();
    let pods = release.kubelet().replicas();
    let test = pods.iter().rfind(|replica| replica.pod.ends_with("-test")).expect("the pod of the test has run");
    let log = test.log().so_far().join("\n");
    assert!(!output.succeeded && output.stderr.contains("failed"), "{output:?}: {log}");
    assert!(
        log.contains("came back with schedulerName default-scheduler") && log.contains(expected),
        "{expected}: {log}"
    );
}
