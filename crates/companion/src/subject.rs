//! The parts of an object that rules check: its maps of keys, each with its path, and the claims that its pods mount.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::field_path::FieldPath;
use super::stray_key::{self, StrayKey};
use colocate_engine::storage::{HasMetadata as _, PersistentVolumeClaim, StorageClass};
use colocate_engine::{
    ClaimFacts, ClaimRef, ControllerReference, Fields, Policy, Setting, Text, Workload, WorkloadObject, controller,
    current_api_version, each_element, present,
};

/// A kind of object with rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind<'p> {
    /// A Pod, or a kind with a pod template.
    Workload(&'p Workload),
    /// A `PersistentVolumeClaim`.
    Claim,
    /// A `StorageClass`.
    Class,
    /// A Namespace.
    Namespace,
    /// A kustomization, or a component of one, as a file for kustomize.
    Kustomization,
    /// Another built-in kind, with its name. Stork does not read its metadata, and no controller copies that to pods.
    Other(&'static str),
}

/// The groups and names of the [other kinds](SubjectKind::Other).
const OTHER_KINDS: [(&str, &str); 9] = [
    ("", "ConfigMap"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
];

impl<'p> SubjectKind<'p> {
    /// Finds a kind by its group, version and name.
    pub fn find(policy: &'p Policy, group: &str, version: &str, kind: &str) -> Option<Self> {
        match (group, version, kind) {
            ("", "v1", "PersistentVolumeClaim") => Some(Self::Claim),
            ("storage.k8s.io", "v1", "StorageClass") => Some(Self::Class),
            ("", "v1", "Namespace") => Some(Self::Namespace),
            ("kustomize.config.k8s.io", _, "Kustomization" | "Component") => Some(Self::Kustomization),
            _ => {
                let other = || OTHER_KINDS.iter().find(|(own, name)| *own == group && *name == kind);
                let workload = policy.workloads.find(group, version, kind).map(Self::Workload);
                workload.or_else(|| other().map(|(_, name)| Self::Other(name)))
            }
        }
    }

    /// Returns true if it is known that objects of this kind have no namespace.
    pub fn is_cluster_scoped(self) -> bool {
        matches!(self, Self::Class | Self::Namespace | Self::Kustomization | Self::Other("Node" | "PersistentVolume"))
    }

    /// Finds the kind of an object in a file by its `apiVersion` and `kind`, such as `apps/v1` and `Deployment`. A kind of a removed
    /// version is that of the version that replaced it.
    pub fn find_object(policy: &'p Policy, api_version: &str, kind: &str) -> Option<Self> {
        if let Some(workload) = policy.workloads.find_object(api_version, kind) {
            return Some(Self::Workload(workload));
        }
        let api_version = current_api_version(api_version, kind);
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::find(policy, group, version, kind)
    }
}

impl fmt::Display for SubjectKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workload(workload) => &workload.kind,
            Self::Claim => "PersistentVolumeClaim",
            Self::Class => "StorageClass",
            Self::Namespace => "Namespace",
            Self::Kustomization => "Kustomization",
            Self::Other(kind) => kind,
        })
    }
}

/// One object, borrowed from its JSON.
#[derive(Debug)]
pub struct Subject<'a> {
    pub(super) kind: SubjectKind<'a>,
    pub(super) sites: Vec<KeyMap<'a>>,
    pub(super) object: WorkloadObject<'a>,
    /// The facts of the claim, if the object is one.
    pub(super) claim: Option<ClaimFacts<'static>>,
    /// The provisioner, if the object is a class.
    pub(super) provisioner: Option<String>,
    /// The name of the object, if it is a class that has one.
    class_name: Option<String>,
    /// The path of the pod or the pod template.
    pub(super) template: FieldPath,
    /// Whether the pod has a priority by which it may preempt others.
    pub(super) may_preempt: bool,
    pub(super) lifecycle: Lifecycle<'a>,
    /// The keys outside of these maps that may be meant for Stork.
    pub(super) strays: Vec<StrayKey>,
}

/// The most keys that are read from all maps of one object.
const MAX_KEYS: usize = Fields::MAX;

/// The most claims, and the most claim templates, that are read from one object: more than any node can mount.
const MAX_CLAIMS: usize = 1024;

