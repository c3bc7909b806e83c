//! Who may ask: clients with a certificate, where the API server has one.

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

/// The clients that may ask: those with a certificate of a CA, and of them perhaps only some, by name.
#[derive(Clone, Debug)]
pub struct Callers {
    verifier: Arc<dyn ClientCertVerifier>,
    /// The names of which a certificate must have one; empty where every certificate of the CA will do.
    names: Arc<[String]>,
}

/// A client whose certificate is trusted, and is for somebody else than may ask. The text is for whoever made the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate is for {0}, and the names that --client-name allows are others")]
pub struct NotAllowed(String);

/// A file of CAs by which no client can be told.
#[derive(Debug, thiserror::Error)]
pub enum CallersError {
    /// It cannot be read, or is no PEM.
    #[error("cannot read a CA's certificate in {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// It holds something else in the place of a certificate.
    #[error("{} holds something that is no certificate", .path.display())]
    NotACertificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// It holds no certificate.
    #[error("no client can be verified by the certificates in {}: write the CA's certificates there, as PEM", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
}

impl Callers {
    /// Clients with a certificate of one of the CAs in this file (as PEM) for one of these names; for any, where there is no
    /// name.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no CA.
    pub fn load(path: &Path, names: &[String]) -> Result<Self, CallersError> {
        let unreadable = |source| CallersError::Unreadable { path: path.to_owned(), source };
        let unusable = |source| CallersError::Unusable { path: path.to_owned(), source };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            let added = roots.add(certificate.map_err(unreadable)?);
            added.map_err(|source| CallersError::NotACertificate { path: path.to_owned(), source })?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self { verifier: verifier.map_err(unusable)?, names: names.into() })
    }

    /// What refuses, in the handshake, clients without a certificate of the CA.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.clone()
    }

    /// Whether a client may ask that the handshake let in with these certificates, its own first.
    ///
    /// # Errors
    /// The answer to its requests, if it may not.
    pub fn check(&self, certificates: Option<&[CertificateDer<'_>]>) -> Result<(), NotAllowed> {
        if self.names.is_empty() {
            return Ok(());
        }
        let names = certificates.and_then(<[_]>::first).map(names_of).unwrap_or_default();
        let allowed = |name: &String| self.names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
        match names.iter().any(allowed) {
            true => Ok(()),
            false if names.is_empty() => Err(NotAllowed("nobody by name".to_owned())),
            false => Err(NotAllowed(names.join(", "))),
        }
    }
}

/// The DNS names of a certificate, and the common names of its subject.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    // What is no certificate the handshake has refused.
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

    fn callers(names: &[&str]) -> Callers {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let params = CertificateParams::new(Vec::new()).unwrap();
        std::fs::write(&path, params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()).unwrap();
        Callers::load(&path, &names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn one_allowed_name_is_enough_and_without_any_the_ca_is() {
        let certificate = [certificate("kube-apiserver", &["api.example.com", "10.0.0.1"])];
        for names in [&[][..], &["kube-apiserver"], &["API.example.com"], &["other", "api.example.com"]] {
            assert_eq!(callers(names).check(Some(&certificate)), Ok(()), "{names:?}");
        }
        for names in [&["other"][..], &["10.0.0.1"], &["example.com"], &["kube"]] {
            let refused = callers(names).check(Some(&certificate)).unwrap_err().to_string();
            assert!(refused.contains("is for api.example.com, kube-apiserver, and"), "{refused}");
        }
    }

    #[test]
    fn a_client_without_a_name_has_none_that_is_allowed() {
        let none = [certificate("", &[])];
        for certificates in [None, Some(&[][..]), Some(&none[..]), Some(&[CertificateDer::from(vec![1])][..])] {
            assert!(callers(&["kube-apiserver"]).check(certificates).is_err());
        }
    }

    #[test]
    fn a_file_that_holds_no_ca_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        assert!(Callers::load(&path, &[]).unwrap_err().to_string().contains("ca.crt"));
        for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let error = Callers::load(&path, &[]).unwrap_err().to_string();
            assert!(error.contains("ca.crt"), "{error}");
        }
    }
}
