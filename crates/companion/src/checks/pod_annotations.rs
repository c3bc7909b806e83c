//! Rules for pods and pod templates: contradictions between annotations, and annotations that nothing enforces.

use super::{RuleCheck, flag, shown};
use crate::facts::MountedClaim;
use crate::field_path::FieldPath;
use crate::finding::Part;
use crate::key::PREFER_LOCAL_NODE_ONLY;
use crate::rule::Rule;
use crate::subject::{KeyMap, POD, SubjectKind};
use colocate_engine::{ClaimRef, DISABLE_HYPERCONVERGENCE, Evidence, Mode, Owner, Setting};

/// The prefixes of annotations that cluster autoscalers read.
const AUTOSCALERS: [&str; 2] = ["cluster-autoscaler.kubernetes.io/", "karpenter.sh/"];

/// The evidence that Stork does not read: ephemeral volumes before 25.2.0, the others in no version that is known.
const NOT_READ_BY_STORK: [Evidence; 4] =
    [Evidence::GaProvisionerAnnotation, Evidence::StaticCsi, Evidence::InlineCsi, Evidence::Ephemeral];

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

    /// Checks whether Stork recognises a volume of a pod that is given to it. Only uses what is known: the rule alone is not
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
        let evidence = |known: &MountedClaim| match known.owner {
            Owner::Provisioner { evidence, .. } => Some(evidence),
            _ => None,
        };
        let ours: Vec<_> = self.of_portworx().filter_map(|(claim, known)| Some((claim, evidence(known)?))).collect();
        let is_given = |(_, evidence): &(_, Evidence)| self.portworx.recognises.contains(evidence);
        let is_unread = |(_, evidence): &(_, Evidence)| NOT_READ_BY_STORK.contains(evidence);
        if !ours.iter().any(|claim| is_ours || is_given(claim)) || !ours.iter().all(is_unread) {
            return;
        }
        let names = list(ours.iter().map(|(claim, _)| *claim));
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
        if disabled {
            let message = "preferLocalNodeOnly allows only nodes with the data, and disableHyperconvergence makes all nodes equal";
            let remedy = "remove preferLocalNodeOnly to let the pod run anywhere, or disableHyperconvergence to keep it with its data";
            self.find(Rule::LocalOnlyDisabled, path.clone(), Part::Key, message.to_owned(), remedy);
        } else if let Some((why, remedy)) = self.unenforced(site) {
            let message = format!("nothing enforces preferLocalNodeOnly: {why}");
            self.find(Rule::LocalOnlyUnenforced, path.clone(), Part::Key, message, remedy);
        }
        self.check_claims_of_local_only(&path);
        let is_daemon_set =
            matches!(self.subject.kind, SubjectKind::Workload(workload) if workload.kind == "DaemonSet");
        let mut keys = site.entries.iter().map(|(key, _)| key);
        let autoscaler = keys.find(|key| AUTOSCALERS.iter().any(|prefix| key.starts_with(prefix)));
        if !self.of_portworx().any(|(_, known)| known.is_shared() != Some(true)) {
            // Either no volume restricts the pod to certain nodes, or that is unknown.
            if let Some(why) = self.first_unknown().filter(|_| is_daemon_set) {
                self.cannot_check(Rule::LocalOnlyDaemonSet, path, why);
            }
            return;
        }
        if is_daemon_set {
            let message = "a DaemonSet runs a pod on each node, and pods on nodes without a replica stay Pending";
            let remedy = "remove it: each pod then runs on its node, with or without a replica";
            self.find(Rule::LocalOnlyDaemonSet, path.clone(), Part::Key, message.to_owned(), remedy);
        }
        if let Some(key) = autoscaler {
            let message = format!(
                "a cluster autoscaler (see {}) does not know that preferLocalNodeOnly restricts the pod to some nodes",
                shown(key)
            );
            let remedy = "exempt nodes with the data from scale-down, and do not expect a new node to help";
            self.find(Rule::LocalOnlyAutoscaler, path, Part::Key, message, remedy);
        }
    }

    /// Returns the reason why Stork will not schedule the pod, and a remedy.
    fn unenforced(&mut self, site: &KeyMap<'_>) -> Option<(String, String)> {
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

    fn check_claims_of_local_only(&mut self, path: &FieldPath) {
        let ours: Vec<_> = self.of_portworx().collect();
        let unknown = self.first_unknown();
        if ours.is_empty() {
            if let Some(why) = &unknown {
                self.cannot_check(Rule::LocalOnlyWithoutClaim, path.clone(), why.clone());
            } else {
                let message = "preferLocalNodeOnly applies to Portworx volumes, and the pod mounts none".to_owned();
                let remedy = "remove it, or mount a claim of a Portworx class";
                self.find(Rule::LocalOnlyWithoutClaim, path.clone(), Part::Key, message, remedy);
            }
        }
        self.check_shared(Rule::LocalOnlyShared, path, &ours, |names| {
            let message = format!("Stork silently ignores preferLocalNodeOnly for sharedv4 service volumes: {names}");
            (message, "remove it, or use a ReadWriteOnce claim of a class without sharedv4".to_owned())
        });
        let apart: Vec<_> = ours
            .iter()
            .filter(|(_, known)| known.is_shared() == Some(false))
            .filter(|(_, known)| known.setting(Setting::PlacementStrategy).is_none_or(str::is_empty))
            .collect();
        let ordinary = ours.iter().filter(|(_, known)| known.is_shared() != Some(true)).count();
        if ordinary >= 2 && !apart.is_empty() {
            let names = list(apart.iter().map(|(claim, _)| *claim));
            let message = format!(
                "one node must hold replicas of {ordinary} volumes, and nothing keeps {names} with the others: the pod may stay Pending indefinitely"
            );
            let remedy = "set placement_strategy of their classes to a VolumePlacementStrategy with volumeAffinity, or mount one claim";
            self.find(Rule::LocalOnlySeveral, path.clone(), Part::Key, message, remedy);
        } else if let Some(why) = unknown.filter(|_| self.claims.len() >= 2) {
            self.cannot_check(Rule::LocalOnlySeveral, path.clone(), why);
        }
    }

    fn check_disabled(&mut self, path: &FieldPath) {
        let ours: Vec<_> = self.of_portworx().collect();
        self.check_shared(Rule::DisabledShared, path, &ours, |names| {
            let message = format!("according to the documentation, disableHyperconvergence makes Stork ignore preferRemoteNode and preferRemoteNodeOnly of the class for sharedv4 service volumes: {names}");
            (message, "to turn off anti-hyperconvergence, set preferRemoteNode: \"false\" on the class or the claim instead".to_owned())
        });
    }

    /// Checks a rule about shared volumes.
    fn check_shared(
        &mut self,
        rule: Rule,
        path: &FieldPath,
        ours: &[(&'c ClaimRef<'c>, &'c MountedClaim)],
        say: impl Fn(&str) -> (String, String),
    ) {
        let shared = ours.iter().filter(|(_, known)| known.is_shared() == Some(true)).map(|(claim, _)| *claim);
        let names = list(shared);
        let open =
            ours.iter().find(|(claim, known)| known.is_shared().is_none() && !matches!(claim, ClaimRef::Inline { .. }));
        if !names.is_empty() {
            let (message, remedy) = say(&names);
            self.find(rule, path.clone(), Part::Key, message, remedy);
        } else if let Some(why) = self.first_unknown() {
            self.cannot_check(rule, path.clone(), why);
        } else if let Some((claim, _)) = open {
            self.cannot_check(rule, path.clone(), format!("the class of {claim} is not known"));
        }
    }

    /// Checks for features of Stork that a pod with Portworx volumes loses by its opt-out.
    fn check_opt_out(&mut self, site: &KeyMap<'c>) {
        let Some(key) = self.policy.opt_out.read(|key| site.entries.raw(key)).set.map(str::to_owned) else { return };
        if self.subject.object.scheduler() == Some(&*self.portworx.scheduler) {
            return;
        }
        let path = site.path.key(&key);
        let names = list(self.of_portworx().map(|(claim, _)| claim));
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
        let message = format!("the pod mounts {names}, but may be scheduled on a node where Portworx is down");
        self.find(Rule::OptOutHealth, path, Part::Key, message, "remove the opt-out to avoid such nodes");
    }
}

/// Lists claims by their names, at most [`MAX_LISTED`].
fn list<'c>(claims: impl Iterator<Item = &'c ClaimRef<'c>>) -> String {
    let names: Vec<_> = claims.map(ToString::to_string).collect();
    let more = names.len().saturating_sub(MAX_LISTED);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
