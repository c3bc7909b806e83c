//! Requests that keep nothing, many at once.

use colocate_harness::{Api, Reply, background};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

/// How many requests are under way at once.
const AT_ONCE: usize = 16;

/// A request to make an object, or to change one.
#[derive(Clone)]
pub(crate) struct DryRun {
    /// The collection, or where the object is.
    path: String,
    /// As it is to be.
    pub(crate) object: Value,
    is_update: bool,
}

impl DryRun {
    /// Of a new object in a collection.
    pub(crate) fn create(collection: String, object: Value) -> Self {
        Self { path: collection, object, is_update: false }
    }

    /// Of one that is there, whoever has changed it in the meantime: controllers do so with new ones. (With custom resources they
    /// do not, and a change of those must say of which version it is.)
    pub(crate) fn update(collection: &str, mut object: Value) -> Self {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        if ["v1", "apps/v1", "batch/v1", "storage.k8s.io/v1"].contains(&version) {
            object["metadata"].as_object_mut().expect("it is a mapping").remove("resourceVersion");
        }
        let name = object["metadata"]["name"].as_str().expect("it has a name");
        Self { path: format!("{collection}/{name}"), object, is_update: true }
    }

    async fn ask(&self, api: &Api) -> Reply {
        let path = format!("{}?dryRun=All", self.path);
        if self.is_update { api.replace(&path, &self.object).await } else { api.create(&path, &self.object).await }
    }
}

/// Asks for all of them; the replies are in their order.
pub(crate) fn ask_all<'d>(api: &Api, all: impl Iterator<Item = &'d DryRun>) -> Vec<Reply> {
    let replies = stream::iter(all).map(|dry_run| dry_run.ask(api)).buffered(AT_ONCE);
    background().block_on(replies.collect())
}

/// Makes objects, each in its collection, and returns them as they are stored.
pub(crate) fn store_all(api: &Api, all: impl Iterator<Item = (String, Value)>) -> Vec<Value> {
    let store = async |(collection, object): (String, Value)| {
        let reply = api.create(&collection, &object).await;
        assert!(reply.status.is_success(), "{object}: {reply:?}");
        reply.object.0
    };
    background().block_on(stream::iter(all).map(store).buffered(AT_ONCE).collect())
}
