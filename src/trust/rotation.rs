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
//! # Invariants
//!
//! 1. **One current CA.** A step is written with the version of the Secret that it was computed from. So the contents of the
//!    Secret are one sequence, which two replicas cannot fork.
//! 2. **A leaf never comes from a CA that an API server may not know yet.** A CA becomes current only when every live
//!    configuration has carried it for [`Lifetimes::settle`] without a break ([`Propagation`]).
//! 3. **A CA stays in the bundle while one of its leaves is valid.** The life of a leaf is counted from a moment *before*
//!    its replica read that the CA is current ([`CaState::leaf`]), not from when the leaf is issued. No matter how stale a
//!    replica's state is, its leaves expire by `read + leaf`. The switch comes after every such read, so all of these leaves
//!    end before `switch + leaf`. [`OldCa::until`] has a margin for replicas whose clocks differ.
//! 4. **A leaf never outlives its CA**, and is renewed only by one that ends later. Near the end of a CA that cannot be
//!    replaced, leaves are not issued at an ever faster pace.
//! 5. **At most three CAs.** The next one is created only when the old one is gone.
//! 6. **A CA that has expired is replaced at once**, whether its successor has settled or not, unless the successor has
//!    expired too. Clients refuse its leaves anyway, so replacing it cannot make things worse.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::propagation::Propagation;
use crate::tls::{Authority, Certificate, IssueError, Validity};

/// The common name of a CA. Clients ignore it; it helps people who inspect a certificate.
const COMMON_NAME: &str = "colocate CA";

/// The tolerated difference between the clocks of two replicas. A certificate is backdated by the same time.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(1);

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
    /// Creates the next CA, also in place of one that has expired before its switch.
    Publish,
    /// Makes the next CA the current one.
    Switch,
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

    /// Returns the step that is due. `at` is the same moment as `now`, on a clock that does not jump.
    pub(super) fn step(
        &self,
        now: Timestamp,
        at: Instant,
        propagation: &Propagation,
        lifetimes: &Lifetimes,
    ) -> Option<RotationStep> {
        let expired = |certificate: &Certificate| certificate.validity().not_after() < now;
        if let Some(old) = &self.old {
            return (old.until <= now || expired(&old.certificate)).then_some(RotationStep::Retire);
        }
        let current = self.current.certificate();
        let Some(next) = self.next.as_ref().map(|next| next.certificate()) else {
            return (current.validity().renewal() <= now).then_some(RotationStep::Publish);
        };
        let settled = || propagation.carried_for(next, at).is_some_and(|time| time >= lifetimes.settle);
        if expired(next) {
            Some(RotationStep::Publish)
        } else {
            (expired(current) || settled()).then_some(RotationStep::Switch)
        }
    }

    /// Returns the state after a step. A step that is not possible changes nothing.
    pub(super) fn after(&self, step: RotationStep, now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, IssueError> {
        let mut after = self.clone();
        match (step, &self.next) {
            (RotationStep::Publish, _) => after.next = Some(authority(now, lifetimes)?),
            (RotationStep::Switch, Some(next)) => {
                let until = now.saturating_add(lifetimes.overlap()).unwrap_or(now);
                // The Secret holds whole seconds.
                let until = Timestamp::from_second(until.as_second().saturating_add(1)).unwrap_or(until);
                after.old = Some(OldCa { certificate: self.current.certificate().clone(), until });
                after.current = next.clone();
                after.next = None;
            }
            (RotationStep::Switch, None) => {}
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
        now: Timestamp,
        in_use: Option<&LeafInUse>,
        propagation: &Propagation,
        lifetimes: &Lifetimes,
    ) -> Result<Option<Validity>, IssueError> {
        let current = self.current.certificate();
        let validity = Validity::new(read, lifetimes.leaf)?.until(current.validity().not_after());
        if validity.not_after() < now {
            return Ok(None);
        }
        let due = in_use.is_none_or(|leaf| {
            let end = leaf.validity.not_after();
            if leaf.authority == *current {
                leaf.validity.renewal() <= now && end < validity.not_after()
            } else {
                // A CA that replaced another without a rotation, for example because the Secret was emptied, may not be in the
                // bundle yet, while the CA of the leaf in use still is.
                propagation.carries(current) || end < now
            }
        });
        Ok(due.then_some(validity))
    }
}

fn authority(now: Timestamp, lifetimes: &Lifetimes) -> Result<Arc<Authority>, IssueError> {
    Ok(Arc::new(Authority::new(COMMON_NAME, Validity::new(now, lifetimes.ca)?)?))
}

#[cfg(test)]
mod tests;
