//! A Lease that a process of a scheduler renews, and its presence.

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

use super::registry::LeaseRef;
use crate::api::{ApiClient, ApiError, Resource};
use crate::duration::GoDuration;
use crate::engine::LostLease;

const LEASES: Resource = Resource::new("coordination.k8s.io", "leases");

/// A Lease in one of several namespaces, with the last observation in each.
pub(super) struct MonitoredLease {
    name: String,
    places: Vec<Place>,
}

/// A place where the Lease may be.
struct Place {
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

/// The state of a Lease, judged by all of its places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeaseState {
    /// It was not read everywhere.
    Unknown,
    Renewed,
    Lost(LostLease),
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

impl MonitoredLease {
    /// Creates the state of a Lease that was not observed yet. `home` is the namespace of this process.
    pub(super) fn new(LeaseRef { name, namespaces }: &LeaseRef, home: &str) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for namespace in namespaces {
            let namespace = namespace.as_deref().unwrap_or(home);
            // Our own namespace may be one of the others.
            if !places.iter().any(|place| place.namespace == namespace) {
                let observed = Observation::Nothing;
                places.push(Place { namespace: namespace.to_owned(), name: name.clone(), observed });
            }
        }
        Self { name: name.clone(), places }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its places, as `<namespace>/<name>`.
    #[cfg(test)]
    pub(super) fn places(&self) -> impl Iterator<Item = String> {
        self.places.iter().map(ToString::to_string)
    }

    /// Reads the Lease once in each place.
    pub(super) async fn poll(&mut self, client: &ApiClient) {
        join_all(self.places.iter_mut().map(|place| place.poll(client))).await;
    }

    /// Returns the best state among the places, with a message if the Lease is not renewed. It counts as stale or absent
    /// only if it was read everywhere, because one that was not read may be the one that is renewed.
    pub(super) fn judge(&self, stale_after: Duration) -> (LeaseState, Option<String>) {
        let ages = self.places.iter().filter_map(|place| match place.observed {
            Observation::Lease { age, .. } => Some((age, place)),
            _ => None,
        });
        let youngest = ages.min_by_key(|(age, _)| *age);
        if youngest.is_some_and(|(age, _)| age < stale_after) {
            return (LeaseState::Renewed, None);
        }
        if let Some(place) = self.places.iter().find(|place| place.observed == Observation::Forbidden) {
            return (LeaseState::Unknown, Some(format!("unknown: {}", place.forbidden())));
        }
        if self.places.iter().any(|place| place.observed == Observation::Nothing) {
            return (LeaseState::Unknown, None);
        }
        if let Some((age, place)) = youngest {
            let renewed = match age {
                Duration::MAX => "never renewed".to_owned(),
                age => format!("not renewed for {}", GoDuration(Duration::from_secs(age.as_secs()))),
            };
            let lost = LostLease::Stale(place.to_string().into());
            return (LeaseState::Lost(lost), Some(format!("{renewed} (Lease {place})")));
        }
        let places: Vec<_> = self.places.iter().map(ToString::to_string).collect();
        let lost = LostLease::Absent(self.name.as_str().into());
        (LeaseState::Lost(lost), Some(format!("absent (no Lease {})", places.join(", "))))
    }
}

impl LeaseState {
    /// Returns the value of a metric; `None` if it is unknown.
    pub(super) fn is_renewed(&self) -> Option<bool> {
        (*self != Self::Unknown).then_some(*self == Self::Renewed)
    }
}

impl Place {
    async fn poll(&mut self, client: &ApiClient) {
        let observed = match self.get(client).await {
            Ok(lease) => self.observed.renewed(lease.spec.renew_time, client.clock().read().now()),
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Observation {
    /// Returns the observation after a Lease was read. `time` is now, by the API server's clock.
    fn renewed(self, renewed: Option<Timestamp>, time: Timestamp) -> Self {
        let now = Instant::now();
        let age = match self {
            Self::Lease { renewed: before, age, polled } if before == renewed => age.saturating_add(now - polled),
            // The renewal time changed, so the Lease was renewed, however wrong the clocks are.
            Self::Lease { .. } => Duration::ZERO,
            // The first read can only compare clocks. If they disagree, the next renewal corrects the age.
            Self::Nothing | Self::Forbidden | Self::Absent => renewed
                .map_or(Duration::MAX, |renewed| Duration::try_from(time.duration_since(renewed)).unwrap_or_default()),
        };
        Self::Lease { renewed, age, polled: now }
    }

    /// Returns the observation after a failed read. While the API server is unreachable, no one can renew a Lease, so
    /// this time does not count.
    fn not_observed(self) -> Self {
        match self {
            Self::Lease { renewed, age, .. } => Self::Lease { renewed, age, polled: Instant::now() },
            other => other,
        }
    }
}
