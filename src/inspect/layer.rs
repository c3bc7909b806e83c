//! The changes that files would make to running pods: a simulation of `kubectl apply` to a live cluster.
//!
//! All objects of the files are assumed to be applied, storage first. A live object that the files describe is as `kubectl apply`
//! leaves it, or unchanged if the API server would reject the file.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::access::Access;
use super::cluster::Cluster;
use super::kinds::{self, ResourceKind};
use crate::api::ApiError;
use crate::engine::storage::{HasMetadata as _, PersistentVolume, PersistentVolumeClaim, StorageClass};
use crate::engine::{DEFAULT_SCHEDULER, Policy, StorageView as _, Workload, current_api_version};
use crate::insight::{Labels, Overlay, Prediction, apply, rejection};

/// The time of a class that does not exist yet: it will be the newest one.
const FUTURE: &str = "9999-12-31T23:59:59Z";

/// An object of a file.
#[derive(Clone, Debug)]
pub(crate) struct FileObject {
    /// Its place in the files.
    pub(crate) place: String,
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// The namespace, or the default namespace if the object does not name one.
    pub(crate) namespace: String,
    /// Its name, or its `generateName` followed by `*`.
    pub(crate) name: String,
    pub(crate) value: Value,
}

impl FileObject {
    /// Returns true for the Namespace of this name.
    pub(super) fn is_namespace(&self, name: &str) -> bool {
        self.api_version == "v1" && self.kind == "Namespace" && self.name == name
    }
}

/// The change of the pods of one workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodChange {
    pub(crate) namespace: String,
    /// The kind and name of the workload; those of the pod itself if it has none.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The time of the change: `rollout` or `re-creation`.
    pub(crate) when: &'static str,
    /// The scheduler of the running pods.
    pub(crate) today: String,
    /// The scheduler of the pods that replace them; `None` if it is not known.
    pub(crate) after: Option<String>,
    pub(crate) reason: &'static str,
}

/// The effect of a file on a workload.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadForecast {
    pub(crate) place: String,
    pub(crate) namespace: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) prediction: Prediction,
}

/// The changes that the files would make.
#[derive(Debug, Default)]
pub(crate) struct FileForecast {
    /// The workloads of the files.
    pub(crate) workloads: Vec<WorkloadForecast>,
    /// The changes of running pods, with their numbers.
    pub(crate) pods: PodChanges,
    /// Messages about objects in the files that are ignored or would be rejected.
    pub(crate) notes: Vec<String>,
}

/// Changes of pods, counted. The number of entries is bounded.
#[derive(Debug, Default)]
pub(crate) struct PodChanges {
    pub(crate) counts: BTreeMap<PodChange, u64>,
    /// The number of pods that are not counted by workload.
    pub(crate) more: u64,
}

/// The largest number of changes that are counted separately.
const MAX_CHANGES: usize = 10_000;

/// The group, kind, namespace (empty for a cluster-scoped kind) and name of an object.
type ObjectKey = (String, String, String, String);

/// A workload by its namespace, kind and name.
pub(super) type WorkloadName = (String, String, String);

/// The objects of the files, and what the cluster has in their place.
#[derive(Debug, Default)]
pub(super) struct Layer<'a> {
    entries: BTreeMap<ObjectKey, Entry<'a>>,
    /// The live classes.
    classes: HashMap<String, Value>,
    /// The schedulers that live templates name, except the default.
    pub(super) schedulers: HashMap<WorkloadName, String>,
    pub(super) notes: Vec<String>,
}

#[derive(Debug)]
struct Entry<'a> {
    file: &'a FileObject,
    live: Option<Value>,
}

/// The storage and the Namespaces after the files are applied.
pub(super) struct After<'a> {
    pub(super) storage: Overlay<'a>,
    /// The labels of the Namespaces of the files.
    namespaces: HashMap<String, Labels>,
}

