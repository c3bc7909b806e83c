//! A certificate authority, and the certificates that it issues.
//!
//! Nothing here reads a clock: the caller passes the time.

use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;

use super::certificate::{Certificate, NotAnAuthority};
use super::serving_certificate::ServingCertificate;
use super::subject_name::SubjectName;
use super::validity::{InvalidValidity, Validity};

/// The common name of a leaf. Clients ignore it; it helps people who inspect a certificate.
const LEAF: &str = "colocate";

/// The reason why a certificate cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The certificate cannot be valid for that time.
    #[error(transparent)]
    Validity(#[from] InvalidValidity),
    /// The cryptographic library failed to generate a key.
    #[error("cannot generate a key: {0}")]
    Key(#[source] rcgen::Error),
    /// The certificate cannot be encoded or signed.
    #[error("cannot issue a certificate for {subject}: {source}")]
    Issue {
        /// The common name.
        subject: String,
        /// The cause.
        source: rcgen::Error,
    },
}

/// A certificate authority: a self-signed certificate and its ECDSA P-256 key. It issues leaves, not authorities.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    /// Generates a key and a self-signed certificate.
    ///
    /// # Errors
    /// [`IssueError::Key`] and [`IssueError::Issue`] if the cryptographic library fails.
    pub fn new(common_name: &str, validity: Validity) -> Result<Self, IssueError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IssueError::Key)?;
        let mut params = params(common_name, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signed = params.self_signed(&key).map_err(|source| issue(common_name, source))?;
        let certificate = decode(common_name, &signed)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Reads an authority from PEM.
    ///
    /// # Errors
    /// [`NotAnAuthority`] if `certificate` or `key` cannot be used.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, NotAnAuthority> {
        let certificate = Certificate::ca_from_pem(certificate)?;
        let subject = certificate.common_name().ok_or(NotAnAuthority::Subject)?;
        let unusable = |error: &dyn std::fmt::Display| NotAnAuthority::Key(error.to_string());
        let der = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(&error))?;
        let signing = any_supported_type(&der).map_err(|error| unusable(&error))?;
        CertifiedKey::new(vec![certificate.der().clone()], signing)
            .keys_match()
            .map_err(|_| NotAnAuthority::Mismatch)?;
        let key = KeyPair::try_from(&der).map_err(|error| unusable(&error))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(subject);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        if let Some(identifier) = certificate.key_identifier() {
            params.key_identifier_method = KeyIdMethod::PreSpecified(identifier.to_vec());
        }
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Returns the certificate, which clients trust.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns the certificate as PEM, as a `caBundle` has it.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// Returns the private key as PEM (PKCS #8), which is secret.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Generates an ECDSA P-256 key and a server certificate for all of `names`.
    ///
    /// # Errors
    /// [`IssueError::Key`] and [`IssueError::Issue`] if the cryptographic library fails.
    pub fn issue(&self, names: &[SubjectName], validity: Validity) -> Result<Leaf, IssueError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IssueError::Key)?;
        let mut params = params(LEAF, validity);
        params.subject_alt_names =
            names.iter().map(alternative).collect::<Result<_, _>>().map_err(|source| issue(LEAF, source))?;
        // `ExplicitNoCa` writes `CA:FALSE` and the identifier of the key; `NoCa` omits both.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(&key, &self.issuer).map_err(|source| issue(LEAF, source))?;
        Ok(Leaf { certificate: decode(LEAF, &signed)?, key })
    }
}

/// A server certificate and its key.
#[derive(Debug)]
pub struct Leaf {
    certificate: Certificate,
    key: KeyPair,
}

impl Leaf {
    /// Returns the certificate as PEM. It is the whole chain that a server sends, since clients have the authority.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// Returns the private key as PEM (PKCS #8), which is secret.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Returns the certificate and the key as a server serves them.
    ///
    /// # Errors
    /// If the cryptographic library cannot use the key, which it generated.
    pub fn serving(&self) -> Result<ServingCertificate, rustls::Error> {
        let key = PrivateKeyDer::Pkcs8(self.key.serialized_der().to_vec().into());
        let key = CertifiedKey::new(vec![self.certificate.der().clone()], any_supported_type(&key)?);
        Ok(ServingCertificate { key: Arc::new(key), certificate: self.certificate.clone() })
    }

