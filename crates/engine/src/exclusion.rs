//! Exclusions: pods that keep their scheduler, whatever their claims are.

use super::annotation::MIRROR_POD;
use super::opt_out::OptOutKeys;
use super::pod::Template;
use super::policy::{Policy, Templates};
use super::reason::Reason;
use super::workload::{Workload, WorkloadObject};

impl Policy {
    /// Returns the reason why a Pod, or the pods that are created from a template, keep the scheduler that they name; `None`
    /// if their claims decide.
    ///
    /// The mode and the Namespace are not considered. A template that is itself left alone is not a reason, because its pods
    /// get their scheduler when they are created.
    pub fn exclusion_of_pods(&self, workload: &Workload, object: &WorkloadObject<'_>) -> Option<Reason> {
        let template = object.template.as_ref()?;
        let mirror = (workload.is_pod() && template.is_mirror_pod()).then_some(Reason::MirrorPod);
        let reason = mirror.or_else(|| template.exclusion());
        let reason = reason.or_else(|| self.scheduler_exclusion(template, &self.opt_out.of_pods(object)));
        reason.or_else(|| self.covers_pods(workload, object).then_some(Reason::OwnerOptedOut))
    }

    /// Returns the reason to skip pods that name their scheduler or opt out.
    pub(crate) fn scheduler_exclusion(&self, template: &Template<'_>, opt_out: &OptOutKeys<'_>) -> Option<Reason> {
        let scheduler = template.scheduler();
        if scheduler.is_some_and(|scheduler| self.drivers.has_scheduler(scheduler)) {
            return Some(match opt_out.set {
                Some(_) => Reason::OptOutWithoutEffect,
                None => Reason::AlreadySet,
            });
        }
        if !self.replaceable.allow(scheduler) {
            return Some(Reason::OtherScheduler);
        }
        opt_out.set.map(|_| Reason::OptedOut)
    }

    /// Returns true if the pods are left alone because of their controller. If that is not the workload itself, but a
    /// `ReplicaSet` or a `Job`, the template of the workload must be left alone too, because its pods inherit its scheduler.
    fn covers_pods(&self, workload: &Workload, object: &WorkloadObject<'_>) -> bool {
        let covers_object = self.opt_out.covers_object(workload, object);
        match workload.intermediate_controller() {
            Some((group, kind)) => {
                self.opt_out.covers(group, kind) && (covers_object || self.templates == Templates::Leave)
            }
            None => covers_object,
        }
    }
}

impl Template<'_> {
    /// Returns the reason to skip pods that no scheduler places, or that need the scheduler of other pods.
    pub(crate) fn exclusion(&self) -> Option<Reason> {
        let spec = self.spec.as_ref()?;
        if spec.node_name().is_some() {
            return Some(Reason::NodeNameSet);
        }
        spec.in_scheduling_group().then_some(Reason::SchedulingGroup)
    }

    /// Returns true for the API server's copy of a static pod.
    pub(crate) fn is_mirror_pod(&self) -> bool {
        self.metadata.annotations.contains(MIRROR_POD)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{OptOut, OwnerKind};

    fn excluded(policy: &Policy, kind: &str, template: &Value) -> Option<Reason> {
        let group = if kind == "CronJob" { "batch" } else { "apps" };
        let workload = policy.workloads.find(if kind == "Pod" { "" } else { group }, "v1", kind).unwrap();
        let object = workload.path.iter().rev().fold(template.clone(), |inner, key| json!({ key: inner }));
        let text = object.to_string();
        policy.exclusion_of_pods(workload, &WorkloadObject::parse(&text, workload).unwrap())
    }

    #[test]
    fn pods_are_excluded_by_their_own_fields() {
        let policy = Policy::default();
        let spec = |spec: Value| json!({ "metadata": {}, "spec": spec });
        let metadata = |metadata: Value| json!({ "metadata": metadata, "spec": {} });
        for (template, reason) in [
            (json!({}), None),
            (spec(json!({})), None),
            (spec(json!({ "schedulerName": "default-scheduler" })), None),
            (spec(json!({ "schedulerName": "mine" })), Some(Reason::OtherScheduler)),
            (spec(json!({ "schedulerName": "stork" })), Some(Reason::AlreadySet)),
            (spec(json!({ "nodeName": "node-1", "schedulerName": "stork" })), Some(Reason::NodeNameSet)),
            (spec(json!({ "schedulingGroup": {} })), Some(Reason::SchedulingGroup)),
            (spec(json!({ "workloadRef": {} })), Some(Reason::SchedulingGroup)),
            (metadata(json!({ "labels": { "colocate/ignore": "true" } })), Some(Reason::OptedOut)),
            (metadata(json!({ "labels": { "colocate/ignore": "no" } })), None),
        ] {
            for kind in ["Pod", "Deployment", "CronJob"] {
                assert_eq!(excluded(&policy, kind, &template), reason, "{kind} {template}");
            }
        }
        let mirror = metadata(json!({ "annotations": { MIRROR_POD: "x" } }));
        assert_eq!(excluded(&policy, "Pod", &mirror), Some(Reason::MirrorPod));
        assert_eq!(excluded(&policy, "Deployment", &mirror), None);
    }

    #[test]
    fn the_label_of_a_workload_does_not_exclude_its_pods() {
        let policy = Policy::default();
        let workload = policy.workloads.find("apps", "v1", "Deployment").unwrap();
        let text = r#"{"metadata":{"labels":{"colocate/ignore":"true"}},"spec":{"template":{"spec":{}}}}"#;
        let object = WorkloadObject::parse(text, workload).unwrap();
        assert_eq!(policy.exclusion_of_pods(workload, &object), None);
        assert!(policy.opt_out.of_object(&object).set.is_some());
    }

    #[test]
    fn pods_are_excluded_by_their_direct_controller() {
        let pods = json!({ "spec": {} });
        for (owners, templates, kind, is_excluded) in [
            (&["StatefulSet"][..], Templates::Inject, "StatefulSet", true),
            (&["StatefulSet"], Templates::Inject, "DaemonSet", false),
            // The template, or the pods of the ReplicaSet, still get the scheduler.
            (&["Deployment"], Templates::Inject, "Deployment", false),
            (&["ReplicaSet"], Templates::Inject, "Deployment", false),
            (&["Deployment", "ReplicaSet"], Templates::Inject, "Deployment", true),
            (&["ReplicaSet"], Templates::Leave, "Deployment", true),
            (&["Deployment"], Templates::Leave, "Deployment", false),
            (&["CronJob"], Templates::Inject, "CronJob", false),
            (&["CronJob", "Job"], Templates::Inject, "CronJob", true),
        ] {
            let group = |kind: &str| if kind.ends_with("Job") { "batch" } else { "apps" };
            let owner = |kind: &&str| OwnerKind { group: group(kind).to_owned(), kind: (*kind).to_owned() };
            let opt_out = OptOut { owners: owners.iter().map(owner).collect(), ..OptOut::default() };
            let policy = Policy { templates, opt_out, ..Policy::default() };
            let expected = is_excluded.then_some(Reason::OwnerOptedOut);
            assert_eq!(excluded(&policy, kind, &pods), expected, "{owners:?} {templates:?} {kind}");
        }
    }
}
