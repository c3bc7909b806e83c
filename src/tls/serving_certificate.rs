//! A certificate with what is needed to serve it.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// A certificate that is served, with its key and the intermediates that chain it to its CA.
#[derive(Debug)]
pub struct ServingCertificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The server's own certificate.
    pub certificate: Certificate,
}

impl ServingCertificate {
    /// Returns whether a client that trusts `authorities` accepts it at this time.
    pub fn chains_to<'a>(&self, authorities: impl IntoIterator<Item = &'a Certificate>, now: Timestamp) -> bool {
        self.certificate.chains_to(authorities, self.key.cert.get(1..).unwrap_or_default(), now)
    }
}

/// Two are equal if their chains are: a certificate has only one key.
impl PartialEq for ServingCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }
}
