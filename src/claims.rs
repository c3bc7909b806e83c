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
            Self::Cluster(cluster) => claim.owner_in(&cluster.inventory(), namespace),
            Self::Manifests(inventory) => claim.owner_in(inventory, namespace),
        }
    }

    /// The owners of claims that were missing a moment ago, in the order of their names: as soon as `enough` says that
    /// these owners are, or none is missing; else when `patience` is over.
    pub async fn await_owners(
        &self,
        namespace: &str,
        names: &[&str],
        patience: Duration,
        enough: impl Fn(&[Owner]) -> bool,
    ) -> Vec<Owner> {
        match self {
            Self::Cluster(cluster) => cluster.await_owners(namespace, names, patience, enough).await,
            Self::Manifests(_) => vec![Owner::Missing; names.len()],
        }
    }
}
