//! The operator's configuration, in the engine's own types.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::annotation::{DISABLE_ADMISSION_CONTROLLER, DISABLE_HYPERCONVERGENCE, IGNORE_LABEL, parse_bool};
use super::driver::Drivers;
use super::fields::text;
use super::line::one_line;
use super::workload::Workloads;

/// The scheduler that Kubernetes sets if a pod names none.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The inputs of a decision in addition to the request and the claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The mode of operation.
    pub mode: Mode,
    /// The policy for pod templates.
    pub templates: Templates,
    /// The drivers, in the order of their rank.
    pub drivers: Drivers,
    /// The schedulers that may be replaced.
    pub replaceable: ReplaceableSchedulers,
    /// The objects that are left alone.
    pub opt_out: OptOut,
    /// The kinds of object that decisions apply to.
    pub workloads: Workloads,
    /// The policy for a pod whose claim does not exist.
    pub missing_claim: MissingClaim,
}

/// The mode of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Changes objects.
    #[default]
    Inject,
    /// Decides, counts and adds audit annotations, but changes nothing and never waits.
    Audit,
    /// Decides nothing.
    Off,
}

/// The policy for pod templates. In either case, pods get their scheduler when they are created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Templates {
    /// Templates name the scheduler too, so that a reader of the workload sees it.
    #[default]
    Inject,
    /// Templates are not changed.
    Leave,
}

/// The policy for a pod whose claim does not exist when the wait for it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingClaim {
    /// The pod keeps its scheduler.
    #[default]
    Skip,
    /// The pod gets the scheduler of the first driver.
    Inject,
}

/// The schedulers that may be replaced. An absent or empty `schedulerName` may always be replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplaceableSchedulers(pub Vec<String>);

impl ReplaceableSchedulers {
    /// Returns true if `scheduler` may be replaced.
    pub fn allow(&self, scheduler: Option<&str>) -> bool {
        scheduler.is_none_or(|scheduler| self.0.iter().any(|name| name == scheduler))
    }
}

/// Schedulers that a platform sets on every pod, by a webhook that API servers call before colocate. They place pods by
/// the utilization of nodes, so they are a default like `default-scheduler`, and not the choice of the pod's author.
///
/// These are GKE's autoscaling profile `optimize-utilization`, and Gardener's profile `bin-packing`.
const PLATFORM_SCHEDULERS: [&str; 2] = ["gke.io/optimize-utilization-scheduler", "bin-packing-scheduler"];

impl Default for ReplaceableSchedulers {
    fn default() -> Self {
        Self([DEFAULT_SCHEDULER].iter().chain(&PLATFORM_SCHEDULERS).map(ToString::to_string).collect())
    }
}

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
    /// Returns true if controllers of this kind, and the pods that they control, are left alone.
    pub(crate) fn covers(&self, group: &str, kind: &str) -> bool {
        self.owners.iter().any(|owner| owner.group == group && owner.kind == kind)
    }

    /// Reads the opt-out annotations of a pod or template. One true value is enough. `annotation` returns the raw value
    /// of a key.
    pub fn read<'r>(&self, annotation: impl Fn(&str) -> Option<&'r RawValue>) -> OptOutKey<'_> {
        OptOutKey::read(&self.annotations, annotation)
    }

    /// Reads the opt-out labels of an object, a pod or a template. `label` returns the raw value of a key.
    pub(crate) fn read_labels<'r>(&self, label: impl Fn(&str) -> Option<&'r RawValue>) -> OptOutKey<'_> {
        OptOutKey::read(&self.labels, label)
    }
}

/// The most characters of an invalid value in a warning, so that the advice fits too.
const MAX_SHOWN: usize = 40;

/// The meaning of the opt-out annotations and labels of an object.
#[derive(Debug, Default)]
pub struct OptOutKey<'p> {
    /// The key that opts out.
    pub set: Option<&'p str>,
    /// A key whose value is not a boolean, and that value as it was sent.
    pub invalid: Option<(&'p str, String)>,
}

impl<'p> OptOutKey<'p> {
    fn read<'r>(keys: &'p [Arc<str>], value: impl Fn(&str) -> Option<&'r RawValue>) -> Self {
        let mut read = Self::default();
        for key in keys {
            let Some(raw) = value(key) else { continue };
            match text(raw).as_deref().and_then(parse_bool) {
                Some(true) => read.set = read.set.or(Some(key)),
                Some(false) => {}
                None => read.invalid = read.invalid.or_else(|| Some((key, one_line(raw.get(), MAX_SHOWN)))),
            }
        }
        read
    }

    /// Returns the first key of each sort in `self` and then in `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { set: self.set.or(other.set), invalid: self.invalid.or(other.invalid) }
    }
}
