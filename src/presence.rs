//! Which drivers' schedulers are there, as far as is known: told by whoever watches them, and asked by every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::engine::{Driver, Presence};

/// A driver's scheduler, and how to tell that it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// The driver's name.
    pub driver: Arc<str>,
    /// The scheduler's name, as pods are given it.
    pub name: Arc<str>,
    /// The Leases of its leader election. One of them that is renewed is enough.
    pub leases: Vec<Lease>,
    /// After how long without a renewal it counts as gone.
    pub stale_after: Duration,
}

/// Where a Lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its namespace; `None` for that of this process.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What is known of the schedulers at this moment. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Presences(Arc<[Known]>);

#[derive(Debug)]
struct Known {
    scheduler: Scheduler,
    /// A [`Presence`], by its place in [`BY_NUMBER`].
    presence: AtomicU8,
}

const BY_NUMBER: [Presence; 4] = [Presence::Unknown, Presence::Alive, Presence::Stale, Presence::Absent];

impl Presences {
    /// Of these nothing is known yet; of all others, nothing ever is.
    pub fn new(schedulers: impl IntoIterator<Item = Scheduler>) -> Self {
        let unknown = |scheduler| Known { scheduler, presence: AtomicU8::default() };
        Self(schedulers.into_iter().map(unknown).collect())
    }

    /// The schedulers to watch.
    pub fn schedulers(&self) -> impl Iterator<Item = &Scheduler> {
        self.0.iter().map(|known| &known.scheduler)
    }

    /// What is known of a driver's scheduler.
    pub fn of(&self, driver: &Driver) -> Presence {
        let number = self.find(&driver.name).map_or(0, |known| known.presence.load(Ordering::Relaxed));
        BY_NUMBER.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// Tells what is known of a driver's scheduler from now on.
    pub fn tell(&self, driver: &str, presence: Presence) {
        let number = (0..).zip(BY_NUMBER).find_map(|(number, known)| (known == presence).then_some(number));
        if let (Some(known), Some(number)) = (self.find(driver), number) {
            known.presence.store(number, Ordering::Relaxed);
        }
    }

    /// There are a handful: nothing finds one faster than looking at each.
    fn find(&self, driver: &str) -> Option<&Known> {
        self.0.iter().find(|known| *known.scheduler.driver == *driver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_of_a_driver_is_known_of_it_and_of_no_other() {
        let scheduler = |driver: &str| Scheduler {
            driver: driver.into(),
            name: "stork".into(),
            leases: Vec::new(),
            stale_after: Duration::ZERO,
        };
        let presences = Presences::new([scheduler("linstor"), scheduler("portworx")]);
        let driver = Driver::portworx();
        assert_eq!(presences.of(&driver), Presence::Unknown);
        presences.tell("linstor", Presence::Absent);
        for presence in [Presence::Alive, Presence::Stale, Presence::Absent, Presence::Unknown] {
            presences.clone().tell("portworx", presence);
            assert_eq!(presences.of(&driver), presence);
        }
        presences.tell("another", Presence::Alive);
        assert_eq!(Presences::default().of(&driver), Presence::Unknown);
    }
}
