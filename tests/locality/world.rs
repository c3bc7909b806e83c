//! A cluster that follows from a seed: volumes with the nodes of their replicas, and pods on nodes.
//!
//! [`World::truth`] says where each pod is relative to its data. It only knows the seed, and shares no code with colocate.

use std::collections::BTreeMap;

/// The number of nodes, `node-1` to `node-40`.
pub(crate) const NODES: usize = 40;

/// The node whose storage is offline, and the one whose Kubernetes name Portworx does not know.
pub(crate) const OFFLINE: usize = 39;
pub(crate) const UNNAMED: usize = 40;

/// The number of pods.
pub(crate) const PODS: usize = 2_000;

/// The pods that are not bound to a node.
const UNBOUND: usize = 20;

/// The namespaces of the pods. The last one opts out.
pub(crate) const NAMESPACES: [&str; 5] = ["data-1", "data-2", "data-3", "data-4", "data-out"];

/// The number of volumes of each driver in each namespace.
const VOLUMES: usize = 10;

/// A driver, by the source of the layout of its volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Driver {
    Portworx,
    Longhorn,
    Hwameistor,
    TopoLvm,
    OpenEbs,
    Linstor,
    /// The node affinity of volumes that were created by hand.
    Local,
    /// The extender of the scheduler.
    Scored,
    /// Nothing.
    Silent,
}

impl Driver {
    pub(crate) const ALL: [Self; 9] = [
        Self::Portworx,
        Self::Longhorn,
        Self::Hwameistor,
        Self::TopoLvm,
        Self::OpenEbs,
        Self::Linstor,
        Self::Local,
        Self::Scored,
        Self::Silent,
    ];

    /// The name in the configuration, which is also that of the class.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Portworx => "portworx",
            Self::Longhorn => "longhorn",
            Self::Hwameistor => "hwameistor",
            Self::TopoLvm => "topolvm",
            Self::OpenEbs => "openebs-lvm",
            Self::Linstor => "linstor",
            Self::Local => "local",
            Self::Scored => "scored",
            Self::Silent => "silent",
        }
    }

    pub(crate) const fn provisioner(self) -> &'static str {
        match self {
            Self::Portworx => "pxd.portworx.com",
            Self::Longhorn => "driver.longhorn.io",
            Self::Hwameistor => "lvm.hwameistor.io",
            Self::TopoLvm => "topolvm.io",
            Self::OpenEbs => "local.csi.openebs.io",
            Self::Linstor => "linstor.csi.linbit.com",
            Self::Local => "kubernetes.io/no-provisioner",
            Self::Scored => "scored.example.test",
            Self::Silent => "silent.example.test",
        }
    }

    /// The largest number of replicas.
    const fn most_replicas(self) -> usize {
        match self {
            Self::Longhorn | Self::Portworx => 3,
            Self::Hwameistor | Self::Linstor | Self::Scored => 2,
            Self::TopoLvm | Self::OpenEbs | Self::Local | Self::Silent => 1,
        }
    }

    /// Whether one replica can fail alone. The replicas of the others fail with their node.
    const fn has_health(self) -> bool {
        matches!(self, Self::Longhorn | Self::Hwameistor | Self::OpenEbs | Self::Linstor)
    }
}

/// The way in which several nodes may mount a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// They may not.
    One,
    /// A sharedv4 service volume.
    Service,
    /// The same, with `preferRemoteNodeOnly`.
    RemoteOnly,
    /// They may not, and the data is on a storage array.
    External,
}

#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) driver: Driver,
    pub(crate) namespace: &'static str,
    /// The name of the claim, which is unique in the cluster.
    pub(crate) claim: String,
    /// The nodes of its replicas, each with whether it is healthy.
    pub(crate) replicas: Vec<(usize, bool)>,
    /// The node of an object that is no replica, such as a diskless resource.
    pub(crate) phantom: usize,
    /// Whether the storage knows it.
    pub(crate) listed: bool,
    pub(crate) sharing: Sharing,
}

