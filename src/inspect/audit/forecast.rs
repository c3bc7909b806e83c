//! The forecast of an audit: what the files change for the workloads and the pods that are read.

use std::collections::HashMap;

use serde_json::Value;

use super::auditor::Auditor;
use super::live_object::Live;
use super::pod_list::PodList;
use super::workload_list::{OTHER_WORKLOADS, WORKLOADS};
use crate::api::ApiError;
use crate::engine::{DEFAULT_SCHEDULER, Presence, Workload, parse_bool};
use crate::insight::{
    Answer, Facts, Foreseen, Labels, NewPod, Overlay, Prediction, Scope, When, as_requested, scheduler,
};
use crate::inspect::access::Access;
use crate::inspect::kinds::{self, ResourceKind};
use crate::inspect::layer::{
    After, FileForecast, FileObject, Layer, PodChange, PodChanges, WorkloadForecast, WorkloadName,
};

/// The facts after the files are applied, and their effect on workloads.
pub(super) struct Forecast<'a> {
    auditor: &'a Auditor<'a>,
    after: After<'a>,
    /// The schedulers that live templates name, except the default.
    schedulers: HashMap<WorkloadName, String>,
    workloads: HashMap<WorkloadName, WorkloadOfFile<'a>>,
}

/// A workload of a file.
struct WorkloadOfFile<'a> {
    workload: &'a Workload,
    live: Option<Value>,
    prediction: Prediction,
}

