//! A certificate authority of our own, and the certificates that it issues.
//!
//! Nothing here reads a clock: whoever issues says what time it is.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::CertifiedKey;

use super::certificate::{Certificate, NotACertificate};
use super::subject_name::SubjectName;

/// How long before now a certificate begins to be valid: the clocks of two machines are never equal, and one that is an
/// hour behind must not refuse a server that has just started.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// The common name of a leaf. No client reads it; people who look at a certificate do.
const LEAF: &str = "colocate";

/// Why no certificate could be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The end of the validity cannot be written into a certificate, or a beginning an hour before now cannot.
    #[error("a certificate cannot be valid for {life:#} from {now}")]
    Validity {
        /// When it was to be issued.
        now: Timestamp,
        /// How long it was to be valid.
        life: SignedDuration,
        /// What is wrong with the two.
        #[source]
        source: jiff::Error,
    },
    /// The cryptographic library made no key.
    #[error("no key could be made")]
    Key(#[source] rcgen::Error),
    /// The certificate could not be encoded or signed.
    #[error("no certificate could be issued for {subject}")]
    Issue {
        /// Whom it was for: the common name.
        subject: String,
        /// What failed.
        #[source]
        source: rcgen::Error,
    },
}

/// Why a certificate and a key are no authority.
#[derive(Debug, thiserror::Error)]
pub enum NotAnAuthority {
    /// The certificate is none.
    #[error("{0}")]
    Certificate(NotACertificate),
    /// It must not sign others.
    #[error("it is no CA's certificate: its basicConstraints do not say CA:TRUE")]
    NoAuthority,
    /// The subject cannot be written as it stands there, and whoever follows the chain compares its bytes.
    #[error("its subject is not a common name alone, in UTF-8, as colocate writes it")]
    Subject,
    /// The key is no private key in PEM.
    #[error("it holds no private key that can be used, as PEM: {0}")]
    Key(String),
    /// The key belongs to another certificate.
    #[error("it is not the key of the certificate")]
    Mismatch,
}

/// From when till when a certificate is valid. There is no default: a library's own would be 1975 to 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Validity {
    /// From an hour before `now` until `life` after it, in whole seconds, as a certificate counts.
    ///
    /// # Errors
    /// [`IssueError::Validity`] where either end lies outside of the years that a timestamp can have.
    pub fn new(now: Timestamp, life: SignedDuration) -> Result<Self, IssueError> {
        let shift = |by| {
            let shifted = now.checked_add(by).map_err(|source| IssueError::Validity { now, life, source })?;
            Ok(Timestamp::from_second(shifted.as_second()).unwrap_or(shifted))
        };
        Ok(Self { not_before: shift(-BACKDATED)?, not_after: shift(life)? })
    }

    /// The same, but at the latest until `end`, in whole seconds.
    #[must_use]
    pub fn until(self, end: Timestamp) -> Self {
        let end = Timestamp::from_second(end.as_second()).unwrap_or(end);
        Self { not_after: self.not_after.min(end), ..self }
    }

    /// When two thirds of it have passed since the issue: a third is left to mend whatever keeps the renewal from happening.
    pub fn renewal(&self) -> Timestamp {
        let issued = self.not_before.saturating_add(BACKDATED).unwrap_or(self.not_before);
        let life = self.not_after.duration_since(issued).max(SignedDuration::ZERO);
        issued.saturating_add(life / 3 * 2).unwrap_or(self.not_after)
    }

    /// The first second at which the certificate is valid.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last second at which the certificate is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

/// A certificate authority: a self-signed certificate and its ECDSA P-256 key. It issues leaves only, no further
/// authorities.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    /// Makes a new key and signs its certificate with it.
    ///
    /// # Errors
    /// [`IssueError::Key`] and [`IssueError::Issue`], where the cryptographic library fails.
    pub fn new(common_name: &str, validity: Validity) -> Result<Self, IssueError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IssueError::Key)?;
        let mut params = params(common_name, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signed = params.self_signed(&key).map_err(|source| issue(common_name, source))?;
        let certificate = Certificate::from_der(signed.der())
            .map_err(|_| issue(common_name, rcgen::Error::CouldNotParseCertificate))?;
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Reads one that was written as PEM.
    ///
    /// # Errors
    /// [`NotAnAuthority`], with what is wrong with `certificate` or with `key`.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, NotAnAuthority> {
        let certificate = Certificate::from_pem(certificate).map_err(NotAnAuthority::Certificate)?;
        if !certificate.is_authority() {
            return Err(NotAnAuthority::NoAuthority);
        }
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

    /// The certificate: what a client is to trust.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificate, as PEM: what a client is to trust, and what goes into a `caBundle`.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key, as PEM (PKCS #8). A secret.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Makes a new ECDSA P-256 key and a server's certificate for it, which is good for all of `names`.
    ///
    /// # Errors
    /// [`IssueError::Key`] and [`IssueError::Issue`], where the cryptographic library fails.
    pub fn issue(&self, names: &[SubjectName], validity: Validity) -> Result<Leaf, IssueError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IssueError::Key)?;
        let mut params = params(LEAF, validity);
        params.subject_alt_names =
            names.iter().map(alternative).collect::<Result<_, _>>().map_err(|source| issue(LEAF, source))?;
        // `ExplicitNoCa` says `CA:FALSE` and adds the key's own identifier; `NoCa` would leave both out.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|source| issue(LEAF, source))?;
        Ok(Leaf { certificate, key, validity })
    }
}

