//! The self-managed CA: what its Secret holds, and which step its rotation takes next.
//!
//! Nothing here does I/O or reads a clock. Every replica runs the same rules on what it read, and writes the outcome with
//! the version that it read: the Secret's `resourceVersion` is the lock, and whoever comes second reads again.
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
//! Each step depends on the wall clock and on the Secret, and not on who took the one before: a machine that was suspended
//! takes the steps that are due one after the other, and any replica can take any of them.
//!
//! # Invariants
//!
//! 1. **One current CA.** Steps are written with the version of the Secret that they were computed from, so its contents
//!    are one sequence, which no two replicas can fork.
//! 2. **No leaf comes from a CA that an API server may not know yet.** A CA becomes current only when every live
//!    configuration has carried it for [`Lifetimes::settle`] without a break ([`Propagation`]).
//! 3. **No CA leaves the bundle while a leaf of its is valid.** A leaf's life counts from the moment *before* its replica
//!    read that the CA is current ([`CaState::leaf`]), and not from when it is issued: a replica with a stale view, however
//!    stale, issues no leaf that outlives `read + leaf`. The switch comes after each such reading, so `switch + leaf` is
//!    after the end of all of them. The clocks of two replicas may differ: so [`OldCa::until`] has a margin.
//! 4. **No leaf outlives its CA**, and no certificate is renewed by one that ends no later: near the end of a CA that cannot
//!    be replaced, leaves are not issued in an ever faster sequence.
//! 5. **At most three CAs**: the next one is made only when the old one is gone.
//! 6. **A CA that has expired gives way at once**, settled or not, and to a next one that has expired itself, not at all: no
//!    client takes what it signed, so nothing can be lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::tls::{Authority, Certificate, IssueError, Validity};

/// The common name of a CA. A person who looks at a certificate reads it; no client does.
const COMMON_NAME: &str = "colocate CA";

/// As far as the clocks of two replicas may be apart without harm; a certificate is backdated by as much.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(1);

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long a CA is valid.
    pub ca: SignedDuration,
    /// How long a leaf is valid at the longest.
    pub leaf: SignedDuration,
    /// How long the live configurations must have carried a CA before leaves come from it: longer than an API server needs
    /// to take a change over.
    pub settle: SignedDuration,
}

impl Default for Lifetimes {
    /// A year, a week and a minute.
    fn default() -> Self {
        Self {
            ca: SignedDuration::from_hours(365 * 24),
            leaf: SignedDuration::from_hours(7 * 24),
            settle: SignedDuration::from_mins(1),
        }
    }
}

impl Lifetimes {
    /// How long an old CA stays in the bundle: until no leaf of its is valid by any clock.
    fn overlap(&self) -> SignedDuration {
        self.leaf.saturating_add(self.leaf.min(TOLERANCE))
    }
}

/// What the Secret holds.
#[derive(Clone, Debug)]
pub struct CaState {
    /// The CA that leaves come from.
    pub current: Arc<Authority>,
    /// The CA that leaves will come from.
    pub next: Option<Arc<Authority>>,
    /// The CA that leaves came from.
    pub old: Option<OldCa>,
}

/// A CA that signs nothing any more. Its key is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldCa {
    /// Its certificate, which is in the bundle still.
    pub certificate: Certificate,
    /// When it leaves the bundle: every leaf that it signed has ended by then.
    pub until: Timestamp,
}

/// A step of the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RotationStep {
    /// Make the next CA (or, where it expired before its time came, another one).
    Publish,
    /// Leaves come from the next CA from now on.
    Switch,
    /// The old CA is forgotten.
    Retire,
}

/// A leaf that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafInUse {
    /// The certificate of the CA that signed it.
    pub authority: Certificate,
    /// From when till when it is valid.
    pub validity: Validity,
}

