//! Claims on their way, and an API server that is asked for them.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use kube::Client;
use kube::client::Body;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower_test::mock::{self, Handle};

use super::*;
use crate::config::ClaimLimits;
use crate::engine::{Claim, Class};
use crate::metrics::Metrics;
use crate::readiness::Readiness;

type Server = Handle<hyper::Request<Body>, hyper::Response<Body>>;

const PATIENCE: Duration = Duration::from_secs(2);
const LIMITS: ClaimLimits = ClaimLimits { wait: PATIENCE, max_waiters: 4, max_waiters_per_namespace: 2, max_gets: 2 };
/// How long the sender of a review waits.
const TIMEOUT: Duration = Duration::from_secs(5);

fn question() -> Question<'static> {
    Question { namespace: "demo", deadline: Instant::now() + TIMEOUT, wait: PATIENCE }
}

const NOT_FOUND: &str = r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404,"message":"gone"}"#;
const FOUND: &str = r#"{"metadata":{"name":"one","namespace":"demo"},"spec":{"storageClassName":"px"}}"#;
const VOLUME: &str = r#"{"metadata":{"name":"pv"},"spec":{"csi":{"driver":"pxd.portworx.com"}}}"#;

fn cluster() -> (Cluster, Server) {
    let (service, server) = mock::pair();
    let client = Client::new(service, "default");
    let cluster = Cluster::new(client, LIMITS, Arc::new(Metrics::default()), Readiness::default());
    add_class(&cluster, "px");
    (cluster, server)
}

fn add_class(cluster: &Cluster, name: &str) {
    let none = |_: &str| None::<&str>;
    cluster.update(|inventory| inventory.insert_class(name, Class::new(none, "pxd.portworx.com", 0, none)));
    cluster.arrived(None, Some(name));
}

fn arrive(cluster: &Cluster, name: &str, class: &str) {
    let claim = Claim::new(|_| None::<&str>, Some(class), None);
    cluster.update(|inventory| inventory.insert_claim("demo", name, &claim));
    cluster.arrived(Some("demo"), Some(name));
}

fn respond(status: u16, body: &str) -> hyper::Response<Body> {
    hyper::Response::builder().status(status).body(Body::from(body.as_bytes().to_vec())).unwrap()
}

/// An API server that answers each GET with a status and a body, until the cluster is dropped, and counts them.
fn answer(mut server: Server, status: u16, body: &'static str) -> JoinHandle<HashMap<String, usize>> {
    tokio::spawn(async move {
        let mut asked = HashMap::new();
        while let Some((request, send)) = server.next_request().await {
            *asked.entry(request.uri().path().to_owned()).or_default() += 1;
            send.send_response(respond(status, body));
        }
        asked
    })
}

fn is_driver(owner: &Owner) -> bool {
    matches!(owner, Owner::Provisioner { .. })
}

