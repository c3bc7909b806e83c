//! The wait for a claim that does not exist yet. A pod and its claim are often created milliseconds apart, by different
//! clients, and a pod's scheduler cannot be changed later: so the claim is fetched and waited for, within limits.

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::time::{sleep_until, timeout_at};

use super::cache::ClaimCache;
use super::deadlines::Deadlines;
use super::single_flight::GetFailed;
use super::waiters::PodOrigin;
use super::watched_kind::{Claims, VOLUMES, WatchedKind as _, volume_path};
use crate::engine::storage::{HasMetadata as _, PersistentVolume, PersistentVolumeClaim};
use crate::engine::{Owner, Unknown, dns};

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
    fn fetched(&mut self, claim: Result<Option<Owner>, GetFailed>) {
        if self.is_missing() {
            self.unread = claim.is_err();
            if let Ok(Some(owner)) = claim {
                self.set(owner, LookupResult::Fetched);
                self.awaited = self.is_pending();
            }
        }
    }

    /// Tells an object that could not be read from one that does not exist, after the last GET.
    fn settle(&mut self) {
        let unknown = match &self.owner {
            Owner::Missing if self.unread => Unknown::ClaimUnreadable,
            Owner::Unknown(Unknown::VolumeMissing { volume, .. }) if self.unread => {
                Unknown::VolumeUnreadable(volume.clone())
            }
            _ => return,
        };
        self.set(Owner::Unknown(unknown), LookupResult::Unreadable);
    }
}

impl ClaimCache {
    /// Looks up the owners of the named claims for a pod. Ends as soon as `enough` accepts the owners found so far, or no
    /// more can be found.
    pub(super) async fn owners<'n>(
        &self,
        pod: PodOrigin<'_>,
        names: &[&'n str],
        deadlines: Deadlines,
        enough: impl Fn(&[Lookup<'n>]) -> bool,
    ) -> Vec<Lookup<'n>> {
        let mut lookups: Vec<_> = {
            let inventory = self.inventory();
            let look_up = |name: &&'n str| {
                let owner = inventory.owner(pod.namespace, name);
                Lookup { name, result: LookupResult::of(&owner), owner, awaited: false, unread: false }
            };
            names.iter().map(look_up).collect()
        };
        if enough(&lookups) || !dns::is_label(pod.namespace) {
            return lookups;
        }
        let most = lookups.len().min(MAX_LOOKUPS);
        let (asked, others) = lookups.split_at_mut(most);
        self.get_volumes(pod.namespace, asked, deadlines).await;
        if deadlines.allow_wait() && !enough(asked) && asked.iter().any(Lookup::is_pending) {
            self.wait_for_claims(pod, asked, deadlines, &enough).await;
            // A claim that was created just now may be bound already.
            if !enough(asked) {
                self.get_volumes(pod.namespace, asked, deadlines).await;
            }
        }
        // Those past the limit were not requested, so it is not known whether they exist.
        for other in others {
            other.unread = other.owner != Owner::Missing || (deadlines.allow_wait() && other.is_missing());
        }
        lookups.iter_mut().for_each(Lookup::settle);
        lookups
    }

    /// Fetches the volumes of claims whose owner is revealed only by the bound volume. Volumes are not watched: few
    /// claims need one, and a volume's driver never changes, so it is read once and kept with its claim.
    async fn get_volumes(&self, namespace: &str, lookups: &mut [Lookup<'_>], deadlines: Deadlines) {
        let gets: Vec<_> = lookups
            .iter_mut()
            .filter_map(|lookup| {
                let Owner::Unknown(Unknown::VolumeMissing { volume, no_provisioner }) = &lookup.owner else {
                    return None;
                };
                let no_provisioner = *no_provisioner;
                let volume = Some(volume.clone()).filter(|volume| dns::is_subdomain(volume))?;
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
                    lookup.set(facts.owner(no_provisioner), LookupResult::Fetched);
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
                        self.get_once_more(pod.namespace, lookups, deadlines).await;
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

    /// Gets the missing claims once more after the wait timed out, because the watch may be behind.
    async fn get_once_more(&self, namespace: &str, lookups: &mut [Lookup<'_>], deadlines: Deadlines) {
        let gets = lookups.iter_mut().filter(|lookup| lookup.is_missing()).map(|lookup| async move {
            lookup.unread = true;
            lookup.fetched(self.get_claim(namespace, lookup.name).await);
        });
        let _ = timeout_at(deadlines.last_get_end(), join_all(gets)).await;
    }

    /// Gets the owner of a claim; `None` if the claim does not exist.
    async fn get_claim(&self, namespace: &str, name: &str) -> Result<Option<Owner>, GetFailed> {
        let path = Claims::object_path(namespace, name);
        let Some(json) = self.single_flight.get(namespace, Claims::RESOURCE, path).await? else { return Ok(None) };
        let claim = decode::<PersistentVolumeClaim<'_>>("persistentvolumeclaim", name, &json);
        let claim = claim.filter(|claim| claim.name() == Some(name)).ok_or(GetFailed)?;
        Ok(Some(self.inventory().owner_of(&claim.facts())))
    }
}

fn decode<'j, T: Deserialize<'j>>(what: &str, name: &str, json: &'j [u8]) -> Option<T> {
    serde_json::from_slice(json).inspect_err(|error| tracing::warn!(%error, name, "cannot decode a {what}")).ok()
}

#[cfg(test)]
mod tests;
