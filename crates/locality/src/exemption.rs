//! Exemptions: pods that need not run on a node with their data, and volumes that do not count.

use std::fmt;

use colocate_companion::{MountedClaim, VolumeKind};
use colocate_engine::{DISABLE_HYPERCONVERGENCE, Owner, PORTWORX_IN_TREE, Reason, Setting, is_same_driver, parse_bool};
use colocate_insight::Labels;

use super::gap::Gap;

/// The reason why a pod need not run where its data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exemption {
    /// The pod, its Namespace or its controller opts out.
    OptedOut,
    /// The volume is served over NFS: a sharedv4 service volume of Portworx, for which Stork prefers nodes without a replica, or a
    /// `ReadWriteMany` volume of Longhorn or LINSTOR, for whose pods the node does not matter.
    SharedService,
    /// A sharedv4 service volume whose `preferRemoteNodeOnly` allows only nodes without a replica.
    RemoteOnly,
    /// `skipSchedulerScoring` leaves the volume out of Stork's scores.
    NotScored,
    /// The data is on a storage array or a file server, so no node has a replica.
    External,
    /// The volume is for Windows nodes, which have no replicas.
    Windows,
}

impl Exemption {
    /// Returns the exemption of a whole pod. `reason` is that of its expectation.
    pub fn of_pod(reason: Reason, annotations: &Labels) -> Option<Self> {
        let disabled = annotations.get(DISABLE_HYPERCONVERGENCE).and_then(|value| parse_bool(value)) == Some(true);
        let opted_out = matches!(reason, Reason::OptedOut | Reason::OwnerOptedOut | Reason::NamespaceOptedOut);
        // An opt-out without effect is one of a pod that names the scheduler itself, and then wants to be local.
        (opted_out || disabled).then_some(Self::OptedOut)
    }

    /// Returns the exemption that Stork applies to a volume of Portworx. Other exemptions depend on the `PersistentVolume`
    /// ([`Volume::is_served`](crate::Volume::is_served)).
    ///
    /// # Errors
    /// It depends on a class that is not known.
    pub fn of_volume(claim: &MountedClaim) -> Result<Option<Self>, Gap> {
        let Owner::Provisioner { provisioner, .. } = &claim.owner else { return Ok(None) };
        if !is_same_driver(provisioner, PORTWORX_IN_TREE) {
            return Ok(None);
        }
        let flag = |setting| claim.setting(setting).and_then(parse_bool);
        // The claim's own annotation decides without the class, because it takes precedence.
        if flag(Setting::SkipSchedulerScoring) == Some(true) {
            return Ok(Some(Self::NotScored));
        }
        Ok(match claim.volume_kind() {
            Some(VolumeKind::Ordinary) => None,
            Some(VolumeKind::External) => Some(Self::External),
            Some(VolumeKind::Windows) => Some(Self::Windows),
            Some(VolumeKind::Shared) if flag(Setting::PreferRemoteNode) == Some(false) => None,
            Some(VolumeKind::Shared) if claim.is_remote_only() => Some(Self::RemoteOnly),
            Some(VolumeKind::Shared) => Some(Self::SharedService),
            // The access modes only rule out a shared volume. An external one, for example, has the same modes as an ordinary one.
            None => return Err(Gap::Class),
        })
    }

    /// The word, which is stable.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OptedOut => "opted-out",
            Self::SharedService => "shared-service",
            Self::RemoteOnly => "remote-only",
            Self::NotScored => "not-scored",
            Self::External => "external",
            Self::Windows => "windows",
        }
    }
}

impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OptedOut => "it opts out",
            Self::SharedService => "its volume is served over NFS",
            Self::RemoteOnly => "`preferRemoteNodeOnly` allows only nodes without a replica",
            Self::NotScored => "`skipSchedulerScoring` leaves its volume out of the scores",
            Self::External => "its data is on a storage array or a file server",
            Self::Windows => "its volume is for Windows nodes",
        })
    }
}

#[cfg(test)]
mod tests {
    use colocate_companion::MountedClass;
    use colocate_engine::{Evidence, Settings};

