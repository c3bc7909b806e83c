//! Waits for claims, against a scripted API server.

mod controllers;
mod failures;
mod limits;
mod validation;
mod volumes;

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use kube::Client;
use kube::client::Body;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tower_test::mock::{self, Handle};

use super::*;
use crate::api::ApiClient;
use crate::claims::ClaimLimits;
use crate::engine::{ClaimFacts, ClassFacts, Driver, Drivers, Evidence};
use crate::process::Process;

type Server = Handle<hyper::Request<Body>, hyper::Response<Body>>;

const WAIT: Duration = Duration::from_secs(2);
const LIMITS: ClaimLimits = ClaimLimits { wait: WAIT, max_waiters: 4, max_waiters_per_namespace: 2, max_gets: 2 };
/// The limits of the default configuration.
const DEFAULT_LIMITS: ClaimLimits =
    ClaimLimits { wait: WAIT, max_waiters: 64, max_waiters_per_namespace: 16, max_gets: 64 };
/// The timeout of the sender of a review, and the time until its answer must be ready.
const TIMEOUT: Duration = Duration::from_millis(7250);
const ANSWER: Duration = Duration::from_secs(5);

fn deadlines() -> Deadlines {
    Deadlines::new(TIMEOUT, WAIT)
}

const NOT_FOUND: &str = r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404,"message":"gone"}"#;
const FOUND: &str = r#"{"metadata":{"name":"one","namespace":"demo"},"spec":{"storageClassName":"px"}}"#;
const VOLUME: &str = r#"{"metadata":{"name":"pv"},"spec":{"csi":{"driver":"pxd.portworx.com"}}}"#;

fn cache() -> (ClaimCache, Server) {
    cache_with(LIMITS)
}

fn cache_with(limits: ClaimLimits) -> (ClaimCache, Server) {
    cache_of(&[], limits)
}

/// A cache that watches these namespaces, or all.
fn cache_of(namespaces: &[String], limits: ClaimLimits) -> (ClaimCache, Server) {
    let (service, server) = mock::pair();
    let client = ApiClient::for_test(Client::new(service, "default"));
    let cache = ClaimCache::new(client, namespaces, limits, &Process::default());
    add_class(&cache, "px");
    (cache, server)
}

fn add_class(cache: &ClaimCache, name: &str) {
    let class = ClassFacts { provisioner: "pxd.portworx.com".into(), ..ClassFacts::default() };
    cache.update(|inventory| inventory.insert_class(name, class));
    cache.arrived();
}

fn claim<'a>(class: Option<&'a str>, volume: Option<&'a str>) -> ClaimFacts<'a> {
    ClaimFacts { class: class.map(Into::into), volume: volume.map(Into::into), ..ClaimFacts::default() }
}

fn arrive(cache: &ClaimCache, name: &str, class: &str) {
    let claim = claim(Some(class), None);
    cache.update(|inventory| inventory.insert_claim("demo", name, &claim));
    cache.arrived();
}

fn respond(status: u16, body: &str) -> hyper::Response<Body> {
    hyper::Response::builder().status(status).body(Body::from(body.as_bytes().to_vec())).unwrap()
}

/// Answers each GET with a status and a body until the cache is dropped. Returns the number of requests per path.
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

async fn ask_as(
    pod: PodOrigin<'_>,
    cache: &ClaimCache,
    deadlines: Deadlines,
    names: &[&str],
) -> Vec<(Owner, LookupResult)> {
    ask_by(&Policy::default(), pod, cache, deadlines, names).await
}

async fn ask_by(
    policy: &Policy,
    pod: PodOrigin<'_>,
    cache: &ClaimCache,
    deadlines: Deadlines,
    names: &[&str],
) -> Vec<(Owner, LookupResult)> {
    let enough = |lookups: &[Lookup<'_>]| policy.first_driver(lookups.iter().map(|lookup| &lookup.owner)).is_some();
    let lookups = cache.owners(pod, names, policy, deadlines, enough).await;
    lookups.into_iter().map(|lookup| (lookup.owner, lookup.result)).collect()
}

async fn ask(cache: &ClaimCache, deadlines: Deadlines, names: &[&str]) -> Vec<(Owner, LookupResult)> {
    ask_as(pod_in("demo"), cache, deadlines, names).await
}

/// A pod without a controller.
fn pod_in(namespace: &str) -> PodOrigin<'_> {
    PodOrigin { namespace, name: "pod", controller: None }
}

/// A pod that a controller creates.
fn pod_of<'r>(namespace: &'r str, controller: &'r str) -> PodOrigin<'r> {
    PodOrigin { controller: Some(controller), ..pod_in(namespace) }
}

