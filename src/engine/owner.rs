//! Which storage driver a claim belongs to, in the five steps by which Stork finds it.
//!
//! Stork reads (`IsPVCOwnedByPortworx` and around it): the class of the claim, the class' provisioner, the provisioner
//! annotation that overrides it, the bound volume, and a list of provisioners. Two steps are added here: the GA key of the
//! provisioner annotation, and `spec.csi.driver` of a bound volume, without which a statically made CSI volume is nobody's.

use std::collections::HashMap;
use std::sync::Arc;

use super::driver::PORTWORX_IN_TREE;

const BETA_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const BETA_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const BETA_DEFAULT_CLASS: &str = "storageclass.beta.kubernetes.io/is-default-class";

/// What ownership depends on in a claim, or in a template of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    class: ClassName,
    provisioner: Option<Arc<str>>,
    volume: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum ClassName {
    /// None is named: the default class, if nothing is bound yet.
    #[default]
    Default,
    /// The empty name: static binding only.
    None,
    Named(Arc<str>),
}

impl Claim {
    /// Reads a claim through `annotation`, which answers a key with its value.
    ///
    /// `class` is `spec.storageClassName`, where absent and empty differ; `volume` is `spec.volumeName`.
    pub fn new<V: AsRef<str>>(
        annotation: impl Fn(&str) -> Option<V>,
        class: Option<&str>,
        volume: Option<&str>,
    ) -> Self {
        let class = match annotation(BETA_STORAGE_CLASS) {
            Some(name) => ClassName::new(Some(name.as_ref())),
            None => ClassName::new(class),
        };
        let provisioner = annotation(BETA_PROVISIONER).or_else(|| annotation(PROVISIONER));
        Self {
            class,
            provisioner: provisioner.map(|name| Arc::from(name.as_ref())),
            volume: volume.filter(|name| !name.is_empty()).map(Arc::from),
        }
    }
}

impl ClassName {
    fn new(name: Option<&str>) -> Self {
        match name {
            None => Self::Default,
            Some("") => Self::None,
            Some(name) => Self::Named(name.into()),
        }
    }
}

/// What ownership depends on in a `StorageClass`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    provisioner: Arc<str>,
    default: bool,
    /// Seconds since 1970; 0 where the class was never in a cluster.
    created: i64,
}

impl Class {
    /// Reads a class through `annotation`, which answers a key with its value. `created` is its creation in seconds since
    /// 1970.
    pub fn new<V: AsRef<str>>(annotation: impl Fn(&str) -> Option<V>, provisioner: &str, created: i64) -> Self {
        // Kubernetes compares with "true" here, and parses nothing.
        let marked = |key| annotation(key).is_some_and(|value| value.as_ref() == "true");
        Self { provisioner: provisioner.into(), default: marked(DEFAULT_CLASS) || marked(BETA_DEFAULT_CLASS), created }
    }
}

/// What ownership depends on in a `PersistentVolume`: the provisioner that it tells of, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    provisioner: Option<Arc<str>>,
}

impl Volume {
    /// Reads a volume through `annotation`, which answers a key with its value; `portworx` says whether it has an in-tree
    /// `portworxVolume`, `csi` is `spec.csi.driver`.
    pub fn new<V: AsRef<str>>(annotation: impl Fn(&str) -> Option<V>, portworx: bool, csi: Option<&str>) -> Self {
        let provisioner = match annotation(PROVISIONED_BY) {
            Some(name) if !name.as_ref().is_empty() => Some(Arc::from(name.as_ref())),
            _ if portworx => Some(PORTWORX_IN_TREE.into()),
            _ => csi.map(Arc::from),
        };
        Self { provisioner }
    }
}

/// Who owns a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The provisioner that made, or will make, its volume; and the class that says so, if one does.
    Provisioner {
        /// The class by which the provisioner was found.
        class: Option<Arc<str>>,
        /// The provisioner.
        provisioner: Arc<str>,
    },
    /// Nobody: its volume was made by hand, of a kind that no driver owns.
    Nobody,
    /// The claim does not exist.
    Missing,
    /// The claim exists, and what would tell its owner does not.
    Unknown(Unknown),
}

/// Why the owner of a claim is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The class that it names does not exist.
    #[error("its StorageClass `{0}` does not exist")]
    ClassMissing(Arc<str>),
    /// It names no class, and no class is the default.
    #[error("it names no StorageClass and the cluster has no default one")]
    NoDefaultClass,
    /// It has no class and is not bound.
    #[error("it has no StorageClass and is not bound to a volume")]
    Unbound,
    /// The volume that it is bound to does not exist.
    #[error("its PersistentVolume `{0}` does not exist")]
    VolumeMissing(Arc<str>),
}

