//! Kubernetes objects in files.
//!
//! ```text
//! text -> yaml, json -> tree -> meaning -> document -> edit -> text
//!         one of them   where   what it    objects     one line or one value,
//!                       it is   means      in it       checked by reading it again
//! ```
//!
//! Who asks about them: `mutation` decides what is to be changed, `validation` says what is wrong and where, and `inventory`
//! is what they tell of claims.

mod document;
mod edit;
mod files;
mod helm;
mod json;
mod known_objects;
mod manifest_mutator;
mod manifest_validator;
mod meaning;
mod missing_facts;
mod pointer;
mod position;
mod scalar;
mod tree;
mod yaml;

pub use colocate_companion::{FieldPath, PathSegment};
pub use document::{Document, Manifest, ManifestObject, Syntax};
pub use edit::{Applied, Edit, Obstacle, Refusal};
pub use files::{ReadError, Source, expand, read};
pub use helm::ADVICE as HELM_ADVICE;
pub use known_objects::{KnownObjects, LoadError, load};
pub use manifest_mutator::{ManifestMutator, MutatedManifest, MutatedObject};
pub use manifest_validator::{ManifestValidator, ValidatedManifest, ValidatedObject};
pub use missing_facts::MissingFacts;
pub use position::{BYTE_ORDER_MARK, ParseError, Position};
