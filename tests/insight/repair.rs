//! `colocate audit --repair-plan`: its commands make the next audit clean, and violate no disruption budget.

use std::process::Command;
use std::time::Instant;

use colocate_harness::{Colocate, ControlPlane, Folder, Namespace, PORTWORX_CLASS, WAIT_TIMEOUT};
use serde_json::Value;

const WORKLOADS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: a, image: a}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: px}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 2, selector: {matchLabels: {app: web}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: a, image: a}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: px}}]
---
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
    let run = Folder::new(&[]).run(&format!("audit -n repair-plan --kubeconfig {} {arguments}", kubeconfig.display()));
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{}", run.out);
    run.out
}

fn wrong() -> u64 {
    let document: Value = serde_json::from_str(&audit("-o json")).unwrap();
    document["clusters"][0]["pods"]["wrong"].as_u64().unwrap()
}

/// Waits until all pods run, except the one that no node fits, and the budget allows two disruptions again.
fn wait_until_ready(namespace: &Namespace) {
    let began = Instant::now();
    loop {
        let budget = namespace.get("pdb/web");
        let pods = namespace.list("pods");
        let running =
            pods.iter().filter(|pod| pod.runs() && pod.text("/metadata/deletionTimestamp").is_empty()).count();
        if budget.number("/status/disruptionsAllowed") == 2 && running == 7 && pods.len() == 8 {
            return;
        }
        assert!(began.elapsed() < WAIT_TIMEOUT, "the pods do not become ready: {pods:?} {budget:?}");
    }
}

#[test]
fn the_plan_makes_the_next_audit_clean_within_the_budgets() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("repair-plan");
    namespace.add_claim("px", PORTWORX_CLASS);
    namespace.apply(WORKLOADS);
    wait_until_ready(&namespace);
    let _colocate = Colocate::register(&namespace, "");
    namespace.kubectl().feed("create -f -", REGISTRATION);
    assert_eq!(wrong(), 8);

    let plan = audit("--repair-plan");
    let rounds: Vec<Vec<_>> = plan
        .split("# round ")
        .skip(1)
        .map(|round| round.lines().filter(|line| line.starts_with("echo ")).collect())
        .collect();
    assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3], "{plan}");
    assert!(rounds[0][0].contains("/pods/stuck-"), "{plan}");
    let note = "\n# repair-plan/bare: it has no controller that would create it again: delete it, and create it from its manifest\n";
    assert!(plan.contains(note), "{plan}");
    let path = format!("{}:{}", control_plane.programs.display(), std::env::var("PATH").unwrap());
    for round in rounds {
        for line in round {
            let mut shell = Command::new("sh");
            shell.args(["-c", line]).env("PATH", &path).env("KUBECONFIG", control_plane.kubeconfig());
            let output = shell.output().unwrap();
            assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        }
        wait_until_ready(&namespace);
    }
    assert_eq!(wrong(), 1, "only the pod without a controller is left");
}
