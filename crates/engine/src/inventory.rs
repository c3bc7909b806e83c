//! The owners of claims, found with the same five steps as in Stork.
//!
//! Stork (`IsPVCOwnedByPortworx` and its callers) reads the class of the claim, the class's provisioner, the provisioner
//! annotation that overrides it, the bound volume, and a list of provisioners. Two steps are added here: the GA key of the
//! provisioner annotation, and `spec.csi.driver` of a bound volume, without which a statically provisioned CSI volume has
//! no owner. The provisioner `kubernetes.io/no-provisioner` does not name an owner; the bound volume does.
//!
//! Stork reads the volume of a claim that has no class, even if the GA key names the provisioner. So that volume is evidence, too.

mod record;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use super::driver::NO_PROVISIONER;
use super::evidence::{Evidence, EvidenceSet};
use super::owner::{ClaimClass, Owner, Unknown};
use super::setting::Settings;
use super::storage_facts::{AccessModes, ClaimFacts, ClassFacts, VolumeFacts};
use super::visibility::Visibility;
use record::Records;

/// Claims, classes and volumes as plain data, from a watch on a cluster or from files.
///
/// It is designed for a million claims: each takes its name and 40 bytes, and is found with two lookups that copy nothing.
#[derive(Debug, Default)]
pub struct Inventory {
    claims: Records,
    classes: HashMap<Arc<str>, OwnedClass>,
    /// The class that Kubernetes chooses for a claim that names none.
    default_class: Option<Arc<str>>,
    volumes: HashMap<Box<str>, Option<(Arc<str>, Evidence)>>,
    /// The number of the last listing that was started.
    listings: u16,
    /// The reasons why objects may be absent.
    pub visibility: Visibility,
}

/// A list of all objects of a kind, while it is read. Objects that it does not contain are removed only when it ends, so
/// that lookups always succeed and no second map is needed.
#[derive(Debug)]
pub struct Listing {
    /// The namespace that is listed; `None` for all.
    namespace: Option<Box<str>>,
    number: u16,
}

#[derive(Debug)]
struct OwnedClass {
    provisioner: Arc<str>,
    default: bool,
    binds_late: bool,
    created: i64,
    parameters: Settings,
    listing: u16,
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

impl Inventory {
    /// Adds or replaces a claim.
    pub fn insert_claim(&mut self, namespace: &str, name: &str, claim: &ClaimFacts<'_>) {
        self.claims.insert(namespace, name, claim, self.listings);
    }

    /// Removes a claim.
    pub fn remove_claim(&mut self, namespace: &str, name: &str) {
        self.claims.remove(namespace, name);
    }

    /// Sets the facts of a claim's volume. The source of a volume never changes.
    ///
    /// They are dropped if the claim has since been removed or bound to another volume.
    pub fn set_volume_provisioner(&mut self, namespace: &str, name: &str, volume: &str, facts: &VolumeFacts<'_>) {
        self.claims.set_volume_provisioner(
            namespace,
            name,
            volume,
            facts.provisioner.as_ref().map(|(name, by)| (&**name, *by)),
        );
    }

    /// Adds or replaces a class.
    pub fn insert_class(&mut self, name: &str, class: ClassFacts<'_>) {
        self.put_class(name, class, self.listings);
    }

    /// Removes a class.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
        self.choose_default_class();
    }

    /// Adds or replaces a volume.
    pub fn insert_volume(&mut self, name: &str, volume: VolumeFacts<'_>) {
        self.volumes.insert(name.into(), volume.provisioner.map(|(name, evidence)| (Arc::from(&*name), evidence)));
    }

    /// Starts a list of the claims of one namespace, of all claims, or of all classes. A list that never ends removes
    /// nothing.
    pub fn list(&mut self, namespace: Option<&str>) -> Listing {
        self.listings = self.listings.wrapping_add(1);
        Listing { namespace: namespace.map(Into::into), number: self.listings }
    }

    /// Adds a claim of a list.
    pub fn insert_listed_claim(&mut self, listing: &Listing, namespace: &str, name: &str, claim: &ClaimFacts<'_>) {
        self.claims.insert(namespace, name, claim, listing.number);
    }

