//! A claim on its way. A pod and its claim are often made milliseconds apart, by different clients, and a pod's scheduler
//! cannot be changed later: so it is asked for, and waited for, within bounds.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::Cluster;
use super::kind::{Claims, Kind as _};
use crate::engine::storage::{Object as _, PersistentVolume, PersistentVolumeClaim, is_object_name};
use crate::engine::{Owner, Unknown};

/// Whoever has no seat may share the GET, and waits no longer than this for its answer.
const WITHOUT_SEAT: Duration = Duration::from_millis(500);

/// How many claims of one object the API server is asked for: no node can mount as many. Whoever may create one pod can name
/// 70,000 in it, each of which would cost a request, and memory for as long as the pod waits.
const MOST_ASKED: usize = 256;

/// Claims whose owners a review asks for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// The namespace of all of them.
    pub namespace: &'q str,
    /// When the answer has to be there.
    pub deadline: Instant,
    /// How long a claim that is not there may be asked and waited for.
    pub wait: Duration,
}

/// How long the answer to the last question may take, for whoever has waited in vain.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// How an owner was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// In the cache.
    Cached,
    /// By asking the API server.
    Fetched,
    /// By waiting for the watch.
    Waited,
    /// Not at all.
    Missing,
}

impl Found {
    /// How an owner is known that nobody was asked for.
    pub fn of(owner: &Owner) -> Self {
        if *owner == Owner::Missing { Self::Missing } else { Self::Cached }
    }

    /// The word, as a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Fetched => "fetched",
            Self::Waited => "waited",
            Self::Missing => "missing",
        }
    }
}

/// A claim, and what was found out about it so far.
#[derive(Debug)]
pub(crate) struct Sought<'n> {
    name: &'n str,
    /// Its owner.
    pub(crate) owner: Owner,
    /// How that was found.
    pub(crate) found: Found,
}

impl Sought<'_> {
    /// Whether something is still to come: the claim, the class that it names, or (where no class tells anything) the
    /// volume that it will be bound to.
    fn is_on_its_way(&self) -> bool {
        use Unknown::{ClassMissing, NoDefaultClass, Unbound};
        // What cannot be a name never comes, and must not become a path, or a memory.
        is_object_name(self.name)
            && matches!(self.owner, Owner::Missing | Owner::Unknown(ClassMissing(_) | Unbound | NoDefaultClass))
    }

    fn is_missing(&self) -> bool {
        self.is_on_its_way() && self.owner == Owner::Missing
    }

    /// Whether it is known, and only the volume that it is bound to can tell its owner.
    fn lacks_volume(&self) -> bool {
        matches!(self.owner, Owner::Unknown(Unknown::VolumeMissing(_)))
    }

    fn learn(&mut self, owner: Owner, found: Found) {
        (self.owner, self.found) = (owner, found);
    }
}

impl Cluster {
    /// The owners of the claims of these names. Ends as soon as `enough` says that these owners are, or there is nothing
    /// more to find out.
    pub(crate) async fn owners<'n>(
        &self,
        question: Question<'_>,
        names: &[&'n str],
        enough: impl Fn(&[Sought<'n>]) -> bool,
    ) -> Vec<Sought<'n>> {
        let mut sought: Vec<_> = {
            let inventory = self.inventory();
            let look_up = |name: &&'n str| {
                let owner = inventory.owner(question.namespace, name);
                Sought { name, found: Found::of(&owner), owner }
            };
            names.iter().map(look_up).collect()
        };
        if enough(&sought) || !is_object_name(question.namespace) {
            return sought;
        }
        let most = sought.len().min(MOST_ASKED);
        let asked = &mut sought[..most];
        self.ask_volumes(question, asked).await;
        if !question.wait.is_zero() && !enough(asked) && asked.iter().any(Sought::is_on_its_way) {
            self.await_claims(question, asked, enough).await;
            // A claim that has only just come may be bound already.
            self.ask_volumes(question, asked).await;
        }
        sought
    }

