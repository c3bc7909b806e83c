//! The self-managed CA: the contents of its Secret, and the next step of its rotation.
//!
//! Nothing here does I/O or reads a clock: every decision is a pure function of the time that it is given. Every replica
//! applies the same rules to what it read, and writes the result with the `resourceVersion` that it read. That version is
//! the lock: the write of a slower replica fails, and it reads again.
//!
//! # The rotation
//!
//! ```text
//!            Publish                    Switch                     Retire
//! current A ---------> current A ------------------> current B ------------> current B
//!                      next    B                     old     A
//! bundle  A            bundle  A B                   bundle  B A             bundle  B
//! leaves  A            leaves  A                     leaves  B               leaves  B
//!            2/3 of     `settle` after the live       the longest life of
//!            A's life   configurations carry B        a leaf after the switch
//! ```
//!
//! A step depends on the wall clock and on the Secret, not on the replica that took the step before. A machine that was
//! suspended takes all steps that are due, one after the other, and any replica can take any of them.
//!
//! The wall clock is the API server's ([`ClockReading::now`]), because API servers verify certificates by their own clock.
//! If the clock of a replica differs from it by more than [`TOLERANCE`], one of the two is wrong, and the replica takes no
//! step. It still issues and serves leaves.
//!
//! # Invariants
//!
//! 1. **One current CA.** A step is written with the version of the Secret that it was computed from. So the contents of the
//!    Secret are one sequence, which two replicas cannot fork.
//! 2. **A leaf never comes from a CA that an API server may not know yet.** A CA becomes current only when every live
//!    configuration has carried it for [`Lifetimes::settle`] without a break ([`Propagation`]).
//! 3. **A CA stays in the bundle while one of its leaves is valid.** The life of a leaf is counted from a moment *before*
//!    its replica read that the CA is current ([`CaState::leaf`]), not from when the leaf is issued. However stale a
//!    replica's state is, its leaves expire by `read + leaf`. A replica can only have read that a CA is current before
//!    the switch that replaces this CA, so all leaves of the CA end before `switch + leaf`. [`OldCa::until`] has a
//!    margin for replicas whose clocks differ.
//! 4. **A leaf never outlives its CA**, and is replaced only by a leaf that ends later. Otherwise, near the end of a CA
//!    that cannot be replaced, ever shorter leaves would be issued ever faster.
//! 5. **At most three CAs.** The next one is created only when the old one is gone.
//! 6. **A CA that is not valid now is replaced at once**, by its successor if that is valid, whether it has settled or not.
//!    Clients refuse all leaves of a CA that has expired or is not valid yet (a replica whose clock was ahead created
//!    it), so replacing it cannot make things worse. Such a CA signs no leaf.
//! 7. **An old CA stays for a bounded time.** If [`OldCa::until`] is later than any switch can have written it, it is
//!    shortened.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::propagation::Propagation;
use crate::process::clock::ClockReading;
use crate::tls::{Authority, Certificate, IssueError, Validity};

/// The common name of a CA. Clients ignore it; it helps people who inspect a certificate.
const COMMON_NAME: &str = "colocate CA";

/// The tolerated difference between two clocks. A certificate is backdated by the same time.
pub(super) const TOLERANCE: SignedDuration = SignedDuration::from_hours(1);

/// The lifetimes of certificates, and the time that a rotation waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// The time for which a CA is valid.
    pub ca: SignedDuration,
    /// The longest time that a leaf is valid.
    pub leaf: SignedDuration,
    /// The time for which the live configurations must have carried a CA before it signs: longer than an API server
    /// needs to notice a change.
    pub settle: SignedDuration,
}

impl Default for Lifetimes {
    /// Returns a year for a CA, a week for a leaf, and a minute to settle.
    fn default() -> Self {
        Self {
            ca: SignedDuration::from_hours(365 * 24),
            leaf: SignedDuration::from_hours(7 * 24),
            settle: SignedDuration::from_mins(1),
        }
    }
}

impl Lifetimes {
    /// Returns the time for which an old CA stays in the bundle: until its leaves have expired by every replica's
    /// clock.
    fn overlap(&self) -> SignedDuration {
        self.leaf.saturating_add(self.leaf.min(TOLERANCE))
    }

    /// Returns the end of the overlap after a switch at `now`.
    fn overlap_end(&self, now: Timestamp) -> Timestamp {
        let end = now.saturating_add(self.overlap()).unwrap_or(now);
        // The Secret holds whole seconds.
        Timestamp::from_second(end.as_second().saturating_add(1)).unwrap_or(end)
    }

    /// Returns the longest overlap that a replica can find in the Secret. The clock of the replica that switched may
    /// have differed.
    fn longest_overlap(&self) -> SignedDuration {
        self.overlap().saturating_add(TOLERANCE)
    }
}

/// The CAs that the Secret holds.
#[derive(Clone, Debug)]
pub(super) struct CaState {
    /// The CA that signs leaves.
    pub(super) current: Arc<Authority>,
    /// The CA that signs leaves after the next switch.
    pub(super) next: Option<Arc<Authority>>,
    /// The CA that signed leaves before the last switch.
    pub(super) old: Option<OldCa>,
}

