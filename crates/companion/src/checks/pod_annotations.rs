//! Rules for pods and pod templates: contradictions between annotations, and annotations that nothing enforces.

use std::fmt::Write as _;

use super::{Mounted, RuleCheck, flag, shown};
use crate::facts::VolumeKind;
use crate::field_path::FieldPath;
use crate::finding::Part;
use crate::key::PREFER_LOCAL_NODE_ONLY;
use crate::rule::Rule;
use crate::subject::{KeyMap, POD, SubjectKind};
use colocate_engine::{DISABLE_HYPERCONVERGENCE, Setting};

/// The prefixes of annotations that cluster autoscalers read.
const AUTOSCALERS: [&str; 2] = ["cluster-autoscaler.kubernetes.io/", "karpenter.sh/"];

/// The most claims in a message.
const MAX_LISTED: usize = 5;

impl<'c> RuleCheck<'c> {
    pub(super) fn check_pods(&mut self) {
        self.check_recognition();
        if let Some(site) = self.subject.sites.iter().find(|site| site.location == POD) {
            let is_set = |key: &str| flag(site.entries.get(key)) == Some(true);
            if is_set(PREFER_LOCAL_NODE_ONLY) {
                self.check_local_only(site, is_set(DISABLE_HYPERCONVERGENCE));
            }
            if is_set(DISABLE_HYPERCONVERGENCE) {
                self.check_disabled(&site.path.key(DISABLE_HYPERCONVERGENCE));
            }
        }
        self.check_opt_out();
    }

    fn check_local_only(&mut self, site: &KeyMap<'c>, disabled: bool) {
        let path = site.path.key(PREFER_LOCAL_NODE_ONLY);
        if disabled {
            let message = "preferLocalNodeOnly allows only nodes with the data, and disableHyperconvergence makes all nodes equal";
            let remedy = "remove preferLocalNodeOnly to let the pod run anywhere, or disableHyperconvergence to keep it with its data";
            self.find(Rule::LocalOnlyDisabled, path.clone(), Part::Key, message.to_owned(), remedy);
        } else {
            self.check_enforcement(&path);
        }
        self.check_without_claim(&path);
        // Otherwise, what Stork would do does not matter.
        if self.is_for_stork() {
            self.check_volumes(site, &path);
        }
    }

    fn check_without_claim(&mut self, path: &FieldPath) {
        if self.of_portworx().next().is_some() {
            return;
        }
        if let Some(why) = self.first_unknown() {
            self.cannot_check(Rule::LocalOnlyWithoutClaim, path.clone(), why);
            return;
        }
        let message = "preferLocalNodeOnly applies to Portworx volumes, and the pod mounts none".to_owned();
        let remedy = "remove it, or mount a claim of a Portworx class";
        self.find(Rule::LocalOnlyWithoutClaim, path.clone(), Part::Key, message, remedy);
    }

    /// Checks what Stork does with the volumes of a pod that it schedules.
    fn check_volumes(&mut self, site: &KeyMap<'c>, path: &FieldPath) {
        self.check_unrecognized(path);
        let volumes = self.pod_volumes();
        if let [(first, _), ..] = volumes.windows[..] {
            let message = format!("Stork allows all nodes, because {first} is for Windows (winshare)");
            let remedy = "remove it, or mount the volumes in separate pods";
            self.find(Rule::LocalOnlyWindows, path.clone(), Part::Key, message, remedy);
            return;
        }
        self.check_ignored(path, &volumes);
        self.check_unchecked(path, &volumes);
        self.check_pending(path, &volumes);
        self.check_side_effects(site, path, &volumes);
    }

    fn check_unrecognized(&mut self, path: &FieldPath) {
        let open = self.of_portworx().find(|(_, known)| known.recognized_by(&self.portworx).is_none());
        let open = open.map(|(claim, _)| format!("the class or the volume of {claim} is not known"));
        let is_unrecognized = |(_, known): &Mounted<'_>| known.unrecognized(&self.portworx).is_some();
        let unrecognized: Vec<_> = self.of_portworx().filter(is_unrecognized).collect();
        if let Some((why, remedy)) = unrecognized.first().and_then(|(_, known)| known.unrecognized(&self.portworx)) {
            let names = list(&unrecognized);
            let message = format!(
                "Stork's scheduler does not recognize {names}, so preferLocalNodeOnly has no effect there: {why}"
            );
            self.find(Rule::Unrecognized, path.clone(), Part::Key, message, remedy);
        } else if let Some(why) = open {
            self.cannot_check(Rule::Unrecognized, path.clone(), why);
        }
    }

    /// Checks for volumes that do not restrict the nodes that Stork allows for the pod.
    fn check_ignored(&mut self, path: &FieldPath, volumes: &PodVolumes<'c>) {
        if !volumes.shared.is_empty() {
            let names = list(&volumes.shared);
            let message = if volumes.shared.iter().all(|(_, known)| known.has_service()) {
                format!("Stork silently ignores preferLocalNodeOnly for sharedv4 service volumes: {names}")
            } else {
                format!(
                    "Stork silently ignores preferLocalNodeOnly for sharedv4 volumes with a service, as Portworx creates them by default (`pxctl volume inspect` shows the service): {names}"
                )
            };
            let remedy = "remove it, or use a ReadWriteOnce claim";
            self.find(Rule::LocalOnlyShared, path.clone(), Part::Key, message, remedy);
        }
        self.check_awaited(path, &volumes.awaited);
    }

