//! An apply without changes has no effect: no rollout, no error, and no recurring difference.

use std::time::Instant;

use colocate_harness::{Colocate, Namespace, PORTWORX_CLASS, WAIT_TIMEOUT, fixture};

use crate::kinds::{PODS_OF_KINDS, workloads};
use crate::picture::Picture;

const CLIENT_SIDE: &str = "apply -f -";
const SERVER_SIDE: &str = "apply --server-side -f -";

#[test]
fn a_second_client_side_apply_changes_nothing() {
    assert_second_apply_changes_nothing("second-apply-client", CLIENT_SIDE);
}

#[test]
fn a_second_server_side_apply_changes_nothing() {
    assert_second_apply_changes_nothing("second-apply-server", SERVER_SIDE);
}

fn assert_second_apply_changes_nothing(name: &str, apply: &str) {
    let (namespace, _colocate) = kinds(name, apply, &fixture("kinds.yaml"));
    let before = Picture::of(&namespace);
    assert_schedulers(&namespace, "stork");

    let output = namespace.kubectl().feed(apply, &fixture("kinds.yaml"));

    assert_eq!(output.stderr, "");
    assert_eq!(Picture::of(&namespace), before);
}

#[test]
fn client_side_apply_keeps_an_explicit_default_scheduler() {
    assert_explicit_default_is_kept("explicit-client", CLIENT_SIDE);
}

#[test]
fn server_side_apply_keeps_an_explicit_default_scheduler() {
    assert_explicit_default_is_kept("explicit-server", SERVER_SIDE);
}

fn assert_explicit_default_is_kept(name: &str, apply: &str) {
    let manifest = naming_scheduler(&fixture("kinds.yaml"), "default-scheduler");
    let (namespace, colocate) = kinds(name, apply, &manifest);
    let before = Picture::of(&namespace);
    assert_schedulers(&namespace, "default-scheduler");
    for pod in namespace.running_pods("", PODS_OF_KINDS) {
        assert_eq!(namespace.bound_by(&pod), "stork", "{}", pod.name());
    }
    assert_eq!(colocate.reason_at_create("CronJob", "example"), "source-names-scheduler");

    let output = namespace.kubectl().feed(apply, &manifest);
    assert_eq!(output.stderr, "");
    assert_eq!(Picture::of(&namespace), before, "after the second apply");

    replace(&namespace, &manifest);
    assert_eq!(Picture::of(&namespace).without_generations(), before.without_generations(), "after the replace");
}

#[test]
fn replace_after_client_side_apply_does_not_trigger_a_rollout() {
    assert_replace_does_not_trigger_a_rollout("replace-client", CLIENT_SIDE);
}

#[test]
fn replace_after_server_side_apply_does_not_trigger_a_rollout() {
    assert_replace_does_not_trigger_a_rollout("replace-server", SERVER_SIDE);
}

fn assert_replace_does_not_trigger_a_rollout(name: &str, apply: &str) {
    let original = fixture("kinds.yaml");
    let (namespace, colocate) = kinds(name, apply, &original);
    let before = Picture::of(&namespace).without_generations();
    assert_schedulers(&namespace, "stork");

    replace(&namespace, &original);
    assert_eq!(Picture::of(&namespace).without_generations(), before);
    for kind in
        ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "PodTemplate", "CronJob"]
    {
        colocate.wait_for_update(kind, "example", "kept");
    }

    namespace.remove_claim("data");
    wait_until_claim_is_missing(&namespace);
    replace(&namespace, &original);
    assert_eq!(Picture::of(&namespace).without_generations(), before, "without the claim");
}

