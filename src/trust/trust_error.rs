//! The errors of the trust controller.

use jiff::Timestamp;

use super::secret_data::CorruptSecret;
use crate::api::ApiError;
use crate::tls::{CertificateFileError, IssueError};

/// The reason why the CA, the certificate or a `caBundle` is not up to date. The log and `/readyz` show its text.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(
        "Secret {0} does not exist: create it without data, as the chart does, or set tls.secret.create and grant the verb `create` on `secrets`"
    )]
    SecretAbsent(String),
    #[error(transparent)]
    SecretCorrupt(#[from] CorruptSecret),
    #[error("Secret {0} has no CA, and this replica does not create one while its clock and the API server's disagree")]
    NotFilled(String),
    #[error("no CA in {place} is valid now: the last one is valid from {from} until {until}")]
    NotValid { place: String, from: Timestamp, until: Timestamp },
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error("cannot serve the certificate that was issued: {0}")]
    Serve(#[from] rustls::Error),
    #[error(transparent)]
    CaFile(#[from] CertificateFileError),
    #[error("cannot update the caBundle of {configuration}: {source}")]
    Bundle { configuration: String, source: Box<ApiError> },
    #[error("cannot update the caBundle of {configuration}: it keeps changing; check what else writes to it")]
    Contended { configuration: String },
}
