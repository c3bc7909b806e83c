//! Storage drivers whose pods are counted.

use std::sync::Arc;

use colocate_engine::{Evidence, NO_PROVISIONER, Owner};

use super::adapter::Adapter;

/// A storage driver, with its sources of locality.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageDriver {
    /// The name of the driver in messages.
    pub name: Arc<str>,
    /// The provisioners (and CSI drivers) of its volumes.
    pub provisioners: Vec<Arc<str>>,
    /// The scheduler that places pods by the driver's data. Without one, colocate does not change the driver's pods, and kube-scheduler
    /// only considers the node affinity of the volumes.
    pub scheduler: Option<Arc<str>>,
    /// The sources of locality. The first one that answers is used.
    pub adapters: Vec<Adapter>,
}

/// The drivers by rank: if a pod uses two drivers, it is counted for the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageDrivers(pub Vec<StorageDriver>);

impl StorageDrivers {
    /// Returns the driver with a name.
    pub fn find(&self, name: &str) -> Option<&StorageDriver> {
        self.0.iter().find(|driver| *driver.name == *name)
    }

    /// Returns the driver of a provisioner and its rank.
    pub fn owning(&self, provisioner: &str) -> Option<(usize, &StorageDriver)> {
        let owns = |driver: &StorageDriver| driver.provisioners.iter().any(|own| **own == *provisioner);
        self.0.iter().enumerate().find(|(_, driver)| owns(driver))
    }

    /// Returns the driver of a claim and its rank. `is_local` returns true if the bound volume has `spec.local`. It is only called for
    /// claims that were not dynamically provisioned.
    ///
    /// # Errors
    /// If `is_local` fails.
    pub fn of_owner<E>(
        &self,
        owner: &Owner,
        is_local: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Option<(usize, &StorageDriver)>, E> {
        let is_static = match owner {
            // The static provisioner of local volumes writes its own name into the volume, which is all that names a provisioner if the
            // claim has no class or its class was deleted.
            Owner::Provisioner { provisioner, evidence, .. } => match self.owning(provisioner) {
                Some(found) if **provisioner != *NO_PROVISIONER => return Ok(Some(found)),
                _ => evidence.contains(Evidence::NoProvisioner) || *evidence == Evidence::ProvisionedBy.into(),
            },
            Owner::NoProvisioner => true,
            Owner::Missing | Owner::Unknown(_) => false,
        };
        let Some(found) = self.owning(NO_PROVISIONER).filter(|_| is_static) else { return Ok(None) };
        Ok(is_local()?.then_some(found))
    }

    /// Returns the driver of a volume. `provisioner` is the one that the volume names.
    pub fn of_volume(&self, provisioner: Option<&str>, is_local: bool) -> Option<&StorageDriver> {
        let named = provisioner.and_then(|name| self.owning(name));
        let found = named.or_else(|| self.owning(NO_PROVISIONER).filter(|_| is_local));
        found.map(|(_, driver)| driver)
    }

    /// Returns true if a driver has no scheduler.
    pub fn has_no_scheduler(&self, name: &str) -> bool {
        self.find(name).is_some_and(|driver| driver.scheduler.is_none())
    }

    /// Returns the drivers with a scheduler of this name.
    pub fn with_scheduler(&self, scheduler: &str) -> impl Iterator<Item = &StorageDriver> {
        self.0.iter().filter(move |driver| driver.scheduler.as_deref() == Some(scheduler))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Makes drivers with a scheduler; an empty one stands for none.
    pub(crate) fn drivers(all: &[(&str, &str, &str)]) -> StorageDrivers {
        let driver = |(name, provisioner, scheduler): &(&str, &str, &str)| StorageDriver {
            name: (*name).into(),
            provisioners: vec![(*provisioner).into()],
            scheduler: Some(*scheduler).filter(|name| !name.is_empty()).map(Into::into),
            adapters: Vec::new(),
        };
        StorageDrivers(all.iter().map(driver).collect())
    }

    #[test]
    fn a_static_local_volume_belongs_to_the_driver_without_a_provisioner() {
        let all = drivers(&[("portworx", "pxd.portworx.com", "stork"), ("local", NO_PROVISIONER, "")]);
        let of_volume = |provisioner: &str, evidence| Owner::of_volume(provisioner.into(), evidence);
        let by_static = Evidence::NoProvisioner;
        for (owner, is_local, expected) in [
            (of_volume("pxd.portworx.com", Evidence::Class), false, Some("portworx")),
            (of_volume("pxd.portworx.com", by_static), true, Some("portworx")),
            (Owner::NoProvisioner, true, Some("local")),
            (Owner::NoProvisioner, false, None),
            (of_volume("local-volume-provisioner-n1", by_static), true, Some("local")),
            (of_volume("local-volume-provisioner-n1", by_static), false, None),
            // The claim has no class, or its class was deleted.
            (of_volume("local-volume-provisioner-n1", Evidence::ProvisionedBy), true, Some("local")),
            (of_volume("local-volume-provisioner-n1", Evidence::ProvisionedBy), false, None),
            (of_volume("rancher.io/local-path", Evidence::Class), true, None),
            (Owner::Missing, true, None),
        ] {
            let found = all.of_owner(&owner, || Ok::<_, Infallible>(is_local)).unwrap();
            assert_eq!(found.map(|(_, driver)| &*driver.name), expected, "{owner:?} {is_local}");
            // Without such an entry, these volumes do not count.
            let px = drivers(&[("portworx", "pxd.portworx.com", "stork")]);
            let found = px.of_owner(&owner, || Ok::<_, Infallible>(is_local)).unwrap();
            assert_eq!(found.map(|(_, driver)| &*driver.name), expected.filter(|name| *name != "local"));
        }
        for (provisioner, is_local, expected) in [
            (None, true, Some("local")),
            (None, false, None),
            (Some("pxd.portworx.com"), true, Some("portworx")),
            (Some("nfs"), false, None),
        ] {
            let found = all.of_volume(provisioner, is_local).map(|driver| &*driver.name);
            assert_eq!(found, expected, "{provisioner:?} {is_local}");
        }
    }
}