/// The parts of metadata that determine whether the object is checked.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lifecycle<'a> {
    #[serde(borrow, default, rename = "ownerReferences", deserialize_with = "controller")]
    controller: Option<Box<ControllerReference<'a>>>,
    /// Whether the object is being deleted, so that changes only serve its deletion.
    #[serde(default, deserialize_with = "present")]
    pub(super) deletion_timestamp: bool,
}

/// A map of keys in an object.
#[derive(Debug)]
pub(super) struct KeyMap<'a> {
    pub(super) location: MapLocation,
    pub(super) path: FieldPath,
    pub(super) entries: Fields<'a>,
}

/// The location of a map of keys in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MapLocation {
    pub(super) of: Holder,
    pub(super) map: MapField,
}

/// The annotations of a pod, from which Stork reads its keys.
pub(super) const POD: MapLocation = MapLocation { of: Holder::Pod, map: MapField::Annotations };

/// The part of an object that has the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A pod or a pod template.
    Pod,
    /// A workload itself, or a Job template in it.
    Workload,
    /// A claim, or a claim template with its name in the object.
    Claim(Option<String>),
    Class,
    Namespace,
    /// Every object of a kustomization.
    Kustomization,
    /// An object of [another kind](SubjectKind::Other), or what kustomize generates.
    Other,
}

impl MapLocation {
    /// Returns true if Stork reads the settings of volumes from this map.
    pub(super) fn is_of_storage(&self) -> bool {
        matches!(
            self,
            Self { of: Holder::Claim(_), map: MapField::Annotations }
                | Self { of: Holder::Class, map: MapField::Parameters }
        )
    }

    /// Returns true if colocate reads `key` of this map as a label that opts out.
    pub(super) fn is_opt_out_label(&self, key: &str, policy: &Policy) -> bool {
        let is_read = matches!(self, Self { of: Holder::Pod | Holder::Workload, map: MapField::Labels });
        is_read && policy.opt_out.labels.iter().any(|label| **label == *key)
    }
}

/// A field that is a map of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapField {
    Annotations,
    Labels,
    /// The parameters of a class.
    Parameters,
}

impl MapField {
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Annotations => "annotations",
            Self::Labels => "labels",
            Self::Parameters => "parameters",
        }
    }
}

impl<'a> Subject<'a> {
    /// Reads an object of this kind from its JSON.
    ///
    /// # Errors
    /// A field that the rules depend on has another type than in Kubernetes.
    pub fn parse(json: &'a str, kind: SubjectKind<'a>) -> serde_json::Result<Self> {
        let mut subject = Self {
            kind,
            sites: Vec::new(),
            object: WorkloadObject::default(),
            claim: None,
            provisioner: None,
            class_name: None,
            template: FieldPath::default(),
            may_preempt: false,
            lifecycle: Lifecycle::default(),
            strays: Vec::new(),
        };
        let root = fields(json)?;
        if let Some(metadata) = root.raw("metadata") {
            subject.lifecycle = serde_json::from_str::<Option<_>>(metadata.get())?.unwrap_or_default();
        }
        let here = FieldPath::default();
        match kind {
            SubjectKind::Workload(workload) => {
                subject.object = WorkloadObject::parse(json, workload)?;
                subject.read_workload(root, workload)?;
            }
            SubjectKind::Claim => {
                let claim: PersistentVolumeClaim<'_> = serde_json::from_str(json)?;
                subject.claim = Some(claim.facts().into_owned());
                subject.read_metadata(&root, &here, &Holder::Claim(None))?;
            }
            SubjectKind::Class => {
                let class: StorageClass<'_> = serde_json::from_str(json)?;
                subject.provisioner = Some(class.provisioner().to_owned());
                subject.class_name = class.name().map(str::to_owned);
                subject.read_metadata(&root, &here, &Holder::Class)?;
                subject.read_map(&root, &here, Holder::Class, MapField::Parameters)?;
            }
            SubjectKind::Namespace => subject.read_metadata(&root, &here, &Holder::Namespace)?,
            SubjectKind::Kustomization => subject.read_kustomization(&root)?,
            SubjectKind::Other(_) => subject.read_metadata(&root, &here, &Holder::Other)?,
        }
        subject.read_strays(json);
        Ok(subject)
    }

