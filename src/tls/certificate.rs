//! A certificate, and the parts of it that trust depends on.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::subject_name::SubjectName;
use super::validity::Validity;

/// The length of a line of PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// A certificate. Two are equal if all of their bytes are equal.
#[derive(Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    validity: Validity,
    authority: bool,
    /// The common name, if the subject has no other attribute.
    common_name: Option<String>,
    key_identifier: Option<Vec<u8>>,
}

/// The reason why a certificate and a key are not an authority.
#[derive(Debug, thiserror::Error)]
pub enum NotAnAuthority {
    /// The certificate cannot be read.
    #[error("{0}")]
    Certificate(NotACertificate),
    /// The certificate may not sign others.
    #[error("it is not a CA certificate: its basicConstraints do not say CA:TRUE")]
    NotACa,
    /// The subject cannot be written byte for byte. A client that follows the chain compares its bytes.
    #[error("its subject is not a single common name in UTF-8, as colocate writes it")]
    Subject,
    /// The key is not a private key in PEM form.
    #[error("it is not a usable private key in PEM form: {0}")]
    Key(String),
    /// The key belongs to another certificate.
    #[error("it is not the key of the certificate")]
    Mismatch,
}

/// The reason why a text is not a certificate.
#[derive(Debug, thiserror::Error)]
pub enum NotACertificate {
    /// It is not PEM, or has no block of a certificate.
    #[error("it is not a certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----")]
    Pem(#[source] pem::Error),
    /// It has several certificates.
    #[error("it has {0} certificates: use a single one")]
    Several(usize),
    /// The bytes are not a certificate.
    #[error("the content of the PEM block is not an X.509 certificate: {0}")]
    Undecodable(String),
}

impl Certificate {
    /// Reads the only certificate in `pem`.
    ///
    /// # Errors
    /// [`NotACertificate`], also if there are several.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NotACertificate> {
        let mut all = Self::all_from_pem(pem)?;
        match (all.len(), all.pop()) {
            (1, Some(one)) => Ok(one),
            (count, _) => Err(NotACertificate::Several(count)),
        }
    }

    /// Reads the only certificate in `pem`, which must belong to a CA.
    ///
    /// # Errors
    /// [`NotAnAuthority`] if it is not a certificate, or does not belong to a CA.
    pub fn ca_from_pem(pem: &[u8]) -> Result<Self, NotAnAuthority> {
        let certificate = Self::from_pem(pem).map_err(NotAnAuthority::Certificate)?;
        if certificate.authority { Ok(certificate) } else { Err(NotAnAuthority::NotACa) }
    }

    /// Reads all certificates in `pem`, and at least one. Text around them is ignored.
    ///
    /// # Errors
    /// [`NotACertificate`] if `pem` has no certificate or one cannot be read.
    pub fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, NotACertificate> {
        let ders = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(NotACertificate::Pem)?;
        if ders.is_empty() {
            return Err(NotACertificate::Pem(pem::Error::NoItemsFound));
        }
        ders.iter().map(Self::from_der).collect()
    }