    /// Returns the time in which the certificate is valid.
    pub fn validity(&self) -> Validity {
        self.certificate.validity()
    }
}

fn params(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = self::common_name(common_name);
    params.not_before = SystemTime::from(validity.not_before).into();
    params.not_after = SystemTime::from(validity.not_after).into();
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn alternative(name: &SubjectName) -> Result<SanType, rcgen::Error> {
    Ok(match name {
        SubjectName::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
        SubjectName::Ip(address) => SanType::IpAddress(*address),
    })
}

fn decode(subject: &str, signed: &rcgen::Certificate) -> Result<Certificate, IssueError> {
    Certificate::from_der(signed.der()).map_err(|_| issue(subject, rcgen::Error::CouldNotParseCertificate))
}

fn issue(subject: &str, source: rcgen::Error) -> IssueError {
    IssueError::Issue { subject: subject.into(), source }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::CertificateError;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::tls::testing;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn now() -> Timestamp {
        "2026-11-23T12:00:00.25Z".parse().unwrap()
    }

    fn year() -> Validity {
        Validity::new(now(), DAY * 365).unwrap()
    }

    fn names(names: &[&str]) -> Vec<SubjectName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn contains(certificate: &str, bytes: &[u8]) -> bool {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        der.windows(bytes.len()).any(|window| window == bytes)
    }

    #[test]
    fn a_validity_is_backdated_by_an_hour() {
        assert_eq!(year().not_before().to_string(), "2026-11-23T11:00:00Z");
        assert_eq!(year().not_after().to_string(), "2027-11-23T12:00:00Z");
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let validity = Validity::new(now(), SignedDuration::from_hours(9)).unwrap();
        assert_eq!(validity.renewal().to_string(), "2026-11-23T18:00:00Z");
        let sooner = validity.until(now() + SignedDuration::from_hours(3));
        assert_eq!(sooner.not_after().to_string(), "2026-11-23T15:00:00Z");
        assert_eq!(sooner.renewal().to_string(), "2026-11-23T14:00:00Z");
        assert_eq!(validity.until(now() + DAY), validity);
    }

    #[test]
    fn a_validity_outside_of_the_calendar_is_refused() {
        let error = Validity::new(now(), SignedDuration::MAX).unwrap_err();
        assert!(matches!(error, InvalidValidity { .. }), "{error}");
        assert!(Validity::new(Timestamp::MIN, DAY).is_err());
    }

    #[test]
    fn the_authority_may_sign_leaves_only() {
        let authority = Authority::new("an authority", year()).unwrap().certificate_pem();
        // Whole extensions: identifier, critical, value.
        let basic_constraints = b"\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x08\x30\x06\x01\x01\xff\x02\x01\x00";
        let cert_and_crl_sign = b"\x06\x03\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x01\x06";
        let key_identifier = b"\x06\x03\x55\x1d\x0e\x04\x16\x04\x14";
        assert!(contains(&authority, basic_constraints));
        assert!(contains(&authority, cert_and_crl_sign));
        assert!(contains(&authority, key_identifier));
        assert!(contains(&authority, b"an authority"));
        assert!(contains(&authority, b"261123110000Z"));
        assert!(contains(&authority, b"271123120000Z"));
    }

    #[test]
    fn the_leaf_is_a_server_certificate_that_identifies_its_ca() {
        let authority = Authority::new("an authority", year()).unwrap();
        let leaf = authority.issue(&names(&["localhost"]), Validity::new(now(), DAY * 7).unwrap()).unwrap();
        let certificate = leaf.certificate_pem();
        let digital_signature = b"\x06\x03\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x07\x80";
        let server_auth = b"\x06\x03\x55\x1d\x25\x04\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
        let no_authority = b"\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00";
        assert!(contains(&certificate, digital_signature));
        assert!(contains(&certificate, server_auth));
        assert!(contains(&certificate, no_authority));
        assert!(contains(&certificate, b"261130120000Z"));
        assert_eq!(leaf.validity().not_after().to_string(), "2026-11-30T12:00:00Z");

        let identifier = b"\x06\x03\x55\x1d\x0e\x04\x16\x04\x14";
        let der = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
        let at = der.windows(identifier.len()).position(|window| window == identifier).unwrap() + identifier.len();
        let authority_key = [b"\x06\x03\x55\x1d\x23\x04\x18\x30\x16\x80\x14", &der[at..at + 20]].concat();
        assert!(contains(&certificate, &authority_key));
    }

    #[tokio::test]
    async fn clients_accept_the_names_of_the_leaf_only() {
        let authority = Authority::new("an authority", year()).unwrap();
        let all = names(&["colocate.default.svc", "*.default.example", "localhost", "127.0.0.1", "::1"]);
        let leaf = authority.issue(&all, year()).unwrap();
        let client = testing::client(&authority.certificate_pem(), now());
        for name in ["colocate.default.svc", "a.default.example", "localhost", "127.0.0.1", "::1"] {
            testing::handshake(&client, &testing::server(&leaf), name).await.unwrap();
        }
        for other in ["colocate.other.svc", "b.a.default.example", "example.com", "127.0.0.2"] {
            let error = testing::handshake(&client, &testing::server(&leaf), other).await.unwrap_err();
            assert!(matches!(error, CertificateError::NotValidForNameContext { .. }), "{other}: {error:?}");
        }
    }

    #[tokio::test]
    async fn an_authority_read_from_pem_signs_like_the_original() {
        let written = Authority::new("an authority", year()).unwrap();
        let read = Authority::from_pem(written.certificate_pem().as_bytes(), written.key_pem().as_bytes()).unwrap();
        assert_eq!(read.certificate(), written.certificate());
        let leaf = read.issue(&names(&["localhost"]), year()).unwrap();
        let client = testing::client(&written.certificate_pem(), now());
        testing::handshake(&client, &testing::server(&leaf), "localhost").await.unwrap();
    }

    #[test]
    fn each_invalid_authority_has_its_reason() {
        let one = Authority::new("an authority", year()).unwrap();
        let other = Authority::new("an authority", year()).unwrap();
        let leaf = one.issue(&names(&["localhost"]), year()).unwrap();
        let mut long = params("an authority", year());
        long.distinguished_name.push(DnType::OrganizationName, "an organization");
        long.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let long = (long.self_signed(&key).unwrap().pem(), key.serialize_pem());
        for (certificate, key, part) in [
            ("", one.key_pem(), "not a certificate in PEM form"),
            (&leaf.certificate_pem(), leaf.key_pem(), "CA:TRUE"),
            (&one.certificate_pem(), other.key_pem(), "not the key of the certificate"),
            (&one.certificate_pem(), "hello".to_owned(), "not a usable private key"),
            (&long.0, long.1.clone(), "subject"),
        ] {
            let error = Authority::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn a_client_that_trusts_another_authority_refuses_the_leaf() {
        let authority = Authority::new("an authority", year()).unwrap();
        let leaf = authority.issue(&names(&["localhost"]), year()).unwrap();
        let other = Authority::new("another authority", year()).unwrap();
        let client = testing::client(&other.certificate_pem(), now());
        let error = testing::handshake(&client, &testing::server(&leaf), "localhost").await.unwrap_err();
        assert_eq!(error, CertificateError::UnknownIssuer);
    }

    #[tokio::test]
    async fn the_leaf_is_valid_from_an_hour_before_its_issue_until_its_end() {
        let authority = Authority::new("an authority", year()).unwrap();
        let leaf = authority.issue(&names(&["localhost"]), Validity::new(now(), DAY * 7).unwrap()).unwrap();
        let at = |time| testing::client(&authority.certificate_pem(), time);
        let second = Duration::from_secs(1);
        let validity = leaf.validity();
        for good in [validity.not_before(), now(), validity.not_after()] {
            testing::handshake(&at(good), &testing::server(&leaf), "localhost").await.unwrap();
        }
        let error = testing::handshake(&at(validity.not_before() - second), &testing::server(&leaf), "localhost")
            .await
            .unwrap_err();
        assert!(matches!(error, CertificateError::NotValidYetContext { .. }), "{error:?}");
        let error = testing::handshake(&at(validity.not_after() + second), &testing::server(&leaf), "localhost")
            .await
            .unwrap_err();
        assert!(matches!(error, CertificateError::ExpiredContext { .. }), "{error:?}");
    }
}
