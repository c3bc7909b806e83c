//! The rows of claims: the driver of each, and the field that shows it.

use crate::engine::{Evidence, Owner};
use crate::insight::{Expectation, ExpectedClaim};
use crate::inspect::why::report::ClaimRow;

pub(super) fn claim_rows(expectation: &Expectation) -> Vec<ClaimRow> {
    let row = |claim: &ExpectedClaim| {
        let (class, provisioner, from) = match &claim.owner {
            Owner::Provisioner { class, provisioner, evidence, .. } => {
                let from = Evidence::ALL.into_iter().filter(|one| evidence.contains(*one));
                let mut from: Vec<_> = from.map(from_text).collect();
                from.dedup();
                (
                    class.as_ref().map(|class| class.name.to_string()),
                    Some(provisioner.to_string()),
                    Some(from.join(", ")),
                )
            }
            Owner::NoProvisioner | Owner::Missing | Owner::Unknown(_) => (None, None, None),
        };
        let driver = claim.driver.as_ref().map(ToString::to_string);
        ClaimRow { claim: claim.name.clone().unwrap_or_else(|| claim.label.clone()), class, provisioner, from, driver }
    };
    expectation.claims.iter().map(row).collect()
}

/// Names the field that shows the provisioner.
fn from_text(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Class => "class",
        Evidence::BetaProvisionerAnnotation | Evidence::GaProvisionerAnnotation => "annotation of the claim",
        Evidence::ProvisionedBy => "annotation of the volume",
        Evidence::StaticCsi => "csi of the volume",
        Evidence::InTree => "portworxVolume",
        Evidence::InlineCsi => "csi of the pod",
        Evidence::Ephemeral => "ephemeral volume",
        Evidence::NoProvisioner => "volume",
    }
}
