//! Processes of pods.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::watch;

use super::Host;
use super::container::{Arguments, Container};
use crate::launch::Addresses;
use crate::lines::Lines;
use crate::{Decided, colocate, program};

/// The process of a pod.
pub struct Replica {
    /// The name of its pod.
    pub pod: String,
    log: Lines,
    /// The local addresses, if the process is a server.
    pub(crate) addresses: Option<Addresses>,
    id: u32,
    /// The standard input. The wrapper kills the process when it is closed.
    stdin: Mutex<Option<ChildStdin>>,
    exit: watch::Receiver<Option<i32>>,
}

impl Replica {
    /// Starts the process and, if it is a server, waits until it listens.
    pub(crate) fn start(
        host: &Host,
        container: &Container,
        folders: &[PathBuf],
        kubeconfig: &Path,
    ) -> io::Result<Self> {
        let Arguments { all, ports } = container.arguments(folders);
        let (reader, writer) = io::pipe()?;
        let mut command: Command = host.command(&program::path());
        command
            .args(all)
            .envs(container.environment())
            .env("KUBECONFIG", kubeconfig)
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let mut child = command.spawn()?;
        // The command holds the write end of the pipe, which must close with the child.
        drop(command);
        let (log, id, stdin) = (Lines::of(reader), child.id(), child.stdin.take());
        let (ended, exit) = watch::channel(None);
        thread::spawn(move || {
            let status = child.wait().expect("the process is a child of this one");
            ended.send_replace(Some(status.code().expect("the wrapper reports signals as exit codes")))
        });
        let addresses = ports.map(|_| log.wait_for("colocate's address", |line| colocate::message(line, "serving")));
        Ok(Self { pod: container.pod.name().to_owned(), log, addresses, id, stdin: Mutex::new(stdin), exit })
    }

    /// The output.
    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// Waits until the log has `count` lines with that message.
    pub fn wait_for_message(&self, text: &str, count: usize) {
        self.log.wait_for_message(text, count);
    }

    /// The decisions so far, from its log at level `debug`.
    pub fn decisions(&self) -> Vec<Decided> {
        self.log.so_far().iter().filter_map(|line| Decided::parse(line)).collect()
    }

    /// Returns the sum of all series whose lines in a scrape start with `prefix`.
    pub fn metric(&self, prefix: &str) -> u64 {
        colocate::metric(self.addresses.as_ref().expect("the replica is a server").admin, prefix)
    }

    /// The exit code; `None` while it runs.
    pub fn exit(&self) -> Option<i32> {
        *self.exit.borrow()
    }

    /// Waits until the process exits, and returns its exit code.
    pub(crate) async fn ended(&self) -> i32 {
        let mut exit = self.exit.clone();
        let code = exit.wait_for(Option::is_some).await.expect("the sender lives until the process exits");
        code.expect("the process has exited")
    }

    /// Sends `SIGTERM`, as a kubelet does.
    pub(crate) fn terminate(&self) {
        // The process may have exited already.
        let _ = Command::new("kill").args(["-s", "TERM", &self.id.to_string()]).status();
    }

    /// Kills the process.
    pub fn kill(&self) {
        drop(self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The replicas of a namespace.
#[derive(Clone, Default)]
pub(crate) struct Replicas(Arc<Shared>);

#[derive(Default)]
struct Shared {
    all: Mutex<Vec<Arc<Replica>>>,
    grew: Condvar,
}

impl Replicas {
    pub(crate) fn add(&self, replica: Arc<Replica>) {
        self.lock().push(replica);
        self.0.grew.notify_all();
    }

    pub(crate) fn all(&self) -> Vec<Arc<Replica>> {
        self.lock().clone()
    }

    /// Waits for the replica with that number.
    pub(crate) fn wait_for(&self, number: usize) -> Arc<Replica> {
        let waiting = |all: &mut Vec<_>| all.len() <= number;
        let all = self.0.grew.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        all[number].clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Replica>>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
