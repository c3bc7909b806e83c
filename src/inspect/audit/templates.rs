//! The pod templates of controllers: the scheduler that each names, which shows who chose the scheduler of a pod.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::engine::{DEFAULT_SCHEDULER, Source, Text, Workload, WorkloadObject, Workloads, object};
use crate::insight::{Controller, Labels, controller};

/// The largest number of templates that are kept. At 150 bytes each, they take 15 MB. The template of a pod is not known if it
/// is not among them.
const MAX_TEMPLATES: usize = 100_000;

/// The label of a pod with the revision of the template that it was made from.
const REVISION_LABEL: &str = "controller-revision-hash";

/// The templates of a cluster by the UIDs of their controllers.
#[derive(Debug, Default)]
pub(super) struct Templates {
    /// `None` for a custom resource without a template.
    by_uid: HashMap<Box<str>, Option<KnownTemplate>>,
    /// Each scheduler once.
    schedulers: HashSet<Arc<str>>,
    /// Whether Deployments cannot be listed.
    pub(super) deployments_hidden: bool,
}

/// The template of a controller.
#[derive(Debug)]
pub(super) struct KnownTemplate {
    pub(super) scheduler: Arc<str>,
    /// The scheduler in its sources; `None` if they are not known.
    pub(super) source: Option<Source>,
    /// The revision of the template, if the controller keeps several and has seen the last change.
    revision: Option<Box<str>>,
    /// Whether the template may have changed since a pod was created.
    may_change: bool,
}

/// The template that a pod was made from.
#[derive(Clone, Copy, Debug)]
pub(super) enum PodTemplate<'t> {
    Known(&'t KnownTemplate),
    /// The pod has no controller, or one of a kind whose pods are not made from a known template.
    Absent,
    /// It could not be read, or has changed since.
    NotKnown,
}

#[derive(Deserialize)]
struct Live<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<Metadata<'a>>,
    #[serde(default, deserialize_with = "object")]
    spec: Option<Replicas>,
    #[serde(borrow, default, deserialize_with = "object")]
    status: Option<Status<'a>>,
}

#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    uid: Text<'a>,
    #[serde(default)]
    generation: Option<u64>,
    #[serde(borrow, default, deserialize_with = "object")]
    annotations: Option<Annotations<'a>>,
    #[serde(borrow, default, rename = "ownerReferences", deserialize_with = "controller")]
    controller: Option<Controller<'a>>,
}

#[derive(Deserialize)]
struct Annotations<'a> {
    #[serde(borrow, default, rename = "deployment.kubernetes.io/revision")]
    revision: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
struct Replicas {
    #[serde(default)]
    replicas: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    #[serde(default)]
    observed_generation: Option<u64>,
    #[serde(borrow, default)]
    update_revision: Option<Text<'a>>,
    #[serde(default)]
    replicas: Option<u64>,
}

impl Templates {
    /// Adds the template of a workload. `above` has the templates of the kinds that were read before, of which one may control it.
    pub(super) fn add(
        &mut self,
        (workloads, workload): (&Workloads, &Workload),
        above: &Self,
        item: &str,
    ) -> serde_json::Result<()> {
        let live: Live<'_> = serde_json::from_str(item)?;
        let (metadata, status) = (live.metadata.unwrap_or_default(), live.status.unwrap_or_default());
        let is_set = (&*workload.group, &*workload.kind) == ("apps", "ReplicaSet");
        let replicas = live.spec.unwrap_or_default().replicas.unwrap_or(1) + status.replicas.unwrap_or_default();
        // Most ReplicaSets are those of earlier templates, and have no pods.
        if self.by_uid.len() >= MAX_TEMPLATES || (is_set && replicas == 0) {
            return Ok(());
        }
        let uid: Box<str> = (*metadata.uid).into();
        if workload.custom && !workload.has_pod_spec(item) {
            self.by_uid.insert(uid, None);
            return Ok(());
        }
        let is_observed = metadata.generation.is_some() && metadata.generation == status.observed_generation;
        let of_deployment = metadata.annotations.as_ref().and_then(|annotations| annotations.revision.as_deref());
        let revision = match &*workload.kind {
            "Deployment" => of_deployment,
            _ => status.update_revision.as_deref(),
        };
        let read = WorkloadObject::parse(item, workload)?;
        let own = Some(read.source(workload));
        let source = match &metadata.controller {
            None => own,
            Some(top) if is_set && top.group() == "apps" && *top.kind == *"Deployment" => {
                match above.by_uid.get(&*top.uid) {
                    Some(Some(deployment)) => {
                        let is_latest =
                            deployment.revision.is_some() && deployment.revision.as_deref() == of_deployment;
                        deployment.source.filter(|_| is_latest)
                    }
                    _ => own.filter(|_| !above.deployments_hidden && above.by_uid.len() < MAX_TEMPLATES),
                }
            }
            // Its controller wrote the template, and may have another one since.
            Some(top) => own.filter(|_| find(workloads, top).is_none()),
        };
        let is_fixed = workload.kind == "Job" || (is_set && metadata.controller.is_some());
        let template = KnownTemplate {
            scheduler: self.scheduler(read.scheduler().unwrap_or(DEFAULT_SCHEDULER)),
            source,
            revision: revision.filter(|revision| is_observed && !revision.is_empty()).map(Into::into),
            may_change: !is_fixed && metadata.generation != Some(1),
        };
        self.by_uid.insert(uid, Some(template));
        Ok(())
    }

    /// Adds the templates of another kind.
    pub(super) fn merge(&mut self, other: Self) {
        let room = MAX_TEMPLATES.saturating_sub(self.by_uid.len());
        self.by_uid.extend(other.by_uid.into_iter().take(room));
    }

    /// Finds the template that a pod was made from, if it is certain.
    pub(super) fn of(
        &self,
        workloads: &Workloads,
        controller: Option<&Controller<'_>>,
        labels: Option<&Labels>,
    ) -> PodTemplate<'_> {
        let Some(controller) = controller.filter(|controller| find(workloads, controller).is_some()) else {
            return PodTemplate::Absent;
        };
        let revision = labels.and_then(|labels| labels.get(REVISION_LABEL)).map(String::as_str);
        match self.by_uid.get(&*controller.uid) {
            Some(None) => PodTemplate::Absent,
            Some(Some(template))
                if !template.may_change || (revision.is_some() && template.revision.as_deref() == revision) =>
            {
                PodTemplate::Known(template)
            }
            Some(Some(_)) | None => PodTemplate::NotKnown,
        }
    }

    fn scheduler(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.schedulers.get(name) {
            return known.clone();
        }
        let name = Arc::<str>::from(name);
        self.schedulers.insert(name.clone());
        name
    }
}

/// Finds the kind of a controller.
fn find<'w>(workloads: &'w Workloads, controller: &Controller<'_>) -> Option<&'w Workload> {
    let (group, version) = controller.api_version.split_once('/').unwrap_or(("", &controller.api_version));
    workloads.find(group, version, &controller.kind).filter(|workload| !workload.is_pod())
}
