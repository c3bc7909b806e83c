//! Lookups of validations, and of other reviews that never wait.

use super::*;
use crate::claims::ClaimSource;
use crate::companion::MountedClaim;
use crate::engine::ClaimRef;

async fn mounted(cache: &ClaimCache, namespace: &str, names: &[&str]) -> Vec<MountedClaim> {
    let claims: Vec<_> = names.iter().map(|name| ClaimRef::Named((*name).into())).collect();
    let source = ClaimSource::Cluster(cache.clone());
    source.mounted(namespace, &claims, &Policy::default(), deadlines()).await
}

/// Returns the text of a message about a claim.
fn gap(claim: &MountedClaim) -> String {
    claim.owner.gap("it", claim.absence).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_validation_says_that_a_volume_could_not_be_read() {
    let failures = [Some((403, NOT_FOUND)), Some((500, NOT_FOUND)), Some((200, "no JSON")), None];
    for failure in failures {
        let (cache, server) = cache();
        // Without an answer, the GET times out.
        let _held = match failure {
            Some((status, body)) => Ok(answer(server, status, body)),
            None => Err(server),
        };
        let bound = claim(Some(""), Some("pv"));
        cache.update(|inventory| inventory.insert_claim("demo", "bound", &bound));
        let claims = mounted(&cache, "demo", &["absent", "bound"]).await;
        assert_eq!(gap(&claims[0]), "it does not exist", "{failure:?}");
        assert_eq!(
            gap(&claims[1]),
            "it: its PersistentVolume `pv` could not be read from the API server",
            "{failure:?}"
        );
        assert!(claims[1].bound, "{failure:?}: the claim itself is known");
    }
}

#[tokio::test(start_paused = true)]
async fn a_validation_does_not_judge_volumes_past_the_limit() {
    let (cache, server) = cache();
    let asked = answer(server, 404, NOT_FOUND);
    let names: Vec<_> = (0..40).map(|number| format!("data-{number}")).collect();
    for name in &names {
        let bound = claim(Some(""), Some(name));
        cache.update(|inventory| inventory.insert_claim("demo", name, &bound));
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let claims = mounted(&cache, "demo", &names).await;
    assert_eq!(gap(&claims[31]), "it: its PersistentVolume `data-31` does not exist");
    assert_eq!(gap(&claims[32]), "it: its PersistentVolume `data-32` could not be read from the API server");
    drop(cache);
    assert_eq!(asked.await.unwrap().len(), 32);
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_an_unwatched_namespace_is_read_even_without_a_wait() {
    const SHARED: &str =
        r#"{"metadata":{"name":"one"},"spec":{"storageClassName":"px","accessModes":["ReadWriteMany"]}}"#;
    let watched = ["watched".to_owned()];
    for (status, body, expected) in [
        (200, SHARED, ""),
        (404, NOT_FOUND, "it does not exist"),
        (403, NOT_FOUND, "it could not be read from the API server"),
    ] {
        let (cache, server) = cache_of(&watched, LIMITS);
        let asked = answer(server, status, body);
        let claims = mounted(&cache, "other", &["one"]).await;
        assert_eq!(gap(&claims[0]), expected);
        if status == 200 {
            assert_eq!(claims[0].access, Some(["ReadWriteMany"].into_iter().collect()));
            assert!(claims[0].class.is_some());
            assert_eq!(cache.inventory().owner("other", "one"), Owner::Missing, "no watch would update it");
        }
        let answers = ask_as(pod_in("other"), &cache, deadlines().without_wait(), &["one"]).await;
        assert_eq!(answers[0].0, claims[0].owner);
        assert_eq!(ask_as(pod_in("watched"), &cache, deadlines().without_wait(), &["one"]).await[0].0, Owner::Missing);
        drop(cache);
        assert_eq!(asked.await.unwrap(), HashMap::from([(Claims::object_path("other", "one"), 2)]), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn claims_of_an_unwatched_namespace_past_the_limit_are_unread() {
    let (cache, server) = cache_of(&["watched".to_owned()], LIMITS);
    let asked = answer(server, 404, NOT_FOUND);
    let names: Vec<_> = (0..40).map(|number| format!("data-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let claims = mounted(&cache, "other", &names).await;
    assert_eq!(gap(&claims[31]), "it does not exist");
    assert_eq!(gap(&claims[32]), "it could not be read from the API server");
    drop(cache);
    assert_eq!(asked.await.unwrap().values().sum::<usize>(), 32);
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_a_claim_of_an_unwatched_namespace_delays_a_pod_for_one_get_only() {
    let (cache, _server) = cache_of(&["watched".to_owned()], LIMITS);
    let started = Instant::now();
    let deadlines = Deadlines::new(TIMEOUT, Duration::ZERO);
    let answers = ask_as(pod_in("other"), &cache, deadlines, &["one"]).await;
    assert_eq!(answers, [(Owner::Unknown(Unknown::ClaimUnreadable), LookupResult::Unreadable)]);
    assert_eq!(started.elapsed(), Duration::from_millis(500), "the API server does not answer");
}

#[tokio::test(start_paused = true)]
async fn what_the_watch_delivers_during_a_lookup_is_newer() {
    let (cache, mut server) = cache();
    cache.update(|inventory| inventory.insert_claim("demo", "bound", &claim(Some(""), Some("pv"))));
    let arrival = async {
        let (_, send) = server.next_request().await.unwrap();
        cache.update(|inventory| inventory.insert_claim("demo", "new", &claim(Some("absent"), None)));
        send.send_response(respond(404, NOT_FOUND));
    };
    let (claims, ()) = tokio::join!(mounted(&cache, "demo", &["new", "bound"]), arrival);
    assert_eq!(gap(&claims[0]), "it: its StorageClass `absent` does not exist");
    assert_eq!(gap(&claims[1]), "it: its PersistentVolume `pv` does not exist");
}
