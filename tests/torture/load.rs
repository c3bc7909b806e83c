//! 16 clients that create pods, each the next one as soon as the last is answered.

mod pod;
mod record;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use colocate_harness::{
    Account, Api, ControlPlane, Namespace, OTHER_CLASS, PATIENCE, PORTWORX_CLASS, Rule, background, pair,
};
use hyper::StatusCode;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use record::Record;

use record::NotCreated;

use pod::Pod;

/// How many pods are under way at once.
const CLIENTS: usize = 16;

/// For how long a client leaves an API server alone that created nothing: it needs the machine to start.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is looked whether the machine leaves this process any time.
const TICK: Duration = Duration::from_millis(20);

/// Who creates pods in a namespace.
pub(crate) struct Clients {
    namespace: String,
    api: Api,
    /// How many pods have a name.
    named: AtomicUsize,
}

/// Clients at work.
pub(crate) struct Load {
    sheet: Arc<Sheet>,
    end: CancellationToken,
    clients: Vec<JoinHandle<()>>,
}

/// Where all of them write down what became of their pods.
struct Sheet {
    record: Mutex<Record>,
    grew: Condvar,
}

impl Clients {
    /// An account for them, and the claims that their pods mount.
    pub(crate) fn new(control_plane: &ControlPlane, namespace: &Namespace) -> Self {
        namespace.add_claim(pod::PORTWORX_CLAIM, PORTWORX_CLASS);
        namespace.add_claim(pod::OTHER_CLAIM, OTHER_CLASS);
        let rights = [Rule::new("", "pods", &["create", "delete"])];
        let account = Account::new(control_plane, namespace.name(), "clients", &rights);
        let api = background().block_on(Api::of(&account));
        Self { namespace: namespace.name().to_owned(), api, named: AtomicUsize::new(0) }
    }

    /// Returns when the API server asks colocate about pods, and has an answer.
    pub(crate) fn wait_until_decided(&self) {
        let began = Instant::now();
        let path = format!("{}?dryRun=All", pair::pods(&self.namespace));
        let pod = Pod::of_portworx();
        loop {
            let reply = background().block_on(self.api.create(&path, &pod.named("probe")));
            if reply.status == StatusCode::CREATED && reply.object.scheduler() == pod.scheduler {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the API server does not call colocate: {reply:?}");
        }
    }

    /// Begins to create pods.
    pub(crate) fn start(self: &Arc<Self>) -> Load {
        let sheet = Sheet { record: Mutex::new(Record::begin()), grew: Condvar::new() };
        let (sheet, end) = (Arc::new(sheet), CancellationToken::new());
        let create = |_| background().spawn(self.clone().create(sheet.clone(), end.clone()));
        let mut clients: Vec<_> = (0..CLIENTS).map(create).collect();
        clients.push(background().spawn(tick(sheet.clone(), end.clone())));
        Load { sheet, end, clients }
    }

    /// Creates one pod after the other, and meanwhile deletes the one before: the API server and etcd stay small.
    async fn create(self: Arc<Self>, sheet: Arc<Sheet>, end: CancellationToken) {
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
                let is_away = outcome.as_ref().is_err_and(|cause| !cause.is_colocates());
                sheet.enter(|record| record.enter(pod, began, outcome));
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
            // One that is not there was not created, and one that stays for that the API server is away costs nothing.
            let _ = self.api.try_delete(&format!("{}/{name}", pair::pods(&self.namespace))).await;
        }
    }
}

/// Notes how late a timer is.
async fn tick(sheet: Arc<Sheet>, end: CancellationToken) {
    while !end.is_cancelled() {
        let begun = Instant::now();
        tokio::time::sleep(TICK).await;
        sheet.enter(|record| record.was_late(begun.elapsed().saturating_sub(TICK)));
    }
}

impl Load {
    /// Returns when so many more pods have been created.
    pub(crate) fn more(&self, pods: usize) {
        let enough = self.sheet.lock().created() + pods;
        let waited =
            self.sheet.grew.wait_timeout_while(self.sheet.lock(), PATIENCE, |record| record.created() < enough);
        let (record, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "no {pods} pods were created: {:#?}", record.last_failure());
    }

    /// Ends it, and returns what became of the pods when the last one is answered.
    pub(crate) fn stop(self) -> Record {
        self.end.cancel();
        for client in self.clients {
            background().block_on(client).expect("a client that panicked says why");
        }
        self.sheet.enter(Record::end);
        std::mem::replace(&mut self.sheet.lock(), Record::begin())
    }
}

impl Sheet {
    fn enter(&self, entry: impl FnOnce(&mut Record)) {
        entry(&mut self.lock());
        self.grew.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
