//! Facts about an object's surroundings: claims, placement strategies, and its Namespace's opt-out.

use std::collections::BTreeSet;

use colocate_engine::{
    Absence, AccessModes, ClaimRef, ClaimUse, ClassUse, Driver, Evidence, Owner, PORTWORX_PROVISIONERS, Setting,
    Settings, StorageView, is_same_driver, parse_bool,
};

/// The facts that rules depend on in addition to the object itself.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The claims of [`Subject::claims`](super::Subject::claims), in the same order.
    pub claims: Vec<MountedClaim>,
    /// The access modes of the known claims of the class, if the object is one; `None` if there are none.
    pub class_access: Option<AccessModes>,
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
    /// Its class, if that is known.
    pub class: Option<MountedClass>,
    /// Whether it is bound to a volume, or requests one by name.
    pub bound: bool,
    /// Whether Stork's scheduler recognizes it according to Stork's sources of October 2024, if that is known.
    pub recognized: Option<bool>,
}

/// The class of a claim. A claim without a class has the default of this type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MountedClass {
    /// The parameters that Stork and Portworx read.
    pub parameters: Settings,
    /// Whether a claim is bound, and its volume created, only when its first pod is scheduled.
    pub binds_late: bool,
}

impl From<ClassUse<'_>> for MountedClass {
    fn from(ClassUse { parameters, binds_late }: ClassUse<'_>) -> Self {
        Self { parameters: parameters.clone(), binds_late }
    }
}

/// The way in which Stork's filter treats a Portworx volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeKind {
    /// `preferLocalNodeOnly` restricts its pods to nodes with a replica.
    Ordinary,
    /// A sharedv4 service volume: it is exempt from `preferLocalNodeOnly`, and `preferRemoteNodeOnly` restricts its pods to
    /// nodes without a replica.
    Shared,
    /// Its data is on a storage array or a file server, so no node has a replica.
    External,
    /// A volume for Windows nodes: Stork does not restrict its pods at all.
    Windows,
}

impl MountedClaim {
    /// Looks up a claim in `view`. `namespace` is the namespace of the pod.
    pub fn find(claim: &ClaimRef<'_>, view: &impl StorageView, namespace: &str) -> Self {
        Self::with_owner(claim, claim.owner_in(view, namespace), view, namespace)
    }

    /// Looks up a claim whose owner is known from elsewhere.
    pub fn with_owner(claim: &ClaimRef<'_>, owner: Owner, view: &impl StorageView, namespace: &str) -> Self {
        let known = claim.use_in(view, namespace);
        let named = known.and_then(|known| known.class).filter(|name| !name.is_empty());
        let class = match &owner {
            // If another driver is annotated, the class is not the one that the volume was created with.
            Owner::Provisioner { class: Some(class), provisioner, .. }
                if is_same_driver(&class.provisioner, provisioner) =>
            {
                view.class(&class.name).map(MountedClass::from)
            }
            // A claim of an existing volume may name a class that provisions nothing.
            Owner::Provisioner { evidence, .. } if named.is_some() && evidence.contains_any(&OF_VOLUME) => {
                named.and_then(|name| view.class(name)).map(MountedClass::from)
            }
            // A volume that was created manually has no class, and neither does an inline volume.
            Owner::Provisioner { .. } if named.is_none() => Some(MountedClass::default()),
            _ => None,
        };
        Self {
            absence: view.visibility().absence(namespace, claim.name(), &owner),
            access: match claim {
                ClaimRef::Inline { .. } => Some(AccessModes::default()),
                ClaimRef::Named(_) | ClaimRef::Template { .. } => known.map(|known| known.access),
            },
            settings: known.and_then(|known| known.settings).cloned().unwrap_or_default(),
            bound: known.is_some_and(|known| known.bound),
            recognized: known_to_stork(&owner, known),
            class,
            owner,
        }
    }

    /// The effective value: that of the claim, or else that of its class.
    pub fn setting(&self, setting: Setting) -> Option<&str> {
        self.settings.get(setting).or_else(|| self.class.as_ref()?.parameters.get(setting))
    }

    /// The way in which Stork treats its volume; `None` if that depends on a class that is not known.
    pub fn volume_kind(&self) -> Option<VolumeKind> {
        Some(VolumeKind::of(self.access?, &self.class.as_ref()?.parameters))
    }

