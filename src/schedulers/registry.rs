//! The drivers' schedulers and the presence of each. Monitors set it, and requests read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::engine::{Driver, Presence};

/// A driver's scheduler, and the Leases that show that it is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// The driver's name.
    pub driver: Arc<str>,
    /// The scheduler's name, as set in pods.
    pub name: Arc<str>,
    /// The Leases of its leader election. One that is renewed is enough.
    pub leases: Vec<LeaseRef>,
    /// The time after its last renewal at which it counts as stale.
    pub stale_after: Duration,
}

/// A reference to a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRef {
    /// Its namespace; `None` for that of this process.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// The current presence of the schedulers. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SchedulerRegistry(Arc<[RegistryEntry]>);

#[derive(Debug)]
struct RegistryEntry {
    scheduler: Scheduler,
    /// A [`Presence`], as its index in [`BY_NUMBER`].
    presence: AtomicU8,
}

const BY_NUMBER: [Presence; 4] = [Presence::Unknown, Presence::Alive, Presence::Stale, Presence::Absent];

impl SchedulerRegistry {
    /// Creates a registry of these schedulers, whose presence is unknown at first.
    pub fn new(schedulers: impl IntoIterator<Item = Scheduler>) -> Self {
        let unknown = |scheduler| RegistryEntry { scheduler, presence: AtomicU8::default() };
        Self(schedulers.into_iter().map(unknown).collect())
    }

    /// Returns the schedulers to monitor.
    pub fn schedulers(&self) -> impl Iterator<Item = &Scheduler> {
        self.0.iter().map(|entry| &entry.scheduler)
    }

    /// Returns the presence of a driver's scheduler; [`Presence::Unknown`] if it is not in the registry.
    pub fn presence(&self, driver: &Driver) -> Presence {
        let number = self.find(&driver.name).map_or(0, |entry| entry.presence.load(Ordering::Relaxed));
        BY_NUMBER.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// Sets the presence of a driver's scheduler.
    pub fn set(&self, driver: &str, presence: Presence) {
        let number = (0..).zip(BY_NUMBER).find_map(|(number, known)| (known == presence).then_some(number));
        if let (Some(entry), Some(number)) = (self.find(driver), number) {
            entry.presence.store(number, Ordering::Relaxed);
        }
    }

    // There are only a few, so a linear search is the fastest.
    fn find(&self, driver: &str) -> Option<&RegistryEntry> {
        self.0.iter().find(|entry| *entry.scheduler.driver == *driver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presence_is_known_for_its_driver_only() {
        let scheduler = |driver: &str| Scheduler {
            driver: driver.into(),
            name: "stork".into(),
            leases: Vec::new(),
            stale_after: Duration::ZERO,
        };
        let registry = SchedulerRegistry::new([scheduler("linstor"), scheduler("portworx")]);
        let driver = Driver::portworx();
        assert_eq!(registry.presence(&driver), Presence::Unknown);
        registry.set("linstor", Presence::Absent);
        for presence in [Presence::Alive, Presence::Stale, Presence::Absent, Presence::Unknown] {
            registry.clone().set("portworx", presence);
            assert_eq!(registry.presence(&driver), presence);
        }
        registry.set("another", Presence::Alive);
        assert_eq!(SchedulerRegistry::default().presence(&driver), Presence::Unknown);
    }
}
