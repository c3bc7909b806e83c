//! The kinds of object that create pods, and the path of the pod template in each.

use std::fmt;

use json_patch::jsonptr::PointerBuf;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Unexpected};
use serde_json::value::RawValue;

use super::api_version::current_api_version;
use super::claim::{self, ClaimRef};
use super::decode::{Field, FieldsSeed, Nullable, ReadFields, Text, set};
use super::entries::Entries;
use super::pod::{ControllerReference, PodMetadata, Template};
use super::storage::PersistentVolumeClaim;

/// A kind of object that the engine handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version within the group.
    pub version: String,
    /// The kind's name.
    pub kind: String,
    /// The path from the object to its pod template; empty for a Pod, which is its own template.
    pub path: Vec<String>,
    /// The effect of an UPDATE.
    pub update: Update,
    /// Whether it is a custom resource. Its schema may be looser than that of a built-in kind, so the template may have any
    /// structure.
    pub custom: bool,
}

/// The effect of an UPDATE on the pod template of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// The template may change, and new pods are created from the new template.
    Allowed,
    /// The API server rejects every change of `schedulerName`.
    Rejected,
}

impl Workload {
    /// Returns true if objects of this kind are pods, and not templates of pods.
    pub fn is_pod(&self) -> bool {
        self.path.is_empty()
    }

    /// The group and kind of the controllers between an object of this kind and its pods; `None` if it controls them itself,
    /// or if that is not known.
    pub(crate) fn intermediate_controller(&self) -> Option<(&'static str, &'static str)> {
        match (&*self.group, &*self.kind) {
            ("apps", "Deployment") => Some(("apps", "ReplicaSet")),
            ("batch", "CronJob") => Some(("batch", "Job")),
            _ => None,
        }
    }
}

/// Every kind that the engine handles: the built-in kinds and those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workloads(Vec<Workload>);

impl Workloads {
    /// Combines the built-in kinds with `custom` kinds, which replace built-in kinds of the same group, version and name.
    pub fn new(custom: impl IntoIterator<Item = Workload>) -> Self {
        let mut kinds: Vec<_> = custom.into_iter().collect();
        kinds.extend(built_in());
        Self(kinds)
    }

    /// Finds a kind by the `apiVersion` and `kind` of an object in a file, such as `apps/v1` and `Deployment`. A kind of a removed
    /// version is that of the [version that replaced it](current_api_version).
    pub fn find_object(&self, api_version: &str, kind: &str) -> Option<&Workload> {
        let find = |api_version: &str| {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            self.find(group, version, kind)
        };
        find(api_version).or_else(|| find(current_api_version(api_version, kind)))
    }

    /// All kinds.
    pub fn iter(&self) -> impl Iterator<Item = &Workload> {
        self.0.iter()
    }

    /// Returns true if there is a kind of that group and name, in any version.
    pub fn include(&self, group: &str, kind: &str) -> bool {
        self.0.iter().any(|workload| workload.kind == kind && workload.group == group)
    }

    /// Returns true if the configuration has a kind of that group and name, in any version.
    pub fn include_custom(&self, group: &str, kind: &str) -> bool {
        self.0.iter().any(|workload| workload.custom && workload.kind == kind && workload.group == group)
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

fn built_in() -> impl Iterator<Item = Workload> {
    const TEMPLATE: &[&str] = &["spec", "template"];
    let kinds: [(_, _, &[&str], _); 9] = [
        ("", "Pod", &[], Update::Rejected),
        ("apps", "Deployment", TEMPLATE, Update::Allowed),
        ("apps", "ReplicaSet", TEMPLATE, Update::Allowed),
        ("apps", "StatefulSet", TEMPLATE, Update::Allowed),
        ("apps", "DaemonSet", TEMPLATE, Update::Allowed),
        ("batch", "Job", TEMPLATE, Update::Rejected),
        ("batch", "CronJob", &["spec", "jobTemplate", "spec", "template"], Update::Allowed),
        ("", "ReplicationController", TEMPLATE, Update::Allowed),
        ("", "PodTemplate", &["template"], Update::Allowed),
    ];
    kinds.into_iter().map(|(group, kind, path, update)| Workload {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        path: path.iter().map(ToString::to_string).collect(),
        update,
        custom: false,
    })
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
        let specs = self.template.iter().filter_map(|template| template.spec.as_ref());
        specs.flat_map(|spec| claim::of(&self.claim_templates, spec))
    }

    /// Returns true if its pods have claims.
    pub(crate) fn has_claims(&self) -> bool {
        let spec = self.template.as_ref().and_then(|template| template.spec.as_ref());
        spec.is_some_and(|spec| claim::any(&self.claim_templates, spec))
    }

    /// The `schedulerName` of its pods; `None` if it is absent, null or empty.
    pub fn scheduler(&self) -> Option<&str> {
        self.template.as_ref().and_then(Template::scheduler)
    }

    /// Returns true if a controller owns it, and writes its template.
    pub fn has_controller(&self) -> bool {
        self.controller().is_some()
    }

    /// The object's own metadata; for a Pod, the metadata of its template.
    pub(crate) fn metadata(&self) -> Option<&PodMetadata<'a>> {
        self.metadata.as_ref().or(self.template.as_ref().map(|template| &template.metadata))
    }

