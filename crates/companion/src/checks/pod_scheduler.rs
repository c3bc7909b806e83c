//! Rules for the scheduler of pods: annotations that nothing enforces, opt-outs, and pods that Stork cannot place well.

use super::pod_annotations::list;
use super::{RuleCheck, shown};
use crate::field_path::FieldPath;
use crate::finding::Part;
use crate::rule::Rule;
use crate::subject::SubjectKind;
use colocate_engine::{Mode, OptOutKey, Reason};

/// A reason why Stork does not schedule the pods, and a remedy.
type Otherwise = (String, String);

impl RuleCheck<'_> {
    /// Returns the reason in the object itself why Stork does not schedule its pods, whatever their claims are.
    pub(super) fn exclusion(&self) -> Option<Reason> {
        let SubjectKind::Workload(workload) = self.subject.kind else { return None };
        let reason = self.policy.exclusion_of_pods(workload, &self.subject.object)?;
        let is_unplaced = matches!(reason, Reason::MirrorPod | Reason::NodeNameSet);
        (is_unplaced || !self.names_stork()).then_some(reason)
    }

    /// Returns true if Stork schedules the pods, unless the Namespace or the mode prevents it. Pods with claims of a driver that
    /// is configured before Portworx get the scheduler of that driver.
    pub(super) fn is_for_stork(&self) -> bool {
        self.exclusion().is_none()
            && (self.names_stork() || self.first_scheduler().is_none_or(|first| self.is_stork(first)))
    }

    /// Reports `preferLocalNodeOnly` if Stork does not schedule the pods.
    pub(super) fn check_enforcement(&mut self, path: &FieldPath) {
        let otherwise = self.exclusion().map(|reason| self.explain(reason));
        if let Some((why, remedy)) = otherwise.or_else(|| self.not_injected(path)) {
            let message = format!("nothing enforces preferLocalNodeOnly: {why}");
            self.find(Rule::LocalOnlyUnenforced, path.clone(), Part::Key, message, remedy);
        }
    }

    /// Reports pods that get Stork's scheduler, or name it, although Stork recognizes none of their volumes. Only uses what is
    /// known: the rule alone is not worth a request.
    pub(super) fn check_recognition(&mut self) {
        let SubjectKind::Workload(workload) = self.subject.kind else { return };
        let is_given = || {
            let is_injected = self.policy.mode == Mode::Inject && !self.facts.namespace_opted_out;
            is_injected && self.first_scheduler().is_some_and(|first| self.is_stork(first))
        };
        if self.exclusion().is_some() || !(self.names_stork() || is_given()) {
            return;
        }
        let ours: Vec<_> = self.of_portworx().collect();
        if ours.is_empty() || ours.iter().any(|(_, known)| known.unrecognized(&self.portworx).is_none()) {
            return;
        }
        let names = list(&ours);
        let path = workload.path.iter().map(String::as_str).chain(["spec", "volumes"]);
        let message = format!(
            "Stork may recognize none of the pod's Portworx volumes ({names}), and then places the pod by chance"
        );
        let remedy = if self.names_stork() {
            "remove schedulerName, and set `recognises` of the driver to what your Stork recognizes"
        } else {
            "set `recognises` of the driver to what your Stork recognizes, so that the pod keeps its scheduler"
        };
        self.find(Rule::NotRecognised, FieldPath::of(path), Part::Key, message, remedy);
    }

    /// Checks for features of Stork that a pod with Portworx volumes loses by its opt-out.
    pub(super) fn check_opt_out(&mut self) {
        if self.exclusion() != Some(Reason::OptedOut) {
            return;
        }
        let Some(key) = self.opt_out() else { return };
        let metadata = self.subject.template.field("metadata");
        let path = match key {
            OptOutKey::Annotation(key) => metadata.field("annotations").key(key),
            OptOutKey::Label(key) => metadata.field("labels").key(key),
        };
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

    fn opt_out(&self) -> Option<OptOutKey<'_>> {
        self.policy.opt_out.of_pods(&self.subject.object).set
    }

    fn names_stork(&self) -> bool {
        self.subject.object.scheduler().is_some_and(|scheduler| self.is_stork(scheduler))
    }

    fn is_stork(&self, scheduler: &str) -> bool {
        *scheduler == *self.portworx.scheduler
    }

    /// The scheduler that colocate sets for the claims that are known; `None` if none of them belongs to a driver.
    fn first_scheduler(&self) -> Option<&str> {
        let owners = self.claims.iter().map(|(_, known)| &known.owner);
        self.policy.first_driver(owners).map(|driver| &*driver.scheduler)
    }

    /// Explains an [exclusion](Self::exclusion).
    fn explain(&self, reason: Reason) -> Otherwise {
        let name_it = format!("set schedulerName: {}", self.portworx.scheduler);
        match reason {
            Reason::MirrorPod => {
                ("the pod is the copy of a static pod, which no scheduler places".to_owned(), "remove it".to_owned())
            }
            Reason::NodeNameSet => {
                let remedy = "remove nodeName, or the annotation";
                ("nodeName is set, so no scheduler places the pod".to_owned(), remedy.to_owned())
            }
            Reason::SchedulingGroup => {
                let why = "the pod belongs to a scheduling group, whose scheduler colocate does not change";
                (why.to_owned(), format!("{name_it} for all pods of the group"))
            }
            Reason::OptedOut => {
                let key = self.opt_out().map_or("", OptOutKey::name);
                (format!("{key} opts the pod out"), format!("remove the opt-out, or {name_it}"))
            }
            Reason::OwnerOptedOut => ("the kind of its controller opts out (optOut.owners)".to_owned(), name_it),
            _ => {
                let scheduler = self.subject.object.scheduler().unwrap_or_default();
                (format!("schedulerName is {}", shown(scheduler)), format!("{name_it}, or remove the annotation"))
            }
        }
    }

    /// Returns the reason outside of the object why colocate does not give the pods to Stork.
    fn not_injected(&mut self, path: &FieldPath) -> Option<Otherwise> {
        if self.names_stork() {
            return None;
        }
        let name_it = format!("set schedulerName: {}", self.portworx.scheduler);
        self.need(Rule::LocalOnlyUnenforced);
        if self.facts.namespace_opted_out {
            return Some(("its Namespace opts out by its label".to_owned(), name_it));
        }
        match self.policy.mode {
            // HC013 is about pods without a Portworx volume.
            Mode::Inject if self.of_portworx().next().is_none() => None,
            Mode::Inject => {
                let first = self.first_scheduler().filter(|first| !self.is_stork(first))?.to_owned();
                let mut schedulers = self.policy.drivers.0.iter().map(|driver| &*driver.scheduler);
                let stork_is_first =
                    schedulers.find(|own| **own == *first || self.is_stork(own)).is_some_and(|own| self.is_stork(own));
                // A claim that is not known may give the pod to Stork.
                if let Some(why) = self.first_unknown().filter(|_| stork_is_first) {
                    self.cannot_check(Rule::LocalOnlyUnenforced, path.clone(), why);
                    return None;
                }
                let why = format!("the pod gets the scheduler {} for the claims of another driver", shown(&first));
                Some((why, "mount the volumes in separate pods".to_owned()))
            }
            Mode::Audit => Some(("colocate only audits (mode: audit)".to_owned(), name_it)),
            Mode::Off => Some(("colocate is off (mode: off)".to_owned(), name_it)),
        }
    }
}
