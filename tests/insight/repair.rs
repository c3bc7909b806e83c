//! `colocate audit --repair-plan`: its commands make the next audit clean, and violate no disruption budget.

use colocate_harness::{Colocate, ControlPlane, Folder, Namespace, PORTWORX_CLASS};
use serde_json::Value;

use super::plan;

/// A Deployment whose pod fits no node, and a pod without a controller.
const OTHERS: &str = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck}
spec:
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck}}
    spec:
      nodeSelector: {no: node}
      containers: [{name: a, image: a}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: px}}]
---
apiVersion: v1
kind: Pod
metadata: {name: bare, labels: {app: bare}}
spec:
  containers: [{name: a, image: a}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: px}}]
";

/// A registration with the name of the chart's webhook, by which the audit finds colocate. It is called in addition to the one
/// that the test registers, and does not answer.
const REGISTRATION: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: zz-repair-plan}
webhooks:
- name: pods.mutate.colocate
  clientConfig: {url: 'https://localhost:1/mutate'}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: repair-plan}}
  rules: [{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
";

fn audit(arguments: &str) -> String {
    let kubeconfig = ControlPlane::shared().kubeconfig();
    // colocate was not installed by the chart, so its configuration is not found.
    let folder = Folder::new(&[("colocate.yaml", "mode: inject\n")]);
    let command =
        format!("audit -n repair-plan --config colocate.yaml --kubeconfig {} {arguments}", kubeconfig.display());
    let run = folder.run(&command);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{}", run.out);
    run.out
}

fn wrong() -> u64 {
    let document: Value = serde_json::from_str(&audit("-o json")).unwrap();
    document["clusters"][0]["pods"]["wrong"].as_u64().unwrap()
}

#[test]
fn the_plan_makes_the_next_audit_clean_within_the_budgets() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("repair-plan");
    namespace.add_claim("px", PORTWORX_CLASS);
    namespace.apply(&(plan::workloads(4, 2, 2) + OTHERS));
    let wait_until_ready = || plan::wait_until_ready(&namespace, 7, 8);
    wait_until_ready();
    let _colocate = Colocate::register(&namespace, "");
    namespace.kubectl().feed("create -f -", REGISTRATION);
    assert_eq!(wrong(), 8);

    let plan = audit("--repair-plan");
    let rounds = plan::rounds(&plan);
    assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3], "{plan}");
    assert!(rounds[0][0].contains("/pods/stuck-"), "{plan}");
    let note = "\n# repair-plan/bare: it has no controller that would create it again: delete it, and create it from its manifest\n";
    assert!(plan.contains(note), "{plan}");
    for round in rounds {
        plan::run(control_plane, &round);
        wait_until_ready();
    }
    assert_eq!(wrong(), 1, "only the pod without a controller is left");
}