    /// Returns whether its volume is, or will be, a sharedv4 service volume; `None` if that is not known.
    pub fn is_shared(&self) -> Option<bool> {
        match self.access {
            // Whatever the class is.
            Some(access) if !is_multi_node(access) => Some(false),
            _ => self.volume_kind().map(|kind| kind == VolumeKind::Shared),
        }
    }

    /// Returns true if the class of its volume, which is sharedv4, states that the volume has a service. Otherwise, Portworx
    /// decides when it creates the volume.
    pub(super) fn has_service(&self) -> bool {
        let parameters = self.class.as_ref().map(|class| &class.parameters);
        parameters.and_then(|parameters| parameters.get(Setting::Sharedv4ServiceType)).is_some()
    }

    /// Returns whether its volume is created only when its first pod is placed, and does not exist yet; `None` if that
    /// depends on a class that is not known.
    pub(super) fn awaits_consumer(&self) -> Option<bool> {
        if self.bound { Some(false) } else { self.class.as_ref().map(|class| class.binds_late) }
    }

    /// Returns true if Stork restricts the pod to nodes without a replica of its volume.
    pub fn is_remote_only(&self) -> bool {
        let flag = |setting| self.setting(setting).and_then(parse_bool);
        self.volume_kind() == Some(VolumeKind::Shared)
            && flag(Setting::PreferRemoteNodeOnly) == Some(true)
            && flag(Setting::PreferRemoteNode) != Some(false)
    }

    /// Returns whether the scheduler of `driver` recognizes the volume; `None` if that is not known. What the configuration
    /// states is true. It states nothing by default, and then Stork's sources decide.
    pub fn recognized_by(&self, driver: &Driver) -> Option<bool> {
        if !matches!(self.owner, Owner::Provisioner { .. }) {
            return None;
        }
        if !driver.states_recognition() {
            return self.recognized;
        }
        if driver.recognises_owner(&self.owner) {
            return Some(true);
        }
        // The volume, which has not been read, may name the driver too.
        if driver.needs_volume(&self.owner) { None } else { Some(false) }
    }

    /// Returns the reason why Stork's scheduler does not recognize the volume as one of Portworx, and a remedy; `None`
    /// if the scheduler recognizes it, or if that is not known. `driver` is the one that Stork belongs to.
    pub(super) fn unrecognized(&self, driver: &Driver) -> Option<(&'static str, &'static str)> {
        const USE_A_CLAIM: &str = "mount a PersistentVolumeClaim of a Portworx class instead";
        let Owner::Provisioner { evidence, .. } = &self.owner else { return None };
        if self.recognized_by(driver) != Some(false) {
            return None;
        }
        let reasons = [
            (
                Evidence::Ephemeral,
                "generic ephemeral volumes are read only since Stork 25.2.0",
                "update Stork and list `ephemeral` in `recognises` of the driver, or mount a PersistentVolumeClaim",
            ),
            (Evidence::InlineCsi, "inline CSI volumes are not read", USE_A_CLAIM),
            (
                Evidence::StaticCsi,
                "its PersistentVolume has no annotation pv.kubernetes.io/provisioned-by",
                "set pv.kubernetes.io/provisioned-by to the CSI driver on the PersistentVolume",
            ),
            (
                Evidence::GaProvisionerAnnotation,
                "only the annotation volume.kubernetes.io/storage-provisioner names its driver",
                "set volume.beta.kubernetes.io/storage-provisioner on the claim too",
            ),
            (
                Evidence::NoProvisioner,
                "its claim names kubernetes.io/no-provisioner, and Stork does not read the volume then",
                "use storageClassName \"\" for the claim and the volume, and set pv.kubernetes.io/provisioned-by on the volume",
            ),
        ];
        let reason = reasons.into_iter().find(|(own, _, _)| evidence.contains(*own));
        Some(reason.map_or(
            (
                "`recognises` of the driver does not list the field that names it",
                "add that field to `recognises`, if Stork reads it",
            ),
            |(_, reason, remedy)| (reason, remedy),
        ))
    }
}

