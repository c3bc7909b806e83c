//! A running pod with the replicas of its volumes.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::exemption::Exemption;
use super::gap::Gap;
use super::locality::Locality;
use super::replicas::Replicas;

/// A pod on its node, with its volumes that belong to a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedPod<'a> {
    /// The node.
    pub node: Box<str>,
    /// The time at which the pod was placed, or its creation if that is not known. The first replicas of a volume may be created
    /// after the pod that waits for them.
    pub created: Option<Timestamp>,
    /// The reason why the whole pod may be anywhere.
    pub exemption: Option<Exemption>,
    /// The volumes.
    pub volumes: Vec<PodVolume<'a>>,
}

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodVolume<'a> {
    /// The description, as in ``claim `data` ``.
    pub label: String,
    /// The name of the driver.
    pub driver: Arc<str>,
    /// The reason why the volume does not count, if any; or why it is not known whether it does.
    pub exemption: Result<Option<Exemption>, Gap>,
    /// The replicas, or the reason why they are not known.
    pub replicas: Result<&'a Replicas, Gap>,
    /// Whether the driver's scheduler recognizes the volume.
    pub recognized: bool,
}

impl<'a> PlacedPod<'a> {
    /// Compares the node with those of the replicas. A fact that is missing makes the locality unknown; it never makes it wrong.
    ///
    /// Returns `None` for a pod without volumes of a driver.
    pub fn locality(&self) -> Option<Locality> {
        let first = self.volumes.first()?;
        if let Some(exemption) = self.exemption {
            return Some(Locality::MeantToBeRemote(exemption));
        }
        let (mut local, mut remote) = (false, false);
        for volume in &self.volumes {
            match volume.is_on(&self.node) {
                Ok(Some(true)) => local = true,
                Ok(Some(false)) => remote = true,
                Ok(None) => {}
                Err(gap) => return Some(Locality::Unknown(gap)),
            }
        }
        Some(match (local, remote) {
            (true, false) => Locality::Local,
            (true, true) => Locality::Partly,
            (false, true) => Locality::Remote,
            // No volume counts, so each has an exemption.
            (false, false) => Locality::MeantToBeRemote(first.exemption.clone().ok()??),
        })
    }

    /// The volumes that count.
    pub fn counted(&self) -> impl Iterator<Item = &PodVolume<'a>> {
        self.volumes.iter().filter(|volume| volume.exemption == Ok(None))
    }

    /// Returns how many of the pod's volumes the extender of a driver scores by replica; `None` if its scores cannot be mapped to
    /// replicas. Stork does not score volumes that it does not recognize, and it scores shared volumes on nodes without a replica.
    pub fn scored(&self, driver: &str) -> Option<u32> {
        let mut scored = 0;
        for volume in self.volumes.iter().filter(|volume| *volume.driver == *driver) {
            match volume.exemption {
                Ok(None) if volume.recognized => scored += 1,
                Ok(Some(Exemption::NotScored | Exemption::External | Exemption::Windows)) => {}
                _ => return None,
            }
        }
        Some(scored)
    }

    /// The nodes with a healthy replica of each volume that counts.
    pub fn common_nodes(&self) -> BTreeSet<&'a Arc<str>> {
        self.common_nodes_of(|_| true)
    }

    /// The nodes with a healthy replica of every counted volume that `filter` accepts.
    pub(crate) fn common_nodes_of(&self, filter: impl Fn(&PodVolume<'a>) -> bool) -> BTreeSet<&'a Arc<str>> {
        let healthy = |volume: &PodVolume<'a>| match &volume.replicas {
            Ok(replicas) => replicas.healthy().collect(),
            Err(_) => BTreeSet::new(),
        };
        self.counted()
            .filter(|volume| filter(volume))
            .map(healthy)
            .reduce(|common, other| &common & &other)
            .unwrap_or_default()
    }

    /// The volumes that count and have no healthy replica on the pod's node.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = &PodVolume<'a>> {
        self.volumes.iter().filter(|volume| volume.is_on(&self.node) == Ok(Some(false)))
    }

    /// The nodes with a healthy replica of at least one volume that counts.
    pub fn replica_nodes(&self) -> BTreeSet<&'a Arc<str>> {
        self.counted()
            .filter_map(|volume| volume.replicas.as_ref().ok())
            .flat_map(|replicas| replicas.healthy())
            .collect()
    }
}

