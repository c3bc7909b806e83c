//! Storage drivers that have their own scheduler.

use std::sync::Arc;

use super::evidence::Evidence;
use super::presence::Away;

/// The provisioner of an in-tree `portworxVolume`.
pub const PORTWORX_IN_TREE: &str = "kubernetes.io/portworx-volume";

/// The provisioner of a class that provisions nothing: its volumes are created by hand or by another controller, and may
/// belong to any driver.
pub(crate) const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// A storage driver and the scheduler that places pods next to its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// The name of the driver in messages.
    pub name: Arc<str>,
    /// The provisioners (and CSI drivers) of its volumes.
    pub provisioners: Vec<Arc<str>>,
    /// The evidence by which its scheduler recognizes these volumes. A pod is not given to a scheduler that recognizes
    /// none of the pod's volumes, because that scheduler would place the pod by chance.
    pub recognises: Vec<Evidence>,
    /// The `schedulerName` that its pods are given.
    pub scheduler: Arc<str>,
    /// The policy while the scheduler has no Lease.
    pub when_absent: Away,
    /// The policy while the scheduler no longer renews its Lease.
    pub when_stale: Away,
}

impl Driver {
    /// Portworx with its scheduler Stork. The provisioners are those that Stork itself attributes to Portworx: the in-tree
    /// provisioner, the CSI driver, its deprecated predecessor, and the provisioner of claims restored from a snapshot.
    ///
    /// What Stork recognizes depends on its version. The version is not known here, so all evidence is accepted.
    pub fn portworx() -> Self {
        let provisioners = [PORTWORX_IN_TREE, "pxd.portworx.com", "com.openstorage.pxd", "stork-snapshot"];
        Self {
            name: "portworx".into(),
            provisioners: provisioners.map(Arc::from).to_vec(),
            recognises: Evidence::ALL.to_vec(),
            scheduler: "stork".into(),
            when_absent: Away::Inject,
            when_stale: Away::Inject,
        }
    }

    /// Returns what its scheduler recognises according to the configuration. `None` if that is everything, as by default: it
    /// then says nothing about the scheduler, whose version is not known.
    pub fn stated_recognition(&self) -> Option<&[Evidence]> {
        (self.recognises.len() < Evidence::ALL.len()).then_some(&*self.recognises)
    }
}

/// The configured drivers in the order of their rank: if a pod uses two drivers, the first one wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drivers(pub Vec<Driver>);

impl Drivers {
    /// Returns the driver of `provisioner` and its rank.
    pub(crate) fn owning(&self, provisioner: &str) -> Option<(usize, &Driver)> {
        self.0.iter().enumerate().find(|(_, driver)| driver.provisioners.iter().any(|own| **own == *provisioner))
    }

    /// Returns true if `scheduler` is the scheduler of a driver.
    pub(crate) fn has_scheduler(&self, scheduler: &str) -> bool {
        self.0.iter().any(|driver| *driver.scheduler == *scheduler)
    }
}

impl Default for Drivers {
    fn default() -> Self {
        Self(vec![Driver::portworx()])
    }
}
