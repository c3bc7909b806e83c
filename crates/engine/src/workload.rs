//! The kinds of object that pods are made from, and where each keeps its pod template.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Unexpected};
use serde_json::value::RawValue;

use super::claim::{self, ClaimRef};
use super::decode::{Field, FieldsSeed, Nullable, ReadFields, Text};
use super::entries::Entries;
use super::pod::{PodMetadata, Template};
use super::storage::PersistentVolumeClaim;

/// A kind of object that the engine decides about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    group: Cow<'static, str>,
    version: Cow<'static, str>,
    kind: Cow<'static, str>,
    /// The keys that lead from the object to its pod template; none for a Pod, which is its own.
    path: Vec<Cow<'static, str>>,
    update: Update,
    custom: bool,
}

/// The effect of an UPDATE on the pod template of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// It may change; new pods are made from the new one.
    Allowed,
    /// The API server refuses every change of `schedulerName`.
    Refused,
}

impl Workload {
    /// A custom resource whose pod template stands at `path` (object keys from the root).
    pub fn custom(group: String, version: String, kind: String, path: Vec<String>, update: Update) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            path: path.into_iter().map(Cow::Owned).collect(),
            update,
            custom: true,
        }
    }

    const fn built_in(group: &'static str, kind: &'static str, path: Vec<Cow<'static, str>>, update: Update) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed("v1"),
            kind: Cow::Borrowed(kind),
            path,
            update,
            custom: false,
        }
    }

    /// The API group; empty for the core group.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// The version within the group.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The kind's name.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The keys that lead from the object to its pod template.
    pub fn path(&self) -> &[Cow<'static, str>] {
        &self.path
    }

    /// Returns true if objects of this kind are pods, and not templates of pods.
    pub fn is_pod(&self) -> bool {
        self.path.is_empty()
    }

    pub(crate) fn update(&self) -> Update {
        self.update
    }

    /// Returns true for a custom resource, whose template may hold anything: its schema may be looser than a built-in's.
    pub fn is_custom(&self) -> bool {
        self.custom
    }
}

/// Every kind that the engine decides about: the built-in ones, and those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workloads(Vec<Workload>);

impl Workloads {
    /// The built-in kinds and `custom` ones. A custom one replaces a built-in of the same group, version and kind.
    pub fn new(custom: impl IntoIterator<Item = Workload>) -> Self {
        let mut kinds: Vec<_> = custom.into_iter().collect();
        kinds.extend(built_in());
        Self(kinds)
    }

    /// The kind of an object that says so of itself: `apps/v1` and `Deployment`.
    pub fn find_object(&self, api_version: &str, kind: &str) -> Option<&Workload> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.find(group, version, kind)
    }

    /// Returns true if there is a kind of that group and name, in any version.
    pub fn include(&self, group: &str, kind: &str) -> bool {
        self.0.iter().any(|workload| workload.kind == kind && workload.group == group)
    }

    /// The kind of that group, version and name.
    pub fn find(&self, group: &str, version: &str, kind: &str) -> Option<&Workload> {
        self.0.iter().find(|workload| workload.kind == kind && workload.group == group && workload.version == version)
    }
}

impl Default for Workloads {
    fn default() -> Self {
        Self::new([])
    }
}

fn built_in() -> [Workload; 9] {
    let template = || vec![Cow::Borrowed("spec"), Cow::Borrowed("template")];
    let cron_job = ["spec", "jobTemplate", "spec", "template"].map(Cow::Borrowed).to_vec();
    [
        Workload::built_in("", "Pod", Vec::new(), Update::Refused),
        Workload::built_in("apps", "Deployment", template(), Update::Allowed),
        Workload::built_in("apps", "ReplicaSet", template(), Update::Allowed),
        Workload::built_in("apps", "StatefulSet", template(), Update::Allowed),
        Workload::built_in("apps", "DaemonSet", template(), Update::Allowed),
        Workload::built_in("batch", "Job", template(), Update::Refused),
        Workload::built_in("batch", "CronJob", cron_job, Update::Allowed),
        Workload::built_in("", "ReplicationController", template(), Update::Allowed),
        Workload::built_in("", "PodTemplate", vec![Cow::Borrowed("template")], Update::Allowed),
    ]
}