    use super::*;

    type Pairs = &'static [(Setting, &'static str)];

    fn settings(pairs: Pairs) -> Settings {
        Settings::read(|key| pairs.iter().find(|(own, _)| own.key() == key).map(|(_, value)| *value))
    }

    fn claim(provisioner: &str, mode: &'static str, annotations: Pairs, class: Option<Pairs>) -> MountedClaim {
        MountedClaim {
            owner: Owner::of_volume(provisioner.into(), Evidence::Class),
            access: Some([mode].into_iter().collect()),
            settings: settings(annotations),
            class: class.map(|pairs| MountedClass { parameters: settings(pairs), ..MountedClass::default() }),
            ..MountedClaim::default()
        }
    }

    #[test]
    fn volumes_are_exempt_by_their_class_and_annotations() {
        use Setting::{Backend, PreferRemoteNode, PreferRemoteNodeOnly, SkipSchedulerScoring, Winshare};
        const PX: &str = "pxd.portworx.com";
        for (mode, annotations, class, expected) in [
            ("ReadWriteOnce", &[][..], Some(&[][..]), Ok(None)),
            ("ReadWriteOnce", &[], None, Err(Gap::Class)),
            ("ReadWriteOnce", &[(SkipSchedulerScoring, "false")], None, Err(Gap::Class)),
            ("ReadWriteOnce", &[], Some(&[(SkipSchedulerScoring, "true")]), Ok(Some(Exemption::NotScored))),
            ("ReadWriteMany", &[(PreferRemoteNode, "false")], None, Err(Gap::Class)),
            ("ReadWriteOnce", &[(PreferRemoteNodeOnly, "true")], Some(&[]), Ok(None)),
            ("ReadWriteMany", &[], Some(&[]), Ok(Some(Exemption::SharedService))),
            ("ReadWriteMany", &[(PreferRemoteNodeOnly, "true")], Some(&[]), Ok(Some(Exemption::RemoteOnly))),
            ("ReadWriteMany", &[], Some(&[(PreferRemoteNodeOnly, "1")]), Ok(Some(Exemption::RemoteOnly))),
            ("ReadWriteMany", &[(PreferRemoteNode, "false")], Some(&[(PreferRemoteNodeOnly, "true")]), Ok(None)),
            ("ReadWriteMany", &[], None, Err(Gap::Class)),
            ("ReadWriteOnce", &[(SkipSchedulerScoring, "true")], None, Ok(Some(Exemption::NotScored))),
            ("ReadWriteOnce", &[], Some(&[(Backend, "pure_block")]), Ok(Some(Exemption::External))),
            ("ReadWriteMany", &[], Some(&[(Winshare, "true")]), Ok(Some(Exemption::Windows))),
        ] {
            let found = Exemption::of_volume(&claim(PX, mode, annotations, class));
            assert_eq!(found, expected, "{mode} {annotations:?} {class:?}");
            let other = Exemption::of_volume(&claim("driver.longhorn.io", mode, annotations, class));
            assert_eq!(other, Ok(None), "{mode} {annotations:?} {class:?}");
        }
    }

    #[test]
    fn a_pod_that_opts_out_is_exempt() {
        let disabled = |value: &str| [(DISABLE_HYPERCONVERGENCE.to_owned(), value.to_owned())].into();
        for (reason, annotations, expected) in [
            (Reason::Injected, Labels::new(), None),
            (Reason::OptedOut, Labels::new(), Some(Exemption::OptedOut)),
            (Reason::OwnerOptedOut, Labels::new(), Some(Exemption::OptedOut)),
            (Reason::NamespaceOptedOut, Labels::new(), Some(Exemption::OptedOut)),
            (Reason::OptOutWithoutEffect, Labels::new(), None),
            (Reason::OptOutWithoutEffect, disabled("true"), Some(Exemption::OptedOut)),
            (Reason::AlreadySet, disabled("no"), None),
        ] {
            assert_eq!(Exemption::of_pod(reason, &annotations), expected, "{reason:?} {annotations:?}");
        }
    }
}
