//! The process of a pod.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::watch;

use super::Host;
use super::container::{Arguments, Container};
use crate::harness::launch::{Addresses, program};
use crate::harness::lines::Lines;
use crate::harness::{Decided, colocate};

/// It ends, at the latest, when this value goes.
pub(crate) struct Replica {
    /// The name of its pod.
    pub(crate) pod: String,
    log: Lines,
    /// Where it listens on this machine, if it does.
    pub(super) addresses: Option<Addresses>,
    id: u32,
    /// It ends when this is closed.
    stdin: Mutex<Option<ChildStdin>>,
    exit: watch::Receiver<Option<i32>>,
}

impl Replica {
    /// Starts it, and returns when it listens, if it is to listen.
    pub(super) fn start(
        host: &Host,
        container: &Container,
        folders: &[PathBuf],
        kubeconfig: &Path,
    ) -> io::Result<Self> {
        let Arguments { all, ports } = container.arguments(folders);
        let (reader, writer) = io::pipe()?;
        let mut command: Command = host.command(&program());
        command
            .args(all)
            .envs(container.environment())
            .env("KUBECONFIG", kubeconfig)
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let mut child = command.spawn()?;
        // It holds the other end of the pipe, which is to end with the child.
        drop(command);
        let (log, id, stdin) = (Lines::of(reader), child.id(), child.stdin.take());
        let (ended, exit) = watch::channel(None);
        thread::spawn(move || {
            let status = child.wait().expect("it is a child of ours");
            ended.send_replace(Some(status.code().expect("who started it tells of signals as exit codes")))
        });
        let addresses = ports.map(|_| log.wait_for("colocate's address", |line| colocate::message(line, "serving")));
        Ok(Self { pod: container.pod.name().to_owned(), log, addresses, id, stdin: Mutex::new(stdin), exit })
    }

    /// What it has written.
    pub(crate) fn log(&self) -> &Lines {
        &self.log
    }

    /// Returns when it has logged that message so often.
    pub(crate) fn wait_for_message(&self, text: &str, count: usize) {
        self.log.wait_for_message(text, count);
    }

    /// The decisions so far, which it logs from `debug` on.
    pub(crate) fn decisions(&self) -> Vec<Decided> {
        self.log.so_far().iter().filter_map(|line| Decided::parse(line)).collect()
    }

    /// The sum of all series of a counter whose line in a scrape begins so.
    pub(crate) fn metric(&self, prefix: &str) -> u64 {
        colocate::metric(self.addresses.as_ref().expect("it is one that serves").admin, prefix)
    }

    /// Its exit code; `None` while it runs.
    pub(crate) fn exit(&self) -> Option<i32> {
        *self.exit.borrow()
    }

    /// Its exit code, once it has ended.
    pub(super) async fn ended(&self) -> i32 {
        let mut exit = self.exit.clone();
        let code = exit.wait_for(Option::is_some).await.expect("it is told before it is forgotten");
        code.expect("it was waited for")
    }

    /// Tells it to end, as a kubelet does.
    pub(super) fn terminate(&self) {
        // One that has ended in the meantime has nothing to be told.
        let _ = Command::new("kill").args(["-s", "TERM", &self.id.to_string()]).status();
    }

    /// Ends it at once.
    pub(super) fn end(&self) {
        drop(self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Those of a namespace, for whoever waits for them.
#[derive(Clone, Default)]
pub(super) struct Replicas(Arc<Shared>);

#[derive(Default)]
struct Shared {
    all: Mutex<Vec<Arc<Replica>>>,
    grew: Condvar,
}

impl Replicas {
    pub(super) fn add(&self, replica: Arc<Replica>) {
        self.lock().push(replica);
        self.0.grew.notify_all();
    }

    pub(super) fn all(&self) -> Vec<Arc<Replica>> {
        self.lock().clone()
    }

    /// The one of that number, once there is one.
    pub(super) fn wait_for(&self, number: usize) -> Arc<Replica> {
        let waiting = |all: &mut Vec<_>| all.len() <= number;
        let all = self.0.grew.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        all[number].clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Replica>>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
