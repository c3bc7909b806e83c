//! Opt-outs: the annotations, labels and kinds by which objects are left alone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::annotation::{DISABLE_ADMISSION_CONTROLLER, DISABLE_HYPERCONVERGENCE, IGNORE_LABEL, parse_bool};
use super::fields::text;
use super::line::one_line;
use super::pod::PodMetadata;
use super::workload::{Workload, WorkloadObject};

/// The objects that are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOut {
    /// Annotations that opt a pod out with a value that parses as true.
    pub annotations: Vec<Arc<str>>,
    /// Labels that opt a pod or a workload out with a value that parses as true. In a cluster, the API server also evaluates
    /// them on the object itself, with the `objectSelector` of the webhook configuration, and does not call colocate.
    pub labels: Vec<Arc<str>>,
    /// Kinds of controller that are left alone together with their pods, for operators that would revert the field.
    pub owners: Vec<OwnerKind>,
    /// The label that opts a Namespace out with a value that parses as true. In a cluster, the API server evaluates it with
    /// the `namespaceSelector` of the webhook configuration. For files, it is evaluated here.
    pub namespace_label: Arc<str>,
}

impl Default for OptOut {
    fn default() -> Self {
        Self {
            annotations: vec![DISABLE_HYPERCONVERGENCE.into(), DISABLE_ADMISSION_CONTROLLER.into()],
            labels: vec![IGNORE_LABEL.into()],
            owners: Vec::new(),
            namespace_label: DISABLE_ADMISSION_CONTROLLER.into(),
        }
    }
}

/// A kind of controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerKind {
    /// The API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The kind's name.
    pub kind: String,
}

impl OptOut {
    /// Reads the annotations and labels that opt out the pods of an object: those of the Pod or the template. One true value
    /// is enough.
    pub fn of_pods(&self, object: &WorkloadObject<'_>) -> OptOutKeys<'_> {
        let metadata = object.template.as_ref().map(|template| &template.metadata);
        metadata.map_or_else(OptOutKeys::default, |metadata| {
            let annotations =
                OptOutKeys::read(&self.annotations, OptOutKey::Annotation, |key| metadata.annotations.raw(key));
            annotations.or(self.labels_of(metadata))
        })
    }

    /// Reads the annotations and labels that opt out the object itself: those of its pods, and its own labels. The own labels
    /// of a workload do not opt out its pods.
    pub(crate) fn of_object(&self, object: &WorkloadObject<'_>) -> OptOutKeys<'_> {
        let own = object.metadata().map(|metadata| self.labels_of(metadata));
        self.of_pods(object).or(own.unwrap_or_default())
    }

    fn labels_of(&self, metadata: &PodMetadata<'_>) -> OptOutKeys<'_> {
        OptOutKeys::read(&self.labels, OptOutKey::Label, |key| metadata.labels.raw(key))
    }

    /// Returns true if the controller of a Pod, or the workload itself, is of a kind that opts out.
    pub(crate) fn covers_object(&self, workload: &Workload, object: &WorkloadObject<'_>) -> bool {
        if !workload.is_pod() {
            return self.covers(&workload.group, &workload.kind);
        }
        object.controller().is_some_and(|owner| self.covers(owner.group(), owner.kind()))
    }

    /// Returns true if controllers of this kind, and the pods that they control, are left alone.
    pub(crate) fn covers(&self, group: &str, kind: &str) -> bool {
        self.owners.iter().any(|owner| owner.group == group && owner.kind == kind)
    }
}

/// The most characters of an invalid value in a warning, so that the advice fits too.
const MAX_SHOWN: usize = 40;

/// A key that opts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptOutKey<'p> {
    /// A key of the annotations.
    Annotation(&'p str),
    /// A key of the labels.
    Label(&'p str),
}

impl<'p> OptOutKey<'p> {
    /// The key.
    pub const fn name(self) -> &'p str {
        match self {
            Self::Annotation(name) | Self::Label(name) => name,
        }
    }
}

/// The opt-out annotations and labels of an object.
#[derive(Debug, Default)]
pub struct OptOutKeys<'p> {
    /// The first key that opts out.
    pub set: Option<OptOutKey<'p>>,
    /// A key whose value is not a boolean, and that value as it was sent.
    pub invalid: Option<(&'p str, String)>,
}

impl<'p> OptOutKeys<'p> {
    fn read<'r>(
        keys: &'p [Arc<str>],
        of: fn(&'p str) -> OptOutKey<'p>,
        value: impl Fn(&str) -> Option<&'r RawValue>,
    ) -> Self {
        let mut read = Self::default();
        for key in keys {
            let Some(raw) = value(key) else { continue };
            match text(raw).as_deref().and_then(parse_bool) {
                Some(true) => read.set = read.set.or(Some(of(key))),
                Some(false) => {}
                None => read.invalid = read.invalid.or_else(|| Some((key, one_line(raw.get(), MAX_SHOWN)))),
            }
        }
        read
    }

    /// Returns the first key of each sort in `self` and then in `other`.
    fn or(self, other: Self) -> Self {
        Self { set: self.set.or(other.set), invalid: self.invalid.or(other.invalid) }
    }
}
