//! What KWOK does not do: it calls pods ready, and runs nothing. This runs, for each pod of a chart, one process of this
//! machine, with the arguments, the environment, the files and the account that the pod's manifest says.
//!
//! Pods come to it that ask for a node of its label. There is none, so that no scheduler takes them to KWOK first. It tells
//! of the process as its readiness probe does, so that a Deployment waits as it does in a cluster. What it leaves to KWOK is
//! the end: a pod that is deleted is gone at once, while its process does what it does at `SIGTERM`.

mod container;
mod replica;
mod tending;
mod work;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use tokio_util::sync::{CancellationToken, DropGuard};

use self::replica::Replicas;
use self::work::Work;
use super::balancer::Balancer;
use super::control_plane::{ControlPlane, ending_with_us};
use super::{Api, background};

pub(crate) use self::replica::Replica;

/// The values of a chart by which its pods come to the kubelet.
pub(crate) const KUBELET_VALUES: &str = "nodeSelector: {colocate.test/kubelet: \"yes\"}\n";

/// The label of the node that there is not.
const LABEL: &str = "colocate.test/kubelet";

/// How many lines of each process are shown when a test fails.
const SHOWN: usize = 40;

/// It runs pods for as long as this value lives.
pub(crate) struct Kubelet {
    replicas: Replicas,
    _ends: DropGuard,
}

impl Kubelet {
    /// Runs the pods of that namespace, which exists. Those that listen are backends of the balancer.
    pub(crate) fn start(control_plane: &ControlPlane, namespace: &str, balancer: &Arc<Balancer>) -> Self {
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
        let work = Work::new(Arc::new(host), replicas.clone(), end.clone());
        background().spawn(end.clone().run_until_cancelled_owned(work.go()));
        Self { replicas, _ends: end.drop_guard() }
    }

    /// The processes so far, those that have ended among them.
    pub(crate) fn replicas(&self) -> Vec<Arc<Replica>> {
        self.replicas.all()
    }

    /// Those that run.
    pub(crate) fn running(&self) -> Vec<Arc<Replica>> {
        self.replicas().into_iter().filter(|replica| replica.exit().is_none()).collect()
    }

    /// Gives each line of each process to `take` as it comes, for as long as this program runs.
    pub(crate) fn follow(&self, take: fn(&str)) {
        let replicas = self.replicas.clone();
        thread::spawn(move || {
            for number in 0.. {
                let log = replicas.wait_for(number).log().clone();
                thread::spawn(move || log.follow(take));
            }
        });
    }

    /// Returns when no process runs, with their exit codes.
    pub(crate) fn wait_until_all_have_ended(&self) -> Vec<i32> {
        let ended = |replica: Arc<Replica>| background().block_on(async move { replica.ended().await });
        self.replicas().into_iter().map(ended).collect()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        for replica in self.replicas() {
            replica.end();
            if thread::panicking() {
                // The test runner shows it with the test that failed.
                let said = replica.log().so_far();
                let last = &said[said.len().saturating_sub(SHOWN)..];
                eprintln!("what {} said last:\n{}", replica.pod, last.join("\n"));
            }
        }
        self.wait_until_all_have_ended();
    }
}

/// Where processes run, and whom they can reach.
struct Host {
    programs: PathBuf,
    url: String,
    authority: PathBuf,
    /// With a folder for each pod.
    folder: PathBuf,
    namespace: String,
    api: Api,
    balancer: Arc<Balancer>,
}

impl Host {
    /// A command that ends when this process does.
    fn command(&self, program: &Path) -> Command {
        ending_with_us(&self.programs, program)
    }

    /// The path of an object of the namespace, such as `pods/colocate`.
    fn path(&self, what: &str) -> String {
        format!("/api/v1/namespaces/{}/{what}", self.namespace)
    }
}
