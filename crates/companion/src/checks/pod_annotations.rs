//! Rules for pods and pod templates: contradictions between annotations, and annotations that nothing enforces.

use super::{Mounted, RuleCheck, flag, shown};
use crate::facts::{MountedClaim, VolumeKind};
use crate::field_path::FieldPath;
use crate::finding::Part;
use crate::key::PREFER_LOCAL_NODE_ONLY;
use crate::rule::Rule;
use crate::subject::{KeyMap, POD, SubjectKind};
use colocate_engine::{DISABLE_HYPERCONVERGENCE, Mode, Owner, Setting};

/// The prefixes of annotations that cluster autoscalers read.
const AUTOSCALERS: [&str; 2] = ["cluster-autoscaler.kubernetes.io/", "karpenter.sh/"];

/// The most claims in a message.
const MAX_LISTED: usize = 5;

impl<'c> RuleCheck<'c> {
    pub(super) fn check_pods(&mut self) {
        self.check_recognition();
        // Without annotations, there is nothing else to check.
        let Some(site) = self.subject.sites.iter().find(|site| site.location == POD) else { return };
        let is_set = |key: &str| flag(site.entries.get(key)) == Some(true);
        if is_set(PREFER_LOCAL_NODE_ONLY) {
            self.check_local_only(site, is_set(DISABLE_HYPERCONVERGENCE));
        }
        if is_set(DISABLE_HYPERCONVERGENCE) {
            self.check_disabled(&site.path.key(DISABLE_HYPERCONVERGENCE));
        }
        self.check_opt_out(site);
    }

    /// Checks whether Stork recognizes a volume of a pod that is given to it. Only uses what is known: the rule alone is not
    /// worth a request.
    fn check_recognition(&mut self) {
        let SubjectKind::Workload(workload) = self.subject.kind else { return };
        let scheduler = self.subject.object.scheduler();
        let is_ours = scheduler == Some(&*self.portworx.scheduler);
        let site = self.subject.sites.iter().find(|site| site.location == POD);
        let opts_out = site.is_some_and(|site| self.policy.opt_out.read(|key| site.entries.raw(key)).set.is_some());
        if !is_ours && (opts_out || !self.policy.replaceable.allow(scheduler)) {
            return;
        }
        let ours: Vec<_> = self.of_portworx().collect();
        let counts = |known: &MountedClaim| match &known.owner {
            Owner::Provisioner { evidence, .. } => self.portworx.recognises.contains(evidence),
            _ => false,
        };
        let is_given = ours.iter().any(|(_, known)| is_ours || counts(known));
        if !is_given || ours.iter().any(|(_, known)| known.unrecognized().is_none()) {
            return;
        }
        let names = list(&ours);
        let path = workload.path.iter().map(String::as_str).chain(["spec", "volumes"]);
        let message = format!(
            "Stork may recognize none of the pod's Portworx volumes ({names}), and then places the pod by chance"
        );
        let remedy =
            "set `recognises` of the driver to what your Stork recognizes, so that the pod keeps its scheduler";
        self.find(Rule::NotRecognised, FieldPath::of(path), Part::Key, message, remedy);
    }

    fn check_local_only(&mut self, site: &KeyMap<'c>, disabled: bool) {
        let path = site.path.key(PREFER_LOCAL_NODE_ONLY);
        let other_scheduler = self.other_scheduler(site);
        // Otherwise, what Stork would do does not matter.
        let by_stork = other_scheduler.is_none();
        if disabled {
            let message = "preferLocalNodeOnly allows only nodes with the data, and disableHyperconvergence makes all nodes equal";
            let remedy = "remove preferLocalNodeOnly to let the pod run anywhere, or disableHyperconvergence to keep it with its data";
            self.find(Rule::LocalOnlyDisabled, path.clone(), Part::Key, message.to_owned(), remedy);
        } else if let Some((why, remedy)) = other_scheduler.or_else(|| self.not_injected()) {
            let message = format!("nothing enforces preferLocalNodeOnly: {why}");
            self.find(Rule::LocalOnlyUnenforced, path.clone(), Part::Key, message, remedy);
        }
        self.check_unrecognized(&path);
        let volumes = self.pod_volumes();
        if let [(first, _), ..] = volumes.windows[..] {
            let message = format!("Stork allows all nodes, because {first} is for Windows (winshare)");
            self.find(
                Rule::LocalOnlyWindows,
                path,
                Part::Key,
                message,
                "remove it, or mount the volumes in separate pods",
            );
            return;
        }
        self.check_ignored(&path, &volumes);
        self.check_unchecked(&path, &volumes);
        if by_stork {
            self.check_pending(&path, &volumes);
            self.check_side_effects(site, &path, &volumes);
        }
    }

