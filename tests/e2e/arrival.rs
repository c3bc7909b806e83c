//! Late claims: other clients create pods at the same moment as their claims.

use std::time::Duration;

use colocate_harness::{Account, Api, Colocate, ControlPlane, Namespace, Namespaces, Rule, pair};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

const PAIRS: u16 = 2_000;

/// The waiting pods are spread over these namespaces.
const NAMESPACES: [&str; 8] =
    ["arrival-1", "arrival-2", "arrival-3", "arrival-4", "arrival-5", "arrival-6", "arrival-7", "arrival-8"];

/// The number of pairs in flight: half of the pods that may wait, which is 64 in all and 16 per namespace. With more, the API
/// server of a busy machine may take longer to create a claim than a pod waits.
const AT_ONCE: usize = 32;

/// The longest time by which a pod is created before its claim, in milliseconds.
const LEAD: u64 = 500;

/// A pod waits for 2 s. On a busy machine, the API server takes longer for some claims. A pod whose claim was created more
/// than this long after the pod does not count as lost. On an idle machine, there are no such pods.
const PROMPT: Duration = Duration::from_secs(1);

/// The permissions of the account that creates pods and claims.
const CLIENTS: &[Rule] = &[Rule::new("", "pods", &["create"]), Rule::new("", "persistentvolumeclaims", &["create"])];

/// The delays after which the pod and the claim of a pair are created.
#[derive(Clone, Copy, Debug)]
struct Times {
    pod: Duration,
    claim: Duration,
}

impl Times {
    /// Returns the same sequence in each run. In a quarter of the pairs the claim is up to 50 ms ahead, in a quarter both are
    /// created at the same moment, and in half the pod is up to [`LEAD`] ahead.
    fn sequence() -> impl Iterator<Item = Self> {
        // Knuth's linear congruential generator. Its upper bits are good.
        let numbers = std::iter::successors(Some(2026_u64), |state| {
            Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
        });
        numbers.skip(1).map(|state| {
            let (kind, by) = (state >> 62, (state >> 32) & 0xffff);
            let millis = |most| Duration::from_millis(by % (most + 1));
            match kind {
                0 => Self { pod: millis(50), claim: Duration::ZERO },
                1 => Self { pod: Duration::ZERO, claim: Duration::ZERO },
                _ => Self { pod: Duration::ZERO, claim: millis(LEAD) },
            }
        })
    }
}

#[tokio::test]
async fn all_2000_pods_created_with_their_claims_are_injected() {
    let control_plane = ControlPlane::own(&[]);
    let namespaces = NAMESPACES.map(|name| Namespace::within(&control_plane, name));
    let colocate = Colocate::start(&control_plane, NAMESPACES[0], "");
    colocate.admit(namespaces[0].kubectl(), Namespaces::Only(&NAMESPACES));
    let api = Api::of(&Account::new(&control_plane, NAMESPACES[0], "clients", CLIENTS)).await;

    let pairs: Vec<_> = Times::sequence().take(PAIRS.into()).enumerate().collect();
    let begun = Instant::now();
    let clients = (0..AT_ONCE).map(|client| {
        let own: Vec<_> = pairs.iter().copied().skip(client).step_by(AT_ONCE).collect();
        let (api, namespace) = (api.clone(), NAMESPACES[client % NAMESPACES.len()]);
        async move {
            let mut lost = Vec::new();
            for (number, times) in own {
                lost.extend(make(&api, namespace, number, times).await);
            }
            lost
        }
    });
    let missed: Vec<_> = join_all(clients).await.into_iter().flatten().collect();
    let (late, lost): (Vec<_>, Vec<_>) = missed.iter().partition(|missed| missed.claim > missed.times.pod + PROMPT);
    let rate = f64::from(PAIRS) / begun.elapsed().as_secs_f64();

    let [cached, fetched, waited, missing] =
        ["cached", "fetched", "waited", "missing"].map(|result| colocate.lookups(result));
    println!(
        "| pairs | per second | cached | fetched | waited | missing | claim late | lost |\n|---|---|---|---|---|---|---|---|"
    );
    println!("| {PAIRS} | {rate:.0} | {cached} | {fetched} | {waited} | {missing} | {} | {} |", late.len(), lost.len());
    assert!(lost.is_empty(), "{} pods lost: {lost:#?}", lost.len());
    // On a busy machine, API servers give up waiting for an answer about a pod whose claim is late. Its lookup may not end then.
    let (found, late, pairs) = (cached + fetched + waited, late.len() as u64, u64::from(PAIRS));
    assert!(
        found >= pairs - late && found + missing <= pairs,
        "{found} found, {missing} missing, {late} late of {pairs}"
    );
    assert!(cached + fetched > 0 && waited > 0, "claims must arrive both before and after their pods");
    drop(colocate);
    control_plane.end();
}

/// A pod that did not get its scheduler.
#[derive(Debug)]
#[allow(dead_code, reason = "the fields are printed with Debug")]
struct Missed {
    name: String,
    scheduler: String,
    times: Times,
    /// The times at which the claim and the pod existed.
    claim: Duration,
    pod: Duration,
}

/// Creates a pod and its claim at their times.
async fn make(api: &Api, namespace: &str, number: usize, times: Times) -> Option<Missed> {
    let begun = Instant::now();
    let name = format!("pair-{number}");
    let create = async |after: Duration, path: String, object: Value| {
        sleep_until(begun + after).await;
        let reply = api.create(&path, &object).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        (reply, begun.elapsed())
    };
    let ((pod, pod_made), (_, claim_made)) = tokio::join!(
        create(times.pod, pair::pods(namespace), pair::pod(&name)),
        create(times.claim, pair::claims(namespace), pair::claim(&name)),
    );
    let scheduler = pod.object.scheduler().to_owned();
    (scheduler != "stork").then_some(Missed { name, scheduler, times, claim: claim_made, pod: pod_made })
}
