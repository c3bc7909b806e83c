//! Live GETs: of one object, one at a time, however many ask for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use kube::Client;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::memory::Memory;
use super::request::{self, Cause, Unanswered};
use crate::readiness::{Detail, Readiness};

/// How long a GET may take, the wait for its turn included.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long "there is none" holds: as long as a pod waits, by default. What comes meanwhile, the watch brings.
const NONE_FOR: Duration = Duration::from_secs(2);

/// How many answers are remembered.
const MOST: usize = 1024;

/// What an object's GET said: the object as JSON, or that there is none.
pub(super) type Answer = Result<Option<Arc<[u8]>>, Failed>;

/// The API server did not answer, or refused to; why is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed;

/// How long a refusal is not told of again.
const TOLD_FOR: Duration = Duration::from_mins(1);

/// The GETs that are under way.
#[derive(Debug)]
pub(super) struct Gets {
    seats: Semaphore,
    under_way: Mutex<HashMap<String, UnderWay>>,
    /// Numbers them.
    begun: AtomicU64,
    none: Memory<String>,
    /// Refusals that the log has told of.
    told: Memory<(&'static str, Option<u16>)>,
    readiness: Readiness,
    /// A line for each resource that could not be got the last time.
    details: Mutex<HashMap<&'static str, Detail>>,
}

/// A GET that whoever asks drives on, and that ends with the last one: nobody pays for an answer that nobody awaits.
#[derive(Debug)]
struct UnderWay {
    number: u64,
    answer: WeakShared<BoxFuture<'static, Answer>>,
}

/// Takes a GET out of the table when it ends, however it ends.
struct Entry {
    gets: Arc<Gets>,
    path: String,
    number: u64,
}

impl Gets {
    /// At most `most` are under way at once; others wait for their turn.
    pub(super) fn new(most: usize, readiness: Readiness) -> Self {
        Self {
            seats: Semaphore::new(most.min(Semaphore::MAX_PERMITS)),
            under_way: Mutex::default(),
            begun: AtomicU64::new(0),
            none: Memory::new(NONE_FOR, MOST),
            told: Memory::new(TOLD_FOR, MOST),
            readiness,
            details: Mutex::default(),
        }
    }

    /// The object at `path`, of this resource. A GET that is under way is shared, and "there is none" holds for a while.
    pub(super) async fn get(self: &Arc<Self>, client: &Client, resource: &'static str, path: String) -> Answer {
        if self.none.get(&path).is_some() {
            return Ok(None);
        }
        self.join(client, resource, path).await
    }

    /// The object at `path` came or changed: what was answered holds no more.
    pub(super) fn came(&self, path: impl FnOnce() -> String) {
        self.none.forget(path);
    }

    fn join(
        self: &Arc<Self>,
        client: &Client,
        resource: &'static str,
        path: String,
    ) -> Shared<BoxFuture<'static, Answer>> {
        let mut under_way = self.under_way();
        if let Some(answer) = under_way.get(&path).and_then(|entry| entry.answer.upgrade()) {
            return answer;
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let (client, entry) = (client.clone(), Entry { gets: self.clone(), path: path.clone(), number });
        let answer = async move { entry.gets.ask(&client, resource, &entry.path).await }.boxed().shared();
        if let Some(weak) = answer.downgrade() {
            under_way.insert(path, UnderWay { number, answer: weak });
        }
        answer
    }

    async fn ask(&self, client: &Client, resource: &'static str, path: &str) -> Answer {
        let asked = timeout(PATIENCE, async {
            // The semaphore is never closed.
            let _seat = self.seats.acquire().await;
            let mut body = Vec::new();
            request::read(client, path, &mut body).await.map(|()| body)
        });
        let refused = match asked.await.unwrap_or(Err(Cause::Timeout(PATIENCE.as_secs()))) {
            Ok(body) => {
                self.answered(resource);
                return Ok(Some(body.into()));
            }
            Err(cause) => Unanswered::new("get", resource, "", cause),
        };
        if refused.code() == Some(404) {
            self.answered(resource);
            self.none.add(path.to_owned(), ());
            return Ok(None);
        }
        self.refused(resource, &refused);
        Err(Failed)
    }

    /// Tells of a refusal: in the log, once in a while for each resource, and below the answer of `/readyz`.
    fn refused(&self, resource: &'static str, refused: &Unanswered) {
        let line = refused.to_string();
        if self.told.add((resource, refused.code()), ()) {
            tracing::warn!("{line}");
        }
        if refused.code().is_none() {
            // Nobody answered: the watches tell.
            return;
        }
        let mut details = self.details();
        let detail = details.entry(resource).or_insert_with(|| self.readiness.detail(format!("get of {resource}")));
        detail.set(Some(line));
    }

    fn answered(&self, resource: &'static str) {
        self.details().remove(resource);
    }

    fn details(&self) -> MutexGuard<'_, HashMap<&'static str, Detail>> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, UnderWay>> {
        // A panic between two changes leaves a map that is still a map.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut under_way = self.gets.under_way();
        // Another may have begun since the last one who awaited this one went away.
        if under_way.get(&self.path).is_some_and(|entry| entry.number == self.number) {
            under_way.remove(&self.path);
        }
    }
}
