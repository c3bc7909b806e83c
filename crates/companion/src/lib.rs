//! The companion: tells people which hyperconvergence annotations Stork will not read as they were meant.
//!
//! Stork takes a mistyped value for its default and a misplaced key for nothing, in silence; the pod then sits Pending, or
//! on the wrong node. Everything here is a pure function of its arguments, as the engine is: what is known of claims and
//! of placement strategies comes from elsewhere.
//!
//! ```text
//! object -> subject  -> questions ->  facts  -> rules  -> report -> warnings, a denial, lines of a file
//!           parse       which         claims,   rule,     findings,
//!                       claims?       names     rules/    and what could not be checked
//! ```

mod facts;
mod finding;
mod key;
mod list;
mod path;
mod review;
mod rule;
mod rules;
mod severity;
mod subject;
mod telling;
mod validation;

pub use facts::{Facts, MountedClaim, Strategies};
pub use finding::{Finding, Part, Report, Unchecked};
pub use path::{FieldPath, Step};
pub use review::{Review, Reviewed};
pub use rule::{NoSuchRule, Rule};
pub use severity::Severity;
pub use subject::{Kind, Subject};
pub use telling::{denial, warnings};
pub use validation::{Enforcement, Level, Severities, Validation};