    /// Adds a class of a list.
    pub fn insert_listed_class(&mut self, listing: &Listing, name: &str, class: ClassFacts<'_>) {
        self.put_class(name, class, listing.number);
    }

    /// Keeps the previous state of a listed claim that cannot be decoded.
    pub fn keep_listed_claim(&mut self, listing: &Listing, namespace: &str, name: &str) {
        self.claims.keep(namespace, name, listing.number);
    }

    /// Keeps the previous state of a listed class that cannot be decoded.
    pub fn keep_listed_class(&mut self, listing: &Listing, name: &str) {
        if let Some(class) = self.classes.get_mut(name) {
            class.listing = listing.number;
        }
    }

    /// Removes the claims that the list did not contain.
    pub fn end_claims(&mut self, listing: &Listing) {
        self.claims.retain_listed(listing.namespace.as_deref(), listing.number);
    }

    /// Removes the classes that the list did not contain.
    pub fn end_classes(&mut self, listing: &Listing) {
        self.classes.retain(|_, class| class.listing == listing.number);
        self.choose_default_class();
    }

    /// The number of claims.
    pub fn claim_count(&self) -> usize {
        self.claims.len()
    }

    /// The number of classes.
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// The owner of a claim, by its name.
    pub fn owner(&self, namespace: &str, name: &str) -> Owner {
        match self.claims.get(namespace, name) {
            Some(record) => self.owner_by(&self.claims.names(record)),
            None => Owner::Missing,
        }
    }

    /// The owner of a claim that may not exist yet.
    pub fn owner_of(&self, claim: &ClaimFacts<'_>) -> Owner {
        self.owner_by(&OwnerHints {
            class: claim.class.as_deref().map(NameRef::Text),
            provisioner: claim.provisioner.as_ref().map(|(name, evidence)| (NameRef::Text(name), *evidence)),
            volume: claim.volume.as_deref().map(NameRef::Text),
            has_volume: claim.volume.is_some(),
            volume_provisioner: None,
        })
    }

