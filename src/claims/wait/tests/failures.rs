//! GETs that fail, or that no one waits for any more.

use super::*;

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
    let cache = ClaimCache::new(ApiClient::for_test(Client::new(service, "default")), &[], LIMITS, &process);
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
