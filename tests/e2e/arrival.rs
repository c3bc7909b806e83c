//! Claims on their way: pods that are made at the same moment as their claims, by other clients.

use std::time::Duration;

use colocate_harness::{Account, Api, Colocate, ControlPlane, Namespace, Namespaces, Rule, pair};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

const PAIRS: u16 = 2_000;

/// The pods that wait are spread over these.
const NAMESPACES: [&str; 8] =
    ["arrival-1", "arrival-2", "arrival-3", "arrival-4", "arrival-5", "arrival-6", "arrival-7", "arrival-8"];

/// How many pairs are under way at once: half as many as the pods that may wait, 64 in all and 16 of a namespace. With more
/// on a machine that does other things too, the API server may take longer for a claim than a pod waits.
const AT_ONCE: usize = 32;

/// By how much a pod may be made before its claim.
const LEAD: u64 = 500;

/// A pod waits for 2 s. On a machine that does other things too, an API server takes longer for some claims: what it had not
/// made in this time after the pod was sent proves nothing. On an idle one there are none.
const PROMPT: Duration = Duration::from_secs(1);

/// Whoever makes pods and claims in the test.
const CLIENTS: &[Rule] = &[Rule::new("", "pods", &["create"]), Rule::new("", "persistentvolumeclaims", &["create"])];

/// When the two of a pair are made, from the moment on at which they are to be made.
#[derive(Clone, Copy, Debug)]
struct Times {
    pod: Duration,
    claim: Duration,
}

impl Times {
    /// One after another, the same in each run: a quarter have the claim first by up to 50 ms, a quarter are made at the
    /// same moment, and half have the pod first, by up to [`LEAD`].
    fn sequence() -> impl Iterator<Item = Self> {
        // Knuth's generator, whose upper bits are good.
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
async fn of_2000_pods_made_together_with_their_claims_none_is_lost() {
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
        "| pairs | a second | cached | fetched | waited | missing | claim late | lost |\n|---|---|---|---|---|---|---|---|"
    );
    println!("| {PAIRS} | {rate:.0} | {cached} | {fetched} | {waited} | {missing} | {} | {} |", late.len(), lost.len());
    assert!(lost.is_empty(), "{} are lost: {lost:#?}", lost.len());
    assert_eq!((cached + fetched + waited + missing, missing), (PAIRS.into(), late.len() as u64));
    assert!(cached + fetched > 0 && waited > 0, "claims came before their pods, and after them");
    drop(colocate);
    control_plane.end();
}

/// A pod that did not get its scheduler.
#[derive(Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Missed {
    name: String,
    scheduler: String,
    times: Times,
    /// When the claim was there, and when the pod.
    claim: Duration,
    pod: Duration,
}

/// Makes a pod and its claim at their times.
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
