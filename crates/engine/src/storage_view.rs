//! The search for the owner of a claim, in an inventory or in anything else that can look up claims, classes and volumes.
//!
//! It has the same five steps as in Stork. Stork (`IsPVCOwnedByPortworx` and its callers) reads the class of the claim, the
//! class's provisioner, the provisioner annotation that overrides it, the bound volume, and a list of provisioners. Two steps
//! are added here: the GA key of the provisioner annotation, and `spec.csi.driver` of a bound volume, without which a
//! statically provisioned CSI volume has no owner. The provisioner `kubernetes.io/no-provisioner` does not name an owner; the
//! bound volume does.
//!
//! Stork reads the volume of a claim that has no class, even if the GA key names the provisioner. So that volume is evidence, too.

use std::ops::Deref;
use std::sync::Arc;

use super::driver::NO_PROVISIONER;
use super::evidence::{Evidence, EvidenceSet};
use super::owner::{ClaimClass, Owner, Unknown};
use super::setting::Settings;
use super::storage_facts::{AccessModes, ClaimFacts};
use super::visibility::Visibility;

/// Claims, classes and volumes as one object sees them.
pub trait StorageView {
    /// The owner of a claim, by its name.
    fn owner(&self, namespace: &str, name: &str) -> Owner;

    /// The facts of a claim other than its owner.
    fn claim_use(&self, namespace: &str, name: &str) -> Option<ClaimUse<'_>>;

    /// Finds a class by its name.
    ///
    /// # Errors
    /// The reason why the class is not known.
    fn find_class(&self, name: &str) -> Result<ClassEntry<'_>, Unknown>;

    /// Finds the class that Kubernetes chooses for a claim that names none.
    ///
    /// # Errors
    /// The reason why the class is not known.
    fn find_default_class(&self) -> Result<ClassEntry<'_>, Unknown>;

    /// Finds the provisioner of a volume, and the field that names it; `None` for a volume without a provisioner.
    ///
    /// # Errors
    /// The reason why the volume is not known.
    fn find_volume(&self, name: &str) -> Result<Option<(&Arc<str>, Evidence)>, Unknown>;

    /// The reasons why objects may be absent.
    fn visibility(&self) -> &Visibility;

    /// The owner of a claim that may not exist yet.
    fn owner_of(&self, claim: &ClaimFacts<'_>) -> Owner
    where
        Self: Sized,
    {
        OwnerHints::from(claim).owner(self)
    }

    /// The facts of a class other than its provisioner; `None` if it is not known.
    fn class(&self, name: &str) -> Option<ClassUse<'_>> {
        let ClassEntry { parameters, binds_late, .. } = self.find_class(name).ok()?;
        Some(ClassUse { parameters, binds_late })
    }
}

/// A class as the search for an owner needs it.
#[derive(Clone, Copy, Debug)]
pub struct ClassEntry<'v> {
    /// Its name.
    pub name: &'v Arc<str>,
    /// Its provisioner.
    pub provisioner: &'v Arc<str>,
    /// Whether a claim is bound only when its first pod is scheduled.
    pub binds_late: bool,
    /// Its parameters that Stork and Portworx read.
    pub parameters: &'v Settings,
}

/// The facts of a class other than its provisioner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassUse<'i> {
    /// Its parameters that Stork and Portworx read.
    pub parameters: &'i Settings,
    /// Whether a claim is bound only when its first pod is scheduled.
    pub binds_late: bool,
}

/// The facts of a claim other than its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimUse<'i> {
    /// The class that it names. `None` means the default class, if the claim is not bound yet; `""` means no class.
    pub class: Option<&'i str>,
    /// The modes in which it may be mounted.
    pub access: AccessModes,
    /// Whether it is bound to a volume, or requests one by name.
    pub bound: bool,
    /// Its annotations that Stork reads.
    pub settings: Option<&'i Settings>,
}

impl<'i> From<&'i ClaimFacts<'_>> for ClaimUse<'i> {
    fn from(claim: &'i ClaimFacts<'_>) -> Self {
        Self {
            class: claim.class.as_deref(),
            access: claim.access,
            bound: claim.bound || claim.volume.is_some(),
            settings: Some(&claim.settings),
        }
    }
}

