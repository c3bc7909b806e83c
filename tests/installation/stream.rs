//! A continuous stream of new pods.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use colocate_harness::{Api, ControlPlane, WAIT_TIMEOUT, background, pair};
use serde_json::Value;

/// Creates pods as dry runs until it is dropped.
pub(crate) struct Stream {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    grew: Condvar,
}

#[derive(Default)]
struct State {
    /// The scheduler of each pod, or the reason for its rejection.
    created: Vec<String>,
    stopped: bool,
}

impl Stream {
    /// Starts to create pods with that claim in that namespace.
    pub(crate) fn start(control_plane: &ControlPlane, namespace: &str, claim: &str) -> Self {
        let api = background().block_on(Api::administrator(control_plane));
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        let (shared, pod) = (Arc::<Shared>::default(), pair::pod(claim));
        let own = shared.clone();
        let thread = thread::spawn(move || own.create(&api, &path, &pod));
        Self { shared, thread }
    }

    /// Waits until `count` more pods were created.
    pub(crate) fn wait_for_more(&self, count: usize) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = state.created.len() + count;
        while state.created.len() < wanted {
            let grown = self.shared.grew.wait_timeout(state, WAIT_TIMEOUT);
            let (now, time) = grown.unwrap_or_else(PoisonError::into_inner);
            assert!(!time.timed_out(), "no pod was created for a minute");
            state = now;
        }
    }

    /// Stops, and returns the scheduler of each pod.
    pub(crate) fn stop(self) -> Vec<String> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.thread.join().expect("the thread did not panic");
        std::mem::take(&mut self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).created)
    }
}

impl Shared {
    fn create(&self, api: &Api, path: &str, pod: &Value) {
        loop {
            let reply = background().block_on(api.create(path, pod));
            let created =
                if reply.status.is_success() { reply.object.scheduler().to_owned() } else { format!("{reply:?}") };
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.created.push(created);
            self.grew.notify_all();
            if state.stopped {
                return;
            }
        }
    }
}
