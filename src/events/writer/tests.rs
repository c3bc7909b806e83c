//! The writer, against a scripted API server.

use std::sync::Mutex;

use hyper::{Method, Response};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{sleep, timeout};
use tower_test::mock;

use super::super::occurrence::{Controller, Occurrence};
use super::*;
use crate::engine::Reason;
use crate::process::captured_log;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// The times of the first and the second occurrence of a scene.
const TIMES: [&str; 2] = ["2026-11-30T12:00:00Z", "2026-11-30T12:00:01Z"];

/// A request to the API server.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    method: Method,
    path: String,
    media_type: String,
    body: Value,
}

/// A scripted API server, and a writer that runs.
struct Scene {
    reports: Sender<Report>,
    sent: Arc<Mutex<Vec<Sent>>>,
    process: Process,
    draining: CancellationToken,
}

/// A response to a request: a status and the `reason` of a cause, or nothing at all.
type Answer = Option<(u16, &'static str)>;

impl Scene {
    /// Starts a server that answers the n-th request, from 0 on, with `answer(n, namespace)`.
    fn new(answer: impl Fn(usize, &str) -> Answer + Send + 'static) -> Self {
        captured_log::start();
        let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
        let sent = Arc::<Mutex<Vec<Sent>>>::default();
        let requests = sent.clone();
        tokio::spawn(async move {
            let (mut count, mut unanswered) = (0, Vec::new());
            while let Some((request, send)) = handle.next_request().await {
                let (head, body) = request.into_parts();
                let path = head.uri.to_string();
                let media_type = head.headers[CONTENT_TYPE].to_str().unwrap().to_owned();
                let body = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap();
                let namespace = path.split('/').nth(5).unwrap().to_owned();
                requests.lock().unwrap().push(Sent { method: head.method, path, media_type, body });
                count += 1;
                match answer(count - 1, &namespace) {
                    None => unanswered.push(send),
                    Some((code, reason)) => {
                        let details = json!({"causes": [{"reason": reason}]});
                        let status = json!({"kind": "Status", "code": code, "message": "no", "details": details});
                        let response = Response::builder().status(code).body(status.to_string().into_bytes().into());
                        send.send_response(response.unwrap());
                    }
                }
            }
        });
        let (process, (reports, queue)) = (Process::default(), channel(256));
        let client = ApiClient::for_test(kube::Client::new(service, "default"));
        let writer = EventWriter { instance: "colocate-1".to_owned(), ..EventWriter::new(client, queue, &process) };
        let draining = CancellationToken::new();
        tokio::spawn(writer.run(draining.clone()));
        Self { reports, sent, process, draining }
    }

    /// Starts a server that accepts everything.
    fn accepting() -> Self {
        Self::new(|_, _| Some((200, "")))
    }

    async fn report(&self, namespace: &str, time: &str) {
        let controller = Controller {
            namespace: namespace.to_owned(),
            api_version: "apps/v1".to_owned(),
            kind: "StatefulSet".to_owned(),
            name: "mysql".to_owned(),
            uid: "5f0a".to_owned(),
        };
        let occurrence = Occurrence {
            controller,
            topic: Reason::ClaimMissing.into(),
            text: "claim `data` does not exist".to_owned(),
        };
        self.reports.send(Report { occurrence, time: time.parse::<Timestamp>().unwrap() }).await.unwrap();
    }

    /// Lets this time pass, and returns the requests that were sent since the last call, as `<method> <namespace> <count>`.
    async fn sent_within(&self, time: Duration) -> Vec<String> {
        sleep(time).await;
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        let line = |sent: &Sent| {
            let namespace = sent.path.split('/').nth(5).unwrap();
            let count = sent.body["series"]["count"].as_u64().unwrap_or(1);
            format!("{} {namespace} {count}", sent.method)
        };
        sent.iter().map(line).collect()
    }

    fn metric(&self, result: &str) -> u64 {
        let prefix = format!("colocate_events_total{{result=\"{result}\"}} ");
        let metrics = self.process.metrics.encode();
        metrics.lines().find_map(|line| line.strip_prefix(&prefix)).map_or(0, |value| value.parse().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_occurrence_is_posted_and_repetitions_patch_its_count() {
    let scene = Scene::accepting();
    scene.report("shop", TIMES[0]).await;
    sleep(SECOND).await;
    for _ in 0..2 {
        scene.report("shop", TIMES[1]).await;
    }
    sleep(MINUTE).await;
    let sent = scene.sent.lock().unwrap().clone();
    let [post, update] = &sent[..] else { panic!("{sent:#?}") };
    let path = "/apis/events.k8s.io/v1/namespaces/shop/events";
    let name = post.body["metadata"]["name"].as_str().unwrap();
    assert_eq!((&post.method, post.path.as_str()), (&Method::POST, format!("{path}?fieldManager=colocate").as_str()));
    assert_eq!(post.media_type, "application/json");
    assert_eq!(post.body["regarding"]["uid"], "5f0a");
    assert_eq!(post.body["eventTime"], "2026-11-30T12:00:00.000000Z");
    assert_eq!(post.body["reportingInstance"], "colocate-1");
    assert_eq!(post.body["series"], Value::Null);
    let patched = Sent {
        method: Method::PATCH,
        path: format!("{path}/{name}?fieldManager=colocate"),
        media_type: "application/merge-patch+json".to_owned(),
        body: json!({"series": {"count": 3, "lastObservedTime": "2026-11-30T12:00:01.000000Z"}}),
    };
    assert_eq!(*update, patched);
    assert_eq!((scene.metric("created"), scene.metric("updated"), scene.metric("dropped")), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_named_once_and_tried_every_five_minutes() {
    let scene = Scene::new(|count, _| Some(if count < 3 { (403, "") } else { (201, "") }));
    for minute in 0..15 {
        scene.report("shop", TIMES[0]).await;
        let expected = if minute % 5 == 0 { vec![format!("POST shop {}", minute + 1)] } else { vec![] };
        // The first minute is a second shorter, so that no request is due at the end of one.
        let time = if minute == 0 { MINUTE.saturating_sub(SECOND) } else { MINUTE };
        assert_eq!(scene.sent_within(time).await, expected, "minute {minute}");
    }
    let missing = "cannot create events.events.k8s.io: no (grant the verb `create` on `events.events.k8s.io`)";
    let logged = captured_log::lines();
    assert!(logged.len() == 1 && logged[0].starts_with("WARN") && logged[0].contains(missing), "{logged:?}");
    assert_eq!(scene.process.readiness.details(), [format!("events: {missing}")]);
    assert!(scene.process.readiness.can_answer());
    assert_eq!((scene.metric("failed"), scene.metric("created")), (3, 0));

    scene.report("shop", TIMES[0]).await;
    assert_eq!(scene.sent_within(MINUTE).await, ["POST shop 16"], "nothing is lost");
    assert_eq!((scene.metric("created"), scene.process.readiness.details().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_namespace_does_not_delay_others() {
    let scene = Scene::new(|_, namespace| Some(if namespace == "shop" { (403, "") } else { (201, "") }));
    for namespace in ["shop", "bank", "shop", "club"] {
        scene.report(namespace, TIMES[0]).await;
    }
    let mut sent = scene.sent_within(SECOND).await;
    sent.sort_unstable();
    assert_eq!(sent, ["POST bank 1", "POST club 1", "POST shop 2"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_a_namespace_that_is_gone_are_dropped_silently() {
    for answer in [(404, ""), (403, "NamespaceTerminating")] {
        let scene = Scene::new(move |_, _| Some(answer));
        scene.report("shop", TIMES[0]).await;
        assert_eq!(scene.sent_within(Duration::from_hours(1)).await, ["POST shop 1"]);
        assert_eq!((captured_log::lines().len(), scene.process.readiness.details().len()), (0, 0), "{answer:?}");
        assert_eq!((scene.metric("dropped"), scene.metric("failed")), (1, 0), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_event_is_reported_and_not_sent_again() {
    let scene = Scene::new(|_, _| Some((422, "")));
    scene.report("shop", TIMES[0]).await;
    assert_eq!(scene.sent_within(Duration::from_hours(1)).await, ["POST shop 1"]);
    assert_eq!((captured_log::lines().len(), scene.metric("failed"), scene.metric("dropped")), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_event_is_posted_again_with_its_count() {
    let scene = Scene::new(|count, _| Some(if count == 1 { (404, "") } else { (200, "") }));
    scene.report("shop", TIMES[0]).await;
    assert_eq!(scene.sent_within(MINUTE).await, ["POST shop 1"]);
    scene.report("shop", TIMES[1]).await;
    assert_eq!(scene.sent_within(MINUTE).await, ["PATCH shop 2", "POST shop 2"]);
    assert_eq!((captured_log::lines().len(), scene.metric("failed"), scene.metric("created")), (0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_response_was_lost_is_not_created_twice() {
    let scene = Scene::new(|count, _| if count == 0 { None } else { Some((409, "")) });
    scene.report("shop", TIMES[0]).await;
    // The request times out after 10 s, and the pause is 5 s.
    sleep(16 * SECOND).await;
    let sent = scene.sent.lock().unwrap().clone();
    let names: Vec<_> = sent.iter().map(|sent| sent.body["metadata"]["name"].clone()).collect();
    assert!(names.len() == 2 && names[0] == names[1], "{names:?}");
    assert_eq!((scene.metric("failed"), scene.metric("created")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_api_server_is_tried_again_with_growing_pauses() {
    let scene = Scene::new(|count, _| Some(if [4, 6].contains(&count) { (200, "") } else { (503, "") }));
    scene.report("shop", TIMES[0]).await;
    let post = || vec!["POST shop 1".to_owned()];
    assert_eq!(scene.sent_within(SECOND / 2).await, post());
    for pause in [5, 10, 20, 40] {
        assert_eq!(scene.sent_within((pause - 1) * SECOND).await, [""; 0]);
        assert_eq!(scene.sent_within(SECOND).await, post());
    }
    assert_eq!(scene.sent_within(MINUTE).await, [""; 0]);
    assert_eq!((scene.metric("failed"), scene.metric("created"), captured_log::lines().len()), (4, 1, 1));
    scene.report("shop", TIMES[1]).await;
    let patches = vec!["PATCH shop 2".to_owned(); 2];
    assert_eq!(scene.sent_within(6 * SECOND).await, patches, "after a success, the pause is short again");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_process_drains() {
    let scene = Scene::new(|count, _| (count > 0).then_some((201, "")));
    scene.report("shop", TIMES[0]).await;
    assert_eq!(scene.sent_within(SECOND).await, ["POST shop 1"], "it is in flight");
    scene.draining.cancel();
    assert_eq!(scene.sent_within(Duration::from_hours(1)).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_task_never_ends() {
    let scene = Scene::accepting();
    let (_, queue) = channel(1);
    let (client, _handle) = mock::pair::<Request<Body>, Response<Body>>();
    let client = ApiClient::for_test(kube::Client::new(client, "default"));
    let writer = EventWriter::new(client, queue, &scene.process);
    assert!(timeout(Duration::from_hours(1), writer.run(scene.draining.clone())).await.is_err());
}

/// Linux always has a name of the host.
#[test]
fn the_host_has_a_name() {
    assert!(!host_name().is_empty() && host_name() != "unknown");
}
