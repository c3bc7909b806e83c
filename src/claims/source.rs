//! The source of claims: a cluster, or files.

use std::borrow::Cow;

use super::cache::ClaimCache;
use super::deadlines::Deadlines;
use super::wait::{Lookup, LookupResult};
use super::waiters::PodOrigin;
use crate::companion::{MountedClaim, Strategies};
use crate::engine::{ClaimRef, Inventory, Owner, Owners, Pending, Policy, Request};
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
        let (namespace, policy) = (request.namespace(), pending.policy());
        let mut owners = pending.look_up(|claim| self.known_owner(namespace, claim));
        let enough = pending.has_driver(owners.iter().map(|(_, owner)| owner));
        let (mut names, mut places) = (Vec::new(), Vec::new());
        for (claim, owner) in owners.iter_mut() {
            match claim {
                ClaimRef::Named(name) if is_open(owner, policy) => {
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
                let lookups = cache.owners(pod, &names, policy, deadlines, enough).await;
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
    pub async fn mounted(
        &self,
        namespace: &str,
        claims: &[ClaimRef<'_>],
        policy: &Policy,
        deadlines: Deadlines,
    ) -> Vec<MountedClaim> {
        let known = self.mounted_now(namespace, claims);
        let Self::Cluster(cache) = self else { return known };
        let open = (0..).zip(claims.iter().zip(&known)).filter(|(_, (_, known))| is_open(&known.owner, policy));
        let (places, names): (Vec<usize>, Vec<_>) =
            open.filter_map(|(place, (claim, _))| Some((place, claim.name()?))).unzip();
        if names.is_empty() {
            return known;
        }
        let pod = PodOrigin { namespace, name: "", controller: None };
        let lookups = cache.owners(pod, &names, policy, deadlines.without_wait(), |_| false).await;
        let before: Vec<_> = known.into_iter().map(|known| known.owner).collect();
        let mut known = self.mounted_now(namespace, claims);
        let inventory = cache.inventory();
        for (place, Lookup { owner, fetched, .. }) in places.into_iter().zip(lookups) {
            // The cache has neither failures, nor claims that are not watched. What the watch has delivered meanwhile is newer.
            let is_unchanged = known[place].owner == before[place] || known[place].owner == Owner::Missing;
            if known[place].owner.is_incomplete() && is_unchanged {
                let fetched =
                    fetched.map(|claim| ClaimRef::Template { name: "".into(), claim: *claim, ephemeral: false });
                let claim = fetched.as_ref().unwrap_or(&claims[place]);
                known[place] = MountedClaim::with_owner(claim, owner, &*inventory, namespace);
            }
        }
        known
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
            Self::Cluster(cache) => claim.owner_in(&*cache.inventory(), namespace),
            Self::Manifests(inventory) => claim.owner_in(&**inventory, namespace),
        }
    }
}

/// Returns true if a GET may tell more about a claim, and `policy` depends on it.
fn is_open(owner: &Owner, policy: &Policy) -> bool {
    owner.is_incomplete() || policy.volume_to_read(owner).is_some()
}
