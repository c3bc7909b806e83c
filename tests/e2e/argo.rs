//! A custom resource with a pod template, configured as a custom workload. The API server neither defaults nor validates its
//! fields.

use colocate_harness::{Colocate, Namespace, PORTWORX_CLASS, fixture};

const CONFIG: &str = "
customWorkloads:
- {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template, update: true}
";

#[test]
fn a_rollout_gets_the_scheduler_and_keeps_unknown_fields() {
    let namespace = Namespace::new("argo");
    let colocate = Colocate::register(&namespace, CONFIG);
    namespace.add_claim("data", PORTWORX_CLASS);
    let rollout = fixture("argo/rollout.yaml");

    // The object that the API server stores without colocate.
    let elsewhere = Namespace::new("argo-elsewhere");
    elsewhere.apply(&rollout);
    let mut expected = elsewhere.get("rollouts.argoproj.io/example").0["spec"].take();
    assert!(expected["template"]["spec"]["fieldOfTomorrow"]["deeply"].is_object());
    assert!(expected["template"]["spec"].get("schedulerName").is_none());
    expected["template"]["spec"]["schedulerName"] = "stork".into();

    namespace.apply(&rollout);

    let stored = namespace.get("rollouts.argoproj.io/example");
    assert_eq!(stored.0["spec"], expected);
    assert_eq!(colocate.reason_at_create("Rollout", "example"), "injected");

    for apply in ["apply -f -", "apply --server-side --force-conflicts -f -", "replace -f -"] {
        namespace.kubectl().feed(apply, &rollout);
        let again = namespace.get("rollouts.argoproj.io/example");
        assert_eq!(again.0["spec"], expected, "after {apply}");
        assert_eq!(again.generation(), stored.generation(), "after {apply}");
    }
}

#[test]
fn a_rollout_without_a_template_is_not_changed() {
    let namespace = Namespace::new("argo-workload-ref");
    let colocate = Colocate::register(&namespace, CONFIG);

    let output = namespace.apply(&fixture("argo/rollout-of-a-deployment.yaml"));

    assert_eq!(output.stderr, "");
    let spec = &namespace.get("rollouts.argoproj.io/example").0["spec"];
    assert!(spec.get("template").is_none());
    assert_eq!(spec["workloadRef"]["name"], "example");
    assert_eq!(colocate.reason_at_create("Rollout", "example"), "no-template");
}

#[test]
fn only_a_template_change_injects_into_an_existing_rollout() {
    let namespace = Namespace::new("argo-existing");
    namespace.add_claim("data", PORTWORX_CLASS);
    let rollout = fixture("argo/rollout.yaml");
    namespace.apply(&rollout);
    let _colocate = Colocate::register(&namespace, CONFIG);

    namespace.run("label rollouts.argoproj.io/example touched=yes");
    namespace.run(r#"patch rollouts.argoproj.io/example --type=merge -p {"spec":{"replicas":2}}"#);
    assert_eq!(namespace.get("rollouts.argoproj.io/example").scheduler(), "");

    namespace.apply(&rollout.replace("main:1", "main:2"));
    assert_eq!(namespace.get("rollouts.argoproj.io/example").scheduler(), "stork");
}