/// Replaces the objects that the API server allows to be replaced. With or without colocate, it refuses the manifest of a Pod
/// or a Job, which lacks the fields that were defaulted at creation. The scheduler must not be among its objections.
fn replace(namespace: &Namespace, manifest: &str) {
    // kubectl reads the version of each object first: the last status of the Job must not be written after that.
    namespace.kubectl().watch("job/example", |job| (!job.text("/status/completionTime").is_empty()).then_some(()));
    let output = namespace.kubectl().attempt("replace -f -", manifest);
    let refusals: Vec<_> = output.stderr.lines().filter(|line| line.starts_with("Error from server")).collect();
    let [pod, job] = refusals[..] else {
        panic!("expected a refusal for the Pod and one for the Job: {}", output.stderr)
    };
    assert!(pod.contains(r#"Pod "example" is invalid: spec: Forbidden: pod updates may not change fields"#), "{pod}");
    assert!(job.contains(r#"Job.batch "example" is invalid: [spec.selector: Required value"#), "{job}");
    let mut differences = output.stderr.lines().filter(|line| line.starts_with(['+', '-']));
    assert!(!differences.any(|line| line.contains("SchedulerName")), "{}", output.stderr);

    // A rollout would begin when the Deployment's controller has observed the new generation.
    namespace.kubectl().watch("deployment/example", |deployment| {
        let seen = deployment.number("/status/observedGeneration") == deployment.generation();
        (seen && !deployment.annotation("deployment.kubernetes.io/revision").is_empty()).then_some(())
    });
}

/// Waits until colocate's watch has seen the deletion of the claim.
fn wait_until_claim_is_missing(namespace: &Namespace) {
    let pod = "
apiVersion: v1
kind: Pod
metadata: {name: dry-run}
spec:
  containers: [{name: main, image: example.test/main:1}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";
    let began = Instant::now();
    while !namespace.kubectl().feed("create --dry-run=server -f -", pod).stderr.contains("claim-missing") {
        assert!(began.elapsed() < WAIT_TIMEOUT, "colocate still has the claim");
    }
}

#[test]
fn replacing_a_pod_or_job_keeps_its_scheduler() {
    let (namespace, colocate) = kinds("replace-immutable", CLIENT_SIDE, &fixture("kinds.yaml"));
    let before = Picture::of(&namespace);

    for what in ["pod/example", "job/example"] {
        let mut object = namespace.get(what).0;
        let pod_spec = match what {
            "pod/example" => &mut object["spec"],
            _ => &mut object["spec"]["template"]["spec"],
        };
        pod_spec["schedulerName"] = "default-scheduler".into();
        // Without a `resourceVersion`, writes by others in the meantime do not conflict.
        object["metadata"]["resourceVersion"].take();
        namespace.kubectl().feed("replace -f -", &object.to_string());
    }

    assert_eq!(Picture::of(&namespace), before);
    colocate.wait_for_update("Pod", "example", "kept");
    colocate.wait_for_update("Job", "example", "kept");
}

#[test]
fn a_label_does_not_trigger_a_rollout_for_any_kind() {
    let kinds_yaml = fixture("kinds.yaml");
    let (namespace, colocate) = kinds("label", CLIENT_SIDE, &kinds_yaml);
    let before = Picture::of(&namespace);

    namespace.kubectl().feed("label -f - touched=yes", &kinds_yaml);

    let labeled = workloads(&namespace).into_iter().chain([namespace.get("pod/example")]);
    for object in labeled.filter(|object| object.name() == "example") {
        assert_eq!(object.label("touched"), "yes", "{}", object.kind());
    }
    assert_eq!(Picture::of(&namespace), before);
    colocate.wait_for_update("CronJob", "example", "template-unchanged");
    colocate.wait_for_update("PodTemplate", "example", "template-unchanged");
}

/// A namespace with an object of each kind, and their pods running.
fn kinds(name: &str, apply: &str, manifest: &str) -> (Namespace, Colocate) {
    let namespace = Namespace::new(name);
    let colocate = Colocate::register(&namespace, "");
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.kubectl().feed(apply, manifest);
    namespace.running_pods("", PODS_OF_KINDS);
    (namespace, colocate)
}

/// Asserts that templates name `scheduler`, and pods `stork`.
fn assert_schedulers(namespace: &Namespace, scheduler: &str) {
    for object in workloads(namespace) {
        assert_eq!(object.scheduler(), scheduler, "{} {}", object.kind(), object.name());
    }
    for pod in namespace.list("pods") {
        assert_eq!(pod.scheduler(), "stork", "{}", pod.name());
    }
}

/// Adds a `schedulerName` to each pod spec of the manifest. Each has its containers on a line of their own.
pub(crate) fn naming_scheduler(manifest: &str, scheduler: &str) -> String {
    let named = manifest.lines().flat_map(|line| {
        let indent = line.strip_suffix("containers:");
        let field = indent.map(|indent| format!("{indent}schedulerName: {scheduler}"));
        field.into_iter().chain([line.to_owned()])
    });
    named.collect::<Vec<_>>().join("\n")
}
