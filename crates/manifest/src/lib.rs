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
mod inventory;
mod json;
mod meaning;
mod mutation;
mod open;
mod path;
mod position;
mod scalar;
mod tree;
mod validation;
mod yaml;

pub use document::{Document, Format, Manifest, Object};
pub use edit::{Applied, Edit, Refusal};
pub use files::{Error as FilesError, Source, expand, read};
pub use inventory::{Error, Known, load};
pub use mutation::{Mutated, Mutation, Mutator};
pub use open::Open;
pub use path::Step;
pub use position::{ParseError, Position};
pub use validation::{Validated, Validation, Validator};
