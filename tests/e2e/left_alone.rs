//! Pods that do not concern colocate, or that another scheduler must place.

use colocate_harness::{Colocate, Namespace, OTHER_CLASS, PORTWORX_CLASS, fixture};

use crate::kinds::{PODS_OF_KINDS, workloads};
use crate::no_harm::naming_scheduler;

#[test]
fn no_kind_is_changed_for_claims_of_other_provisioners() {
    let namespace = Namespace::new("other-provisioner");
    let colocate = Colocate::register(&namespace, "");
    namespace.add_claim("data", OTHER_CLASS);

    let output = namespace.apply(&fixture("kinds.yaml"));

    assert_eq!(output.stderr, "");
    for pod in namespace.running_pods("", PODS_OF_KINDS) {
        assert_eq!(namespace.bound_by(&pod), "default-scheduler", "{}", pod.name());
    }
    for workload in workloads(&namespace) {
        assert_eq!(workload.scheduler(), "default-scheduler", "{}", workload.kind());
    }
    assert_eq!(colocate.reason_at_create("Pod", "example"), "no-driver");
    assert_eq!(colocate.reason_at_create("CronJob", "example"), "no-driver");
}

#[test]
fn a_scheduler_chosen_by_the_user_stays() {
    let namespace = Namespace::new("other-scheduler");
    let colocate = Colocate::register(&namespace, "");
    namespace.add_claim("data", PORTWORX_CLASS);

    namespace.apply(&naming_scheduler(&fixture("kinds.yaml"), "chosen.by.the-user"));

    for workload in workloads(&namespace) {
        assert_eq!(workload.scheduler(), "chosen.by.the-user", "{}", workload.kind());
    }
    assert_eq!(namespace.get("pod/example").scheduler(), "chosen.by.the-user");
    assert_eq!(colocate.reason_at_create("Deployment", "example"), "other-scheduler");
    // The Deployment's pod is created a moment later.
    assert_eq!(colocate.reason_at_create("Pod", "example-"), "other-scheduler");
}

#[test]
fn a_scheduling_group_member_keeps_the_scheduler_of_its_group() {
    let namespace = Namespace::new("scheduling-group");
    let colocate = Colocate::register(&namespace, "");
    namespace.add_claim("data", PORTWORX_CLASS);

    namespace.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: member}
spec:
  schedulingGroup: {podGroupName: group}
  containers: [{name: main, image: example.test/main:1}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
",
    );

    let member = namespace.get("pod/member");
    assert_eq!(member.text("/spec/schedulingGroup/podGroupName"), "group", "the API server knows the field");
    assert_eq!(member.scheduler(), "default-scheduler");
    assert_eq!(colocate.reason_at_create("Pod", "member"), "scheduling-group");
}

#[test]
fn kinds_that_opt_out_and_their_pods_are_left_alone() {
    let namespace = Namespace::new("kind-opted-out");
    let config = "optOut: {owners: [{group: apps, kind: StatefulSet}, {group: batch, kind: Job}]}\n";
    let colocate = Colocate::register(&namespace, config);
    namespace.add_claim("data", PORTWORX_CLASS);

    namespace.apply(&fixture("kinds.yaml"));

    for pod in namespace.running_pods("", PODS_OF_KINDS) {
        let expected = match pod.label("app") {
            "statefulset" | "job" => "default-scheduler",
            _ => "stork",
        };
        assert_eq!(namespace.bound_by(&pod), expected, "{}", pod.name());
    }
    for workload in workloads(&namespace) {
        let expected = match workload.kind() {
            "StatefulSet" | "Job" => "default-scheduler",
            _ => "stork",
        };
        assert_eq!(workload.scheduler(), expected, "{}", workload.kind());
    }
    assert_eq!(colocate.reason_at_create("StatefulSet", "example"), "owner-opted-out");
    assert_eq!(colocate.reason_at_create("Job", "example"), "owner-opted-out");
}

#[test]
fn pods_of_an_owner_that_opts_out_are_left_alone() {
    let namespace = Namespace::new("owner");
    let colocate = Colocate::register(&namespace, "optOut: {owners: [{group: argoproj.io, kind: Rollout}]}\n");
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.apply(&fixture("argo/rollout-of-a-deployment.yaml"));
    let owner = namespace.get("rollouts.argoproj.io/example");

    let pod = |name: &str, owners: &str| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, ownerReferences: [{owners}], labels: {{app: {name}}}}}
spec:
  containers: [{{name: main, image: example.test/main:1}}]
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
"
        )
    };
    let reference = format!("{{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: example, uid: {}, ", owner.uid());
    let pods = [
        pod("controlled", &format!("{reference}controller: true}}")),
        pod("owned", &format!("{reference}controller: false}}")),
        pod("free", ""),
    ];
    namespace.apply(&pods.join("---"));

    assert_eq!(namespace.bound_by(&namespace.running_pod("-l app=controlled")), "default-scheduler");
    assert_eq!(colocate.reason_at_create("Pod", "controlled"), "owner-opted-out");
    assert_eq!(
        namespace.bound_by(&namespace.running_pod("-l app=owned")),
        "stork",
        "only the controlling owner counts"
    );
    assert_eq!(namespace.bound_by(&namespace.running_pod("-l app=free")), "stork");
}