impl<'a> Layer<'a> {
    /// Simulates the application of the objects to a cluster, or to one of its namespaces.
    pub(super) fn new(objects: &'a [FileObject], namespace: Option<&str>) -> Self {
        let (mut layer, mut elsewhere) = (Self::default(), 0);
        for file in objects {
            let (group, own) = (group(file), &file.namespace);
            let is_cluster_scoped = is_cluster_scoped(group, &file.kind);
            if !is_cluster_scoped && namespace.is_some_and(|namespace| namespace != own) {
                elsewhere += 1;
                continue;
            }
            let own = if is_cluster_scoped { String::new() } else { own.clone() };
            let key = (group.to_owned(), file.kind.clone(), own, file.name.clone());
            if let Some(first) = layer.entries.insert(key, Entry { file, live: None }) {
                let FileObject { kind, name, place, .. } = file;
                let first = &first.file.place;
                layer.notes.push(format!(
                    "{kind} {name} is defined in {first} and {place}; the last definition is used: pass the output of `kustomize build` or `helm template`"
                ));
            }
        }
        if elsewhere > 0 {
            let namespace = namespace.unwrap_or_default();
            layer.notes.push(format!("objects in other namespaces than {namespace} are left out: {elsewhere}"));
        }
        layer
    }

    /// Keeps a live object that the files describe.
    pub(super) fn capture(
        &mut self,
        (group, kind): (&str, &str),
        namespace: &str,
        name: &str,
        item: &str,
    ) -> serde_json::Result<()> {
        if (group, kind) == ("storage.k8s.io", "StorageClass") {
            self.classes.insert(name.to_owned(), serde_json::from_str(item)?);
        }
        let key = (group.to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned());
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.live = Some(serde_json::from_str(item)?);
        }
        Ok(())
    }

    /// Reads the live objects of kinds that an audit does not list.
    pub(super) async fn get_live(&mut self, access: &mut Access, namespace: Option<&str>) -> Result<(), ApiError> {
        for ((group, kind, own, name), entry) in &mut self.entries {
            let resource = match (group.as_str(), kind.as_str()) {
                ("", "PersistentVolume") => kinds::VOLUMES,
                ("", "PodTemplate") => kinds::POD_TEMPLATES,
                ("", "Namespace") if namespace.is_some() => kinds::NAMESPACES,
                _ => continue,
            };
            let own = Some(own.as_str()).filter(|own| !own.is_empty());
            entry.live = get(access, resource, own, name).await?;
        }
        Ok(())
    }

    /// Returns the storage and the Namespaces after the files are applied.
    pub(super) async fn after<'c>(
        &mut self,
        access: &mut Access,
        cluster: &'c Cluster,
        policy: &Policy,
    ) -> Result<After<'c>, ApiError> {
        let mut after = After { storage: Overlay::new(&cluster.inventory), namespaces: HashMap::new() };
        let mut classes = std::mem::take(&mut self.classes);
        let mut reserved = Vec::new();
        for ((group, kind, namespace, name), Entry { file, live }) in &self.entries {
            if !is_storage(group, kind) {
                continue;
            }
            let mut object = live.as_ref().map_or_else(|| file.value.clone(), |live| apply(live, &file.value, false));
            if let Some(live) = live
                && let Some(why) = rejection(group, kind, live, &object)
            {
                let place = &file.place;
                self.notes.push(format!(
                    "{place}: the API server rejects the change of {kind} {name}, so the live one stays: {why}"
                ));
                object = live.clone();
            }
            let json = object.to_string();
            let result = match kind.as_str() {
                "StorageClass" => {
                    if live.is_none() {
                        object["metadata"]["creationTimestamp"] = FUTURE.into();
                    }
                    classes.insert(name.clone(), object);
                    Ok(())
                }
                "PersistentVolumeClaim" => serde_json::from_str(&json).map(|claim: PersistentVolumeClaim<'_>| {
                    after.storage.insert_claim(namespace, name, claim.facts());
                }),
                "PersistentVolume" => serde_json::from_str(&json).map(|volume: PersistentVolume<'_>| {
                    after.storage.insert_volume(name, volume.facts());
                    reserved.extend(
                        volume.claim().map(|(namespace, claim)| (namespace.to_owned(), claim.to_owned(), name.clone())),
                    );
                }),
                _ => {
                    let labels = object.pointer("/metadata/labels").cloned().unwrap_or_default();
                    serde_json::from_value::<Option<Labels>>(labels)
                        .map(|labels| drop(after.namespaces.insert(name.clone(), labels.unwrap_or_default())))
                }
            };
            if let Err(error) = result {
                self.notes.push(format!("{}: {kind} {name} cannot be read, and has no effect: {error}", file.place));
            }
        }
        for (name, class) in &classes {
            let json = class.to_string();
            match serde_json::from_str::<StorageClass<'_>>(&json) {
                Ok(class) => after.storage.insert_class(name, class.facts()),
                Err(error) => self.notes.push(format!("StorageClass {name} cannot be read: {error}")),
            }
        }
        for (namespace, claim, volume) in reserved {
            after.storage.reserve(&namespace, &claim, &volume);
        }
        let claims: Vec<_> = after.storage.claims().map(|(.., claim)| after.storage.owner_of(claim)).collect();
        for volume in claims.iter().filter_map(|owner| policy.volume_to_read(owner)) {
            if let Some(object) = get(access, kinds::VOLUMES, None, volume).await? {
                let json = object.to_string();
                if let Ok(found) = serde_json::from_str::<PersistentVolume<'_>>(&json) {
                    after.storage.insert_volume(found.name().unwrap_or_default(), found.facts());
                }
            }
        }
        Ok(after)
    }

    /// Returns the workloads of the files, each with what the cluster has in its place.
    pub(super) fn workloads<'p>(&self, policy: &'p Policy) -> Vec<(&'a FileObject, &'p Workload, Option<Value>)> {
        let workloads = self.entries.values().filter_map(|Entry { file, live }| {
            let workload = policy.workloads.find_object(&file.api_version, &file.kind)?;
            Some((*file, workload, live.clone()))
        });
        workloads.collect()
    }

    /// Records the scheduler that a live template names.
    pub(super) fn add_scheduler(&mut self, workload: WorkloadName, scheduler: &str) {
        if scheduler != DEFAULT_SCHEDULER {
            self.schedulers.insert(workload, scheduler.to_owned());
        }
    }
}

