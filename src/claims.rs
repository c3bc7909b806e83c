//! Where claims come from: a cluster, or files.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::engine::{ClaimRef, Inventory, Owner};

/// Claims, classes and volumes, to be asked for the owner of a claim.
///
/// A hit is synchronous; only a claim that is not known may be worth a wait.
pub enum Claims {
    /// As a cluster has them.
    Cluster(Cluster),
    /// As files describe them; these never change.
    Manifests(Inventory),
}

impl Claims {
    /// The owner of a claim, as far as it is known at this moment.
    pub fn owner(&self, namespace: &str, claim: &ClaimRef<'_>) -> Owner {
        match self {
            Self::Cluster(cluster) => owner(&cluster.inventory(), namespace, claim),
            Self::Manifests(inventory) => owner(inventory, namespace, claim),
        }
    }

    /// The owner of a claim that was missing a moment ago, once it is there; [`Owner::Missing`] when `patience` is over.
    pub async fn await_owner(&self, namespace: &str, name: &str, patience: Duration) -> Owner {
        match self {
            Self::Cluster(cluster) => cluster.await_owner(namespace, name, patience).await,
            Self::Manifests(_) => Owner::Missing,
        }
    }
}

fn owner(inventory: &Inventory, namespace: &str, claim: &ClaimRef<'_>) -> Owner {
    match claim {
        ClaimRef::Named(name) => inventory.owner(namespace, name),
        ClaimRef::Template { claim, .. } => inventory.owner_of(claim),
        ClaimRef::Inline { provisioner, .. } => Owner::Provisioner { class: None, provisioner: (*provisioner).into() },
    }
}
