//! Kubernetes objects in files.

mod files;
mod inventory;

pub use files::{Error as FilesError, expand};
pub use inventory::{Error, load};