impl Volume {
    /// Returns whether a node has a healthy replica; `None` if no one can know.
    pub(crate) fn is_on(&self, node: usize) -> Option<bool> {
        if self.driver == Driver::Silent || !self.listed {
            return None;
        }
        // The storage of Portworx and of the extender's driver is offline on one node.
        let fails_with_node = matches!(self.driver, Driver::Portworx | Driver::Scored);
        let is_named = |on: usize| self.driver != Driver::Portworx || on != UNNAMED;
        let works = |on: usize, healthy: bool| healthy && is_named(on) && !(fails_with_node && on == OFFLINE);
        if self.replicas.iter().any(|(on, healthy)| *on == node && works(*on, *healthy)) {
            return Some(true);
        }
        let has_unnamed = self.replicas.iter().any(|(on, _)| !is_named(*on));
        // The extender does not say why it refuses a node, so the replicas of the volume may be elsewhere.
        let is_refused = self.driver == Driver::Scored && self.replicas.iter().any(|(on, _)| *on == OFFLINE);
        (!has_unnamed && !is_refused).then_some(false)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: &'static str,
    pub(crate) name: String,
    /// The indices of its volumes.
    pub(crate) volumes: Vec<usize>,
    /// The node; `None` if it is not bound.
    pub(crate) node: Option<usize>,
    pub(crate) opts_out: bool,
    pub(crate) scheduler: &'static str,
}

pub(crate) struct World {
    pub(crate) volumes: Vec<Volume>,
    pub(crate) pods: Vec<Pod>,
}

/// The places of pods: local, partly, remote, meant to be remote, unknown. Pods that are not counted have none.
pub(crate) type Truth = BTreeMap<(String, String), &'static str>;

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut volumes = Vec::new();
        for namespace in NAMESPACES {
            for driver in Driver::ALL {
                for number in 0..VOLUMES {
                    volumes.push(Volume::new(&mut dice, driver, namespace, number));
                }
            }
        }
        let pods = (0..PODS).map(|number| Pod::new(&mut dice, &volumes, number)).collect();
        Self { volumes, pods }
    }

    /// Says where each pod is.
    pub(crate) fn truth(&self) -> Truth {
        let place = |pod: &Pod| Some(((pod.namespace.to_owned(), pod.name.clone()), self.place(pod)?));
        self.pods.iter().filter_map(place).collect()
    }

    fn place(&self, pod: &Pod) -> Option<&'static str> {
        let node = pod.node.filter(|_| !pod.volumes.is_empty())?;
        if pod.opts_out || pod.namespace == "data-out" {
            return Some("meantToBeRemote");
        }
        let volumes: Vec<_> = pod.volumes.iter().map(|index| &self.volumes[*index]).collect();
        let counted: Vec<_> = volumes.into_iter().filter(|volume| volume.sharing == Sharing::One).collect();
        let scored = counted.iter().filter(|volume| volume.driver == Driver::Scored).count();
        let is_on = |volume: &&Volume| match volume.is_on(node) {
            // The extender adds the scores of two volumes. Only the full sum says something.
            Some(false) if volume.driver == Driver::Scored && scored > 1 => None,
            known => known,
        };
        let places: Option<Vec<bool>> = counted.iter().map(is_on).collect();
        Some(match places {
            None => "unknown",
            Some(places) if places.is_empty() => "meantToBeRemote",
            Some(places) if places.iter().all(|is_on| *is_on) => "local",
            Some(places) if places.iter().any(|is_on| *is_on) => "partly",
            Some(_) => "remote",
        })
    }
}

impl Volume {
    fn new(dice: &mut Dice, driver: Driver, namespace: &'static str, number: usize) -> Self {
        let most = driver.most_replicas();
        let count = 1 + dice.below(most);
        let mut replicas = Vec::new();
        while replicas.len() < count {
            let node = 1 + dice.below(NODES);
            if replicas.iter().all(|(other, _)| *other != node) {
                replicas.push((node, !(driver.has_health() && dice.below(5) == 0)));
            }
        }
        let mut phantom = 1 + dice.below(NODES);
        while replicas.iter().any(|(node, _)| *node == phantom) {
            phantom = 1 + dice.below(NODES);
        }
        let may_be_shared = driver == Driver::Portworx;
        let sharing = match dice.below(10) {
            0 if may_be_shared => Sharing::Service,
            1 if may_be_shared => Sharing::RemoteOnly,
            2 if may_be_shared => Sharing::External,
            _ => Sharing::One,
        };
        // A local volume is its own source, and a volume of LINSTOR that is not listed would have no objects.
        let listed = driver == Driver::Local || dice.below(12) != 0;
        let claim = format!("{namespace}-{}-{number}", driver.name());
        Self { driver, namespace, claim, replicas, phantom, listed, sharing }
    }
}

impl Pod {
    fn new(dice: &mut Dice, volumes: &[Volume], number: usize) -> Self {
        let namespace = NAMESPACES[dice.below(100) * NAMESPACES.len() / 100];
        let driver = match dice.below(50) {
            0 | 1 => Driver::Scored,
            2 => Driver::Silent,
            other => Driver::ALL[other % 7],
        };
        let of = |driver: Driver| {
            let own = volumes.iter().enumerate();
            own.filter(move |(_, volume)| volume.namespace == namespace && volume.driver == driver)
                .map(|(index, _)| index)
                .collect::<Vec<_>>()
        };
        let mut own = Vec::new();
        // A tenth of the pods has no claim of a driver, and a fifth has two claims.
        if dice.below(10) != 0 {
            own.push(of(driver)[dice.below(VOLUMES)]);
            let second = if dice.below(2) == 0 { driver } else { Driver::ALL[dice.below(7)] };
            if dice.below(5) == 0 {
                own.push(of(second)[dice.below(VOLUMES)]);
                own.dedup();
            }
        }
        let healthy = own.first().and_then(|index: &usize| volumes[*index].replicas.first());
        let node = match healthy {
            Some((node, _)) if dice.below(5) < 3 => *node,
            _ => 1 + dice.below(NODES),
        };
        let opts_out = dice.below(20) == 0;
        // A pod that names the scheduler itself does not opt out.
        let is_default = opts_out || namespace == "data-out" || dice.below(4) == 0;
        Self {
            namespace,
            name: format!("pod-{number}"),
            volumes: own,
            node: (number >= UNBOUND).then_some(node),
            opts_out,
            scheduler: if is_default { "default-scheduler" } else { "stork" },
        }
    }
}

/// Knuth's linear congruential generator. Its upper bits are good.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits fit") % end
    }
}
