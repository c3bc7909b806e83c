//! Watches of claims and classes, against a scripted API server.

use std::collections::VecDeque;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock::{self, Handle, SendResponse};

use crate::api::ApiClient;
use crate::claims::{ClaimCache, ClaimLimits};
use crate::engine::{Owner, StorageView as _, Unknown};
use crate::process::Process;

type Response = hyper::Response<UnsyncBoxBody<Bytes, std::io::Error>>;

const LIMITS: ClaimLimits =
    ClaimLimits { wait: Duration::from_secs(2), max_waiters: 1, max_waiters_per_namespace: 1, max_gets: 1 };

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    ListClaims,
    WatchClaims,
    ListClasses,
    WatchClasses,
}

use Ask::{ListClaims, ListClasses, WatchClaims, WatchClasses};

/// A cache that has followed a script to its end.
struct Followed {
    cache: ClaimCache,
    process: Process,
    /// The requests, in order; the last ones have no response.
    asked: Vec<String>,
    _open: Vec<SendResponse<Response>>,
}

/// Answers each kind of request by the script, in order. Ends when both kinds wait for a response that will not come.
async fn follow(script: Vec<(Ask, Response)>) -> Followed {
    let (service, server) = mock::pair();
    let process = Process::default();
    let cache = ClaimCache::new(ApiClient::for_test(Client::new(service, "default")), &[], LIMITS, &process);
    cache.watch(&process);
    let (asked, open) = answer(server, script.into()).await;
    Followed { cache, process, asked, _open: open }
}

async fn answer(
    mut server: Handle<hyper::Request<Body>, Response>,
    mut script: VecDeque<(Ask, Response)>,
) -> (Vec<String>, Vec<SendResponse<Response>>) {
    let (mut asked, mut open) = (Vec::new(), Vec::new());
    let (mut claims_wait, mut classes_wait) = (false, false);
    while !claims_wait || !classes_wait {
        let (request, send) = server.next_request().await.expect("the watches go on");
        let uri = request.uri().to_string();
        let watch = uri.contains("watch=true");
        let ask = match (uri.contains("storageclasses"), watch) {
            (false, false) => ListClaims,
            (false, true) => WatchClaims,
            (true, false) => ListClasses,
            (true, true) => WatchClasses,
        };
        asked.push(uri);
        if let Some(place) = script.iter().position(|(scripted, _)| *scripted == ask) {
            send.send_response(script.remove(place).expect("it was found").1);
        } else {
            open.push(send);
            claims_wait |= matches!(ask, ListClaims | WatchClaims);
            classes_wait |= matches!(ask, ListClasses | WatchClasses);
        }
    }
    assert!(script.is_empty(), "not requested: {script:?}");
    (asked, open)
}

fn ok(body: String) -> Response {
    hyper::Response::new(Full::from(body).map_err(|never| match never {}).boxed_unsync())
}

fn refused(code: u16, message: &str) -> Response {
    let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": "", "message": message});
    let mut response = ok(status.to_string());
    *response.status_mut() = code.try_into().unwrap();
    response
}

fn list(version: &str, items: &[Value]) -> Response {
    ok(json!({"metadata": {"resourceVersion": version}, "items": items}).to_string())
}

fn watch(events: &[(&str, Value)]) -> Response {
    let lines: Vec<_> =
        events.iter().map(|(kind, object)| json!({"type": kind, "object": object}).to_string()).collect();
    ok(lines.join("\n"))
}

/// A claim of the namespace `a`.
fn claim(name: &str, version: &str, annotations: &Value, spec: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": "a", "resourceVersion": version, "annotations": annotations});
    json!({"metadata": metadata, "spec": spec})
}

fn of_class(name: &str, version: &str, class: &str) -> Value {
    claim(name, version, &Value::Null, &json!({"storageClassName": class}))
}

fn class(name: &str, version: &str, provisioner: &str, default: bool) -> Value {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": default.to_string()});
    json!({"metadata": {"name": name, "resourceVersion": version, "annotations": annotations}, "provisioner": provisioner})
}

