//! Monitors of the drivers' schedulers, by the Leases of their leader elections.
//!
//! A pod that names a scheduler which is not running stays Pending without any event. The scheduler's Lease shows
//! whether it is running. The Lease is polled, not watched, so that permission to `get` it by name is enough.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

use super::registry::{Scheduler, SchedulerRegistry};
use crate::api::{ApiClient, ApiError, Resource};
use crate::duration::GoDuration;
use crate::engine::Presence;
use crate::process::Process;
use crate::process::metrics::Metrics;
use crate::process::readiness::ReadinessDetail;

const LEASES: Resource = Resource::new("coordination.k8s.io", "leases");

/// The longest time between two polls: little load for an API server, and short enough for a graph.
const INTERVAL: Duration = Duration::from_secs(15);

/// Starts monitoring the schedulers of `registry`. Observations go to the registry, readiness, metrics and the log.
pub fn monitor(client: &ApiClient, registry: &SchedulerRegistry, process: &Process) {
    for scheduler in registry.schedulers() {
        let monitor = LeaseMonitor::new(client.clone(), scheduler, registry, process);
        process.tasks.spawn(format!("monitor of scheduler {}", scheduler.name), monitor.run());
    }
}

/// A monitor of one scheduler.
struct LeaseMonitor {
    client: ApiClient,
    scheduler: Scheduler,
    leases: Vec<MonitoredLease>,
    /// The presence that was reported last.
    presence: Presence,
    registry: SchedulerRegistry,
    metrics: Arc<Metrics>,
    detail: ReadinessDetail,
}

/// A Lease and its last observation.
struct MonitoredLease {
    namespace: String,
    name: String,
    observed: Observation,
}

/// The last observation of a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Observation {
    /// Nothing yet.
    Nothing,
    /// Getting it is forbidden.
    Forbidden,
    /// It does not exist.
    Absent,
    /// It was read.
    Lease {
        /// The time of the last renewal, by its holder's clock; `None` if it was never renewed.
        renewed: Option<Timestamp>,
        /// The time since the last renewal, as of the last poll, by our clock.
        age: Duration,
        /// The instant of the last poll, whether it succeeded or not.
        polled: Instant,
    },
}

/// A Lease, as far as it is decoded.
#[derive(Deserialize)]
struct Lease {
    #[serde(default)]
    spec: LeaseSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeaseSpec {
    renew_time: Option<Timestamp>,
}

impl LeaseMonitor {
    fn new(client: ApiClient, scheduler: &Scheduler, registry: &SchedulerRegistry, process: &Process) -> Self {
        let mut leases: Vec<MonitoredLease> = Vec::new();
        for lease in &scheduler.leases {
            let namespace = lease.namespace.as_deref().unwrap_or(client.namespace());
            // Our own namespace may be one of the others.
            if !leases.iter().any(|known| known.namespace == namespace && known.name == lease.name) {
                let observed = Observation::Nothing;
                leases.push(MonitoredLease { namespace: namespace.to_owned(), name: lease.name.clone(), observed });
            }
        }
        Self {
            client,
            scheduler: scheduler.clone(),
            leases,
            presence: Presence::Unknown,
            registry: registry.clone(),
            metrics: process.metrics.clone(),
            detail: process.readiness.detail(format!("scheduler {}", scheduler.name)),
        }
    }

    async fn run(mut self) {
        let interval = interval(self.scheduler.stale_after);
        loop {
            self.poll().await;
            tokio::time::sleep(jittered(interval)).await;
        }
    }

    /// Reads the Leases once, and reports.
    async fn poll(&mut self) {
        let client = &self.client;
        join_all(self.leases.iter_mut().map(|lease| lease.poll(client))).await;
        let (presence, text) = self.judge();
        self.registry.set(&self.scheduler.driver, presence);
        let Scheduler { driver, name, .. } = &self.scheduler;
        let alive = (presence != Presence::Unknown).then_some(presence == Presence::Alive);
        self.metrics.scheduler_alive.set([driver, name], alive);
        self.detail.set(text.clone());
        if presence != self.presence {
            let (driver, scheduler) = (&**driver, &**name);
            match presence {
                Presence::Alive => tracing::info!(driver, scheduler, "the scheduler is alive"),
                Presence::Stale | Presence::Absent => {
                    let why = text.as_deref();
                    tracing::warn!(
                        driver,
                        scheduler,
                        why,
                        "the scheduler is not alive: pods that name it stay Pending"
                    );
                }
                // The cause was logged for the Lease.
                Presence::Unknown => {}
            }
            self.presence = presence;
        }
    }

