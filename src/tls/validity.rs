//! The time in which a certificate is valid.

use jiff::{SignedDuration, Timestamp};

/// The time for which a certificate is valid before it is issued, so that a client whose clock is up to an hour behind
/// accepts a server that has just started.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// An end of the validity is outside of the years that a timestamp can have.
#[derive(Debug, thiserror::Error)]
#[error("a certificate cannot be valid for {life:#} from {now}")]
pub struct InvalidValidity {
    now: Timestamp,
    life: SignedDuration,
    source: jiff::Error,
}

/// The time in which a certificate is valid. It has no default: that of the library is 1975 to 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Validity {
    /// Creates the validity from an hour before `now` until `life` after it, in whole seconds, as in a certificate.
    ///
    /// # Errors
    /// If an end is outside of the years that a timestamp can have.
    pub fn new(now: Timestamp, life: SignedDuration) -> Result<Self, InvalidValidity> {
        let shift = |by| {
            let shifted = now.checked_add(by).map_err(|source| InvalidValidity { now, life, source })?;
            Ok(Timestamp::from_second(shifted.as_second()).unwrap_or(shifted))
        };
        Ok(Self { not_before: shift(-BACKDATED)?, not_after: shift(life)? })
    }

    /// Shortens the time to end at `end` or earlier, in whole seconds.
    #[must_use]
    pub fn until(self, end: Timestamp) -> Self {
        let end = Timestamp::from_second(end.as_second()).unwrap_or(end);
        Self { not_after: self.not_after.min(end), ..self }
    }

    /// Returns whether a certificate is valid at this time.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.not_before <= time && time <= self.not_after
    }

    /// Returns when two thirds of the life have passed. The last third is left for fixing a failing renewal.
    pub fn renewal(&self) -> Timestamp {
        let issued = self.not_before.saturating_add(BACKDATED).unwrap_or(self.not_before);
        let life = self.not_after.duration_since(issued).max(SignedDuration::ZERO);
        issued.saturating_add(life / 3 * 2).unwrap_or(self.not_after)
    }

    /// Returns the first second at which the certificate is valid.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns the last second at which the certificate is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}
