//! A Kubernetes control plane that lives as long as this process.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde::Deserialize;

use super::kubectl::Kubectl;
use super::{fixture, programs, storage};

/// Processes are started in a group of their own: Ctrl-C at the terminal is for who started them, who ends them in order.
const OF_ITS_OWN: i32 = 0;

/// A control plane of our own: see `tests/controlplane/README.md`.
pub(crate) struct ControlPlane {
    /// Where kubectl, helm and the rest are.
    pub(crate) programs: PathBuf,
    /// How it was described when it was ready.
    description: Description,
    /// Ends the control plane when its standard input closes, as it does when this process ends, however it ends.
    supervisor: Child,
    /// What it answers to requests, a line each.
    answers: Mutex<BufReader<ChildStdout>>,
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

    /// One of a test's own, whose parts it may stop, with the storage classes.
    pub(crate) fn own(arguments: &[&str]) -> Self {
        let own = Self::start_with(arguments);
        own.kubectl().feed("create -f -", &storage::classes());
        own
    }

    /// Builds a control plane if need be, and starts it.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let programs = programs::folder();
        say("starting a control plane: etcd, the API server, its controllers, two schedulers, two nodes");
        let mut supervisor = Command::new(programs.join("controlplane"))
            // Pods may name their scheduling group only with this gate.
            .args(["up", "--nodes", "2", "--apiserver-arg", "--feature-gates=GenericWorkload=true"])
            // The Lease by which colocate sees that Stork is there.
            .args(["--scheduler-arg", "--leader-elect=true"])
            .args(["--scheduler-arg", "--leader-elect-resource-name=stork-scheduler"])
            // A scheduler that cannot renew its Lease ends itself: not while a test has stopped the API server.
            .args(["--scheduler-arg", "--leader-elect-lease-duration=10m"])
            .args(["--scheduler-arg", "--leader-elect-renew-deadline=9m"])
            .args(arguments)
            .process_group(OF_ITS_OWN)
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
        Self { programs, description, supervisor, answers: Mutex::new(answers) }
    }

    /// Asks the supervisor for something, such as `stop kube-scheduler`, and returns when it is done.
    pub(crate) fn request(&self, request: &str) {
        // One at a time: the lock is held from the question to its answer.
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stdin = self.supervisor.stdin.as_ref().expect("it is piped");
        writeln!(stdin, "{request}").expect("the supervisor reads");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("the supervisor writes text");
        assert!(answer.starts_with("{\"done\""), "{request}: {answer}");
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

    /// Where its API server is.
    pub(crate) fn url(&self) -> String {
        let Address { host, port } = &self.description.apiserver;
        format!("https://{host}:{port}")
    }

    /// The certificate authority of its API server.
    pub(crate) fn authority(&self) -> &Path {
        &self.description.ca
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
        ending_with_us(&self.programs, program)
    }

    /// Ends it, and returns when it is gone.
    pub(crate) fn end(mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// A command that ends when this process does. `programs` is the control plane's folder of them.
pub(super) fn ending_with_us(programs: &Path, program: &Path) -> Command {
    let mut command = Command::new(programs.join("controlplane"));
    command.args(["exec", "--"]).arg(program).process_group(OF_ITS_OWN).stdin(Stdio::piped());
    command
}

/// Tells the person at the terminal what takes so long: the test runner catches what tests print, and not this.
fn say(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}
