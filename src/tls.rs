//! How a caller can trust this server: its names, and certificates for them, issued here or read from files.

mod authority;
mod callers;
mod files;
mod name;
#[cfg(test)]
pub(crate) mod testing;

pub use authority::{Authority, Error, Leaf, Validity};
pub use callers::{Callers, CallersError, NotAllowed};
pub use files::{Error as FilesError, server_config};
pub use name::{InvalidName, Name};
