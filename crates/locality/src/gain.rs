//! The gain of evictions: how many pods would be local if they were placed again now.

use super::node::Nodes;
use super::placed_pod::PlacedPod;
use super::why_not::Circumstances;

/// The pods that evictions would make local, one after the other.
///
/// Reserves the requests of each counted pod on the first node, by name, that has all of its replicas and can run it, so the same
/// capacity is not used twice. Constraints between pods (pod affinity, topology spread, disruption budgets) are ignored.
#[derive(Clone, Debug)]
pub struct Gain {
    nodes: Nodes,
    /// The number of pods that would be local.
    pub pods: u64,
}

/// A pod that is not local and could be evicted.
#[derive(Clone, Copy)]
pub struct EvictionCandidate<'a> {
    /// The pod.
    pub pod: &'a PlacedPod<'a>,
    /// The known facts about its scheduling.
    pub circumstances: Circumstances<'a>,
    /// Whether a controller would create it again.
    pub has_controller: bool,
}

impl Gain {
    /// Creates an empty gain with the nodes as they are.
    pub fn new(nodes: Nodes) -> Self {
        Self { nodes, pods: 0 }
    }

    /// Returns the node on which a pod would be local if it were evicted now, and counts the pod; `None` if it would not be local.
    pub fn add(&mut self, candidate: EvictionCandidate<'_>) -> Option<String> {
        let EvictionCandidate { pod, circumstances, has_controller } = candidate;
        let recognized = pod.counted().any(|volume| volume.recognized);
        if !has_controller
            || circumstances.demand.is_of_daemon_set
            || circumstances.demand.has_unknown_volume
            || !recognized
            || !circumstances.would_be_placed(pod)
        {
            return None;
        }
        let demand = circumstances.demand;
        let fits = |name: &str| {
            self.nodes.get(name).is_some_and(|node| demand.allows(node))
                && self.nodes.unavailable(name, demand).is_none()
        };
        let target = pod.common_nodes().into_iter().find(|name| fits(name))?.to_string();
        self.nodes.release(&pod.node, demand);
        self.nodes.reserve(&target, demand);
        self.pods += 1;
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use colocate_engine::Reason;
    use colocate_insight::{Expectation, Verdict};
    use serde_json::json;

    use super::*;
    use crate::why_not::tests::{expectation, pod, portworx, replicas};
    use crate::{Node, PodDemand};

    /// Two nodes with room for two pods and for one.
    fn nodes() -> Nodes {
        let mut nodes = Nodes::new(true);
        for (name, pods) in [("n1", "2"), ("n2", "1"), ("n9", "9")] {
            let node = json!({"metadata": {"name": name}, "status": {"allocatable": {"pods": pods}}});
            nodes.insert(Node::parse(&node.to_string()).unwrap());
        }
        nodes
    }

    fn demand() -> PodDemand {
        PodDemand::parse("{}").unwrap()
    }

    #[test]
    fn each_pod_takes_its_room() {
        let (drivers, demand, on) = (portworx(), demand(), replicas(&["n1", "n2"], None));
        let expectation = expectation(Reason::AlreadySet, "stork", "stork");
        let circumstances = Circumstances {
            drivers: &drivers,
            expectation: &expectation,
            verdict: None,
            would_reach_colocate: false,
            demand: &demand,
            nodes: None,
        };
        let pod = pod([&on]);
        let mut gain = Gain::new(nodes());
        let targets: Vec<_> =
            (0..4).map(|_| gain.add(EvictionCandidate { pod: &pod, circumstances, has_controller: true })).collect();
        let targets: Vec<_> = targets.iter().map(|target| target.as_deref().unwrap_or("-")).collect();
        assert_eq!((targets, gain.pods), (vec!["n1", "n1", "n2", "-"], 3));
    }

    #[test]
    fn a_pod_gains_only_if_it_would_come_back_with_the_scheduler() {
        let (drivers, demand, on) = (portworx(), demand(), replicas(&["n1"], None));
        let would_reach_colocate = Cell::new(false);
        let gains = |expectation: &Expectation, verdict: Option<Verdict>, has_controller: bool, recognized: bool| {
            let mut pod = pod([&on]);
            pod.volumes[0].recognized = recognized;
            let would_reach_colocate = would_reach_colocate.get();
            let circumstances = Circumstances {
                drivers: &drivers,
                expectation,
                verdict,
                would_reach_colocate,
                demand: &demand,
                nodes: None,
            };
            Gain::new(nodes()).add(EvictionCandidate { pod: &pod, circumstances, has_controller }).is_some()
        };
        let right = expectation(Reason::AlreadySet, "stork", "stork");
        let wrong = expectation(Reason::Injected, "default-scheduler", "stork");
        let group = expectation(Reason::SchedulingGroup, "default-scheduler", "default-scheduler");
        assert!(gains(&right, None, true, true));
        assert!(!gains(&right, None, false, true), "a bare pod does not come back");
        assert!(!gains(&right, None, true, false), "the scheduler places it by chance");
        assert!(gains(&wrong, Some(Verdict::BeforeColocate), true, true));
        assert!(!gains(&wrong, Some(Verdict::NotSent), true, true));
        assert!(!gains(&wrong, None, true, true), "the cause is not known");
        assert!(!gains(&group, None, true, true));
        would_reach_colocate.set(true);
        assert!(gains(&wrong, None, true, true), "colocate would decide about it");
        assert!(!gains(&wrong, Some(Verdict::SetByAnother), true, true), "the cause is known");
        assert!(!gains(&group, None, true, true));
    }
}
