//! The source of claims: a cluster, or files.

use std::borrow::Cow;

use super::cache::ClaimCache;
use super::deadlines::Deadlines;
use super::wait::{Lookup, LookupResult};
use super::waiters::PodOrigin;
use crate::companion::{MountedClaim, Strategies};
use crate::engine::{ClaimRef, Inventory, Owner, Owners, Pending, Request};
use crate::process::metrics::Metrics;

/// Claims, classes and volumes, which determine the owner of a claim.
///
/// A hit is synchronous. Only a claim that is not known yet can cause a wait.
pub enum ClaimSource {
    /// A cluster.
    Cluster(ClaimCache),
    /// Files. They never change.
    Manifests(Box<Inventory>),
}

impl ClaimSource {
    /// Finds the owners of the claims that the decision about a request depends on.
    pub async fn owners<'r>(
        &self,
        request: &Request<'_>,
        pending: &Pending<'r>,
        deadlines: Deadlines,
        metrics: &Metrics,
    ) -> Owners<'r> {
        let namespace = request.namespace();
        let mut owners = pending.look_up(|claim| self.known_owner(namespace, claim));
        let enough = pending.has_driver(owners.iter().map(|(_, owner)| owner));
        let (mut names, mut places) = (Vec::new(), Vec::new());
        for (claim, owner) in owners.iter_mut() {
            match claim {
                ClaimRef::Named(name) if owner.is_incomplete() => {
                    names.push(&**name);
                    places.push(owner);
                }
                ClaimRef::Named(_) => metrics.claim_lookups.inc([LookupResult::of(owner).as_str()]),
                ClaimRef::Template { .. } | ClaimRef::Inline { .. } => {}
            }
        }
        match self {
            Self::Cluster(cache) if !names.is_empty() && !enough => {
                let deadlines = if pending.may_wait() { deadlines } else { deadlines.without_wait() };
                let enough = |lookups: &[Lookup<'_>]| pending.has_driver(lookups.iter().map(|lookup| &lookup.owner));
                let pod = PodOrigin { namespace, name: &request.display_name(), controller: pending.controller_uid() };
                let lookups = cache.owners(pod, &names, deadlines, enough).await;
                for (place, lookup) in places.into_iter().zip(lookups) {
                    *place = lookup.owner;
                    metrics.claim_lookups.inc([lookup.result.as_str()]);
                }
            }
            _ => places.iter().for_each(|owner| metrics.claim_lookups.inc([LookupResult::of(owner).as_str()])),
        }
        owners
    }

    /// Returns the known facts about claims for a validation, which never waits: from the cache, and from bound volumes
    /// if only they reveal the owner.
    pub async fn mounted(&self, namespace: &str, claims: &[ClaimRef<'_>], deadlines: Deadlines) -> Vec<MountedClaim> {
        let known = self.mounted_now(namespace, claims);
        let Self::Cluster(cache) = self else { return known };
        let open = claims.iter().zip(&known).filter(|(_, known)| known.owner.is_incomplete());
        let names: Vec<_> = open.filter_map(|(claim, _)| claim.name()).collect();
        if names.is_empty() {
            return known;
        }
        let pod = PodOrigin { namespace, name: "", controller: None };
        cache.owners(pod, &names, deadlines.without_wait(), |_| false).await;
        self.mounted_now(namespace, claims)
    }

    /// Returns the placement strategies, as far as they can be read in time, to look up these names.
    pub async fn placement_strategies(&self, names: &[Cow<'_, str>], deadlines: Deadlines) -> Strategies {
        match self {
            Self::Cluster(cache) => cache.strategies.get(names, deadlines.without_wait()).await,
            Self::Manifests(_) => Strategies::default(),
        }
    }

    fn mounted_now(&self, namespace: &str, claims: &[ClaimRef<'_>]) -> Vec<MountedClaim> {
        let find = |inventory: &Inventory| {
            claims.iter().map(|claim| MountedClaim::find(claim, inventory, namespace)).collect()
        };
        match self {
            Self::Cluster(cache) => find(&cache.inventory()),
            Self::Manifests(inventory) => find(inventory),
        }
    }

    fn known_owner(&self, namespace: &str, claim: &ClaimRef<'_>) -> Owner {
        match self {
            Self::Cluster(cache) => claim.owner_in(&cache.inventory(), namespace),
            Self::Manifests(inventory) => claim.owner_in(inventory, namespace),
        }
    }
}
