//! `drivers[].scheduler`: a name, or a name with the Lease by which it is seen whether the scheduler is there.

use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::error::Invalid;
use crate::duration::GoDuration;
use crate::engine::{self, dns};
use crate::schedulers;

/// A leader renews every 2 s (Kubernetes' default): one that has not for three minutes was not merely slow, and its node
/// was not merely restarted.
const STALE_AFTER: Duration = Duration::from_mins(3);

/// The Lease is asked for four times as often, and each question is a request to the API server.
const SHORTEST_STALE_AFTER: Duration = Duration::from_secs(1);

/// A driver's scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scheduler {
    pub(super) name: String,
    watch: Watch,
}

/// How it is seen that the scheduler is there, and what is done where it is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Watch {
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
    when_absent: Away,
    when_stale: Away,
    stale_after: GoDuration,
}

impl Default for Watch {
    fn default() -> Self {
        Self { lease: None, when_absent: Away::Inject, when_stale: Away::Inject, stale_after: GoDuration(STALE_AFTER) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    namespace: String,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Away {
    Inject,
    Skip,
}

impl Scheduler {
    /// One of which nothing is said but its name.
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), watch: Watch::default() }
    }

    /// What is done where it never was, and where it is not any more.
    pub(super) fn when_away(&self) -> (engine::Away, engine::Away) {
        let away = |away| match away {
            Away::Inject => engine::Away::Inject,
            Away::Skip => engine::Away::Skip,
        };
        (away(self.watch.when_absent), away(self.watch.when_stale))
    }

    /// The Lease that is named.
    pub(super) fn lease(&self) -> Option<schedulers::LeaseRef> {
        let Lease { namespace, name } = self.watch.lease.clone()?;
        Some(schedulers::LeaseRef { namespace: Some(namespace), name })
    }

    /// After how long without a renewal of its Lease it counts as gone.
    pub(super) fn stale_after(&self) -> Duration {
        self.watch.stale_after.0
    }
}

/// The short form where it says all.
impl Serialize for Scheduler {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Long<'s> {
            name: &'s str,
            #[serde(flatten)]
            watch: &'s Watch,
        }
        if self.watch == Watch::default() {
            return serializer.serialize_str(&self.name);
        }
        Long { name: &self.name, watch: &self.watch }.serialize(serializer)
    }
}

/// A scheduler as it is written: a field that is not has its default.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Written {
    name: Option<String>,
    lease: Option<Lease>,
    when_absent: Option<Away>,
    when_stale: Option<Away>,
    stale_after: Option<GoDuration>,
}

impl Written {
    /// The name, or else nothing, or the mapping.
    pub(super) fn short_or_long<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        struct ShortOrLong;

        impl<'de> Visitor<'de> for ShortOrLong {
            type Value = Option<Written>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a scheduler, or a mapping such as {name: stork, staleAfter: 3m}")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Some(Written { name: Some(name.to_owned()), ..Written::default() }))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
                Written::deserialize(MapAccessDeserializer::new(map)).map(Some)
            }
        }

        deserializer.deserialize_any(ShortOrLong)
    }

    /// The scheduler of `driver`, which has this name where none is written.
    pub(super) fn of(self, driver: &str, built_in: Option<String>) -> Result<Option<Scheduler>, Invalid> {
        let Some(name) = self.name.or(built_in) else { return Ok(None) };
        if let Some(lease) = &self.lease {
            lease.check(driver)?;
        }
        let named = self.lease.is_some();
        let policies = [("whenAbsent", self.when_absent), ("whenStale", self.when_stale)];
        if let Some((policy, _)) = policies.iter().find(|(_, away)| *away == Some(Away::Skip) && !named) {
            return Err(Invalid(format!(
                "driver `{driver}` has `{policy}: skip` and no `lease`, by which it would be seen; write the Lease of the scheduler's leader election, such as lease: {{namespace: kube-system, name: {name}}}"
            )));
        }
        let default = Watch::default();
        let stale_after = self.stale_after.unwrap_or(default.stale_after);
        if stale_after.0 < SHORTEST_STALE_AFTER {
            return Err(Invalid(format!(
                "driver `{driver}` has `staleAfter: {stale_after}`; write at least {}",
                GoDuration(SHORTEST_STALE_AFTER)
            )));
        }
        let watch = Watch {
            lease: self.lease,
            when_absent: self.when_absent.unwrap_or(default.when_absent),
            when_stale: self.when_stale.unwrap_or(default.when_stale),
            stale_after,
        };
        Ok(Some(Scheduler { name, watch }))
    }
}

impl Lease {
    fn check(&self, driver: &str) -> Result<(), Invalid> {
        let Self { namespace, name } = self;
        if dns::is_label(namespace) && dns::is_subdomain(name) {
            return Ok(());
        }
        Err(Invalid(format!(
            "driver `{driver}` has a lease in namespace `{namespace}` with the name `{name}`, which cannot be; write one such as {{namespace: kube-system, name: stork-scheduler}}"
        )))
    }
}