/// The fields of a claim that lead to its owner.
#[derive(Debug)]
pub(super) struct OwnerHints<'n> {
    pub(super) class: Option<NameRef<'n>>,
    /// The provisioner that its annotations name, and which of them do.
    pub(super) provisioner: Option<(NameRef<'n>, EvidenceSet)>,
    /// The volume that it is bound to. Kept only for a claim without a provisioner, or with only the GA annotation.
    pub(super) volume: Option<NameRef<'n>>,
    pub(super) has_volume: bool,
    /// The provisioner of that volume, once it has been read; empty if the volume has none.
    pub(super) volume_provisioner: Option<(&'n Arc<str>, Evidence)>,
}

/// A name that is shared or borrowed.
#[derive(Debug)]
pub(super) enum NameRef<'n> {
    Shared(&'n Arc<str>),
    Text(&'n str),
}

impl<'n> From<&'n ClaimFacts<'_>> for OwnerHints<'n> {
    fn from(claim: &'n ClaimFacts<'_>) -> Self {
        Self {
            class: claim.class.as_deref().map(NameRef::Text),
            provisioner: claim.provisioner.as_ref().map(|(name, evidence)| (NameRef::Text(name), *evidence)),
            volume: claim.volume.as_deref().map(NameRef::Text),
            has_volume: claim.volume.is_some(),
            volume_provisioner: None,
        }
    }
}

impl OwnerHints<'_> {
    /// Finds the owner.
    pub(super) fn owner(&self, view: &impl StorageView) -> Owner {
        let class = self.class_in(view);
        // An unbound claim gets its volume by its class, whatever the annotation says.
        let annotated = self.provisioner.as_ref().filter(|(name, _)| **name != *NO_PROVISIONER || self.has_volume);
        let (provisioner, evidence) = match (annotated, &class) {
            // Kubernetes also sets the annotations, to the class's own provisioner.
            (Some((name, evidence)), Ok(class)) if **name == **class.provisioner => {
                (class.provisioner.clone(), evidence.with(Evidence::Class))
            }
            (Some((name, evidence)), _) => (name.share(), *evidence),
            (None, Ok(class)) => (class.provisioner.clone(), Evidence::Class.into()),
            (None, Err(unknown)) => return self.owner_by_volume(view, false, unknown.clone()),
        };
        if provisioner.is_empty() {
            return self.owner_by_volume(view, false, Unknown::Unbound);
        }
        let class = match class {
            // Stork reads the volume of a claim without a class.
            Err(_) if evidence == Evidence::GaProvisionerAnnotation.into() && *provisioner != *NO_PROVISIONER => {
                let unread_volume = self.volume.as_ref().map(NameRef::share);
                let owner = Owner::Provisioner { class: None, provisioner, evidence, unread_volume };
                return self.complete_by_volume(view, owner);
            }
            _ if *provisioner != *NO_PROVISIONER => class.ok(),
            _ if self.volume.is_some() => return self.owner_by_volume(view, true, Unknown::Unbound),
            // A claim that is bound late has no volume yet when the scheduler of its first pod is chosen, so it counts as
            // one without a driver.
            Ok(class) if class.binds_late => Some(class),
            Ok(class) => return Owner::Unknown(Unknown::NotProvisioned(class.name.clone())),
            Err(unknown) => return Owner::Unknown(unknown),
        };
        let class = class.map(|class| ClaimClass { name: class.name.clone(), provisioner: class.provisioner.clone() });
        Owner::Provisioner { class, provisioner, evidence, unread_volume: None }
    }

    fn class_in<'v>(&self, view: &'v impl StorageView) -> Result<ClassEntry<'v>, Unknown> {
        match &self.class {
            Some(name) if name.is_empty() => Err(Unknown::Unbound),
            Some(name) => view.find_class(name),
            // A claim that is bound without a class was bound manually, without the default class.
            None if self.has_volume => Err(Unknown::Unbound),
            None => view.find_default_class(),
        }
    }

    /// `no_provisioner` is that of [`Unknown::VolumeMissing`].
    fn owner_by_volume(&self, view: &impl StorageView, no_provisioner: bool, otherwise: Unknown) -> Owner {
        let Some(volume) = &self.volume else { return Owner::Unknown(otherwise) };
        let missing = Unknown::VolumeMissing { volume: volume.share(), no_provisioner };
        self.complete_by_volume(view, Owner::Unknown(missing))
    }

    /// Completes the owner with the provisioner of the claim's volume, if the volume is known.
    fn complete_by_volume(&self, view: &impl StorageView, owner: Owner) -> Owner {
        if let Some((name, evidence)) = self.volume_provisioner {
            return owner.with_volume((!name.is_empty()).then(|| (name.clone(), evidence)));
        }
        let Some(volume) = &self.volume else { return owner };
        match view.find_volume(volume) {
            Ok(volume) => owner.with_volume(volume.map(|(name, evidence)| (name.clone(), evidence))),
            Err(Unknown::VolumeMissing { .. }) => owner,
            // The annotation names the owner, whatever the volume is.
            Err(_) if !owner.is_incomplete() => owner,
            Err(unknown) => Owner::Unknown(unknown),
        }
    }
}

impl NameRef<'_> {
    fn share(&self) -> Arc<str> {
        match self {
            Self::Shared(name) => Arc::clone(name),
            Self::Text(name) => Arc::from(*name),
        }
    }
}

impl Deref for NameRef<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Shared(name) => name,
            Self::Text(name) => name,
        }
    }
}
