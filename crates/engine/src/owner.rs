//! Who owns a claim, and why that may be unknown.

use std::sync::Arc;

/// Who owns a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The provisioner that made, or will make, its volume; and the class that says so, if one does.
    Provisioner {
        /// The class by which the provisioner was found.
        class: Option<Arc<str>>,
        /// The provisioner.
        provisioner: Arc<str>,
    },
    /// Nobody: its volume was made by hand, of a kind that no driver owns.
    Nobody,
    /// The claim does not exist.
    Missing,
    /// The claim exists, and what would tell its owner does not.
    Unknown(Unknown),
}

impl Owner {
    /// Whether a cluster may know more than it has told so far.
    pub fn is_incomplete(&self) -> bool {
        matches!(self, Self::Missing | Self::Unknown(_))
    }
}

/// Why the owner of a claim is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The class that it names does not exist.
    #[error("its StorageClass `{0}` does not exist")]
    ClassMissing(Arc<str>),
    /// It names no class, and no class is the default.
    #[error("it names no StorageClass and the cluster has no default one")]
    NoDefaultClass,
    /// It has no class and is not bound.
    #[error("it has no StorageClass and is not bound to a volume")]
    Unbound,
    /// The volume that it is bound to does not exist.
    #[error("its PersistentVolume `{0}` does not exist")]
    VolumeMissing(Arc<str>),
}