/// A CA that no longer signs. Its key is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OldCa {
    /// Its certificate, which stays in the bundle.
    pub(super) certificate: Certificate,
    /// The time at which it is removed from the bundle. By then, every leaf that it signed has expired.
    pub(super) until: Timestamp,
}

/// A step of the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RotationStep {
    /// Creates the next CA, also in place of one that is not valid.
    Publish,
    /// Makes the next CA the current one.
    Switch,
    /// Replaces a current CA that is not valid by the next one, or else by a new one.
    Replace,
    /// Reduces [`OldCa::until`] to the value that a switch would write now.
    Shorten,
    /// Removes the old CA.
    Retire,
}

/// The leaf that a replica serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeafInUse {
    /// The certificate of the CA that signed it.
    pub(super) authority: Certificate,
    /// The time in which it is valid.
    pub(super) validity: Validity,
}

impl CaState {
    /// Creates the state of a Secret that was empty.
    pub(super) fn first(now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, IssueError> {
        Ok(Self { current: authority(now, lifetimes)?, next: None, old: None })
    }

    /// Returns the certificates that every configuration must carry.
    pub(super) fn bundle(&self) -> Vec<&Certificate> {
        let next = self.next.as_ref().map(|next| next.certificate());
        let old = self.old.as_ref().map(|old| &old.certificate);
        [Some(self.current.certificate()), next, old].into_iter().flatten().collect()
    }

    /// Returns the step that is due, if a replica with these clocks may take it.
    pub(super) fn step(
        &self,
        clocks: &ClockReading,
        propagation: &Propagation,
        lifetimes: &Lifetimes,
    ) -> Option<RotationStep> {
        if !clocks.agrees_within(TOLERANCE) {
            return None;
        }
        let now = clocks.now();
        let valid = |certificate: &Certificate| certificate.validity().contains(now);
        let current = self.current.certificate();
        if !valid(current) {
            return Some(RotationStep::Replace);
        }
        if let Some(old) = &self.old {
            if old.until <= now || !valid(&old.certificate) {
                return Some(RotationStep::Retire);
            }
            return (old.until.duration_since(now) > lifetimes.longest_overlap()).then_some(RotationStep::Shorten);
        }
        let Some(next) = self.next.as_ref().map(|next| next.certificate()) else {
            return (current.validity().renewal() <= now).then_some(RotationStep::Publish);
        };
        if valid(next) {
            propagation.settled(next, clocks.at, lifetimes.settle).then_some(RotationStep::Switch)
        } else {
            Some(RotationStep::Publish)
        }
    }

    /// Returns the state after a step. A step that is not possible changes nothing.
    pub(super) fn after(&self, step: RotationStep, now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, IssueError> {
        let mut after = self.clone();
        match (step, &self.next) {
            (RotationStep::Publish, _) => after.next = Some(authority(now, lifetimes)?),
            (RotationStep::Switch, Some(next)) => {
                let certificate = self.current.certificate().clone();
                after.old = Some(OldCa { certificate, until: lifetimes.overlap_end(now) });
                after.current = next.clone();
                after.next = None;
            }
            (RotationStep::Switch, None) => {}
            (RotationStep::Replace, next) => {
                let valid = next.as_ref().filter(|next| next.certificate().validity().contains(now));
                after.current = valid.map_or_else(|| authority(now, lifetimes), |next| Ok(next.clone()))?;
                after.next = None;
            }
            (RotationStep::Shorten, _) => {
                after.old = after.old.map(|old| OldCa { until: old.until.min(lifetimes.overlap_end(now)), ..old });
            }
            (RotationStep::Retire, _) => after.old = None,
        }
        Ok(after)
    }

    /// Returns the validity of the new leaf that is due; `None` if none is.
    ///
    /// `read` is a moment before the Secret was read, from which the life of the leaf counts.
    pub(super) fn leaf(
        &self,
        read: Timestamp,
        clocks: &ClockReading,
        in_use: Option<&LeafInUse>,
        propagation: &Propagation,
        lifetimes: &Lifetimes,
    ) -> Result<Option<Validity>, IssueError> {
        let current = self.current.certificate();
        let now = clocks.now();
        let validity = Validity::new(read, lifetimes.leaf)?.until(current.validity().not_after());
        if !validity.contains(now) || !current.validity().contains(now) {
            return Ok(None);
        }
        let due = in_use.is_none_or(|leaf| {
            if !leaf.is_valid(now) {
                true
            } else if leaf.authority == *current {
                leaf.validity.renewal() <= now && leaf.validity.not_after() < validity.not_after()
            } else {
                // A CA that replaced another without a switch, for example because the Secret was emptied, may not be known to
                // the API servers yet, while the CA of the leaf in use still is.
                propagation.settled(current, clocks.at, lifetimes.settle)
                    || propagation.carries(current) && !propagation.carries(&leaf.authority)
            }
        });
        Ok(due.then_some(validity))
    }
}

impl LeafInUse {
    /// Returns whether clients accept it at this time, if they trust its CA.
    fn is_valid(&self, now: Timestamp) -> bool {
        self.validity.contains(now) && self.authority.validity().contains(now)
    }
}

fn authority(now: Timestamp, lifetimes: &Lifetimes) -> Result<Arc<Authority>, IssueError> {
    Ok(Arc::new(Authority::new(COMMON_NAME, Validity::new(now, lifetimes.ca)?)?))
}

#[cfg(test)]
mod tests;
