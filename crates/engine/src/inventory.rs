//! Claims, classes and volumes as plain data, in which the owners of claims are found.

mod record;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::evidence::Evidence;
use super::owner::{Owner, Unknown};
use super::setting::Settings;
use super::storage_facts::{AccessModes, ClaimFacts, ClassFacts, VolumeFacts};
use super::storage_view::{ClaimUse, ClassEntry, StorageView};
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

    /// The owner of a claim, whose class and volume `view` has.
    pub fn owner_seen_by(&self, view: &impl StorageView, namespace: &str, name: &str) -> Owner {
        match self.claims.get(namespace, name) {
            Some(record) => self.claims.hints(record).owner(view),
            None => Owner::Missing,
        }
    }

    fn entry(&self, name: &str) -> Option<ClassEntry<'_>> {
        let (name, OwnedClass { provisioner, binds_late, parameters, .. }) = self.classes.get_key_value(name)?;
        Some(ClassEntry { name, provisioner, binds_late: *binds_late, parameters })
    }
}

impl StorageView for Inventory {
    fn owner(&self, namespace: &str, name: &str) -> Owner {
        self.owner_seen_by(self, namespace, name)
    }

    fn claim_use(&self, namespace: &str, name: &str) -> Option<ClaimUse<'_>> {
        self.claims.get(namespace, name).map(|record| self.claims.claim_use(record))
    }

    fn find_class(&self, name: &str) -> Result<ClassEntry<'_>, Unknown> {
        self.entry(name).ok_or_else(|| Unknown::ClassMissing(name.into()))
    }

    fn find_default_class(&self) -> Result<ClassEntry<'_>, Unknown> {
        self.default_class.as_ref().and_then(|name| self.entry(name)).ok_or(Unknown::NoDefaultClass)
    }

    fn find_volume(&self, name: &str) -> Result<Option<(&Arc<str>, Evidence)>, Unknown> {
        let missing = || Unknown::VolumeMissing { volume: name.into(), no_provisioner: false };
        let provisioner = self.volumes.get(name).ok_or_else(missing)?;
        Ok(provisioner.as_ref().map(|(name, evidence)| (name, *evidence)))
    }

    fn visibility(&self) -> &Visibility {
        &self.visibility
    }
}

#[cfg(test)]
mod tests;