impl CaState {
    /// What an empty Secret is filled with.
    ///
    /// # Errors
    /// Where the cryptographic library fails.
    pub fn first(now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, IssueError> {
        Ok(Self { current: authority(now, lifetimes)?, next: None, old: None })
    }

    /// The certificates that every configuration must carry.
    pub fn bundle(&self) -> Vec<&Certificate> {
        let next = self.next.as_ref().map(|next| next.certificate());
        let old = self.old.as_ref().map(|old| &old.certificate);
        [Some(self.current.certificate()), next, old].into_iter().flatten().collect()
    }

    /// The step that is due. `at` is the moment to which `now` belongs, on a clock that does not jump.
    pub fn step(&self, now: Timestamp, at: Instant, live: &Propagation, lifetimes: &Lifetimes) -> Option<RotationStep> {
        let over = |certificate: &Certificate| certificate.validity().not_after() < now;
        if let Some(old) = &self.old {
            return (old.until <= now || over(&old.certificate)).then_some(RotationStep::Retire);
        }
        let current = self.current.certificate();
        let Some(next) = self.next.as_ref().map(|next| next.certificate()) else {
            return (current.validity().renewal() <= now).then_some(RotationStep::Publish);
        };
        let settled = || live.carries_for(next, at).is_some_and(|time| time >= lifetimes.settle);
        if over(next) {
            Some(RotationStep::Publish)
        } else {
            (over(current) || settled()).then_some(RotationStep::Switch)
        }
    }

    /// What the Secret holds after a step. A step that is not possible changes nothing.
    ///
    /// # Errors
    /// Where the cryptographic library fails.
    pub fn after(&self, step: RotationStep, now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, IssueError> {
        let mut after = self.clone();
        match (step, &self.next) {
            (RotationStep::Publish, _) => after.next = Some(authority(now, lifetimes)?),
            (RotationStep::Switch, Some(next)) => {
                let until = now.saturating_add(lifetimes.overlap()).unwrap_or(now);
                // Whole seconds are what is written.
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

    /// From when till when a new leaf of the current CA is to be valid; `None` as long as the one in use does.
    ///
    /// `read` is the moment before the Secret was read: the life of a leaf counts from there.
    ///
    /// # Errors
    /// Where the end of its life is no date.
    pub fn leaf(
        &self,
        read: Timestamp,
        now: Timestamp,
        in_use: Option<&LeafInUse>,
        live: &Propagation,
        lifetimes: &Lifetimes,
    ) -> Result<Option<Validity>, IssueError> {
        let current = self.current.certificate();
        let validity = Validity::new(read, lifetimes.leaf)?.until(current.validity().not_after());
        if validity.not_after() < now {
            return Ok(None);
        }
        let due = in_use.is_none_or(|leaf| {
            let ends = leaf.validity.not_after();
            if leaf.authority == *current {
                leaf.validity.renewal() <= now && ends < validity.not_after()
            } else {
                // A CA that took the place of another without a rotation, as when somebody emptied the Secret, may not be
                // in the bundle yet, where that of the leaf in use still is.
                live.carries(current) || ends < now
            }
        });
        Ok(due.then_some(validity))
    }
}

fn authority(now: Timestamp, lifetimes: &Lifetimes) -> Result<Arc<Authority>, IssueError> {
    Ok(Arc::new(Authority::new(COMMON_NAME, Validity::new(now, lifetimes.ca)?)?))
}

/// What the live configurations carry, and since when without a break, as one replica saw it.
///
/// Time is taken from a clock that neither jumps nor runs while the machine is suspended: whoever wakes up may not conclude
/// that what it saw last has been there all the time.
#[derive(Clone, Debug)]
pub struct Propagation {
    /// By name; `None` where nothing was seen yet.
    configurations: BTreeMap<String, Option<ObservedBundle>>,
}

/// What was seen of a configuration.
#[derive(Clone, Debug, Default)]
struct ObservedBundle {
    /// Its `resourceVersion`; `None` where it does not exist, or has no entries: nobody calls by it.
    version: Option<String>,
    /// What all of its entries carry, and since when.
    since: Vec<(Certificate, Instant)>,
}

/// A configuration does not carry it, or nobody has looked.
struct NotCarried;

/// One look at a configuration.
#[derive(Clone, Debug)]
pub struct BundleObservation<'a> {
    /// Its `resourceVersion`.
    pub version: &'a str,
    /// The certificates that each of its entries carries.
    pub carried: Vec<Certificate>,
    /// Whether every change between the last look and this one was seen, as on a watch.
    pub unbroken: bool,
}

impl Propagation {
    /// Of these configurations nothing is known yet.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { configurations: names.into_iter().map(|name| (name, None)).collect() }
    }

    /// A configuration was looked at; `None` says that it does not exist, or has no entries.
    pub fn saw(&mut self, name: &str, look: Option<BundleObservation<'_>>, at: Instant) {
        let Some(known) = self.configurations.get_mut(name) else { return };
        let Some(BundleObservation { version, carried, unbroken }) = look else {
            *known = Some(ObservedBundle::default());
            return;
        };
        let before = known.take().unwrap_or_default();
        let continues = unbroken || before.version.as_deref() == Some(version);
        let since = |certificate: &Certificate| {
            let before = before.since.iter().find(|(known, _)| continues && known == certificate);
            before.map_or(at, |(_, since)| *since)
        };
        let since = carried.iter().map(|certificate| (certificate.clone(), since(certificate))).collect();
        *known = Some(ObservedBundle { version: Some(version.to_owned()), since });
    }

    /// Whether every configuration that exists carries it. `false` until all were looked at.
    pub fn carries(&self, certificate: &Certificate) -> bool {
        self.since(certificate).is_ok()
    }

    /// Whether a configuration exists, with an entry that the API server calls by.
    pub fn exists(&self) -> bool {
        self.configurations.values().flatten().any(|sight| sight.version.is_some())
    }

    /// For how long all have carried it; as long as can be where none exists.
    fn carries_for(&self, certificate: &Certificate, at: Instant) -> Option<SignedDuration> {
        let since = self.since(certificate).ok()?;
        let time = since.map(|since| at.saturating_duration_since(since));
        Some(time.map_or(SignedDuration::MAX, |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)))
    }

    /// Since when all that exist have carried it; `None` where none exists.
    fn since(&self, certificate: &Certificate) -> Result<Option<Instant>, NotCarried> {
        let mut latest = None;
        for sight in self.configurations.values() {
            let sight = sight.as_ref().ok_or(NotCarried)?;
            if sight.version.is_some() {
                let (_, since) = sight.since.iter().find(|(carried, _)| carried == certificate).ok_or(NotCarried)?;
                latest = latest.max(Some(*since));
            }
        }
        Ok(latest)
    }
}

#[cfg(test)]
mod tests;
