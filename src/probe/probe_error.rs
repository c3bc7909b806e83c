//! Reasons why there is no answer.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::pem;

use super::connection::MAX_ANSWER;

/// The reason why a webhook gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The file of the authority holds no certificate.
    #[error("there is no certificate in PEM form (BEGIN CERTIFICATE)")]
    NoAuthority,
    /// The file of the authority is broken PEM.
    #[error("the PEM form is broken")]
    Pem(#[source] pem::Error),
    /// A certificate in the file of the authority is not an X.509 certificate.
    #[error("a certificate cannot be read")]
    Authority(#[source] rustls::Error),
    /// The cryptographic library offers no TLS.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
    /// There is no TCP connection.
    #[error("cannot connect to {to}")]
    Connect {
        /// Host and port.
        to: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The webhook does not begin a TLS handshake.
    #[error("{to} does not speak TLS")]
    NoTls {
        /// Host and port.
        to: String,
        /// The data that came instead.
        #[source]
        source: io::Error,
    },
    /// The certificate was issued by another authority.
    #[error("the certificate of {to} was not issued by the authority that is trusted here")]
    Untrusted {
        /// Host and port.
        to: String,
    },
    /// There is no TLS connection, for another reason.
    #[error("no TLS connection to {to}")]
    Handshake {
        /// Host and port.
        to: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The connection ended, or its data is not HTTP/1.1.
    #[error("no answer from {to}")]
    Http {
        /// Host and port.
        to: String,
        /// The cause.
        #[source]
        source: hyper::Error,
    },
    /// The answer is too long.
    #[error("the answer is longer than {} MiB", MAX_ANSWER >> 20)]
    TooLong,
    /// The timeout has passed.
    #[error("{stage} from {to} within {after:?}")]
    TimedOut {
        /// The stage that did not end in time.
        stage: Stage,
        /// Host and port.
        to: String,
        /// The timeout, for all stages together.
        after: Duration,
    },
}

impl ProbeError {
    pub(super) fn handshake(to: String, source: io::Error) -> Self {
        let tls = source.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        match tls {
            // An authority with the right name and another key shows as a bad signature.
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => Self::Untrusted { to },
            Some(rustls::Error::InvalidMessage(_)) => Self::NoTls { to, source },
            _ => Self::Handshake { to, source },
        }
    }
}

/// The stages of a call, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The TCP connection.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// The request and its answer.
    Answer,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Handshake => "no TLS handshake",
            Self::Answer => "no answer",
        })
    }
}
