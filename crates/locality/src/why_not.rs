//! The reasons why a pod is not where its data is.

use std::fmt;
use std::sync::Arc;

use colocate_engine::{PORTWORX_IN_TREE, Reason, is_same_driver};
use colocate_insight::{Expectation, Verdict};
use jiff::Timestamp;

use super::node::{Nodes, Unavailable};
use super::placed_pod::{PlacedPod, PodVolume};
use super::pod_demand::PodDemand;
use super::storage_driver::StorageDrivers;

/// The known facts about the scheduling of a pod.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The drivers of the configuration.
    pub drivers: &'a StorageDrivers,
    /// The scheduler that the pod should have.
    pub expectation: &'a Expectation,
    /// Why it has another one; `None` if this was not asked.
    pub verdict: Option<Verdict>,
    /// The pod of the same workload that the verdict is about; `None` for this pod.
    pub verdict_about: Option<&'a str>,
    /// Whether a replacement pod would get the expected scheduler; `None` if this is not known.
    pub is_fixed_by_recreation: Option<bool>,
    /// The demands of the pod on its node.
    pub demand: &'a PodDemand,
    /// The nodes; `None` if they could not be read.
    pub nodes: Option<&'a Nodes>,
}

/// A reason why a pod is not local.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// A volume has no healthy replica on any node.
    NoHealthyReplica(String),
    /// No node has a replica of each volume.
    NoCommonNode {
        /// Whether all counted volumes belong to Portworx, which can place them together.
        of_portworx: bool,
    },
    /// The replica on the pod's node is not healthy.
    ReplicaFailed(String),
    /// The creator of the pod chose its node.
    NodeChosen,
    /// A `DaemonSet` runs one pod on each node.
    DaemonSet,
    /// The pod belongs to a scheduling group, which has one scheduler.
    SchedulingGroup,
    /// The driver's scheduler does not recognize any of the pod's claims.
    NotRecognized,
    /// The pod has another scheduler than it should have.
    WrongScheduler {
        /// The scheduler that it has.
        actual: Arc<str>,
        /// The scheduler that it should have.
        expected: Arc<str>,
        /// The cause.
        verdict: Option<Verdict>,
        /// The pod of the same workload that has this cause; `None` for this pod.
        about: Option<Arc<str>>,
    },
    /// The pod has a scheduler that does not know where the data is, and colocate would not replace that scheduler.
    OtherScheduler(Arc<str>, Reason),
    /// colocate sets the scheduler of a driver whose volumes do not count. That scheduler cannot locate the volumes that do.
    OtherDriver {
        /// The scheduler.
        scheduler: Arc<str>,
        /// The driver of the volumes that count.
        driver: Arc<str>,
    },
    /// The driver of the volumes has no scheduler.
    NoScheduler(Arc<str>),
    /// The driver's scheduler does not recognize a claim.
    ClaimNotRecognized(String),
    /// The node selector or node affinity of the pod, or another volume, excludes every node with the replicas.
    NodesExcluded,
    /// The replicas were created after the pod was placed: they have moved, or were added later.
    ReplicaYounger(Timestamp),
    /// The nodes with the replicas cannot run the pod now.
    NodesUnavailable(Vec<(Arc<str>, Unavailable)>),
    /// None of these.
    Unexplained,
}

impl<'a> Circumstances<'a> {
    /// Creates the facts before the nodes are known, and before anything is asked about the scheduler.
    pub const fn new(drivers: &'a StorageDrivers, expectation: &'a Expectation, demand: &'a PodDemand) -> Self {
        Self {
            drivers,
            expectation,
            verdict: None,
            verdict_about: None,
            is_fixed_by_recreation: None,
            demand,
            nodes: None,
        }
    }
}

