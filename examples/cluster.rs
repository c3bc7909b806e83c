//! The playground of `make cluster`: a real control plane on which the chart is installed, for manual tests.
//!
//! It prints colocate's decisions while it runs. When it exits, for whatever reason, everything else is stopped.

use std::io;

use colocate_harness::{ControlPlane, Decided, PORTWORX_CLASS, Release, example, volume};
use tokio::runtime;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

/// The name of the release, and of its namespace.
const RELEASE: &str = "colocate";

fn main() -> io::Result<()> {
    let control_plane = ControlPlane::start();
    let storage = [
        example("mysql/storageclass.yaml"),
        example("mysql/claim.yaml"),
        volume("default", "mysql-data", PORTWORX_CLASS),
    ];
    control_plane.kubectl().feed("apply -f -", &storage.join("---\n"));

    let release = Release::prepare(&control_plane, RELEASE);
    release.install("");
    release.wait_until_called("default");

    print_instructions(&control_plane);
    release.kubelet().follow(print_decision);
    wait_for_signal()?;

    println!("\nstopping everything");
    drop(release);
    control_plane.end();
    Ok(())
}

fn print_instructions(control_plane: &ControlPlane) {
    println!(
        "
A control plane is ready, with colocate installed from its chart. In another terminal, in this folder, run:

  export KUBECONFIG={kubeconfig}
  export PATH={programs}:$PATH
  kubectl get storageclass,pvc

Create a Deployment that mounts the claim `mysql-data`, and look at the scheduler of its pods:

  kubectl apply -f examples/mysql/deployment.yaml
  kubectl get deployment mysql -o yaml | grep schedulerName
  kubectl get pods -o custom-columns=POD:.metadata.name,SCHEDULER:.spec.schedulerName,NODE:.spec.nodeName
  kubectl get events --field-selector=reason=Scheduled -o custom-columns=SCHEDULER:.reportingComponent,MESSAGE:.message

An unchanged manifest does not trigger a rollout:

  kubectl replace -f examples/mysql/deployment.yaml

A pod that opts out is not changed:

  kubectl run free --image=free --annotations=stork.libopenstorage.org/disableHyperconvergence=true \\
    --overrides='{{\"spec\":{{\"volumes\":[{{\"name\":\"data\",\"persistentVolumeClaim\":{{\"claimName\":\"mysql-data\"}}}}]}}}}'

The chart's pods run as local processes. Test that the API server calls them, and change their configuration. --reuse-values keeps
the values that lead the API server to these processes:

  helm test {RELEASE} -n {RELEASE}
  kubectl get pods -n {RELEASE}
  helm upgrade {RELEASE} charts/colocate -n {RELEASE} --reuse-values --set config.mode=audit

Press Ctrl-C to stop everything. Until then, colocate's decisions are printed here:
",
        kubeconfig = control_plane.kubeconfig().display(),
        programs = control_plane.programs.display(),
    );
}

/// Prints a line of colocate's log if it is a decision.
fn print_decision(line: &str) {
    let Some(decided) = Decided::parse(line).filter(|decided| !decided.is_probe()) else { return };
    let Decided { reason, operation, kind, namespace, name, scheduler, claims, .. } = decided;
    let scheduler = scheduler.map(|scheduler| format!(" ({scheduler})")).unwrap_or_default();
    let claims = if claims.is_empty() { claims } else { format!("; {claims}") };
    println!("{operation} {kind} {namespace}/{name}: {reason}{scheduler}{claims}");
}

/// Waits for Ctrl-C or SIGTERM.
fn wait_for_signal() -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = ctrl_c() => done,
            _ = terminate.recv() => Ok(()),
        }
    })
}