/// The parts of a Pod or a workload that a decision depends on.
#[derive(Debug, Default)]
pub struct WorkloadObject<'a> {
    metadata: Option<PodMetadata<'a>>,
    pub(crate) template: Option<Template<'a>>,
    claim_templates: Entries<'a, PersistentVolumeClaim<'a>>,
}

impl<'a> WorkloadObject<'a> {
    /// Reads an object of the kind `workload`.
    ///
    /// # Errors
    /// A field that the engine reads has another type than in Kubernetes.
    pub fn parse(text: &'a str, workload: &Workload) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let located = ObjectSeed { workload, keep: Keep::Read }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        located.into_object()
    }

    /// The claims of its pods.
    pub fn claims(&self) -> impl Iterator<Item = ClaimRef<'_>> {
        let spec = self.template.as_ref().and_then(Template::spec);
        spec.into_iter().flat_map(|spec| claim::of(&self.claim_templates, spec))
    }

    /// Returns true if its pods have claims.
    pub(crate) fn has_claims(&self) -> bool {
        self.template.as_ref().and_then(Template::spec).is_some_and(|spec| claim::any(&self.claim_templates, spec))
    }

    /// The scheduler that its pods name; `None` if it is absent, null or empty.
    pub fn scheduler(&self) -> Option<&str> {
        self.template.as_ref().and_then(Template::scheduler)
    }

    /// The object's own metadata; for a Pod, that is its template's.
    pub(crate) fn metadata(&self) -> Option<&PodMetadata<'a>> {
        self.metadata.as_ref().or_else(|| self.template.as_ref().and_then(Template::metadata))
    }
}

/// An object whose template was located but not read yet: an update compares the templates as text, and rarely needs to read
/// them.
#[derive(Debug, Default)]
pub(crate) struct Located<'a> {
    metadata: Option<PodMetadata<'a>>,
    template: Slot<'a>,
    claim_templates: Entries<'a, PersistentVolumeClaim<'a>>,
}

#[derive(Debug, Default)]
enum Slot<'a> {
    #[default]
    Absent,
    Sent(&'a RawValue),
    Read(Template<'a>),
}

impl<'a> Located<'a> {
    /// Returns true if both hold the same template, byte for byte. The API server uses one encoder with one order of fields, so
    /// different bytes mean different content.
    pub(crate) fn same_template(&self, other: &Self) -> bool {
        match (&self.template, &other.template) {
            (Slot::Sent(one), Slot::Sent(other)) => one.get() == other.get(),
            (Slot::Absent, Slot::Absent) => true,
            _ => false,
        }
    }

    pub(crate) fn into_object(self) -> Result<WorkloadObject<'a>, serde_json::Error> {
        let template = match self.template {
            Slot::Absent => None,
            Slot::Sent(text) => serde_json::from_str::<Nullable<_>>(text.get())?.0,
            Slot::Read(template) => Some(template),
        };
        Ok(WorkloadObject { metadata: self.metadata, template, claim_templates: self.claim_templates })
    }
}

/// Reads an object of a kind in one pass, and skips everything that no decision depends on.
pub(crate) struct ObjectSeed<'w> {
    pub(crate) workload: &'w Workload,
    pub(crate) keep: Keep,
}

/// The form in which the template is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// As text, to be compared and perhaps read later.
    Sent,
    /// Decoded.
    Read,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Located<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.workload.is_pod() {
            return Ok(Located { template: slot(deserializer, Keep::Read)?, ..Located::default() });
        }
        FieldsSeed(ObjectFields { seed: self, located: Located::default(), metadata_seen: false, first_seen: false })
            .deserialize(deserializer)
    }
}

