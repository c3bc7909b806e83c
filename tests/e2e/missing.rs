//! Claims that do not exist yet, or never will.

use std::thread;

use colocate_harness::{AuditLog, Colocate, Namespace, OTHER_CLASS, PORTWORX_CLASS, example};

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: example, labels: {app: example}}
spec:
  containers: [{name: main, image: example.test/main:1}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

#[test]
fn a_pod_with_a_missing_claim_is_admitted_with_a_warning() {
    let namespace = Namespace::new("missing");
    let colocate = Colocate::register(&namespace, "");

    let output = namespace.apply(POD);

    assert!(
        output.stderr.contains("Warning: colocate: claim-missing: claim `data` does not exist"),
        "{}",
        output.stderr
    );
    assert_eq!(namespace.get("pod/example").scheduler(), "default-scheduler");
    assert_eq!(colocate.reason_at_create("Pod", "example"), "claim-missing");
}

#[test]
fn a_claim_created_while_its_pod_waits_is_in_time() {
    let namespace = Namespace::new("missing-for-a-moment");
    let colocate = Colocate::register(&namespace, "");

    let output = thread::scope(|scope| {
        let pod = scope.spawn(|| namespace.apply(POD));
        // colocate's GET of the claim got a 404: the pod waits.
        AuditLog::follow().event("get", "persistentvolumeclaims", namespace.name(), "data", 404);
        namespace.add_claim("data", PORTWORX_CLASS);
        pod.join().expect("the thread that runs kubectl did not panic")
    });

    assert_eq!(output.stderr, "");
    assert_eq!(colocate.reason_at_create("Pod", "example"), "injected");
    assert_eq!(namespace.bound_by(&namespace.running_pod("-l app=example")), "stork");
}

#[test]
fn missing_claim_then_inject_injects_without_the_claim() {
    let namespace = Namespace::new("missing-inject");
    let colocate = Colocate::register(&namespace, "missingClaim: {wait: 0s, then: inject}\n");

    namespace.apply(POD);

    assert_eq!(namespace.get("pod/example").scheduler(), "stork");
    assert_eq!(colocate.reason_at_create("Pod", "example"), "injected-missing");
}

#[test]
fn a_claim_created_after_its_pod_is_missed_unless_injected() {
    let skip = Namespace::new("missing-till-answered");
    let inject = Namespace::new("missing-till-answered-inject");
    let skips = Colocate::register(&skip, "");
    let injects = Colocate::register(&inject, "missingClaim: {then: inject}\n");

    for (namespace, colocate) in [(&skip, &skips), (&inject, &injects)] {
        let output = namespace.apply(POD);
        let message = "missingClaim.then was applied to a pod, because its claim does not exist; to change the pod's scheduler, create the claim, then delete and recreate the pod";
        colocate.wait_for_message(message, 1);
        assert_eq!((colocate.lookups("missing"), colocate.lookups("waited")), (1, 0));
        if colocate.reason_at_create("Pod", "example") == "claim-missing" {
            let warning = "Warning: colocate: claim-missing: claim `data` does not exist; the pod keeps scheduler \
                default-scheduler, which cannot be changed later: fix this, then create the pod again; \
                see docs/reasons.md#reason-claim-missing\n";
            assert!(output.stderr.contains(warning), "{}", output.stderr);
        } else {
            assert_eq!(output.stderr, "", "nothing is left to fix");
        }
        namespace.add_claim("data", PORTWORX_CLASS);
    }

    let bound_by = |namespace: &Namespace| namespace.bound_by(&namespace.running_pod("-l app=example"));
    assert_eq!(bound_by(&skip), "default-scheduler", "the pod stays away from its data for its whole life");
    assert_eq!(injects.reason_at_create("Pod", "example"), "injected-missing");
    assert_eq!(bound_by(&inject), "stork");
    // The cost: a pod of another storage system gets the driver's scheduler, too.
    let output = inject.apply(&POD.replace("example,", "other,").replace("claimName: data", "claimName: other"));
    assert_eq!(output.stderr, "");
    inject.add_claim("other", OTHER_CLASS);
    assert_eq!(inject.get("pod/other").scheduler(), "stork");
}

#[test]
fn pods_created_after_the_claim_get_stork() {
    let namespace = Namespace::new("missing-at-first");
    let colocate = Colocate::register(&namespace, "missingClaim: {wait: 0s}\n");

    let output = namespace.apply(&example("mysql/deployment.yaml"));
    assert_eq!(output.stderr, "", "the claims of a template may arrive before its pods");
    assert_eq!(colocate.reason_at_create("Deployment", "mysql"), "claim-missing");
    assert_eq!(colocate.reason_at_create("Pod", "mysql-"), "claim-missing");

    namespace.add_claim("mysql-data", PORTWORX_CLASS);
    let first = namespace.running_pod("-l app=mysql");
    assert_eq!(namespace.bound_by(&first), "default-scheduler", "it was created before the claim");
    namespace.run(&format!("delete pod {}", first.name()));

    assert_eq!(namespace.get("deployment/mysql").scheduler(), "default-scheduler");
    assert_eq!(namespace.bound_by(&namespace.running_pod("-l app=mysql")), "stork");
    assert_eq!(namespace.list("replicasets").len(), 1);
}
