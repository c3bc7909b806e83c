//! A scheduler that is alive, and one that is not, as seen from the Lease of a real kube-scheduler.

use colocate_harness::{Colocate, ControlPlane, Namespace, PORTWORX_CLASS};

const ALIVE: &str = "the scheduler is alive";
const AWAY: &str = "the scheduler is not alive: pods that name it stay Pending";

/// The scheduler renews its Lease more than ten times within this duration.
const STALE_AFTER: &str = "staleAfter: 5s";
const RENEWED_EVERY: &str = "--leader-elect-retry-period=300ms";

fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  containers: [{{name: main, image: example.test/main:1}}]
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
"
    )
}

fn driver(scheduler: &str) -> String {
    format!("drivers: [{{name: portworx, scheduler: {{{scheduler}}}}}]\n")
}

/// A colocate for a namespace with a Portworx claim.
fn scene(control_plane: &ControlPlane, name: &str, scheduler: &str) -> (Namespace, Colocate) {
    let namespace = Namespace::within(control_plane, name);
    namespace.add_claim("data", PORTWORX_CLASS);
    let colocate = Colocate::register_in(control_plane, &namespace, &driver(scheduler));
    (namespace, colocate)
}

#[test]
fn scheduler_outages_are_detected_and_policies_apply() {
    let control_plane = ControlPlane::own(&["--scheduler-arg", RENEWED_EVERY]);
    let (waiting, inject) = scene(&control_plane, "waiting", STALE_AFTER);
    let series = |colocate: &Colocate| {
        let metrics = colocate.admin("/metrics");
        let prefix = "colocate_scheduler_alive{driver=\"portworx\",scheduler=\"stork\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(prefix)).unwrap_or_default().to_owned()
    };

    inject.wait_for_message(ALIVE, 1);
    assert_eq!(series(&inject), "1");
    assert!(inject.admin("/readyz").ends_with("\r\n\r\nok\n"), "{}", inject.admin("/readyz"));
    assert_eq!(waiting.apply(&pod("before")).stderr, "");

    control_plane.request("stop kube-scheduler");

    inject.wait_for_message(AWAY, 1);
    assert_eq!(series(&inject), "0");
    let ready = inject.admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 "), "a missing scheduler does not affect readiness: {ready}");
    assert!(ready.contains("\nok\nscheduler stork: not renewed for "), "{ready}");
    assert!(ready.ends_with("s (Lease kube-system/stork-scheduler)\n"), "{ready}");
    let output = waiting.apply(&pod("meanwhile"));
    let warning =
        "Warning: colocate: scheduler-away: scheduler `stork` is not running: the pod stays Pending until it is back";
    assert!(output.stderr.contains(warning), "{}", output.stderr);
    assert_eq!(waiting.get("pod/meanwhile").scheduler(), "stork");
    assert_eq!(inject.reason_at_create("Pod", "meanwhile"), "injected");

    // Each of these replicas reads its Lease for the first time now.
    let lease = |name: &str| format!("lease: {{namespace: kube-system, name: {name}}}, {STALE_AFTER}");
    let (left, skip_stale) = scene(&control_plane, "stale", &format!("{}, whenStale: skip", lease("stork-scheduler")));
    let (never, skip_absent) = scene(&control_plane, "absent", &format!("{}, whenAbsent: skip", lease("missing")));
    for (namespace, colocate, reason) in
        [(&left, &skip_stale, "scheduler-stale"), (&never, &skip_absent, "scheduler-absent")]
    {
        colocate.wait_for_message(AWAY, 1);
        let output = namespace.apply(&pod("skipped"));
        assert_eq!(namespace.get("pod/skipped").scheduler(), "default-scheduler");
        assert_eq!(colocate.reason_at_create("Pod", "skipped"), reason);
        let warning = format!("Warning: colocate: {reason}: scheduler `stork` is not running");
        assert!(output.stderr.contains(&warning), "{}", output.stderr);
    }
    assert!(skip_absent.admin("/readyz").ends_with("\nscheduler stork: absent (no Lease kube-system/missing)\n"));

    control_plane.request("start kube-scheduler");

    inject.wait_for_message(ALIVE, 2);
    assert_eq!(series(&inject), "1");
    assert!(inject.admin("/readyz").ends_with("\nok\n"));
    assert_eq!(waiting.bound_by(&waiting.running_pod("-l app=meanwhile")), "stork");
    skip_stale.wait_for_message(ALIVE, 1);
    assert_eq!(left.apply(&pod("after")).stderr, "");
    assert_eq!(skip_stale.reason_at_create("Pod", "after"), "injected");
    assert_eq!(series(&skip_absent), "0", "it watches another Lease");

    drop((inject, skip_stale, skip_absent));
    control_plane.end();
}
