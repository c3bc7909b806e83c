//! A certificate and its key from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certificate::{Certificate, NotACertificate};
use super::{ServingCertificate, SubjectName};
use crate::file::SmallFile;

/// The files of a certificate and its key.
#[derive(Debug)]
pub struct CertificateFiles {
    /// The certificate and the intermediates that chain it to its CA, as PEM.
    certificate: SmallFile,
    /// The private key, as PEM.
    key: SmallFile,
    /// The name by which the API server calls; `None` if it is not known.
    name: Option<SubjectName>,
}

/// The reason why a file of certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// The file cannot be read, or has no PEM block of that kind.
    #[error("cannot read {what} from {}: {source}", .path.display())]
    Unreadable {
        /// The kind of PEM block.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// The file has no certificate.
    #[error("{} has no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// A block of the file is not a certificate.
    #[error("cannot use {}: {reason}", .path.display())]
    Undecodable {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: NotACertificate,
    },
    /// The key does not belong to the certificate.
    #[error("the key in {} does not match the certificate in {}: {source}", .key.display(), .certificate.display())]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The cause.
        source: rustls::Error,
    },
    /// The certificate has expired or is not valid yet.
    #[error("the certificate in {} is valid from {from} until {until}, but it is {now}: renew it", .path.display())]
    NotValidNow {
        /// The file.
        path: PathBuf,
        /// The first second.
        from: Timestamp,
        /// The last second.
        until: Timestamp,
        /// The time of the check, in whole seconds.
        now: Timestamp,
    },
    /// The API server does not accept the certificate.
    #[error("the certificate in {} is not valid for {name}, the name that the API server uses: issue one with this DNS name, or set tls.service", .path.display())]
    OtherName {
        /// The file.
        path: PathBuf,
        /// The missing name.
        name: SubjectName,
    },
    /// A certificate in a file of CAs does not belong to a CA.
    #[error("a certificate in {} is not a CA certificate: its basicConstraints do not say CA:TRUE", .0.display())]
    NotACa(PathBuf),
}

impl CertificateFiles {
    /// The files of this certificate and its key, which have not been read yet. `name` is the name by which the API server
    /// calls; `None` if it is not known.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>, name: Option<SubjectName>) -> Self {
        Self { certificate: SmallFile::new(certificate), key: SmallFile::new(key), name }
    }

    /// Returns the path of the certificate.
    pub(super) fn certificate(&self) -> &Path {
        self.certificate.path()
    }

    /// Reads both files as a certificate that can be served at this time.
    ///
    /// # Errors
    /// If a file cannot be read or is not PEM, the key does not match, or the certificate is not valid now or is not
    /// for the name.
    pub async fn read(&mut self, now: Timestamp) -> Result<ServingCertificate, CertificateFileError> {
        let (certificate, key) = tokio::join!(self.certificate.read(), self.key.read());
        let path = self.certificate.path().to_owned();
        let chain = certificate
            .map_err(pem::Error::Io)
            .and_then(|text| CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>())
            .map_err(unreadable("a certificate", &path))?;
        let first = chain.first().ok_or_else(|| CertificateFileError::NoCertificate(path.clone()))?;
        let certificate = Certificate::from_der(first).map_err(undecodable(&path))?;
        let private = key
            .map_err(pem::Error::Io)
            .and_then(|text| PrivateKeyDer::from_pem_slice(&text))
            .map_err(unreadable("a private key", self.key.path()))?;
        let unusable = |source| CertificateFileError::Unusable {
            certificate: path.clone(),
            key: self.key.path().to_owned(),
            source,
        };
        let key = CertifiedKey::new(chain, any_supported_type(&private).map_err(unusable)?);
        key.keys_match().map_err(unusable)?;
        let validity = certificate.validity();
        let (from, until) = (validity.not_before(), validity.not_after());
        if !validity.contains(now) {
            let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
            return Err(CertificateFileError::NotValidNow { path, from, until, now });
        }
        match &self.name {
            Some(name) if !certificate.is_for(name) => {
                Err(CertificateFileError::OtherName { path, name: name.clone() })
            }
            _ => Ok(ServingCertificate { key: Arc::new(key), certificate }),
        }
    }
}

