//! Reads of objects as JSON.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{ApiClient, ApiError};
use crate::inspect::access::{Access, NotSeen};
use crate::inspect::kinds::ResourceKind;

/// A cluster that is read for one answer.
pub(crate) struct Reader {
    pub(crate) access: Access,
}

impl Reader {
    pub(crate) fn new(client: ApiClient) -> Self {
        Self { access: Access::new(client) }
    }

    /// Lists the objects that `wanted` selects; `None` if they cannot be listed.
    pub(crate) async fn list<T: DeserializeOwned>(
        &mut self,
        kind: ResourceKind,
        namespace: Option<&str>,
        hides: impl fmt::Display,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Option<Vec<T>>, ApiError> {
        let add = |list: &mut Vec<T>, item: &str| {
            list.extend(Some(serde_json::from_str(item)?).filter(&wanted));
            Ok(())
        };
        self.access.list(kind, namespace, hides, add).await
    }

    /// Returns the resources that were read, and what could not be read, each once.
    pub(crate) fn end(self) -> (Vec<String>, Vec<NotSeen>) {
        let mut not_seen: Vec<NotSeen> = Vec::new();
        for one in self.access.not_seen {
            if !not_seen.contains(&one) {
                not_seen.push(one);
            }
        }
        (self.access.seen.into_iter().collect(), not_seen)
    }
}

/// Returns a text in an object.
pub(crate) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
