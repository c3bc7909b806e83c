use std::cell::Cell;

use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use super::*;
use crate::inspect::kinds::{CLASSES, CONFIG_MAPS, PODS, STRATEGIES};

/// Lists pods in `shop` and classes, as [`read_kinds`].
async fn read(
    answer: impl Fn(&str) -> (u16, Value),
) -> (Vec<Result<Listing<Vec<String>>, ApiError>>, Access, Vec<String>) {
    read_kinds([PODS, CLASSES], answer).await
}

/// Lists two kinds, each twice, with these answers by path. Returns their lists, the access, and the requested paths.
async fn read_kinds(
    [one, other]: [ResourceKind; 2],
    answer: impl Fn(&str) -> (u16, Value),
) -> (Vec<Result<Listing<Vec<String>>, ApiError>>, Access, Vec<String>) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let mut access = Access::new(ApiClient::for_test(Client::new(service, "default")));
    let server = async {
        let mut paths = Vec::new();
        while let Some((request, respond)) = handle.next_request().await {
            let path = request.uri().path().to_owned();
            let (status, body) = answer(&path);
            let body = Body::from(body.to_string().into_bytes());
            respond.send_response(Response::builder().status(status).body(body).unwrap());
            paths.push(path);
        }
        paths
    };
    let client = async {
        let mut lists = Vec::new();
        for kind in [one, one, other, other] {
            let add = |names: &mut Vec<String>, item: &str| {
                names.push(serde_json::from_str(item)?);
                Ok(())
            };
            lists.push(access.try_list(kind, Some("shop"), "the rest", add).await);
        }
        // Ends the server.
        let (service, _) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        access.client = ApiClient::for_test(Client::new(service, "default"));
        (lists, access)
    };
    let ((lists, access), paths) = tokio::join!(client, server);
    (lists, access, paths)
}

fn review(allowed: bool) -> (u16, Value) {
    (201, json!({"status": {"allowed": allowed}}))
}

fn rejection(code: u16) -> (u16, Value) {
    (code, json!({"kind": "Status", "code": code, "message": "no"}))
}

const PODS_PATH: &str = "/api/v1/namespaces/shop/pods";

#[tokio::test]
async fn each_permission_is_checked_once_before_the_first_read() {
    let (lists, access, paths) = read(|path| match path {
        REVIEWS_PATH => review(true),
        PODS_PATH => (200, json!({"items": ["a"]})),
        _ => (200, json!({"items": ["b", 1]})),
    })
    .await;
    let lists: Vec<_> = lists.into_iter().map(Result::unwrap).collect();
    let all = |name: &str| Listing::All(vec![name.to_owned()]);
    assert_eq!(lists, [all("a"), all("a"), all("b"), all("b")]);
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    assert_eq!(paths, [REVIEWS_PATH, PODS_PATH, PODS_PATH, REVIEWS_PATH, classes, classes]);
    assert_eq!(access.seen.iter().collect::<Vec<_>>(), ["pods", "storageclasses.storage.k8s.io"]);
    // What cannot be decoded is hidden, too.
    let why = "1 cannot be decoded; the first: invalid type: integer `1`, expected a string at line 1 column 1";
    assert_eq!(access.not_seen[0].why, why);
}

#[tokio::test]
async fn a_missing_permission_is_one_entry_with_everything_that_it_hides() {
    let (_, mut access, _) = read(|_| review(false)).await;
    for hides in ["a claim", "the rest", "a claim"] {
        access.denied("list", PODS, Some("shop"), hides);
    }
    access.denied("get", PODS, Some("shop"), "a claim");
    let pods = access.not_seen.iter().filter(|one| one.resource == "pods");
    assert_eq!(pods.map(|one| &*one.hides).collect::<Vec<_>>(), ["the rest; a claim", "a claim"]);
}

#[tokio::test]
async fn without_a_permission_nothing_is_requested() {
    let (lists, access, paths) = read(|_| review(false)).await;
    assert!(lists.into_iter().all(|list| list.unwrap() == Listing::NotSeen));
    assert_eq!(paths, [REVIEWS_PATH, REVIEWS_PATH]);
    let lines: Vec<_> = access.not_seen.iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "pods: not permitted to list in namespace shop; not known as a result: the rest");
    assert_eq!(lines[1], "storageclasses.storage.k8s.io: not permitted to list; not known as a result: the rest");
    assert!(access.seen.is_empty());
}

#[tokio::test]
async fn a_denied_read_is_not_seen_and_a_kind_that_is_not_served_is_known_to_be_absent() {
    // The user may not even ask.
    let (lists, access, _) = read_kinds([PODS, STRATEGIES], |path| match path {
        REVIEWS_PATH | PODS_PATH => rejection(403),
        // The answer for a group that is not served.
        _ => (404, "404 page not found".into()),
    })
    .await;
    let lists: Vec<_> = lists.into_iter().map(Result::unwrap).collect();
    assert_eq!(lists, [Listing::NotSeen, Listing::NotSeen, Listing::NotServed, Listing::NotServed]);
    assert!(access.not_seen.iter().all(|not_seen| not_seen.resource == "pods"));
}

