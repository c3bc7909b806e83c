//! Both ends of a TLS connection, for tests.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Leaf;

/// Returns a client that trusts one authority, at a fixed time.
pub(crate) fn client(authority: &str, now: Timestamp) -> TlsConnector {
    Arc::new(builder(authority, now).with_no_client_auth()).into()
}

/// Returns a client like [`client`] that has a certificate of its own.
pub(crate) fn client_with(
    authority: &str,
    now: Timestamp,
    certificate: &rcgen::Certificate,
    key: &rcgen::KeyPair,
) -> TlsConnector {
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = builder(authority, now).with_client_auth_cert(vec![certificate.der().clone()], key).unwrap();
    Arc::new(config).into()
}

fn builder(authority: &str, now: Timestamp) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    ClientConfig::builder_with_details(provider, Arc::new(FixedTime(now)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

/// Returns a server with this certificate.
pub(crate) fn server(leaf: &Leaf) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(leaf.certificate_pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem().as_bytes()).unwrap();
    acceptor(certificate, key, rustls::ALL_VERSIONS)
}

/// Returns a server with this certificate that speaks these versions of the protocol.
pub(crate) fn acceptor(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config).into()
}

/// Connects to `name`, and returns the client's verdict about the certificate of the server.
pub(crate) async fn handshake(client: &TlsConnector, server: &TlsAcceptor, name: &str) -> Result<(), CertificateError> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let connect = client.connect(ServerName::try_from(name.to_owned()).unwrap(), near);
    let (connected, _) = tokio::join!(connect, server.accept(far));
    let Err(error) = connected else { return Ok(()) };
    match error.downcast::<rustls::Error>() {
        Ok(rustls::Error::InvalidCertificate(error)) => Err(error),
        other => panic!("no answer about the certificate: {other:?}"),
    }
}

/// Connects to `name`, and returns the server's verdict about the client.
pub(crate) async fn accept(client: &TlsConnector, server: &TlsAcceptor, name: &str) -> std::io::Result<()> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let connect = client.connect(ServerName::try_from(name.to_owned()).unwrap(), near);
    let (_client, accepted) = tokio::join!(connect, server.accept(far));
    accepted.map(|_| ())
}

#[derive(Debug)]
struct FixedTime(Timestamp);

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.as_second().try_into().unwrap())))
    }
}
