//! Live GETs, deduplicated: one in flight per object, however many pods ask for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::Semaphore;

use super::ttl_set::TtlSet;
use crate::api::{ApiClient, ApiError, Resource};
use crate::process::readiness::{Readiness, ReadinessDetail};

/// The TTL of a negative result, equal to the default wait of a pod. An object that is created in the meantime arrives
/// on the watch.
const ABSENT_TTL: Duration = Duration::from_secs(2);

/// The longest time of a GET, including its time in the queue.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum number of objects that are remembered as absent.
const MAX_ABSENT: usize = 1024;

/// The time for which the same failure is not logged again.
const LOG_TTL: Duration = Duration::from_mins(1);

/// The result of a GET: the object as JSON, or `None` if it does not exist.
pub(super) type GetResult = Result<Option<Arc<[u8]>>, GetFailed>;

/// A GET that the API server refused or did not answer. The cause is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GetFailed;

/// The GETs in flight.
pub(super) struct SingleFlight {
    client: ApiClient,
    permits: Semaphore,
    in_flight: Mutex<HashMap<String, SharedGet>>,
    /// Numbers the GETs.
    started: AtomicU64,
    absent: TtlSet<String>,
    /// Failures that were logged.
    logged: TtlSet<(Resource, Option<u16>)>,
    readiness: Readiness,
    /// A line for each resource whose last GET failed.
    details: Mutex<HashMap<Resource, ReadinessDetail>>,
}

/// A shared GET. Its callers poll it; it is cancelled when the last caller is gone.
struct SharedGet {
    number: u64,
    result: WeakShared<BoxFuture<'static, GetResult>>,
}

/// Removes a GET from the table when it ends or is cancelled.
struct Removal {
    flights: Arc<SingleFlight>,
    path: String,
    number: u64,
}

impl SingleFlight {
    /// Creates an empty table. At most `max_gets` GETs are in flight at once; others are queued.
    pub(super) fn new(client: ApiClient, max_gets: usize, readiness: Readiness) -> Self {
        Self {
            client,
            permits: Semaphore::new(max_gets.min(Semaphore::MAX_PERMITS)),
            in_flight: Mutex::default(),
            started: AtomicU64::new(0),
            absent: TtlSet::new(ABSENT_TTL, MAX_ABSENT),
            logged: TtlSet::new(LOG_TTL, MAX_ABSENT),
            readiness,
            details: Mutex::default(),
        }
    }

    /// Gets the object at `path`. A GET in flight is shared, and an absence is remembered for [`ABSENT_TTL`].
    pub(super) async fn get(self: &Arc<Self>, resource: Resource, path: String) -> GetResult {
        if self.absent.contains(&path) {
            return Ok(None);
        }
        self.join(resource, path).await
    }

    /// Forgets that the object at `path` is absent, because it was added or changed.
    pub(super) fn forget(&self, path: impl FnOnce() -> String) {
        self.absent.remove(path);
    }

    fn join(self: &Arc<Self>, resource: Resource, path: String) -> Shared<BoxFuture<'static, GetResult>> {
        let mut in_flight = self.in_flight();
        if let Some(result) = in_flight.get(&path).and_then(|get| get.result.upgrade()) {
            return result;
        }
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let removal = Removal { flights: self.clone(), path: path.clone(), number };
        let result = async move { removal.flights.send(resource, &removal.path).await }.boxed().shared();
        if let Some(weak) = result.downgrade() {
            in_flight.insert(path, SharedGet { number, result: weak });
        }
        result
    }

    async fn send(&self, resource: Resource, path: &str) -> GetResult {
        let get = async {
            // The semaphore is never closed.
            let _permit = self.permits.acquire().await;
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
        if found.is_none() {
            self.absent.insert(path.to_owned());
        }
        Ok(found.map(Arc::from))
    }

    /// Reports a failure in the log, once per [`LOG_TTL`], and below the answer of `/readyz`.
    fn report(&self, resource: Resource, error: &ApiError) {
        let line = error.to_string();
        if self.logged.insert((resource, error.code())) {
            tracing::warn!("{line}");
        }
        if error.code().is_none() {
            // The API server is unreachable, which the watches report.
            return;
        }
        let mut details = self.details();
        let detail =
            details.entry(resource).or_insert_with(|| self.readiness.detail(format!("get of {}", resource.name)));
        detail.set(Some(line));
    }

    fn details(&self) -> MutexGuard<'_, HashMap<Resource, ReadinessDetail>> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> MutexGuard<'_, HashMap<String, SharedGet>> {
        // A panic between two changes leaves a map that is still valid.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let mut in_flight = self.flights.in_flight();
        // Another GET may have started since the last caller of this one left.
        if in_flight.get(&self.path).is_some_and(|get| get.number == self.number) {
            in_flight.remove(&self.path);
        }
    }
}
