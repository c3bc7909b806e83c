//! Certificates, which are issued or read from files and replaced while in use, and the verification of clients.

mod authority;
mod callers;
mod certificate;
mod certificate_files;
mod certificate_reloader;
mod certificate_resolver;
mod serving_certificate;
mod subject_name;
#[cfg(test)]
pub(crate) mod testing;
mod validity;

pub use authority::{Authority, IssueError, Leaf};
pub use callers::{Callers, CallersError, NotAllowed};
pub use certificate::{Certificate, NotACertificate, NotAnAuthority};
pub use certificate_files::{CertificateFileError, CertificateFiles, read_authorities};
pub use certificate_reloader::{CertificateRead, CertificateReloader};
pub use certificate_resolver::CertificateResolver;
pub use serving_certificate::ServingCertificate;
pub use subject_name::{InvalidName, SubjectName};
pub use validity::{InvalidValidity, Validity};