impl Followed {
    fn owner(&self, name: &str) -> String {
        match self.cache.inventory().owner("a", name) {
            Owner::Provisioner { provisioner, .. } => provisioner.to_string(),
            Owner::Unknown(Unknown::ClassMissing(_)) => "class missing".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn owners<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        names.map(|name| self.owner(name))
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_in_pages_is_followed_by_a_watch_from_its_version() {
    let first =
        json!({"metadata": {"resourceVersion": "5", "continue": "tok%3D"}, "items": [of_class("one", "1", "px")]});
    let followed = follow(vec![
        (ListClaims, ok(first.to_string())),
        (ListClaims, list("5", &[of_class("two", "2", "px")])),
        (ListClasses, list("7", &[class("px", "1", "pxd.portworx.com", false)])),
    ])
    .await;
    assert_eq!(followed.owners(["one", "two", "three"]), ["pxd.portworx.com", "pxd.portworx.com", "missing"]);
    assert!(followed.process.readiness.obstacles().is_empty() && followed.process.readiness.details().is_empty());
    let claims: Vec<_> = followed.asked.iter().filter(|uri| uri.contains("claims")).map(String::as_str).collect();
    assert_eq!(
        claims,
        [
            "/api/v1/persistentvolumeclaims?limit=500",
            "/api/v1/persistentvolumeclaims?limit=500&continue=tok%3D",
            "/api/v1/persistentvolumeclaims?watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=290",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn claims_follow_changes_of_their_classes() {
    let annotated = claim(
        "annotated",
        "1",
        &json!({"volume.beta.kubernetes.io/storage-provisioner": "pxd.portworx.com"}),
        &json!({"storageClassName": "gone"}),
    );
    let beta = claim(
        "beta",
        "1",
        &json!({"volume.beta.kubernetes.io/storage-class": "late"}),
        &json!({"storageClassName": "x"}),
    );
    let claims = [
        of_class("plain", "1", "gone"),
        annotated,
        beta,
        claim("default", "1", &Value::Null, &json!({})),
        of_class("late", "1", "late"),
    ];
    let followed = follow(vec![
        (ListClaims, list("1", &claims)),
        (
            ListClasses,
            list("1", &[class("gone", "1", "pxd.portworx.com", false), class("old", "1", "old.example.test", true)]),
        ),
        (
            WatchClasses,
            watch(&[
                ("DELETED", class("gone", "2", "pxd.portworx.com", false)),
                ("ADDED", class("late", "3", "late.example.test", false)),
                ("MODIFIED", class("old", "4", "old.example.test", false)),
                ("ADDED", class("new", "5", "new.example.test", true)),
            ]),
        ),
    ])
    .await;
    assert_eq!(
        followed.owners(["plain", "annotated", "default", "late", "beta"]),
        ["class missing", "pxd.portworx.com", "new.example.test", "late.example.test", "late.example.test"]
    );
}

#[tokio::test(start_paused = true)]
async fn claims_are_bound_deleted_and_created_again() {
    let bound = json!({"storageClassName": "", "volumeName": "pv"});
    let provisioned = json!({"volume.kubernetes.io/storage-provisioner": "pxd.portworx.com"});
    let followed = follow(vec![
        (
            ListClaims,
            list(
                "1",
                &[of_class("again", "1", "px"), claim("bound", "1", &Value::Null, &json!({"storageClassName": ""}))],
            ),
        ),
        (
            ListClasses,
            list("1", &[class("px", "1", "pxd.portworx.com", false), class("other", "1", "other.example.test", false)]),
        ),
        (
            WatchClaims,
            watch(&[
                ("DELETED", of_class("again", "2", "px")),
                ("MODIFIED", claim("bound", "3", &provisioned, &bound)),
                ("ADDED", of_class("again", "4", "other")),
                ("ADDED", of_class("gone", "5", "px")),
                ("DELETED", of_class("gone", "6", "px")),
            ]),
        ),
    ])
    .await;
    assert_eq!(followed.owners(["again", "bound", "gone"]), ["other.example.test", "pxd.portworx.com", "missing"]);
    assert!(
        followed.asked.last().unwrap().contains("resourceVersion=6"),
        "it continues from the last version: {:?}",
        followed.asked
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_continues_from_the_last_bookmark() {
    let bookmark = json!({"kind": "PersistentVolumeClaim", "metadata": {"resourceVersion": "99"}});
    let followed = follow(vec![
        (ListClaims, list("1", &[])),
        (ListClasses, list("1", &[])),
        (WatchClaims, watch(&[("BOOKMARK", bookmark)])),
    ])
    .await;
    assert!(followed.asked.last().unwrap().contains("resourceVersion=99"), "{:?}", followed.asked);
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_object_keeps_its_last_state() {
    let nameless = json!({"metadata": {"name": 7, "resourceVersion": "3"}});
    let odd = || claim("odd", "2", &Value::Null, &json!({"storageClassName": 1}));
    let followed = follow(vec![
        (ListClaims, list("1", &[of_class("odd", "1", "px"), odd(), of_class("one", "1", "px")])),
        (ListClasses, list("1", &[class("px", "1", "pxd.portworx.com", false)])),
        (
            WatchClaims,
            watch(&[
                ("MODIFIED", odd()),
                ("ADDED", nameless.clone()),
                ("DELETED", nameless),
                ("ADDED", of_class("two", "3", "px")),
                ("ERROR", json!({"code": 410})),
            ]),
        ),
        (ListClaims, list("4", &[odd(), of_class("two", "3", "px")])),
    ])
    .await;
    assert_eq!(followed.owners(["odd", "one", "two"]), ["pxd.portworx.com", "missing", "pxd.portworx.com"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_leads_to_a_new_list() {
    let one = || of_class("one", "1", "px");
    let page = json!({"metadata": {"continue": "token"}, "items": [of_class("stale", "1", "px")]});
    let followed = follow(vec![
        (ListClaims, ok(page.to_string())),
        (ListClaims, refused(410, "the provided continue parameter is too old")),
        (ListClaims, list("1", &[one()])),
        (ListClasses, list("1", &[class("px", "1", "pxd.portworx.com", false)])),
        (WatchClaims, refused(410, "too old resource version")),
        (ListClaims, list("2", &[one(), of_class("two", "2", "px")])),
        (WatchClaims, watch(&[("ERROR", json!({"kind": "Status", "code": 410, "message": "too old"}))])),
        (ListClaims, list("3", &[of_class("two", "2", "px")])),
    ])
    .await;
    assert_eq!(followed.owners(["stale", "one", "two"]), ["missing", "missing", "pxd.portworx.com"]);
    assert!(followed.asked.last().unwrap().contains("resourceVersion=3"), "{:?}", followed.asked);
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_opened_again_from_its_version() {
    let silent = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
    let followed = follow(vec![
        (ListClaims, list("8", &[])),
        (ListClasses, list("1", &[])),
        (WatchClaims, hyper::Response::new(silent.boxed_unsync())),
    ])
    .await;
    let again = followed.asked.iter().filter(|uri| uri.contains("resourceVersion=8"));
    assert_eq!(again.count(), 2, "{:?}", followed.asked);
    assert!(followed.process.readiness.obstacles().is_empty(), "the cache is still usable");
    let details = followed.process.readiness.details();
    assert!(
        details
            .iter()
            .any(|line| line.contains("persistentvolumeclaims: lost") && line.contains("nothing received for 150 s")),
        "{details:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_keeps_ending_at_once_backs_off_and_lists_again() {
    let started = tokio::time::Instant::now();
    let followed = follow(vec![
        (ListClaims, list("8", &[])),
        (ListClasses, list("1", &[])),
        (WatchClaims, watch(&[])),
        (WatchClaims, watch(&[])),
        (WatchClaims, refused(504, "Too large resource version")),
        (WatchClaims, refused(410, "too old")),
        (ListClaims, list("9", &[])),
        (WatchClaims, refused(410, "too old")),
        (ListClaims, list("10", &[])),
    ])
    .await;
    // 0.8 s, doubled each time, plus a random part. Without pauses, no time would pass.
    assert!(started.elapsed() >= Duration::from_secs(12), "{:?}", started.elapsed());
    assert!(followed.asked.last().unwrap().contains("resourceVersion=10"), "{:?}", followed.asked);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_keeps_failing_is_given_up() {
    let refusal = || (WatchClaims, refused(504, "Too large resource version"));
    let followed = follow(vec![
        (ListClaims, list("8", &[])),
        (ListClasses, list("1", &[])),
        refusal(),
        refusal(),
        refusal(),
        refusal(),
        (ListClaims, list("3", &[])),
    ])
    .await;
    assert!(followed.asked.last().unwrap().contains("resourceVersion=3"), "{:?}", followed.asked);
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_reported() {
    let forbidden = r#"persistentvolumeclaims is forbidden: User "u" cannot list resource"#;
    let followed = follow(vec![(ListClaims, refused(403, forbidden)), (ListClasses, list("1", &[]))]).await;
    let readiness = followed.process.readiness;
    assert_eq!(readiness.obstacles(), ["list of claims"]);
    let details = readiness.details();
    assert!(
        details.iter().any(|line| line.contains("cannot list persistentvolumeclaims: ")
            && line.contains("(grant the verb `list` on `persistentvolumeclaims`)")),
        "{details:?}"
    );
}
