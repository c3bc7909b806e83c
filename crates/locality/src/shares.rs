//! Pods counted by their locality, in total and by namespace, workload, driver and node.

use std::collections::BTreeMap;

use super::locality::Locality;

/// The largest number of entries of each kind. At 200 bytes each, they take 2 MB.
const MAX_ENTRIES: usize = 10_000;

/// Numbers of pods by their locality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pods whose volumes all have a replica on their node.
    pub local: u64,
    /// Pods of which some volumes have one.
    pub partly: u64,
    /// Pods of which no volume has one.
    pub remote: u64,
    /// Pods that need not be local.
    pub meant_to_be_remote: u64,
    /// Pods about which a fact is missing.
    pub unknown: u64,
}

/// Pods, counted. Its memory is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// All pods.
    pub total: Counts,
    /// The pods by namespace.
    pub namespaces: BTreeMap<Box<str>, Counts>,
    /// The pods by workload.
    pub workloads: BTreeMap<WorkloadKey, Counts>,
    /// The pods by the driver whose scheduler should place them.
    pub drivers: BTreeMap<Box<str>, Counts>,
    /// The pods by node.
    pub nodes: BTreeMap<Box<str>, Counts>,
    /// The reasons why pods are unknown or not local, by their word: the decisive one of each pod.
    pub reasons: BTreeMap<&'static str, u64>,
    /// The pods that are only in the total, because a map is full.
    pub more: Uncounted,
}

/// The numbers of pods that each map of [`Shares`] lacks, because it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncounted {
    /// The pods that are not counted by namespace.
    pub namespaces: u64,
    /// The pods that are not counted by workload.
    pub workloads: u64,
    /// The pods that are not counted by driver.
    pub drivers: u64,
    /// The pods that are not counted by node.
    pub nodes: u64,
}

/// A workload, or a pod without a controller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadKey {
    /// The namespace.
    pub namespace: Box<str>,
    /// The kind.
    pub kind: Box<str>,
    /// The name.
    pub name: Box<str>,
}

/// A pod to count.
#[derive(Clone, Copy, Debug)]
pub struct PodKey<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The kind and the name of its topmost known controller; those of the pod itself if it has none.
    pub workload: (&'a str, &'a str),
    /// The driver whose scheduler should place it: that of the highest rank among its volumes.
    pub driver: &'a str,
    /// Its node.
    pub node: &'a str,
}

impl Shares {
    /// Counts a pod. `reason` is the word of the decisive reason if the pod is not local.
    pub fn add(&mut self, pod: PodKey<'_>, locality: &Locality, reason: Option<&'static str>) {
        let PodKey { namespace, workload: (kind, name), driver, node } = pod;
        let key = WorkloadKey { namespace: namespace.into(), kind: kind.into(), name: name.into() };
        self.total.add(locality);
        count(&mut self.namespaces, namespace.into(), locality, &mut self.more.namespaces);
        count(&mut self.workloads, key, locality, &mut self.more.workloads);
        count(&mut self.drivers, driver.into(), locality, &mut self.more.drivers);
        count(&mut self.nodes, node.into(), locality, &mut self.more.nodes);
        let gap = match locality {
            Locality::Unknown(gap) => Some(gap.as_str()),
            _ => None,
        };
        if let Some(reason) = gap.or_else(|| reason.filter(|_| locality.is_failure())) {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }
}

impl Counts {
    /// Returns the percentage of local pods among those that are local, partly local or remote; `None` if there are none.
    #[allow(clippy::cast_precision_loss, reason = "a cluster has fewer than 2^52 pods")]
    pub fn percent_local(&self) -> Option<f64> {
        let known = self.local + self.partly + self.remote;
        (known > 0).then(|| 100.0 * self.local as f64 / known as f64)
    }

    /// The number of pods.
    pub const fn all(&self) -> u64 {
        self.local + self.partly + self.remote + self.meant_to_be_remote + self.unknown
    }