/// Reads the CA certificates in a file.
///
/// # Errors
/// If the file cannot be read, is not PEM, or has a certificate that does not belong to a CA.
pub async fn read_authorities(file: &mut SmallFile) -> Result<Vec<Certificate>, CertificateFileError> {
    let read = file.read().await;
    let path = file.path();
    let text = read.map_err(|error| unreadable("a CA certificate", path)(pem::Error::Io(error)))?;
    let authorities = Certificate::all_from_pem(&text).map_err(undecodable(path))?;
    if !authorities.iter().all(Certificate::is_authority) {
        return Err(CertificateFileError::NotACa(path.to_owned()));
    }
    Ok(authorities)
}

fn unreadable(what: &'static str, path: &Path) -> impl FnOnce(pem::Error) -> CertificateFileError {
    let path = path.to_owned();
    move |source| CertificateFileError::Unreadable { what, path, source }
}

fn undecodable(path: &Path) -> impl FnOnce(NotACertificate) -> CertificateFileError {
    |reason| CertificateFileError::Undecodable { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tempfile::TempDir;

    use super::*;
    use crate::tls::{Authority, Leaf, Validity};

    fn now() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn authority() -> Authority {
        Authority::new("a", Validity::new(now(), SignedDuration::from_hours(24)).unwrap()).unwrap()
    }

    fn issue(hours: i64) -> Leaf {
        let validity = Validity::new(now(), SignedDuration::from_hours(hours)).unwrap();
        authority().issue(&["colocate.storage.svc".parse().unwrap()], validity).unwrap()
    }

    fn files(certificate: &str, key: &str) -> (TempDir, CertificateFiles) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        std::fs::write(path("tls.crt"), certificate).unwrap();
        std::fs::write(path("tls.key"), key).unwrap();
        let name = Some("colocate.storage.svc".parse().unwrap());
        let files = CertificateFiles::new(path("tls.crt"), path("tls.key"), name);
        (folder, files)
    }

    #[tokio::test]
    async fn a_matching_pair_is_served() {
        let leaf = issue(2);
        let (_folder, mut files) = files(&leaf.certificate_pem(), &leaf.key_pem());
        let served = files.read(now()).await.unwrap();
        assert_eq!(served.certificate.validity(), leaf.validity());
    }

    #[tokio::test]
    async fn each_pair_that_cannot_be_served_has_its_reason() {
        let (leaf, other) = (issue(2), issue(2));
        let later = now() + SignedDuration::from_hours(3);
        let earlier = now() - SignedDuration::from_hours(3);
        for (certificate, key, at, part) in [
            ("", leaf.key_pem(), now(), "has no certificate in PEM form"),
            (&leaf.certificate_pem(), String::new(), now(), "cannot read a private key from"),
            (&leaf.certificate_pem(), other.key_pem(), now(), "does not match the certificate in"),
            (&leaf.certificate_pem(), leaf.key_pem(), later, "until 2026-11-23T14:00:00Z, but it is 2026-11-23T15"),
            (&leaf.certificate_pem(), leaf.key_pem(), earlier, "is valid from 2026-11-23T11:00:00Z"),
        ] {
            let (_folder, mut files) = files(certificate, &key);
            let error = files.read(at).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let (_folder, mut files) = files(&leaf.certificate_pem(), &leaf.key_pem());
        files.name = Some("colocate.default.svc".parse().unwrap());
        let error = files.read(now()).await.unwrap_err().to_string();
        assert!(error.contains("is not valid for colocate.default.svc"), "{error}");
        files.name = None;
        files.read(now()).await.unwrap();
        files.key = SmallFile::new("/absent/tls.key");
        assert!(files.read(now()).await.unwrap_err().to_string().contains("/absent/tls.key"));
    }

    #[tokio::test]
    async fn a_file_of_cas_has_at_least_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let mut file = SmallFile::new(&path);
        let (one, two, leaf) = (authority(), authority(), issue(2));
        std::fs::write(&path, one.certificate_pem() + &two.certificate_pem()).unwrap();
        assert_eq!(read_authorities(&mut file).await.unwrap(), [one.certificate().clone(), two.certificate().clone()]);
        for (text, part) in
            [(String::new(), "not a certificate in PEM form"), (leaf.certificate_pem(), "is not a CA certificate")]
        {
            std::fs::write(&path, text).unwrap();
            let error = read_authorities(&mut file).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(read_authorities(&mut SmallFile::new(folder.path().join("absent"))).await.is_err());
    }
}