impl Circumstances<'_> {
    /// Returns the reasons why a pod is not local, the decisive one first: each reason remains even if all later ones are resolved.
    ///
    /// They describe the cluster as it is now. A node that has room now may have been full when the pod was placed.
    pub fn why_not(&self, pod: &PlacedPod<'_>) -> Vec<WhyNot> {
        let common = pod.common_nodes();
        let mut reasons = Vec::new();
        if common.is_empty() {
            let lost = pod
                .counted()
                .find(|volume| volume.replicas.as_ref().is_ok_and(|replicas| replicas.healthy().next().is_none()));
            reasons.push(match lost {
                Some(volume) => WhyNot::NoHealthyReplica(volume.label.clone()),
                None => WhyNot::NoCommonNode { of_portworx: self.is_of_portworx(pod) },
            });
        }
        let failed = pod.counted().find(|volume| {
            let here = volume.replicas.as_ref().ok().and_then(|replicas| replicas.on(&pod.node));
            here.is_some_and(|replica| !replica.healthy)
        });
        reasons.extend(failed.map(|volume| WhyNot::ReplicaFailed(volume.label.clone())));
        reasons.extend(self.scheduler(pod));
        let unrecognized = pod.counted().find(|volume| !volume.recognized);
        if !reasons.iter().any(|reason| matches!(reason, WhyNot::NotRecognized | WhyNot::DaemonSet)) {
            reasons.extend(unrecognized.map(|volume| WhyNot::ClaimNotRecognized(volume.label.clone())));
        }
        if !common.is_empty() && !self.demand.is_of_daemon_set {
            reasons.extend(self.nodes(pod, &common.into_iter().cloned().collect::<Vec<_>>()));
        }
        if reasons.is_empty() {
            reasons.push(WhyNot::Unexplained);
        }
        reasons
    }

    /// Returns true if the pod has another scheduler than it should have, and this is why it is not local.
    pub fn is_on_wrong_scheduler(&self, pod: &PlacedPod<'_>) -> bool {
        matches!(self.scheduler(pod), Some(WhyNot::WrongScheduler { .. }))
    }

    /// Returns true if the pod's scheduler, or the one that it would get if recreated, places it on a node with all of its data; `None` if
    /// it is not known whether it would get that scheduler.
    ///
    /// A scheduler can only locate the volumes of its own drivers that it recognizes, so the other volumes must have a replica on every
    /// node that it may choose.
    pub(crate) fn would_be_placed(&self, pod: &PlacedPod<'_>) -> Option<bool> {
        let Expectation { reason, scheduler, actual, .. } = self.expectation;
        // No scheduler places these.
        if matches!(reason, Reason::NodeNameSet | Reason::MirrorPod) {
            return Some(false);
        }
        let is_located = |volume: &PodVolume<'_>| volume.recognized && self.is_placed_by(volume, scheduler);
        let is_placed = pod.counted().any(is_located) && pod.common_nodes_of(is_located).is_subset(&pod.common_nodes());
        if is_placed && scheduler != actual { self.is_fixed_by_recreation } else { Some(is_placed) }
    }

    /// Returns true if a scheduler knows where a volume has its data.
    fn is_placed_by(&self, volume: &PodVolume<'_>, scheduler: &str) -> bool {
        self.drivers.with_scheduler(scheduler).any(|driver| driver.name == volume.driver)
    }

    /// Returns true if a scheduler is that of a driver whose volumes count. Another driver's scheduler does not know where they are.
    fn is_scheduler_of(&self, pod: &PlacedPod<'_>, scheduler: &str) -> bool {
        pod.counted().any(|volume| self.is_placed_by(volume, scheduler))
    }

    /// Returns true if Portworx has all volumes that count.
    fn is_of_portworx(&self, pod: &PlacedPod<'_>) -> bool {
        let is_portworx = |name: &str| {
            let driver = self.drivers.find(name);
            driver.is_some_and(|driver| driver.provisioners.iter().any(|own| is_same_driver(own, PORTWORX_IN_TREE)))
        };
        pod.counted().all(|volume| is_portworx(&volume.driver))
    }

    /// Finds the reason in the scheduler.
    fn scheduler(&self, pod: &PlacedPod<'_>) -> Option<WhyNot> {
        let Expectation { reason, scheduler, actual, .. } = self.expectation;
        if self.demand.is_of_daemon_set {
            return Some(WhyNot::DaemonSet);
        }
        if matches!(reason, Reason::NodeNameSet | Reason::MirrorPod) {
            return Some(WhyNot::NodeChosen);
        }
        // If every volume that is not on the pod's node belongs to a driver without a scheduler, no scheduler would help.
        let mut elsewhere = pod.elsewhere().peekable();
        let first = elsewhere.peek().map(|volume| volume.driver.clone());
        if elsewhere.all(|volume| self.drivers.has_no_scheduler(&volume.driver)) {
            return first.filter(|_| !pod.common_nodes().is_empty()).map(WhyNot::NoScheduler);
        }
        if self.is_scheduler_of(pod, actual) {
            return None;
        }
        // colocate's scheduler knows only volumes of the pod that do not count.
        let is_of_exempt = !self.is_scheduler_of(pod, scheduler)
            && pod.volumes.iter().any(|volume| self.is_placed_by(volume, scheduler));
        Some(match (reason, first) {
            (Reason::SchedulingGroup, _) => WhyNot::SchedulingGroup,
            (Reason::NotRecognised, _) => WhyNot::NotRecognized,
            (_, Some(driver)) if is_of_exempt => WhyNot::OtherDriver { scheduler: scheduler.clone(), driver },
            _ if scheduler == actual => WhyNot::OtherScheduler(actual.clone(), *reason),
            _ => {
                let (actual, expected) = (actual.clone(), scheduler.clone());
                WhyNot::WrongScheduler {
                    actual,
                    expected,
                    verdict: self.verdict,
                    about: self.verdict_about.map(Into::into),
                }
            }
        })
    }

    /// Finds the reasons in the nodes that have all replicas.
    fn nodes(&self, pod: &PlacedPod<'_>, common: &[Arc<str>]) -> Vec<WhyNot> {
        let mut reasons = Vec::new();
        let allowed: Vec<_> = match self.nodes {
            Some(nodes) => {
                common.iter().filter(|name| nodes.get(name).is_none_or(|node| self.demand.allows(node))).collect()
            }
            None => common.iter().collect(),
        };
        if allowed.is_empty() {
            reasons.push(WhyNot::NodesExcluded);
        }
        reasons.extend(younger(pod, common).map(WhyNot::ReplicaYounger));
        if let Some(nodes) = self.nodes.filter(|_| !allowed.is_empty()) {
            let unavailable = |name: &&Arc<str>| Some(((*name).clone(), nodes.unavailable(name, self.demand)?));
            let unavailable: Vec<_> = allowed.iter().filter_map(unavailable).collect();
            if unavailable.len() == allowed.len() {
                reasons.push(WhyNot::NodesUnavailable(unavailable));
            }
        }
        reasons
    }
}

