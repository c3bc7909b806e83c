//! The evidence that a volume belongs to a driver.

use serde::{Deserialize, Serialize};

/// The field that shows which provisioner a volume belongs to. Some schedulers read only some of these fields. If a
/// volume belongs to the driver only by a field that the scheduler does not read, the scheduler treats the volume as
/// foreign.
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
    /// `spec.csi.driver` of a manually created volume, which has no annotation `pv.kubernetes.io/provisioned-by`.
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