    fn check_unrecognized(&mut self, path: &FieldPath) {
        let open = self.of_portworx().find(|(_, known)| known.recognized.is_none());
        let open = open.map(|(claim, _)| format!("the class or the volume of {claim} is not known"));
        let unrecognized: Vec<_> = self.of_portworx().filter(|(_, known)| known.unrecognized().is_some()).collect();
        if let Some((why, remedy)) = unrecognized.first().and_then(|(_, known)| known.unrecognized()) {
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
        if self.of_portworx().next().is_none() && volumes.unknown.is_none() {
            let message = "preferLocalNodeOnly applies to Portworx volumes, and the pod mounts none".to_owned();
            let remedy = "remove it, or mount a claim of a Portworx class";
            self.find(Rule::LocalOnlyWithoutClaim, path.clone(), Part::Key, message, remedy);
        }
        if !volumes.shared.is_empty() {
            let names = list(&volumes.shared);
            let message = format!("Stork silently ignores preferLocalNodeOnly for sharedv4 service volumes: {names}");
            let remedy = "remove it, or use a ReadWriteOnce claim";
            self.find(Rule::LocalOnlyShared, path.clone(), Part::Key, message, remedy);
        }
        if !volumes.awaited.is_empty() {
            let names = list(&volumes.awaited);
            let message = format!(
                "the volume is created only after the first pod was placed (WaitForFirstConsumer), so Stork does not enforce preferLocalNodeOnly for that pod: {names}"
            );
            let remedy =
                "create the pod again after its volume was created, or use a class with volumeBindingMode: Immediate";
            self.find(Rule::LocalOnlyFirstConsumer, path.clone(), Part::Key, message, remedy);
        }
    }

    /// Reports rules that depend on unknown facts. One line per missing fact is enough, so a rule with the same gap as
    /// another rule is recorded but not reported.
    fn check_unchecked(&mut self, path: &FieldPath, volumes: &PodVolumes<'c>) {
        let Some(why) = &volumes.unknown else { return };
        if self.of_portworx().next().is_none() {
            self.cannot_check(Rule::LocalOnlyWithoutClaim, path.clone(), why.clone());
        }
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
        let remote: Vec<_> = shared.iter().copied().filter(|(_, known)| known.is_remote_only()).collect();
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
        if volumes.ordinary.is_empty() {
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
        let recognized: Vec<_> = self.of_portworx().filter(|(_, known)| known.unrecognized().is_none()).collect();
        let of = |kind: Option<VolumeKind>| -> Vec<Mounted<'c>> {
            recognized.iter().copied().filter(|(_, known)| known.volume_kind() == kind).collect()
        };
        let ordinary = of(Some(VolumeKind::Ordinary));
        let no_owner = self.first_unknown();
        let no_class = || of(None).first().map(|(claim, _)| format!("the class of {claim} is not known"));
        PodVolumes {
            awaited: ordinary.iter().copied().filter(|(_, known)| known.awaits_consumer() == Some(true)).collect(),
            ordinary,
            shared: of(Some(VolumeKind::Shared)),
            external: of(Some(VolumeKind::External)),
            windows: of(Some(VolumeKind::Windows)),
            may_be_shared: no_owner.is_some() || recognized.iter().any(|(_, known)| known.is_shared().is_none()),
            unknown: no_owner.or_else(no_class),
        }
    }

    /// Returns the reason in the object itself why another scheduler than Stork places the pod, and a remedy.
    fn other_scheduler(&self, site: &KeyMap<'_>) -> Option<(String, String)> {
        let (stork, object) = (&self.portworx.scheduler, &self.subject.object);
        let scheduler = object.scheduler();
        if scheduler == Some(&**stork) {
            return None;
        }
        let name_it = format!("set schedulerName: {stork}");
        if let Some(other) = scheduler.filter(|other| !self.policy.replaceable.allow(Some(other))) {
            let remedy = format!("{name_it}, or remove the annotation");
            return Some((format!("schedulerName is {}", shown(other)), remedy));
        }
        if let Some(key) = self.policy.opt_out.read(|key| site.entries.raw(key)).set {
            return Some((format!("{key} opts the pod out"), format!("remove the opt-out, or {name_it}")));
        }
        if let SubjectKind::Workload(workload) = self.subject.kind
            && self.policy.opts_out_by_owner(workload, object)
        {
            return Some(("the kind of its controller opts out (optOut.owners)".to_owned(), name_it));
        }
        None
    }

    /// Returns the reason outside of the object why colocate does not give the pod to Stork, and a remedy.
    fn not_injected(&mut self) -> Option<(String, String)> {
        let stork = &*self.portworx.scheduler;
        if self.subject.object.scheduler() == Some(stork) {
            return None;
        }
        let name_it = format!("set schedulerName: {stork}");
        self.need(Rule::LocalOnlyUnenforced);
        if self.facts.namespace_opted_out {
            return Some(("its Namespace opts out by its label".to_owned(), name_it));
        }
        match self.policy.mode {
            Mode::Inject => None,
            Mode::Audit => Some(("colocate only audits (mode: audit)".to_owned(), name_it)),
            Mode::Off => Some(("colocate is off (mode: off)".to_owned(), name_it)),
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

    /// Checks for features of Stork that a pod with Portworx volumes loses by its opt-out.
    fn check_opt_out(&mut self, site: &KeyMap<'c>) {
        let Some(key) = self.policy.opt_out.read(|key| site.entries.raw(key)).set.map(str::to_owned) else { return };
        if self.subject.object.scheduler() == Some(&*self.portworx.scheduler) {
            return;
        }
        let path = site.path.key(&key);
        let names = list(&self.of_portworx().collect::<Vec<_>>());
        if names.is_empty() {
            if let Some(why) = self.first_unknown() {
                self.cannot_check(Rule::OptOutRestore, path.clone(), why.clone());
                self.cannot_check(Rule::OptOutHealth, path, why);
            }
            return;
        }
        let message =
            format!("a snapshot of {names} cannot be restored in place, because Stork does not schedule the pod");
        let remedy = "remove the opt-out before such a restore, and create the pod again";
        self.find(Rule::OptOutRestore, path.clone(), Part::Key, message, remedy);
        let message = format!(
            "the pod mounts {names}, but may be scheduled on a node whose storage is down; Stork's health monitor then deletes it, and it may return to the same node again and again"
        );
        self.find(Rule::OptOutHealth, path, Part::Key, message, "remove the opt-out to avoid such nodes");
    }
}

/// The Portworx volumes of a pod, by the way in which Stork's filter treats them. Volumes that Stork does not recognize are
/// in none of the lists.
struct PodVolumes<'c> {
    ordinary: Vec<Mounted<'c>>,
    /// The ordinary volumes that are created only after the first pod was placed.
    awaited: Vec<Mounted<'c>>,
    shared: Vec<Mounted<'c>>,
    external: Vec<Mounted<'c>>,
    windows: Vec<Mounted<'c>>,
    /// Whether a volume may be shared, but its owner or class is not known.
    may_be_shared: bool,
    /// The first fact that is not known, if any.
    unknown: Option<String>,
}

/// Lists claims by their names, at most [`MAX_LISTED`].
fn list(claims: &[Mounted<'_>]) -> String {
    let names: Vec<_> = claims.iter().take(MAX_LISTED).map(|(claim, _)| claim.to_string()).collect();
    let (more, shown) = (claims.len() - names.len(), names.join(", "));
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