/// Claims, classes and volumes as plain data, whoever brought them: a watch on a cluster, or files.
#[derive(Debug, Default)]
pub struct Inventory {
    /// By namespace, then by name: a look-up borrows both.
    claims: HashMap<String, HashMap<String, Claim>>,
    classes: HashMap<String, Class>,
    volumes: HashMap<String, Volume>,
}

impl Inventory {
    /// Adds a claim, or takes the place of one.
    pub fn insert_claim(&mut self, namespace: &str, name: &str, claim: Claim) {
        self.claims.entry(namespace.to_owned()).or_default().insert(name.to_owned(), claim);
    }

    /// Forgets a claim.
    pub fn remove_claim(&mut self, namespace: &str, name: &str) {
        if let Some(claims) = self.claims.get_mut(namespace) {
            claims.remove(name);
            if claims.is_empty() {
                self.claims.remove(namespace);
            }
        }
    }

    /// Forgets every claim for which `keep` (of namespace and name) says no.
    pub fn retain_claims(&mut self, keep: impl Fn(&str, &str) -> bool) {
        self.claims.retain(|namespace, claims| {
            claims.retain(|name, _| keep(namespace, name));
            !claims.is_empty()
        });
    }

    /// The classes by their names.
    pub fn classes(&mut self) -> &mut HashMap<String, Class> {
        &mut self.classes
    }

    /// The volumes by their names.
    pub fn volumes(&mut self) -> &mut HashMap<String, Volume> {
        &mut self.volumes
    }

    /// How many claims there are.
    pub fn claim_count(&self) -> usize {
        self.claims.values().map(HashMap::len).sum()
    }

    /// The owner of a claim by its name.
    pub fn owner(&self, namespace: &str, name: &str) -> Owner {
        match self.claims.get(namespace).and_then(|claims| claims.get(name)) {
            Some(claim) => self.owner_of(claim),
            None => Owner::Missing,
        }
    }

    /// The owner of a claim that may not exist yet.
    pub fn owner_of(&self, claim: &Claim) -> Owner {
        let (class, by_class) = match &claim.class {
            ClassName::Named(name) => match self.classes.get(&**name) {
                Some(class) => (Some(name.clone()), Ok(class.provisioner.clone())),
                None => (None, Err(Unknown::ClassMissing(name.clone()))),
            },
            // A claim that is bound without a class was bound by hand: the default class has no part in it.
            ClassName::Default if claim.volume.is_none() => match self.default_class() {
                Some((name, class)) => (Some(name.into()), Ok(class.provisioner.clone())),
                None => (None, Err(Unknown::NoDefaultClass)),
            },
            ClassName::Default | ClassName::None => (None, Err(Unknown::Unbound)),
        };
        let (class, provisioner) = match &claim.provisioner {
            // Kubernetes writes the annotation too, with the class' own provisioner.
            Some(name) => (class.filter(|_| by_class.as_ref() == Ok(name)), Ok(name.clone())),
            None => (class, by_class),
        };
        match provisioner {
            Ok(provisioner) if !provisioner.is_empty() => Owner::Provisioner { class, provisioner },
            unknown => self.owner_by_volume(claim, unknown.err().unwrap_or(Unknown::Unbound)),
        }
    }

    fn owner_by_volume(&self, claim: &Claim, otherwise: Unknown) -> Owner {
        let Some(name) = &claim.volume else { return Owner::Unknown(otherwise) };
        match self.volumes.get(&**name) {
            None => Owner::Unknown(Unknown::VolumeMissing(name.clone())),
            Some(Volume { provisioner: None }) => Owner::Nobody,
            Some(Volume { provisioner: Some(provisioner) }) => {
                Owner::Provisioner { class: None, provisioner: provisioner.clone() }
            }
        }
    }

