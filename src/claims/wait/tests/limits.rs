//! Limits on waits and GETs, and their fair shares.

use super::*;

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