/// Returns the earliest time at which a node had all replicas, if that is after the pod was placed. A replica of unknown age
/// may be older.
fn younger(pod: &PlacedPod<'_>, common: &[Arc<str>]) -> Option<Timestamp> {
    let created = pod.created?;
    let complete_since = |node: &Arc<str>| {
        let times = pod.counted().map(|volume| volume.replicas.as_ref().ok()?.on(node)?.created);
        times.collect::<Option<Vec<_>>>()?.into_iter().max()
    };
    let times: Option<Vec<_>> = common.iter().map(complete_since).collect();
    times?.into_iter().min().filter(|earliest| *earliest > created)
}

impl WhyNot {
    /// The word, which is stable.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoHealthyReplica(_) => "no-healthy-replica",
            Self::NoCommonNode { .. } => "no-common-node",
            Self::ReplicaFailed(_) => "replica-failed",
            Self::NodeChosen => "node-chosen",
            Self::DaemonSet => "daemon-set",
            Self::SchedulingGroup => "scheduling-group",
            Self::NotRecognized => "not-recognized",
            Self::WrongScheduler { .. } => "wrong-scheduler",
            Self::OtherScheduler(..) => "other-scheduler",
            Self::OtherDriver { .. } => "other-driver",
            Self::NoScheduler(_) => "no-scheduler",
            Self::ClaimNotRecognized(_) => "claim-not-recognized",
            Self::NodesExcluded => "nodes-excluded",
            Self::ReplicaYounger(_) => "replica-younger",
            Self::NodesUnavailable(_) => "nodes-unavailable",
            Self::Unexplained => "unexplained",
        }
    }

    /// Returns the advice, in one sentence; empty if there is nothing to do.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::NoHealthyReplica(_) | Self::ReplicaFailed(_) => "Repair the replica.",
            Self::NoCommonNode { of_portworx: true } => {
                "Place the volumes together with a VolumePlacementStrategy that has `volumeAffinity`."
            }
            Self::NoCommonNode { of_portworx: false } => "Move replicas so that one node has one of each volume.",
            Self::NodeChosen => "Remove `nodeName` from the pod.",
            Self::DaemonSet => {
                "Place a replica on each node of the DaemonSet, or use a Deployment or StatefulSet instead."
            }
            Self::SchedulingGroup => "Set the scheduler of the whole group.",
            Self::NotRecognized | Self::ClaimNotRecognized(_) => {
                "Set the field that the driver's scheduler reads: `colocate validate` names it."
            }
            Self::WrongScheduler { .. } => "Follow the advice of `colocate why`.",
            Self::OtherScheduler(..) => "Remove `schedulerName` from the pod template.",
            Self::OtherDriver { .. } => {
                "In `drivers`, move the driver of the counted volumes to the top, or mount the other volumes in another pod."
            }
            Self::NoScheduler(_) => {
                "Let the driver move a replica to the node of the pod, or restrict the pod to the nodes with replicas by a node selector."
            }
            Self::NodesExcluded => "Widen the node selector or the node affinity of the pod, or move the other volume.",
            Self::ReplicaYounger(_) => "Evict the pod, so that it is placed again.",
            Self::NodesUnavailable(_) => "Make room on one of the nodes, then evict the pod.",
            Self::Unexplained => "",
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHealthyReplica(volume) => write!(f, "{volume} has no healthy replica"),
            Self::NoCommonNode { .. } => f.write_str("no node has a replica of each volume"),
            Self::ReplicaFailed(volume) => write!(f, "the replica of {volume} on its node is not healthy"),
            Self::NodeChosen => f.write_str("its creator chose the node"),
            Self::DaemonSet => f.write_str("its DaemonSet runs a pod on each node"),
            Self::SchedulingGroup => f.write_str("it belongs to a scheduling group"),
            Self::NotRecognized => f.write_str("the driver's scheduler recognizes none of its claims"),
            Self::WrongScheduler { actual, expected, verdict, about } => {
                write!(f, "it has the scheduler {actual} instead of {expected}")?;
                match (verdict, about) {
                    (None, _) => Ok(()),
                    (Some(verdict), None) => write!(f, " ({verdict})"),
                    (Some(verdict), Some(pod)) => write!(f, " ({pod}: {verdict})"),
                }
            }
            Self::OtherScheduler(scheduler, reason) => {
                write!(
                    f,
                    "it has the scheduler {scheduler}, which does not know where its data is ({})",
                    reason.as_str()
                )
            }
            Self::OtherDriver { scheduler, driver } => {
                write!(
                    f,
                    "colocate gives it the scheduler {scheduler}, which cannot locate the volumes of driver {driver}"
                )
            }
            Self::NoScheduler(driver) => {
                write!(
                    f,
                    "driver {driver} has no scheduler: kube-scheduler only considers the node affinity of its volumes"
                )
            }
            Self::ClaimNotRecognized(volume) => write!(f, "the driver's scheduler does not recognize {volume}"),
            Self::NodesExcluded => {
                f.write_str("its node selector, node affinity or another volume excludes every node with its replicas")
            }
            Self::ReplicaYounger(time) => {
                write!(f, "the replicas were created after the pod was placed, at {time} or later")
            }
            Self::NodesUnavailable(nodes) => {
                for (index, (node, why)) in nodes.iter().enumerate() {
                    write!(f, "{}{node} {why}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Unexplained => f.write_str("the cause is not known"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
