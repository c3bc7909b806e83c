//! The reasons why a pod is not where its data is.

use std::fmt;
use std::sync::Arc;

use colocate_engine::{Drivers, Reason};
use colocate_insight::{Expectation, Verdict};
use jiff::Timestamp;

use super::node::{Nodes, Unavailable};
use super::placed_pod::PlacedPod;
use super::pod_demand::PodDemand;

/// The known facts about the scheduling of a pod.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The drivers of the configuration.
    pub drivers: &'a Drivers,
    /// The scheduler that the pod should have.
    pub expectation: &'a Expectation,
    /// Why it has another one; `None` if this was not asked.
    pub verdict: Option<Verdict>,
    /// Whether a replacement pod would be sent to colocate, with a webhook registered and mode `inject`.
    pub would_reach_colocate: bool,
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
    NoCommonNode,
    /// The replica on the pod's node is not healthy.
    ReplicaFailed(String),
    /// The creator of the pod chose its node.
    NodeChosen,
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
    },
    /// The pod has a scheduler that does not know where the data is, and colocate would not replace that scheduler.
    OtherScheduler(Arc<str>, Reason),
    /// The driver's scheduler does not recognize a claim.
    ClaimNotRecognized(String),
    /// The node selector or node affinity of the pod excludes every node with the replicas.
    NodesExcluded,
    /// The replicas were created after the pod: they have moved, or were added later.
    ReplicaYounger(Timestamp),
    /// The nodes with the replicas cannot run the pod now.
    NodesUnavailable(Vec<(Arc<str>, Unavailable)>),
    /// None of these.
    Unexplained,
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
                None => WhyNot::NoCommonNode,
            });
        }
        let failed = pod.counted().find(|volume| {
            let here = volume.replicas.as_ref().ok().and_then(|replicas| replicas.on(&pod.node));
            here.is_some_and(|replica| !replica.healthy)
        });
        reasons.extend(failed.map(|volume| WhyNot::ReplicaFailed(volume.label.clone())));
        reasons.extend(self.scheduler(pod));
        let unrecognized = pod.counted().find(|volume| !volume.recognized);
        if self.expectation.reason != Reason::NotRecognised {
            reasons.extend(unrecognized.map(|volume| WhyNot::ClaimNotRecognized(volume.label.clone())));
        }
        if !common.is_empty() {
            reasons.extend(self.nodes(pod, &common.into_iter().cloned().collect::<Vec<_>>()));
        }
        if reasons.is_empty() {
            reasons.push(WhyNot::Unexplained);
        }
        reasons
    }

    /// Returns true if the pod has, or would have if it were created again, the scheduler of a driver whose volumes count.
    pub(crate) fn would_have_scheduler(&self, pod: &PlacedPod<'_>) -> bool {
        let Expectation { scheduler, actual, .. } = self.expectation;
        let is_fixed =
            scheduler == actual || self.verdict.map_or(self.would_reach_colocate, Verdict::is_fixed_by_recreation);
        is_fixed && self.is_scheduler_of(pod, scheduler)
    }

    /// Returns true if a scheduler is that of a driver whose volumes count. Another driver's scheduler does not know where they are.
    fn is_scheduler_of(&self, pod: &PlacedPod<'_>, scheduler: &str) -> bool {
        let mut own = self.drivers.0.iter().filter(|driver| *driver.scheduler == *scheduler);
        own.any(|driver| pod.counted().any(|volume| volume.driver == driver.name))
    }

    /// Finds the reason in the scheduler.
    fn scheduler(&self, pod: &PlacedPod<'_>) -> Option<WhyNot> {
        let Expectation { reason, scheduler, actual, .. } = self.expectation;
        if self.is_scheduler_of(pod, actual) {
            return None;
        }
        Some(match reason {
            Reason::SchedulingGroup => WhyNot::SchedulingGroup,
            Reason::NodeNameSet | Reason::MirrorPod => WhyNot::NodeChosen,
            Reason::NotRecognised => WhyNot::NotRecognized,
            _ if scheduler == actual => WhyNot::OtherScheduler(actual.clone(), *reason),
            _ => {
                let (actual, expected) = (actual.clone(), scheduler.clone());
                WhyNot::WrongScheduler { actual, expected, verdict: self.verdict }
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

/// Returns the earliest time at which a node had all replicas, if that is after the creation of the pod. A replica of unknown age
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
            Self::NoCommonNode => "no-common-node",
            Self::ReplicaFailed(_) => "replica-failed",
            Self::NodeChosen => "node-chosen",
            Self::SchedulingGroup => "scheduling-group",
            Self::NotRecognized => "not-recognized",
            Self::WrongScheduler { .. } => "wrong-scheduler",
            Self::OtherScheduler(..) => "other-scheduler",
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
            Self::NoCommonNode => {
                "Place the volumes together with a VolumePlacementStrategy that has `volumeAffinity`."
            }
            Self::NodeChosen => "Remove `nodeName` from the pod.",
            Self::SchedulingGroup => "Set the scheduler of the whole group.",
            Self::NotRecognized | Self::ClaimNotRecognized(_) => {
                "Set the field that the driver's scheduler reads: `colocate validate` names it."
            }
            Self::WrongScheduler { .. } => "Follow the advice of `colocate why`.",
            Self::OtherScheduler(..) => "Remove `schedulerName` from the pod template.",
            Self::NodesExcluded => "Widen the node selector or the node affinity of the pod.",
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
            Self::NoCommonNode => f.write_str("no node has a replica of each volume"),
            Self::ReplicaFailed(volume) => write!(f, "the replica of {volume} on its node is not healthy"),
            Self::NodeChosen => f.write_str("its creator chose the node"),
            Self::SchedulingGroup => f.write_str("it belongs to a scheduling group"),
            Self::NotRecognized => f.write_str("the driver's scheduler recognizes none of its claims"),
            Self::WrongScheduler { actual, expected, verdict } => {
                write!(f, "it has the scheduler {actual} instead of {expected}")?;
                verdict.map_or(Ok(()), |verdict| write!(f, " ({verdict})"))
            }
            Self::OtherScheduler(scheduler, reason) => {
                write!(
                    f,
                    "it has the scheduler {scheduler}, which does not know where its data is ({})",
                    reason.as_str()
                )
            }
            Self::ClaimNotRecognized(volume) => write!(f, "the driver's scheduler does not recognize {volume}"),
            Self::NodesExcluded => {
                f.write_str("its node selector or node affinity excludes every node with its replicas")
            }
            Self::ReplicaYounger(time) => write!(f, "the replicas were created after the pod, at {time} or later"),
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
pub(crate) mod tests {
    use colocate_engine::Driver;
    use serde_json::json;

    use super::*;
    use crate::{Exemption, Node, PodVolume, Replica, Replicas};

    pub(crate) fn expectation(reason: Reason, actual: &str, scheduler: &str) -> Expectation {
        let (actual, scheduler) = (actual.into(), scheduler.into());
        Expectation { reason, scheduler, actual, warnings: Vec::new(), claims: Vec::new(), unknown_fact: None }
    }

    pub(crate) fn replicas(nodes: &[&str], created: Option<&str>) -> Replicas {
        let created = created.map(|time| time.parse().unwrap());
        let mut replicas = Replicas::default();
        for node in nodes {
            let (node, healthy) = node.strip_suffix('!').map_or((*node, true), |node| (node, false));
            replicas.add(node.into(), Replica { healthy, created });
        }
        replicas
    }

    pub(crate) fn pod<'a>(volumes: impl IntoIterator<Item = &'a Replicas>) -> PlacedPod<'a> {
        let volume = |(index, replicas)| PodVolume {
            label: format!("claim `c{index}`"),
            driver: "portworx".into(),
            exemption: Ok(None),
            replicas: Ok(replicas),
            recognized: true,
        };
        let volumes = volumes.into_iter().enumerate().map(volume).collect();
        PlacedPod { node: "n9".into(), created: "2026-11-30T00:00:00Z".parse().ok(), exemption: None, volumes }
    }

    pub(crate) fn nodes(names: &[&str]) -> Nodes {
        let mut nodes = Nodes::default();
        for name in names {
            let (name, unschedulable) = name.strip_suffix('!').map_or((*name, false), |name| (name, true));
            nodes.insert(Node { name: name.into(), unschedulable, ..Node::default() });
        }
        nodes
    }

    fn words(circumstances: &Circumstances<'_>, pod: &PlacedPod<'_>) -> Vec<&'static str> {
        circumstances.why_not(pod).iter().map(WhyNot::as_str).collect()
    }

    #[test]
    fn the_scheduler_explains_a_pod_that_is_not_local() {
        let (drivers, demand, nodes) = (Drivers::default(), PodDemand::default(), nodes(&["n1"]));
        let on = replicas(&["n1"], None);
        for (reason, actual, scheduler, verdict, expected) in [
            (Reason::Injected, "default-scheduler", "stork", Some(Verdict::ClaimYounger), "wrong-scheduler"),
            (Reason::SchedulingGroup, "default-scheduler", "default-scheduler", None, "scheduling-group"),
            (Reason::NodeNameSet, "default-scheduler", "default-scheduler", None, "node-chosen"),
            (Reason::NotRecognised, "default-scheduler", "default-scheduler", None, "not-recognized"),
            (Reason::OtherScheduler, "mine", "mine", None, "other-scheduler"),
            (Reason::AlreadySet, "stork", "stork", None, "unexplained"),
        ] {
            let expectation = expectation(reason, actual, scheduler);
            let circumstances = Circumstances {
                drivers: &drivers,
                expectation: &expectation,
                verdict,
                would_reach_colocate: false,
                demand: &demand,
                nodes: Some(&nodes),
            };
            assert_eq!(words(&circumstances, &pod([&on])), [expected]);
        }
        let why = WhyNot::WrongScheduler {
            actual: "default-scheduler".into(),
            expected: "stork".into(),
            verdict: Some(Verdict::ClaimYounger),
        };
        assert_eq!(why.to_string(), "it has the scheduler default-scheduler instead of stork (claim-younger)");
    }

    #[test]
    fn the_scheduler_of_another_driver_is_not_the_right_one() {
        let longhorn = Driver {
            name: "longhorn".into(),
            provisioners: vec!["driver.longhorn.io".into()],
            scheduler: "longhorn-scheduler".into(),
            ..Driver::portworx()
        };
        let (drivers, demand) = (Drivers(vec![Driver::portworx(), longhorn]), PodDemand::default());
        let on = replicas(&["n1"], None);
        for (driver, scheduler, is_right) in [
            ("portworx", "stork", true),
            ("longhorn", "longhorn-scheduler", true),
            ("longhorn", "stork", false),
            ("portworx", "longhorn-scheduler", false),
        ] {
            let expectation = expectation(Reason::AlreadySet, scheduler, scheduler);
            let circumstances = Circumstances {
                drivers: &drivers,
                expectation: &expectation,
                verdict: None,
                would_reach_colocate: false,
                demand: &demand,
                nodes: None,
            };
            let mut pod = pod([&on]);
            pod.volumes[0].driver = driver.into();
            let expected = if is_right { "unexplained" } else { "other-scheduler" };
            assert_eq!(words(&circumstances, &pod), [expected], "{driver} {scheduler}");
            assert_eq!(circumstances.would_have_scheduler(&pod), is_right, "{driver} {scheduler}");
            // A volume that does not count has no say.
            pod.volumes.push(pod.volumes[0].clone());
            pod.volumes[1].driver = if driver == "portworx" { "longhorn" } else { "portworx" }.into();
            pod.volumes[1].exemption = Ok(Some(Exemption::External));
            assert_eq!(words(&circumstances, &pod), [expected], "{driver} {scheduler}");
        }
    }

    #[test]
    fn the_replicas_and_nodes_explain_a_pod_with_the_right_scheduler() {
        let drivers = Drivers::default();
        let expectation = expectation(Reason::AlreadySet, "stork", "stork");
        let picky = json!({"spec": {"nodeSelector": {"disk": "ssd"}}}).to_string();
        let (demand, picky) = (PodDemand::default(), PodDemand::parse(&picky).unwrap());
        let all = nodes(&["n1", "n2", "n3", "n9"]);
        let cordoned = nodes(&["n1!", "n2!", "n9"]);
        let why = |replicas: &[Replicas], demand: &PodDemand, nodes: &Nodes| {
            let nodes = Some(nodes);
            let circumstances = Circumstances {
                drivers: &drivers,
                expectation: &expectation,
                verdict: None,
                would_reach_colocate: false,
                demand,
                nodes,
            };
            words(&circumstances, &pod(replicas))
        };
        let (old, new) = (Some("2026-01-01T00:00:00Z"), Some("2026-11-30T01:00:00Z"));
        let on = |nodes: &[&str]| replicas(nodes, None);
        assert_eq!(why(&[on(&["n1"]), on(&["n2"])], &demand, &all), ["no-common-node"]);
        assert_eq!(why(&[on(&["n1"]), on(&["n2!"])], &demand, &all), ["no-healthy-replica"]);
        assert_eq!(why(&[on(&["n9!", "n1"])], &demand, &all), ["replica-failed"]);
        assert_eq!(why(&[on(&["n9!"])], &demand, &all), ["no-healthy-replica", "replica-failed"]);
        assert_eq!(why(&[on(&["n1", "n2"])], &picky, &all), ["nodes-excluded"]);
        assert_eq!(why(&[on(&["n1", "n2"])], &demand, &cordoned), ["nodes-unavailable"]);
        assert_eq!(why(&[on(&["n1", "n9x"])], &demand, &cordoned), ["nodes-unavailable"]);
        assert_eq!(why(&[on(&["n1", "n3"])], &demand, &all), ["unexplained"]);
        assert_eq!(why(&[replicas(&["n1", "n2"], new)], &demand, &all), ["replica-younger"]);
        assert_eq!(why(&[replicas(&["n1"], new), replicas(&["n1"], old)], &demand, &all), ["replica-younger"]);
        assert_eq!(why(&[replicas(&["n1"], old)], &demand, &all), ["unexplained"]);
        assert_eq!(why(&[replicas(&["n1"], new)], &demand, &cordoned), ["replica-younger", "nodes-unavailable"]);
    }

    #[test]
    fn a_claim_that_is_not_recognized_is_named() {
        let (drivers, demand) = (Drivers::default(), PodDemand::default());
        let expectation = expectation(Reason::AlreadySet, "stork", "stork");
        let on = replicas(&["n1"], None);
        let mut pod = pod([&on]);
        pod.volumes[0].recognized = false;
        let circumstances = Circumstances {
            drivers: &drivers,
            expectation: &expectation,
            verdict: None,
            would_reach_colocate: false,
            demand: &demand,
            nodes: None,
        };
        let why: Vec<_> = circumstances.why_not(&pod).iter().map(ToString::to_string).collect();
        assert_eq!(why, ["the driver's scheduler does not recognize claim `c0`"]);
    }
}
