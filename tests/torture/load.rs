//! 16 clients that create pods. Each creates the next pod as soon as the last one is answered.

mod pod;
mod record;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use colocate_harness::{
    Account, Api, ControlPlane, Namespace, OTHER_CLASS, PORTWORX_CLASS, Rule, WAIT_TIMEOUT, background, pair,
};
use hyper::StatusCode;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use record::Record;

use record::NotCreated;

use pod::Pod;

/// The number of pods in flight.
const CLIENTS: usize = 16;

/// The pause of a client after a failure. A restarting API server needs the CPU.
const PAUSE: Duration = Duration::from_millis(100);

/// The interval between checks that this process gets CPU time.
const TICK: Duration = Duration::from_millis(20);

/// The clients that create pods in a namespace.
pub(crate) struct Clients {
    namespace: String,
    api: Api,
    /// The number of pod names used so far.
    named: AtomicUsize,
}

/// Running clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    end: CancellationToken,
    clients: Vec<JoinHandle<()>>,
}

/// The record shared by all clients.
struct Shared {
    record: Mutex<Record>,
    grew: Condvar,
}

impl Clients {
    /// Creates an account for the clients, and the claims that their pods mount.
    pub(crate) fn new(control_plane: &ControlPlane, namespace: &Namespace) -> Self {
        namespace.add_claim(pod::PORTWORX_CLAIM, PORTWORX_CLASS);
        namespace.add_claim(pod::OTHER_CLAIM, OTHER_CLASS);
        let rights = [Rule::new("", "pods", &["create", "delete"])];
        let account = Account::new(control_plane, namespace.name(), "clients", &rights);
        let api = background().block_on(Api::of(&account));
        Self { namespace: namespace.name().to_owned(), api, named: AtomicUsize::new(0) }
    }

    /// Waits until the API server calls colocate about pods and gets an answer.
    pub(crate) fn wait_until_decided(&self) {
        let began = Instant::now();
        let path = format!("{}?dryRun=All", pair::pods(&self.namespace));
        let pod = Pod::of_portworx();
        loop {
            let reply = background().block_on(self.api.create(&path, &pod.named("probe")));
            if reply.status == StatusCode::CREATED && reply.object.scheduler() == pod.scheduler {
                return;
            }
            assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not call colocate: {reply:?}");
        }
    }

    /// Starts to create pods.
    pub(crate) fn start(self: &Arc<Self>) -> Load {
        let shared = Shared { record: Mutex::new(Record::begin()), grew: Condvar::new() };
        let (shared, end) = (Arc::new(shared), CancellationToken::new());
        let create = |_| background().spawn(self.clone().create(shared.clone(), end.clone()));
        let mut clients: Vec<_> = (0..CLIENTS).map(create).collect();
        clients.push(background().spawn(tick(shared.clone(), end.clone())));
        Load { shared, end, clients }
    }

    /// Creates one pod after another, and deletes the one before at the same time, so that the API server and etcd stay
    /// small.
    async fn create(self: Arc<Self>, shared: Arc<Shared>, end: CancellationToken) {
        let (path, pods, mut last) = (pair::pods(&self.namespace), Pod::all(), None);
        while !end.is_cancelled() {
            let number = self.named.fetch_add(1, Ordering::Relaxed);
            let (pod, name) = (&pods[number % pods.len()], format!("pod-{number}"));
            let create = async {
                let began = Instant::now();
                let outcome = match self.api.try_create(&path, &pod.named(&name)).await {
                    Ok(reply) if reply.status == StatusCode::CREATED => Ok(reply.object.scheduler().to_owned()),
                    Ok(reply) => Err(NotCreated::from(reply)),
                    Err(error) => Err(NotCreated::from(error)),
                };
                let is_away = outcome.as_ref().is_err_and(|cause| !cause.is_from_colocate());
                shared.update(|record| record.add(pod, began, outcome));
                is_away
            };
            let (is_away, ()) = tokio::join!(create, self.delete(last.take()));
            last = Some(name);
            if is_away {
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.delete(last).await;
    }

    async fn delete(&self, name: Option<String>) {
        if let Some(name) = name {
            // The pod may not exist, and a pod that stays because the API server is down does no harm.
            let _ = self.api.try_delete(&format!("{}/{name}", pair::pods(&self.namespace))).await;
        }
    }
}

/// Records the delays of a timer.
async fn tick(shared: Arc<Shared>, end: CancellationToken) {
    while !end.is_cancelled() {
        let begun = Instant::now();
        tokio::time::sleep(TICK).await;
        shared.update(|record| record.was_late(begun.elapsed().saturating_sub(TICK)));
    }
}

impl Load {
    /// Waits until this many more pods have been created.
    pub(crate) fn wait_for_more(&self, pods: usize) {
        let enough = self.shared.lock().created() + pods;
        let waited =
            self.shared.grew.wait_timeout_while(self.shared.lock(), WAIT_TIMEOUT, |record| record.created() < enough);
        let (record, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "fewer than {pods} pods were created: {:#?}", record.last_failure());
    }

    /// Stops the clients, and returns the record once the last pod is answered.
    pub(crate) fn stop(self) -> Record {
        self.end.cancel();
        for client in self.clients {
            background().block_on(client).expect("the client did not panic");
        }
        self.shared.update(Record::end);
        std::mem::replace(&mut self.shared.lock(), Record::begin())
    }
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.lock());
        self.grew.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