    /// Returns the best presence among the Leases, with a message. The scheduler counts as stale or absent only if
    /// every Lease was read, because a Lease that was not read may be the one that is renewed.
    fn judge(&self) -> (Presence, Option<String>) {
        let presence = |lease: &MonitoredLease| lease.observed.presence(self.scheduler.stale_after);
        if self.leases.iter().any(|lease| presence(lease) == Presence::Alive) {
            return (Presence::Alive, None);
        }
        if let Some(lease) = self.leases.iter().find(|lease| lease.observed == Observation::Forbidden) {
            return (Presence::Unknown, Some(format!("unknown: {}", lease.forbidden())));
        }
        if self.leases.iter().any(|lease| lease.observed == Observation::Nothing) {
            return (Presence::Unknown, None);
        }
        let ages = self.leases.iter().filter_map(|lease| match lease.observed {
            Observation::Lease { age, .. } => Some((age, lease)),
            _ => None,
        });
        if let Some((age, lease)) = ages.min_by_key(|(age, _)| *age) {
            let renewed = match age {
                Duration::MAX => "never renewed".to_owned(),
                age => format!("not renewed for {}", GoDuration(Duration::from_secs(age.as_secs()))),
            };
            return (Presence::Stale, Some(format!("{renewed} (Lease {lease})")));
        }
        let leases: Vec<_> = self.leases.iter().map(ToString::to_string).collect();
        (Presence::Absent, Some(format!("absent (no Lease {})", leases.join(", "))))
    }
}

impl MonitoredLease {
    async fn poll(&mut self, client: &ApiClient) {
        let observed = match self.get(client).await {
            Ok(lease) => self.observed.renewed(lease.spec.renew_time),
            Err(error) if error.code() == Some(404) => Observation::Absent,
            Err(error) if error.code() == Some(403) => Observation::Forbidden,
            Err(error) => {
                tracing::debug!(%error, lease = %self, "cannot get a Lease");
                self.observed.not_observed()
            }
        };
        if observed == Observation::Forbidden && self.observed != Observation::Forbidden {
            tracing::warn!("{}; grant the verb \"get\"", self.forbidden());
        }
        self.observed = observed;
    }

    async fn get(&self, client: &ApiClient) -> Result<Lease, ApiError> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{}", self.namespace, self.name);
        let json = client.get(LEASES, &path).await?;
        LEASES.decode("get", &json)
    }

    /// Formats the message for a Lease that colocate may not read, in the API server's wording.
    fn forbidden(&self) -> String {
        let Self { namespace, name, .. } = self;
        format!("cannot get leases.coordination.k8s.io \"{name}\" in namespace \"{namespace}\": forbidden")
    }
}

impl fmt::Display for MonitoredLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Observation {
    /// Returns the observation after a Lease was read.
    fn renewed(self, renewed: Option<Timestamp>) -> Self {
        let now = Instant::now();
        let age = match self {
            Self::Lease { renewed: before, age, polled } if before == renewed => age.saturating_add(now - polled),
            // The renewal time changed, so the Lease was renewed, however wrong the clocks are.
            Self::Lease { .. } => Duration::ZERO,
            // The first read can only compare clocks. If they disagree, the next renewal corrects the age.
            Self::Nothing | Self::Forbidden | Self::Absent => renewed.map_or(Duration::MAX, |renewed| {
                Duration::try_from(Timestamp::now().duration_since(renewed)).unwrap_or_default()
            }),
        };
        Self::Lease { renewed, age, polled: now }
    }

    /// Returns the observation after a failed read. While the API server is unreachable, no one can renew a Lease, so
    /// that time does not count.
    fn not_observed(self) -> Self {
        match self {
            Self::Lease { renewed, age, .. } => Self::Lease { renewed, age, polled: Instant::now() },
            other => other,
        }
    }

    fn presence(self, stale_after: Duration) -> Presence {
        match self {
            Self::Nothing | Self::Forbidden => Presence::Unknown,
            Self::Absent => Presence::Absent,
            Self::Lease { age, .. } if age < stale_after => Presence::Alive,
            Self::Lease { .. } => Presence::Stale,
        }
    }
}

/// Returns the time between two polls: a Lease is polled four times before it counts as stale.
fn interval(stale_after: Duration) -> Duration {
    INTERVAL.min(stale_after / 4)
}

/// Returns the interval, randomly shortened by up to 10 %, so that replicas that were started together do not poll together.
fn jittered(interval: Duration) -> Duration {
    let chance = RandomState::new().hash_one(()) % 100;
    interval.mul_f64(1.0 - f64::from(u8::try_from(chance).unwrap_or_default()) / 1000.0)
}

#[cfg(test)]
mod tests;
