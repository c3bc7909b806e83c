//! Certificates.

mod files;

pub use files::{Error as FilesError, server_config};