    fn add(&mut self, locality: &Locality) {
        let count = match locality {
            Locality::Local => &mut self.local,
            Locality::Partly => &mut self.partly,
            Locality::Remote => &mut self.remote,
            Locality::MeantToBeRemote(_) => &mut self.meant_to_be_remote,
            Locality::Unknown(_) => &mut self.unknown,
        };
        *count += 1;
    }
}

/// Counts a pod in a map, or in `more` if the map is full.
fn count<K: Ord>(map: &mut BTreeMap<K, Counts>, key: K, locality: &Locality, more: &mut u64) {
    if map.len() >= MAX_ENTRIES && !map.contains_key(&key) {
        *more += 1;
    } else {
        map.entry(key).or_default().add(locality);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exemption, Gap};

    fn key<'a>(namespace: &'a str, name: &'a str, driver: &'a str, node: &'a str) -> PodKey<'a> {
        PodKey { namespace, workload: ("StatefulSet", name), driver, node }
    }

    #[test]
    fn pods_are_counted_in_each_map() {
        let mut shares = Shares::default();
        shares.add(key("db", "mysql", "portworx", "n1"), &Locality::Local, None);
        shares.add(key("db", "mysql", "portworx", "n2"), &Locality::Remote, Some("wrong-scheduler"));
        shares.add(key("db", "etcd", "linstor", "n2"), &Locality::Partly, Some("no-common-node"));
        shares.add(key("web", "nfs", "portworx", "n2"), &Locality::MeantToBeRemote(Exemption::SharedService), None);
        shares.add(key("web", "x", "other", "n3"), &Locality::Unknown(Gap::NoSource), None);

        let counts = |local, partly, remote, meant_to_be_remote, unknown| Counts {
            local,
            partly,
            remote,
            meant_to_be_remote,
            unknown,
        };
        assert_eq!((shares.total, shares.total.all()), (counts(1, 1, 1, 1, 1), 5));
        assert_eq!((shares.namespaces["db"], shares.namespaces["web"]), (counts(1, 1, 1, 0, 0), counts(0, 0, 0, 1, 1)));
        assert_eq!(
            (shares.drivers["portworx"], shares.drivers["linstor"]),
            (counts(1, 0, 1, 1, 0), counts(0, 1, 0, 0, 0))
        );
        assert_eq!((shares.nodes["n1"], shares.nodes["n2"]), (counts(1, 0, 0, 0, 0), counts(0, 1, 1, 1, 0)));
        let names: Vec<_> = shares.workloads.keys().map(|key| &*key.name).collect();
        assert_eq!(names, ["etcd", "mysql", "nfs", "x"]);
        let reasons: Vec<_> = shares.reasons.into_iter().collect();
        assert_eq!(reasons, [("no-common-node", 1), ("no-source", 1), ("wrong-scheduler", 1)]);
    }

    #[test]
    fn the_percentage_leaves_out_what_is_not_known_or_not_meant() {
        let percent = |local, partly, remote, meant_to_be_remote, unknown| {
            Counts { local, partly, remote, meant_to_be_remote, unknown }.percent_local()
        };
        assert_eq!(percent(3, 1, 0, 7, 9), Some(75.0));
        assert_eq!(percent(1, 0, 0, 0, 0), Some(100.0));
        assert_eq!(percent(0, 0, 2, 0, 0), Some(0.0));
        assert_eq!(percent(0, 0, 0, 5, 5), None);
    }

    #[test]
    fn the_maps_are_bounded_and_the_total_is_not() {
        let mut shares = Shares::default();
        for number in 0..MAX_ENTRIES + 3 {
            shares.add(key(&format!("n{number}"), "a", "portworx", "n1"), &Locality::Local, None);
        }
        assert_eq!((shares.namespaces.len(), shares.workloads.len()), (MAX_ENTRIES, MAX_ENTRIES));
        assert_eq!(shares.total.local, MAX_ENTRIES as u64 + 3);
        assert_eq!(shares.more, Uncounted { namespaces: 3, workloads: 3, drivers: 0, nodes: 0 });
    }
}
