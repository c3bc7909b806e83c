//! The owner of a claim, or the reason why it is not known.

use std::fmt;
use std::sync::Arc;

use super::driver::{NO_PROVISIONER, is_same_driver};
use super::evidence::{Evidence, EvidenceSet};

/// The owner of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The provisioner that created or will create its volume.
    Provisioner {
        /// The class of the claim, if it exists and the claim's volume need not be read.
        class: Option<ClaimClass>,
        /// The provisioner.
        provisioner: Arc<str>,
        /// The fields that name the provisioner.
        evidence: EvidenceSet,
        /// The volume, which has not been read, if it may name the provisioner too and a scheduler may read only the
        /// volume: the volume of a claim with only the GA annotation.
        unread_volume: Option<Arc<str>>,
    },
    /// No provisioner: its volume was created manually, with a source that does not belong to a driver.
    NoProvisioner,
    /// The claim was not found.
    #[default]
    Missing,
    /// The claim was found, but not its class or volume; or it could not be read.
    Unknown(Unknown),
}

/// The class of a claim. Its provisioner may be another one than that of the claim, which an annotation names: Kubernetes
/// translates an in-tree provisioner into a CSI driver, and a class can be deleted and created again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimClass {
    /// The name of the class.
    pub name: Arc<str>,
    /// The provisioner of the class.
    pub provisioner: Arc<str>,
}

impl Owner {
    /// Replaces the evidence of a provisioner.
    pub(crate) fn with_evidence(self, evidence: Evidence) -> Self {
        match self {
            Self::Provisioner { class, provisioner, .. } => {
                Self::Provisioner { class, provisioner, evidence: evidence.into(), unread_volume: None }
            }
            other => other,
        }
    }

    /// The owner of a volume without a claim, or of one whose claim does not name a provisioner.
    pub fn of_volume(provisioner: Arc<str>, evidence: Evidence) -> Self {
        Self::Provisioner { class: None, provisioner, evidence: evidence.into(), unread_volume: None }
    }

    /// Completes the owner with the provisioner of the claim's volume, once the volume has been read.
    #[must_use]
    pub fn with_volume(self, volume: Option<(Arc<str>, Evidence)>) -> Self {
        match (self, volume) {
            (Self::Unknown(Unknown::VolumeMissing { no_provisioner, .. }), Some((provisioner, evidence))) => {
                Self::of_volume(provisioner, if no_provisioner { Evidence::NoProvisioner } else { evidence })
            }
            (Self::Unknown(Unknown::VolumeMissing { .. }), None) => Self::NoProvisioner,
            (Self::Provisioner { class, provisioner, evidence, unread_volume: Some(_) }, volume) => {
                let own = volume.filter(|(own, _)| is_same_driver(own, &provisioner));
                let evidence = own.map_or(evidence, |(_, own)| evidence.with(own));
                Self::Provisioner { class, provisioner, evidence, unread_volume: None }
            }
            (other, _) => other,
        }
    }

    /// Returns true if the claim may still turn out to belong to any driver: its owner is not known, or the volume decides,
    /// which is chosen only when the first pod is scheduled.
    pub(crate) fn is_open(&self) -> bool {
        self.is_incomplete()
            || matches!(self, Self::Provisioner { provisioner, .. } if **provisioner == *NO_PROVISIONER)
    }

    /// Returns true if the owner is not known yet, but a cluster may know it.
    pub fn is_incomplete(&self) -> bool {
        matches!(self, Self::Missing | Self::Unknown(_))
    }

    /// Describes why the owner of `claim` is not known; `None` if the owner is known.
    pub fn gap(&self, claim: impl fmt::Display, absence: Absence) -> Option<String> {
        match self {
            Self::Missing => Some(format!("{claim} {absence}")),
            Self::Unknown(Unknown::ClaimUnreadable) => Some(format!("{claim} {UNREADABLE}")),
            Self::Unknown(unknown) => Some(format!("{claim}: {}", unknown.explain(absence))),
            Self::Provisioner { .. } | Self::NoProvisioner => None,
        }
    }
}

/// The reason why the owner of a claim is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The class that it names was not found.
    ClassMissing(Arc<str>),
    /// It names no class, and no class is the default.
    NoDefaultClass,
    /// It has no class and is not bound.
    Unbound,
    /// Its class provisions no volumes, and it is not bound to an existing one yet.
    NotProvisioned(Arc<str>),
    /// The volume that it is bound to was not found.
    VolumeMissing {
        /// The name of the volume.
        volume: Arc<str>,
        /// Whether the claim names `kubernetes.io/no-provisioner`, as in [`Evidence::NoProvisioner`].
        no_provisioner: bool,
    },
    /// It is not known whether the claim exists: the API server did not return it.
    ClaimUnreadable,
    /// The API server did not return the volume that it is bound to.
    VolumeUnreadable(Arc<str>),
    /// The nearest descriptions of it, or of its class or volume, differ or cannot be used. The text names them.
    Ambiguous(Arc<str>),
    /// Only files in other folders describe it, which may belong to another environment. The text names them.
    Elsewhere(Arc<str>),
}

/// Describes an object that the API server did not return, although it may exist.
const UNREADABLE: &str = "could not be read from the API server";

impl Unknown {
    /// Describes the reason. `absence` is the reason why the class or volume was not found.
    pub fn explain(&self, absence: Absence) -> String {
        match (self, absence) {
            (Self::ClassMissing(name), _) => format!("its StorageClass `{name}` {absence}"),
            (Self::VolumeMissing { volume: name, .. }, _) => format!("its PersistentVolume `{name}` {absence}"),
            (Self::NoDefaultClass, Absence::Nonexistent) => {
                "it names no StorageClass, and the cluster has no default StorageClass".to_owned()
            }
            (Self::NoDefaultClass, Absence::NotInFiles) => {
                "it names no StorageClass, and the files contain no default StorageClass".to_owned()
            }
            (Self::NoDefaultClass, Absence::Hidden) => {
                "it names no StorageClass, and the default StorageClass is not accessible".to_owned()
            }
            (Self::ClaimUnreadable, _) => format!("it {UNREADABLE}"),
            (Self::VolumeUnreadable(name), _) => format!("its PersistentVolume `{name}` {UNREADABLE}"),
            (Self::Ambiguous(text) | Self::Elsewhere(text), _) => text.to_string(),
            (Self::Unbound, _) => "it has no StorageClass and is not bound to a volume".to_owned(),
            (Self::NotProvisioned(class), _) => {
                format!("its StorageClass `{class}` provisions no volumes, and it is not bound to one")
            }
        }
    }
}

/// The reason why a claim, class or volume was not found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absence {
    /// It does not exist in the cluster.
    #[default]
    Nonexistent,
    /// Only files were read, and none of them contains it.
    NotInFiles,
    /// The cluster denies access to it.
    Hidden,
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nonexistent => "does not exist",
            Self::NotInFiles => "is not in the files",
            Self::Hidden => "is not accessible",
        })
    }
}
