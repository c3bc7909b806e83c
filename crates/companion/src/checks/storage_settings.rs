//! Rules for classes, claims and claim templates: settings that have no effect on these volumes.

use std::borrow::Cow;

use super::{RuleCheck, flag, shown};
use crate::facts::{MountedClaim, Strategies, VolumeKind, is_multi_node};
use crate::finding::Part;
use crate::key::{Recognized, is_like_placement_strategy};
use crate::rule::Rule;
use crate::severity::Severity;
use crate::subject::{Holder, KeyMap, MapField};
use colocate_engine::{AccessModes, ClaimRef, Owner, Setting, Settings, parse_bool};

/// The settings that Stork applies to volumes.
const OF_STORK: [Setting; 3] =
    [Setting::PreferRemoteNodeOnly, Setting::PreferRemoteNode, Setting::SkipSchedulerScoring];

/// The settings that affect shared volumes only.
const OF_SHARED: [Setting; 2] = [Setting::PreferRemoteNodeOnly, Setting::PreferRemoteNode];

/// The values of `sharedv4_svc_type` that openstorage accepts.
const SERVICE_TYPES: [&str; 7] = ["", "ClusterIP", "clusterIP", "NodePort", "nodePort", "LoadBalancer", "loadBalancer"];

impl RuleCheck<'_> {
    pub(super) fn check_storage(&mut self) {
        let subject = self.subject;
        for site in subject.storage_sites() {
            self.check_spelling(site);
            let own = Settings::read(|key| site.entries.get(key));
            if own.is_empty() {
                continue;
            }
            match &site.location.of {
                Holder::Class => self.check_class(site, &own),
                Holder::Claim(name) => {
                    let index = self.templates.get(name.as_deref().unwrap_or_default()).copied();
                    if let Some((claim, known)) = index.and_then(|index| self.claims.get(index).copied()) {
                        self.check_claim(site, &own, known);
                        self.check_restore(site, &own, claim);
                    }
                }
                Holder::Pod | Holder::Workload | Holder::Namespace | Holder::Kustomization | Holder::Other => {}
            }
            self.check_strategy(site, &own);
        }
    }

    /// Checks for a misspelled `placement_strategy`, which only Portworx reads.
    fn check_spelling(&mut self, site: &KeyMap<'_>) {
        let keys = site.entries.iter().map(|(key, _)| key).filter(|key| is_like_placement_strategy(key));
        let keys: Vec<_> = keys.filter(|key| self.keys.recognize(key) == Recognized::Foreign).collect();
        if keys.is_empty() {
            return;
        }
        let is_portworx = match &site.location.of {
            Holder::Class => Some(self.is_portworx_class()),
            Holder::Claim(name) => {
                let index = self.templates.get(name.as_deref().unwrap_or_default()).copied();
                index.and_then(|index| self.is_portworx(self.claims.get(index)?.1))
            }
            _ => Some(false),
        };
        match is_portworx {
            Some(false) => return,
            Some(true) => {}
            // Another driver may have such a key, but few have.
            None => self.need(Rule::Misspelled),
        }
        for key in keys {
            let message = format!("Portworx does not read {}", shown(key));
            let remedy = format!("did you mean {}?", Setting::PlacementStrategy.key());
            self.find(Rule::Misspelled, site.path.key(key), Part::Key, message, remedy);
        }
    }

    fn is_portworx_class(&self) -> bool {
        let provisioner = self.subject.provisioner.as_deref().unwrap_or_default();
        self.portworx.provisioners.iter().any(|ours| **ours == *provisioner)
    }

    fn check_class(&mut self, site: &KeyMap<'_>, own: &Settings) {
        let remote = flag(own.get(Setting::PreferRemoteNode));
        let only = flag(own.get(Setting::PreferRemoteNodeOnly));
        self.check_cancelled(site, remote, only);
        let provisioner = self.subject.provisioner.as_deref().unwrap_or_default();
        if !self.is_portworx_class() {
            self.not_portworx(site, own, &format!("the provisioner is {}", shown(provisioner)));
            return;
        }
        for (key, (why, remedy)) in site.entries.iter().filter_map(|(key, _)| Some((key, rejection(site, key)?))) {
            self.find(Rule::RejectedParameter, site.path.key(key), Part::Value, why, remedy);
        }
        let many: AccessModes = ["ReadWriteMany"].into_iter().collect();
        let (why, remedy) = match VolumeKind::of(many, own) {
            // The access modes decide, and the class does not determine them.
            VolumeKind::Shared if self.facts.class_access.is_none_or(is_multi_node) => return,
            VolumeKind::Shared => (
                "no known claim of this class is ReadWriteMany or ReadOnlyMany",
                Some("use the class for ReadWriteMany or ReadOnlyMany claims"),
            ),
            VolumeKind::Ordinary => {
                ("volumes with `shared` are not sharedv4", Some("replace shared with sharedv4: \"true\""))
            }
            VolumeKind::External => ("the data of this class is on a storage array or a file server", None),
            VolumeKind::Windows => ("volumes for Windows do not count as such volumes", None),
        };
        self.not_shared(site, own, why, remedy);
    }

    /// Checks for the mark of a restore, which only Stork should set.
    fn check_restore(&mut self, site: &KeyMap<'_>, own: &Settings, claim: &ClaimRef<'_>) {
        // Stork does not look at the claims of ephemeral volumes.
        let is_ephemeral = matches!(claim, ClaimRef::Template { ephemeral: true, .. });
        if own.get(Setting::RestoreInProgress) != Some("true") || is_ephemeral {
            return;
        }
        let path = site.path.key(Setting::RestoreInProgress.key());
        let message = "Stork places no pod that mounts the claim, whatever its access mode is: the pod stays Pending";
        // Only a claim with a volume can be restored. There, Stork itself may have set the key, and must not be denied.
        let is_bound = self.subject.claim.as_ref().is_some_and(|claim| claim.bound);
        let (worst, remedy) = if is_bound {
            (Severity::Warning, "remove it, unless a restore is running")
        } else {
            (Severity::Error, "remove it: only Stork sets it, during a restore")
        };
        self.find_at_most(worst, Rule::RestoreInProgress, path, Part::Key, message.to_owned(), remedy);
    }

    fn check_claim(&mut self, site: &KeyMap<'_>, own: &Settings, known: &MountedClaim) {
        let effective = |setting| flag(own.get(setting).or_else(|| known.setting(setting)));
        self.check_cancelled(site, effective(Setting::PreferRemoteNode), effective(Setting::PreferRemoteNodeOnly));
        let used = OF_STORK.into_iter().find(|setting| own.get(*setting).is_some());
        match (self.is_portworx(known), &known.owner) {
            (Some(true), _) => self.check_shared_claim(site, own, known),
            (Some(false), Owner::Provisioner { provisioner, .. }) => {
                self.not_portworx(site, own, &format!("its provisioner is {}", shown(provisioner)));
            }
            (Some(false), _) => self.not_portworx(site, own, "it is bound to a volume without a driver"),
            (None, owner) => {
                if let Some(setting) = used {
                    let why = match owner {
                        Owner::Unknown(unknown) => unknown.explain(known.absence),
                        _ => "its owner is not known".to_owned(),
                    };
                    self.cannot_check(Rule::NotPortworx, site.path.key(setting.key()), why);
                }
            }
        }
        self.check_against_class(site, own, known);
    }

    fn check_shared_claim(&mut self, site: &KeyMap<'_>, own: &Settings, known: &MountedClaim) {
        if let Some((why, remedy)) = known.unrecognized(&self.portworx) {
            for setting in OF_STORK.into_iter().filter(|setting| is_not_default(own, *setting)) {
                let message = format!(
                    "Stork's scheduler does not recognize the volume, so {} has no effect: {why}",
                    setting.key()
                );
                self.find(Rule::Unrecognized, site.path.key(setting.key()), Part::Key, message, remedy);
            }
            return;
        }
        let (why, remedy) = match (known.is_shared(), known.volume_kind()) {
            (Some(true), _) => return,
            (None, _) => {
                if let Some(setting) = OF_SHARED.into_iter().find(|setting| own.get(*setting).is_some()) {
                    let path = site.path.key(setting.key());
                    self.cannot_check(Rule::RemoteNotShared, path, "its StorageClass is not known".to_owned());
                }
                return;
            }
            (_, Some(VolumeKind::External)) => ("its data is on a storage array or a file server", None),
            (_, Some(VolumeKind::Windows)) => ("a volume for Windows does not count as one", None),
            _ if known.access.is_some_and(is_multi_node) => {
                ("a volume of a class with `shared` is not sharedv4", Some("use a class with sharedv4: \"true\""))
            }
            _ => (
                "the claim is neither ReadWriteMany nor ReadOnlyMany",
                Some("use access mode ReadWriteMany or ReadOnlyMany"),
            ),
        };
        self.not_shared(site, own, why, remedy);
    }

    fn check_cancelled(&mut self, site: &KeyMap<'_>, remote: Option<bool>, only: Option<bool>) {
        if remote != Some(false) || only != Some(true) {
            return;
        }
        // One of the two may come from the class. Report the one that this object sets.
        let settings = [Setting::PreferRemoteNodeOnly, Setting::PreferRemoteNode];
        let Some(own) = settings.into_iter().find(|setting| site.entries.raw(setting.key()).is_some()) else { return };
        let message = "preferRemoteNode is false, so Stork does not enforce preferRemoteNodeOnly";
        let remedy =
            "remove preferRemoteNode to keep pods away from the data, or preferRemoteNodeOnly to allow them next to it";
        self.find(Rule::RemoteOnlyCancelled, site.path.key(own.key()), Part::Key, message.to_owned(), remedy);
    }

    fn not_portworx(&mut self, site: &KeyMap<'_>, own: &Settings, why: &str) {
        for setting in OF_STORK.into_iter().filter(|setting| is_not_default(own, *setting)) {
            let message = format!("Stork considers only Portworx volumes, and {why}");
            let path = site.path.key(setting.key());
            self.find(Rule::NotPortworx, path, Part::Key, message, "remove it, or use a Portworx class");
        }
    }

    fn not_shared(&mut self, site: &KeyMap<'_>, own: &Settings, why: &str, remedy: Option<&str>) {
        for setting in OF_SHARED.into_iter().filter(|setting| is_not_default(own, *setting)) {
            let message = format!("Stork reads {} for sharedv4 service volumes only, and {why}", setting.key());
            let remove = format!("remove {}", setting.key());
            let remedy = remedy.map_or_else(|| remove.clone(), |remedy| format!("{remedy}, or {remove}"));
            self.find(Rule::RemoteNotShared, site.path.key(setting.key()), Part::Key, message, remedy);
        }
    }

    fn check_against_class(&mut self, site: &KeyMap<'_>, own: &Settings, known: &MountedClaim) {
        for setting in OF_STORK.into_iter().chain([Setting::PlacementStrategy]) {
            let Some(of_claim) = meaning(own, setting) else { continue };
            let Some(parameters) = known.class.as_ref().map(|class| &class.parameters) else {
                self.need(Rule::ClaimAgainstClass);
                return;
            };
            if meaning(parameters, setting).is_none_or(|of_class| of_class == of_claim) {
                continue;
            }
            let (own, of_class) = (own.get(setting).unwrap_or_default(), parameters.get(setting).unwrap_or_default());
            let message = format!("the class has {}, but the claim has {}, which wins", shown(of_class), shown(own));
            let remedy = "remove the annotation to use the value of the class";
            self.find(Rule::ClaimAgainstClass, site.path.key(setting.key()), Part::Value, message, remedy);
        }
    }

    fn check_strategy(&mut self, site: &KeyMap<'_>, own: &Settings) {
        let Some(name) = own.get(Setting::PlacementStrategy).filter(|name| !name.is_empty()) else { return };
        let path = site.path.key(Setting::PlacementStrategy.key());
        match &self.facts.strategies {
            Strategies::All(names) if !names.contains(name) => {
                let message = format!("VolumePlacementStrategy {} does not exist", shown(name));
                self.find(Rule::NoStrategy, path, Part::Value, message, existing(name, names.iter()));
            }
            Strategies::Some { known, why } if !known.contains(name) => {
                let why = format!("VolumePlacementStrategy {} may not exist: {why}", shown(name));
                self.cannot_check(Rule::NoStrategy, path, why);
            }
            Strategies::All(_) | Strategies::Some { .. } | Strategies::NotInstalled => {}
        }
    }
}

