//! Where claims come from: a cluster, or files.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, Found, Question, Sought};
use crate::companion::{MountedClaim, Strategies};
use crate::engine::{ClaimRef, Inventory, Owner, Owners, Pending};
use crate::metrics::Metrics;

/// Claims, classes and volumes, to be asked for the owner of a claim.
///
/// A hit is synchronous; only a claim that is not known may be worth a wait.
pub enum Claims {
    /// As a cluster has them.
    Cluster(Cluster),
    /// As files describe them; these never change.
    Manifests(Box<Inventory>),
}

/// How long the GET of a volume may take for whom nobody must wait: a template, a dry run, an audit. The volume is there, so
/// that this is an answer on its way and no wait; an API server that needs longer is asked again by the pods.
const UNHURRIED: Duration = Duration::from_millis(500);

impl Claims {
    /// The owners of the claims that a decision waits for. `patience` is how long the answer may take, and `wait` how much
    /// of that a claim that is not there may be waited for.
    pub async fn owners<'r>(
        &self,
        namespace: &str,
        pending: &Pending<'r>,
        patience: Duration,
        wait: Duration,
        metrics: &Metrics,
    ) -> Owners<'r> {
        let mut owners = pending.look_up(|claim| self.known(namespace, claim));
        let enough = pending.has_driver(owners.iter().map(|(_, owner)| owner));
        let (mut names, mut places) = (Vec::new(), Vec::new());
        for (claim, owner) in owners.iter_mut() {
            match claim {
                ClaimRef::Named(name) if owner.is_incomplete() => {
                    names.push(&**name);
                    places.push(owner);
                }
                ClaimRef::Named(_) => metrics.looked_up(Found::of(owner).as_str()),
                ClaimRef::Template { .. } | ClaimRef::Inline { .. } => {}
            }
        }
        match self {
            Self::Cluster(cluster) if !names.is_empty() && !enough => {
                let (patience, wait) =
                    if pending.may_wait() { (patience, wait) } else { (patience.min(UNHURRIED), Duration::ZERO) };
                let question = Question { namespace, deadline: Instant::now() + patience, wait };
                let enough = |sought: &[Sought<'_>]| pending.has_driver(sought.iter().map(|claim| &claim.owner));
                let found = cluster.owners(question, &names, enough).await;
                for (place, claim) in places.into_iter().zip(found) {
                    *place = claim.owner;
                    metrics.looked_up(claim.found.as_str());
                }
            }
            _ => places.iter().for_each(|owner| metrics.looked_up(Found::of(owner).as_str())),
        }
        owners
    }

    /// What is known of claims, for a look at annotations that nobody waits for: from what is known, and from the volumes
    /// that alone tell the owners of some.
    pub async fn mounted(&self, namespace: &str, claims: &[ClaimRef<'_>], patience: Duration) -> Vec<MountedClaim> {
        let known = self.mounted_now(namespace, claims);
        let Self::Cluster(cluster) = self else { return known };
        let open = claims.iter().zip(&known).filter(|(_, known)| known.owner.is_incomplete());
        let names: Vec<_> = open.filter_map(|(claim, _)| claim.name()).collect();
        if names.is_empty() {
            return known;
        }
        let question = Question { namespace, deadline: Instant::now() + patience.min(UNHURRIED), wait: Duration::ZERO };
        cluster.owners(question, &names, |_| false).await;
        self.mounted_now(namespace, claims)
    }

    /// The placement strategies that there are, as far as is known within `patience`.
    pub async fn placement_strategies(&self, patience: Duration) -> Strategies {
        match self {
            Self::Cluster(cluster) => cluster.placement_strategies(patience.min(UNHURRIED)).await,
            Self::Manifests(_) => Strategies::default(),
        }
    }

    fn mounted_now(&self, namespace: &str, claims: &[ClaimRef<'_>]) -> Vec<MountedClaim> {
        let find = |inventory: &Inventory| {
            claims.iter().map(|claim| MountedClaim::find(claim, inventory, namespace)).collect()
        };
        match self {
            Self::Cluster(cluster) => find(&cluster.inventory()),
            Self::Manifests(inventory) => find(inventory),
        }
    }

    fn known(&self, namespace: &str, claim: &ClaimRef<'_>) -> Owner {
        match self {
            Self::Cluster(cluster) => claim.owner_in(&cluster.inventory(), namespace),
            Self::Manifests(inventory) => claim.owner_in(inventory, namespace),
        }
    }
}
