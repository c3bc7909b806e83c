//! The list of the running pods: their locality, and what is needed to find out why some are not local.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use super::asked_pods::{AskedPod, MAX_ASKED};
use super::bound_volumes::BoundVolumes;
use super::{Layouts, MAX_KEPT, PodPlace, UnknownPod};
use crate::api::ApiError;
use crate::companion::MountedClaim;
use crate::engine::{Absence, ClaimRef, Owner, Unknown, Workload, WorkloadObject};
use crate::insight::{Answer, Expectation, LivePod};
use crate::inspect::access::Access;
use crate::inspect::audit::{Auditor, ConfigSource, Live, Rules};
use crate::inspect::kinds;
use crate::locality::{
    Circumstances, Exemption, Gap, Locality, Nodes, PlacedPod, PodDemand, PodKey, PodVolume, Shares, StorageDrivers,
    Volume,
};

/// The consequence if the pods cannot be listed.
const HIDES: &str = "whether pods run where their data is";

/// The most pods of which the reasons are found. Each takes 1 kB.
const MAX_JUDGED: usize = 10_000;

/// The pods of a cluster.
#[derive(Default)]
pub(super) struct PodList<'a> {
    /// All pods except those in `non_local` and `asked`.
    pub(super) shares: Shares,
    /// The pods that are not local.
    pub(super) non_local: Vec<JudgedPod<'a>>,
    /// The pods about which an extender is to be asked. They are not counted yet.
    pub(super) asked: Vec<AskedPod<'a>>,
    pub(super) unknown: Vec<UnknownPod>,
    /// The drivers whose storage systems were not queried, because only pods or claims name them. If there are any, they are queried,
    /// and the pods are listed again.
    pub(super) not_queried: BTreeSet<Arc<str>>,
    /// The number of pods that are counted and not kept.
    pub(super) more: u64,
    /// The nodes with what their pods request; `None` before the first pod, or if the nodes are not known.
    pub(super) nodes: Option<Nodes>,
}

/// A pod with what is needed to find out why it is not local.
pub(super) struct JudgedPod<'a> {
    pub(super) place: PodPlace,
    pub(super) locality: Locality,
    pub(super) pod: PlacedPod<'a>,
    pub(super) expectation: Expectation,
    pub(super) demand: PodDemand,
    /// Whether a replacement pod would be sent to a colocate in mode `inject`; `None` if this is not known.
    pub(super) would_reach_colocate: Option<bool>,
    pub(super) has_controller: bool,
}

/// The facts by which pods are judged.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) auditor: &'a Auditor<'a>,
    pub(super) volumes: &'a BoundVolumes,
    pub(super) layouts: &'a Layouts,
    pub(super) nodes: Option<&'a Nodes>,
    /// Whether a colocate that changes pods is registered; `None` if this is not known.
    pub(super) is_active: Option<bool>,
}

impl<'a> Judge<'a> {
    /// Adds a pod. Only running pods are counted.
    pub(super) fn add(&self, workload: &Workload, list: &mut PodList<'a>, item: &str) -> serde_json::Result<()> {
        let live: Live<'_> = serde_json::from_str(item)?;
        let metadata = live.metadata.unwrap_or_default();
        let phase = live.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let pod: LivePod<'_> = serde_json::from_str(item)?;
        let node = &*pod.spec.node_name;
        if node.is_empty() || matches!(phase, "Succeeded" | "Failed") {
            return Ok(());
        }
        let mut demand = PodDemand::parse(item)?;
        if let Some(nodes) = self.nodes {
            list.nodes.get_or_insert_with(|| nodes.clone()).reserve(node, &demand);
        }
        if phase != "Running" || metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let (namespace, name) = (&*metadata.namespace, &*metadata.name);
        let object = WorkloadObject::parse(item, workload)?;
        let mut rank = None;
        let mut volumes = Vec::new();
        for claim in object.claims() {
            // A volume of no driver can tie the pod to nodes, too.
            match self.bound_volume(&claim, namespace, &pod) {
                Ok(volume) => {
                    if let Some(affinity) = volume.and_then(|own| own.affinity.as_ref()) {
                        demand.add_volume(affinity);
                    }
                }
                Err(_) => demand.has_unknown_volume = true,
            }
            let Some((own, volume)) = self.volume(&claim, namespace, &pod) else { continue };
            rank = own.into_iter().chain(rank).min();
            volumes.push(volume);
        }
        let drivers = &self.auditor.rules.drivers.0;
        let driver = rank.map_or_else(|| "?".into(), |rank: usize| drivers[rank].name.clone());
        let opted_out = self.auditor.opted_out(namespace);
        let expectation = self.auditor.expect(workload, namespace, opted_out, item)?;
        let exemption = Exemption::of_pod(expectation.reason, &pod.metadata.annotations);
        let placed = PlacedPod { node: node.into(), created: pod.placed_at(), exemption, volumes };
        list.not_queried.extend(not_queried(&placed.volumes));
        let Some(locality) = placed.locality() else { return Ok(()) };
        let gap = self.gap(&locality, opted_out);
        let may_ask = gap.is_none() && matches!(locality, Locality::Unknown(_)) && list.asked.len() < MAX_ASKED;
        let locality = gap.map_or(locality, Locality::Unknown);
        let top = metadata.top_controller(&HashMap::new());
        let has_controller = top.is_some();
        let place = PodPlace {
            namespace: namespace.into(),
            name: name.into(),
            workload: top.unwrap_or_else(|| ("Pod".into(), name.into())),
            driver,
            node: node.into(),
        };
        let would_reach_colocate = match self.is_active {
            Some(true) if may_ask || locality.is_failure() => {
                match self.auditor.sent(namespace, metadata.labels.as_ref()) {
                    Answer::Yes => Some(true),
                    Answer::No(_) => Some(false),
                    Answer::NotEvaluated(_) => None,
                }
            }
            // Only pods that are not local need it.
            is_active => is_active,
        };
        let pod = JudgedPod { place, locality, pod: placed, expectation, demand, would_reach_colocate, has_controller };
        if may_ask && AskedPod::drivers(&pod, self.layouts).is_some() {
            list.asked.push(AskedPod { pod, json: item.into() });
        } else {
            list.count(pod);
        }
        Ok(())
    }

