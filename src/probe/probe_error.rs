//! The errors of a call without an answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::pem;

/// The longest answer that is read. A patch that replaces the largest object that an API server accepts (3 MiB) has 4 MiB
/// in base64.
pub(super) const MAX_ANSWER: usize = 16 << 20;

/// The reason why a webhook, which is named by its host and port, gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The CA file has no certificate.
    #[error("no certificate in PEM form (BEGIN CERTIFICATE) found")]
    NoAuthority,
    /// The CA file is not valid PEM.
    #[error("invalid PEM")]
    Pem(#[source] pem::Error),
    /// A certificate in the CA file is not an X.509 certificate.
    #[error("cannot read a certificate")]
    Authority(#[source] rustls::Error),
    /// The cryptographic library does not support TLS.
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
    /// The TCP connection failed.
    #[error("cannot connect to {0}")]
    Connect(String, #[source] io::Error),
    /// The webhook does not begin a TLS handshake.
    #[error("{0} does not speak TLS")]
    NoTls(String, #[source] io::Error),
    /// The certificate was issued by another CA.
    #[error("the certificate of {0} was not issued by a trusted CA: check the CA certificates")]
    Untrusted(String),
    /// The TLS handshake failed for another reason.
    #[error("no TLS connection to {0}")]
    Handshake(String, #[source] io::Error),
    /// The connection ended, or its data is not HTTP/1.1.
    #[error("no answer from {0}")]
    Http(String, #[source] Box<dyn Error + Send + Sync>),
    /// The answer is too long.
    #[error("the answer is longer than {} MiB", MAX_ANSWER >> 20)]
    TooLong,
    /// The timeout of all stages together has passed. The first field is the stage that was not completed.
    #[error("no {0} from {1} within {2:?}")]
    TimedOut(&'static str, String, Duration),
}

impl ProbeError {
    pub(super) fn handshake(to: String, source: io::Error) -> Self {
        let tls = source.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        match tls {
            // A CA with the right name but another key results in a bad signature.
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => Self::Untrusted(to),
            Some(rustls::Error::InvalidMessage(_)) => Self::NoTls(to, source),
            _ => Self::Handshake(to, source),
        }
    }
}