    /// Reads a certificate from DER.
    ///
    /// # Errors
    /// [`NotACertificate::Undecodable`].
    pub fn from_der(der: &CertificateDer<'_>) -> Result<Self, NotACertificate> {
        let undecodable = |text: String| NotACertificate::Undecodable(text);
        let (rest, read) = X509Certificate::from_der(der).map_err(|error| undecodable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(undecodable(format!("{} bytes follow it", rest.len())));
        }
        let time = |time: i64| Timestamp::from_second(time).map_err(|error| undecodable(error.to_string()));
        let validity = Validity {
            not_before: time(read.validity().not_before.timestamp())?,
            not_after: time(read.validity().not_after.timestamp())?,
        };
        let authority = read
            .basic_constraints()
            .map_err(|error| undecodable(error.to_string()))?
            .is_some_and(|found| found.value.ca);
        let mut parts = read.subject().iter_attributes();
        let common_name = match (parts.next(), parts.next()) {
            (Some(only), None) => read
                .subject()
                .iter_common_name()
                .next()
                .filter(|_| only.attr_value().header.tag() == x509_parser::der_parser::asn1_rs::Tag::Utf8String)
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            _ => None,
        };
        let key_identifier = read.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
            _ => None,
        });
        Ok(Self { validity, authority, common_name, key_identifier, der: der.clone().into_owned() })
    }

    /// Returns the certificate as DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Returns the certificate as PEM.
    pub fn pem(&self) -> String {
        let base64 = STANDARD.encode(&self.der);
        let lines = base64.as_bytes().chunks(PEM_LINE).map(String::from_utf8_lossy).collect::<Vec<_>>();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    /// Returns the time in which it is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Returns whether it may sign others: `basicConstraints` says `CA:TRUE`.
    pub fn is_authority(&self) -> bool {
        self.authority
    }

    /// Returns the common name, if the subject has no other attribute.
    pub(super) fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// Returns the identifier of its key, if it has one.
    pub(super) fn key_identifier(&self) -> Option<&[u8]> {
        self.key_identifier.as_deref()
    }

    /// Returns whether a client accepts it for a server of this name. For a wildcard, a name that matches it is tried.
    pub fn is_for(&self, name: &SubjectName) -> bool {
        let asked = match name {
            SubjectName::Ip(address) => Ok(ServerName::from(*address)),
            SubjectName::Dns(name) => ServerName::try_from(name.replacen('*', "wildcard", 1)),
        };
        let certificate = webpki::EndEntityCert::try_from(&self.der);
        matches!((asked, certificate), (Ok(asked), Ok(certificate)) if certificate.verify_is_valid_for_subject_name(&asked).is_ok())
    }

    /// Returns whether a client that trusts `authorities` accepts it at this time, if the server sends `intermediates` too.
    ///
    /// The authorities must be valid, too, as they must be for an API server: Go checks that, webpki does not.
    pub fn chains_to<'a>(
        &self,
        authorities: impl IntoIterator<Item = &'a Certificate>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> bool {
        let valid = authorities.into_iter().filter(|ca| ca.validity.contains(now));
        let anchors = valid.filter_map(|ca| webpki::anchor_from_trusted_cert(&ca.der).ok());
        let anchors: Vec<_> = anchors.collect();
        let Ok(certificate) = webpki::EndEntityCert::try_from(&self.der) else { return false };
        let Ok(seconds) = u64::try_from(now.as_second()) else { return false };
        let verified = certificate.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            intermediates,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        );
        verified.is_ok()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("common_name", &self.common_name)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::tls::Authority;

    fn now() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn validity() -> Validity {
        Validity::new(now(), SignedDuration::from_hours(24)).unwrap()
    }

    #[test]
    fn issued_certificates_are_read_and_written_again() {
        let authority = Authority::new("an authority", validity()).unwrap();
        let names = ["colocate.default.svc".parse().unwrap(), "*.a.example".parse().unwrap(), "::1".parse().unwrap()];
        let leaf = authority.issue(&names, validity()).unwrap();
        let (ca, leaf) = (authority.certificate_pem(), leaf.certificate_pem());
        let ca = Certificate::from_pem(ca.as_bytes()).unwrap();
        assert_eq!((ca.is_authority(), ca.common_name(), ca.validity()), (true, Some("an authority"), validity()));
        assert_eq!(ca.key_identifier().unwrap().len(), 20);
        let leaf = Certificate::from_pem(leaf.as_bytes()).unwrap();
        assert!(!leaf.is_authority() && leaf != ca);
        assert_eq!(Certificate::from_pem(leaf.pem().as_bytes()).unwrap(), leaf);
        assert!(names.iter().all(|name| leaf.is_for(name)));
        for other in ["colocate.other.svc", "::2"] {
            assert!(!leaf.is_for(&other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn a_leaf_chains_to_its_authority_while_both_are_valid() {
        let issue = |name| Authority::new(name, validity()).unwrap();
        let (ours, other) = (issue("an authority"), issue("an authority"));
        let leaf = ours.issue(&["a.example".parse().unwrap()], validity()).unwrap();
        let read = |pem: String| Certificate::from_pem(pem.as_bytes()).unwrap();
        let leaf = read(leaf.certificate_pem());
        let (ours, other) = (read(ours.certificate_pem()), read(other.certificate_pem()));
        assert!(leaf.chains_to([&ours], &[], now()) && leaf.chains_to([&other, &ours], &[], now()));
        assert!(!leaf.chains_to([&other], &[], now()) && !leaf.chains_to([], &[], now()));
        let after = validity().not_after() + SignedDuration::from_secs(1);
        assert!(!leaf.chains_to([&ours], &[], after));
    }

    #[test]
    fn an_authority_that_is_not_valid_now_is_not_trusted() {
        let authority = Authority::new("an authority", validity()).unwrap();
        let day = SignedDuration::from_hours(24);
        let longer = Validity::new(now() - day, day * 3).unwrap();
        let leaf = authority.issue(&["a.example".parse().unwrap()], longer).unwrap();
        let leaf = Certificate::from_pem(leaf.certificate_pem().as_bytes()).unwrap();
        let Validity { not_before, not_after } = validity();
        let second = SignedDuration::from_secs(1);
        for (time, trusted) in
            [(not_before - second, false), (not_before, true), (not_after, true), (not_after + second, false)]
        {
            assert_eq!(leaf.chains_to([authority.certificate()], &[], time), trusted, "{time}");
        }
    }

    #[test]
    fn each_invalid_certificate_has_its_reason() {
        let pem = Authority::new("a", validity()).unwrap().certificate_pem();
        for (text, part) in [
            (String::new(), "not a certificate in PEM form"),
            ("hello".to_owned(), "not a certificate in PEM form"),
            (pem.replace("END", "STOP"), "not a certificate in PEM form"),
            (format!("{pem}{pem}"), "has 2 certificates"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), "not an X.509 certificate"),
        ] {
            let error = Certificate::from_pem(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