    /// Returns a fact about the whole pod that is missing.
    pub(super) fn gap(&self, locality: &Locality, opted_out: Option<bool>) -> Option<Gap> {
        if self.auditor.rules.source == ConfigSource::NotSeen {
            Some(Gap::Configuration)
        } else if opted_out.is_none() && !matches!(locality, Locality::MeantToBeRemote(_)) {
            // Its Namespace may opt out, and then it may be anywhere.
            Some(Gap::NoPermission("read namespaces".into()))
        } else {
            None
        }
    }

    /// Returns the volumes of drivers that a pod mounts.
    pub(super) fn volumes(&self, claims: &[ClaimRef<'_>], namespace: &str, pod: &LivePod<'_>) -> Vec<PodVolume<'a>> {
        claims.iter().filter_map(|claim| Some(self.volume(claim, namespace, pod)?.1)).collect()
    }

    /// Returns a volume of a driver, with the rank of the driver; `None` for a volume of no driver.
    fn volume(
        &self,
        claim: &ClaimRef<'_>,
        namespace: &str,
        pod: &LivePod<'_>,
    ) -> Option<(Option<usize>, PodVolume<'a>)> {
        let inventory = &self.auditor.cluster.inventory;
        let owner = self.auditor.facts().owner(claim, namespace);
        let label = claim.to_string();
        let unknown = |gap: Gap| {
            let exemption = Err(gap.clone());
            PodVolume { label: claim.to_string(), driver: "?".into(), exemption, replicas: Err(gap), recognized: true }
        };
        let Rules { policy, drivers, .. } = self.auditor.rules;
        match &owner {
            Owner::Provisioner { .. } | Owner::NoProvisioner => {}
            Owner::Missing => return Some((None, unknown(Gap::Claim(format!("{label} does not exist").into())))),
            Owner::Unknown(why) => return Some((None, unknown(self.why_unknown(why, &label)))),
        }
        let is_local = || self.bound_volume(claim, namespace, pod).map(|volume| volume.is_some_and(|own| own.is_local));
        let (rank, driver) = match drivers.of_owner(&owner, is_local) {
            Ok(found) => found?,
            Err(gap) => return Some((None, unknown(gap))),
        };
        let mounted = MountedClaim::with_owner(claim, owner.clone(), inventory, namespace);
        let volume = PodVolume {
            replicas: self.replicas(claim, namespace, pod, &driver.name),
            label,
            driver: driver.name.clone(),
            exemption: match self.bound_volume(claim, namespace, pod) {
                Ok(Some(volume)) if volume.is_served => Ok(Some(Exemption::SharedService)),
                _ => Exemption::of_volume(&mounted),
            },
            // Only a scheduler has to recognize volumes, so those of a driver without one count as recognized.
            recognized: policy
                .drivers
                .0
                .iter()
                .find(|own| own.name == driver.name)
                .is_none_or(|own| mounted.recognized_by(own).unwrap_or(true)),
        };
        Some((Some(rank), volume))
    }

