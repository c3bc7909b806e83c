//! Lists in pages. Each page is decoded and dropped before the next one is read, so memory does not grow with the cluster.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::kinds::Kind;
use crate::api::{ApiClient, ApiError, ListMeta};
use crate::engine::{Text, object};

/// The page size of a list, the same as kubectl's. A page of pods is 4 to 8 MB.
const PAGE: usize = 500;

/// The longest time that a page may take.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<ListMeta<'a>>,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

/// A list that was read to its end.
#[derive(Debug, Default)]
pub(super) struct Listed<T> {
    /// The result.
    pub(super) value: T,
    /// The number of objects that could not be decoded.
    pub(super) undecodable: u64,
    /// The error of the first of them.
    pub(super) first_error: Option<serde_json::Error>,
}

/// Lists the objects of a kind, and adds each to a `T`. If the list expires before its last page (410 Gone), it is read once
/// more from the start, with a new `T`.
///
/// # Errors
/// If the API server does not answer, or the list expires again.
pub(super) async fn list<T: Default>(
    client: &ApiClient,
    kind: Kind,
    namespace: Option<&str>,
    mut add: impl FnMut(&mut T, &str) -> serde_json::Result<()>,
) -> Result<Listed<T>, ApiError> {
    match list_once(client, kind, namespace, &mut add).await {
        Err(error) if error.code() == Some(410) => list_once(client, kind, namespace, &mut add).await,
        result => result,
    }
}

async fn list_once<T: Default>(
    client: &ApiClient,
    kind: Kind,
    namespace: Option<&str>,
    add: &mut impl FnMut(&mut T, &str) -> serde_json::Result<()>,
) -> Result<Listed<T>, ApiError> {
    let path = kind.path(namespace);
    let (mut listed, mut body, mut rest) = (Listed::<T>::default(), Vec::new(), String::new());
    loop {
        client.list(kind.resource, &format!("{path}?limit={PAGE}{rest}"), PAGE_TIMEOUT, &mut body).await?;
        let page: Page<'_> = kind.resource.decode("list", &body)?;
        for item in page.items.unwrap_or_default() {
            if let Err(error) = add(&mut listed.value, item.get()) {
                listed.undecodable += 1;
                listed.first_error.get_or_insert(error);
            }
        }
        let metadata = page.metadata.unwrap_or_default();
        let Some(token) = Text::non_empty(metadata.rest.as_ref()) else { return Ok(listed) };
        rest = format!("&continue={}", percent_encode(token.as_bytes(), NON_ALPHANUMERIC));
    }
}
