//! The commands of `docs/install.md` that inspect and remove the scheduler, run as they are printed there.

use std::path::Path;
use std::process::Command;

use colocate_harness::{ControlPlane, Namespace, fixture};

/// The page.
const PAGE: &str = "docs/install.md";

/// Creates an object of each kind that creates pods, all with the scheduler, and waits until they run.
pub(crate) fn prepare(apps: &Namespace) {
    let name_it = |line: &str| match line.strip_suffix("containers:") {
        Some(before) => format!("{before}schedulerName: stork\n{line}\n"),
        None => format!("{line}\n"),
    };
    apps.apply(&fixture("kinds.yaml").lines().map(name_it).collect::<String>());
    for kind in ["deployment", "statefulset", "daemonset"] {
        apps.run(&format!("rollout status {kind}/example --timeout=60s"));
    }
}

/// Runs the commands that inspect, list, and change them.
pub(crate) fn leave(control_plane: &ControlPlane, apps: &Namespace) {
    let page = std::fs::read_to_string(PAGE).expect("the page exists");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let [templates, pods, change] = blocks.collect::<Vec<_>>()[..] else { panic!("expected three blocks in {PAGE}") };
    let folder = control_plane.dir().join("leaving");
    std::fs::create_dir_all(&folder).expect("the control plane's folder is writable");
    let run = |script: &str| bash(control_plane, &folder, script);

    for line in page.lines().filter_map(|line| line.strip_prefix("    kubectl get ")) {
        // Stork is not installed here.
        if !line.contains("stork-webhooks-cfg") {
            // Only the exit code counts: no pod need be Pending at this moment.
            run(&format!("kubectl get {line}"));
        }
    }
    let found = run(templates);
    for (kind, path) in [
        ("Deployment", "/spec/template"),
        ("StatefulSet", "/spec/template"),
        ("DaemonSet", "/spec/template"),
        ("ReplicaSet", "/spec/template"),
        ("ReplicationController", "/spec/template"),
        ("Job", "/spec/template"),
        ("CronJob", "/spec/jobTemplate/spec/template"),
        ("PodTemplate", "/template"),
    ] {
        let line = format!("{kind} {} example {path}/spec/schedulerName", apps.name());
        assert!(found.lines().any(|found| found == line), "{line}: {found}");
    }
    assert_eq!(found.lines().count(), 8, "objects with a controller must not be listed: {found}");
    let found = run(pods);
    let owned = |line: &&str| !line.ends_with("<none>");
    let bare: Vec<_> = found.lines().skip(1).filter(|line| !owned(line)).collect();
    assert_eq!(bare.len(), 1, "{found}");
    assert!(bare[0].contains(" example "), "{found}");
    assert!(found.lines().skip(1).filter(owned).count() >= 5, "{found}");

    run(change);

    let left = run(templates);
    assert_eq!(left, format!("Job {} example /spec/template/spec/schedulerName\n", apps.name()));
    for app in ["deployment", "statefulset", "daemonset"] {
        for pod in apps.list(&format!("pods -l app={app}")).iter().filter(|pod| pod.runs()) {
            assert_eq!(pod.scheduler(), "default-scheduler", "{app}");
        }
    }
}

/// Runs a script as an administrator would, and returns its output.
fn bash(control_plane: &ControlPlane, folder: &Path, script: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("KUBECONFIG", control_plane.kubeconfig())
        .env("KUBECACHEDIR", control_plane.dir().join("kubectl-cache"))
        .env("PATH", format!("{}:{path}", control_plane.programs.display()))
        .output()
        .expect("bash is installed");
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{script}\n{out}{err}");
    out
}
