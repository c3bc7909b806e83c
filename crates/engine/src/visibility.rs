//! Limits of an inventory, which determine how a message describes a claim, class or volume that was not found.

use std::collections::BTreeSet;

use super::owner::{Absence, Owner, Unknown};

/// The reasons why objects of each kind may be absent from an inventory. By default, an inventory is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visibility {
    /// Claims that the cluster denies access to, by namespace and name.
    pub hidden_claims: BTreeSet<(String, String)>,
    /// The reason for all other claims.
    pub claims: Absence,
    /// The reason for classes, including the default class.
    pub classes: Absence,
    /// The reason for volumes.
    pub volumes: Absence,
}

impl Visibility {
    /// The visibility of an inventory that was read from files only.
    pub fn of_files() -> Self {
        let absence = Absence::NotInFiles;
        Self { hidden_claims: BTreeSet::new(), claims: absence, classes: absence, volumes: absence }
    }

    /// Returns why an object that leads to the owner of a claim was not found: the claim itself, its class or its volume.
    pub fn absence(&self, namespace: &str, claim: Option<&str>, owner: &Owner) -> Absence {
        let is_hidden = |name: &str| self.hidden_claims.contains(&(namespace.to_owned(), name.to_owned()));
        match owner {
            Owner::Missing if claim.is_some_and(is_hidden) => Absence::Hidden,
            Owner::Missing => self.claims,
            Owner::Unknown(Unknown::ClassMissing(_) | Unknown::NoDefaultClass) => self.classes,
            Owner::Unknown(Unknown::VolumeMissing { .. }) => self.volumes,
            Owner::Unknown(
                Unknown::Unbound
                | Unknown::NotProvisioned(_)
                | Unknown::ClaimUnreadable
                | Unknown::VolumeUnreadable(_)
                | Unknown::Ambiguous(_)
                | Unknown::Elsewhere(_),
            )
            | Owner::Provisioner { .. }
            | Owner::NoProvisioner => Absence::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_claim_is_identified_by_namespace_and_name() {
        let hidden_claims = [("shop".to_owned(), "data".to_owned())].into();
        let visibility = Visibility { hidden_claims, ..Visibility::default() };
        let gap = |namespace| Owner::Missing.gap("it", visibility.absence(namespace, Some("data"), &Owner::Missing));
        assert_eq!(gap("shop").as_deref(), Some("it is not accessible"));
        assert_eq!(gap("elsewhere").as_deref(), Some("it does not exist"));
    }

    #[test]
    fn each_kind_has_its_own_absence() {
        let visibility = Visibility { classes: Absence::Hidden, volumes: Absence::NotInFiles, ..Visibility::default() };
        let gap = |unknown| {
            let owner = Owner::Unknown(unknown);
            owner.gap("data", visibility.absence("shop", Some("data"), &owner)).unwrap()
        };
        assert_eq!(gap(Unknown::ClassMissing("px".into())), "data: its StorageClass `px` is not accessible");
        assert_eq!(
            gap(Unknown::NoDefaultClass),
            "data: it names no StorageClass, and the default StorageClass is not accessible"
        );
        assert_eq!(
            gap(Unknown::VolumeMissing { volume: "pv".into(), no_provisioner: false }),
            "data: its PersistentVolume `pv` is not in the files"
        );
        assert_eq!(gap(Unknown::Unbound), "data: it has no StorageClass and is not bound to a volume");
        assert_eq!(
            gap(Unknown::NotProvisioned("static".into())),
            "data: its StorageClass `static` provisions no volumes, and it is not bound to one"
        );
        let text = "it is described differently in a.yaml:1:1 and b.yaml:1:1";
        assert_eq!(gap(Unknown::Ambiguous(text.into())), format!("data: {text}"));
    }
}