impl After<'_> {
    /// The labels of a Namespace.
    pub(super) fn labels<'s>(&'s self, cluster: &'s Cluster, namespace: &str) -> Option<&'s Labels> {
        self.namespaces.get(namespace).or_else(|| cluster.namespaces.as_ref()?.labels(namespace))
    }
}

impl PodChanges {
    /// Counts a pod.
    pub(super) fn add(&mut self, change: PodChange) {
        if self.counts.len() >= MAX_CHANGES && !self.counts.contains_key(&change) {
            self.more += 1;
        } else {
            *self.counts.entry(change).or_default() += 1;
        }
    }
}

/// The API group of the version that serves the kind of an object.
fn group(file: &FileObject) -> &str {
    current_api_version(&file.api_version, &file.kind).split_once('/').map_or("", |(group, _)| group)
}

fn is_cluster_scoped(group: &str, kind: &str) -> bool {
    matches!((group, kind), ("", "Namespace" | "PersistentVolume") | ("storage.k8s.io", "StorageClass"))
}

fn is_storage(group: &str, kind: &str) -> bool {
    is_cluster_scoped(group, kind) || (group, kind) == ("", "PersistentVolumeClaim")
}

/// Gets a live object; `None` if it does not exist or cannot be read.
async fn get(
    access: &mut Access,
    kind: ResourceKind,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Value>, ApiError> {
    let hides = format!("the live {}, so the objects in the files count as new", kind.resource.name);
    let found = access.get(kind, namespace, name, hides).await?;
    Ok(found.object().and_then(|json| serde_json::from_str(&json).ok()))
}