impl VolumeKind {
    /// The kind of a volume that Portworx' CSI driver creates for a claim with these access modes and a class with these
    /// parameters.
    ///
    /// As in openstorage (`resolveSharedSpec`), the access modes override `sharedv4` in both directions, and the older
    /// `shared` replaces it. Portworx adds a service to each sharedv4 volume; Stork treats a volume with an empty
    /// `sharedv4_svc_type` as if it had one.
    pub(super) fn of(access: AccessModes, parameters: &Settings) -> Self {
        let flag = |setting| parameters.get(setting).and_then(parse_bool) == Some(true);
        let is_pure = |backend: &str| backend.to_ascii_lowercase().starts_with("pure_");
        if flag(Setting::Winshare) {
            Self::Windows
        } else if parameters.get(Setting::Backend).is_some_and(is_pure)
            || parameters.get(Setting::ProxyEndpoint).is_some_and(|endpoint| !endpoint.is_empty())
        {
            Self::External
        } else if is_multi_node(access) && (flag(Setting::Sharedv4) || !flag(Setting::Shared)) {
            Self::Shared
        } else {
            Self::Ordinary
        }
    }
}

/// Returns whether Stork's scheduler finds a volume; `None` if that is not known.
///
/// Stork's filter looks at the claims of a pod and at `portworxVolume`, and finds the owner of a claim by its class, the beta
/// annotation, and the annotation or the in-tree source of its volume.
fn known_to_stork(owner: &Owner, claim: Option<ClaimUse<'_>>) -> Option<bool> {
    let Owner::Provisioner { class, evidence, unread_volume, .. } = owner else { return None };
    if evidence.contains_any(&READ_BY_STORK) {
        return Some(true);
    }
    if unread_volume.is_some() {
        return None;
    }
    if !evidence.contains(Evidence::GaProvisionerAnnotation) || evidence.contains_any(&OF_VOLUME) {
        return Some(false);
    }
    // Stork does not read this annotation, but the class may name the driver too.
    if claim?.class.is_some_and(|name| !name.is_empty()) {
        return class.as_ref().map(|class| is_of_portworx(&class.provisioner));
    }
    Some(false)
}

/// The fields in which Stork finds the owner of a claim.
const READ_BY_STORK: [Evidence; 4] =
    [Evidence::Class, Evidence::BetaProvisionerAnnotation, Evidence::ProvisionedBy, Evidence::InTree];

/// The evidence of a volume that was not provisioned by the claim's class.
const OF_VOLUME: [Evidence; 4] =
    [Evidence::StaticCsi, Evidence::ProvisionedBy, Evidence::InTree, Evidence::NoProvisioner];

fn is_of_portworx(provisioner: &str) -> bool {
    PORTWORX_PROVISIONERS.contains(&provisioner)
}

