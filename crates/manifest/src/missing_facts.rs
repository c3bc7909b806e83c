//! What is not known of claims, and matters.

use std::collections::BTreeSet;

use colocate_engine::{ClaimRef, Inventory, Owner, Unknown};

/// What is asked about claims and is not known.
#[derive(Debug, Default)]
pub struct MissingFacts {
    /// The Namespaces whose opt-out counts.
    pub namespaces: BTreeSet<String>,
    /// Claims that are missing: a namespace and a name each.
    pub claims: BTreeSet<(String, String)>,
    /// Why claims have no owner, where a class would tell it.
    pub classes: Vec<Unknown>,
    /// Whether a claim has an owner, but not the class that it may be of.
    pub class_names: bool,
    /// Whether the parameters of that class count.
    pub parameters: bool,
    /// Volumes that are missing, where one would tell the owner of a claim.
    pub volumes: BTreeSet<String>,
    /// Whether somebody asks which placement strategies there are.
    pub strategies: bool,
}

impl MissingFacts {
    /// Adds what is not known of a claim; `namespace` is that of its pod.
    pub fn add(&mut self, claim: &ClaimRef<'_>, inventory: &Inventory, namespace: &str) {
        match (claim, claim.owner_in(inventory, namespace)) {
            (ClaimRef::Named(name), Owner::Missing) => {
                self.claims.insert((namespace.to_owned(), name.to_string()));
            }
            (_, Owner::Unknown(Unknown::VolumeMissing(name))) => {
                self.volumes.insert(name.to_string());
            }
            (_, Owner::Unknown(unknown @ (Unknown::ClassMissing(_) | Unknown::NoDefaultClass))) => {
                self.classes.push(unknown);
            }
            (ClaimRef::Named(_) | ClaimRef::Template { .. }, Owner::Provisioner { class: None, .. }) => {
                self.class_names = true;
            }
            _ => {}
        }
    }
}
