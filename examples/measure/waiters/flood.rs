//! Reviews of pods with missing claims at colocate's own socket, and other reviews at the same time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use colocate::probe::{Client, Connection};
use colocate_harness::{Colocate, ControlPlane, Load, Namespace, Timings, pair};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The rate of reviews per second, and the duration, which exceeds the 30 s for which colocate remembers timed-out
/// waits and logged claims.
const RATE: u32 = 500;
const TIME: Duration = Duration::from_secs(40);

/// The number of connections for the other reviews, which are sent as fast as they are answered.
const OTHERS: usize = 4;

/// The number of namespaces of the pods. It is large enough to use all wait slots.
const NAMESPACES: u32 = 20;

/// The claim that exists, and its namespace.
const KNOWN: &str = "known";
const HOME: &str = "flood";

/// The `timeoutSeconds` of a webhook configuration.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The results.
pub(crate) struct Flood {
    /// The rate of reviews per second.
    pub(crate) rate: f64,
    /// The timings of the other reviews, without concurrent reviews.
    pub(crate) before: Timings,
    /// The same during reviews that name a known claim.
    pub(crate) during_known: Timings,
    /// The same during reviews that name missing claims.
    pub(crate) during: Timings,
    /// The largest growth of the resident memory in bytes.
    pub(crate) growth: u64,
    /// The number of connections.
    pub(crate) connections: usize,
}

pub(crate) async fn measure(control_plane: &ControlPlane) -> anyhow::Result<Flood> {
    let namespace = Namespace::within(control_plane, HOME);
    namespace.kubectl().feed("create -f -", &pair::claim(KNOWN).to_string());
    let colocate = Arc::new(Colocate::start_quietly(control_plane, namespace.name()));
    let client = colocate.client(TIMEOUT);
    colocate.wait_for_message("listed", 2);

    eprintln!("measuring reviews that name a known claim");
    let known = Bytes::from(pair::review(HOME, KNOWN).to_string());
    let mut load = Load::open(&client, known, OTHERS).await?;
    let before = load.run(TIME / 2).await?;
    eprintln!("measuring them during {RATE} reviews per second that name it, too");
    let flood_of = |never| flood(client.clone(), colocate.clone(), never);
    let known = tokio::spawn(flood_of(false));
    let during_known = load.run(TIME).await?;
    known.await??;
    let resident = colocate.resident();

    eprintln!("measuring them during {RATE} reviews per second that name missing claims");
    let flood = tokio::spawn(flood_of(true));
    let during = load.run(TIME).await?;
    let Observed { rate, most, connections } = flood.await??;
    Ok(Flood { rate, before, during_known, during, growth: most.saturating_sub(resident), connections })
}

struct Observed {
    rate: f64,
    /// The largest resident memory of colocate.
    most: u64,
    connections: usize,
}

/// Sends reviews at a steady rate, whether or not the last one is answered. They name missing claims, or the known one.
async fn flood(client: Client, colocate: Arc<Colocate>, never: bool) -> anyhow::Result<Observed> {
    let idle: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let mut reviews = JoinSet::new();
    let (mut most, mut connections) = (0, 0);
    let mut clock = interval(Duration::from_secs(1) / RATE);
    // A busy machine does not catch up on missed ticks: the reported rate is the true one.
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
        reviews.spawn(async move {
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
    for answered in reviews.join_all().await {
        answered?;
    }
    Ok(Observed { rate, most: most.max(colocate.resident()), connections })
}
