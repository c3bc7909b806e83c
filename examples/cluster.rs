//! The playground of `make cluster`: a real control plane with colocate in it, installed by its chart, to be tried by hand.
//!
//! It shows what colocate decides for as long as it runs. When it ends, however it ends, everything ends with it.

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

    greet(&control_plane);
    release.kubelet().follow(show);
    wait_for_the_end()?;

    println!("\nending everything");
    drop(release);
    control_plane.end();
    Ok(())
}

fn greet(control_plane: &ControlPlane) {
    println!(
        "
A control plane with colocate in it is ready, installed by its chart. In another terminal, in this folder:

  export KUBECONFIG={kubeconfig}
  export PATH={programs}:$PATH
  kubectl get storageclass,pvc

Make the pods of the claim `mysql-data`, and see where `stork` has come from:

  kubectl apply -f examples/mysql/deployment.yaml
  kubectl get deployment mysql -o yaml | grep schedulerName
  kubectl get pods -o custom-columns=POD:.metadata.name,SCHEDULER:.spec.schedulerName,NODE:.spec.nodeName
  kubectl get events --field-selector=reason=Scheduled -o custom-columns=BY:.reportingComponent,WHAT:.message

What is no change stays none: no new pod comes from

  kubectl replace -f examples/mysql/deployment.yaml

And what opts out is left alone:

  kubectl run free --image=free --annotations=stork.libopenstorage.org/disableHyperconvergence=true \\
    --overrides='{{\"spec\":{{\"volumes\":[{{\"name\":\"data\",\"persistentVolumeClaim\":{{\"claimName\":\"mysql-data\"}}}}]}}}}'

The chart's pods run as processes of this machine. See that API servers ask them, and change what they do; --reuse-values keeps what
leads the API server here:

  helm test {RELEASE} -n {RELEASE}
  kubectl get pods -n {RELEASE}
  helm upgrade {RELEASE} charts/colocate -n {RELEASE} --reuse-values --set config.mode=audit

Ctrl-C ends everything. Until then, this is what colocate decides:
",
        kubeconfig = control_plane.kubeconfig().display(),
        programs = control_plane.programs.display(),
    );
}

/// Prints what a line of colocate's log tells of a decision, if it does.
fn show(line: &str) {
    let Some(decided) = Decided::parse(line).filter(|decided| !decided.is_probe()) else { return };
    let Decided { reason, operation, kind, namespace, name, scheduler, claims, .. } = decided;
    let scheduler = scheduler.map(|scheduler| format!(" ({scheduler})")).unwrap_or_default();
    let claims = if claims.is_empty() { claims } else { format!("; {claims}") };
    println!("{operation} {kind} {namespace}/{name}: {reason}{scheduler}{claims}");
}

/// Returns when somebody has had enough.
fn wait_for_the_end() -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = ctrl_c() => done,
            _ = terminate.recv() => Ok(()),
        }
    })
}