    /// Checks for volumes that do not exist yet, so that Stork cannot restrict the first pod by them.
    fn check_awaited(&mut self, path: &FieldPath, awaited: &[Mounted<'c>]) {
        if awaited.is_empty() {
            return;
        }
        let names = list(awaited);
        let mut message = format!(
            "the volume is created only after the first pod was placed (WaitForFirstConsumer), so Stork cannot restrict that pod to nodes with its data: {names}"
        );
        let first = |kind| awaited.iter().find(|(_, known)| known.volume_kind() == Some(kind)).map(|(claim, _)| claim);
        let remedy = if let Some(claim) = first(VolumeKind::External) {
            // Writing into a string cannot fail.
            let _ = write!(message, "; each later pod stays Pending, because no node has a replica of {claim}");
            "remove it"
        } else if let Some(claim) = first(VolumeKind::Windows) {
            let _ = write!(message, "; later pods may run on all nodes, because {claim} is for Windows (winshare)");
            "remove it, or mount the volumes in separate pods"
        } else {
            "create the pod again after its volume was created, or use a class with volumeBindingMode: Immediate"
        };
        self.find(Rule::LocalOnlyFirstConsumer, path.clone(), Part::Key, message, remedy);
    }

    /// Reports rules that depend on unknown facts. One line per missing fact is enough, so a rule with the same gap as
    /// another rule is recorded but not reported.
    fn check_unchecked(&mut self, path: &FieldPath, volumes: &PodVolumes<'c>) {
        let Some(why) = &volumes.unknown else { return };
        if volumes.may_be_shared && volumes.shared.is_empty() {
            self.cannot_check(Rule::LocalOnlyShared, path.clone(), why.clone());
        } else if volumes.external.is_empty() {
            self.cannot_check(Rule::LocalOnlyExternal, path.clone(), why.clone());
        }
        for rule in [
            Rule::LocalOnlyExternal,
            Rule::LocalOnlyRemoteOnly,
            Rule::LocalOnlyWindows,
            Rule::Unrecognized,
            Rule::LocalOnlyFirstConsumer,
        ] {
            self.need(rule);
        }
    }

    /// Checks for combinations of volumes that no node may satisfy.
    fn check_pending(&mut self, path: &FieldPath, volumes: &PodVolumes<'c>) {
        let PodVolumes { ordinary, shared, external, .. } = volumes;
        if !external.is_empty() {
            let names = list(external);
            let message = format!(
                "no node has a replica of {names}, whose data is on a storage array or a file server: the pod stays Pending"
            );
            self.find(Rule::LocalOnlyExternal, path.clone(), Part::Key, message, "remove it");
        }
        let is_remote = |(_, known): &Mounted<'_>| known.is_remote_only() && known.awaits_consumer() != Some(true);
        let remote: Vec<_> = shared.iter().copied().filter(is_remote).collect();
        if !remote.is_empty() && !ordinary.is_empty() {
            let (names, local) = (list(&remote), list(ordinary));
            let message = format!(
                "preferLocalNodeOnly allows only nodes with replicas of {local}, and preferRemoteNodeOnly only nodes without replicas of {names}: if no node is left, the pod stays Pending"
            );
            let remedy = "remove one of the two, or mount the volumes in separate pods";
            self.find(Rule::LocalOnlyRemoteOnly, path.clone(), Part::Key, message, remedy);
        }
        let is_apart = |(_, known): &&Mounted<'_>| known.setting(Setting::PlacementStrategy).is_none_or(str::is_empty);
        let apart: Vec<_> = ordinary.iter().filter(is_apart).copied().collect();
        if ordinary.len() >= 2 && !apart.is_empty() {
            let (count, names) = (ordinary.len(), list(&apart));
            let message = format!(
                "one node must hold replicas of {count} volumes, and nothing keeps {names} with the others: the pod may stay Pending indefinitely"
            );
            let remedy = "set placement_strategy of their classes to a VolumePlacementStrategy with volumeAffinity, or mount one claim";
            self.find(Rule::LocalOnlySeveral, path.clone(), Part::Key, message, remedy);
        } else if let Some(why) = volumes.unknown.clone().filter(|_| self.claims.len() >= 2) {
            self.cannot_check(Rule::LocalOnlySeveral, path.clone(), why);
        }
    }

    /// Checks for consequences of a rule that is enforced.
    fn check_side_effects(&mut self, site: &KeyMap<'c>, path: &FieldPath, volumes: &PodVolumes<'c>) {
        let is_daemon_set =
            matches!(self.subject.kind, SubjectKind::Workload(workload) if workload.kind == "DaemonSet");
        // The first of a DaemonSet's pods creates the volume, which restricts the others.
        let is_later = |(_, known): &Mounted<'_>| known.volume_kind() == Some(VolumeKind::Ordinary);
        let is_restricted = !volumes.ordinary.is_empty() || is_daemon_set && volumes.awaited.iter().any(is_later);
        if !is_restricted {
            // Either no volume restricts the pod to certain nodes, or that is unknown.
            if let Some(why) = volumes.unknown.clone().filter(|_| is_daemon_set) {
                self.cannot_check(Rule::LocalOnlyDaemonSet, path.clone(), why);
            }
            return;
        }
        if is_daemon_set {
            let message = "a DaemonSet runs a pod on each node, and pods on nodes without a replica stay Pending";
            let remedy = "remove it: each pod then runs on its node, with or without a replica";
            self.find(Rule::LocalOnlyDaemonSet, path.clone(), Part::Key, message.to_owned(), remedy);
        }
        if volumes.ordinary.is_empty() {
            return;
        }
        let mut keys = site.entries.iter().map(|(key, _)| key);
        if let Some(key) = keys.find(|key| AUTOSCALERS.iter().any(|prefix| key.starts_with(prefix))) {
            let message = format!(
                "a cluster autoscaler (see {}) does not know that preferLocalNodeOnly restricts the pod to some nodes",
                shown(key)
            );
            let remedy = "exempt nodes with the data from scale-down, and do not expect a new node to help";
            self.find(Rule::LocalOnlyAutoscaler, path.clone(), Part::Key, message, remedy);
        }
        if self.subject.may_preempt {
            let message = "if the nodes with the data are full, the pod stays Pending in spite of its priority: no pod of a lower priority is preempted";
            let remedy = "keep room for the pod on the nodes with its data";
            self.find(Rule::LocalOnlyPreemption, path.clone(), Part::Key, message.to_owned(), remedy);
        }
    }

    /// The Portworx volumes of the pod by the way in which Stork's filter treats them.
    fn pod_volumes(&self) -> PodVolumes<'c> {
        let is_recognized = |(_, known): &Mounted<'_>| known.unrecognized(&self.portworx).is_none();
        let recognized: Vec<_> = self.of_portworx().filter(is_recognized).collect();
        let of = |kind: Option<VolumeKind>| -> Vec<Mounted<'c>> {
            recognized.iter().copied().filter(|(_, known)| known.volume_kind() == kind).collect()
        };
        // Stork exempts a shared volume whether or not it exists.
        let shared = of(Some(VolumeKind::Shared));
        let is_awaited = |(_, known): &Mounted<'_>| known.awaits_consumer() == Some(true);
        let split = |kind| -> (Vec<_>, Vec<_>) { of(Some(kind)).into_iter().partition(is_awaited) };
        let (awaited, ordinary) = split(VolumeKind::Ordinary);
        let (awaited_external, external) = split(VolumeKind::External);
        let (awaited_windows, windows) = split(VolumeKind::Windows);
        let no_owner = self.first_unknown();
        let no_class = || of(None).first().map(|(claim, _)| format!("the class of {claim} is not known"));
        PodVolumes {
            awaited: [awaited, awaited_external, awaited_windows].concat(),
            ordinary,
            shared,
            external,
            windows,
            may_be_shared: no_owner.is_some() || recognized.iter().any(|(_, known)| known.is_shared().is_none()),
            unknown: no_owner.or_else(no_class),
        }
    }

    fn check_disabled(&mut self, path: &FieldPath) {
        let PodVolumes { shared, unknown, may_be_shared, .. } = self.pod_volumes();
        if !shared.is_empty() {
            let names = list(&shared);
            let message = format!(
                "according to the documentation, disableHyperconvergence makes Stork ignore preferRemoteNode and preferRemoteNodeOnly of the class for sharedv4 service volumes: {names}"
            );
            let remedy =
                "to turn off anti-hyperconvergence, set preferRemoteNode: \"false\" on the class or the claim instead";
            self.find(Rule::DisabledShared, path.clone(), Part::Key, message, remedy);
        } else if let Some(why) = unknown.filter(|_| may_be_shared) {
            self.cannot_check(Rule::DisabledShared, path.clone(), why);
        }
    }
}

/// The Portworx volumes of a pod, by the way in which Stork's filter treats them. Volumes that Stork does not recognize are
/// in none of the lists.
struct PodVolumes<'c> {
    /// The volumes, other than shared ones, that are created only after the first pod was placed. Stork's filter does not see
    /// them, so they are in no other list.
    awaited: Vec<Mounted<'c>>,
    ordinary: Vec<Mounted<'c>>,
    shared: Vec<Mounted<'c>>,
    external: Vec<Mounted<'c>>,
    windows: Vec<Mounted<'c>>,
    /// Whether a volume may be shared, but its owner or class is not known.
    may_be_shared: bool,
    /// The first fact that is not known, if any.
    unknown: Option<String>,
}

/// Lists claims by their names, at most [`MAX_LISTED`].
pub(super) fn list(claims: &[Mounted<'_>]) -> String {
    let names: Vec<_> = claims.iter().take(MAX_LISTED).map(|(claim, _)| claim.to_string()).collect();
    let (more, shown) = (claims.len() - names.len(), names.join(", "));
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