impl PodVolume<'_> {
    /// Returns whether a node has a healthy replica; `None` if the volume does not count.
    fn is_on(&self, node: &str) -> Result<Option<bool>, Gap> {
        if self.exemption.clone()?.is_some() {
            return Ok(None);
        }
        self.replicas.clone()?.is_on(node).map(Some).map_err(Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Replica;

    fn on(nodes: &[&str]) -> Replicas {
        let mut replicas = Replicas::default();
        for node in nodes {
            // `!` marks a replica that is not healthy.
            let (node, healthy) = node.strip_suffix('!').map_or((*node, true), |node| (node, false));
            replicas.add(node.into(), Replica { healthy, created: None });
        }
        replicas
    }

    type Case<'a> = (Result<Option<Exemption>, Gap>, Result<&'a Replicas, Gap>);

    fn pod<'a>(volumes: &[Case<'a>]) -> PlacedPod<'a> {
        let volume = |(exemption, replicas): &Case<'a>| PodVolume {
            label: "claim `data`".to_owned(),
            driver: "px".into(),
            exemption: exemption.clone(),
            replicas: replicas.clone(),
            recognized: true,
        };
        PlacedPod { node: "n1".into(), created: None, exemption: None, volumes: volumes.iter().map(volume).collect() }
    }

    #[test]
    fn each_volume_that_counts_must_have_a_replica_on_the_node() {
        let (here, there, failed, none) = (on(&["n1", "n2"]), on(&["n2", "n3"]), on(&["n1!", "n2"]), on(&[]));
        let shared = Ok(Some(Exemption::SharedService));
        let remote = Locality::MeantToBeRemote(Exemption::SharedService);
        for (volumes, expected) in [
            (vec![], None),
            (vec![(Ok(None), Ok(&here))], Some(Locality::Local)),
            (vec![(Ok(None), Ok(&there))], Some(Locality::Remote)),
            (vec![(Ok(None), Ok(&failed))], Some(Locality::Remote)),
            (vec![(Ok(None), Ok(&none))], Some(Locality::Remote)),
            (vec![(Ok(None), Ok(&here)), (Ok(None), Ok(&here))], Some(Locality::Local)),
            (vec![(Ok(None), Ok(&here)), (Ok(None), Ok(&there))], Some(Locality::Partly)),
            (vec![(shared.clone(), Ok(&there)), (Ok(None), Ok(&here))], Some(Locality::Local)),
            (vec![(shared.clone(), Ok(&here)), (Ok(None), Ok(&there))], Some(Locality::Remote)),
            (vec![(shared.clone(), Err(Gap::NotListed))], Some(remote.clone())),
            (vec![(shared, Ok(&here))], Some(remote)),
            (vec![(Ok(None), Ok(&here)), (Ok(None), Err(Gap::NotListed))], Some(Locality::Unknown(Gap::NotListed))),
            (vec![(Err(Gap::Class), Ok(&here))], Some(Locality::Unknown(Gap::Class))),
        ] {
            assert_eq!(pod(&volumes).locality(), expected, "{volumes:?}");
        }
        let opted_out = PlacedPod { exemption: Some(Exemption::OptedOut), ..pod(&[(Ok(None), Err(Gap::NoSource))]) };
        assert_eq!(opted_out.locality(), Some(Locality::MeantToBeRemote(Exemption::OptedOut)));
    }

    #[test]
    fn the_extender_scores_volumes_that_it_recognizes() {
        let on = on(&["n1"]);
        let scored = |exemptions: &[Option<Exemption>], recognized: bool| {
            let volumes: Vec<_> = exemptions.iter().map(|exemption| (Ok(*exemption), Ok(&on))).collect();
            let mut pod = pod(&volumes);
            pod.volumes[0].recognized = recognized;
            pod.scored("px")
        };
        assert_eq!(scored(&[None, None], true), Some(2));
        assert_eq!(scored(&[None, Some(Exemption::NotScored), Some(Exemption::External)], true), Some(1));
        assert_eq!(scored(&[None, Some(Exemption::SharedService)], true), None);
        assert_eq!(scored(&[None, None], false), None);
        assert_eq!(pod(&[(Err(Gap::Class), Ok(&on))]).scored("px"), None);
        assert_eq!(pod(&[(Ok(None), Ok(&on))]).scored("other"), Some(0));
    }

    #[test]
    fn common_nodes_have_a_replica_of_each_volume_that_counts() {
        let (one, two, failed) = (on(&["n1", "n2"]), on(&["n2", "n3"]), on(&["n1", "n2!"]));
        let common =
            |volumes: &[Case<'_>]| pod(volumes).common_nodes().into_iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(common(&[(Ok(None), Ok(&one)), (Ok(None), Ok(&two))]), ["n2"]);
        assert_eq!(common(&[(Ok(None), Ok(&one)), (Ok(Some(Exemption::External)), Ok(&two))]), ["n1", "n2"]);
        assert_eq!(common(&[(Ok(None), Ok(&two)), (Ok(None), Ok(&failed))]), Vec::<String>::new());
    }
}
