//! Reads of a live cluster for users: permissions, lists in pages, and the facts on which expectations are based.
//!
//! A user may lack any permission. What cannot be read is a `NotSeen`, which says what is not known as a result, and never an
//! error.

mod access;
mod audit;
mod cluster;
mod findings;
mod helm_release;
mod helm_releases;
pub(crate) mod kinds;
mod kubectl;
mod layer;
mod leftovers;
mod locality;
mod missed;
mod pages;
mod webhooks;
mod why;

pub(crate) use access::{Access, NotSeen};
pub(crate) use audit::{Audit, AuditQuestion, ConfigSource};
pub(crate) use findings::KeptFinding;
pub(crate) use kubectl::Kubectl;
pub(crate) use layer::{FileForecast, FileObject, PodChange, WorkloadForecast};
pub(crate) use leftovers::{FoundLeftover, Leftovers};
pub(crate) use locality::{
    LocalityQuestion, LocalityReport, NonLocalPod, PlaceQuestion, PlacedNode, Placement, PodPlace, PodSource,
    SourceRow, UnknownPod, Whereabouts,
};
pub(crate) use missed::fates;
pub(crate) use webhooks::Webhooks;
pub(crate) use why::{
    Cause, ClaimRow, DryRunResult, PartAnswer, PendingFacts, PodRow, Question, Reader, Report, Target, UnknownKind,
    WebhookRow,
};
#[cfg(test)]
pub(crate) use why::{Fix, Subject};
