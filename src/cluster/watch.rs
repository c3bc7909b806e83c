//! One kind of object, in one namespace or in all: a list in pages, then a watch, for as long as the process lives.
//!
//! kube's own watcher would do, but for what is asked here: that bookmarks count as signs of life, that one object that
//! cannot be decoded is passed over, and that an object is reduced before the next one is decoded.

use std::marker::PhantomData;
use std::time::Duration;

use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::Cluster;
use super::freshness::Freshness;
use super::kind::Kind;
use super::request::{self, Cause, Unanswered};
use crate::engine::{Listing, Text, object};
use crate::readiness::Condition;
use crate::storage::{Named, Object as _};

/// As many as kubectl asks for. A page of them is about a megabyte.
const PAGE: usize = 500;

/// An API server sends a bookmark every minute: two that did not come, and some more, are a connection that is dead.
pub(super) const SILENCE: Duration = Duration::from_secs(150);

/// How long a page of a list may take.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);

/// When the API server ends a watch, in seconds, so that watches spread again over its replicas.
pub(super) const WATCH_TIMEOUT: u64 = 290;

/// More than nearly all objects have; a buffer that grew beyond it for one is given back.
const USUAL_LINE: usize = 64 * 1024;

/// A list and then a watch of one kind.
pub(super) struct Watch<K> {
    cluster: Cluster,
    namespace: Option<String>,
    freshness: Freshness,
    kind: PhantomData<fn(K)>,
}

/// Why a watch has to begin anew.
enum End {
    /// With a list: what came after the version where it was is no longer known.
    Expired,
    /// Where it was.
    Broken(Unanswered),
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
        Self { cluster, namespace, freshness, kind: PhantomData }
    }

    /// Lists and watches for ever. `listed` is met by the first complete list.
    pub(super) async fn follow(mut self, listed: Condition) {
        let mut listed = Some(listed);
        let mut backoff = DefaultBackoff::default();
        let mut version: Option<String> = None;
        loop {
            let failure = match version.take() {
                None => match self.list().await {
                    Ok(listed_at) => {
                        if let Some(listed) = listed.take() {
                            listed.met();
                        }
                        version = Some(listed_at);
                        continue;
                    }
                    Err(failure) => failure,
                },
                Some(mut at) => match self.watch(&mut at).await {
                    Ok(()) => {
                        version = Some(at);
                        continue;
                    }
                    Err(End::Expired) => {
                        tracing::info!(resource = K::RESOURCE, namespace = self.namespace, "listing anew");
                        continue;
                    }
                    Err(End::Broken(failure)) => {
                        version = Some(at);
                        failure
                    }
                },
            };
            let pause = backoff.next().unwrap_or(SILENCE);
            tracing::warn!(namespace = self.namespace, "{failure}; trying again in {pause:.1?}");
            self.freshness.lost(&failure.to_string());
            tokio::time::sleep(pause).await;
            if self.freshness.heard_within(SILENCE) {
                backoff.reset();
            }
        }
    }

    /// Reads all pages of a list, and returns the version at which it holds.
    async fn list(&mut self) -> Result<String, Unanswered> {
        let failed = |cause: Cause| Unanswered::new("list", K::RESOURCE, K::GROUP, cause);
        let path = K::path(self.namespace.as_deref());
        let listing = self.cluster.update(|inventory| inventory.list(self.namespace.as_deref()));
        let (mut body, mut rest, mut count) = (Vec::new(), String::new(), 0);
        loop {
            let page = format!("{path}?limit={PAGE}{rest}");
            let read = timeout(PAGE_TIMEOUT, request::read(&self.cluster.client, &page, &mut body));
            read.await.unwrap_or(Err(Cause::Silent(PAGE_TIMEOUT.as_secs()))).map_err(failed)?;
            let page: Page<'_> = serde_json::from_slice(&body).map_err(|error| failed(error.into()))?;
            self.freshness.heard();
            count += self.take_in(&listing, &page.items.unwrap_or_default());
            let metadata = page.metadata.unwrap_or_default();
            let Some(token) = Text::non_empty(metadata.rest.as_ref()) else {
                self.cluster.update(|inventory| K::end(inventory, &listing));
                tracing::info!(resource = K::RESOURCE, namespace = self.namespace, count, "listed");
                return Ok(metadata.resource_version.as_deref().unwrap_or_default().to_owned());
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

    /// Follows the changes from version `at` on, which goes along, until the API server ends the watch in order.
    async fn watch(&mut self, at: &mut String) -> Result<(), End> {
        let failed = |cause: Cause| End::Broken(Unanswered::new("watch", K::RESOURCE, K::GROUP, cause));
        let silent = || Cause::Silent(SILENCE.as_secs());
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={at}&timeoutSeconds={WATCH_TIMEOUT}",
            K::path(self.namespace.as_deref())
        );
        let opened = timeout(SILENCE, request::stream(&self.cluster.client, &path)).await;
        let mut stream = match opened.unwrap_or_else(|_| Err(silent())).map_err(failed) {
            Err(End::Broken(failure)) if failure.code() == Some(410) => return Err(End::Expired),
            opened => opened?,
        };
        self.freshness.heard();
        let mut line = Vec::new();
        loop {
            let read = timeout(SILENCE, request::line(&mut stream, &mut line)).await;
            if !read.map_err(|_| failed(silent()))?.map_err(|error| failed(error.into()))? {
                return Ok(());
            }
            self.freshness.heard();
            let event = serde_json::from_slice(&line).map_err(|error| failed(error.into()))?;
            self.apply(&event, at)?;
            line.shrink_to(USUAL_LINE);
        }
    }

    fn apply(&self, event: &Event<'_>, at: &mut String) -> Result<(), End> {
        let json = event.object.get();
        let failed = |cause: Cause| End::Broken(Unanswered::new("watch", K::RESOURCE, K::GROUP, cause));
        if &*event.kind == "ERROR" {
            let Status { code, message } = serde_json::from_str(json).unwrap_or_default();
            return Err(if code == 410 { End::Expired } else { failed(Cause::Event { code, message }) });
        }
        let named: Named<'_> = serde_json::from_str(json).map_err(|error| failed(error.into()))?;
        match &*event.kind {
            "ADDED" | "MODIFIED" => match serde_json::from_str::<K::Object<'_>>(json) {
                Ok(object) => {
                    self.cluster.update(|inventory| K::insert(inventory, None, &object));
                    self.cluster.arrived(named.namespace(), named.name());
                }
                Err(error) => {
                    Self::undecodable(event.object, &error);
                }
            },
            "DELETED" => self.cluster.update(|inventory| K::remove(inventory, &named)),
            // A bookmark has nothing but its version.
            _ => {}
        }
        if let Some(version) = named.resource_version() {
            version.clone_into(at);
        }
        Ok(())
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
