//! What live objects should look like, and why they do not.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, no async code. The decisions are those of the engine:
//! this crate has no rules of its own.
//!
//! ```text
//! live object -> as it was requested -> engine -> Expectation -> Census    how many, by reason, namespace and workload
//! ```

mod answer;
mod census;
mod controller;
mod expectation;
mod match_condition;
mod selector;
mod webhook;

pub use answer::Answer;
pub use census::{Census, CensusEntry, Counts, WorkloadCounts, WorkloadKey};
pub use controller::{Controller, controller};
pub use expectation::{Doubt, Expectation, ExpectedClaim, Facts, Outcome};
pub use match_condition::{MatchCondition, Variables};
pub use selector::{LabelSelector, Labels};
pub use webhook::{Call, ClientConfig, Creation, ServiceReference, WebhookEntry};
