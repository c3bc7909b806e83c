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
mod field_path;
mod finding;
mod key;
mod list;
mod render;
mod rule;
mod rules;
mod severity;
mod subject;
mod validation_policy;
mod validation_request;

pub use facts::{Facts, MountedClaim, Strategies};
pub use field_path::{FieldPath, PathSegment};
pub use finding::{Finding, Part, Unchecked, ValidationReport};
pub use render::{denial, warnings};
pub use rule::{Needs, NoSuchRule, Rule};
pub use severity::Severity;
pub use subject::{Subject, SubjectKind};
pub use validation_policy::{Enforcement, Level, Severities, ValidationPolicy};
pub use validation_request::{Screening, ValidationRequest};
