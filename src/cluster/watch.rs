//! One kind of object, in one namespace or in all: a list in pages, then a watch, for as long as the process lives.
//!
//! kube's own watcher would do, but for what is asked here: that bookmarks count as signs of life, that one object that
//! cannot be decoded is passed over, and that an object is reduced before the next one is decoded.

use std::marker::PhantomData;
use std::time::Duration;

use kube::runtime::watcher::DefaultBackoff;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::Cluster;
use super::freshness::Freshness;
use super::kind::Kind;
use super::request::{self, Cause, Unanswered};
use crate::engine::storage::{Named, Object as _};
use crate::engine::{Listing, Text, object};
use crate::readiness::Condition;

/// As many as kubectl asks for. A page of them is about a megabyte.
const PAGE: usize = 500;

/// An API server sends a bookmark every minute: two that did not come, and some more, are a connection that is dead.
pub(super) const SILENCE: Duration = Duration::from_secs(150);

/// How long a page of a list may take, or the beginning of a watch.
const TIMEOUT: Duration = Duration::from_mins(1);

/// When the API server ends a watch, in seconds, so that watches spread again over its replicas.
pub(super) const WATCH_TIMEOUT: u64 = 290;

/// A watch that ends earlier, or hears nothing, is no good one: without a pause, it would be begun anew without end.
const LASTING: Duration = Duration::from_secs(5);

/// So many failures in a row make a new list.
const MANY: u32 = 3;

/// How often the log tells of a trouble that goes on.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// More than nearly all objects have; a buffer that grew beyond it for one is given back.
const USUAL_LINE: usize = 64 * 1024;

/// A list and then a watch of one kind.
pub(super) struct Watch<K> {
    cluster: Cluster,
    namespace: Option<String>,
    freshness: Freshness,
    /// Whether the last watch said nothing for too long: that one is taken anew tells nothing then.
    silent: bool,
    kind: PhantomData<fn(K)>,
}

/// Why a watch ended.
enum End {
    /// The API server ends each of them some time.
    Ordered,
    /// With a list: what came after the version where it was is no longer known.
    Expired,
    /// Where it was.
    Broken(Unanswered),
}

/// Failures in a row.
struct Trouble {
    in_a_row: u32,
    expired: bool,
    backoff: DefaultBackoff,
    told: Option<Instant>,
}

impl Trouble {
    fn new() -> Self {
        Self { in_a_row: 0, expired: false, backoff: DefaultBackoff::default(), told: None }
    }

    /// One more: how long to pause.
    fn more(&mut self) -> Duration {
        self.in_a_row += 1;
        self.backoff.next().unwrap_or(SILENCE)
    }

