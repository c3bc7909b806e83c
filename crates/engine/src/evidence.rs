//! The evidence that a volume belongs to a driver.

use serde::{Deserialize, Serialize};

/// The field that shows which provisioner a volume belongs to. A driver's scheduler may not read all of them, and treats a
/// volume that only another field assigns to the driver as someone else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Evidence {
    /// The provisioner of the claim's class.
    Class,
    /// The claim's annotation `volume.beta.kubernetes.io/storage-provisioner`.
    BetaProvisionerAnnotation,
    /// The claim's annotation `volume.kubernetes.io/storage-provisioner`, without the beta one.
    GaProvisionerAnnotation,
    /// The volume's annotation `pv.kubernetes.io/provisioned-by`.
    ProvisionedBy,
    /// `spec.csi.driver` of a volume without that annotation, which was made by hand.
    StaticCsi,
    /// `portworxVolume` of a volume or of a pod.
    InTree,
    /// `csi` of a pod: an inline volume.
    InlineCsi,
    /// The claim of a generic ephemeral volume, whatever assigns it to the driver.
    Ephemeral,
}

impl Evidence {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 8] = [
        Self::Class,
        Self::BetaProvisionerAnnotation,
        Self::GaProvisionerAnnotation,
        Self::ProvisionedBy,
        Self::StaticCsi,
        Self::InTree,
        Self::InlineCsi,
        Self::Ephemeral,
    ];
}
