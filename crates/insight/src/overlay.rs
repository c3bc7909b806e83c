//! The storage of a cluster after files were applied.

use std::collections::HashMap;
use std::sync::Arc;

use colocate_engine::{
    ClaimFacts, ClaimUse, ClassEntry, ClassFacts, Evidence, Inventory, Owner, StorageView, Unknown, Visibility,
    VolumeFacts,
};

/// The claims, classes and volumes of a cluster, with those of files in place of the live ones.
#[derive(Debug)]
pub struct Overlay<'a> {
    live: &'a Inventory,
    claims: HashMap<(Box<str>, Box<str>), ClaimFacts<'static>>,
    /// All classes, because the default class is one of all, and the volumes of the files.
    replaced: Inventory,
}

impl<'a> Overlay<'a> {
    /// Creates the view. Its classes are those that are inserted.
    pub fn new(live: &'a Inventory) -> Self {
        Self { live, claims: HashMap::new(), replaced: Inventory::default() }
    }

    /// Adds or replaces a claim.
    pub fn insert_claim(&mut self, namespace: &str, name: &str, claim: ClaimFacts<'_>) {
        self.claims.insert((namespace.into(), name.into()), claim.into_owned());
    }

    /// Adds or replaces a class.
    pub fn insert_class(&mut self, name: &str, class: ClassFacts<'_>) {
        self.replaced.insert_class(name, class);
    }

    /// Adds or replaces a volume.
    pub fn insert_volume(&mut self, name: &str, volume: VolumeFacts<'_>) {
        self.replaced.insert_volume(name, volume);
    }

    /// The claims that were inserted, each with its namespace and name.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &str, &ClaimFacts<'static>)> {
        self.claims.iter().map(|((namespace, name), claim)| (&**namespace, &**name, claim))
    }

    /// Binds a claim of the files to a volume that is reserved for it.
    pub fn reserve(&mut self, namespace: &str, claim: &str, volume: &str) {
        if let Some(claim) = self.claims.get_mut(&(Box::from(namespace), Box::from(claim)))
            && claim.volume.is_none()
        {
            claim.volume = Some(volume.to_owned().into());
        }
    }
}

impl StorageView for Overlay<'_> {
    fn owner(&self, namespace: &str, name: &str) -> Owner {
        match self.claims.get(&(Box::from(namespace), Box::from(name))) {
            Some(claim) => self.owner_of(claim),
            None => self.live.owner_seen_by(self, namespace, name),
        }
    }

    fn claim_use(&self, namespace: &str, name: &str) -> Option<ClaimUse<'_>> {
        match self.claims.get(&(Box::from(namespace), Box::from(name))) {
            Some(claim) => Some(ClaimUse::from(claim)),
            None => self.live.claim_use(namespace, name),
        }
    }

    fn find_class(&self, name: &str) -> Result<ClassEntry<'_>, Unknown> {
        self.replaced.find_class(name)
    }

    fn find_default_class(&self) -> Result<ClassEntry<'_>, Unknown> {
        self.replaced.find_default_class()
    }

    fn find_volume(&self, name: &str) -> Result<Option<(&Arc<str>, Evidence)>, Unknown> {
        self.replaced.find_volume(name).or_else(|_| self.live.find_volume(name))
    }

    fn visibility(&self) -> &Visibility {
        self.live.visibility()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(provisioner: &'static str, default: bool, created: i64) -> ClassFacts<'static> {
        ClassFacts { provisioner: provisioner.into(), default, created, ..ClassFacts::default() }
    }

    fn claim(class: Option<&'static str>, volume: Option<&'static str>) -> ClaimFacts<'static> {
        ClaimFacts { class: class.map(Into::into), volume: volume.map(Into::into), ..ClaimFacts::default() }
    }

    #[test]
    fn what_files_describe_replaces_what_is_live() {
        let mut live = Inventory::default();
        live.insert_class("a", class("a.example.com", false, 1));
        live.insert_claim("db", "old", &claim(Some("a"), None));
        live.insert_claim("db", "default", &claim(None, None));
        live.insert_claim("db", "bound", &claim(Some("gone"), Some("pv")));
        let mut after = Overlay::new(&live);
        after.insert_class("a", class("b.example.com", false, 1));
        after.insert_class("new", class("new.example.com", true, 2));
        after.insert_claim("db", "added", claim(Some("a"), None));
        after.insert_claim("db", "reserved", claim(Some(""), None));
        after
            .insert_volume("pv", VolumeFacts { provisioner: Some(("pv.example.com".into(), Evidence::ProvisionedBy)) });
        after.reserve("db", "reserved", "pv");
        after.reserve("db", "old", "pv");
        let provisioner = |name: &str| match after.owner("db", name) {
            Owner::Provisioner { provisioner, .. } => provisioner.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(provisioner("old"), "b.example.com");
        assert_eq!(provisioner("default"), "new.example.com");
        assert_eq!(provisioner("added"), "b.example.com");
        assert_eq!(provisioner("bound"), "pv.example.com");
        assert_eq!(provisioner("reserved"), "pv.example.com");
        assert_eq!(after.owner("db", "absent"), Owner::Missing);
    }
}
