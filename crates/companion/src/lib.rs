//! The companion: finds hyperconvergence annotations that Stork ignores or misreads.
//!
//! Stork silently ignores a misplaced key, and replaces a value that does not parse by its default. The pod then stays
//! Pending, or runs on the wrong node. Everything here is a pure function of its arguments, as in the engine: the facts
//! about claims and placement strategies come from elsewhere.
//!
//! ```text
//! object -> subject -> needs ->  facts  -> checks -> report -> warnings, a denial, lines of a file
//!           parse      claims?   claims,   rule,     findings,
//!                      names?    names     by rule   and what could not be checked
//! ```

mod checks;
mod facts;
mod field_path;
mod finding;
mod key;
mod render;
mod rule;
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
