//! Kubernetes objects in files.
//!
//! ```text
//! source -> chunks -> split     -> *_parser    -> tree  -> meaning -> document -> edit -> text
//! a file    texts     documents    one of them    ranges   values     objects     one line or one value,
//!                                                 of nodes                        checked by parsing it again
//! ```
//!
//! Only one chunk of a file is in memory, and only one of its documents is parsed, at a time. Memory is therefore bounded by the
//! largest document, and not by the largest file.
//!
//! `manifest_mutator` makes the decisions for objects and writes edits. `manifest_validator` finds the position of findings.
//! `known_objects` has the claims, classes and Namespaces of the files, and `file_view` the nearest ones of each file: `build_view`
//! those in each build by `kustomizations`.

mod build_view;
mod chunks;
mod controllers;
mod description;
mod document;
mod edit;
mod file_view;
mod folders;
mod ignore_comment;
mod json_parser;
mod known_objects;
mod kustomizations;
mod kustomize_effects;
mod kustomize_reader;
mod load;
mod manifest_mutator;
mod manifest_validator;
mod meaning;
mod missing_facts;
mod object_facts;
mod patches;
mod pointer;
mod position;
mod scalar;
mod sops;
mod source;
mod sources;
mod split;
mod template;
mod tree;
mod undecided;
mod yaml_parser;

pub use chunks::{Chunk, Chunks};
pub use colocate_companion::{FieldPath, PathSegment};
pub use controllers::Controllers;
pub use description::DescriptionKind;
pub use document::{Document, Documents, Manifest, ManifestObject, Syntax};
pub use edit::{CheckedEdits, Edit, EditRefusal, Obstacle, edited};
pub use file_view::{FileView, PossibleChange};
pub use known_objects::{FileId, FileRole, KnownObjects, Purpose, Unusable};
pub use kustomizations::Kustomizations;
pub use load::{ManifestError, load};
pub use manifest_mutator::{ManifestMutator, MutatedDocument, MutatedObject};
pub use manifest_validator::{CommentFinding, IgnoredFinding, ManifestValidator, ValidatedDocument, ValidatedObject};
pub use missing_facts::MissingFacts;
pub use position::{BYTE_ORDER_MARK, ParseError, Position};
pub use source::Source;
pub use sources::{FileSearch, Found, ReadError, is_stdin, read_with};
pub use template::ADVICE as TEMPLATE_ADVICE;
pub use undecided::Undecided;
