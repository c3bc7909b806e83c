//! A kubelet that runs the pods of a chart as local processes, with the arguments, environment, files and account in their
//! manifests. (KWOK only marks pods as ready.)
//!
//! It runs pods that select a node with its label. No such node exists, so that no scheduler assigns the pods to a KWOK node. It
//! sets the readiness of each pod from its readiness probe, so that a Deployment waits as in a cluster. KWOK removes deleted
//! pods at once, while their processes still handle `SIGTERM`.

mod container;
mod event_loop;
mod pod;
mod replica;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use tokio_util::sync::{CancellationToken, DropGuard};

use self::event_loop::EventLoop;
use self::replica::Replicas;
use super::balancer::Balancer;
use super::control_plane::{ControlPlane, supervised};
use super::{Api, background};

pub use self::replica::Replica;

/// The chart values that assign the pods of a release to the kubelet.
pub const KUBELET_VALUES: &str = "nodeSelector: {colocate.test/kubelet: \"yes\"}\n";

/// The label of a node that does not exist.
const LABEL: &str = "colocate.test/kubelet";

/// The number of log lines per process that a failed test shows.
const SHOWN_LINES: usize = 40;

/// A kubelet that runs until it is dropped.
pub struct Kubelet {
    replicas: Replicas,
    _ends: DropGuard,
}

impl Kubelet {
    /// Runs the pods of `namespace`, which must exist. Pods that listen become backends of the balancer.
    pub fn start(control_plane: &ControlPlane, namespace: &str, balancer: &Arc<Balancer>) -> Self {
        let host = Host {
            programs: control_plane.programs.clone(),
            url: control_plane.url(),
            authority: control_plane.authority().to_owned(),
            folder: control_plane.dir().join("pods").join(namespace),
            namespace: namespace.to_owned(),
            api: background().block_on(Api::administrator(control_plane)),
            balancer: balancer.clone(),
        };
        let (replicas, end) = (Replicas::default(), CancellationToken::new());
        let events = EventLoop::new(Arc::new(host), replicas.clone(), end.clone());
        background().spawn(end.clone().run_until_cancelled_owned(events.run()));
        Self { replicas, _ends: end.drop_guard() }
    }

    /// All processes so far, including those that have exited.
    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        self.replicas.all()
    }

    /// The running processes.
    pub fn running(&self) -> Vec<Arc<Replica>> {
        self.replicas().into_iter().filter(|replica| replica.exit().is_none()).collect()
    }

    /// Calls `take` with each new line of each process, until this program exits.
    pub fn follow(&self, take: fn(&str)) {
        let replicas = self.replicas.clone();
        thread::spawn(move || {
            for number in 0.. {
                let log = replicas.wait_for(number).log().clone();
                thread::spawn(move || log.follow(take));
            }
        });
    }

    /// Waits until all processes have exited, and returns their exit codes.
    pub fn wait_until_all_have_ended(&self) -> Vec<i32> {
        let ended = |replica: Arc<Replica>| background().block_on(async move { replica.ended().await });
        self.replicas().into_iter().map(ended).collect()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        for replica in self.replicas() {
            replica.kill();
            if thread::panicking() {
                // The test runner shows the output of a failed test.
                let lines = replica.log().so_far();
                let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
                eprintln!("the last lines of {}:\n{}", replica.pod, last.join("\n"));
            }
        }
        self.wait_until_all_have_ended();
    }
}

/// The environment of the processes.
pub(crate) struct Host {
    programs: PathBuf,
    url: String,
    authority: PathBuf,
    /// The folder that contains a folder for each pod.
    folder: PathBuf,
    namespace: String,
    api: Api,
    balancer: Arc<Balancer>,
}

impl Host {
    /// Creates a command that is stopped when this process exits.
    fn command(&self, program: &Path) -> Command {
        supervised(&self.programs, program)
    }

    /// Returns the API path of an object in the namespace, such as `pods/colocate`.
    fn path(&self, what: &str) -> String {
        format!("/api/v1/namespaces/{}/{what}", self.namespace)
    }
}