    /// The default class by Kubernetes' own rule: marked as such, newest first, then by name.
    fn default_class(&self) -> Option<(&str, &Class)> {
        let defaults = self.classes.iter().filter(|(_, class)| class.default);
        defaults
            .min_by_key(|(name, class)| (std::cmp::Reverse(class.created), name.as_str()))
            .map(|(name, class)| (name.as_str(), class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Keys<'a> = &'a [(&'a str, &'a str)];

    fn in_keys<'a>(keys: Keys<'a>) -> impl Fn(&str) -> Option<&'a str> {
        move |key| keys.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    fn claim(keys: Keys<'_>, class: Option<&str>, volume: Option<&str>) -> Claim {
        Claim::new(in_keys(keys), class, volume)
    }

    fn inventory() -> Inventory {
        let mut inventory = Inventory::default();
        for (name, keys, provisioner, created) in [
            ("px", &[][..], "pxd.portworx.com", 1),
            ("old-default", &[(DEFAULT_CLASS, "true")], "old.example.test", 1),
            ("default-b", &[(DEFAULT_CLASS, "true")], "b.example.test", 2),
            ("default-a", &[(BETA_DEFAULT_CLASS, "true")], "a.example.test", 2),
            ("not-default", &[(DEFAULT_CLASS, "True")], "c.example.test", 3),
        ] {
            inventory.classes().insert(name.to_owned(), Class::new(in_keys(keys), provisioner, created));
        }
        for (name, keys, portworx, csi) in [
            ("annotated", &[(PROVISIONED_BY, "pxd.portworx.com")][..], true, Some("x.example.test")),
            ("in-tree", &[], true, None),
            ("csi", &[], false, Some("pxd.portworx.com")),
            ("by-hand", &[], false, None),
        ] {
            inventory.volumes().insert(name.to_owned(), Volume::new(in_keys(keys), portworx, csi));
        }
        inventory
    }

    fn provisioner(claim: &Claim) -> String {
        match inventory().owner_of(claim) {
            Owner::Provisioner { provisioner, .. } => provisioner.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_beta_class_annotation_wins_over_the_field_even_when_empty() {
        assert_eq!(provisioner(&claim(&[(BETA_STORAGE_CLASS, "px")], Some("default-a"), None)), "pxd.portworx.com");
        let static_only = claim(&[(BETA_STORAGE_CLASS, "")], Some("px"), None);
        assert_eq!(inventory().owner_of(&static_only), Owner::Unknown(Unknown::Unbound));
    }

    #[test]
    fn the_provisioner_annotation_wins_over_the_class_and_the_beta_key_over_the_other() {
        let both = [(PROVISIONER, "ga.example.test"), (BETA_PROVISIONER, "beta.example.test")];
        assert_eq!(provisioner(&claim(&both, Some("px"), None)), "beta.example.test");
        assert_eq!(provisioner(&claim(&both[..1], Some("px"), None)), "ga.example.test");
        let class = |annotated| match inventory().owner_of(&claim(&[(BETA_PROVISIONER, annotated)], Some("px"), None)) {
            Owner::Provisioner { class, .. } => class,
            other => panic!("{other:?}"),
        };
        assert_eq!(class("pxd.portworx.com").as_deref(), Some("px"));
        assert_eq!(class("other.example.test"), None, "it is not the class that says so");
    }

    #[test]
    fn a_claim_still_counts_after_its_class_was_deleted() {
        let gone = Some("deleted");
        assert_eq!(provisioner(&claim(&[(BETA_PROVISIONER, "pxd.portworx.com")], gone, None)), "pxd.portworx.com");
        assert_eq!(provisioner(&claim(&[], gone, Some("annotated"))), "pxd.portworx.com");
        assert_eq!(
            inventory().owner_of(&claim(&[], gone, None)),
            Owner::Unknown(Unknown::ClassMissing("deleted".into()))
        );
    }

    #[test]
    fn a_bound_volume_tells_by_annotation_then_in_tree_then_csi() {
        assert_eq!(provisioner(&claim(&[], Some(""), Some("annotated"))), "pxd.portworx.com");
        assert_eq!(provisioner(&claim(&[], Some(""), Some("in-tree"))), PORTWORX_IN_TREE);
        assert_eq!(provisioner(&claim(&[], None, Some("csi"))), "pxd.portworx.com");
        assert_eq!(inventory().owner_of(&claim(&[], Some(""), Some("by-hand"))), Owner::Nobody);
        assert_eq!(
            inventory().owner_of(&claim(&[], Some(""), Some("absent"))),
            Owner::Unknown(Unknown::VolumeMissing("absent".into()))
        );
    }

    #[test]
    fn the_default_class_is_the_newest_then_the_first_by_name() {
        let unnamed = claim(&[], None, None);
        assert_eq!(provisioner(&unnamed), "a.example.test");
        let mut inventory = inventory();
        inventory.classes().retain(|_, class| !class.default);
        assert_eq!(inventory.owner_of(&unnamed), Owner::Unknown(Unknown::NoDefaultClass));
    }

    #[test]
    fn claims_are_found_by_namespace_and_name() {
        let mut inventory = inventory();
        inventory.insert_claim("a", "data", claim(&[], Some("px"), None));
        assert!(matches!(inventory.owner("a", "data"), Owner::Provisioner { .. }));
        assert_eq!(inventory.owner("b", "data"), Owner::Missing);
        assert_eq!(inventory.owner("a", "other"), Owner::Missing);
        inventory.remove_claim("a", "data");
        assert_eq!(inventory.owner("a", "data"), Owner::Missing);
        assert_eq!(inventory.claim_count(), 0);
    }
}
