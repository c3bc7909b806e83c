//! Kubernetes objects in files.
//!
//! ```text
//! text -> *_parser   -> tree  -> meaning -> document -> edit -> text
//!         one of them   ranges   values     objects     one line or one value,
//!                       of nodes                        checked by parsing it again
//! ```
//!
//! `manifest_mutator` makes the decisions for objects and writes edits. `manifest_validator` finds the position of findings.
//! `known_objects` has the claims, classes and Namespaces of the files.

mod document;
mod edit;
mod helm;
mod json_parser;
mod known_objects;
mod manifest_mutator;
mod manifest_validator;
mod meaning;
mod missing_facts;
mod pointer;
mod position;
mod scalar;
mod sources;
mod tree;
mod yaml_parser;

pub use colocate_companion::{FieldPath, PathSegment};
pub use document::{Document, Manifest, ManifestObject, Syntax};
pub use edit::{Applied, Edit, EditRefusal, Obstacle};
pub use helm::ADVICE as HELM_ADVICE;
pub use known_objects::{KnownObjects, ManifestError, load};
pub use manifest_mutator::{ManifestMutator, MutatedManifest, MutatedObject};
pub use manifest_validator::{ManifestValidator, ValidatedManifest, ValidatedObject};
pub use missing_facts::MissingFacts;
pub use position::{BYTE_ORDER_MARK, ParseError, Position};
pub use sources::{ReadError, Source, expand, read, read_with};