/// Returns the reason why Portworx rejects a parameter of a class, and a remedy.
pub(super) fn rejection(site: &KeyMap<'_>, key: &str) -> Option<(String, &'static str)> {
    if site.location.map != MapField::Parameters {
        return None;
    }
    let setting = [Setting::Sharedv4, Setting::Shared, Setting::Sharedv4ServiceType];
    let setting = setting.into_iter().find(|setting| setting.key() == key)?;
    let value = site.entries.get(key)?;
    match setting {
        Setting::Sharedv4ServiceType => (!SERVICE_TYPES.contains(&&*value)).then(|| {
            let message = format!("{} is not a type of service, so Portworx provisions no volume", shown(&value));
            (message, "use ClusterIP, NodePort, LoadBalancer or \"\"")
        }),
        _ => parse_bool(&value).is_none().then(|| {
            let message = format!("{} is not a boolean, so Portworx provisions no volume", shown(&value));
            (message, "use \"true\" or \"false\"")
        }),
    }
}

/// Normalizes a setting, so that values with the same meaning are equal; `None` for a boolean that does not parse.
fn meaning(settings: &Settings, setting: Setting) -> Option<Cow<'_, str>> {
    let value = settings.get(setting)?;
    if setting == Setting::PlacementStrategy { Some(value.into()) } else { Some(parse_bool(value)?.to_string().into()) }
}

/// Returns true if a setting is set to a value other than its default.
fn is_not_default(own: &Settings, setting: Setting) -> bool {
    let default = setting == Setting::PreferRemoteNode;
    flag(own.get(setting)).is_some_and(|value| value != default)
}

/// Suggests names that exist, the closest first.
fn existing<'n>(name: &str, names: impl Iterator<Item = &'n String>) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<_> = names.map(String::as_str).collect();
    names.sort_by_key(|other| strsim::osa_distance(name, other));
    names.truncate(SHOWN);
    match &names[..] {
        [] => "create it first: no VolumePlacementStrategy exists".to_owned(),
        names => format!("create it first, or use one that exists, such as {}", names.join(", ")),
    }
}