    /// The claims that the rules depend on: those that its pods mount, or the object itself.
    pub fn claims(&self) -> Vec<ClaimRef<'_>> {
        match &self.claim {
            Some(claim) => vec![ClaimRef::Template { name: Text::default(), ephemeral: false, claim: claim.clone() }],
            None => self.object.claims().take(MAX_CLAIMS).collect(),
        }
    }

    /// The name of the class, if the object is one and has a name.
    pub fn class_name(&self) -> Option<&str> {
        self.class_name.as_deref()
    }

    /// Returns why a live object is not checked: it is being deleted, or a controller that is checked itself keeps it as it is.
    pub fn skipped(&self, policy: &Policy) -> Option<&'static str> {
        if self.lifecycle.deletion_timestamp {
            return Some("terminating");
        }
        self.has_controller_among(policy).then_some("controller-owned")
    }

    /// Returns true if its controller is of a kind that is itself checked.
    pub fn has_controller_among(&self, policy: &Policy) -> bool {
        let controller = self.lifecycle.controller.as_ref();
        controller.is_some_and(|owner| policy.workloads.include(owner.group(), owner.kind()))
    }

    /// The placement strategies that it names.
    pub fn strategy_names(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let key = Setting::PlacementStrategy.key();
        self.storage_sites().filter_map(|site| site.entries.get(key)).filter(|name| !name.is_empty())
    }

    /// The maps from which Stork reads the settings of volumes.
    pub(super) fn storage_sites(&self) -> impl Iterator<Item = &KeyMap<'a>> {
        self.sites.iter().filter(|site| site.location.is_of_storage())
    }

    /// Finds the keys that are not in one of the maps.
    fn read_strays(&mut self, json: &str) {
        let mut strays = stray_key::find(json);
        strays.retain(|stray| {
            let is_in_map = self.sites.iter().any(|site| site.path == stray.parent);
            !is_in_map && self.knows(&stray.parent)
        });
        self.strays = strays;
    }

    /// Returns true if the meaning of the fields at `path` is known. A custom resource may pass annotations on to its claims from
    /// any field, and a `ConfigMap` may have any data.
    fn knows(&self, path: &FieldPath) -> bool {
        let starts_with = |prefix: &FieldPath| path.segments().starts_with(prefix.segments());
        let is_of_metadata = || {
            path.segments().is_empty()
                || ["metadata", "annotations"].iter().any(|name| starts_with(&FieldPath::of([*name])))
        };
        match self.kind {
            SubjectKind::Workload(workload) if workload.custom => is_of_metadata() || starts_with(&self.template),
            SubjectKind::Other(_) => is_of_metadata(),
            SubjectKind::Workload(_)
            | SubjectKind::Claim
            | SubjectKind::Class
            | SubjectKind::Namespace
            | SubjectKind::Kustomization => true,
        }
    }

    /// Reads the annotations and labels that kustomize adds to objects.
    fn read_kustomization(&mut self, root: &Fields<'a>) -> serde_json::Result<()> {
        let here = FieldPath::default();
        let common = |map| MapLocation { of: Holder::Kustomization, map };
        self.push(child(root, "commonAnnotations")?, here.field("commonAnnotations"), common(MapField::Annotations));
        self.push(child(root, "commonLabels")?, here.field("commonLabels"), common(MapField::Labels));
        for (index, item) in items(root, "labels", |_| true)? {
            let path = here.field("labels").index(index).field("pairs");
            self.push(child(&fields(item.get())?, "pairs")?, path, common(MapField::Labels));
        }
        let (options, here) = (child(root, "generatorOptions")?, here.field("generatorOptions"));
        self.read_map(&options, &here, Holder::Other, MapField::Annotations)?;
        self.read_map(&options, &here, Holder::Other, MapField::Labels)
    }

    /// Reads all metadata from the object down to its pod template.
    fn read_workload(&mut self, root: Fields<'a>, workload: &Workload) -> serde_json::Result<()> {
        let (mut level, mut here) = (root, FieldPath::default());
        for (depth, name) in workload.path.iter().enumerate() {
            self.read_metadata(&level, &here, &Holder::Workload)?;
            if depth + 1 == workload.path.len() {
                self.read_claim_templates(&level, &here)?;
            }
            level = child(&level, name)?;
            here = here.field(name);
        }
        self.read_metadata(&level, &here, &Holder::Pod)?;
        let spec = child(&level, "spec")?;
        self.read_ephemeral(&spec, &here.field("spec"))?;
        self.may_preempt = may_preempt(&spec);
        self.template = here;
        Ok(())
    }

    /// Reads `volumeClaimTemplates`, next to the pod template.
    fn read_claim_templates(&mut self, level: &Fields<'a>, here: &FieldPath) -> serde_json::Result<()> {
        const FIELD: &str = "volumeClaimTemplates";
        for (index, template) in items(level, FIELD, |_| true)? {
            let template = fields(template.get())?;
            let name = text(&child(&template, "metadata")?, "name");
            self.read_metadata(&template, &here.field(FIELD).index(index), &Holder::Claim(Some(name)))?;
        }
        Ok(())
    }

    /// Reads the claim templates of generic ephemeral volumes.
    fn read_ephemeral(&mut self, spec: &Fields<'a>, here: &FieldPath) -> serde_json::Result<()> {
        const FIELD: &str = "volumeClaimTemplate";
        // A pod may have 40,000 volumes, of which few are ephemeral.
        for (index, volume) in items(spec, "volumes", |volume| volume.get().contains(FIELD))? {
            let volume = fields(volume.get())?;
            let template = child(&child(&volume, "ephemeral")?, FIELD)?;
            let here = here.field("volumes").index(index).field("ephemeral").field(FIELD);
            self.read_metadata(&template, &here, &Holder::Claim(Some(text(&volume, "name"))))?;
        }
        Ok(())
    }

    fn read_metadata(&mut self, fields: &Fields<'a>, here: &FieldPath, of: &Holder) -> serde_json::Result<()> {
        let (metadata, here) = (child(fields, "metadata")?, here.field("metadata"));
        self.read_map(&metadata, &here, of.clone(), MapField::Annotations)?;
        self.read_map(&metadata, &here, of.clone(), MapField::Labels)
    }

    fn read_map(&mut self, fields: &Fields<'a>, here: &FieldPath, of: Holder, map: MapField) -> serde_json::Result<()> {
        self.push(child(fields, map.field())?, here.field(map.field()), MapLocation { of, map });
        Ok(())
    }

    fn push(&mut self, mut entries: Fields<'a>, path: FieldPath, location: MapLocation) {
        if !entries.is_empty() {
            let before: usize = self.sites.iter().map(|site| site.entries.len()).sum();
            entries.truncate(MAX_KEYS - before);
            self.sites.push(KeyMap { location, path, entries });
        }
    }
}

