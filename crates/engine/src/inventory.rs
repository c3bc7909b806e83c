//! Which storage driver a claim belongs to, in the five steps by which Stork finds it.
//!
//! Stork reads (`IsPVCOwnedByPortworx` and around it): the class of the claim, the class' provisioner, the provisioner
//! annotation that overrides it, the bound volume, and a list of provisioners. Two steps are added here: the GA key of the
//! provisioner annotation, and `spec.csi.driver` of a bound volume, without which a statically made CSI volume is nobody's.

mod record;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use super::facts::{AccessModes, Claim, Class, Volume};
use super::owner::{Owner, Unknown};
use super::setting::Settings;
use record::Records;

/// Claims, classes and volumes as plain data, whoever brought them: a watch on a cluster, or files.
///
/// Made for a million claims: one costs its name and 40 bytes, and is found by two look-ups that copy nothing.
#[derive(Debug, Default)]
pub struct Inventory {
    claims: Records,
    classes: HashMap<Arc<str>, OwnedClass>,
    /// The class that is Kubernetes' choice where a claim names none.
    default_class: Option<Arc<str>>,
    volumes: HashMap<Box<str>, Option<Arc<str>>>,
    /// The number of the last listing that was begun.
    listings: u16,
}

/// A list of all objects of a kind that is being read: what it does not bring is forgotten when it ends, and not before,
/// so that there is no moment without an answer, and no second map.
#[derive(Debug)]
pub struct Listing {
    /// The one namespace that is listed.
    namespace: Option<Box<str>>,
    number: u16,
}

#[derive(Debug)]
struct OwnedClass {
    provisioner: Arc<str>,
    default: bool,
    created: i64,
    parameters: Settings,
    listing: u16,
}

/// What is known of one claim, beside its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimUse<'i> {
    /// How it may be mounted.
    pub access: AccessModes,
    /// Whether it has its volume.
    pub bound: bool,
    /// Its annotations that Stork reads.
    pub settings: Option<&'i Settings>,
}

impl Inventory {
    /// Adds a claim, or takes the place of one.
    pub fn insert_claim(&mut self, namespace: &str, name: &str, claim: &Claim<'_>) {
        self.claims.insert(namespace, name, claim, self.listings);
    }

    /// Forgets a claim.
    pub fn remove_claim(&mut self, namespace: &str, name: &str) {
        self.claims.remove(namespace, name);
    }

    /// Keeps what the volume of a claim told: a volume's source never changes.
    ///
    /// Nothing is kept where the claim has gone, or been bound to another volume, since.
    pub fn volume_told(&mut self, namespace: &str, name: &str, volume: &str, told: &Volume<'_>) {
        self.claims.volume_told(namespace, name, volume, told.provisioner.as_deref());
    }

    /// Adds a class, or takes the place of one.
    pub fn insert_class(&mut self, name: &str, class: Class<'_>) {
        self.put_class(name, class, self.listings);
    }

