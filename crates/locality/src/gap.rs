//! Gaps: facts that are missing, without which the locality of a pod is not known.

use std::fmt;
use std::sync::Arc;

/// The reason why it is not known where the data of a volume is, or whether its pods should be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// The configuration of colocate, which names the drivers, could not be read.
    Configuration,
    /// No source is configured for the driver.
    NoSource,
    /// A permission is missing. The text names the verb and the resource.
    NoPermission(Arc<str>),
    /// The storage did not answer, or its answer cannot be used. The text says why.
    NoAnswer(Arc<str>),
    /// The storage is not in the cluster: neither its Service nor its custom resource. The text says which.
    Absent(Arc<str>),
    /// The claim does not exist, could not be read, or is not bound. The text says which.
    Claim(Arc<str>),
    /// Only the scheduler's extender can locate the volume, and it was not called for this pod.
    NotAsked,
    /// The storage system has not been queried. Before the second pass, this marks drivers that only pods or claims name.
    NotQueried,
    /// The storage does not list the volume.
    NotListed,
    /// The storage does not name the Kubernetes node of a replica.
    NodeNotNamed,
    /// The class of a volume is not known. It decides whether the volume counts: it may be a sharedv4 service volume, be external,
    /// or be left out of the scores.
    Class,
    /// The `PersistentVolume` has no node affinity.
    NoNodeAffinity,
    /// The scores of the extender do not show which nodes have replicas.
    Scores,
}

impl Gap {
    /// The word, which is stable.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Configuration => "configuration-not-known",
            Self::NoSource => "no-source",
            Self::NoPermission(_) => "no-permission",
            Self::NoAnswer(_) | Self::Absent(_) | Self::NotQueried => "no-answer",
            Self::Claim(_) => "claim-not-known",
            Self::NotAsked => "not-asked",
            Self::NotListed => "volume-not-listed",
            Self::NodeNotNamed => "node-not-named",
            Self::Class => "class-not-known",
            Self::NoNodeAffinity => "no-node-affinity",
            Self::Scores => "scores-do-not-show",
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "the configuration of colocate could not be read: name a file with --config",
            Self::NoSource => "no source is configured for the driver: set `drivers[].locality` in the configuration",
            Self::NoPermission(access) => return write!(f, "missing permission to {access}"),
            Self::NoAnswer(why) | Self::Absent(why) | Self::Claim(why) => why,
            Self::NotAsked => {
                "only the extender can locate the volume, and it was not called for this pod: use `colocate place`"
            }
            Self::NotQueried => {
                "the storage system was not queried, because the pod appeared while the command ran: run it again"
            }
            Self::NotListed => "the storage does not list the volume",
            Self::NodeNotNamed => {
                "the storage does not name the Kubernetes node of a replica, or names only nodes that do not exist"
            }
            Self::Class => "the StorageClass is not known, which decides whether pods should run where the volume is",
            Self::NoNodeAffinity => "the PersistentVolume has no node affinity",
            Self::Scores => "the scores of the extender do not show which nodes have replicas",
        })
    }
}
