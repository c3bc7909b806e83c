//! Monitors of the drivers' schedulers, by the Leases of their leader elections.
//!
//! A pod that names a scheduler which is not running stays Pending without any event. The scheduler's Leases show
//! whether it is running. They are polled, not watched, so that permission to `get` them by name is enough.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::monitored_lease::{LeaseState, MonitoredLease};
use super::registry::{Scheduler, SchedulerRegistry};
use crate::api::ApiClient;
use crate::engine::Presence;
use crate::process::Process;
use crate::process::metrics::Metrics;
use crate::process::readiness::ReadinessDetail;

/// The longest time between two polls: little load for an API server, and short enough for a graph.
const INTERVAL: Duration = Duration::from_secs(15);

/// Starts monitoring the schedulers of `registry`. Observations go to the registry, readiness, metrics and the log.
pub fn monitor(client: &ApiClient, registry: &SchedulerRegistry, process: &Process) {
    for scheduler in registry.schedulers() {
        let monitor = LeaseMonitor::new(client.clone(), scheduler, registry, process);
        process.tasks.spawn(format!("monitor of scheduler {}", scheduler.name), monitor.run());
    }
}

/// A monitor of the Leases of one scheduler.
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

impl LeaseMonitor {
    fn new(client: ApiClient, scheduler: &Scheduler, registry: &SchedulerRegistry, process: &Process) -> Self {
        Self {
            leases: scheduler.leases.iter().map(|lease| MonitoredLease::new(lease, client.namespace())).collect(),
            client,
            scheduler: scheduler.clone(),
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
        let Scheduler { driver, name, stale_after, .. } = &self.scheduler;
        let mut lost = Vec::new();
        let mut texts = Vec::new();
        let mut all_renewed = !self.leases.is_empty();
        for lease in &self.leases {
            let (state, text) = lease.judge(*stale_after);
            self.metrics.scheduler_lease_renewed.set([driver, name, lease.name()], state.is_renewed());
            all_renewed &= state == LeaseState::Renewed;
            if let LeaseState::Lost(lease) = state {
                lost.push(lease);
            }
            texts.extend(text);
        }
        // The scheduler needs all of its processes: one that is away decides, whatever is known of the others.
        let presence = match lost.is_empty() {
            false => Presence::Away(lost.into()),
            true if all_renewed => Presence::Alive,
            true => Presence::Unknown,
        };
        let text = (!texts.is_empty()).then(|| texts.join("; "));
        self.report(presence, text.as_deref());
    }

    fn report(&mut self, presence: Presence, text: Option<&str>) {
        let Scheduler { driver, name, .. } = &self.scheduler;
        self.registry.set(driver, presence.clone());
        let is_alive = (presence != Presence::Unknown).then_some(presence == Presence::Alive);
        self.metrics.scheduler_alive.set([driver, name], is_alive);
        // It is set before the log is written, so that a reader of the log finds the same state in /readyz.
        self.detail.set(text.map(str::to_owned));
        if presence != self.presence {
            let (driver, scheduler) = (&**driver, &**name);
            match presence {
                Presence::Alive => tracing::info!(driver, scheduler, "the scheduler is alive"),
                Presence::Away(_) => {
                    tracing::warn!(
                        driver,
                        scheduler,
                        why = text,
                        "the scheduler is not alive: pods that name it stay Pending"
                    );
                }
                // The cause was logged for the Lease.
                Presence::Unknown => {}
            }
            self.presence = presence;
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