    /// Forgets a class.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
        self.choose_default_class();
    }

    /// Adds a volume, or takes the place of one.
    pub fn insert_volume(&mut self, name: &str, volume: Volume<'_>) {
        self.volumes.insert(name.into(), volume.provisioner.map(Into::into));
    }

    /// Begins a list of the claims of one namespace, or of all, or of all classes. One that was begun and never ended leaves
    /// what it brought.
    pub fn list(&mut self, namespace: Option<&str>) -> Listing {
        self.listings = self.listings.wrapping_add(1);
        Listing { namespace: namespace.map(Into::into), number: self.listings }
    }

    /// Adds a claim that a list brought.
    pub fn insert_listed_claim(&mut self, listing: &Listing, namespace: &str, name: &str, claim: &Claim<'_>) {
        self.claims.insert(namespace, name, claim, listing.number);
    }

    /// Adds a class that a list brought.
    pub fn insert_listed_class(&mut self, listing: &Listing, name: &str, class: Class<'_>) {
        self.put_class(name, class, listing.number);
    }

    /// A claim is in the list, and what it says cannot be read: what is known of it stays.
    pub fn keep_listed_claim(&mut self, listing: &Listing, namespace: &str, name: &str) {
        self.claims.keep(namespace, name, listing.number);
    }

    /// A class is in the list, and what it says cannot be read: what is known of it stays.
    pub fn keep_listed_class(&mut self, listing: &Listing, name: &str) {
        if let Some(class) = self.classes.get_mut(name) {
            class.listing = listing.number;
        }
    }

    /// Forgets the claims that the list did not bring.
    pub fn end_claims(&mut self, listing: &Listing) {
        self.claims.retain_listed(listing.namespace.as_deref(), listing.number);
    }

    /// Forgets the classes that the list did not bring.
    pub fn end_classes(&mut self, listing: &Listing) {
        self.classes.retain(|_, class| class.listing == listing.number);
        self.choose_default_class();
    }

    /// How many claims there are.
    pub fn claim_count(&self) -> usize {
        self.claims.len()
    }

    /// How many classes there are.
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// The owner of a claim by its name.
    pub fn owner(&self, namespace: &str, name: &str) -> Owner {
        match self.claims.get(namespace, name) {
            Some(record) => self.owner_by(&self.claims.names(record)),
            None => Owner::Missing,
        }
    }

    /// The owner of a claim that may not exist yet.
    pub fn owner_of(&self, claim: &Claim<'_>) -> Owner {
        self.owner_by(&Names {
            class: claim.class.as_deref().map(Name::Text),
            provisioner: claim.provisioner.as_deref().map(Name::Text),
            volume: claim.volume.as_deref().map(Name::Text),
            has_volume: claim.volume.is_some(),
            told_by_volume: None,
        })
    }

    /// What else is known of a claim.
    pub fn claim_use(&self, namespace: &str, name: &str) -> Option<ClaimUse<'_>> {
        self.claims.get(namespace, name).map(|record| self.claims.claim_use(record))
    }

    /// The parameters of a class that Stork reads.
    pub fn class_parameters(&self, name: &str) -> Option<&Settings> {
        self.classes.get(name).map(|class| &class.parameters)
    }

    fn put_class(&mut self, name: &str, class: Class<'_>, listing: u16) {
        let Class { provisioner, default, created, parameters } = class;
        let class = OwnedClass { provisioner: provisioner.into(), default, created, parameters, listing };
        self.classes.insert(name.into(), class);
        self.choose_default_class();
    }

    /// Kubernetes' own rule: of those that are marked, the newest, then the first by name.
    fn choose_default_class(&mut self) {
        let defaults = self.classes.iter().filter(|(_, class)| class.default);
        let chosen = defaults.min_by_key(|(name, class)| (Reverse(class.created), &***name));
        self.default_class = chosen.map(|(name, _)| name.clone());
    }

    fn owner_by(&self, claim: &Names<'_>) -> Owner {
        let class = match &claim.class {
            Some(name) if name.is_empty() => Err(Unknown::Unbound),
            Some(name) => self.classes.get_key_value(&**name).ok_or_else(|| Unknown::ClassMissing(name.share())),
            // A claim that is bound without a class was bound by hand: the default class has no part in it.
            None if claim.has_volume => Err(Unknown::Unbound),
            None => {
                let default = self.default_class.as_ref().and_then(|name| self.classes.get_key_value(name));
                default.ok_or(Unknown::NoDefaultClass)
            }
        };
        let (class, provisioner) = match (&claim.provisioner, class) {
            // Kubernetes writes the annotation too, with the class' own provisioner.
            (Some(name), Ok((class, OwnedClass { provisioner, .. }))) if **name == **provisioner => {
                (Some(class.clone()), Ok(provisioner.clone()))
            }
            (Some(name), _) => (None, Ok(name.share())),
            (None, Ok((class, OwnedClass { provisioner, .. }))) => (Some(class.clone()), Ok(provisioner.clone())),
            (None, Err(unknown)) => (None, Err(unknown)),
        };
        match provisioner {
            Ok(provisioner) if !provisioner.is_empty() => Owner::Provisioner { class, provisioner },
            unknown => self.owner_by_volume(claim, unknown.err().unwrap_or(Unknown::Unbound)),
        }
    }

    fn owner_by_volume(&self, claim: &Names<'_>, otherwise: Unknown) -> Owner {
        let Some(volume) = &claim.volume else { return Owner::Unknown(otherwise) };
        let told = match claim.told_by_volume {
            Some(provisioner) => Some(provisioner).filter(|provisioner| !provisioner.is_empty()),
            None => match self.volumes.get(&**volume) {
                Some(provisioner) => provisioner.as_ref(),
                None => return Owner::Unknown(Unknown::VolumeMissing(volume.share())),
            },
        };
        match told {
            Some(provisioner) => Owner::Provisioner { class: None, provisioner: provisioner.clone() },
            None => Owner::Nobody,
        }
    }
}

/// What a claim says of its owner.
#[derive(Debug)]
struct Names<'n> {
    class: Option<Name<'n>>,
    provisioner: Option<Name<'n>>,
    /// The volume that it is bound to; known only where it is needed, which is without a provisioner.
    volume: Option<Name<'n>>,
    has_volume: bool,
    /// What that volume told when it was asked; empty if it told nothing.
    told_by_volume: Option<&'n Arc<str>>,
}

/// A name that is shared already, or not.
#[derive(Debug)]
enum Name<'n> {
    Shared(&'n Arc<str>),
    Text(&'n str),
}

impl Name<'_> {
    fn share(&self) -> Arc<str> {
        match self {
            Self::Shared(name) => Arc::clone(name),
            Self::Text(name) => Arc::from(*name),
        }
    }
}

impl Deref for Name<'_> {
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
