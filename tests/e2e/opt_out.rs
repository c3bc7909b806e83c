//! Opting out of the storage driver's scheduler with an annotation of the pod.

use colocate_harness::{Colocate, Namespace, Object, PORTWORX_CLASS, example};

const DISABLE_HYPERCONVERGENCE: &str = "stork.libopenstorage.org/disableHyperconvergence";
const DISABLE_ADMISSION_CONTROLLER: &str = "stork.libopenstorage.org/disable-admission-controller";

#[test]
fn disable_hyperconvergence_keeps_the_default_scheduler() {
    assert_opt_out_is_respected("opt-out-hyperconvergence", DISABLE_HYPERCONVERGENCE);
}

#[test]
fn disable_admission_controller_keeps_the_default_scheduler() {
    assert_opt_out_is_respected("opt-out-admission", DISABLE_ADMISSION_CONTROLLER);
}

fn assert_opt_out_is_respected(name: &str, key: &str) {
    let namespace = Namespace::new(name);
    let colocate = Colocate::register(&namespace, "");
    namespace.add_claim("mysql-data", PORTWORX_CLASS);

    let output = namespace.apply(&with_template_annotation(key, "true"));
    assert_eq!(output.stderr, "", "a valid opt-out does not cause a warning");

    let pod = rolled_out(&namespace);
    assert_eq!(namespace.get("deployment/mysql").scheduler(), "default-scheduler");
    assert_eq!(pod.scheduler(), "default-scheduler");
    assert_eq!(namespace.bound_by(&pod), "default-scheduler");
    assert_eq!(colocate.reason_at_create("Deployment", "mysql"), "opted-out");
    assert_eq!(colocate.reason_at_create("Pod", "mysql-"), "opted-out");
}

#[test]
fn an_opt_out_on_the_deployment_itself_is_ignored() {
    let namespace = Namespace::new("opt-out-own-metadata");
    let _colocate = Colocate::register(&namespace, "");
    namespace.add_claim("mysql-data", PORTWORX_CLASS);

    let mut annotated = example("mysql/deployment.yaml");
    for key in [DISABLE_HYPERCONVERGENCE, DISABLE_ADMISSION_CONTROLLER] {
        annotated = namespace.kubectl().feed(&format!("annotate --local -f - {key}=true -o yaml"), &annotated).stdout;
    }
    namespace.apply(&annotated);

    let pod = rolled_out(&namespace);
    let deployment = namespace.get("deployment/mysql");
    assert_eq!(deployment.annotation(DISABLE_HYPERCONVERGENCE), "true");
    assert_eq!(deployment.annotation(DISABLE_ADMISSION_CONTROLLER), "true");
    assert_eq!(deployment.scheduler(), "stork");
    assert_eq!(namespace.bound_by(&pod), "stork");
}

#[test]
fn an_opt_out_that_is_not_a_boolean_is_ignored_with_a_warning() {
    let namespace = Namespace::new("opt-out-invalid");
    let _colocate = Colocate::register(&namespace, "");
    namespace.add_claim("mysql-data", PORTWORX_CLASS);

    let output = namespace.apply(&with_template_annotation(DISABLE_HYPERCONVERGENCE, "yes"));

    assert!(output.stderr.contains("Warning: colocate: opt-out-invalid: "), "{}", output.stderr);
    assert_eq!(namespace.bound_by(&rolled_out(&namespace)), "stork");
}

#[test]
fn an_opt_out_after_injection_has_no_effect_and_warns() {
    let namespace = Namespace::new("opt-out-late");
    let colocate = Colocate::register(&namespace, "");
    namespace.add_claim("mysql-data", PORTWORX_CLASS);
    namespace.apply(&example("mysql/deployment.yaml"));
    rolled_out(&namespace);

    let output = namespace.apply(&with_template_annotation(DISABLE_HYPERCONVERGENCE, "true"));

    colocate.wait_for_update("Deployment", "mysql", "opt-out-without-effect");
    assert!(output.stderr.contains("Warning: colocate: opt-out-without-effect: "), "{}", output.stderr);
    assert!(
        output.stderr.contains("schedulerName: default-scheduler; see docs/reasons.md#reason-opt-out-without-effect"),
        "the warning names the fix: {}",
        output.stderr
    );
    assert_eq!(namespace.get("deployment/mysql").scheduler(), "stork");

    // The fix that the warning names works.
    let leaving = with_template_annotation(DISABLE_HYPERCONVERGENCE, "true")
        .replace("      containers:", "      schedulerName: default-scheduler\n      containers:");
    namespace.apply(&leaving);
    let pod = rolled_out(&namespace);
    assert_eq!(namespace.bound_by(&pod), "default-scheduler");
}

/// The example with an annotation on its pod template.
fn with_template_annotation(key: &str, value: &str) -> String {
    let labels = "metadata: {labels: {app: mysql, version: \"1\"}}";
    let annotated =
        format!("metadata: {{annotations: {{{key}: \"{value}\"}}, labels: {{app: mysql, version: \"1\"}}}}");
    let deployment = example("mysql/deployment.yaml");
    assert!(deployment.contains(labels));
    deployment.replace(labels, &annotated)
}

/// Returns the pod of the newest template, once its Deployment is rolled out.
fn rolled_out(namespace: &Namespace) -> Object {
    namespace.run("rollout status deployment/mysql --timeout=60s");
    let replica_sets = namespace.list("replicasets");
    let newest = replica_sets
        .iter()
        .max_by_key(|set| set.annotation("deployment.kubernetes.io/revision").parse().unwrap_or(0_u32));
    let hash = newest.expect("a Deployment has a ReplicaSet").label("pod-template-hash");
    namespace.running_pod(&format!("-l pod-template-hash={hash}"))
}
