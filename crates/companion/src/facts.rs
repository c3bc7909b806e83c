//! Facts about an object's surroundings: claims, placement strategies, and its Namespace's opt-out.

use std::collections::BTreeSet;

use colocate_engine::{Absence, AccessModes, ClaimRef, Inventory, Owner, Setting, Settings, parse_bool};

/// The facts that rules depend on in addition to the object itself.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The claims of [`Subject::claims`](super::Subject::claims), in the same order.
    pub claims: Vec<MountedClaim>,
    /// The placement strategies that exist.
    pub strategies: Strategies,
    /// Whether the object's Namespace opts out by its label.
    pub namespace_opted_out: bool,
}

/// A claim that a pod mounts, or that is itself checked. By default, nothing is known about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MountedClaim {
    /// Its owner.
    pub owner: Owner,
    /// The reason why its owner was not found, if applicable.
    pub absence: Absence,
    /// Its access modes, if they are known.
    pub access: Option<AccessModes>,
    /// Its annotations that Stork reads.
    pub settings: Settings,
    /// The parameters of its class that Stork reads, if the class is known.
    pub parameters: Option<Settings>,
}

impl MountedClaim {
    /// Looks up a claim in `inventory`. `namespace` is the namespace of the pod.
    pub fn find(claim: &ClaimRef<'_>, inventory: &Inventory, namespace: &str) -> Self {
        let owner = claim.owner_in(inventory, namespace);
        let known = claim.use_in(inventory, namespace);
        let class = match &owner {
            Owner::Provisioner { class: Some(class), .. } => Some(&**class),
            _ => None,
        };
        Self {
            absence: inventory.visibility.absence(namespace, claim.name(), &owner),
            access: known.map(|known| known.access),
            settings: known.and_then(|known| known.settings).cloned().unwrap_or_default(),
            parameters: class.and_then(|class| inventory.class_parameters(class)).cloned(),
            owner,
        }
    }

    /// The effective value: that of the claim, or else that of its class.
    pub(super) fn setting(&self, setting: Setting) -> Option<&str> {
        self.settings.get(setting).or_else(|| self.parameters.as_ref()?.get(setting))
    }

    /// Returns whether its volume is, or will be, a sharedv4 service volume; `None` if that is not known.
    pub(super) fn is_shared(&self) -> Option<bool> {
        let many = self.access.map(|access| access.contains("ReadWriteMany"));
        match self.parameters.as_ref().map(sharedv4_service) {
            Some(Some(service)) => Some(service),
            // Portworx creates a sharedv4 service volume for a ReadWriteMany claim.
            Some(None) => many,
            None => many.filter(|many| *many),
        }
    }
}

/// Returns whether a class creates sharedv4 service volumes; `None` if it does so for `ReadWriteMany` claims only.
pub(super) fn sharedv4_service(parameters: &Settings) -> Option<bool> {
    let service = parameters.get(Setting::Sharedv4ServiceType);
    if service == Some("") {
        // An empty type disables the service.
        return Some(false);
    }
    match parameters.get(Setting::Sharedv4) {
        Some(value) => parse_bool(value),
        None => service.map(|_| true),
    }
}

/// The `VolumePlacementStrategies` (`portworx.io/v1beta2`, cluster-scoped) that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategies {
    /// All that exist.
    All(BTreeSet<String>),
    /// The cluster does not have the kind: references to a strategy are not checked.
    NotInstalled,
    /// Only some of those that exist are known.
    Some {
        /// The names that are known.
        known: BTreeSet<String>,
        /// The reason why others may exist.
        why: String,
    },
}

impl Strategies {
    /// The names that are known; `None` if the kind is not installed.
    pub fn names(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::All(names) | Self::Some { known: names, .. } => Some(names),
            Self::NotInstalled => None,
        }
    }

    /// Adds a strategy that exists or is about to be created.
    pub fn insert(&mut self, name: String) {
        match self {
            Self::All(names) | Self::Some { known: names, .. } => drop(names.insert(name)),
            Self::NotInstalled => {}
        }
    }
}

impl Default for Strategies {
    fn default() -> Self {
        Self::Some { known: BTreeSet::new(), why: "no cluster was queried".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(Setting, &str)]) -> Settings {
        Settings::read(|key| pairs.iter().find(|(own, _)| own.key() == key).map(|(_, value)| *value))
    }

    #[test]
    fn a_volume_is_shared_by_its_class_or_its_access_mode() {
        let many: AccessModes = ["ReadWriteMany"].into_iter().collect();
        let once: AccessModes = ["ReadWriteOnce"].into_iter().collect();
        let shared = |access, parameters: Option<&[(Setting, &str)]>| {
            MountedClaim { access, parameters: parameters.map(settings), ..MountedClaim::default() }.is_shared()
        };
        let (yes, no) = (&[(Setting::Sharedv4, "true")][..], &[(Setting::Sharedv4, "false")][..]);
        let no_service = &[(Setting::Sharedv4, "true"), (Setting::Sharedv4ServiceType, "")][..];
        for (access, parameters, expected) in [
            (Some(once), Some(yes), Some(true)),
            (Some(many), Some(no), Some(false)),
            (Some(many), Some(no_service), Some(false)),
            (Some(many), Some(&[][..]), Some(true)),
            (Some(once), Some(&[][..]), Some(false)),
            (Some(many), None, Some(true)),
            (Some(once), None, None),
            (None, None, None),
            (None, Some(yes), Some(true)),
        ] {
            assert_eq!(shared(access, parameters), expected, "{access:?} {parameters:?}");
        }
    }
}