    /// The facts of a claim other than its owner.
    pub fn claim_use(&self, namespace: &str, name: &str) -> Option<ClaimUse<'_>> {
        self.claims.get(namespace, name).map(|record| self.claims.claim_use(record))
    }

    /// The facts of a class other than its provisioner.
    pub fn class(&self, name: &str) -> Option<ClassUse<'_>> {
        let OwnedClass { parameters, binds_late, .. } = self.classes.get(name)?;
        Some(ClassUse { parameters, binds_late: *binds_late })
    }

    /// The access modes of all claims of a class, including those that get it as the default class, and of these claim
    /// templates; `None` if none of them has this class. Visits every claim.
    pub fn access_of_class(&self, name: &str, templates: &[ClaimFacts<'_>]) -> Option<AccessModes> {
        let is_default = self.default_class.as_deref() == Some(name);
        let of_templates = templates.iter().filter(|claim| match &claim.class {
            Some(class) => **class == *name,
            None => is_default && claim.volume.is_none(),
        });
        let of_templates = of_templates.map(|claim| claim.access);
        self.claims.of_class(name, is_default).chain(of_templates).reduce(AccessModes::union)
    }

    fn put_class(&mut self, name: &str, class: ClassFacts<'_>, listing: u16) {
        let ClassFacts { provisioner, default, binds_late, created, parameters } = class;
        let provisioner = Arc::from(&*provisioner);
        let class = OwnedClass { provisioner, default, binds_late, created, parameters, listing };
        self.classes.insert(name.into(), class);
        self.choose_default_class();
    }

    /// Chooses as Kubernetes does: the newest class that is marked as default, then the first by name.
    fn choose_default_class(&mut self) {
        let defaults = self.classes.iter().filter(|(_, class)| class.default);
        let chosen = defaults.min_by_key(|(name, class)| (Reverse(class.created), &***name));
        self.default_class = chosen.map(|(name, _)| name.clone());
    }

    fn owner_by(&self, claim: &OwnerHints<'_>) -> Owner {
        let class = self.class_of(claim);
        // An unbound claim gets its volume by its class, whatever the annotation says.
        let annotated = claim.provisioner.as_ref().filter(|(name, _)| **name != *NO_PROVISIONER || claim.has_volume);
        let (provisioner, evidence) = match (annotated, &class) {
            // Kubernetes also sets the annotations, to the class's own provisioner.
            (Some((name, evidence)), Ok((class, _))) if **name == *class.provisioner => {
                (class.provisioner.clone(), evidence.with(Evidence::Class))
            }
            (Some((name, evidence)), _) => (name.share(), *evidence),
            (None, Ok((class, _))) => (class.provisioner.clone(), Evidence::Class.into()),
            (None, Err(unknown)) => return self.owner_by_volume(claim, false, unknown.clone()),
        };
        if provisioner.is_empty() {
            return self.owner_by_volume(claim, false, Unknown::Unbound);
        }
        let class = match class {
            // Stork reads the volume of a claim without a class.
            Err(_) if evidence == Evidence::GaProvisionerAnnotation.into() => {
                let unread_volume = claim.volume.as_ref().map(NameRef::share);
                let owner = Owner::Provisioner { class: None, provisioner, evidence, unread_volume };
                return self.complete_by_volume(owner, claim);
            }
            _ if *provisioner != *NO_PROVISIONER => class.ok().map(|(class, _)| class),
            _ if claim.volume.is_some() => return self.owner_by_volume(claim, true, Unknown::Unbound),
            // A claim that is bound late has no volume yet when the scheduler of its first pod is chosen, so it counts as
            // one without a driver.
            Ok((class, binds_late)) if binds_late => Some(class),
            Ok((class, _)) => return Owner::Unknown(Unknown::NotProvisioned(class.name)),
            Err(unknown) => return Owner::Unknown(unknown),
        };
        Owner::Provisioner { class, provisioner, evidence, unread_volume: None }
    }

    /// The class of a claim, and whether it binds late.
    fn class_of(&self, claim: &OwnerHints<'_>) -> Result<(ClaimClass, bool), Unknown> {
        let (name, class) = match &claim.class {
            Some(name) if name.is_empty() => return Err(Unknown::Unbound),
            Some(name) => self.classes.get_key_value(&**name).ok_or_else(|| Unknown::ClassMissing(name.share()))?,
            // A claim that is bound without a class was bound manually, without the default class.
            None if claim.has_volume => return Err(Unknown::Unbound),
            None => {
                let default = self.default_class.as_ref().and_then(|name| self.classes.get_key_value(name));
                default.ok_or(Unknown::NoDefaultClass)?
            }
        };
        Ok((ClaimClass { name: name.clone(), provisioner: class.provisioner.clone() }, class.binds_late))
    }

    fn owner_by_volume(&self, claim: &OwnerHints<'_>, no_provisioner: bool, otherwise: Unknown) -> Owner {
        let Some(volume) = &claim.volume else { return Owner::Unknown(otherwise) };
        let missing = Unknown::VolumeMissing { volume: volume.share(), no_provisioner };
        self.complete_by_volume(Owner::Unknown(missing), claim)
    }

    /// Completes the owner with the provisioner of the claim's volume, if the volume is known.
    fn complete_by_volume(&self, owner: Owner, claim: &OwnerHints<'_>) -> Owner {
        if let Some((name, evidence)) = claim.volume_provisioner {
            return owner.with_volume((!name.is_empty()).then(|| (name.clone(), evidence)));
        }
        match claim.volume.as_deref().and_then(|name| self.volumes.get(name)) {
            Some(volume) => owner.with_volume(volume.clone()),
            None => owner,
        }
    }
}

/// The fields of a claim that lead to its owner.
#[derive(Debug)]
struct OwnerHints<'n> {
    class: Option<NameRef<'n>>,
    /// The provisioner that its annotations name, and which of them do.
    provisioner: Option<(NameRef<'n>, EvidenceSet)>,
    /// The volume that it is bound to. Kept only for a claim without a provisioner, or with only the GA annotation.
    volume: Option<NameRef<'n>>,
    has_volume: bool,
    /// The provisioner of that volume, once it has been read; empty if the volume has none.
    volume_provisioner: Option<(&'n Arc<str>, Evidence)>,
}

/// A name that is shared or borrowed.
#[derive(Debug)]
enum NameRef<'n> {
    Shared(&'n Arc<str>),
    Text(&'n str),
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

#[cfg(test)]
mod tests;
