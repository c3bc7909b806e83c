//! Reviews of pods whose claims never come, at colocate's own socket, and other reviews meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use colocate::probe::{Client, Connection};
use colocate_harness::{Colocate, ControlPlane, Load, Namespace, Timings, pair};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How many reviews come in a second, and for how long: longer than what is remembered of a claim, 30 s.
const RATE: u32 = 500;
const TIME: Duration = Duration::from_secs(40);

/// Over so many connections, the other reviews are asked as fast as they are answered.
const OTHERS: usize = 4;

/// The pods are of so many namespaces: all that may wait do.
const NAMESPACES: u32 = 20;

/// The claim that there is, and its namespace.
const KNOWN: &str = "known";
const HOME: &str = "flood";

/// As long as the configuration of a webhook gives an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What was seen.
pub(crate) struct Flood {
    /// How many came in a second.
    pub(crate) rate: f64,
    /// The other reviews without it, beside as many of claims that are known, and beside it.
    pub(crate) before: Timings,
    pub(crate) beside_known: Timings,
    pub(crate) during: Timings,
    /// By how many bytes the resident memory grew at most.
    pub(crate) growth: u64,
    /// How many connections it took.
    pub(crate) connections: usize,
}

pub(crate) async fn measure(control_plane: &ControlPlane) -> anyhow::Result<Flood> {
    let namespace = Namespace::within(control_plane, HOME);
    namespace.kubectl().feed("create -f -", &pair::claim(KNOWN).to_string());
    let colocate = Arc::new(Colocate::start_quietly(control_plane, namespace.name()));
    let client = colocate.client(TIMEOUT);
    colocate.wait_for_message("listed", 2);

    eprintln!("reviews of a known claim");
    let known = Bytes::from(pair::review(HOME, KNOWN).to_string());
    let mut load = Load::open(&client, known, OTHERS).await?;
    let before = load.run(TIME / 2).await?;
    eprintln!("the same, next to {RATE} per second that name the same claim");
    let flood_of = |never| flood(client.clone(), colocate.clone(), never);
    let known = tokio::spawn(flood_of(false));
    let beside_known = load.run(TIME).await?;
    known.await??;
    let resident = colocate.resident();

    eprintln!("the same, next to {RATE} per second that name claims that never come");
    let flood = tokio::spawn(flood_of(true));
    let during = load.run(TIME).await?;
    let Seen { rate, most, connections } = flood.await??;
    Ok(Flood { rate, before, beside_known, during, growth: most.saturating_sub(resident), connections })
}

struct Seen {
    rate: f64,
    /// The most memory that colocate had.
    most: u64,
    connections: usize,
}

/// Asks at a steady rate, whether the last question was answered or not, for claims that never come, or for the known one.
async fn flood(client: Client, colocate: Arc<Colocate>, never: bool) -> anyhow::Result<Seen> {
    let idle: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let mut asked = JoinSet::new();
    let (mut most, mut connections) = (0, 0);
    let mut clock = interval(Duration::from_secs(1) / RATE);
    // What a busy machine does not send in time is not sent at once later: the rate that is reported is the true one.
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begun = Instant::now();
    let mut number = 0_u32;
    while begun.elapsed() < TIME {
        clock.tick().await;
        number += 1;
        let review = if never {
            pair::review(&format!("flood-{}", number % NAMESPACES), &format!("never-{number}"))
        } else {
            pair::review(HOME, KNOWN)
        };
        let (client, idle) = (client.clone(), idle.clone());
        let open = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        connections += usize::from(open.is_none());
        asked.spawn(async move {
            let mut connection = match open {
                Some(connection) => connection,
                None => client.connect().await?,
            };
            let answer = connection.ask(review.to_string().into()).await?;
            ensure!(answer.status == 200, "HTTP {}", answer.status);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            Ok(())
        });
        if number.is_multiple_of(RATE / 2) {
            most = most.max(colocate.resident());
        }
    }
    let rate = f64::from(number) / begun.elapsed().as_secs_f64();
    for answered in asked.join_all().await {
        answered?;
    }
    Ok(Seen { rate, most: most.max(colocate.resident()), connections })
}
