//! Whether the drivers' schedulers are there, by the Leases of their leader elections.
//!
//! A scheduler that nobody runs says nothing: a pod that names it stays Pending with no event at all. Its Lease tells. It
//! is asked for again and again and not watched, so that the right to `get` it, by its name, is enough.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use kube::Client;
use serde::Deserialize;
use tokio::time::Instant;

use super::Cluster;
use crate::duration::GoDuration;
use crate::engine::Presence;
use crate::metrics::Metrics;
use crate::presence::{Presences, Scheduler};
use crate::readiness::{Detail, Readiness};
use crate::tasks::Tasks;

/// The longest time between two looks: no load for an API server, and soon enough for a person who looks at a graph.
const INTERVAL: Duration = Duration::from_secs(15);

/// How long a look may take. An API server that needs longer is as good as away.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Cluster {
    /// Starts to look after the schedulers of `presences` in `tasks`: what is seen is told to `presences`, `readiness`,
    /// `metrics` and the log. A task that ends has failed.
    pub fn watch_schedulers(
        &self,
        presences: &Presences,
        readiness: &Readiness,
        metrics: &Arc<Metrics>,
        tasks: &mut Tasks,
    ) {
        for scheduler in presences.schedulers() {
            let lookout = Lookout::new(self.client.clone(), scheduler, presences, readiness, metrics);
            tasks.spawn(format!("watch of scheduler {}", scheduler.name), lookout.run());
        }
    }
}

/// Who looks after one scheduler.
struct Lookout {
    client: Client,
    scheduler: Scheduler,
    places: Vec<Place>,
    /// What was reported last.
    presence: Presence,
    presences: Presences,
    metrics: Arc<Metrics>,
    detail: Detail,
}

/// Where a Lease may be, and what was seen there.
struct Place {
    namespace: String,
    name: String,
    sight: Sight,
}

/// What was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// Nothing yet.
    Nothing,
    /// That we may not look.
    Forbidden,
    /// That there is no Lease.
    Absent,
    /// A Lease.
    Lease {
        /// When it was renewed, by its holder's clock; `None` for never.
        renewed: Option<Timestamp>,
        /// How long it had not been renewed when it was looked at last, by our clock.
        age: Duration,
        /// When it was looked at last, in vain or not.
        looked: Instant,
    },
}

/// What there is to know of a Lease.
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

impl Lookout {
    fn new(
        client: Client,
        scheduler: &Scheduler,
        presences: &Presences,
        readiness: &Readiness,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for lease in &scheduler.leases {
            let namespace = lease.namespace.as_deref().unwrap_or(client.default_namespace());
            // Our own namespace may be one of the others.
            if !places.iter().any(|place| place.namespace == namespace && place.name == lease.name) {
                let (namespace, name) = (namespace.to_owned(), lease.name.clone());
                places.push(Place { namespace, name, sight: Sight::Nothing });
            }
        }
        Self {
            client,
            scheduler: scheduler.clone(),
            places,
            presence: Presence::Unknown,
            presences: presences.clone(),
            metrics: metrics.clone(),
            detail: readiness.detail(format!("scheduler {}", scheduler.name)),
        }
    }

    async fn run(mut self) {
        let interval = interval(self.scheduler.stale_after);
        loop {
            self.look().await;
            tokio::time::sleep(jittered(interval)).await;
        }
    }

    /// Looks once, and reports.
    async fn look(&mut self) {
        let client = &self.client;
        join_all(self.places.iter_mut().map(|place| place.look(client))).await;
        let (presence, text) = self.judge();
        self.presences.tell(&self.scheduler.driver, presence);
        let Scheduler { driver, name, .. } = &self.scheduler;
        let alive = (presence != Presence::Unknown).then_some(presence == Presence::Alive);
        self.metrics.scheduler_alive(driver, name, alive);
        self.detail.set(text.clone());
        if presence != self.presence {
            let (driver, scheduler) = (&**driver, &**name);
            match presence {
                Presence::Alive => tracing::info!(driver, scheduler, "the scheduler is alive"),
                Presence::Stale | Presence::Absent => {
                    let why = text.as_deref();
                    tracing::warn!(driver, scheduler, why, "no scheduler is alive: pods that name it stay Pending");
                }
                // Why not was said of the Lease.
                Presence::Unknown => {}
            }
            self.presence = presence;
        }
    }

