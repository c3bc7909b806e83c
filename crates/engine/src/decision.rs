//! The rules that lead from a request to a decision, in the order in which they apply.
//!
//! Pods get their scheduler when they are created, regardless of their owner. Templates are changed too, so that a reader of the
//! workload sees the scheduler of its pods. They are not changed where that would trigger a rollout, fail an update, or
//! conflict with another writer. Each rule exists because a real cluster showed the rollout, error or conflict without it.

mod candidate;
mod pending;

use std::sync::Arc;

use json_patch::Patch;

use super::owners::Owners;
use super::policy::{Mode, Policy};
use super::reason::Reason;
use super::review::{Request, RequestedChange};
use super::warning::Warning;
use candidate::Candidate;
pub use pending::Pending;

/// The answer to a request, and the reason for it.
#[derive(Debug)]
pub struct Decision<'r> {
    /// The reason.
    pub reason: Reason,
    /// The scheduler that is set, or that `mode: audit` would set.
    pub scheduler: Option<Arc<str>>,
    /// The change; `None` if the object is not changed.
    pub patch: Option<Patch>,
    /// Warnings for the person who sent the request.
    pub warnings: Vec<Warning>,
    /// The claims that were looked up, with their owners; empty if none were.
    pub owners: Owners<'r>,
}

/// The result of examining a request before its claims are known.
#[derive(Debug)]
pub enum Examination<'r> {
    /// The decision. No claims need to be looked up.
    Decided(Decision<'r>),
    /// The decision depends on the owners of these claims.
    Resolve(Pending<'r>),
}

impl Decision<'_> {
    fn leave(reason: Reason) -> Self {
        Self { reason, scheduler: None, patch: None, warnings: Vec::new(), owners: Owners::default() }
    }
}

impl<'r> From<Decision<'r>> for Examination<'r> {
    fn from(decision: Decision<'r>) -> Self {
        Self::Decided(decision)
    }
}

/// Decides a request as far as possible before its claims are known.
pub fn examine<'r>(policy: &'r Policy, request: &'r Request<'r>) -> Examination<'r> {
    if policy.mode == Mode::Off {
        return Decision::leave(Reason::Off).into();
    }
    if request.namespace_opted_out {
        return Decision::leave(Reason::NamespaceOptedOut).into();
    }
    let examination = match &request.change {
        RequestedChange::Other => Decision::leave(unsupported(policy, request)).into(),
        RequestedChange::Unreadable(error) => unreadable(error).into(),
        RequestedChange::Unchanged => Decision::leave(Reason::TemplateUnchanged).into(),
        RequestedChange::Created(workload, object) => match Candidate::new(policy, request, workload, object) {
            Ok(candidate) => candidate.created(),
            Err(reason) => Decision::leave(reason).into(),
        },
        RequestedChange::Updated { workload, new, old_scheduler } => {
            match Candidate::new(policy, request, workload, new) {
                Ok(candidate) => candidate.updated(old_scheduler.as_deref()),
                Err(reason) => Decision::leave(reason).into(),
            }
        }
    };
    match examination {
        Examination::Decided(decision) => policy.apply_mode(decision).into(),
        pending @ Examination::Resolve(_) => pending,
    }
}

fn unsupported(policy: &Policy, request: &Request<'_>) -> Reason {
    let kind = &request.kind;
    match policy.workloads.find(&kind.group, &kind.version, &kind.kind) {
        Some(_) => Reason::UnsupportedOperation,
        None => Reason::UnsupportedKind,
    }
}

fn unreadable(error: &serde_json::Error) -> Decision<'static> {
    let text = format_args!("the object is unchanged because its pod template cannot be read: {error}");
    let warnings = vec![Warning::new(Reason::Unreadable, text)];
    Decision { warnings, ..Decision::leave(Reason::Unreadable) }
}

impl Policy {
    /// Drops the change and the warnings in `mode: audit`.
    fn apply_mode<'r>(&self, decision: Decision<'r>) -> Decision<'r> {
        if self.mode != Mode::Audit {
            return decision;
        }
        let reason = match decision.reason {
            Reason::Injected | Reason::InjectedMissing => Reason::WouldInject,
            Reason::Kept => Reason::WouldKeep,
            other => other,
        };
        Decision { reason, patch: None, warnings: Vec::new(), ..decision }
    }
}

#[cfg(test)]
mod tests;