/// Looks up a claim that does not appear, and returns how long that takes.
async fn time_to_miss(pod: PodOrigin<'_>, cache: &ClaimCache, name: &str) -> Duration {
    let started = Instant::now();
    let lookups = ask_as(pod, cache, deadlines(), &[name]).await;
    assert_eq!(lookups, [(Owner::Missing, LookupResult::Missing)]);
    started.elapsed()
}

async fn found(cache: &ClaimCache, names: &[&str]) -> Vec<LookupResult> {
    ask(cache, deadlines(), names).await.into_iter().map(|(_, result)| result).collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_pods_share_one_get() {
    let (cache, mut server) = cache();
    let mut pods: Vec<_> = (0..1000).map(|_| Box::pin(ask(&cache, deadlines(), &["one"]))).collect();
    // All of them ask before the response comes.
    let mut begin = |context: &mut Context<'_>| pods.iter_mut().all(|pod| pod.as_mut().poll(context).is_pending());
    assert!(poll_fn(|context| Poll::Ready(begin(context))).await);
    let answer = async {
        let (request, send) = server.next_request().await.unwrap();
        assert_eq!(request.uri().path(), "/api/v1/namespaces/demo/persistentvolumeclaims/one");
        send.send_response(respond(200, FOUND));
    };
    let (answers, ()) = tokio::join!(join_all(pods), answer);
    assert!(answers.iter().flatten().all(|(owner, found)| is_driver(owner) && *found == LookupResult::Fetched));
    drop(cache);
    assert!(server.next_request().await.is_none(), "no one asked again");
}

#[tokio::test(start_paused = true)]
async fn waits_run_together_and_end_with_the_first_driver() {
    let (cache, server) = cache();
    let asked = answer(server, 404, NOT_FOUND);
    let started = Instant::now();
    let arrival = async {
        sleep(Duration::from_millis(300)).await;
        arrive(&cache, "two", "px");
    };
    let (found, ()) = tokio::join!(found(&cache, &["one", "two"]), arrival);
    assert_eq!(started.elapsed(), Duration::from_millis(300));
    assert_eq!(found, [LookupResult::Missing, LookupResult::Waited]);
    drop(cache);
    assert!(asked.await.unwrap().values().all(|count| *count == 1));
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_the_class_of_its_claim() {
    let (cache, server) = cache();
    arrive(&cache, "one", "later");
    let asked = answer(server, 404, NOT_FOUND);
    let arrival = async {
        sleep(Duration::from_millis(300)).await;
        add_class(&cache, "later");
    };
    let (found, ()) = tokio::join!(found(&cache, &["one"]), arrival);
    assert_eq!(found, [LookupResult::Waited]);
    drop(cache);
    assert_eq!(asked.await.unwrap(), HashMap::new(), "the claim is known");
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_until_a_claim_is_bound_if_only_its_volume_names_a_driver() {
    for class in [Some(""), None, Some("static")] {
        let (cache, server) = cache();
        let provisions_nothing =
            ClassFacts { provisioner: "kubernetes.io/no-provisioner".into(), ..ClassFacts::default() };
        cache.update(|inventory| inventory.insert_class("static", provisions_nothing));
        let bind = |volume| {
            let claim = claim(class, volume);
            cache.update(|inventory| inventory.insert_claim("demo", "one", &claim));
            cache.arrived();
        };
        bind(None);
        let asked = answer(server, 200, VOLUME);
        let binding = async {
            sleep(Duration::from_millis(300)).await;
            bind(Some("pv"));
        };
        let started = Instant::now();
        let (answers, ()) = tokio::join!(ask(&cache, deadlines(), &["one"]), binding);
        assert!(is_driver(&answers[0].0) && answers[0].1 == LookupResult::Fetched, "{class:?}: {answers:?}");
        assert_eq!(answers[0].0, cache.inventory().owner("demo", "one"), "the same as for the next pod");
        let expected = if class == Some("static") { Evidence::NoProvisioner } else { Evidence::StaticCsi };
        assert!(matches!(answers[0].0, Owner::Provisioner { evidence, .. } if evidence == expected.into()));
        assert_eq!(started.elapsed(), Duration::from_millis(300));
        drop(cache);
        assert_eq!(asked.await.unwrap(), HashMap::from([("/api/v1/persistentvolumes/pv".to_owned(), 1)]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_is_used_even_if_the_watch_is_behind() {
    let (cache, server) = cache();
    answer(server, 200, r#"{"metadata":{"name":"one","namespace":"demo"},"spec":{"storageClassName":""}}"#);
    let unbound = Owner::Unknown(Unknown::Unbound);
    assert_eq!(ask(&cache, deadlines(), &["one"]).await, [(unbound, LookupResult::Fetched)]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_class_never_appears_counts_as_cached() {
    let (cache, _server) = cache();
    arrive(&cache, "one", "never");
    assert_eq!(found(&cache, &["one"]).await, [LookupResult::Cached]);
}

#[tokio::test(start_paused = true)]
async fn a_get_without_an_answer_does_not_hide_the_watch() {
    let (cache, _server) = cache();
    let arrival = async {
        sleep(Duration::from_millis(300)).await;
        arrive(&cache, "one", "px");
    };
    let (found, ()) = tokio::join!(found(&cache, &["one"]), arrival);
    assert_eq!(found, [LookupResult::Waited]);
}

#[tokio::test(start_paused = true)]
async fn a_last_get_finds_what_the_watch_has_not_delivered() {
    let (cache, mut server) = cache();
    let script = async {
        for (status, body) in [(404, NOT_FOUND), (200, FOUND)] {
            let (_, send) = server.next_request().await.unwrap();
            send.send_response(respond(status, body));
        }
    };
    let (found, ()) = tokio::join!(found(&cache, &["one"]), script);
    assert_eq!(found, [LookupResult::Fetched]);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_name_is_neither_requested_nor_waited_for() {
    let (cache, server) = cache();
    let bound = claim(Some(""), Some("../x?y"));
    cache.update(|inventory| inventory.insert_claim("demo", "bound", &bound));
    let asked = answer(server, 200, FOUND);
    let started = Instant::now();
    let long = "a".repeat(300_000);
    let names = ["?limit=1000000", "../../other/persistentvolumeclaims/one", &long];
    assert_eq!(found(&cache, &names).await, [LookupResult::Missing; 3]);
    let unknown = Owner::Unknown(Unknown::VolumeMissing { volume: "../x?y".into(), no_provisioner: false });
    assert_eq!(ask(&cache, deadlines(), &["bound"]).await, [(unknown, LookupResult::Cached)]);
    let elsewhere = ask_as(pod_in("demo/../other"), &cache, deadlines(), &["one"]).await;
    assert_eq!(elsewhere, [(Owner::Missing, LookupResult::Missing)]);
    assert_eq!(started.elapsed(), Duration::ZERO);
    drop(cache);
    assert_eq!(asked.await.unwrap(), HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_review_that_must_not_wait_gets_no_claim() {
    let (cache, server) = cache();
    let asked = answer(server, 404, NOT_FOUND);
    assert_eq!(ask(&cache, deadlines().without_wait(), &["one"]).await, [(Owner::Missing, LookupResult::Missing)]);
    drop(cache);
    assert_eq!(asked.await.unwrap(), HashMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_read_once_even_without_a_wait() {
    let (cache, server) = cache();
    let claim = claim(Some(""), Some("pv"));
    cache.update(|inventory| inventory.insert_claim("demo", "one", &claim));
    let asked = answer(server, 200, VOLUME);
    for found in [LookupResult::Fetched, LookupResult::Cached] {
        let answer = ask(&cache, deadlines().without_wait(), &["one"]).await;
        assert!(is_driver(&answer[0].0) && answer[0].1 == found, "{answer:?}");
    }
    drop(cache);
    assert_eq!(asked.await.unwrap(), HashMap::from([("/api/v1/persistentvolumes/pv".to_owned(), 1)]));
}

#[tokio::test(start_paused = true)]
async fn the_volume_of_a_new_claim_is_read() {
    let (cache, mut server) = cache();
    let bound = r#"{"metadata":{"name":"one"},"spec":{"storageClassName":"","volumeName":"pv"}}"#;
    let script = async {
        for (path, body) in
            [("/api/v1/namespaces/demo/persistentvolumeclaims/one", bound), ("/api/v1/persistentvolumes/pv", VOLUME)]
        {
            let (request, send) = server.next_request().await.unwrap();
            assert_eq!(request.uri().path(), path);
            send.send_response(respond(200, body));
        }
    };
    let started = Instant::now();
    let (answer, ()) = tokio::join!(ask(&cache, deadlines(), &["one"]), script);
    assert!(is_driver(&answer[0].0), "{answer:?}");
    assert_eq!(started.elapsed(), Duration::ZERO, "although the watch has not delivered the claim");
}

#[tokio::test(start_paused = true)]
async fn no_volume_is_read_after_a_wait_that_found_a_driver() {
    let (cache, server) = cache();
    let asked = answer(server, 404, NOT_FOUND);
    let arrival = async {
        sleep(Duration::from_millis(300)).await;
        let bound = claim(Some(""), Some("pv"));
        cache.update(|inventory| inventory.insert_claim("demo", "one", &bound));
        arrive(&cache, "two", "px");
    };
    let (found, ()) = tokio::join!(found(&cache, &["one", "two"]), arrival);
    assert_eq!(found[1], LookupResult::Waited);
    drop(cache);
    assert_eq!(asked.await.unwrap().keys().filter(|path| path.contains("persistentvolumes/")).count(), 0);
}
