//! `missingClaim`: what is done about a claim that is not there, and how much of it at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Invalid;
use crate::claims::ClaimLimits;
use crate::duration::GoDuration;

/// Clients that make a claim and its pod together make them milliseconds apart; a webhook's timeout is 3 to 5 s.
const WAIT: Duration = Duration::from_secs(2);

/// A pod that waits holds a seat of the API server's priority level: 500 starve it, 100 delay other requests by 0.16 s
/// (measured).
const MAX_WAITERS: u32 = 64;

/// A quarter of all, so that no namespace keeps the others from waiting.
const MAX_WAITERS_PER_NAMESPACE: u32 = 16;

/// One for each pod that may wait.
const MAX_GETS: u32 = MAX_WAITERS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Fields")]
pub(super) struct MissingClaim {
    wait: GoDuration,
    pub(super) then: Then,
    max_waiters: u32,
    max_waiters_per_namespace: u32,
    max_gets: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Then {
    Skip,
    Inject,
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Fields {
    wait: Option<GoDuration>,
    then: Option<Then>,
    max_waiters: Option<u32>,
    max_waiters_per_namespace: Option<u32>,
    max_gets: Option<u32>,
}

impl TryFrom<Fields> for MissingClaim {
    type Error = Invalid;

    fn try_from(fields: Fields) -> Result<Self, Invalid> {
        let whole = fields.max_waiters.unwrap_or(MAX_WAITERS);
        // Who lowers the whole and says nothing of namespaces means them too.
        let part = fields.max_waiters_per_namespace.unwrap_or(MAX_WAITERS_PER_NAMESPACE.min(whole));
        if part > whole {
            return Err(Invalid(format!(
                "maxWaitersPerNamespace ({part}) is larger than maxWaiters ({whole}), which counts the waiters of all namespaces; write at most {whole}"
            )));
        }
        if part == 0 && whole > 0 {
            return Err(Invalid(
                "maxWaitersPerNamespace is 0; write at least 1, or maxWaiters: 0 where no pod should wait".to_owned(),
            ));
        }
        let max_gets = fields.max_gets.unwrap_or(MAX_GETS);
        if max_gets == 0 {
            return Err(Invalid("maxGets is 0: no claim could be asked for; write at least 1".to_owned()));
        }
        Ok(Self {
            wait: fields.wait.unwrap_or(GoDuration(WAIT)),
            then: fields.then.unwrap_or(Then::Skip),
            max_waiters: whole,
            max_waiters_per_namespace: part,
            max_gets,
        })
    }
}

impl Default for MissingClaim {
    fn default() -> Self {
        Self {
            wait: GoDuration(WAIT),
            then: Then::Skip,
            max_waiters: MAX_WAITERS,
            max_waiters_per_namespace: MAX_WAITERS_PER_NAMESPACE,
            max_gets: MAX_GETS,
        }
    }
}

impl MissingClaim {
    pub(super) fn limits(&self) -> ClaimLimits {
        // No machine that this runs on counts in less than 32 bits.
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        ClaimLimits {
            wait: self.wait.0,
            max_waiters: count(self.max_waiters),
            max_waiters_per_namespace: count(self.max_waiters_per_namespace),
            max_gets: count(self.max_gets),
        }
    }
}