/// Returns true if pods on several nodes may mount the volume.
pub(super) fn is_multi_node(access: AccessModes) -> bool {
    access.contains("ReadWriteMany") || access.contains("ReadOnlyMany")
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
    use colocate_engine::{ClaimFacts, ClassFacts, Inventory, VolumeFacts};

    use super::*;

    fn settings(pairs: &[(Setting, &str)]) -> Settings {
        Settings::read(|key| pairs.iter().find(|(own, _)| own.key() == key).map(|(_, value)| *value))
    }

    #[test]
    fn access_modes_decide_about_sharing_and_the_class_about_the_rest() {
        use Setting::{Backend, ProxyEndpoint, Shared, Sharedv4, Sharedv4ServiceType, Winshare};
        let kind =
            |mode: &str, pairs: &[(Setting, &str)]| VolumeKind::of([mode].into_iter().collect(), &settings(pairs));
        for (mode, pairs, expected) in [
            ("ReadWriteOnce", &[][..], VolumeKind::Ordinary),
            ("ReadWriteOncePod", &[(Sharedv4, "true")], VolumeKind::Ordinary),
            ("ReadWriteOnce", &[(Sharedv4, "true"), (Sharedv4ServiceType, "ClusterIP")], VolumeKind::Ordinary),
            ("ReadWriteMany", &[], VolumeKind::Shared),
            ("ReadOnlyMany", &[], VolumeKind::Shared),
            ("ReadWriteMany", &[(Sharedv4, "false")], VolumeKind::Shared),
            ("ReadOnlyMany", &[(Sharedv4, "true"), (Sharedv4ServiceType, "")], VolumeKind::Shared),
            ("ReadWriteMany", &[(Shared, "true")], VolumeKind::Ordinary),
            ("ReadWriteMany", &[(Shared, "true"), (Sharedv4, "false")], VolumeKind::Ordinary),
            ("ReadWriteMany", &[(Shared, "true"), (Sharedv4, "true")], VolumeKind::Shared),
            ("ReadWriteMany", &[(Shared, "false")], VolumeKind::Shared),
            ("ReadWriteMany", &[(Backend, "pure_file"), (Sharedv4, "true")], VolumeKind::External),
            ("ReadWriteOnce", &[(Backend, "PURE_BLOCK")], VolumeKind::External),
            ("ReadOnlyMany", &[(ProxyEndpoint, "nfs://server")], VolumeKind::External),
            ("ReadWriteMany", &[(Winshare, "1")], VolumeKind::Windows),
            ("ReadWriteMany", &[(Winshare, "false")], VolumeKind::Shared),
        ] {
            assert_eq!(kind(mode, pairs), expected, "{mode} {pairs:?}");
        }
    }

    #[test]
    fn only_a_multi_node_claim_needs_its_class_to_be_judged() {
        let shared = |mode: Option<&'static str>, class: Option<&[(Setting, &str)]>| {
            let class = class.map(|pairs| MountedClass { parameters: settings(pairs), ..MountedClass::default() });
            MountedClaim { access: mode.map(|mode| [mode].into_iter().collect()), class, ..MountedClaim::default() }
                .is_shared()
        };
        assert_eq!(shared(Some("ReadWriteOnce"), None), Some(false));
        assert_eq!(shared(Some("ReadWriteMany"), None), None);
        assert_eq!(shared(None, Some(&[(Setting::Sharedv4, "true")])), None);
        assert_eq!(shared(Some("ReadWriteMany"), Some(&[])), Some(true));
    }

    /// If the two differ, a warning of one contradicts the decision of the other.
    #[test]
    fn the_companion_recognizes_what_the_engine_recognizes() {
        let mut inventory = Inventory::default();
        for (name, provisioner, evidence) in [
            ("annotated", "pxd.portworx.com", Evidence::ProvisionedBy),
            ("in-tree", "kubernetes.io/portworx-volume", Evidence::InTree),
            ("csi", "pxd.portworx.com", Evidence::StaticCsi),
            ("foreign", "other.example.test", Evidence::ProvisionedBy),
        ] {
            inventory.insert_volume(name, VolumeFacts { provisioner: Some((provisioner.into(), evidence)) });
        }
        inventory.insert_volume("by-hand", VolumeFacts::default());
        let recognises = vec![
            Evidence::Class,
            Evidence::BetaProvisionerAnnotation,
            Evidence::ProvisionedBy,
            Evidence::InTree,
            Evidence::Ephemeral,
        ];
        let restricted = Driver { recognises, ..Driver::portworx() };
        for class in ["", "deleted"] {
            for (volume, expected) in [
                ("annotated", Some(true)),
                ("in-tree", Some(true)),
                ("csi", Some(false)),
                ("foreign", Some(false)),
                ("by-hand", Some(false)),
                ("unread", None),
            ] {
                let annotated = ("pxd.portworx.com".into(), Evidence::GaProvisionerAnnotation.into());
                let facts = ClaimFacts {
                    class: Some(class.into()),
                    provisioner: Some(annotated),
                    volume: Some(volume.into()),
                    ..ClaimFacts::default()
                };
                inventory.insert_claim("shop", "data", &facts);
                let claim = MountedClaim::find(&ClaimRef::Named("data".into()), &inventory, "shop");
                assert_eq!(claim.recognized_by(&restricted), expected, "{class:?} {volume}");
                assert_eq!(restricted.recognises_owner(&claim.owner), expected == Some(true), "{class:?} {volume}");
                assert_eq!(restricted.needs_volume(&claim.owner), expected.is_none(), "{class:?} {volume}");
                if class.is_empty() {
                    assert_eq!(claim.recognized_by(&Driver::portworx()), expected, "by Stork's sources: {volume}");
                }
            }
        }
    }

    #[test]
    fn a_claim_of_an_existing_volume_has_the_class_that_it_names() {
        let mut inventory = Inventory::default();
        let nothing = ClassFacts { provisioner: "kubernetes.io/no-provisioner".into(), ..ClassFacts::default() };
        inventory.insert_class("static", nothing);
        let provisioner = Some(("pxd.portworx.com".into(), Evidence::StaticCsi));
        inventory.insert_volume("pv", VolumeFacts { provisioner });
        for (name, class) in
            [("", Some(MountedClass::default())), ("static", Some(MountedClass::default())), ("px", None)]
        {
            let facts = ClaimFacts { class: Some(name.into()), volume: Some("pv".into()), ..ClaimFacts::default() };
            inventory.insert_claim("shop", "data", &facts);
            let claim = MountedClaim::find(&ClaimRef::Named("data".into()), &inventory, "shop");
            assert_eq!((claim.class, claim.recognized), (class, Some(false)), "{name}");
        }
    }
}