    /// The owner that controls it.
    pub(crate) fn controller(&self) -> Option<&ControllerReference<'a>> {
        self.metadata()?.controller.as_deref()
    }
}

/// An object whose template was located but not decoded yet: an update compares the templates as text, and rarely decodes
/// them.
#[derive(Debug, Default)]
pub(crate) struct Located<'a> {
    metadata: Option<PodMetadata<'a>>,
    template: Slot<'a>,
    claim_templates: Entries<'a, PersistentVolumeClaim<'a>>,
}

#[derive(Debug, Default)]
#[expect(clippy::large_enum_variant, reason = "one per request, on the stack; a box would cost an allocation")]
enum Slot<'a> {
    #[default]
    Absent,
    Sent(&'a RawValue),
    Read(Template<'a>),
}

impl<'a> Located<'a> {
    /// Returns true if both have the same template, byte for byte. The API server uses one encoder with a fixed order of
    /// fields, so different bytes mean different content.
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
    /// Kept as text, to be compared and perhaps read later.
    Sent,
    /// Decoded.
    Read,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Located<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let mut located = Located::default();
        PathLevel::new(&self, 0, &mut located).deserialize(deserializer)?;
        if !self.workload.is_pod() {
            // Set even if absent, because `WorkloadObject::metadata` falls back to the metadata of the template.
            located.metadata.get_or_insert_default();
        }
        Ok(located)
    }
}

/// An object on the path to the template, or the template itself at its end.
struct PathLevel<'s, 'l, 'de> {
    seed: &'s ObjectSeed<'s>,
    /// The number of keys from the root.
    depth: usize,
    located: &'l mut Located<'de>,
    /// Set by the next key of the path. A duplicate could hide the value that a patch applies to.
    key_seen: Option<()>,
    /// Set by the metadata of the root, and by the claim templates next to the template.
    other_seen: Option<()>,
}

impl<'s, 'l, 'de> PathLevel<'s, 'l, 'de> {
    fn new(seed: &'s ObjectSeed<'s>, depth: usize, located: &'l mut Located<'de>) -> Self {
        Self { seed, depth, located, key_seen: None, other_seen: None }
    }

    /// The remaining path to the template.
    fn path(&self) -> &'s [String] {
        &self.seed.workload.path[self.depth..]
    }
}

impl<'de> DeserializeSeed<'de> for PathLevel<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.path().is_empty() {
            return FieldsSeed(self).deserialize(deserializer);
        }
        let keep = if self.depth == 0 { Keep::Read } else { self.seed.keep };
        self.located.template = if self.seed.workload.custom {
            // It may be of any type, which its text shows.
            let text = <&RawValue>::deserialize(deserializer)?;
            if text.get().starts_with('[') {
                return Err(self.array());
            }
            slot(text, keep).map_err(D::Error::custom)?
        } else {
            slot(deserializer, keep)?
        };
        Ok(())
    }
}

impl<'de> ReadFields<'de> for PathLevel<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.depth {
            0 => write!(f, "a {} object", self.seed.workload.kind),
            _ => write!(f, "an object with `{}`, or null", self.path().join(".")),
        }
    }

    fn array<E: Error>(self) -> E {
        let Workload { kind, path, custom, .. } = self.seed.workload;
        if self.depth == 0 || !custom {
            return E::invalid_type(Unexpected::Seq, &FieldsSeed(self));
        }
        let list = PointerBuf::from_tokens(&path[..self.depth]);
        E::custom(format_args!(
            "`{list}` is a list, which customWorkloads cannot describe: remove {kind} from it; colocate decides about its pods when they are created"
        ))
    }

    fn field<M: MapAccess<'de>>(&mut self, key: Text<'de>, map: &mut M) -> Result<Field, M::Error> {
        let path = self.path();
        if self.depth == 0 && *key == *"metadata" {
            set(&mut self.other_seen, &key, ())?;
            self.located.metadata = map.next_value::<Nullable<_>>()?.0;
        } else if *key == *path[0] {
            set(&mut self.key_seen, &key, ())?;
            map.next_value_seed(PathLevel::new(self.seed, self.depth + 1, self.located))?;
        } else if self.depth > 0 && path.len() == 1 && *key == *"volumeClaimTemplates" {
            set(&mut self.other_seen, &key, ())?;
            self.located.claim_templates = map.next_value::<Option<_>>()?.unwrap_or_default();
        } else {
            return Ok(Field::Unknown);
        }
        Ok(Field::Read)
    }

    fn end<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn null<E: Error>(self) -> Result<(), E> {
        if self.depth > 0 { Ok(()) } else { Err(E::invalid_type(Unexpected::Unit, &FieldsSeed(self))) }
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
