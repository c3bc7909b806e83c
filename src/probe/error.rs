//! Why there is no answer.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::pem;

use super::connection::MAX_ANSWER;

/// Why a webhook gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was given as the authority's certificate holds none.
    #[error("there is no certificate in PEM form (BEGIN CERTIFICATE)")]
    NoAuthority,
    /// What was given as the authority's certificate begins as PEM and does not go on so.
    #[error("the PEM form is broken")]
    Pem(#[source] pem::Error),
    /// A certificate that was to be trusted is no X.509 certificate.
    #[error("a certificate cannot be read")]
    Authority(#[source] rustls::Error),
    /// The cryptographic library offers no TLS.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
    /// No TCP connection.
    #[error("cannot connect to {to}")]
    Connect {
        /// Host and port.
        to: String,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The other end does not begin as TLS does.
    #[error("{to} does not speak TLS")]
    NoTls {
        /// Host and port.
        to: String,
        /// What came instead.
        #[source]
        source: io::Error,
    },
    /// The certificate is not issued by any authority that is trusted here.
    #[error("the certificate of {to} was not issued by the authority that is trusted here")]
    Untrusted {
        /// Host and port.
        to: String,
    },
    /// No TLS connection, for another reason.
    #[error("no TLS connection to {to}")]
    Handshake {
        /// Host and port.
        to: String,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// The connection ended, or what came over it is not HTTP/1.1.
    #[error("no answer from {to}")]
    Http {
        /// Host and port.
        to: String,
        /// What failed.
        #[source]
        source: hyper::Error,
    },
    /// An answer that is too long to read.
    #[error("the answer is longer than {} MiB", MAX_ANSWER >> 20)]
    TooLong,
    /// The time is over.
    #[error("{stage} from {to} within {after:?}")]
    TimedOut {
        /// What was being waited for.
        stage: Stage,
        /// Host and port.
        to: String,
        /// How long all of it was to take at most.
        after: Duration,
    },
}

impl Error {
    pub(super) fn handshake(to: String, source: io::Error) -> Self {
        let tls = source.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        match tls {
            // Of two authorities with one name, the wrong one shows as a bad signature.
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => Self::Untrusted { to },
            Some(rustls::Error::InvalidMessage(_)) => Self::NoTls { to, source },
            _ => Self::Handshake { to, source },
        }
    }
}

/// What a client waits for, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A TCP connection.
    Connect,
    /// A TLS connection over it.
    Handshake,
    /// An answer over that.
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
