//! Claims on their way: pods that are made at the same moment as their claims, by other clients.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use crate::harness::{Account, Api, Colocate, ControlPlane, Namespace, Namespaces, Rule, pair};

const PAIRS: u16 = 2_000;

/// The pods that wait are spread over these.
const NAMESPACES: [&str; 8] =
    ["arrival-1", "arrival-2", "arrival-3", "arrival-4", "arrival-5", "arrival-6", "arrival-7", "arrival-8"];

/// How many pairs are under way at once: nearly as many as the pods that may wait, 64 in all and 16 of a namespace.
const AT_ONCE: usize = 56;

/// By how much a pod may be made before its claim.
const LEAD: u64 = 500;

/// A pod waits for 3 s here, of which the watch needs a part: other tests keep the machine busy. On a machine that is so busy that a claim takes longer than this to
/// be made, a pod may be lost, and is counted apart.
const IN_TIME: Duration = Duration::from_millis(1500);

/// Whoever makes pods and claims in the test.
const CLIENTS: &[Rule] = &[("", "pods", &["create"]), ("", "persistentvolumeclaims", &["create"])];

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
    let colocate = Colocate::start(&control_plane, NAMESPACES[0], "missingClaim: {wait: 3s}\n");
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
    let rate = f64::from(PAIRS) / begun.elapsed().as_secs_f64();

    let [cached, fetched, waited, missing] =
        ["cached", "fetched", "waited", "missing"].map(|result| colocate.lookups(result));
    let (lost, late): (Vec<_>, Vec<_>) = missed.iter().partition(|missed| missed.late < IN_TIME);
    println!("| pairs | a second | cached | fetched | waited | lost | claim too late |\n|---|---|---|---|---|---|---|");
    println!("| {PAIRS} | {rate:.0} | {cached} | {fetched} | {waited} | {} | {} |", lost.len(), late.len());
    assert!(lost.is_empty(), "{} are lost: {lost:#?}", lost.len());
    assert!(late.len() < usize::from(PAIRS) / 20, "the machine is too busy for this test: {late:#?}");
    assert_eq!((cached + fetched + waited, missing), (u64::from(PAIRS) - missed.len() as u64, missed.len() as u64));
    assert!(cached + fetched > 0 && waited > 0, "claims came before their pods, and after them");
    drop(colocate);
    control_plane.end();
}

/// A pod that did not get the scheduler.
#[derive(Debug)]
#[allow(dead_code, reason = "it is printed")]
struct Missed {
    number: usize,
    scheduler: String,
    times: Times,
    /// How long after the pod was sent the claim was there.
    late: Duration,
}

/// Makes a pod and its claim at their times; tells of the pod if it did not get the scheduler.
async fn make(api: &Api, namespace: &str, number: usize, times: Times) -> Option<Missed> {
    let begun = Instant::now();
    let name = format!("pair-{number}");
    let pod = async {
        sleep_until(begun + times.pod).await;
        api.create(&pair::pods(namespace), &pair::pod(&name)).await
    };
    let claim = async {
        sleep_until(begun + times.claim).await;
        let reply = api.create(&pair::claims(namespace), &pair::claim(&name)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        begun.elapsed()
    };
    let (pod, claim) = tokio::join!(pod, claim);
    assert_eq!(pod.status, 201, "{pod:?}");
    let (scheduler, late) = (pod.object.scheduler().to_owned(), claim.saturating_sub(times.pod));
    (scheduler != "stork").then_some(Missed { number, scheduler, times, late })
}