async fn ask(cluster: &Cluster, question: Question<'_>, names: &[&str]) -> Vec<(Owner, Found)> {
    let enough = |sought: &[Sought<'_>]| sought.iter().any(|claim| is_driver(&claim.owner));
    let sought = cluster.owners(question, names, enough).await;
    sought.into_iter().map(|claim| (claim.owner, claim.found)).collect()
}

async fn found(cluster: &Cluster, names: &[&str]) -> Vec<Found> {
    ask(cluster, question(), names).await.into_iter().map(|(_, found)| found).collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_pods_ask_once_for_one_claim() {
    let (cluster, mut server) = cluster();
    let mut pods: Vec<_> = (0..1000).map(|_| Box::pin(ask(&cluster, question(), &["one"]))).collect();
    // All of them ask before there is an answer.
    let mut begin = |context: &mut Context<'_>| pods.iter_mut().all(|pod| pod.as_mut().poll(context).is_pending());
    assert!(poll_fn(|context| Poll::Ready(begin(context))).await);
    let answer = async {
        let (request, send) = server.next_request().await.unwrap();
        assert_eq!(request.uri().path(), "/api/v1/namespaces/demo/persistentvolumeclaims/one");
        send.send_response(respond(200, FOUND));
    };
    let (answers, ()) = tokio::join!(join_all(pods), answer);
    assert!(answers.iter().flatten().all(|(owner, found)| is_driver(owner) && *found == Found::Fetched));
    drop(cluster);
    assert!(server.next_request().await.is_none(), "nobody asked again");
}

#[tokio::test(start_paused = true)]
async fn claims_are_waited_for_together_and_one_of_a_driver_is_enough() {
    let (cluster, server) = cluster();
    let asked = answer(server, 404, NOT_FOUND);
    let begun = Instant::now();
    let arrival = async {
        sleep(Duration::from_millis(300)).await;
        arrive(&cluster, "two", "px");
    };
    let (found, ()) = tokio::join!(found(&cluster, &["one", "two"]), arrival);
    assert_eq!(begun.elapsed(), Duration::from_millis(300));
    assert_eq!(found, [Found::Missing, Found::Waited]);
    drop(cluster);
    assert!(asked.await.unwrap().values().all(|count| *count == 1));
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_class_has_not_come_yet_waits_for_that() {
    let (cluster, server) = cluster();
    arrive(&cluster, "one", "later");
    let asked = answer(server, 404, NOT_FOUND);
    let arrival = async {
        sleep(Duration::from_millis(300)).await;
        add_class(&cluster, "later");
    };
    let (found, ()) = tokio::join!(found(&cluster, &["one"]), arrival);
    assert_eq!(found, [Found::Waited]);
    drop(cluster);
    assert_eq!(asked.await.unwrap(), HashMap::new(), "the claim is known");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_nothing_but_its_volume_tells_of_waits_to_be_bound() {
    for class in [Some(""), None] {
        let (cluster, server) = cluster();
        let bind = |volume| {
            let claim = Claim::new(|_| None::<&str>, class, volume);
            cluster.update(|inventory| inventory.insert_claim("demo", "one", &claim));
            cluster.arrived(Some("demo"), Some("one"));
        };
        bind(None);
        let asked = answer(server, 200, VOLUME);
        let binding = async {
            sleep(Duration::from_millis(300)).await;
            bind(Some("pv"));
        };
        let begun = Instant::now();
        let (answers, ()) = tokio::join!(ask(&cluster, question(), &["one"]), binding);
        assert!(is_driver(&answers[0].0) && answers[0].1 == Found::Fetched, "{class:?}: {answers:?}");
        assert_eq!(begun.elapsed(), Duration::from_millis(300));
        drop(cluster);
        assert_eq!(asked.await.unwrap(), HashMap::from([("/api/v1/persistentvolumes/pv".to_owned(), 1)]));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_get_told_holds_although_the_watch_is_behind() {
    let (cluster, server) = cluster();
    answer(server, 200, r#"{"metadata":{"name":"one","namespace":"demo"},"spec":{"storageClassName":""}}"#);
    let unbound = Owner::Unknown(Unknown::Unbound);
    assert_eq!(ask(&cluster, question(), &["one"]).await, [(unbound, Found::Fetched)]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_for_a_class_has_found_its_claim_in_the_cache() {
    let (cluster, _server) = cluster();
    arrive(&cluster, "one", "never");
    assert_eq!(found(&cluster, &["one"]).await, [Found::Cached]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_keeps_nobody_from_the_watch() {
    let (cluster, _server) = cluster();
    let arrival = async {
        sleep(Duration::from_millis(300)).await;
        arrive(&cluster, "one", "px");
    };
    let (found, ()) = tokio::join!(found(&cluster, &["one"]), arrival);
    assert_eq!(found, [Found::Waited]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_waited_for_in_vain_is_not_for_a_while_unless_it_comes() {
    let (cluster, server) = cluster();
    let asked = answer(server, 404, NOT_FOUND);
    for wait in [PATIENCE, Duration::ZERO] {
        let begun = Instant::now();
        assert_eq!(found(&cluster, &["one"]).await, [Found::Missing]);
        assert_eq!(begun.elapsed(), wait);
    }
    // Another claim is.
    let begun = Instant::now();
    assert_eq!(found(&cluster, &["one", "two"]).await, [Found::Missing, Found::Missing]);
    assert_eq!(begun.elapsed(), PATIENCE);

    arrive(&cluster, "one", "px");
    cluster.update(|inventory| inventory.remove_claim("demo", "one"));
    let begun = Instant::now();
    assert_eq!(found(&cluster, &["one"]).await, [Found::Missing]);
    assert_eq!(begun.elapsed(), PATIENCE, "it came and went");

    sleep(super::super::IN_VAIN_FOR).await;
    let begun = Instant::now();
    assert_eq!(found(&cluster, &["one"]).await, [Found::Missing]);
    assert_eq!(begun.elapsed(), PATIENCE, "it is long ago");
    drop(cluster);
    let asked = asked.await.unwrap();
    assert_eq!(asked["/api/v1/namespaces/demo/persistentvolumeclaims/one"], 7);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_behind_loses_no_pod() {
    let (cluster, mut server) = cluster();
    let script = async {
        for (status, body) in [(404, NOT_FOUND), (200, FOUND)] {
            let (_, send) = server.next_request().await.unwrap();
            send.send_response(respond(status, body));
        }
    };
    let (found, ()) = tokio::join!(found(&cluster, &["one"]), script);
    assert_eq!(found, [Found::Fetched]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_beside_another_asks_no_more_what_was_answered() {
    let (cluster, server) = cluster();
    let asked = answer(server, 404, NOT_FOUND);
    let second = async {
        sleep(Duration::from_millis(500)).await;
        found(&cluster, &["one"]).await
    };
    let begun = Instant::now();
    let (first, second) = tokio::join!(found(&cluster, &["one"]), second);
    assert_eq!((first, second), (vec![Found::Missing], vec![Found::Missing]));
    assert_eq!(begun.elapsed(), Duration::from_millis(2500), "the GET is spared, and not the wait");
    drop(cluster);
    // The first question, and for each a last one.
    assert_eq!(asked.await.unwrap().values().sum::<usize>(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_seat_the_answer_is_awaited_and_nothing_else() {
    let (cluster, server) = cluster();
    let seats = [cluster.seats.take("demo").unwrap(), cluster.seats.take("demo").unwrap()];
    let begun = Instant::now();
    assert_eq!(found(&cluster, &["one"]).await, [Found::Missing]);
    assert_eq!(begun.elapsed(), WITHOUT_SEAT, "the API server does not answer");
    let asked = answer(server, 404, NOT_FOUND);
    let begun = Instant::now();
    assert_eq!(found(&cluster, &["two"]).await, [Found::Missing]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop(seats);
    drop(cluster);
    assert!(asked.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_name_becomes_no_path_and_is_not_waited_for() {
    let (cluster, server) = cluster();
    let bound = Claim::new(|_| None::<&str>, Some(""), Some("../x?y"));
    cluster.update(|inventory| inventory.insert_claim("demo", "bound", &bound));
    let asked = answer(server, 200, FOUND);
    let begun = Instant::now();
    let long = "a".repeat(300_000);
    let names = ["?limit=1000000", "../../other/persistentvolumeclaims/one", &long];
    assert_eq!(found(&cluster, &names).await, [Found::Missing; 3]);
    let unknown = Owner::Unknown(Unknown::VolumeMissing("../x?y".into()));
    assert_eq!(ask(&cluster, question(), &["bound"]).await, [(unknown, Found::Cached)]);
    let elsewhere = Question { namespace: "demo/../other", ..question() };
    assert_eq!(ask(&cluster, elsewhere, &["one"]).await, [(Owner::Missing, Found::Missing)]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop(cluster);
    assert_eq!(asked.await.unwrap(), HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn of_more_claims_than_a_node_can_mount_the_first_are_asked_for() {
    let (cluster, server) = cluster();
    let asked = answer(server, 404, NOT_FOUND);
    let names: Vec<_> = (0..2_000).map(|number| format!("claim-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(found(&cluster, &names).await, vec![Found::Missing; 2_000]);
    drop(cluster);
    let asked = asked.await.unwrap();
    let of_first = names[..256].iter().map(|name| Claims::object_path("demo", name));
    assert_eq!(asked.into_keys().collect::<HashSet<_>>(), of_first.collect());
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_there_when_its_sender_still_waits() {
    let (cluster, _server) = cluster();
    let bound = Claim::new(|_| None::<&str>, Some(""), Some("pv"));
    cluster.update(|inventory| inventory.insert_claim("demo", "bound", &bound));
    let begun = Instant::now();
    found(&cluster, &["bound", "one"]).await;
    assert_eq!(begun.elapsed(), TIMEOUT, "the API server answers neither GET");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_wait_asks_for_no_claim() {
    let (cluster, server) = cluster();
    let asked = answer(server, 404, NOT_FOUND);
    let question = Question { wait: Duration::ZERO, ..question() };
    assert_eq!(ask(&cluster, question, &["one"]).await, [(Owner::Missing, Found::Missing)]);
    drop(cluster);
    assert_eq!(asked.await.unwrap(), HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_alone_tells_the_owner_is_asked_once_also_by_who_may_not_wait() {
    let (cluster, server) = cluster();
    let claim = Claim::new(|_| None::<&str>, Some(""), Some("pv"));
    cluster.update(|inventory| inventory.insert_claim("demo", "one", &claim));
    let asked = answer(server, 200, VOLUME);
    let question = Question { wait: Duration::ZERO, ..question() };
    for found in [Found::Fetched, Found::Cached] {
        let answer = ask(&cluster, question, &["one"]).await;
        assert!(is_driver(&answer[0].0) && answer[0].1 == found, "{answer:?}");
    }
    drop(cluster);
    assert_eq!(asked.await.unwrap(), HashMap::from([("/api/v1/persistentvolumes/pv".to_owned(), 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_comes_bound_by_hand_has_its_volume_asked() {
    let (cluster, mut server) = cluster();
    let bound = r#"{"metadata":{"name":"one"},"spec":{"storageClassName":"","volumeName":"pv"}}"#;
    let script = async {
        let (_, send) = server.next_request().await.unwrap();
        send.send_response(respond(200, bound));
        sleep(Duration::from_millis(10)).await;
        let claim = Claim::new(|_| None::<&str>, Some(""), Some("pv"));
        cluster.update(|inventory| inventory.insert_claim("demo", "one", &claim));
        cluster.arrived(Some("demo"), Some("one"));
        let (request, send) = server.next_request().await.unwrap();
        assert_eq!(request.uri().path(), "/api/v1/persistentvolumes/pv");
        send.send_response(respond(200, VOLUME));
    };
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(ask(&cluster, question(), &["one"]), script);
    assert!(is_driver(&answer[0].0), "{answer:?}");
    assert_eq!(begun.elapsed(), Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_get_ends_with_the_last_who_asks_and_the_next_one_begins_anew() {
    let (cluster, mut server) = cluster();
    // Who waits in vain without a seat may ask again.
    let _seats = [cluster.seats.take("demo").unwrap(), cluster.seats.take("demo").unwrap()];
    let question = Question { wait: Duration::from_millis(100), ..question() };
    let (first, abandoned) = tokio::join!(ask(&cluster, question, &["one"]), server.next_request());
    assert_eq!((first[0].1, abandoned.is_some()), (Found::Missing, true));
    let answer = async {
        let (_, send) = server.next_request().await.unwrap();
        send.send_response(respond(200, FOUND));
    };
    let (second, ()) = tokio::join!(ask(&cluster, question, &["one"]), answer);
    assert_eq!(second[0].1, Found::Fetched);
}

#[tokio::test(start_paused = true)]
async fn a_right_to_get_that_is_missing_is_named_until_it_is_there() {
    const FORBIDDEN: &str =
        r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"not you"}"#;
    let (cluster, mut server) = cluster();
    // Without a seat there is one question and no last one.
    let _seats = [cluster.seats.take("demo").unwrap(), cluster.seats.take("demo").unwrap()];
    let line = "get of persistentvolumeclaims: cannot get persistentvolumeclaims: not you (grant the verb `get` on `persistentvolumeclaims`)";
    for (status, body, details) in [(403, FORBIDDEN, vec![line]), (404, NOT_FOUND, vec![])] {
        let answer = async {
            let (_, send) = server.next_request().await.unwrap();
            send.send_response(respond(status, body));
        };
        let (found, ()) = tokio::join!(found(&cluster, &["one"]), answer);
        assert_eq!(found, [Found::Missing]);
        assert_eq!(cluster.readiness.details(), details);
    }
    assert!(cluster.readiness.can_answer());
}