    /// Finds the replicas of a volume.
    fn replicas(
        &self,
        claim: &ClaimRef<'_>,
        namespace: &str,
        pod: &LivePod<'_>,
        driver: &str,
    ) -> Result<&'a crate::locality::Replicas, Gap> {
        let find = |volume: &Volume| self.layouts.find(driver)?.find_volume(volume);
        match (self.bound_volume(claim, namespace, pod)?, claim) {
            (Some(volume), _) => find(volume),
            (None, ClaimRef::Inline { name, .. }) => {
                let entry = pod.spec.volumes.iter().find(|entry| entry["name"] == **name);
                let volume = entry.and_then(Volume::inline);
                find(&volume.ok_or_else(|| Gap::Claim(format!("volume `{name}` does not name its data").into()))?)
            }
            (None, _) => Err(Gap::Claim(format!("{claim} is not bound to a volume").into())),
        }
    }

    /// Finds the volume that a claim is bound to; `None` for a volume that the pod names itself.
    fn bound_volume(
        &self,
        claim: &ClaimRef<'_>,
        namespace: &str,
        pod: &LivePod<'_>,
    ) -> Result<Option<&'a Volume>, Gap> {
        match claim {
            ClaimRef::Named(name) => self.volumes.find(namespace, name).map(Some),
            // The controller names the claim of an ephemeral volume after the pod and the volume.
            ClaimRef::Template { name, .. } => {
                self.volumes.find(namespace, &format!("{}-{name}", pod.metadata.name)).map(Some)
            }
            ClaimRef::Inline { .. } => Ok(None),
        }
    }

    /// Returns the gap of a claim whose driver is not known.
    fn why_unknown(&self, why: &Unknown, label: &str) -> Gap {
        let visibility = &self.auditor.cluster.inventory.visibility;
        let hidden = [
            (visibility.claims, "list persistentvolumeclaims"),
            (visibility.classes, "list storageclasses.storage.k8s.io"),
            (visibility.volumes, "list persistentvolumes"),
        ];
        match hidden.iter().find(|(absence, _)| *absence == Absence::Hidden) {
            Some((_, right)) => Gap::NoPermission((*right).into()),
            None => Gap::Claim(format!("the driver of {label} is not known: {}", unknown_text(why)).into()),
        }
    }
}

/// Returns the drivers of volumes whose storage systems have not been queried.
pub(super) fn not_queried(volumes: &[PodVolume<'_>]) -> BTreeSet<Arc<str>> {
    let volumes = volumes.iter().filter(|volume| volume.replicas == Err(Gap::NotQueried));
    volumes.map(|volume| volume.driver.clone()).collect()
}

/// Explains why the driver of a claim is not known.
fn unknown_text(why: &Unknown) -> Arc<str> {
    match why {
        Unknown::ClassMissing(class) => format!("its class {class} does not exist").into(),
        Unknown::VolumeMissing { volume, .. } => format!("its volume {volume} does not exist").into(),
        _ => "neither its class nor its volume names one".into(),
    }
}

impl<'a> PodList<'a> {
    /// Lists the pods of one namespace, or of all; `None` if they cannot be listed. `progress` is called with `what` for each pod.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(super) async fn read(
        access: &mut Access,
        judge: Judge<'a>,
        (workload, namespace): (&Workload, Option<&str>),
        what: &'static str,
        progress: &mut impl FnMut(&'static str),
    ) -> Result<Option<Self>, ApiError> {
        let listed = access.list(kinds::PODS, namespace, HIDES, |list: &mut Self, item| {
            progress(what);
            judge.add(workload, list, item)
        });
        listed.await
    }

    /// Counts a pod, unless it is not local and its reasons are to be found first.
    pub(super) fn count(&mut self, judged: JudgedPod<'a>) {
        if judged.locality.is_failure() && self.non_local.len() < MAX_JUDGED {
            self.non_local.push(judged);
            return;
        }
        let JudgedPod { place, locality, .. } = judged;
        self.shares.add(place.key(), &locality, locality.is_failure().then_some("not-examined"));
        match &locality {
            Locality::Unknown(gap) if self.unknown.len() < MAX_KEPT => {
                self.unknown.push(UnknownPod { pod: place, word: gap.as_str(), why: gap.to_string() });
            }
            Locality::Local | Locality::MeantToBeRemote(_) => {}
            _ => self.more += 1,
        }
    }
}

impl JudgedPod<'_> {
    /// Returns true if the pod is not local because it has another scheduler than it should have.
    pub(super) fn is_wrong(&self, drivers: &StorageDrivers) -> bool {
        self.circumstances(drivers, None).is_on_wrong_scheduler(&self.pod)
    }

    /// Returns what is known about its scheduling without asking why it has its scheduler.
    pub(super) fn circumstances<'s>(
        &'s self,
        drivers: &'s StorageDrivers,
        nodes: Option<&'s Nodes>,
    ) -> Circumstances<'s> {
        Circumstances { nodes, ..Circumstances::new(drivers, &self.expectation, &self.demand) }
    }

    /// Returns the key by which pods are grouped: their workload, their reason, and their actual and expected scheduler.
    pub(super) fn group(&self) -> impl Eq + Hash {
        let Self { place: PodPlace { namespace, workload: (kind, name), .. }, expectation, .. } = self;
        let Expectation { reason, actual, scheduler, .. } = expectation;
        (&**namespace, &**kind, &**name, *reason, &**actual, &**scheduler)
    }
}

impl PodPlace {
    /// The key by which it is counted.
    pub(super) fn key(&self) -> PodKey<'_> {
        let (kind, name) = &self.workload;
        PodKey { namespace: &self.namespace, workload: (kind, name), driver: &self.driver, node: &self.node }
    }
}
