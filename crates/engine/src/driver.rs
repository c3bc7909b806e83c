//! Storage drivers that have their own scheduler.

use std::sync::Arc;

use super::evidence::Evidence;
use super::owner::Owner;
use super::presence::Away;

/// The provisioner of an in-tree `portworxVolume`.
pub const PORTWORX_IN_TREE: &str = "kubernetes.io/portworx-volume";

/// The provisioner of a class that provisions nothing: its volumes are created by hand or by another controller, and may
/// belong to any driver.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// The provisioners that Stork attributes to Portworx: the in-tree provisioner, the CSI driver, its deprecated predecessor,
/// and the provisioner of claims restored from a snapshot.
pub const PORTWORX_PROVISIONERS: [&str; 4] =
    [PORTWORX_IN_TREE, "pxd.portworx.com", "com.openstorage.pxd", "stork-snapshot"];

/// Returns true if two provisioners are names of the same driver: if they are equal, or both Portworx's. Kubernetes
/// translates an in-tree provisioner into a CSI driver.
pub fn is_same_driver(one: &str, other: &str) -> bool {
    let is_portworx = |provisioner| PORTWORX_PROVISIONERS.contains(&provisioner);
    one == other || (is_portworx(one) && is_portworx(other))
}

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
    /// Portworx with its scheduler Stork.
    ///
    /// The volumes that Stork recognizes depend on its version. The version is not known here, so all evidence is accepted.
    pub fn portworx() -> Self {
        Self {
            name: "portworx".into(),
            provisioners: PORTWORX_PROVISIONERS.map(Arc::from).to_vec(),
            recognises: Evidence::ALL.to_vec(),
            scheduler: "stork".into(),
            when_absent: Away::Inject,
            when_stale: Away::Inject,
        }
    }

    /// Returns true if the configuration states what its scheduler recognises. A list of everything, which is the default,
    /// states nothing, because the version of the scheduler is not known.
    pub fn states_recognition(&self) -> bool {
        self.recognises.len() < Evidence::ALL.len()
    }

    /// Returns true if a claim with this owner belongs to it, and its scheduler reads one of the fields that say so.
    pub fn recognises_owner(&self, owner: &Owner) -> bool {
        let Owner::Provisioner { class, provisioner, evidence, .. } = owner else { return false };
        // The class may name another provisioner of the driver than an annotation does, which overrides it.
        let by_class = class.as_ref().is_some_and(|class| self.owns(&class.provisioner));
        let by_class =
            by_class && !evidence.contains(Evidence::Ephemeral) && self.recognises.contains(&Evidence::Class);
        self.owns(provisioner) && (by_class || evidence.contains_any(&self.recognises))
    }

    /// Returns true if its scheduler recognizes a claim with this owner only if the claim's volume, which has not been
    /// read, names the provisioner too.
    pub fn needs_volume(&self, owner: &Owner) -> bool {
        let Owner::Provisioner { provisioner, unread_volume: Some(_), .. } = owner else { return false };
        let reads_volumes = Evidence::OF_VOLUME.iter().any(|evidence| self.recognises.contains(evidence));
        self.owns(provisioner) && reads_volumes && !self.recognises_owner(owner)
    }

    /// Returns true if the volumes of `provisioner` belong to it.
    pub(crate) fn owns(&self, provisioner: &str) -> bool {
        self.provisioners.iter().any(|own| **own == *provisioner)
    }
}

/// The configured drivers in the order of their rank: if a pod uses two drivers, the first one wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drivers(pub Vec<Driver>);

impl Drivers {
    /// Returns the driver of `provisioner` and its rank.
    pub fn owning(&self, provisioner: &str) -> Option<(usize, &Driver)> {
        self.0.iter().enumerate().find(|(_, driver)| driver.owns(provisioner))
    }

    /// Returns true if `scheduler` is the scheduler of a driver.
    pub fn has_scheduler(&self, scheduler: &str) -> bool {
        self.0.iter().any(|driver| *driver.scheduler == *scheduler)
    }
}

impl Default for Drivers {
    fn default() -> Self {
        Self(vec![Driver::portworx()])
    }
}