/// The fields of an object, still encoded; empty for null.
fn fields(json: &str) -> serde_json::Result<Fields<'_>> {
    serde_json::from_str(json)
}

/// The fields of a nested object; empty if it is absent.
fn child<'a>(of: &Fields<'a>, name: &str) -> serde_json::Result<Fields<'a>> {
    of.raw(name).map_or(Ok(Fields::default()), |raw| fields(raw.get()))
}

/// The first items of a list that pass `is_one`, each with its index.
fn items<'a>(
    of: &Fields<'a>,
    name: &str,
    is_one: impl Fn(&RawValue) -> bool,
) -> serde_json::Result<Vec<(usize, &'a RawValue)>> {
    let Some(list) = of.raw(name) else { return Ok(Vec::new()) };
    let (mut kept, mut index) = (Vec::new(), 0);
    each_element(&mut serde_json::Deserializer::from_str(list.get()), "an array or null", |item: &'a RawValue| {
        if kept.len() < MAX_CLAIMS && is_one(item) {
            kept.push((index, item));
        }
        index += 1;
    })?;
    Ok(kept)
}

/// Returns true if a pod with this spec has a priority above zero, as far as the spec shows it, and may preempt others.
fn may_preempt(spec: &Fields<'_>) -> bool {
    let has_class = spec.get("priorityClassName").is_some_and(|name| !name.is_empty());
    let priority = spec.raw("priority").and_then(|raw| raw.get().parse::<i64>().ok());
    priority.map_or(has_class, |priority| priority > 0) && spec.get("preemptionPolicy").as_deref() != Some("Never")
}

fn text(of: &Fields<'_>, name: &str) -> String {
    of.get(name).unwrap_or_default().into_owned()
}
