//! A scheduler that is alive, and one that is not, as seen from the Leases of a real kube-scheduler and of Stork itself.

use colocate_harness::{Colocate, ControlPlane, Namespace, PORTWORX_CLASS};

const ALIVE: &str = "the scheduler is alive";
const AWAY: &str = "the scheduler is not alive: pods that name it stay Pending";

/// Both processes renew their Leases about ten times within this duration.
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
    let away = |lease: &str| {
        format!(
            "Warning: colocate: scheduler-away: scheduler `stork` is not running (Lease kube-system/{lease} is not renewed): the pod stays Pending until it is back"
        )
    };
    let lease = |colocate: &Colocate, lease: &str| {
        let prefix =
            format!("colocate_scheduler_lease_renewed{{driver=\"portworx\",scheduler=\"stork\",lease=\"{lease}\"}} ");
        let metrics = colocate.admin("/metrics");
        metrics.lines().find_map(|line| line.strip_prefix(&prefix)).map(|value| value == "1")
    };
    let series = |colocate: &Colocate| {
        let metrics = colocate.admin("/metrics");
        let prefix = "colocate_scheduler_alive{driver=\"portworx\",scheduler=\"stork\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(prefix)).unwrap_or_default().to_owned()
    };

    inject.wait_for_message(ALIVE, 1);
    assert_eq!(series(&inject), "1");
    assert!(inject.admin("/readyz").ends_with("\r\n\r\nok\n"), "{}", inject.admin("/readyz"));
    assert_eq!(waiting.apply(&pod("before")).stderr, "");

    // kube-scheduler is alive, but places no pod without the extender.
    control_plane.stop_stork();

    inject.wait_for_message(AWAY, 1);
    assert_eq!(series(&inject), "0");
    assert_eq!((lease(&inject, "stork-scheduler"), lease(&inject, "stork")), (Some(true), Some(false)));
    let ready = inject.admin("/readyz");
    assert!(ready.contains("\nok\nscheduler stork: not renewed for "), "{ready}");
    assert!(ready.ends_with("s (Lease kube-system/stork)\n"), "{ready}");
    let output = waiting.apply(&pod("without-extender"));
    assert!(output.stderr.contains(&away("stork")), "{}", output.stderr);

    control_plane.start_stork();

    inject.wait_for_message(ALIVE, 2);
    assert_eq!(series(&inject), "1");
    assert!(inject.admin("/readyz").ends_with("\nok\n"), "{}", inject.admin("/readyz"));

    control_plane.request("stop kube-scheduler");

    inject.wait_for_message(AWAY, 2);
    assert_eq!(series(&inject), "0");
    assert_eq!((lease(&inject, "stork-scheduler"), lease(&inject, "stork")), (Some(false), Some(true)));
    let ready = inject.admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 "), "a missing scheduler does not affect readiness: {ready}");
    assert!(ready.contains("\nok\nscheduler stork: not renewed for "), "{ready}");
    assert!(ready.ends_with("s (Lease kube-system/stork-scheduler)\n"), "{ready}");
    let output = waiting.apply(&pod("meanwhile"));
    assert!(output.stderr.contains(&away("stork-scheduler")), "{}", output.stderr);
    assert_eq!(waiting.get("pod/meanwhile").scheduler(), "stork");
    assert_eq!(inject.reason_at_create("Pod", "meanwhile"), "injected");

    // Each of these replicas reads its Lease for the first time now.
    let both = format!(
        "leases: [{{name: stork, namespaces: [kube-system]}}, {{name: stork-scheduler, namespaces: [default, kube-system]}}], {STALE_AFTER}"
    );
    let missing = format!("lease: {{namespace: kube-system, name: missing}}, {STALE_AFTER}");
    let (left, skip_stale) = scene(&control_plane, "stale", &format!("{both}, whenStale: skip"));
    let (never, skip_absent) = scene(&control_plane, "absent", &format!("{missing}, whenAbsent: skip"));
    for (namespace, colocate, reason, lease) in [
        (&left, &skip_stale, "scheduler-stale", "Lease kube-system/stork-scheduler is not renewed"),
        (&never, &skip_absent, "scheduler-absent", "there is no Lease missing"),
    ] {
        colocate.wait_for_message(AWAY, 1);
        let output = namespace.apply(&pod("skipped"));
        assert_eq!(namespace.get("pod/skipped").scheduler(), "default-scheduler");
        assert_eq!(colocate.reason_at_create("Pod", "skipped"), reason);
        let warning = format!("Warning: colocate: {reason}: scheduler `stork` is not running ({lease})");
        assert!(output.stderr.contains(&warning), "{}", output.stderr);
    }
    assert!(skip_absent.admin("/readyz").ends_with("\nscheduler stork: absent (no Lease kube-system/missing)\n"));

    control_plane.request("start kube-scheduler");

    inject.wait_for_message(ALIVE, 3);
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
