//! The wait for a claim that does not exist yet. A pod and its claim are often created milliseconds apart, by different
//! clients, and a pod's scheduler cannot be changed later: so the claim is fetched and waited for, within limits.

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::time::timeout_at;

use super::cache::ClaimCache;
use super::deadlines::Deadlines;
use super::watched_kind::{Claims, VOLUMES, WatchedKind as _, volume_path};
use crate::engine::storage::{HasMetadata as _, PersistentVolume, PersistentVolumeClaim};
use crate::engine::{Owner, Unknown, dns};

/// The maximum number of claims of one object that are requested from the API server. No node can mount that many. A
/// pod can name 70,000 claims, each of which would cost a request, and memory while the pod waits.
const MAX_GETS_PER_REVIEW: usize = 256;

/// The way in which the owner of a claim was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookupResult {
    /// Found in the cache.
    Cached,
    /// Found by a GET.
    Fetched,
    /// Found by waiting for the watch.
    Waited,
    /// Not found.
    Missing,
}

impl LookupResult {
    /// Returns the result for an owner that was looked up only in the cache.
    pub(super) fn of(owner: &Owner) -> Self {
        if *owner == Owner::Missing { Self::Missing } else { Self::Cached }
    }

    /// Returns the value of the metric label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Fetched => "fetched",
            Self::Waited => "waited",
            Self::Missing => "missing",
        }
    }
}

/// A claim and the result of its lookup so far.
#[derive(Debug)]
pub(super) struct Lookup<'n> {
    name: &'n str,
    /// Its owner.
    pub(super) owner: Owner,
    /// The way in which the owner was found.
    pub(super) result: LookupResult,
}

impl Lookup<'_> {
    /// Returns whether the owner may still become known: by the claim, by its class, or (if no class determines the
    /// owner) by the volume that it will be bound to.
    fn is_pending(&self) -> bool {
        use Unknown::{ClassMissing, NoDefaultClass, Unbound};
        // An illegal name cannot exist, and must not become part of a URL path or be cached.
        dns::is_subdomain(self.name)
            && matches!(self.owner, Owner::Missing | Owner::Unknown(ClassMissing(_) | Unbound | NoDefaultClass))
    }

    fn is_missing(&self) -> bool {
        self.is_pending() && self.owner == Owner::Missing
    }

    /// Returns whether only the bound volume reveals the owner.
    fn lacks_volume(&self) -> bool {
        matches!(self.owner, Owner::Unknown(Unknown::VolumeMissing(_)))
    }

    fn set(&mut self, owner: Owner, result: LookupResult) {
        (self.owner, self.result) = (owner, result);
    }
}

impl ClaimCache {
    /// Looks up the owners of the named claims. Ends as soon as `enough` accepts the owners found so far, or no more
    /// can be found.
    pub(super) async fn owners<'n>(
        &self,
        namespace: &str,
        names: &[&'n str],
        deadlines: Deadlines,
        enough: impl Fn(&[Lookup<'n>]) -> bool,
    ) -> Vec<Lookup<'n>> {
        let mut lookups: Vec<_> = {
            let inventory = self.inventory();
            let look_up = |name: &&'n str| {
                let owner = inventory.owner(namespace, name);
                Lookup { name, result: LookupResult::of(&owner), owner }
            };
            names.iter().map(look_up).collect()
        };
        if enough(&lookups) || !dns::is_label(namespace) {
            return lookups;
        }
        let most = lookups.len().min(MAX_GETS_PER_REVIEW);
        let asked = &mut lookups[..most];
        self.get_volumes(namespace, asked, deadlines).await;
        if deadlines.allow_wait() && !enough(asked) && asked.iter().any(Lookup::is_pending) {
            self.wait_for_claims(namespace, asked, deadlines, enough).await;
            // A claim that was created just now may be bound already.
            self.get_volumes(namespace, asked, deadlines).await;
        }
        lookups
    }