struct ObjectFields<'w, 'de> {
    seed: ObjectSeed<'w>,
    located: Located<'de>,
    metadata_seen: bool,
    /// Whether the first key of the path was there.
    first_seen: bool,
}

impl<'de> ReadFields<'de> for ObjectFields<'_, 'de> {
    type Value = Located<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} as an object", self.seed.workload.kind)
    }

    fn field<M: MapAccess<'de>>(&mut self, key: Text<'de>, map: &mut M) -> Result<Field, M::Error> {
        match self.seed.workload.path.split_first() {
            _ if *key == *"metadata" => {
                once(&mut self.metadata_seen, &key)?;
                self.located.metadata = map.next_value::<Nullable<_>>()?.0;
            }
            Some((first, path)) if *key == **first => {
                once(&mut self.first_seen, &key)?;
                map.next_value_seed(Descend { path, keep: self.seed.keep, located: &mut self.located })?;
            }
            _ => return Ok(Field::Unknown),
        }
        Ok(Field::Read)
    }

    fn end<E>(mut self) -> Result<Located<'de>, E> {
        // Without metadata of its own it must not be taken for a Pod, whose metadata is its template's.
        self.located.metadata.get_or_insert_default();
        Ok(self.located)
    }

    fn null<E: Error>(self) -> Result<Located<'de>, E> {
        Err(E::invalid_type(Unexpected::Unit, &FieldsSeed(self)))
    }
}

fn slot<'de, D: Deserializer<'de>>(deserializer: D, keep: Keep) -> Result<Slot<'de>, D::Error> {
    Ok(match keep {
        Keep::Read => Nullable::deserialize(deserializer)?.0.map_or(Slot::Absent, Slot::Read),
        Keep::Sent => match <&RawValue>::deserialize(deserializer)? {
            null if null.get() == "null" => Slot::Absent,
            text => Slot::Sent(text),
        },
    })
}

/// A second value of a key, null or not, could hide the one that a patch applies to.
fn once<E: Error>(seen: &mut bool, field: &str) -> Result<(), E> {
    if std::mem::replace(seen, true) {
        return Err(E::custom(format_args!("duplicate field `{field}`")));
    }
    Ok(())
}

/// Follows the path to the template, and reads the claim templates next to it.
struct Descend<'p, 'l, 'de> {
    path: &'p [Cow<'static, str>],
    keep: Keep,
    located: &'l mut Located<'de>,
}

impl<'de> DeserializeSeed<'de> for Descend<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some((first, rest)) = self.path.split_first() else {
            self.located.template = slot(deserializer, self.keep)?;
            return Ok(());
        };
        FieldsSeed(PathFields { descend: self, first, rest, first_seen: false, claims_seen: false })
            .deserialize(deserializer)
    }
}

struct PathFields<'p, 'l, 'de> {
    descend: Descend<'p, 'l, 'de>,
    first: &'p str,
    rest: &'p [Cow<'static, str>],
    /// Whether the first key of the path was there.
    first_seen: bool,
    claims_seen: bool,
}

impl<'de> ReadFields<'de> for PathFields<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object that holds `{}`, or null", self.descend.path.join("."))
    }

    fn field<M: MapAccess<'de>>(&mut self, key: Text<'de>, map: &mut M) -> Result<Field, M::Error> {
        let Descend { keep, located, .. } = &mut self.descend;
        if *key == *self.first {
            once(&mut self.first_seen, &key)?;
            map.next_value_seed(Descend { path: self.rest, keep: *keep, located })?;
        } else if self.rest.is_empty() && *key == *"volumeClaimTemplates" {
            once(&mut self.claims_seen, &key)?;
            located.claim_templates = map.next_value::<Option<_>>()?.unwrap_or_default();
        } else {
            return Ok(Field::Unknown);
        }
        Ok(Field::Read)
    }

    fn end<E>(self) -> Result<(), E> {
        Ok(())
    }
}
