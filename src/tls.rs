//! Certificates: issued or read from files, renewed and replaced while they are served; and who may call.

mod authority;
mod callers;
mod certificate;
mod certificate_files;
mod certificate_reloader;
mod certificate_resolver;
mod subject_name;
#[cfg(test)]
pub(crate) mod testing;

pub use authority::{Authority, IssueError, Leaf, NotAnAuthority, Validity};
pub use callers::{Callers, CallersError, NotAllowed};
pub use certificate::{Certificate, NotACertificate};
pub use certificate_files::{CertificateFileError, CertificateFiles, read_authorities};
pub use certificate_reloader::CertificateReloader;
pub use certificate_resolver::{CertificateResolver, ServingCertificate};
pub use subject_name::{InvalidName, SubjectName};
