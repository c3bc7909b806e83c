//! The locality of a pod.

use std::fmt;

use super::exemption::Exemption;
use super::gap::Gap;

/// The place of a pod, compared with the replicas of its volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locality {
    /// Every volume that counts has a healthy replica on the pod's node.
    Local,
    /// Some volumes have a replica on the node, and others do not.
    Partly,
    /// No volume has a replica on the node.
    Remote,
    /// The user, or Portworx, wants the pod to be elsewhere, or does not care. This is not a failure.
    MeantToBeRemote(Exemption),
    /// A fact is missing that decides.
    Unknown(Gap),
}

impl Locality {
    /// The word, which is stable.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Partly => "partly",
            Self::Remote => "remote",
            Self::MeantToBeRemote(_) => "meant-to-be-remote",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns true if the pod should be local and is not.
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Partly | Self::Remote)
    }
}

impl fmt::Display for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
