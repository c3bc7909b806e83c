//! The companion: finds hyperconvergence annotations that Stork ignores or misreads.
//!
//! Stork silently ignores a misplaced key, and uses its default for a value that does not parse. The pod then stays
//! Pending, or runs on the wrong node. As in the engine, everything here is a pure function of its arguments: the caller
//! provides the facts about claims and placement strategies.
//!
//! ```text
//! object -> subject -> needs ->  facts  -> checks -> report -> warnings, a denial, lines of a file
//!           parse      claims?   claims,   rule      findings
//!                      names?    names     by rule   and unchecked rules
//! ```

mod checks;
mod facts;
mod field_path;
mod finding;
mod key;
mod render;
mod rule;
mod severity;
mod stray_key;
mod subject;
mod validation_policy;
mod validation_request;

pub use facts::{Facts, MountedClaim, MountedClass, Strategies, VolumeKind};
pub use field_path::{FieldPath, PathSegment};
pub use finding::{Finding, Part, Unchecked, ValidationReport};
pub use key::is_stork_key;
pub use render::{denial, warnings};
pub use rule::{Needs, NoSuchRule, Rule};
pub use severity::Severity;
pub use subject::{Subject, SubjectKind};
pub use validation_policy::{Enforcement, Level, Severities, ValidationPolicy};
pub use validation_request::{Screening, ValidationRequest};
