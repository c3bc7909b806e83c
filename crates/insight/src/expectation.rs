//! The decision that the engine makes about a live object, as if it were created now.
//!
//! The engine reads the object as its creator requested it. Fields that the cluster set since would change the decision: a node
//! that a scheduler chose would exclude the pod, and a scheduler that colocate set would look like the creator's choice.

mod facts;
mod node_choice;
mod raw_value;
mod unknown_fact;

use std::sync::Arc;

use colocate_engine::{Owner, Reason, Warning};

pub use facts::Facts;
pub use unknown_fact::UnknownFact;

/// The expected scheduler of a live object, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The reason of the engine.
    pub reason: Reason,
    /// The expected scheduler.
    pub scheduler: Arc<str>,
    /// The scheduler that it names.
    pub actual: Arc<str>,
    /// The warnings that its creator would get now.
    pub warnings: Vec<Warning>,
    /// The claims that the decision depends on; empty if it depends on none.
    pub claims: Vec<ExpectedClaim>,
    /// A fact that is not known, and without which the decision could be another one.
    pub unknown_fact: Option<UnknownFact>,
}

/// A claim that a decision depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedClaim {
    /// The description of the claim, as in ``claim `data` ``.
    pub label: String,
    /// The name of the claim; `None` for a claim template and for a volume without a claim.
    pub name: Option<String>,
    /// The owner.
    pub owner: Owner,
    /// The name of the driver that the owner belongs to.
    pub driver: Option<Arc<str>>,
}

/// The comparison of a live object with its expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It names the expected scheduler.
    AsExpected,
    /// It should be on another scheduler.
    Wrong,
    /// A fact that the decision depends on is not known.
    Unknown,
}

impl Expectation {
    /// Compares the object with the expectation.
    pub fn outcome(&self) -> Outcome {
        if self.unknown_fact.is_some() || self.reason.is_unresolved() {
            Outcome::Unknown
        } else if self.scheduler == self.actual {
            Outcome::AsExpected
        } else {
            Outcome::Wrong
        }
    }

    /// Returns true if colocate chooses the scheduler, or would in `mode: inject`.
    pub fn chosen(&self) -> bool {
        matches!(self.reason, Reason::Injected | Reason::InjectedMissing | Reason::WouldInject)
    }
}
