//! Verification of client certificates, for API servers that present one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::file::SmallFile;

/// The clients that may send requests: those with a certificate of a CA, optionally restricted to some names.
#[derive(Clone, Debug)]
pub struct Callers {
    verifier: Arc<dyn ClientCertVerifier>,
    /// The allowed names; empty if every certificate of the CA is accepted.
    names: Arc<[String]>,
}

/// A client whose certificate is trusted but has no allowed name. Its text is the response to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client certificate is for {0}, which --client-name does not allow")]
pub struct NotAllowed(String);

/// A file of CAs that cannot verify clients.
#[derive(Debug, thiserror::Error)]
pub enum CallersError {
    /// The file cannot be read or is not PEM.
    #[error("cannot read CA certificates from {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// A block of the file is not a certificate.
    #[error("{} has a PEM block that is not a certificate", .path.display())]
    NotACertificate {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: rustls::Error,
    },
    /// The file has no certificate.
    #[error("cannot verify clients with {}: write the CA certificates there as PEM", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: VerifierBuilderError,
    },
}

impl Callers {
    /// Allows clients with a certificate of a CA in this file (PEM) for one of these names, or for any name if the list
    /// is empty.
    ///
    /// # Errors
    /// If the file cannot be read or has no CA.
    pub async fn load(path: &Path, names: &[String]) -> Result<Self, CallersError> {
        let unreadable = |source| CallersError::Unreadable { path: path.to_owned(), source };
        let unusable = |source| CallersError::Unusable { path: path.to_owned(), source };
        let mut roots = RootCertStore::empty();
        let text = SmallFile::new(path).read().await.map_err(|error| unreadable(pem::Error::Io(error)))?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let added = roots.add(certificate.map_err(unreadable)?);
            added.map_err(|source| CallersError::NotACertificate { path: path.to_owned(), source })?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self { verifier: verifier.map_err(unusable)?, names: names.into() })
    }

    /// Returns the verifier that refuses clients without a certificate of the CA in the handshake.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.clone()
    }

    /// Checks the names of a client that the handshake accepted with these certificates, its own first.
    ///
    /// # Errors
    /// The response to its requests, if none of its names is allowed.
    pub fn check(&self, certificates: Option<&[CertificateDer<'_>]>) -> Result<(), NotAllowed> {
        if self.names.is_empty() {
            return Ok(());
        }
        let names = certificates.and_then(<[_]>::first).map(names_of).unwrap_or_default();
        let allowed = |name: &String| self.names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
        match names.iter().any(allowed) {
            true => Ok(()),
            false if names.is_empty() => Err(NotAllowed("no name".to_owned())),
            false => Err(NotAllowed(names.join(", "))),
        }
    }
}

/// Returns the DNS names of a certificate and the common names of its subject.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    // The handshake has refused anything that is not a certificate.
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let general = alternative.iter().flat_map(|names| &names.value.general_names);
    let dns = general.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    let mut names: Vec<_> = dns.chain(common).map(str::to_owned).collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(common: &str, alternative: &[&str]) -> CertificateDer<'static> {
        let names: Vec<_> = alternative.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    async fn callers(names: &[&str]) -> Callers {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let params = CertificateParams::new(Vec::new()).unwrap();
        std::fs::write(&path, params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()).unwrap();
        Callers::load(&path, &names.iter().map(ToString::to_string).collect::<Vec<_>>()).await.unwrap()
    }

    #[tokio::test]
    async fn one_allowed_name_suffices_or_any_if_none_are_configured() {
        let certificate = [certificate("kube-apiserver", &["api.example.com", "10.0.0.1"])];
        for names in [&[][..], &["kube-apiserver"], &["API.example.com"], &["other", "api.example.com"]] {
            assert_eq!(callers(names).await.check(Some(&certificate)), Ok(()), "{names:?}");
        }
        for names in [&["other"][..], &["10.0.0.1"], &["example.com"], &["kube"]] {
            let refused = callers(names).await.check(Some(&certificate)).unwrap_err().to_string();
            assert!(refused.contains("is for api.example.com, kube-apiserver, which"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_client_without_a_name_is_refused() {
        let none = [certificate("", &[])];
        for certificates in [None, Some(&[][..]), Some(&none[..]), Some(&[CertificateDer::from(vec![1])][..])] {
            assert!(callers(&["kube-apiserver"]).await.check(certificates).is_err());
        }
    }

    #[tokio::test]
    async fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        assert!(Callers::load(&path, &[]).await.unwrap_err().to_string().contains("ca.crt"));
        for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let error = Callers::load(&path, &[]).await.unwrap_err().to_string();
            assert!(error.contains("ca.crt"), "{error}");
        }
    }
}
