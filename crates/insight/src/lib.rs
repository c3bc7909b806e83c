//! What live objects should look like, and why they do not.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, no async code. The decisions are those of the engine:
//! this crate has no rules of its own.
//!
//! ```text
//! live object -> as it was requested -> engine -> Expectation -> Census    how many, by reason, namespace and workload
//! ```

mod census;
mod controller;
mod expectation;

pub use census::{Census, CensusEntry, Counts, WorkloadCounts, WorkloadKey};
pub use controller::{Controller, controller};
pub use expectation::{Doubt, Expectation, ExpectedClaim, Facts, Outcome};