    /// Fetches the volumes of claims whose owner only the bound volume reveals. Volumes are not watched: few claims
    /// need one, and a volume's driver never changes, so it is read once and kept with its claim.
    async fn get_volumes(&self, namespace: &str, lookups: &mut [Lookup<'_>], deadlines: Deadlines) {
        let gets: Vec<_> = lookups
            .iter_mut()
            .filter_map(|lookup| {
                let Owner::Unknown(Unknown::VolumeMissing(volume)) = &lookup.owner else { return None };
                let volume = Some(volume.clone()).filter(|volume| dns::is_subdomain(volume))?;
                Some(async move {
                    let Ok(Some(json)) = self.single_flight.get(VOLUMES, volume_path(&volume)).await else { return };
                    let Some(read) = decode::<PersistentVolume<'_>>("persistentvolume", &volume, &json) else { return };
                    self.update(|inventory| {
                        inventory.set_volume_provisioner(namespace, lookup.name, &volume, &read.facts());
                    });
                    match self.inventory().owner(namespace, lookup.name) {
                        Owner::Missing => {}
                        owner => lookup.set(owner, LookupResult::Fetched),
                    }
                })
            })
            .collect();
        if !gets.is_empty() {
            let _ = timeout_at(deadlines.answer, join_all(gets)).await;
        }
    }

    async fn wait_for_claims<'n>(
        &self,
        namespace: &str,
        lookups: &mut [Lookup<'n>],
        deadlines: Deadlines,
        enough: impl Fn(&[Lookup<'n>]) -> bool,
    ) {
        let key = |name: &str| (namespace.to_owned(), name.to_owned());
        let is_worth_a_wait = |lookup: &Lookup<'_>| lookup.is_pending() && !self.timed_out.contains(&key(lookup.name));
        // True for each claim that is still waited for.
        let mut open: Vec<_> = lookups.iter().map(is_worth_a_wait).collect();
        let any_worth_a_wait = open.contains(&true);
        let slot = if any_worth_a_wait { self.wait_slots.take(namespace) } else { None };
        if slot.is_none() {
            open.fill(false);
        }
        // From here on no change is missed, even if it arrives while a GET is in flight.
        let mut changed = self.changed.subscribe();
        let mut gets = FuturesUnordered::new();
        for (index, lookup) in lookups.iter().enumerate().filter(|(_, lookup)| lookup.is_missing()) {
            let name = lookup.name;
            gets.push(async move { (index, self.get_claim(namespace, name).await) });
        }
        let arrivals = async {
            loop {
                for (lookup, open) in lookups.iter_mut().zip(&mut open) {
                    if *open || lookup.is_pending() {
                        match self.inventory().owner(namespace, lookup.name) {
                            // The watch may be behind what a GET has returned.
                            Owner::Missing => {}
                            owner => {
                                if owner != lookup.owner {
                                    lookup.set(owner, LookupResult::Waited);
                                }
                                *open &= lookup.is_pending();
                            }
                        }
                    }
                }
                if enough(lookups) || (gets.is_empty() && !open.contains(&true)) {
                    return;
                }
                tokio::select! {
                    Some((index, owner)) = gets.next() => {
                        let lookup = &mut lookups[index];
                        if let Some(owner) = owner && lookup.is_pending() {
                            lookup.set(owner, LookupResult::Fetched);
                            // The volume can be fetched once the watch has delivered the claim.
                            open[index] &= lookup.is_pending() || lookup.lacks_volume();
                        }
                    }
                    notified = changed.changed() => if notified.is_err() { return },
                }
            }
        };
        let timed_out = timeout_at(deadlines.wait_end(slot.is_some()), arrivals).await.is_err();
        let slot_timed_out = timed_out && slot.is_some();
        if slot_timed_out {
            self.get_once_more(namespace, lookups, deadlines).await;
        }
        let why = match (&slot, any_worth_a_wait) {
            (Some(_), _) => "the wait for it timed out",
            (None, true) => "too many pods are waiting already (missingClaim.maxWaiters, maxWaitersPerNamespace)",
            (None, false) => "not waited for again: the last wait for it timed out less than 30 s ago",
        };
        let decided = enough(lookups);
        for lookup in lookups.iter().filter(|lookup| lookup.is_pending()) {
            if slot_timed_out {
                self.timed_out.insert(key(lookup.name));
            }
            if !decided && lookup.is_missing() && self.logged.insert(key(lookup.name)) {
                // A controller does not show warnings: this line is all that an operator sees.
                tracing::warn!(
                    namespace,
                    claim = lookup.name,
                    why,
                    "missingClaim.then was applied to a pod, because its claim does not exist; to change the pod's scheduler, create the claim, then delete and recreate the pod"
                );
            }
        }
    }

    /// Gets the missing claims once more after the wait timed out, because the watch may be behind.
    async fn get_once_more(&self, namespace: &str, lookups: &mut [Lookup<'_>], deadlines: Deadlines) {
        let gets = lookups.iter_mut().filter(|lookup| lookup.is_missing()).map(|lookup| async move {
            self.single_flight.forget(|| Claims::object_path(namespace, lookup.name));
            if let Some(owner) = self.get_claim(namespace, lookup.name).await {
                lookup.set(owner, LookupResult::Fetched);
            }
        });
        let _ = timeout_at(deadlines.last_get_end(), join_all(gets)).await;
    }

    /// Gets the owner of a claim; `None` if the claim does not exist or the API server does not answer.
    async fn get_claim(&self, namespace: &str, name: &str) -> Option<Owner> {
        let path = Claims::object_path(namespace, name);
        let json = self.single_flight.get(Claims::RESOURCE, path).await.ok()??;
        let claim = decode::<PersistentVolumeClaim<'_>>("persistentvolumeclaim", name, &json)?;
        (claim.name() == Some(name)).then(|| self.inventory().owner_of(&claim.facts()))
    }
}

fn decode<'j, T: Deserialize<'j>>(what: &str, name: &str, json: &'j [u8]) -> Option<T> {
    serde_json::from_slice(json).inspect_err(|error| tracing::warn!(%error, name, "cannot decode a {what}")).ok()
}

#[cfg(test)]
mod tests;
