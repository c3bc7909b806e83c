//! The drivers' schedulers and the presence of each. Monitors set it, and requests read it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::engine::{Driver, Presence};

/// A driver's scheduler, and the Leases that show that it is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// The driver's name.
    pub driver: Arc<str>,
    /// The scheduler's name, as set in pods.
    pub name: Arc<str>,
    /// The Leases of the leader elections of its processes, with different names. The scheduler is alive while all are
    /// renewed.
    pub leases: Vec<LeaseRef>,
    /// The time after its last renewal at which a Lease counts as stale.
    pub stale_after: Duration,
}

/// A reference to a Lease by its name, in one of several namespaces. If it exists in more than one, it is enough that
/// one of them is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRef {
    /// Its name.
    pub name: String,
    /// The namespaces; `None` for the namespace of this process.
    pub namespaces: Vec<Option<String>>,
}

/// The current presence of the schedulers. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SchedulerRegistry(Arc<[RegistryEntry]>);

#[derive(Debug)]
struct RegistryEntry {
    scheduler: Scheduler,
    presence: ArcSwap<Presence>,
}

impl SchedulerRegistry {
    /// Creates a registry of these schedulers, whose presence is unknown at first.
    pub fn new(schedulers: impl IntoIterator<Item = Scheduler>) -> Self {
        let unknown = |scheduler| RegistryEntry { scheduler, presence: ArcSwap::default() };
        Self(schedulers.into_iter().map(unknown).collect())
    }

    /// Returns the schedulers to monitor.
    pub fn schedulers(&self) -> impl Iterator<Item = &Scheduler> {
        self.0.iter().map(|entry| &entry.scheduler)
    }

    /// Returns the presence of a driver's scheduler; [`Presence::Unknown`] if it is not in the registry.
    pub fn presence(&self, driver: &Driver) -> Presence {
        self.find(&driver.name).map_or(Presence::Unknown, |entry| Presence::clone(&entry.presence.load()))
    }

    /// Sets the presence of a driver's scheduler.
    pub fn set(&self, driver: &str, presence: Presence) {
        if let Some(entry) = self.find(driver) {
            entry.presence.store(Arc::new(presence));
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
    use crate::engine::LostLease;

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
        let away = |lease| Presence::Away([lease].into());
        registry.set("linstor", away(LostLease::Absent("linstor".into())));
        let stale = away(LostLease::Stale("kube-system/stork".into()));
        for presence in [Presence::Alive, stale, away(LostLease::Absent("stork".into())), Presence::Unknown] {
            registry.clone().set("portworx", presence.clone());
            assert_eq!(registry.presence(&driver), presence);
        }
        registry.set("another", Presence::Alive);
        assert_eq!(SchedulerRegistry::default().presence(&driver), Presence::Unknown);
    }
}