    /// Asks for the volumes that alone tell the owners of their claims. Volumes are not watched: few claims need one, and
    /// what a volume tells never changes, so that it is asked once and kept with its claim.
    async fn ask_volumes(&self, question: Question<'_>, sought: &mut [Sought<'_>]) {
        let namespace = question.namespace;
        let asked: Vec<_> = sought
            .iter_mut()
            .filter_map(|claim| {
                let Owner::Unknown(Unknown::VolumeMissing(volume)) = &claim.owner else { return None };
                let volume = Some(volume.clone()).filter(|volume| is_object_name(volume))?;
                Some(async move {
                    let path = format!("/api/v1/persistentvolumes/{volume}");
                    let Ok(Some(json)) = self.gets.get(&self.client, "persistentvolumes", path).await else { return };
                    let Some(read) = decode::<PersistentVolume<'_>>("persistentvolume", &volume, &json) else { return };
                    self.update(|inventory| inventory.volume_told(namespace, claim.name, &volume, &read.facts()));
                    match self.inventory().owner(namespace, claim.name) {
                        Owner::Missing => {}
                        told => claim.learn(told, Found::Fetched),
                    }
                })
            })
            .collect();
        if !asked.is_empty() {
            let _ = timeout_at(question.deadline, join_all(asked)).await;
        }
    }

    async fn await_claims<'n>(
        &self,
        question: Question<'_>,
        sought: &mut [Sought<'n>],
        enough: impl Fn(&[Sought<'n>]) -> bool,
    ) {
        let Question { namespace, deadline, wait } = question;
        let key = |name: &str| (namespace.to_owned(), name.to_owned());
        // Whether there is hope for each.
        let mut open: Vec<_> =
            sought.iter().map(|claim| claim.is_on_its_way() && self.in_vain.get(&key(claim.name)).is_none()).collect();
        let hope = open.contains(&true);
        let seat = if hope { self.seats.take(namespace) } else { None };
        if seat.is_none() {
            open.fill(false);
        }
        // From here on every change is seen: what comes while the API server is asked is not missed.
        let mut changed = self.changed.subscribe();
        let mut asked = FuturesUnordered::new();
        for (index, claim) in sought.iter().enumerate().filter(|(_, claim)| claim.is_missing()) {
            let name = claim.name;
            asked.push(async move { (index, self.fetch(namespace, name).await) });
        }
        let arrivals = async {
            loop {
                for (claim, open) in sought.iter_mut().zip(&mut open) {
                    if *open || claim.is_on_its_way() {
                        match self.inventory().owner(namespace, claim.name) {
                            // The watch may be behind what a GET has told.
                            Owner::Missing => {}
                            owner => {
                                if owner != claim.owner {
                                    claim.learn(owner, Found::Waited);
                                }
                                *open &= claim.is_on_its_way();
                            }
                        }
                    }
                }
                if enough(sought) || (asked.is_empty() && !open.contains(&true)) {
                    return;
                }
                tokio::select! {
                    Some((index, fetched)) = asked.next() => {
                        if let Some(owner) = fetched && sought[index].is_on_its_way() {
                            sought[index].learn(owner, Found::Fetched);
                            // Its volume can be asked when the watch has brought it.
                            open[index] &= sought[index].is_on_its_way() || sought[index].lacks_volume();
                        }
                    }
                    told = changed.changed() => if told.is_err() { return },
                }
            }
        };
        let wait = if seat.is_some() { wait } else { wait.min(WITHOUT_SEAT) };
        let in_vain = timeout_at(deadline.min(Instant::now() + wait), arrivals).await.is_err() && seat.is_some();
        if in_vain {
            self.ask_a_last_time(question, sought).await;
        }
        let why = match (&seat, hope) {
            (Some(_), _) => "it was waited for in vain",
            (None, true) => "as many pods wait as may: it was asked for, and not waited for",
            (None, false) => "it was waited for in vain a short while ago",
        };
        let decided = enough(sought);
        for claim in sought.iter().filter(|claim| claim.is_on_its_way()) {
            if in_vain {
                self.in_vain.add(key(claim.name), ());
            }
            if !decided && claim.is_missing() && self.told.add(key(claim.name), ()) {
                // A controller reads no warning: this line is all that an operator sees.
                tracing::warn!(
                    namespace,
                    claim = claim.name,
                    why,
                    "a pod was decided without its claim, which does not exist; its scheduler cannot be changed later"
                );
            }
        }
    }

    /// Asks once more for what was waited for in vain: on a busy machine the watch may be a second behind.
    async fn ask_a_last_time(&self, question: Question<'_>, sought: &mut [Sought<'_>]) {
        let Question { namespace, deadline, .. } = question;
        let asked = sought.iter_mut().filter(|claim| claim.is_missing()).map(|claim| async move {
            self.gets.came(|| Claims::object_path(namespace, claim.name));
            if let Some(owner) = self.fetch(namespace, claim.name).await {
                claim.learn(owner, Found::Fetched);
            }
        });
        let _ = timeout_at(deadline.min(Instant::now() + LAST_ANSWER), join_all(asked)).await;
    }

    /// The owner of a claim by a live GET; `None` where there is no claim, or no answer.
    async fn fetch(&self, namespace: &str, name: &str) -> Option<Owner> {
        let path = Claims::object_path(namespace, name);
        let json = self.gets.get(&self.client, Claims::RESOURCE, path).await.ok()??;
        let claim = decode::<PersistentVolumeClaim<'_>>("persistentvolumeclaim", name, &json)?;
        (claim.name() == Some(name)).then(|| self.inventory().owner_of(&claim.facts()))
    }
}

fn decode<'j, T: Deserialize<'j>>(what: &str, name: &str, json: &'j [u8]) -> Option<T> {
    serde_json::from_slice(json).inspect_err(|error| tracing::warn!(%error, name, "a {what} cannot be decoded")).ok()
}

#[cfg(test)]
mod tests;
