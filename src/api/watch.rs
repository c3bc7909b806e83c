//! The watch loop: the present state, then its changes, for as long as the process lives.
//!
//! kube's own watcher does not meet three requirements: bookmarks count as signs of life, an object that cannot be
//! decoded does not end the watch, and each object is reduced before the next one is decoded.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures_util::{AsyncBufRead, AsyncBufReadExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout};

use super::client::ApiClient;
use super::request::{ApiError, Cause, Resource, Status};
use crate::engine::{Text, object};

/// An API server sends a bookmark every minute. A connection that misses two of them is dead.
const SILENCE: Duration = Duration::from_secs(150);

/// The longest time that a watch may take to open.
const OPEN_TIMEOUT: Duration = Duration::from_mins(1);

/// The number of seconds after which the API server ends a watch, so that watches spread over its replicas again.
const WATCH_SECONDS: u64 = 290;

/// A watch that ends sooner counts as a failure and is retried with back-off, not in a tight loop.
const LASTING: Duration = Duration::from_secs(5);

/// After this many consecutive failures, the present state is read again: the version may belong to another API server.
const MAX_FAILURES: u32 = 3;

/// The interval at which a persistent failure is logged.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// The first pause after a failure, and the longest; each is twice as long as the one before, plus a random part of the
/// same length.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(800), Duration::from_secs(30));

/// A line buffer that grew beyond this size for one object is shrunk again. Nearly all objects are smaller.
const LINE_CAPACITY: usize = 64 * 1024;

/// Objects that are followed by [`follow`].
pub(crate) trait Watch: Send {
    /// Returns the resource that is watched.
    fn resource(&self) -> Resource;

    /// Returns the path of the collection, with its selectors as a query that ends with `&`:
    /// `/api/v1/pods?labelSelector=x&`.
    fn query(&self) -> String;

    /// Returns the name of this watch in log lines.
    fn name(&self) -> String;

    /// Reads the present state, and returns the version from which its changes follow; empty if the object does not
    /// exist.
    fn read(&mut self, client: &ApiClient) -> impl Future<Output = Result<String, ApiError>> + Send;

    /// Applies a change. `Err` ends the watch as failed.
    fn apply(&mut self, event: &WatchEvent<'_>) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Called when the API server gives a sign of life.
    fn heard(&mut self) {}

    /// Called when the connection is lost.
    fn lost(&mut self, _reason: &ApiError) {}
}

/// A line of a watch.
#[derive(Deserialize)]
pub(crate) struct WatchEvent<'a> {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Text<'a>,
    /// The object.
    #[serde(borrow)]
    pub(crate) object: &'a RawValue,
}

/// An object, decoded only as far as its version.
#[derive(Deserialize)]
struct Versioned<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<ListMeta<'a>>,
}

/// The metadata of a list, and of an object as far as it is read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMeta<'a> {
    /// The version from which a watch can follow.
    #[serde(borrow)]
    pub(crate) resource_version: Option<Text<'a>>,
    /// The token of the next page; absent or empty at the end.
    #[serde(borrow, rename = "continue")]
    pub(crate) rest: Option<Text<'a>>,
}

/// Consecutive failures.
struct Failures {
    count: u32,
    expired: bool,
    backoff: ExponentialBackoff,
    logged: Option<Instant>,
}

impl Failures {
    fn none() -> Self {
        let (first, longest) = BACKOFF;
        let backoff = ExponentialBuilder::new().with_min_delay(first).with_max_delay(longest);
        let backoff = backoff.with_factor(2.0).with_jitter().without_max_times().build();
        Self { count: 0, expired: false, backoff, logged: None }
    }

    /// Counts a failure, and returns the pause before the next attempt.
    fn add(&mut self) -> Duration {
        self.count += 1;
        self.backoff.next().unwrap_or(BACKOFF.1)
    }

    /// Returns true if the failure should be logged: the first, and then once per [`LOG_INTERVAL`].
    fn should_log(&mut self) -> bool {
        let due = self.logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL);
        if due {
            self.logged = Some(Instant::now());
        }
        due
    }
}

