//! The wait for a claim that does not exist yet. A pod and its claim are often created milliseconds apart, by different
//! clients, and a pod's scheduler cannot be changed later: so the claim is fetched and waited for, within limits.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::cache::ClaimCache;
use super::deadlines::Deadlines;
use super::single_flight::GetFailed;
use super::waiters::PodOrigin;
use super::watched_kind::{Claims, VOLUMES, WatchedKind as _, volume_path};
use crate::engine::storage::{HasMetadata as _, PersistentVolume, PersistentVolumeClaim};
use crate::engine::{ClaimFacts, Owner, Policy, StorageView as _, Unknown, dns};

/// The maximum number of claims of one object that are requested from the API server, if the cache does not have their
/// owners. Each costs at most three GETs: one of the claim at the start of the wait, one at its end, and one of its
/// volume. A pod can name 70,000 claims. Few pods name more than 32 claims, and hardly any of these pods is created
/// before its claims.
const MAX_LOOKUPS: usize = 32;

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
    /// The API server did not return the claim or its volume.
    Unreadable,
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
            Self::Unreadable => "unreadable",
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
    /// The claim that a GET returned.
    pub(super) fetched: Option<Box<ClaimFacts<'static>>>,
    /// Whether the watch may still deliver it. Only a pod with a wait slot waits for that.
    awaited: bool,
    /// Whether a GET that it depends on has failed or has no answer yet.
    unread: bool,
}

impl Lookup<'_> {
    /// Returns whether the owner may still become known: by the claim, by its class, or (if no class determines the
    /// owner) by the volume that it will be bound to.
    fn is_pending(&self) -> bool {
        use Unknown::{ClassMissing, NoDefaultClass, NotProvisioned, Unbound};
        // An illegal name cannot exist, and must not become part of a URL path or be cached.
        dns::is_subdomain(self.name)
            && matches!(
                self.owner,
                Owner::Missing | Owner::Unknown(ClassMissing(_) | Unbound | NotProvisioned(_) | NoDefaultClass)
            )
    }

    fn is_missing(&self) -> bool {
        self.is_pending() && self.owner == Owner::Missing
    }

    fn set(&mut self, owner: Owner, result: LookupResult) {
        (self.owner, self.result, self.unread) = (owner, result, false);
    }

    /// Takes over what a GET of the claim has returned, unless the watch was faster.
    fn fetched(&mut self, claim: Result<Option<FetchedClaim>, GetFailed>) {
        if self.is_missing() {
            self.unread = claim.is_err();
            if let Ok(Some((owner, claim))) = claim {
                self.fetched = Some(claim);
                self.set(owner, LookupResult::Fetched);
                self.awaited = self.is_pending();
            }
        }
    }

    /// Tells an object that could not be read from one that does not exist, after the last GET.
    fn settle(&mut self, policy: &Policy) {
        let unknown = match policy.volume_to_read(&self.owner) {
            _ if !self.unread => return,
            Some(volume) => Unknown::VolumeUnreadable(volume.clone()),
            None if self.owner == Owner::Missing => Unknown::ClaimUnreadable,
            None => return,
        };
        self.set(Owner::Unknown(unknown), LookupResult::Unreadable);
    }
}

