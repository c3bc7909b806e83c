//! Workloads whose pods need a repair plan, and the commands of such a plan.

use std::process::Command;
use std::time::Instant;

use colocate_harness::{ControlPlane, Namespace, WAIT_TIMEOUT};

/// The manifests of a Deployment `web` with a disruption budget, and a `StatefulSet` `db`. Their pods mount the claim `px`.
pub(super) fn workloads(web: u32, min_available: u32, db: u32) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {web}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers: [{{name: a, image: a}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: px}}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{minAvailable: {min_available}, selector: {{matchLabels: {{app: web}}}}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  replicas: {db}
  serviceName: db
  podManagementPolicy: Parallel
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      containers: [{{name: a, image: a}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: px}}}}]
"
    )
}

/// Waits until there are `all` pods with the label `app`, `running` of them run, and the budget's status allows two disruptions.
pub(super) fn wait_until_ready(namespace: &Namespace, running: usize, all: usize) {
    let began = Instant::now();
    loop {
        let pods = namespace.list("pods -l app");
        let run = pods.iter().filter(|pod| pod.runs() && pod.text("/metadata/deletionTimestamp").is_empty()).count();
        let allowed = namespace.get("pdb/web").number("/status/disruptionsAllowed");
        if (run, pods.len(), allowed) == (running, all, 2) {
            return;
        }
        assert!(began.elapsed() < WAIT_TIMEOUT, "{run} of {} pods run, {allowed} disruptions allowed", pods.len());
    }
}

/// Returns the commands of each round of a plan.
pub(super) fn rounds(plan: &str) -> Vec<Vec<String>> {
    let commands = |round: &str| round.lines().filter(|line| line.starts_with("echo ")).map(str::to_owned).collect();
    plan.split("\n# round ").skip(1).map(commands).collect()
}

/// Runs the commands of a round, with the control plane's kubectl.
pub(super) fn run(control_plane: &ControlPlane, round: &[String]) {
    let path = format!("{}:{}", control_plane.programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &round.join("\n")]).env("PATH", path).env("KUBECONFIG", control_plane.kubeconfig());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{round:#?}\n{}", String::from_utf8_lossy(&output.stderr));
}
