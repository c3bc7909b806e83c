//! How a caller can trust this server: its names, and certificates for them, issued here or read from files.

mod authority;
mod callers;
mod certificate;
mod files;
mod name;
mod renewal;
mod resolver;
mod rotation;
mod secret;
#[cfg(test)]
pub(crate) mod testing;

pub use authority::{Authority, Error, Leaf, NotAnAuthority, Validity};
pub use callers::{Callers, CallersError, NotAllowed};
pub use certificate::{Certificate, NotACertificate};
pub use files::{Error as FilesError, Files, read_authorities};
pub use name::{InvalidName, Name};
pub use renewal::Renewal;
pub use resolver::{Resolver, Served};
pub use rotation::{Holding, InUse, Lifetimes, Live, Look, Old, Step};
pub use secret::{Corrupt, Data};
