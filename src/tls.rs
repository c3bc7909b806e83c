//! Certificates: issued here or read from files, renewed, and replaced while they are served; and who may call.

mod authority;
mod callers;
mod certificate;
mod files;
mod renewal;
mod resolver;
mod subject_name;
#[cfg(test)]
pub(crate) mod testing;

pub use authority::{Authority, Error as TlsError, Leaf, NotAnAuthority, Validity};
pub use callers::{Callers, CallersError, NotAllowed};
pub use certificate::{Certificate, NotACertificate};
pub use files::{Error as FilesError, Files, read_authorities};
pub use renewal::Renewal;
pub use resolver::{Resolver, Served};
pub use subject_name::{InvalidName, SubjectName};
