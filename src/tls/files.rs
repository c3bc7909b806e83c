//! A certificate and its key from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use super::Callers;

/// A certificate and key that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or holds no PEM of that kind.
    #[error("cannot read {what} in {}", .path.display())]
    Unreadable {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("there is no certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    /// The two do not go together.
    #[error("the key in {} does not serve with the certificate in {}", .key.display(), .certificate.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// Reads a certificate (with what chains it to its CA) and its key, to be served with TLS 1.3 and 1.2 to anybody, or to
/// `callers` alone.
///
/// # Errors
/// A file that cannot be read, is no PEM, or a key that is not the certificate's.
pub fn server_config(certificate: &Path, key: &Path, callers: Option<&Callers>) -> Result<ServerConfig, Error> {
    let unreadable = |what, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Unreadable { what, path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable("a certificate", certificate))?;
    if chain.is_empty() {
        return Err(Error::NoCertificate(certificate.to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable("a private key", key))?;
    let unusable = |source| Error::Unusable { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_client_cert_verifier(callers.map_or_else(WebPkiClientVerifier::no_client_auth, Callers::verifier))
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // The API server never resumes a session. Without tickets there is no early data either, which could be replayed.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(config)
}
