//! A Kubernetes control plane that stops when this process exits.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::Deserialize;
use tokio::task::AbortHandle;

use super::kubectl::Kubectl;
use super::programs::Kubernetes;
use super::{Api, fixture, programs, storage, stork};

/// The process group ID that gives a child its own group. Ctrl-C then reaches only this process, which stops its children in
/// order.
const OWN_GROUP: i32 = 0;

/// The first minor version of Kubernetes in which the feature gate `GenericWorkload` suffices for `schedulingGroup`.
const SCHEDULING_GROUPS_SINCE: u32 = 37;

/// A real control plane: see `tests/controlplane/README.md`.
pub struct ControlPlane {
    /// The folder of kubectl, helm and the other programs.
    pub programs: PathBuf,
    /// The description that the supervisor prints at its start.
    description: Description,
    /// The supervisor stops the control plane when its standard input closes, at the latest when this process exits.
    supervisor: Child,
    /// The responses of the supervisor, one line per request.
    answers: Mutex<BufReader<ChildStdout>>,
    /// Renews Stork's Lease.
    stork: Mutex<Option<AbortHandle>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    kubeconfig: PathBuf,
    dir: PathBuf,
    audit_log: PathBuf,
    ca: PathBuf,
    apiserver: Address,
}

#[derive(Deserialize)]
struct Address {
    host: String,
    port: u16,
}

impl ControlPlane {
    /// Returns the control plane that all tests of this process share, with the storage classes and the custom resource.
    pub fn shared() -> &'static Self {
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

    /// Starts a control plane for one test, with the storage classes. The test may stop its components.
    pub fn own(arguments: &[&str]) -> Self {
        let own = Self::start_with(arguments);
        own.kubectl().feed("create -f -", &storage::classes());
        own
    }

    /// Starts a control plane, after building it if necessary.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let programs = programs::folder();
        print_progress("starting a control plane: etcd, the API server, its controllers, two schedulers, two nodes");
        let kubernetes = Kubernetes::selected();
        let mut command = Command::new(programs.join("controlplane"));
        command.args(["up", "--nodes", "2"]);
        if kubernetes.as_ref().is_none_or(|kubernetes| kubernetes.minor >= SCHEDULING_GROUPS_SINCE) {
            command.args(["--apiserver-arg", "--feature-gates=GenericWorkload=true"]);
        }
        if let Some(kubernetes) = kubernetes {
            command.arg("--kubernetes").arg(kubernetes.folder);
        }
        let mut supervisor = command
            // Stork's kube-scheduler has this Lease.
            .args(["--scheduler-arg", "--leader-elect=true"])
            .args(["--scheduler-arg", "--leader-elect-resource-name=stork-scheduler"])
            // A scheduler that cannot renew its Lease exits, but it must survive tests that stop the API server.
            .args(["--scheduler-arg", "--leader-elect-lease-duration=10m"])
            .args(["--scheduler-arg", "--leader-elect-renew-deadline=9m"])
            .args(arguments)
            .process_group(OWN_GROUP)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the control plane was built");
        let mut line = String::new();
        let mut answers = BufReader::new(supervisor.stdout.take().expect("the stream is piped"));
        answers.read_line(&mut line).expect("the supervisor writes text");
        let description = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("the control plane did not start (see its output above): {line}"));
        let control_plane =
            Self { programs, description, supervisor, answers: Mutex::new(answers), stork: Mutex::default() };
        control_plane.kubectl().feed("create -f -", &stork::objects());
        // The scheduler retries after 2 s if it was started before it got the permission.
        control_plane.kubectl().run("wait --for=create lease/stork-scheduler -n kube-system --timeout=60s");
        control_plane.start_stork();
        control_plane
    }

    /// Starts to renew the Lease of Stork's own process, as at the start of the control plane.
    pub fn start_stork(&self) {
        let kubeconfig = self.kubeconfig().to_owned();
        self.set_stork(Some(stork::renew(async move { Api::by(&kubeconfig).await })));
    }

    /// Stops the renewals, as if Stork's own process had died.
    pub fn stop_stork(&self) {
        self.set_stork(None);
    }

    fn set_stork(&self, renewals: Option<AbortHandle>) {
        let mut stork = self.stork.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *stork, renewals) {
            before.abort();
        }
    }

    /// Sends a request to the supervisor, such as `stop kube-scheduler`, and waits until it is done.
    pub fn request(&self, request: &str) {
        // The lock is held until the response, so that requests do not overlap.
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stdin = self.supervisor.stdin.as_ref().expect("the stream is piped");
        writeln!(stdin, "{request}").expect("the supervisor reads");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("the supervisor writes text");
        assert!(answer.starts_with("{\"done\""), "{request}: {answer}");
    }

    /// Returns a kubectl that acts as the administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl {
            program: self.programs.join("kubectl"),
            kubeconfig: self.description.kubeconfig.clone(),
            cache: self.dir().join("kubectl-cache"),
            namespace: None,
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.description.kubeconfig
    }

    /// The URL of its API server.
    pub fn url(&self) -> String {
        let Address { host, port } = &self.description.apiserver;
        format!("https://{host}:{port}")
    }

    /// The certificate authority of its API server.
    pub fn authority(&self) -> &Path {
        &self.description.ca
    }

    /// The folder of the control plane, which is removed with its contents when the control plane stops.
    pub fn dir(&self) -> &Path {
        &self.description.dir
    }

    /// The API server's audit log, with one JSON object per line.
    pub fn audit_log(&self) -> &Path {
        &self.description.audit_log
    }

    /// Creates a command that is stopped when this process exits or when its standard input is closed.
    pub fn command(&self, program: &Path) -> Command {
        supervised(&self.programs, program)
    }

    /// Stops the control plane, and waits until it has stopped.
    pub fn end(mut self) {
        self.stop_stork();
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Creates a command that is stopped when this process exits. `programs` is the folder of the control plane's programs.
pub(crate) fn supervised(programs: &Path, program: &Path) -> Command {
    let mut command = Command::new(programs.join("controlplane"));
    command.args(["exec", "--"]).arg(program).process_group(OWN_GROUP).stdin(Stdio::piped());
    command
}

/// Prints progress to the terminal. The test runner captures the output of `eprintln!`, but not this.
fn print_progress(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
