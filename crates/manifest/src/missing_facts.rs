//! Facts that decisions and rules depend on, but that the files do not contain.

use std::collections::BTreeSet;

use colocate_engine::{ClaimRef, Owner, StorageView, Unknown};

/// The facts that must be looked up in a cluster.
#[derive(Debug, Default)]
pub struct MissingFacts {
    /// The Namespaces whose opt-out matters.
    pub namespaces: BTreeSet<String>,
    /// The claims that are missing, each by its namespace and name.
    pub claims: BTreeSet<(String, String)>,
    /// The unknown owners that a StorageClass would resolve.
    pub classes: Vec<Unknown>,
    /// Whether the owner of a claim is known, but not its class.
    pub class_names: bool,
    /// Whether the parameters of that class matter.
    pub parameters: bool,
    /// The missing volumes that determine the owner of a claim, or whether Stork recognizes it.
    pub volumes: BTreeSet<String>,
    /// Whether the placement strategies matter.
    pub strategies: bool,
}

impl MissingFacts {
    /// Adds the missing facts about a claim in `view`. `namespace` is the namespace of its pod.
    pub fn add(&mut self, claim: &ClaimRef<'_>, view: &impl StorageView, namespace: &str) {
        match (claim, claim.owner_in(view, namespace)) {
            (ClaimRef::Named(name), Owner::Missing | Owner::Unknown(Unknown::Elsewhere(_))) => {
                self.claims.insert((namespace.to_owned(), name.to_string()));
            }
            (_, Owner::Unknown(Unknown::VolumeMissing { volume, .. })) => {
                self.volumes.insert(volume.to_string());
            }
            (_, Owner::Unknown(unknown @ (Unknown::ClassMissing(_) | Unknown::NoDefaultClass))) => {
                self.classes.push(unknown);
            }
            (ClaimRef::Named(_) | ClaimRef::Template { .. }, Owner::Provisioner { class, unread_volume, .. }) => {
                self.class_names |= class.is_none();
                self.volumes.extend(unread_volume.map(|volume| volume.to_string()));
            }
            _ => {}
        }
    }
}
