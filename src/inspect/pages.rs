//! Lists in pages. Each page is decoded and dropped before the next one is read, so memory does not grow with the cluster.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::kinds::ResourceKind;
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
    /// Whether its last pages are as of a later time than the first ones.
    pub(super) is_inconsistent: bool,
}

/// Lists the objects of a kind, and adds each to a `T`. If the list expires before its last page (410 Gone), it is read once
/// more from the start, with a new `T`. If it expires again, because it takes longer than the API server keeps a version, the rest is
/// read as of a later time. Each object that exists all the time is then still added once.
///
/// # Errors
/// If the API server does not answer, or the list expires and cannot be continued (410).
pub(super) async fn list<T: Default>(
    client: &ApiClient,
    kind: ResourceKind,
    namespace: Option<&str>,
    mut add: impl FnMut(&mut T, &str) -> serde_json::Result<()>,
) -> Result<Listed<T>, ApiError> {
    match list_once(client, kind, namespace, &mut add, false).await {
        Err(error) if error.code() == Some(410) => list_once(client, kind, namespace, &mut add, true).await,
        result => result,
    }
}

async fn list_once<T: Default>(
    client: &ApiClient,
    kind: ResourceKind,
    namespace: Option<&str>,
    add: &mut impl FnMut(&mut T, &str) -> serde_json::Result<()>,
    is_continued: bool,
) -> Result<Listed<T>, ApiError> {
    let path = kind.path(namespace);
    let (mut listed, mut body, mut rest) = (Listed::<T>::default(), Vec::new(), String::new());
    // A token of an expired list is new, so an API server that rejects it at once is not asked again.
    let mut is_new = false;
    let continued = |token: &str| format!("&continue={}", percent_encode(token.as_bytes(), NON_ALPHANUMERIC));
    loop {
        let read = client.list(kind.resource, &format!("{path}?limit={PAGE}{rest}"), PAGE_TIMEOUT, &mut body).await;
        match read {
            Err(error) if is_continued && !is_new && !rest.is_empty() => {
                let Some(token) = error.rest() else { return Err(error) };
                rest = continued(token);
                (listed.is_inconsistent, is_new) = (true, true);
                continue;
            }
            read => read?,
        }
        is_new = false;
        let page: Page<'_> = kind.resource.decode("list", &body)?;
        for item in page.items.unwrap_or_default() {
            if let Err(error) = add(&mut listed.value, item.get()) {
                listed.undecodable += 1;
                listed.first_error.get_or_insert(error);
            }
        }
        let metadata = page.metadata.unwrap_or_default();
        let Some(token) = Text::non_empty(metadata.rest.as_ref()) else { return Ok(listed) };
        rest = continued(token);
    }
}

#[cfg(test)]
mod tests {
    use hyper::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::inspect::kinds::PODS;

    /// Lists numbers from these answers. Returns the result and the queries of the requests.
    async fn list_of(answers: &[(u16, Value)]) -> (Result<Listed<Vec<u64>>, ApiError>, Vec<String>) {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = ApiClient::for_test(Client::new(service, "default"));
        let server = async {
            let mut queries = Vec::new();
            for (status, body) in answers {
                let (request, respond) = handle.next_request().await.unwrap();
                queries.push(request.uri().query().unwrap_or_default().to_owned());
                let body = Body::from(body.to_string().into_bytes());
                respond.send_response(Response::builder().status(*status).body(body).unwrap());
            }
            queries
        };
        let listed = list(&client, PODS, None, |numbers: &mut Vec<u64>, item| {
            numbers.push(serde_json::from_str(item)?);
            Ok(())
        });
        tokio::join!(listed, server)
    }

    fn page(items: &Value, rest: &str) -> (u16, Value) {
        (200, json!({"metadata": {"continue": rest}, "items": items}))
    }

    fn gone() -> (u16, Value) {
        (410, json!({"kind": "Status", "code": 410, "message": "too old"}))
    }

    #[tokio::test]
    async fn all_pages_are_read() {
        let (listed, queries) = list_of(&[page(&json!([1, 2]), "a/b=="), page(&json!([3]), "")]).await;
        assert_eq!(listed.unwrap().value, [1, 2, 3]);
        assert_eq!(queries, ["limit=500", "limit=500&continue=a%2Fb%3D%3D"]);
    }

    #[tokio::test]
    async fn a_list_that_expires_is_read_once_more_from_the_start() {
        let first = || page(&json!([1, 2]), "next");
        let (listed, queries) = list_of(&[first(), gone(), first(), page(&json!([3]), "")]).await;
        let listed = listed.unwrap();
        assert_eq!(listed.value, [1, 2, 3]);
        assert_eq!(queries.len(), 4);
        assert!(!listed.is_inconsistent);
        let (listed, _) = list_of(&[first(), gone(), first(), gone()]).await;
        assert_eq!(listed.unwrap_err().code(), Some(410));
    }

    #[tokio::test]
    async fn the_rest_of_a_list_that_expires_again_is_read_as_of_a_later_time() {
        let first = || page(&json!([1, 2]), "next");
        let later = |token: &str| {
            (410, json!({"kind": "Status", "code": 410, "message": "too old", "metadata": {"continue": token}}))
        };
        let answers =
            [first(), later("a"), first(), later("b="), page(&json!([3]), "c"), later("d"), page(&json!([4]), "")];
        let (listed, queries) = list_of(&answers).await;
        let Listed { value, is_inconsistent, .. } = listed.unwrap();
        assert_eq!((value, is_inconsistent), (vec![1, 2, 3, 4], true));
        let continued = ["", "&continue=next", "", "&continue=next", "&continue=b%3D", "&continue=c", "&continue=d"];
        assert_eq!(queries, continued.map(|rest| format!("limit=500{rest}")));
        // An API server that rejects its own new token is not asked without end.
        let (listed, _) = list_of(&[first(), gone(), first(), later("b"), later("c")]).await;
        assert_eq!(listed.unwrap_err().code(), Some(410));
    }

    #[tokio::test]
    async fn objects_that_cannot_be_decoded_are_counted() {
        let (listed, _) = list_of(&[page(&json!([1, "x", 2, {}]), "")]).await;
        let Listed { value, undecodable, first_error, .. } = listed.unwrap();
        assert_eq!((value, undecodable), (vec![1, 2], 2));
        assert!(first_error.unwrap().to_string().contains("\"x\""));
        let (listed, _) = list_of(&[(200, json!({"items": null}))]).await;
        assert_eq!(listed.unwrap().value, [0_u64; 0]);
    }
}