/// The owner of a claim that a GET returned, and the claim.
type FetchedClaim = (Owner, Box<ClaimFacts<'static>>);

impl ClaimCache {
    /// Looks up the owners of the named claims for a pod, as far as `policy` depends on them. Ends as soon as `enough`
    /// accepts the owners found so far, or no more can be found.
    pub(super) async fn owners<'n>(
        &self,
        pod: PodOrigin<'_>,
        names: &[&'n str],
        policy: &Policy,
        deadlines: Deadlines,
        enough: impl Fn(&[Lookup<'n>]) -> bool,
    ) -> Vec<Lookup<'n>> {
        let mut lookups: Vec<_> = {
            let inventory = self.inventory();
            let look_up = |name: &&'n str| {
                let owner = inventory.owner(pod.namespace, name);
                Lookup { name, result: LookupResult::of(&owner), owner, fetched: None, awaited: false, unread: false }
            };
            names.iter().map(look_up).collect()
        };
        if enough(&lookups) || !dns::is_label(pod.namespace) {
            return lookups;
        }
        let most = lookups.len().min(MAX_LOOKUPS);
        let (asked, others) = lookups.split_at_mut(most);
        self.get_volumes(pod.namespace, asked, policy, deadlines).await;
        // Otherwise, the cache has every claim that exists.
        let gets_claims = deadlines.allow_wait() || !self.watches(pod.namespace);
        if gets_claims && !enough(asked) && asked.iter().any(Lookup::is_pending) {
            if deadlines.allow_wait() {
                self.wait_for_claims(pod, asked, deadlines, &enough).await;
            } else {
                self.get_missing(pod.namespace, asked, deadlines.without_wait().answer).await;
            }
            // A claim that was created just now may be bound already.
            if !enough(asked) {
                self.get_volumes(pod.namespace, asked, policy, deadlines).await;
            }
        }
        // Those past the limit were not requested, so it is not known whether they exist.
        for other in others {
            other.unread = other.owner != Owner::Missing || (gets_claims && other.is_missing());
        }
        for lookup in &mut lookups {
            lookup.settle(policy);
        }
        lookups
    }

    /// Fetches the volumes of claims whose owner is revealed only by the bound volume. Volumes are not watched: few
    /// claims need one, and a volume's driver never changes, so it is read once and kept with its claim.
    async fn get_volumes(&self, namespace: &str, lookups: &mut [Lookup<'_>], policy: &Policy, deadlines: Deadlines) {
        let gets: Vec<_> = lookups
            .iter_mut()
            .filter_map(|lookup| {
                let volume = policy.volume_to_read(&lookup.owner).filter(|volume| dns::is_subdomain(volume))?.clone();
                lookup.unread = true;
                Some(async move {
                    let get = self.single_flight.get(namespace, VOLUMES, volume_path(&volume));
                    let Ok(found) = get.await else { return };
                    let Some(json) = found else {
                        lookup.unread = false;
                        return;
                    };
                    let Some(read) = decode::<PersistentVolume<'_>>("persistentvolume", &volume, &json) else { return };
                    let facts = read.facts();
                    self.update(|inventory| {
                        inventory.set_volume_provisioner(namespace, lookup.name, &volume, &facts);
                    });
                    // The watch may not have delivered the claim yet.
                    let provisioner = facts.provisioner.map(|(name, evidence)| (Arc::from(&*name), evidence));
                    lookup.set(lookup.owner.clone().with_volume(provisioner), LookupResult::Fetched);
                })
            })
            .collect();
        if !gets.is_empty() {
            let _ = timeout_at(deadlines.answer, join_all(gets)).await;
        }
    }

    async fn wait_for_claims<'n>(
        &self,
        pod: PodOrigin<'_>,
        lookups: &mut [Lookup<'n>],
        deadlines: Deadlines,
        enough: impl Fn(&[Lookup<'n>]) -> bool,
    ) {
        let mut wait = self.waiters.start(pod);
        // From here on no change is missed, even if it arrives while a GET is in flight.
        let mut changed = self.changed.subscribe();
        let mut gets = FuturesUnordered::new();
        for (index, lookup) in lookups.iter_mut().enumerate() {
            lookup.awaited = lookup.is_pending();
            if lookup.is_missing() {
                lookup.unread = true;
                let name = lookup.name;
                gets.push(async move { (index, self.get_claim(pod.namespace, name).await) });
            }
        }
        let mut end = deadlines.wait_end(wait.has_slot());
        loop {
            self.refresh(pod.namespace, lookups);
            let is_awaited = wait.has_slot() && lookups.iter().any(|lookup| lookup.awaited);
            if enough(lookups) || (gets.is_empty() && !is_awaited) {
                break;
            }
            tokio::select! {
                biased;
                Some((index, claim)) = gets.next() => lookups[index].fetched(claim),
                () = sleep_until(end) => {
                    if wait.has_slot() {
                        // The watch may be behind.
                        self.get_missing(pod.namespace, lookups, deadlines.last_get_end()).await;
                    }
                    break;
                }
                // The pod goes on like one that found no slot.
                () = wait.evicted() => end = end.min(deadlines.wait_end(false)),
                notified = changed.changed() => if notified.is_err() { break },
            }
        }
        if enough(lookups) || !lookups.iter().any(Lookup::is_pending) {
            wait.found();
            return;
        }
        if !lookups.iter().any(|lookup| lookup.unread) {
            wait.timed_out(&lookups.iter().filter(|lookup| lookup.is_pending()).map(|lookup| lookup.name).collect());
        }
        for lookup in lookups.iter().filter(|lookup| lookup.is_missing()) {
            wait.log(lookup.name, lookup.unread);
        }
    }

    /// Takes over what the watches have delivered.
    fn refresh(&self, namespace: &str, lookups: &mut [Lookup<'_>]) {
        let inventory = self.inventory();
        for lookup in lookups.iter_mut().filter(|lookup| lookup.awaited) {
            match inventory.owner(namespace, lookup.name) {
                // The watch may be behind what a GET has returned.
                Owner::Missing => {}
                owner => {
                    if owner != lookup.owner {
                        lookup.set(owner, LookupResult::Waited);
                    }
                    lookup.awaited = lookup.is_pending();
                }
            }
        }
    }

    /// Gets the missing claims, until `end`.
    async fn get_missing(&self, namespace: &str, lookups: &mut [Lookup<'_>], end: Instant) {
        let gets = lookups.iter_mut().filter(|lookup| lookup.is_missing()).map(|lookup| async move {
            lookup.unread = true;
            lookup.fetched(self.get_claim(namespace, lookup.name).await);
        });
        let _ = timeout_at(end, join_all(gets)).await;
    }

    /// Gets a claim and its owner; `None` if the claim does not exist.
    async fn get_claim(&self, namespace: &str, name: &str) -> Result<Option<FetchedClaim>, GetFailed> {
        let path = Claims::object_path(namespace, name);
        let Some(json) = self.single_flight.get(namespace, Claims::RESOURCE, path).await? else { return Ok(None) };
        let claim = decode::<PersistentVolumeClaim<'_>>("persistentvolumeclaim", name, &json);
        let claim = claim.filter(|claim| claim.name() == Some(name)).ok_or(GetFailed)?;
        let claim = claim.facts().into_owned();
        Ok(Some((self.inventory().owner_of(&claim), Box::new(claim))))
    }
}

fn decode<'j, T: Deserialize<'j>>(what: &str, name: &str, json: &'j [u8]) -> Option<T> {
    serde_json::from_slice(json).inspect_err(|error| tracing::warn!(%error, name, "cannot decode a {what}")).ok()
}

#[cfg(test)]
mod tests;