impl<'a> Forecast<'a> {
    /// Reads what the files replace, and predicts their effect on their workloads.
    pub(super) async fn read(
        access: &mut Access,
        auditor: &'a Auditor<'a>,
        layer: &mut Layer<'_>,
        namespace: Option<&str>,
        progress: &mut impl FnMut(&'static str),
    ) -> Result<Self, ApiError> {
        let policy = &auditor.rules.policy;
        if let Some(workload) = policy.workloads.find("apps", "v1", "ReplicaSet") {
            let hides = "the schedulers that ReplicaSets name, and so the effect of the files on their pods";
            // The list is bounded by the files and by the templates that name a scheduler.
            let listed = access.list(kinds::REPLICA_SETS, namespace, hides, |(): &mut (), item| {
                progress(kinds::REPLICA_SETS.resource.name);
                capture_workload(layer, workload, item)
            });
            listed.await?;
        }
        layer.get_live(access, namespace).await?;
        let after = layer.after(access, auditor.cluster, policy).await?;
        let schedulers = std::mem::take(&mut layer.schedulers);
        let mut forecast = Self { auditor, after, schedulers, workloads: HashMap::new() };
        for (file, workload, live) in layer.workloads(policy) {
            // Pods are read later.
            if !workload.is_pod() {
                let prediction = forecast.predict(file, workload, live.as_ref());
                let name = (file.namespace.clone(), file.kind.clone(), file.name.clone());
                forecast.workloads.insert(name, WorkloadOfFile { workload, live, prediction });
            }
        }
        Ok(forecast)
    }

    fn predict(&self, file: &FileObject, workload: &'a Workload, live: Option<&Value>) -> Prediction {
        let namespace = &file.namespace;
        let labels = labels_of(&file.value);
        let custom = self.auditor.rules.custom.iter().map(|custom| (custom.kind, custom.name));
        let kind = WORKLOADS
            .into_iter()
            .chain(OTHER_WORKLOADS)
            .chain(custom)
            .find(|(kind, name)| (kind.resource.group, *name) == (workload.group.as_str(), workload.kind.as_str()));
        let sent = match kind {
            Some((kind, name)) => self.sends_after(kind, name, namespace, labels.as_ref()),
            None => Answer::NotEvaluated(String::new()),
        };
        let scope = Scope { namespace, opted_out: self.opted_out_after(namespace), sent: &sent };
        let mut prediction = self.facts().predict(workload, scope, live, &file.value);
        prediction.after = self.auditor.known(prediction.after);
        prediction
    }

    /// Counts a pod if the files would change the scheduler of the one that replaces it.
    pub(super) fn add_pod(
        &self,
        controllers: &HashMap<Box<str>, (Box<str>, Box<str>)>,
        list: &mut PodList,
        item: &str,
    ) -> serde_json::Result<()> {
        let live: Live<'_> = serde_json::from_str(item)?;
        let metadata = live.metadata.unwrap_or_default();
        let (namespace, name) = (&*metadata.namespace, &*metadata.name);
        let owner = metadata.top_controller(controllers);
        let pod: Value = serde_json::from_str(item)?;
        let (kind, owner_name) = owner.as_ref().map_or(("Pod", name), |(kind, name)| (&**kind, &**name));
        let key = (namespace.to_owned(), kind.to_owned(), owner_name.to_owned());
        if owner.is_none() {
            list.of_files.insert(key.clone(), pod.clone());
        }
        if live.status.is_some_and(|status| matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))) {
            return Ok(());
        }
        let today = pod.pointer("/spec/schedulerName").and_then(Value::as_str).unwrap_or(DEFAULT_SCHEDULER);
        let (when, before, after) = match self.workloads.get(&key) {
            // A Job of a CronJob keeps its template.
            Some(found) if kind != "CronJob" => self.of_workload(found, namespace, name),
            _ => self.of_others(&key, &pod, namespace, today),
        };
        let [before, after] = [before, after].map(|foreseen| self.auditor.known(foreseen));
        let is_changed = match when {
            When::Rollout => after.scheduler.as_deref() != Some(today),
            _ => before.scheduler != after.scheduler && after.scheduler.as_deref() != Some(today),
        };
        if is_changed {
            let (namespace, kind, name) = key;
            let after_scheduler = after.scheduler.map(|scheduler| scheduler.to_string());
            let (when, today, reason) = (when.as_str(), today.to_owned(), after.reason);
            list.changes.add(PodChange { namespace, kind, name, when, today, after: after_scheduler, reason });
        }
        Ok(())
    }

    /// Foresees the replacement of a pod whose workload is in the files, before and after they are applied.
    fn of_workload(&self, found: &WorkloadOfFile<'_>, namespace: &str, pod: &str) -> (When, Foreseen, Foreseen) {
        let WorkloadOfFile { workload, live, prediction } = found;
        let of_revision = |object| NewPod { owner: workload, object, name: Some(pod) };
        let live = live.as_ref().unwrap_or(&prediction.object);
        let before = self.foresee_live(of_revision(live), namespace);
        // Pods below the partition keep the old template, also when they are created again.
        let partition =
            prediction.object.pointer("/spec/updateStrategy/rollingUpdate/partition").and_then(Value::as_u64);
        let ordinal = pod.rsplit('-').next().and_then(|ordinal| ordinal.parse::<u64>().ok());
        let is_kept = partition.zip(ordinal).is_some_and(|(partition, ordinal)| ordinal < partition);
        match prediction.when {
            When::Rollout if !is_kept => {
                (When::Rollout, before, self.foresee_after(of_revision(&prediction.object), namespace))
            }
            When::Rollout => (When::Recreation, before, self.foresee_after(of_revision(live), namespace)),
            _ => (When::Recreation, before, self.foresee_after(of_revision(&prediction.object), namespace)),
        }
    }

    /// Foresees the replacement of a pod whose workload is not in the files.
    fn of_others(&self, owner: &WorkloadName, pod: &Value, namespace: &str, today: &str) -> (When, Foreseen, Foreseen) {
        let requested = match self.schedulers.get(owner) {
            Some(scheduler) => scheduler,
            // colocate set it.
            None if self.auditor.rules.policy.drivers.has_scheduler(today) => DEFAULT_SCHEDULER,
            None => today,
        };
        let requested = as_requested(pod, requested);
        let labels = labels_of(pod);
        let before = {
            let sent = self.auditor.sent(namespace, labels.as_ref());
            let scope = Scope { namespace, opted_out: self.auditor.opted_out(namespace), sent: &sent };
            self.auditor.facts().foresee_pod(&requested, scope)
        };
        let sent = self.sends_after(kinds::PODS, "Pod", namespace, labels.as_ref());
        let scope = Scope { namespace, opted_out: self.opted_out_after(namespace), sent: &sent };
        (When::Recreation, before, self.facts().foresee_pod(&requested, scope))
    }

    fn foresee_live(&self, pod: NewPod<'_>, namespace: &str) -> Foreseen {
        let labels = pod.labels();
        let sent = self.auditor.sent(namespace, labels.as_ref());
        let scope = Scope { namespace, opted_out: self.auditor.opted_out(namespace), sent: &sent };
        self.auditor.facts().foresee_new_pod(pod, scope)
    }

    fn foresee_after(&self, pod: NewPod<'_>, namespace: &str) -> Foreseen {
        let labels = pod.labels();
        let sent = self.sends_after(kinds::PODS, "Pod", namespace, labels.as_ref());
        let scope = Scope { namespace, opted_out: self.opted_out_after(namespace), sent: &sent };
        self.facts().foresee_new_pod(pod, scope)
    }

    fn sends_after(&self, kind: ResourceKind, name: &str, namespace: &str, labels: Option<&Labels>) -> Answer {
        let namespace_labels = self.after.labels(self.auditor.cluster, namespace);
        self.auditor.sends(kind, name, (namespace, namespace_labels), labels)
    }

    fn opted_out_after(&self, namespace: &str) -> Option<bool> {
        let labels = self.after.labels(self.auditor.cluster, namespace)?;
        let label = &*self.auditor.rules.policy.opt_out.namespace_label;
        Some(labels.get(label).and_then(|value| parse_bool(value)) == Some(true))
    }

    fn facts(&self) -> Facts<'_, Overlay<'a>> {
        Facts { policy: &self.auditor.rules.policy, storage: &self.after.storage, presence: &|_| Presence::Unknown }
    }

    /// Ends with the changes of the pods that were read. `pods` are the live ones without a controller.
    pub(super) fn end(
        mut self,
        layer: Layer<'_>,
        changes: PodChanges,
        pods: &HashMap<WorkloadName, Value>,
    ) -> FileForecast {
        let mut workloads = Vec::new();
        for (file, workload, _) in layer.workloads(&self.auditor.rules.policy) {
            let name = (file.namespace.clone(), file.kind.clone(), file.name.clone());
            let prediction = match self.workloads.remove(&name) {
                Some(found) => found.prediction,
                None => self.predict(file, workload, pods.get(&name)),
            };
            let (namespace, kind, name) = name;
            workloads.push(WorkloadForecast { place: file.place.clone(), namespace, kind, name, prediction });
        }
        FileForecast { workloads, pods: changes, notes: layer.notes }
    }
}

/// Keeps a live object that the files describe.
pub(super) fn capture(layer: &mut Layer<'_>, kind: (&str, &str), item: &str) -> serde_json::Result<()> {
    let metadata = serde_json::from_str::<Live<'_>>(item)?.metadata.unwrap_or_default();
    layer.capture(kind, &metadata.namespace, &metadata.name, item)
}

/// Keeps a live workload that the files describe, and the scheduler that it names.
pub(super) fn capture_workload(layer: &mut Layer<'_>, workload: &Workload, item: &str) -> serde_json::Result<()> {
    let metadata = serde_json::from_str::<Live<'_>>(item)?.metadata.unwrap_or_default();
    let name = (metadata.namespace.to_string(), workload.kind.clone(), metadata.name.to_string());
    if metadata.controller.is_none() {
        layer.add_scheduler(name, scheduler(workload, &serde_json::from_str(item)?));
    }
    layer.capture((&workload.group, &workload.kind), &metadata.namespace, &metadata.name, item)
}

fn labels_of(object: &Value) -> Option<Labels> {
    let labels = object.pointer("/metadata/labels").cloned().unwrap_or_default();
    serde_json::from_value(labels).unwrap_or_default()
}