#[tokio::test]
async fn a_list_that_expires_again_and_again_is_not_seen_or_of_several_times() {
    let expired = |rest: &str| {
        (410, json!({"kind": "Status", "code": 410, "message": "too old", "metadata": {"continue": rest}}))
    };
    let list = async |token: &'static str| {
        // The query is not part of the path.
        let pages = Cell::new(0);
        read_kinds([PODS, PODS], move |path| {
            if path == REVIEWS_PATH {
                return review(true);
            }
            pages.set(pages.get() + 1);
            match pages.get() {
                1 | 3 => (200, json!({"metadata": {"continue": "next"}, "items": ["a"]})),
                2 | 4 => expired(token),
                _ => (200, json!({"items": ["b"]})),
            }
        })
        .await
    };
    let (mut lists, access, _) = list("").await;
    assert_eq!(lists.remove(0).unwrap(), Listing::NotSeen);
    assert_eq!(access.not_seen[0].why, "the list expired twice before its last page");
    assert_eq!(access.not_seen[0].hides, "the rest");
    let (mut lists, access, _) = list("later").await;
    assert_eq!(lists.remove(0).unwrap(), Listing::All(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(access.not_seen[0].why, "the list expired twice, so its last part is as of a later time");
    assert_eq!(access.not_seen.len(), 1);
}

#[tokio::test]
async fn a_server_without_core_kinds_is_not_an_api_server() {
    for denies_reviews in [true, false] {
        let answer = |path: &str| match path {
            REVIEWS_PATH if denies_reviews => rejection(403),
            _ => rejection(404),
        };
        let (lists, _, _) = read_kinds([PODS, CLASSES], answer).await;
        for list in lists {
            let error = list.unwrap_err();
            assert_eq!(error.code(), None);
            assert!(error.to_string().contains("so it is not a Kubernetes API server"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_object_is_absent_only_if_an_api_server_says_so() {
    let page: Value = "404 page not found".into();
    let status = rejection(404).1;
    for (kind, body, is_absent) in
        [(PODS, &status, true), (PODS, &page, false), (STRATEGIES, &page, true), (CONFIG_MAPS, &page, false)]
    {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let mut access = Access::new(ApiClient::for_test(Client::new(service, "default")));
        let server = async {
            for (code, body) in [review(true), (404, body.clone())] {
                let (_, respond) = handle.next_request().await.unwrap();
                let body = Body::from(body.to_string().into_bytes());
                respond.send_response(Response::builder().status(code).body(body).unwrap());
            }
        };
        let (found, ()) = tokio::join!(access.get(kind, Some("shop"), "a", "the rest"), server);
        assert_eq!(matches!(found, Ok(Found::Absent)), is_absent, "{found:?}");
    }
}

#[tokio::test]
async fn a_role_may_grant_one_object_by_name() {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let mut access = Access::new(ApiClient::for_test(Client::new(service, "default")));
    let server = async {
        let mut names = Vec::new();
        while let Some((request, respond)) = handle.next_request().await {
            let is_review = request.uri().path() == REVIEWS_PATH;
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
            let name = &asked["spec"]["resourceAttributes"]["name"];
            let (status, answer) = if is_review { review(name == "own") } else { (200, json!({"kind": "ConfigMap"})) };
            names.extend(is_review.then(|| name.clone()));
            let answer = Body::from(answer.to_string().into_bytes());
            respond.send_response(Response::builder().status(status).body(answer).unwrap());
        }
        names
    };
    let client = async {
        let mut found = Vec::new();
        // The last name is not legal, so nothing is asked about it.
        for name in ["own", "other", "own", "../own"] {
            found.push(access.get(CONFIG_MAPS, Some("shop"), name, "the rest").await.unwrap());
        }
        drop(access);
        found
    };
    let (found, names) = tokio::join!(client, server);
    let expected = matches!(found[..], [Found::Object(_), Found::NotSeen, Found::Object(_), Found::Absent]);
    assert!(expected, "{found:?}");
    assert_eq!(names, [Value::Null, "own".into(), "other".into()]);
}

#[tokio::test]
async fn another_failure_is_an_error() {
    let (lists, _, _) = read(|path| if path == REVIEWS_PATH { review(true) } else { rejection(500) }).await;
    assert!(lists.into_iter().all(|list| list.unwrap_err().code() == Some(500)));
    let (lists, _, _) = read(|_| rejection(401)).await;
    assert!(lists.into_iter().all(|list| list.unwrap_err().code() == Some(401)));
}