/// A server's certificate and its key.
#[derive(Debug)]
pub struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
    validity: Validity,
}

impl Leaf {
    /// The certificate, as PEM. It is the whole chain that a server sends: the authority is what clients have already.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key, as PEM (PKCS #8). A secret.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The certificate and the key, as a server serves them.
    ///
    /// # Errors
    /// None that is known of: the key was made for the certificate.
    pub fn certified_key(&self) -> Result<CertifiedKey, rustls::Error> {
        let key = PrivateKeyDer::Pkcs8(self.key.serialized_der().to_vec().into());
        Ok(CertifiedKey::new(vec![self.certificate.der().clone()], any_supported_type(&key)?))
    }

    /// From when till when it is valid.
    pub fn validity(&self) -> Validity {
        self.validity
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

fn issue(subject: &str, source: rcgen::Error) -> IssueError {
    IssueError::Issue { subject: subject.into(), source }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::CertificateError;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

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
    fn a_validity_begins_an_hour_ago_and_ends_when_the_caller_says() {
        assert_eq!(year().not_before().to_string(), "2026-11-23T11:00:00Z");
        assert_eq!(year().not_after().to_string(), "2027-11-23T12:00:00Z");
    }

    #[test]
    fn it_is_renewed_when_two_thirds_have_passed_and_can_end_earlier() {
        let validity = Validity::new(now(), SignedDuration::from_hours(9)).unwrap();
        assert_eq!(validity.renewal().to_string(), "2026-11-23T18:00:00Z");
        let sooner = validity.until(now() + SignedDuration::from_hours(3));
        assert_eq!(sooner.not_after().to_string(), "2026-11-23T15:00:00Z");
        assert_eq!(sooner.renewal().to_string(), "2026-11-23T14:00:00Z");
        assert_eq!(validity.until(now() + DAY), validity);
    }

    #[test]
    fn a_validity_without_end_is_refused() {
        let error = Validity::new(now(), SignedDuration::MAX).unwrap_err();
        assert!(matches!(error, IssueError::Validity { .. }), "{error}");
        assert!(Validity::new(Timestamp::MIN, DAY).is_err());
    }

    #[test]
    fn the_authority_signs_leaves_and_nothing_else() {
        let authority = Authority::new("an authority", year()).unwrap().certificate_pem();
        // Each is a whole extension: identifier, critical, value.
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
    fn the_leaf_is_a_servers_and_names_its_authoritys_key() {
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
    async fn a_client_that_trusts_the_authority_accepts_the_leafs_names_and_no_other() {
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
    async fn an_authority_that_was_written_and_read_signs_for_those_who_trust_the_first() {
        let written = Authority::new("an authority", year()).unwrap();
        let read = Authority::from_pem(written.certificate_pem().as_bytes(), written.key_pem().as_bytes()).unwrap();
        assert_eq!(read.certificate(), written.certificate());
        let leaf = read.issue(&names(&["localhost"]), year()).unwrap();
        let client = testing::client(&written.certificate_pem(), now());
        testing::handshake(&client, &testing::server(&leaf), "localhost").await.unwrap();
    }

    #[test]
    fn what_is_no_authority_is_refused_and_says_why() {
        let one = Authority::new("an authority", year()).unwrap();
        let other = Authority::new("an authority", year()).unwrap();
        let leaf = one.issue(&names(&["localhost"]), year()).unwrap();
        let mut long = params("an authority", year());
        long.distinguished_name.push(DnType::OrganizationName, "an organization");
        long.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let long = (long.self_signed(&key).unwrap().pem(), key.serialize_pem());
        for (certificate, key, part) in [
            ("", one.key_pem(), "holds no certificate"),
            (&leaf.certificate_pem(), leaf.key_pem(), "CA:TRUE"),
            (&one.certificate_pem(), other.key_pem(), "not the key of the certificate"),
            (&one.certificate_pem(), "hello".to_owned(), "holds no private key"),
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
    async fn the_leaf_is_accepted_from_an_hour_before_its_issue_till_its_end() {
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
