//! The evidence that a volume belongs to a driver.

use serde::{Deserialize, Serialize};

/// The field that shows which provisioner a volume belongs to. Some schedulers read only some of these fields. If a
/// volume belongs to the driver only by fields that the scheduler does not read, the scheduler treats the volume as
/// foreign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Evidence {
    /// The provisioner of the claim's class.
    Class,
    /// The claim's annotation `volume.beta.kubernetes.io/storage-provisioner`.
    BetaProvisionerAnnotation,
    /// The claim's annotation `volume.kubernetes.io/storage-provisioner`.
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
    /// The volume of a claim whose class or beta annotation names `kubernetes.io/no-provisioner`, whatever assigns the
    /// volume to the driver. A scheduler that takes this name for a provisioner never reads the volume.
    NoProvisioner,
}

/// All evidence for one volume; it counts for a scheduler that reads any of these fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EvidenceSet(u16);

impl Evidence {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 9] = [
        Self::Class,
        Self::BetaProvisionerAnnotation,
        Self::GaProvisionerAnnotation,
        Self::ProvisionedBy,
        Self::StaticCsi,
        Self::InTree,
        Self::InlineCsi,
        Self::Ephemeral,
        Self::NoProvisioner,
    ];

    /// The evidence of a volume.
    pub const OF_VOLUME: [Self; 3] = [Self::ProvisionedBy, Self::StaticCsi, Self::InTree];
}

impl EvidenceSet {
    /// The set with `evidence` added.
    #[must_use]
    pub fn with(self, evidence: Evidence) -> Self {
        Self(self.0 | Self::bit(evidence))
    }

    /// Returns true if the set contains `evidence`.
    pub fn contains(self, evidence: Evidence) -> bool {
        self.0 & Self::bit(evidence) != 0
    }

    /// Returns true if the set contains any of these.
    pub fn contains_any(self, evidence: &[Evidence]) -> bool {
        evidence.iter().any(|one| self.contains(*one))
    }

    fn bit(evidence: Evidence) -> u16 {
        1 << evidence as u16
    }
}

impl From<Evidence> for EvidenceSet {
    fn from(evidence: Evidence) -> Self {
        Self::default().with(evidence)
    }
}
