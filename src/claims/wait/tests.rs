//! Waits for claims, against a scripted API server.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use kube::Client;
use kube::client::Body;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower_test::mock::{self, Handle};

use super::*;
use crate::api::ApiClient;
use crate::claims::ClaimLimits;
use crate::engine::{ClaimFacts, ClassFacts, Evidence};
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
    let (service, server) = mock::pair();
    let client = ApiClient::for_test(Client::new(service, "default"));
    let cache = ClaimCache::new(client, limits, &Process::default());
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
    let enough = |lookups: &[Lookup<'_>]| lookups.iter().any(|lookup| is_driver(&lookup.owner));
    let lookups = cache.owners(pod, names, deadlines, enough).await;
    lookups.into_iter().map(|lookup| (lookup.owner, lookup.result)).collect()
}

async fn ask(cache: &ClaimCache, deadlines: Deadlines, names: &[&str]) -> Vec<(Owner, LookupResult)> {
    ask_as(pod_in("demo"), cache, deadlines, names).await
}

/// A pod without a controller.
fn pod_in(namespace: &str) -> PodOrigin<'_> {
    PodOrigin { namespace, controller: None }
}

/// A pod that a controller creates.
fn pod_of<'r>(namespace: &'r str, controller: &'r str) -> PodOrigin<'r> {
    PodOrigin { namespace, controller: Some(controller) }
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
async fn ten_pods_of_one_controller_wait_twice() {
    let (cache, server) = cache();
    let asked = answer(server, 404, NOT_FOUND);
    let driver = pod_of("demo", "spark");
    let mut waited = Vec::new();
    for executor in 0..10 {
        waited.push(time_to_miss(driver, &cache, &format!("executor-{executor}")).await);
        // Each is reviewed well after the one before, but within 30 s of it.
        sleep(Duration::from_secs(20)).await;
    }
    assert_eq!(waited[..2], [WAIT; 2]);
    assert_eq!(waited[2..], [Duration::ZERO; 8]);
    for other in [pod_of("demo", "other"), pod_of("elsewhere", "spark"), pod_in("demo")] {
        assert_eq!(time_to_miss(other, &cache, "executor-0").await, WAIT, "{other:?}");
    }
    sleep(Duration::from_secs(30)).await;
    assert_eq!(time_to_miss(driver, &cache, "executor-0").await, WAIT, "the record has expired");
    drop(cache);
    let asked = asked.await.unwrap();
    assert_eq!(asked["/api/v1/namespaces/demo/persistentvolumeclaims/executor-9"], 1, "it is still asked for");
}

#[tokio::test(start_paused = true)]
async fn a_found_claim_makes_the_pods_of_its_controller_wait_again() {
    let (cache, mut server) = cache();
    let driver = pod_of("demo", "spark");
    let script = async {
        // Two waits with a first and a last GET, and one pod that does not wait.
        for body in [NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, FOUND] {
            let (_, send) = server.next_request().await.unwrap();
            send.send_response(respond(if body == FOUND { 200 } else { 404 }, body));
        }
        answer(server, 404, NOT_FOUND);
    };
    let pods = async {
        for _ in 0..2 {
            assert_eq!(time_to_miss(driver, &cache, "one").await, WAIT);
        }
        let started = Instant::now();
        assert_eq!(ask_as(driver, &cache, deadlines(), &["one"]).await[0].1, LookupResult::Fetched);
        assert_eq!(started.elapsed(), Duration::ZERO);
    };
    tokio::join!(pods, script);
    assert_eq!(time_to_miss(driver, &cache, "two").await, WAIT);
}

#[tokio::test(start_paused = true)]
async fn no_request_shortens_the_wait_of_another_controllers_pod() {
    let (cache, server) = cache_with(DEFAULT_LIMITS);
    answer(server, 404, NOT_FOUND);
    let forged: Vec<_> = (0..256).map(|number| format!("data-{number}")).collect();
    let forged: Vec<_> = forged.iter().map(String::as_str).collect();
    for pod in [pod_in("demo"), pod_of("demo", "forged"), pod_of("elsewhere", "mysql")] {
        for _ in 0..3 {
            ask_as(pod, &cache, deadlines(), &forged).await;
        }
    }
    for (number, pod) in [pod_of("demo", "mysql"), pod_in("demo")].into_iter().enumerate() {
        let name = format!("data-{number}");
        let arrival = async {
            sleep(Duration::from_millis(1_900)).await;
            arrive(&cache, &name, "px");
        };
        let names = [&*name];
        let (lookups, ()) = tokio::join!(ask_as(pod, &cache, deadlines(), &names), arrival);
        assert_eq!(lookups[0].1, LookupResult::Waited);
    }
}

#[tokio::test(start_paused = true)]
async fn sixteen_clients_in_each_of_four_namespaces_do_not_starve_a_fifth() {
    let (cache, server) = cache_with(DEFAULT_LIMITS);
    answer(server, 404, NOT_FOUND);
    let floods = ["a", "b", "c", "d"].into_iter().flat_map(|flood| (0..16).map(move |number| (flood, number)));
    let floods = join_all(floods.map(|(flood, number)| {
        let cache = &cache;
        async move { time_to_miss(pod_in(flood), cache, &format!("never-{number}")).await }
    }));
    let fifth = async {
        sleep(Duration::from_millis(100)).await;
        ask(&cache, deadlines(), &["one"]).await
    };
    let arrival = async {
        sleep(Duration::from_secs(2)).await;
        arrive(&cache, "one", "px");
    };
    let (floods, fifth, ()) = tokio::join!(floods, fifth, arrival);
    assert_eq!(fifth[0].1, LookupResult::Waited);
    let evicted = floods.iter().filter(|waited| **waited == Duration::from_millis(100)).count();
    assert_eq!((evicted, floods.iter().filter(|waited| **waited == WAIT).count()), (1, 63));
}

#[tokio::test(start_paused = true)]
async fn an_evicted_pod_still_gets_the_answer_to_its_get() {
    let (cache, mut server) = cache_with(ClaimLimits { max_waiters: 2, ..LIMITS });
    let _first = cache.waiters.start(pod_in("demo"));
    let started = Instant::now();
    let evict = async {
        let (_, send) = server.next_request().await.unwrap();
        let slot = cache.waiters.start(pod_in("other"));
        assert!(slot.has_slot());
        sleep(Duration::from_millis(400)).await;
        send.send_response(respond(200, FOUND));
    };
    let (found, ()) = tokio::join!(found(&cache, &["one"]), evict);
    assert_eq!((found, started.elapsed()), (vec![LookupResult::Fetched], Duration::from_millis(400)));
}

#[tokio::test(start_paused = true)]
async fn gets_of_one_namespace_do_not_delay_those_of_another() {
    let (cache, mut server) = cache_with(ClaimLimits { max_waiters_per_namespace: 4, ..LIMITS });
    let names: Vec<_> = (0..32).map(|number| format!("data-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut flood = Box::pin(ask_as(pod_in("flood"), &cache, deadlines(), &names));
    let mut shop = Box::pin(ask_as(pod_in("shop"), &cache, deadlines(), &["one"]));
    // The flood asks first, and both have asked before the first answer.
    assert!(poll_fn(|context| Poll::Ready(flood.as_mut().poll(context).is_pending())).await);
    assert!(poll_fn(|context| Poll::Ready(shop.as_mut().poll(context).is_pending())).await);
    let script = async {
        let mut paths = Vec::new();
        for _ in 0..4 {
            let (request, send) = server.next_request().await.unwrap();
            paths.push(request.uri().path().to_owned());
            send.send_response(respond(404, NOT_FOUND));
        }
        paths
    };
    // In random order, the flood could send twice before the shop uses the permit that it was given.
    let paths = tokio::select! {
        biased;
        paths = script => paths,
        _ = &mut shop => unreachable!("it waits"),
        _ = &mut flood => unreachable!("it waits"),
    };
    let place = paths.iter().position(|path| path.contains("/shop/"));
    assert!(place.is_some(), "{paths:?}");
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
async fn without_a_slot_only_the_get_is_waited_for() {
    let (cache, server) = cache();
    let slots = [cache.waiters.start(pod_in("demo")), cache.waiters.start(pod_in("demo"))];
    let started = Instant::now();
    assert_eq!(found(&cache, &["one"]).await, [LookupResult::Unreadable]);
    assert_eq!(started.elapsed(), Duration::from_millis(500), "the API server does not answer");
    let asked = answer(server, 404, NOT_FOUND);
    let started = Instant::now();
    assert_eq!(found(&cache, &["two"]).await, [LookupResult::Missing]);
    assert_eq!(started.elapsed(), Duration::ZERO);
    drop(slots);
    drop(cache);
    assert!(asked.await.is_ok());
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
async fn one_review_requests_at_most_32_claims() {
    let (cache, server) = cache();
    let asked = answer(server, 404, NOT_FOUND);
    let names: Vec<_> = (0..2_000).map(|number| format!("claim-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let found = found(&cache, &names).await;
    assert_eq!(found[..32], [LookupResult::Missing; 32]);
    assert_eq!(found[32..], [LookupResult::Unreadable; 1_968], "it is not known whether the others exist");
    drop(cache);
    let asked = asked.await.unwrap();
    assert_eq!(asked.values().sum::<usize>(), 64, "a first and a last GET for each");
    let of_first = names[..32].iter().map(|name| Claims::object_path("demo", name));
    assert_eq!(asked.into_keys().collect::<HashSet<_>>(), of_first.collect());
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_ready_before_its_sender_gives_up() {
    let (cache, _server) = cache();
    let bound = claim(Some(""), Some("pv"));
    cache.update(|inventory| inventory.insert_claim("demo", "bound", &bound));
    let started = Instant::now();
    found(&cache, &["bound", "one"]).await;
    assert_eq!(started.elapsed(), ANSWER, "the API server answers neither GET");
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
async fn an_object_whose_get_fails_is_unreadable_and_not_missing() {
    const NO_JSON: &str = "no JSON";
    const OTHER: &str = r#"{"metadata":{"name":"other"},"spec":{}}"#;
    let failures = [(403, NOT_FOUND), (500, NOT_FOUND), (200, NO_JSON), (200, OTHER)];
    for (status, body) in failures {
        let (cache, server) = cache();
        answer(server, status, body);
        let claim = (Owner::Unknown(Unknown::ClaimUnreadable), LookupResult::Unreadable);
        for _ in 0..3 {
            let started = Instant::now();
            assert_eq!(ask_as(pod_of("demo", "mysql"), &cache, deadlines(), &["one"]).await[0], claim);
            assert_eq!(started.elapsed(), WAIT, "a failure says nothing about the controller");
        }
    }
    for (status, body) in failures.into_iter().take(3) {
        let (cache, server) = cache();
        answer(server, status, body);
        let bound = claim(Some(""), Some("pv"));
        cache.update(|inventory| inventory.insert_claim("demo", "bound", &bound));
        let volume = (Owner::Unknown(Unknown::VolumeUnreadable("pv".into())), LookupResult::Unreadable);
        assert_eq!(ask(&cache, deadlines().without_wait(), &["bound"]).await, [volume]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_get_has_no_answer_is_unreadable() {
    let (cache, _server) = cache();
    let bound = claim(Some(""), Some("pv"));
    cache.update(|inventory| inventory.insert_claim("demo", "bound", &bound));
    let deadlines = Deadlines::new(Duration::from_secs(20), WAIT);
    let owners: Vec<_> = ask(&cache, deadlines, &["bound", "one"]).await.into_iter().map(|(owner, _)| owner).collect();
    assert_eq!(owners, [Unknown::VolumeUnreadable("pv".into()), Unknown::ClaimUnreadable].map(Owner::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_get_is_cancelled_with_its_last_caller() {
    let (cache, mut server) = cache();
    let _slots = [cache.waiters.start(pod_in("demo")), cache.waiters.start(pod_in("demo"))];
    let deadlines = || Deadlines::new(TIMEOUT, Duration::from_millis(100));
    let (first, abandoned) = tokio::join!(ask(&cache, deadlines(), &["one"]), server.next_request());
    assert_eq!((first[0].1, abandoned.is_some()), (LookupResult::Unreadable, true));
    let answer = async {
        let (_, send) = server.next_request().await.unwrap();
        send.send_response(respond(200, FOUND));
    };
    let (second, ()) = tokio::join!(ask(&cache, deadlines(), &["one"]), answer);
    assert_eq!(second[0].1, LookupResult::Fetched);
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_reported_until_it_is_granted() {
    const FORBIDDEN: &str =
        r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"not you"}"#;
    let (service, mut server) = mock::pair();
    let process = Process::default();
    let cache = ClaimCache::new(ApiClient::for_test(Client::new(service, "default")), LIMITS, &process);
    // Without a slot, there is one GET and no last GET.
    let _slots = [cache.waiters.start(pod_in("demo")), cache.waiters.start(pod_in("demo"))];
    let line = "get of persistentvolumeclaims: cannot get persistentvolumeclaims: not you (grant the verb `get` on `persistentvolumeclaims`)";
    for (status, body, details, result) in
        [(403, FORBIDDEN, vec![line], LookupResult::Unreadable), (404, NOT_FOUND, vec![], LookupResult::Missing)]
    {
        let answer = async {
            let (_, send) = server.next_request().await.unwrap();
            send.send_response(respond(status, body));
        };
        let (found, ()) = tokio::join!(found(&cache, &["one"]), answer);
        assert_eq!(found, [result]);
        assert_eq!(process.readiness.details(), details);
    }
    assert!(process.readiness.can_answer());
}

#[tokio::test(start_paused = true)]
async fn a_queued_get_ends_after_10_s_in_total() {
    let (cache, mut server) = cache();
    let claims = Claims::RESOURCE;
    let get = |name: &str| cache.single_flight.get("demo", claims, Claims::object_path("demo", name));
    let started = Instant::now();
    // Two may be in flight, and the API server answers neither.
    let (first, second, queued) = tokio::join!(get("one"), get("two"), get("three"));
    assert!(first.is_err() && second.is_err() && queued.is_err());
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    for _ in 0..2 {
        assert!(server.next_request().await.is_some());
    }
    drop(cache);
    assert!(server.next_request().await.is_none(), "the third was not sent");
}