    /// The best that was seen, and what is to be said of it. A place that was not seen could hold a Lease that is renewed:
    /// only who has seen all of them can say that no scheduler is there.
    fn judge(&self) -> (Presence, Option<String>) {
        let presence = |place: &Place| place.sight.presence(self.scheduler.stale_after);
        if self.places.iter().any(|place| presence(place) == Presence::Alive) {
            return (Presence::Alive, None);
        }
        if let Some(place) = self.places.iter().find(|place| place.sight == Sight::Forbidden) {
            return (Presence::Unknown, Some(format!("unknown: {}", Forbidden(place))));
        }
        if self.places.iter().any(|place| place.sight == Sight::Nothing) {
            return (Presence::Unknown, None);
        }
        let youngest =
            self.places.iter().filter_map(|place| Some((place.sight.age()?, place))).min_by_key(|(age, _)| *age);
        if let Some((age, place)) = youngest {
            return (Presence::Stale, Some(format!("{} (Lease {place})", NotRenewed(age))));
        }
        let places: Vec<_> = self.places.iter().map(ToString::to_string).collect();
        (Presence::Absent, Some(format!("absent (no Lease {})", places.join(", "))))
    }
}

impl Place {
    async fn look(&mut self, client: &Client) {
        let answer = tokio::time::timeout(TIMEOUT, self.lease(client)).await;
        let seen = match answer {
            Ok(Ok(lease)) => self.sight.then(lease.spec.renew_time),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Sight::Absent,
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => Sight::Forbidden,
            Ok(Err(error)) => {
                tracing::debug!(%error, lease = %self, "cannot get a Lease");
                self.sight.then_nothing()
            }
            Err(_) => {
                tracing::debug!(lease = %self, "cannot get a Lease: no answer");
                self.sight.then_nothing()
            }
        };
        if seen == Sight::Forbidden && self.sight != Sight::Forbidden {
            tracing::warn!("{}; grant the verb \"get\"", Forbidden(self));
        }
        self.sight = seen;
    }

    async fn lease(&self, client: &Client) -> kube::Result<Lease> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{}", self.namespace, self.name);
        let request = hyper::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        client.request(request).await
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Sight {
    /// After a Lease was seen.
    fn then(self, renewed: Option<Timestamp>) -> Self {
        let now = Instant::now();
        let age = match self {
            Self::Lease { renewed: before, age, looked } if before == renewed => age.saturating_add(now - looked),
            // That it was renewed is a fact, whatever the two clocks say.
            Self::Lease { .. } => Duration::ZERO,
            // At first sight there is nothing to go by but the clocks. One that is wrong is set right by the next renewal.
            Self::Nothing | Self::Forbidden | Self::Absent => renewed.map_or(Duration::MAX, |renewed| {
                Duration::try_from(Timestamp::now().duration_since(renewed)).unwrap_or_default()
            }),
        };
        Self::Lease { renewed, age, looked: now }
    }

    /// After nothing could be seen. While the API server is away, nobody can renew anything: that time does not count.
    fn then_nothing(self) -> Self {
        match self {
            Self::Lease { renewed, age, .. } => Self::Lease { renewed, age, looked: Instant::now() },
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

    fn age(self) -> Option<Duration> {
        match self {
            Self::Lease { age, .. } => Some(age),
            Self::Nothing | Self::Forbidden | Self::Absent => None,
        }
    }
}

/// That a place may not be looked at, in the words of the API server.
struct Forbidden<'p>(&'p Place);

impl fmt::Display for Forbidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { namespace, name, .. } = self.0;
        write!(f, "cannot get leases.coordination.k8s.io \"{name}\" in namespace \"{namespace}\": forbidden")
    }
}

/// For how long a Lease was not renewed.
struct NotRenewed(Duration);

impl fmt::Display for NotRenewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Duration::MAX {
            return f.write_str("never renewed");
        }
        write!(f, "not renewed for {}", GoDuration(Duration::from_secs(self.0.as_secs())))
    }
}

/// A Lease that is renewed all the time is seen four times before it would count as stale.
fn interval(stale_after: Duration) -> Duration {
    INTERVAL.min(stale_after / 4)
}

/// A little less, by chance: replicas that were started at the same moment do not ask at the same moment for ever.
fn jittered(interval: Duration) -> Duration {
    let chance = RandomState::new().hash_one(()) % 100;
    interval.mul_f64(1.0 - f64::from(u8::try_from(chance).unwrap_or_default()) / 1000.0)
}

#[cfg(test)]
mod tests;
