//! Compares live objects with the decisions of the engine, and explains differences.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, no async code. The decisions are those of the engine:
//! this crate has no rules of its own.
//!
//! ```text
//! live object -> as it was requested -> engine -> Expectation -> Census    how many, by reason, namespace and workload
//!                                                             -> RepairPlan those that can be evicted, in rounds
//!                                                             -> Diagnosis why one object has its scheduler
//! live object + file -> as it is applied -> engine -> Prediction           what the file changes for its pods
//! ```

mod answer;
mod applied;
mod audit_log;
mod census;
mod controller;
mod diagnosis;
mod expectation;
mod fate;
mod history;
mod leftover;
mod live_pod;
mod managed_fields;
mod match_condition;
mod overlay;
mod prediction;
mod repair_plan;
mod requested;
mod selector;
mod verdict;
mod webhook;

pub use answer::Answer;
pub use applied::apply;
pub use audit_log::{AuditLineError, AuditLog, Compared, Comparison, Identity, MissedObject, WebhookCalls};
pub use census::{Census, CensusEntry, Counts, WorkloadCounts, WorkloadKey};
pub use controller::{Controller, controller};
pub use diagnosis::{Change, Diagnosis, Ground, PodCase, Registration, Template, TemplateCase};
pub use expectation::{Expectation, ExpectedClaim, Facts, Outcome, UnknownFact};
pub use fate::{Fate, LiveObject, Search};
pub use history::{Availability, Endpoints, History, Occurrences, Replica, Scaling};
pub use leftover::{Effect, HelmReleaseName, Leftover};
pub use live_pod::{
    Condition, ContainerState, ContainerStatus, LiveMetadata, LivePod, LiveSpec, LiveStatus, Running, Terminated,
};
pub use managed_fields::{FieldsEntry, ManagedFields, Trace};
pub use match_condition::{MatchCondition, Variables};
pub use overlay::Overlay;
pub use prediction::{Foreseen, NewPod, Prediction, Scope, When, rejection, scheduler};
pub use repair_plan::{Budget, RepairPlan, WrongPod};
pub use requested::{as_dry_run, as_requested};
pub use selector::{LabelSelector, Labels};
pub use verdict::Verdict;
pub use webhook::{Call, ClientConfig, Creation, Excluding, ServiceReference, WebhookEntry};