/// Reads the present state of `watch` and follows its changes. Never returns.
pub(crate) async fn follow(client: ApiClient, mut watch: impl Watch) {
    let mut failures = Failures::none();
    let mut session = Session { last_heard: Instant::now(), silent: false };
    let mut version = None;
    loop {
        let error = match version.take() {
            None => match watch.read(&client).await {
                Ok(at) => {
                    version = Some(at);
                    continue;
                }
                Err(error) => error,
            },
            Some(mut at) => {
                let started = Instant::now();
                let end = session.follow_changes(&client, &mut watch, &mut at).await;
                let good = started.elapsed() >= LASTING && session.last_heard >= started;
                if good {
                    failures = Failures::none();
                }
                // The API server no longer has the changes since the version.
                let expired = end.as_ref().is_err_and(|error| error.code() == Some(410));
                version = Some(at).filter(|_| !expired && failures.count < MAX_FAILURES);
                match end {
                    // The API server ends each watch regularly after some time.
                    Ok(()) if good => continue,
                    // Happens after each restart of an API server. A second one in a row is a failure.
                    Err(_) if expired && !std::mem::replace(&mut failures.expired, true) => continue,
                    Ok(()) => watch.resource().failed("watch", Cause::EndedAtOnce),
                    Err(error) => error,
                }
            }
        };
        watch.lost(&error);
        let pause = failures.add();
        if failures.should_log() {
            tracing::warn!(watch = watch.name(), "{error}; retrying in {pause:.1?}");
        }
        sleep(pause).await;
    }
}

struct Session {
    last_heard: Instant,
    /// Whether the last watch fell silent. Then opening the next one is not a sign of life.
    silent: bool,
}

impl Session {
    /// Applies the changes after version `at`, which moves along.
    async fn follow_changes(
        &mut self,
        client: &ApiClient,
        watch: &mut impl Watch,
        at: &mut String,
    ) -> Result<(), ApiError> {
        let resource = watch.resource();
        let path = format!(
            "{}watch=true&allowWatchBookmarks=true&resourceVersion={at}&timeoutSeconds={WATCH_SECONDS}",
            watch.query()
        );
        let mut stream = client.watch(resource, &path, OPEN_TIMEOUT).await?;
        if !self.silent {
            self.heard(watch);
        }
        let mut line = Vec::new();
        loop {
            let read = timeout(SILENCE, read_line(&mut stream, &mut line)).await;
            self.silent = read.is_err();
            let read = read.map_err(|_| resource.failed("watch", Cause::Silent(SILENCE.as_secs())))?;
            if !read.map_err(|error| resource.failed("watch", error))? {
                return Ok(());
            }
            let event: WatchEvent<'_> = resource.decode("watch", &line)?;
            if &*event.kind == "ERROR" {
                let status: Status = serde_json::from_str(event.object.get()).unwrap_or_default();
                return Err(resource.failed("watch", status.into_cause()));
            }
            self.heard(watch);
            watch.apply(&event).await?;
            // Advances past an object that cannot be decoded, too: otherwise, the object would be sent again and again.
            if let Some(version) = version_of(&event) {
                (*version).clone_into(at);
            }
            line.shrink_to(LINE_CAPACITY);
        }
    }

    fn heard(&mut self, watch: &mut impl Watch) {
        self.last_heard = Instant::now();
        watch.heard();
    }
}

fn version_of<'a>(event: &WatchEvent<'a>) -> Option<Text<'a>> {
    let read: Versioned<'_> = serde_json::from_str(event.object.get()).ok()?;
    read.metadata?.resource_version.filter(|version| !version.is_empty())
}

/// Reads the next line into `line`, in place of its contents; `false` at the end.
async fn read_line(stream: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    Ok(stream.read_until(b'\n', line).await? > 0)
}

#[cfg(test)]
pub(crate) mod tests;
