//! Controllers whose pods wait for claims that do not appear.

use super::*;

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
async fn a_pod_that_is_reviewed_again_is_counted_once() {
    let (cache, server) = cache();
    answer(server, 404, NOT_FOUND);
    let pod = |name| PodOrigin { name, ..pod_of("demo", "spark") };
    // Another review of the same pod repeats its wait. After that, the name and the claims are those of another pod.
    for (second, claim) in [(pod("executor-*"), "two"), (pod("driver"), "one"), (pod("executor-*"), "one")] {
        for _ in 0..2 {
            assert_eq!(time_to_miss(pod("executor-*"), &cache, "one").await, WAIT);
        }
        assert_eq!(time_to_miss(second, &cache, claim).await, WAIT);
        assert_eq!(time_to_miss(pod("executor-*"), &cache, "three").await, Duration::ZERO);
        sleep(Duration::from_secs(30)).await;
    }
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
        for claim in ["one", "two"] {
            assert_eq!(time_to_miss(driver, &cache, claim).await, WAIT);
        }
        let started = Instant::now();
        assert_eq!(ask_as(driver, &cache, deadlines(), &["one"]).await[0].1, LookupResult::Fetched);
        assert_eq!(started.elapsed(), Duration::ZERO);
    };
    tokio::join!(pods, script);
    assert_eq!(time_to_miss(driver, &cache, "three").await, WAIT);
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
