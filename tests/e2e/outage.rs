//! API server outages, after and before the start of colocate.

use std::time::{Duration, Instant};

use colocate::probe::{Answer, Client, Verdict};
use colocate_harness::{Account, COLOCATE, Colocate, ControlPlane, Namespace, Namespaces, PORTWORX_CLASS, pair};
use serde_json::{Value, json};

/// The `timeoutSeconds` of the webhook configuration.
const TIMEOUT: Duration = Duration::from_secs(5);

const BACK: &str = "heard from the API server again";

#[tokio::test]
async fn cached_claims_survive_an_api_server_outage() {
    // The API server's watch-list feature is off, so lists are read in pages.
    let control_plane = ControlPlane::own(&["--apiserver-arg", "--feature-gates=WatchList=false"]);
    let namespace = Namespace::within(&control_plane, "outage");
    namespace.add_claim("before", PORTWORX_CLASS);
    let running = Colocate::register_in(&control_plane, &namespace, "");
    let other = Namespace::within(&control_plane, "outage-at-first");
    let account = Account::new(&control_plane, other.name(), "colocate", COLOCATE);
    let fresh = staleness(&running);

    control_plane.request("stop kube-apiserver");

    for resource in ["persistentvolumeclaims", "storageclasses.storage.k8s.io"] {
        running.wait_for_line(&format!("cannot watch {resource}: "));
    }
    let ready = running.admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains("\nok\n"), "{ready}");
    for resource in ["persistentvolumeclaims", "storageclasses"] {
        let line =
            ready.lines().find(|line| line.starts_with(&format!("watch of {resource}: lost; nothing heard since ")));
        assert!(line.is_some_and(|line| line.contains("cannot watch ")), "{ready}");
    }
    let client = running.client(TIMEOUT);
    let answer = ask(&client, namespace.name(), "before").await;
    assert_eq!(scheduler(&answer).as_deref(), Some("stork"));
    // A claim that is not in the cache cannot be fetched. The answer still arrives in time.
    let answer = ask(&client, namespace.name(), "unknown").await;
    assert_eq!(scheduler(&answer), None);
    assert!(warnings(&answer).contains("claim `unknown` could not be read from the API server"), "{answer:?}");
    // That answer waited 2 s for the claim.
    let stale = staleness(&running);
    assert!(stale.iter().all(|stale| *stale >= 2.0), "before {fresh:?}, now {stale:?}");

    let mut late = Colocate::start_as(&account, &control_plane, other.name(), "");
    late.wait_for_line("cannot list persistentvolumeclaims: ");
    let ready = late.admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.contains("not ready: waiting for list of claims, list of storage classes\n"), "{ready}");
    let answer = ask(&late.client(TIMEOUT), other.name(), "any").await;
    assert_eq!((answer.status.as_u16(), answer.retry_after.as_deref()), (503, Some("1")));
    assert!(late.runs());

    let starting = Instant::now();
    control_plane.request("start kube-apiserver");

    running.wait_for_message(BACK, 2);
    let ready = running.admin("/readyz");
    assert!(!ready.contains("watch of "), "{ready}");
    let (renewed, since) = (staleness(&running), starting.elapsed().as_secs_f64());
    assert!(renewed.iter().all(|stale| *stale < since), "{renewed:?}, started {since} s ago");
    // The pod that was answered before is not reviewed again.
    namespace.add_claim("unknown", PORTWORX_CLASS);
    namespace.add_claim("after", PORTWORX_CLASS);
    for claim in ["before", "unknown", "after"] {
        assert_eq!(namespace.apply(&pair::pod(claim).to_string()).stderr, "");
        assert_eq!(namespace.get(&format!("pod/{claim}")).scheduler(), "stork");
    }

    late.admit(other.kubectl(), Namespaces::Only(&[other.name()]));
    let ready = late.admin("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 ") && !ready.contains("watch of "), "{ready}");
    other.add_claim("data", PORTWORX_CLASS);
    assert_eq!(other.apply(&pair::pod("data").to_string()).stderr, "");
    assert_eq!(other.get("pod/data").scheduler(), "stork");

    drop((running, late));
    control_plane.end();
}

/// Sends a review of a pod that mounts this claim, and returns the answer.
async fn ask(client: &Client, namespace: &str, claim: &str) -> Answer {
    client.ask(pair::review(namespace, claim).to_string().into()).await.expect("colocate answers")
}

/// Returns the scheduler that the answer sets, if any.
fn scheduler(answer: &Answer) -> Option<String> {
    let verdict = Verdict::read(answer, pair::UID).expect("the API server accepts the answer");
    let pod = verdict.apply(&json!({"spec": {}})).expect("the patch applies");
    pod["spec"]["schedulerName"].as_str().map(str::to_owned)
}

fn warnings(answer: &Answer) -> String {
    let review: Value = serde_json::from_slice(&answer.body).expect("the answer is an AdmissionReview");
    review["response"]["warnings"].to_string()
}

/// Returns the seconds since each watch last received something.
fn staleness(colocate: &Colocate) -> Vec<f64> {
    let metrics = colocate.admin("/metrics");
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("colocate_watch_staleness_seconds{resource="));
    let seconds: Vec<_> = lines.filter_map(|line| line.split_once("} ")?.1.parse().ok()).collect();
    assert_eq!(seconds.len(), 2, "{metrics}");
    seconds
}
