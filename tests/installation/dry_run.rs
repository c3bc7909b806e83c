//! Dry-run requests, many at a time.

use colocate_harness::{Api, Reply, background};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

/// The number of requests in flight.
const AT_ONCE: usize = 16;

/// A request to create or change an object.
#[derive(Clone)]
pub(crate) struct DryRun {
    /// The path of the collection, or of the object.
    path: String,
    /// The new object.
    pub(crate) object: Value,
    is_update: bool,
}

impl DryRun {
    /// Returns a request to create an object in a collection.
    pub(crate) fn create(collection: String, object: Value) -> Self {
        Self { path: collection, object, is_update: false }
    }

    /// Returns a request to change an existing object, even if it has changed in the meantime: controllers change new
    /// objects. (They do not change custom resources, whose updates must name their version.)
    pub(crate) fn update(collection: &str, mut object: Value) -> Self {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        if ["v1", "apps/v1", "batch/v1", "storage.k8s.io/v1"].contains(&version) {
            object["metadata"].as_object_mut().expect("metadata is a mapping").remove("resourceVersion");
        }
        let name = object["metadata"]["name"].as_str().expect("the object has a name");
        Self { path: format!("{collection}/{name}"), object, is_update: true }
    }

    async fn send(&self, api: &Api) -> Reply {
        let path = format!("{}?dryRun=All", self.path);
        if self.is_update { api.replace(&path, &self.object).await } else { api.create(&path, &self.object).await }
    }
}

/// Sends all requests, and returns the replies in the same order.
pub(crate) fn send_all<'d>(api: &Api, all: impl Iterator<Item = &'d DryRun>) -> Vec<Reply> {
    let replies = stream::iter(all).map(|dry_run| dry_run.send(api)).buffered(AT_ONCE);
    background().block_on(replies.collect())
}

/// Creates objects, each in its collection, and returns them as they are stored.
pub(crate) fn store_all(api: &Api, all: impl Iterator<Item = (String, Value)>) -> Vec<Value> {
    let store = async |(collection, object): (String, Value)| {
        let reply = api.create(&collection, &object).await;
        assert!(reply.status.is_success(), "{object}: {reply:?}");
        reply.object.0
    };
    background().block_on(stream::iter(all).map(store).buffered(AT_ONCE).collect())
}
