//! Live GETs, deduplicated: one in flight per object, however many pods ask for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::get_queue::GetQueue;
use super::ttl_counter::{Start, TtlCounter};
use crate::api::{ApiClient, ApiError, Resource};
use crate::process::readiness::{Readiness, ReadinessDetail};

/// The longest time of a GET, including its time in the queue.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which the same failure is not logged again.
const LOG_TTL: Duration = Duration::from_mins(1);

/// The maximum number of such failures: two resources, each with a few HTTP status codes.
const MAX_LOGGED: usize = 64;

/// The result of a GET: the object as JSON, or `None` if it does not exist.
pub(super) type GetResult = Result<Option<Arc<[u8]>>, GetFailed>;

/// A GET that the API server rejected or did not answer. The cause is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GetFailed;

/// The GETs in flight.
pub(super) struct SingleFlight {
    client: ApiClient,
    queue: GetQueue,
    in_flight: Mutex<HashMap<Target, SharedGet>>,
    /// The count of GETs that were started so far. It is also the number of the next GET.
    started: AtomicU64,
    /// Failures that were logged, by resource and status code.
    logged: TtlCounter,
    readiness: Readiness,
    /// A line for each resource whose last GET failed.
    details: Mutex<HashMap<Resource, ReadinessDetail>>,
}

/// The namespace for whose pods an object is read, and the object's path. A GET is only shared within a namespace, so
/// that no namespace waits in the queue of another.
type Target = (Arc<str>, String);

/// A shared GET. Its callers poll it; it is cancelled when the last caller is gone.
struct SharedGet {
    number: u64,
    result: WeakShared<BoxFuture<'static, GetResult>>,
}

/// Removes a GET from the table when it ends or is cancelled.
struct Removal {
    flights: Arc<SingleFlight>,
    target: Target,
    number: u64,
}

impl SingleFlight {
    /// Creates an empty table. At most `max_gets` GETs are in flight at once; others are queued.
    pub(super) fn new(client: ApiClient, max_gets: usize, readiness: Readiness) -> Self {
        Self {
            client,
            queue: GetQueue::new(max_gets),
            in_flight: Mutex::default(),
            started: AtomicU64::new(0),
            logged: TtlCounter::new(LOG_TTL, Start::First, MAX_LOGGED),
            readiness,
            details: Mutex::default(),
        }
    }

    /// Gets the object at `path` for a pod of `namespace`. A GET in flight is shared. An absence is not remembered: the
    /// object may exist a moment later.
    pub(super) async fn get(self: &Arc<Self>, namespace: &str, resource: Resource, path: String) -> GetResult {
        self.join(resource, (namespace.into(), path)).await
    }

    fn join(self: &Arc<Self>, resource: Resource, target: Target) -> Shared<BoxFuture<'static, GetResult>> {
        let mut in_flight = self.in_flight();
        if let Some(result) = in_flight.get(&target).and_then(|get| get.result.upgrade()) {
            return result;
        }
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let removal = Removal { flights: self.clone(), target: target.clone(), number };
        let result = async move { removal.flights.send(resource, &removal.target).await }.boxed().shared();
        if let Some(weak) = result.downgrade() {
            in_flight.insert(target, SharedGet { number, result: weak });
        }
        result
    }

    async fn send(&self, resource: Resource, (namespace, path): &Target) -> GetResult {
        let get = async {
            let _permit = self.queue.acquire(namespace).await;
            self.client.get_opt(resource, path).await
        };
        let found = match resource.within("get", TIMEOUT, get).await {
            Ok(found) => found,
            Err(error) => {
                self.report(resource, &error);
                return Err(GetFailed);
            }
        };
        self.details().remove(&resource);
        Ok(found.map(Arc::from))
    }

    /// Reports a failure in the log, once per [`LOG_TTL`], and below the answer of `/readyz`.
    fn report(&self, resource: Resource, error: &ApiError) {
        let line = error.to_string();
        // If the API server is unreachable, the watches report it in /readyz.
        if error.code().is_some() {
            let mut details = self.details();
            let detail =
                details.entry(resource).or_insert_with(|| self.readiness.detail(format!("get of {}", resource.name)));
            // Before the log line, so that a reader of the log finds the same state in /readyz.
            detail.set(Some(line.clone()));
        }
        if self.logged.increment(&(resource, error.code()), 1).is_some() {
            tracing::warn!("{line}");
        }
    }

    fn details(&self) -> MutexGuard<'_, HashMap<Resource, ReadinessDetail>> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> MutexGuard<'_, HashMap<Target, SharedGet>> {
        // A panic between two changes leaves a map that is still valid.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let mut in_flight = self.flights.in_flight();
        // Another GET may have started since the last caller of this one left.
        if in_flight.get(&self.target).is_some_and(|get| get.number == self.number) {
            in_flight.remove(&self.target);
        }
    }
}