    /// Whether the log is to tell of it: of the first, and then now and then.
    fn is_to_be_told(&mut self) -> bool {
        let due = self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if due {
            self.told = Some(Instant::now());
        }
        due
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<PageMetadata<'a>>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata<'a> {
    #[serde(borrow)]
    resource_version: Option<Text<'a>>,
    #[serde(borrow, rename = "continue")]
    rest: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// An object of which nothing but its version is read.
#[derive(Deserialize)]
struct Versioned<'a> {
    #[serde(borrow)]
    metadata: Option<PageMetadata<'a>>,
}

impl<'a> Versioned<'a> {
    fn of(object: &'a RawValue) -> Option<Text<'a>> {
        let read: Self = serde_json::from_str(object.get()).ok()?;
        read.metadata?.resource_version.filter(|version| !version.is_empty())
    }
}

/// The object of an ERROR event.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) message: String,
}

impl Default for Status {
    fn default() -> Self {
        Self { code: 500, message: "an error without a message".to_owned() }
    }
}

impl<K: Kind> Watch<K> {
    /// Of one namespace, or of all.
    pub(super) fn new(cluster: Cluster, namespace: Option<String>, freshness: Freshness) -> Self {
        Self { cluster, namespace, freshness, silent: false, kind: PhantomData }
    }

    /// Lists and watches for ever. `listed` is met by the first complete list.
    pub(super) async fn follow(mut self, listed: Condition) {
        let (mut listed, mut trouble) = (Some(listed), Trouble::new());
        let mut version = None;
        loop {
            let failure = match version.take() {
                None => match self.list().await {
                    Ok((at, count)) => {
                        version = Some(at);
                        if let Some(listed) = listed.take() {
                            listed.met();
                        }
                        // Not before that is so: whoever reads of the last list finds a process that is ready.
                        tracing::info!(resource = K::RESOURCE, namespace = self.namespace, count, "listed");
                        continue;
                    }
                    Err(failure) => failure,
                },
                Some(mut at) => {
                    let begun = Instant::now();
                    let end = self.watch(&mut at).await;
                    let good = begun.elapsed() >= LASTING && self.freshness.heard_within(begun.elapsed());
                    if good {
                        trouble = Trouble::new();
                    }
                    // A version that brings nothing but trouble may be none of this API server's any more.
                    let expired = matches!(end, End::Expired) || trouble.in_a_row >= MANY;
                    version = Some(at).filter(|_| !expired);
                    match end {
                        End::Ordered if good => continue,
                        // As after each restart of an API server; a second one is trouble.
                        End::Expired if !std::mem::replace(&mut trouble.expired, true) => continue,
                        End::Ordered => Self::failed("watch", Cause::EndedAtOnce),
                        End::Expired => Self::failed("watch", Cause::Expired),
                        End::Broken(failure) => failure,
                    }
                }
            };
            self.freshness.lost(&failure.to_string());
            let pause = trouble.more();
            if trouble.is_to_be_told() {
                tracing::warn!(namespace = self.namespace, "{failure}; trying again in {pause:.1?}");
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn failed(verb: &'static str, cause: impl Into<Cause>) -> Unanswered {
        Unanswered::new(verb, K::RESOURCE, K::GROUP, cause)
    }

    /// Reads all pages of a list, and returns the version at which it holds and the number of its objects.
    async fn list(&mut self) -> Result<(String, usize), Unanswered> {
        let failed = |cause: Cause| Unanswered::new("list", K::RESOURCE, K::GROUP, cause);
        let path = K::path(self.namespace.as_deref());
        let listing = self.cluster.update(|inventory| inventory.list(self.namespace.as_deref()));
        let (mut body, mut rest, mut count) = (Vec::new(), String::new(), 0);
        loop {
            let page = format!("{path}?limit={PAGE}{rest}");
            let read = timeout(TIMEOUT, request::read(&self.cluster.client, &page, &mut body));
            read.await.unwrap_or(Err(Cause::Timeout(TIMEOUT.as_secs()))).map_err(failed)?;
            let page: Page<'_> = serde_json::from_slice(&body).map_err(|error| failed(error.into()))?;
            self.freshness.heard();
            count += self.take_in(&listing, &page.items.unwrap_or_default());
            let metadata = page.metadata.unwrap_or_default();
            let Some(token) = Text::non_empty(metadata.rest.as_ref()) else {
                self.cluster.update(|inventory| K::end(inventory, &listing));
                return Ok((metadata.resource_version.as_deref().unwrap_or_default().to_owned(), count));
            };
            rest = format!("&continue={token}");
        }
    }

    /// Adds the objects of a page; objects that cannot be decoded stay as they were known. Returns how many there are.
    fn take_in(&self, listing: &Listing, items: &[&RawValue]) -> usize {
        // Decoded before the lock is taken: a look-up waits for the insertions at most.
        let decoded: Vec<_> = items.iter().map(|item| serde_json::from_str::<K::Object<'_>>(item.get())).collect();
        self.cluster.update(|inventory| {
            for (item, decoded) in items.iter().zip(&decoded) {
                match decoded {
                    Ok(object) => K::insert(inventory, Some(listing), object),
                    Err(error) => {
                        if let Some(named) = Self::undecodable(item, error) {
                            K::keep(inventory, listing, &named);
                        }
                    }
                }
            }
        });
        self.cluster.listed();
        items.len()
    }

    /// Follows the changes from version `at` on, which goes along.
    async fn watch(&mut self, at: &mut String) -> End {
        match self.follow_changes(at).await {
            Ok(()) => End::Ordered,
            Err(failure) if failure.code() == Some(410) => End::Expired,
            Err(failure) => End::Broken(failure),
        }
    }

    async fn follow_changes(&mut self, at: &mut String) -> Result<(), Unanswered> {
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={at}&timeoutSeconds={WATCH_TIMEOUT}",
            K::path(self.namespace.as_deref())
        );
        let opened = timeout(TIMEOUT, request::stream(&self.cluster.client, &path)).await;
        let opened = opened.unwrap_or(Err(Cause::Timeout(TIMEOUT.as_secs())));
        let mut stream = opened.map_err(|cause| Self::failed("watch", cause))?;
        if !self.silent {
            self.freshness.heard();
        }
        let mut line = Vec::new();
        loop {
            let read = timeout(SILENCE, request::line(&mut stream, &mut line)).await;
            self.silent = read.is_err();
            let read = read.map_err(|_| Self::failed("watch", Cause::Silent(SILENCE.as_secs())))?;
            if !read.map_err(|error| Self::failed("watch", error))? {
                return Ok(());
            }
            let event: Event<'_> = serde_json::from_slice(&line).map_err(|error| Self::failed("watch", error))?;
            if &*event.kind == "ERROR" {
                let Status { code, message } = serde_json::from_str(event.object.get()).unwrap_or_default();
                return Err(Self::failed("watch", Cause::Event { code, message }));
            }
            self.freshness.heard();
            self.apply(&event);
            // Even of an object that cannot be decoded, or it would come again and again.
            if let Some(version) = Versioned::of(event.object) {
                (*version).clone_into(at);
            }
            line.shrink_to(USUAL_LINE);
        }
    }

    /// What happened to one object. A bookmark has nothing but its version.
    fn apply(&self, event: &Event<'_>) {
        let json = event.object.get();
        match &*event.kind {
            "ADDED" | "MODIFIED" => match serde_json::from_str::<K::Object<'_>>(json) {
                Ok(object) => {
                    self.cluster.update(|inventory| K::insert(inventory, None, &object));
                    self.cluster.arrived(object.namespace(), object.name());
                }
                Err(error) => drop(Self::undecodable(event.object, &error)),
            },
            "DELETED" => match serde_json::from_str::<Named<'_>>(json) {
                Ok(named) => self.cluster.update(|inventory| K::remove(inventory, &named)),
                Err(error) => drop(Self::undecodable(event.object, &error)),
            },
            _ => {}
        }
    }

    /// Warns of an object that cannot be decoded. Its name often can.
    fn undecodable<'o>(json: &'o RawValue, error: &serde_json::Error) -> Option<Named<'o>> {
        let named = serde_json::from_str::<Named<'o>>(json.get()).ok();
        tracing::warn!(
            resource = K::RESOURCE,
            namespace = named.as_ref().and_then(|named| named.namespace()),
            name = named.as_ref().and_then(|named| named.name()),
            %error,
            "an object cannot be decoded: what was known of it stays"
        );
        named
    }
}

#[cfg(test)]
mod tests;
