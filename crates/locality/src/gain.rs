//! The gain of evictions: how many pods would be local if they were placed again now.

use super::node::Nodes;
use super::placed_pod::PlacedPod;
use super::why_not::Circumstances;

/// The pods that evictions would make local, one after the other.
///
/// Reserves the requests of each counted pod on the first node, by name, that has all of its replicas and can run it, so the same
/// capacity is not used twice. Constraints between pods (pod affinity, topology spread, host ports, disruption budgets) and the limits
/// of CSI drivers are ignored.
#[derive(Clone, Debug)]
pub struct Gain {
    nodes: Nodes,
    /// The pods that were counted.
    pub count: GainCount,
}

/// The number of pods that evictions would make local.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GainCount {
    /// The pods that would be local.
    pub pods: u64,
    /// The other pods that might be local: it is not known whether their replacements would get the driver's scheduler. Only what the
    /// pods above leave free is available to them.
    pub unknown: u64,
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
        Self { nodes, count: GainCount::default() }
    }

    /// Counts pods, and returns the node of each on which it would be local if it were evicted now; `None` if it would not be local, or
    /// if that is not known.
    pub fn add(&mut self, candidates: &[EvictionCandidate<'_>]) -> Vec<Option<String>> {
        let mut targets = vec![None; candidates.len()];
        // The pods that would be local take their room before those that might be.
        for is_certain in [true, false] {
            for (candidate, target) in candidates.iter().zip(&mut targets) {
                let would_be_placed = candidate.circumstances.would_be_placed(candidate.pod);
                if would_be_placed.is_some() != is_certain {
                    continue;
                }
                let Some(node) = self.target(candidate) else { continue };
                self.nodes.release(&candidate.pod.node, candidate.circumstances.demand);
                self.nodes.reserve(&node, candidate.circumstances.demand);
                if is_certain {
                    self.count.pods += 1;
                    *target = Some(node);
                } else {
                    self.count.unknown += 1;
                }
            }
        }
        targets
    }

    /// Returns the node on which a pod would or might be local if it were evicted now.
    pub fn target(&self, candidate: &EvictionCandidate<'_>) -> Option<String> {
        let EvictionCandidate { pod, circumstances, has_controller } = candidate;
        let demand = circumstances.demand;
        if !has_controller
            || demand.is_of_daemon_set
            || demand.has_unknown_volume
            || circumstances.would_be_placed(pod) == Some(false)
        {
            return None;
        }
        let fits = |name: &str| {
            self.nodes.get(name).is_some_and(|node| demand.allows(node))
                && self.nodes.unavailable(name, demand).is_none()
        };
        pod.common_nodes().into_iter().find(|name| fits(name)).map(ToString::to_string)
    }
}

#[cfg(test)]
mod tests {
    use colocate_engine::Reason;
    use colocate_insight::Expectation;
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
        let circumstances = Circumstances::new(&drivers, &expectation, &demand);
        let pod = pod([&on]);
        let mut gain = Gain::new(nodes());
        let targets = gain.add(&[EvictionCandidate { pod: &pod, circumstances, has_controller: true }; 4]);
        let targets: Vec<_> = targets.iter().map(|target| target.as_deref().unwrap_or("-")).collect();
        assert_eq!((targets, gain.count), (vec!["n1", "n1", "n2", "-"], GainCount { pods: 3, unknown: 0 }));
    }

    #[test]
    fn a_pod_gains_only_if_it_would_come_back_with_the_scheduler() {
        let (drivers, demand, on) = (portworx(), demand(), replicas(&["n1"], None));
        let gains = |expectation: &Expectation, is_fixed: Option<bool>, has_controller: bool, recognized: bool| {
            let mut pod = pod([&on]);
            pod.volumes[0].recognized = recognized;
            let circumstances = Circumstances {
                is_fixed_by_recreation: is_fixed,
                ..Circumstances::new(&drivers, expectation, &demand)
            };
            let mut gain = Gain::new(nodes());
            gain.add(&[EvictionCandidate { pod: &pod, circumstances, has_controller }]);
            (gain.count.pods, gain.count.unknown)
        };
        let right = expectation(Reason::AlreadySet, "stork", "stork");
        let wrong = expectation(Reason::Injected, "default-scheduler", "stork");
        let group = expectation(Reason::SchedulingGroup, "default-scheduler", "default-scheduler");
        let placed = expectation(Reason::NodeNameSet, "stork", "stork");
        assert_eq!(gains(&right, None, true, true), (1, 0));
        assert_eq!(gains(&right, None, false, true), (0, 0), "a bare pod does not come back");
        assert_eq!(gains(&right, None, true, false), (0, 0), "the scheduler places it by chance");
        assert_eq!(gains(&wrong, Some(true), true, true), (1, 0));
        assert_eq!(gains(&wrong, Some(false), true, true), (0, 0));
        assert_eq!(gains(&wrong, None, true, true), (0, 1));
        assert_eq!(gains(&wrong, None, false, true), (0, 0));
        assert_eq!(gains(&wrong, None, true, false), (0, 0));
        assert_eq!(gains(&group, None, true, true), (0, 0));
        assert_eq!(gains(&group, Some(true), true, true), (0, 0));
        assert_eq!(gains(&placed, None, true, true), (0, 0), "its creator chooses the node");
    }

    #[test]
    fn an_unknown_gain_uses_only_what_is_left() {
        let (drivers, demand, on) = (portworx(), demand(), replicas(&["n1"], None));
        let wrong = expectation(Reason::Injected, "default-scheduler", "stork");
        let pod = pod([&on]);
        let candidates = [None, None, Some(true)].map(|is_fixed_by_recreation| {
            let circumstances =
                Circumstances { is_fixed_by_recreation, ..Circumstances::new(&drivers, &wrong, &demand) };
            EvictionCandidate { pod: &pod, circumstances, has_controller: true }
        });
        let mut gain = Gain::new(nodes());
        // n1 has room for two pods.
        assert_eq!(gain.add(&candidates), [None, None, Some("n1".to_owned())]);
        assert_eq!(gain.count, GainCount { pods: 1, unknown: 1 });
    }
}
