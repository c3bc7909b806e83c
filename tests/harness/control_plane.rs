//! A Kubernetes control plane that lives as long as this process.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use serde::Deserialize;

use super::kubectl::Kubectl;
use super::{fixture, storage};

/// A control plane of our own: see `tests/controlplane/README.md`.
pub(crate) struct ControlPlane {
    /// Where kubectl, helm and the rest are.
    pub(crate) programs: PathBuf,
    /// How it was described when it was ready.
    description: Description,
    /// Ends the control plane when its standard input closes, as it does when this process ends, however it ends.
    supervisor: Child,
    /// Its standard output: a line for each request.
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    kubeconfig: PathBuf,
    dir: PathBuf,
    audit_log: PathBuf,
}

impl ControlPlane {
    /// The one that all tests of this process share, with the storage classes and the custom resource that they use.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<ControlPlane> = LazyLock::new(|| {
            let shared = ControlPlane::start();
            let kubectl = shared.kubectl();
            let crd = fixture("argo/rollouts-crd.yaml");
            kubectl.feed("create -f -", &format!("{}---\n{crd}", storage::classes()));
            kubectl.run("wait --for=condition=Established crd --all --timeout=60s");
            shared
        });
        &SHARED
    }

    /// Builds a control plane if need be, and starts it.
    pub(crate) fn start() -> Self {
        let programs = build();
        say("starting a control plane: etcd, the API server, its controllers, two schedulers, two nodes");
        let mut supervisor = Command::new(programs.join("controlplane"))
            // Pods may name their scheduling group only with this gate.
            .args(["up", "--nodes", "2", "--apiserver-arg", "--feature-gates=GenericWorkload=true"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the control plane was built");
        let mut line = String::new();
        let mut answers = BufReader::new(supervisor.stdout.take().expect("it is piped"));
        answers.read_line(&mut line).expect("the supervisor writes text");
        let description = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("the control plane did not start: what it said stands above, if anything; {line}")
        });
        Self { programs, description, supervisor, answers }
    }

    /// kubectl as its administrator.
    pub(crate) fn kubectl(&self) -> Kubectl {
        Kubectl {
            program: self.programs.join("kubectl"),
            kubeconfig: self.description.kubeconfig.clone(),
            cache: self.dir().join("kubectl-cache"),
            namespace: None,
        }
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.description.kubeconfig
    }

    /// Its folder, which goes when it does, with all that others have put there.
    pub(crate) fn dir(&self) -> &Path {
        &self.description.dir
    }

    /// The API server's audit log: a JSON object a line.
    pub(crate) fn audit_log(&self) -> &Path {
        &self.description.audit_log
    }

    /// A command that ends when this process does, or when its own standard input is closed before that.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(self.programs.join("controlplane"));
        command.args(["exec", "--"]).arg(program).stdin(Stdio::piped());
        command
    }

    /// Ends one of its parts, as `kube-scheduler`, in order.
    pub(crate) fn stop(&mut self, part: &str) {
        let stdin = self.supervisor.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "stop {part}").expect("the supervisor reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the supervisor writes text");
        assert!(answer.contains(r#""done""#), "cannot stop {part}: {answer}");
    }

    /// Ends it, and returns when it is gone.
    pub(crate) fn end(mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Builds the programs if that was not done before: what it says meanwhile is on the terminal at once.
fn build() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/build");
    let output = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert!(output.status.success(), "{} failed: why stands above", script.display());
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// Tells the person at the terminal what takes so long: the test runner catches what tests print, and not this.
fn say(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}
