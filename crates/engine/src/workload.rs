//! The kinds of object that pods are made from, and where each keeps its pod template.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::claim::{self, ClaimRef};
use super::entries::Entries;
use super::json::{Nullable, Text};
use super::pod::{ClaimTemplate, Metadata, Template};

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

/// What an UPDATE may do to the pod template of a kind.
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

    /// Whether objects of this kind are pods, and not templates of pods.
    pub fn is_pod(&self) -> bool {
        self.path.is_empty()
    }

    pub(crate) fn update(&self) -> Update {
        self.update
    }

    /// Whether the API server does not know the kind's schema as well as a built-in's: its template may hold anything.
    pub fn is_custom(&self) -> bool {
        self.custom
    }
}

/// Every kind that the engine decides about: the built-in ones, and those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workloads(Vec<Workload>);

impl Workloads {
    /// The built-in kinds and `custom` ones. A custom one of the same group, version and kind takes a built-in's place.
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

    /// Whether there is a kind of that group and name, in whatever version.
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
pub struct Object<'a> {
    metadata: Option<Metadata<'a>>,
    pub(crate) template: Option<Template<'a>>,
    claim_templates: Entries<'a, ClaimTemplate<'a>>,
}

impl<'a> Object<'a> {
    /// Reads an object of the kind `workload`.
    ///
    /// # Errors
    /// Where a field that the engine reads has another type than Kubernetes gives it.
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

    /// Whether its pods have claims.
    pub(crate) fn has_claims(&self) -> bool {
        self.template.as_ref().and_then(Template::spec).is_some_and(|spec| claim::any(&self.claim_templates, spec))
    }

    /// The scheduler that its pods name; `None` for absent, null and empty alike.
    pub fn scheduler(&self) -> Option<&str> {
        self.template.as_ref().and_then(Template::scheduler)
    }

    /// The object's own metadata; for a Pod, that is its template's.
    pub(crate) fn metadata(&self) -> Option<&Metadata<'a>> {
        self.metadata.as_ref().or_else(|| self.template.as_ref().and_then(Template::metadata))
    }
}

/// An object whose template was found but not read yet: an update compares the templates as they were sent, and mostly
/// has no need to read them.
#[derive(Debug, Default)]
pub(crate) struct Located<'a> {
    metadata: Option<Metadata<'a>>,
    template: Slot<'a>,
    claim_templates: Entries<'a, ClaimTemplate<'a>>,
}

#[derive(Debug, Default)]
#[expect(clippy::large_enum_variant, reason = "it lives for one call; a box would cost each review an allocation")]
enum Slot<'a> {
    #[default]
    Absent,
    Sent(&'a RawValue),
    Read(Template<'a>),
}

impl<'a> Located<'a> {
    /// Whether both hold the same template, byte for byte. The API server encodes both with the same encoder, in one
    /// order of fields, so that what differs in bytes differs in content.
    pub(crate) fn same_template(&self, other: &Self) -> bool {
        match (&self.template, &other.template) {
            (Slot::Sent(one), Slot::Sent(other)) => one.get() == other.get(),
            (Slot::Absent, Slot::Absent) => true,
            _ => false,
        }
    }

    pub(crate) fn into_object(self) -> Result<Object<'a>, serde_json::Error> {
        let template = match self.template {
            Slot::Absent => None,
            Slot::Sent(text) => serde_json::from_str::<Nullable<_>>(text.get())?.0,
            Slot::Read(template) => Some(template),
        };
        Ok(Object { metadata: self.metadata, template, claim_templates: self.claim_templates })
    }
}

/// Reads an object of a kind in one pass, leaving out all that no decision depends on.
pub(crate) struct ObjectSeed<'w> {
    pub(crate) workload: &'w Workload,
    pub(crate) keep: Keep,
}

/// In which form the template is kept when it is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// As it was sent, to be compared and perhaps read later.
    Sent,
    /// Read at once.
    Read,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Located<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.workload.is_pod() {
            return Ok(Located { template: slot(deserializer, Keep::Read)?, ..Located::default() });
        }
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = Located<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} as an object", self.workload.kind)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut located = Located::default();
        let (mut metadata_seen, mut first_seen) = (false, false);
        let (first, rest) = self.workload.path.split_first().ok_or_else(|| M::Error::custom("a kind with no path"))?;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if *key == *"metadata" {
                once(&mut metadata_seen, &key)?;
                located.metadata = map.next_value::<Nullable<_>>()?.0;
            } else if *key == **first {
                once(&mut first_seen, &key)?;
                map.next_value_seed(Descend { path: rest, keep: self.keep, located: &mut located })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        // Without metadata of its own it must not be taken for a Pod, whose metadata is its template's.
        located.metadata.get_or_insert_default();
        Ok(located)
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

/// Goes down the path to the template, and picks up the claim templates that stand beside it.
struct Descend<'p, 'l, 'de> {
    path: &'p [Cow<'static, str>],
    keep: Keep,
    located: &'l mut Located<'de>,
}

impl<'de> DeserializeSeed<'de> for Descend<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.path.is_empty() {
            return deserializer.deserialize_any(self);
        }
        self.located.template = slot(deserializer, self.keep)?;
        Ok(())
    }
}

impl<'de> Visitor<'de> for Descend<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object that holds `{}`, or null", self.path.join("."))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Some((first, rest)) = self.path.split_first() else {
            return Ok(());
        };
        let (mut first_seen, mut claims_seen) = (false, false);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if *key == **first {
                once(&mut first_seen, &key)?;
                map.next_value_seed(Descend { path: rest, keep: self.keep, located: self.located })?;
            } else if rest.is_empty() && *key == *"volumeClaimTemplates" {
                once(&mut claims_seen, &key)?;
                self.located.claim_templates = map.next_value::<Option<_>>()?.unwrap_or_default();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
