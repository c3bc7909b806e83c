//! The certificate that is served. It is replaced while it is in use, and read without a lock.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::callers::Callers;
use super::serving_certificate::ServingCertificate;

/// The certificate in use, shared by clones. Without one, every handshake fails.
#[derive(Clone, Debug, Default)]
pub struct CertificateResolver {
    served: Arc<ArcSwapOption<ServingCertificate>>,
}

impl CertificateResolver {
    /// Serves a certificate from the next handshake on. Open connections are not affected.
    pub fn serve(&self, served: ServingCertificate) {
        self.served.store(Some(Arc::new(served)));
    }

    /// Returns the certificate that is served now.
    pub fn served(&self) -> Option<Arc<ServingCertificate>> {
        self.served.load_full()
    }

    /// Returns the last second at which the certificate that is served now is valid.
    pub fn expiry(&self) -> Option<Timestamp> {
        Some(self.served.load().as_ref()?.certificate.validity().not_after())
    }

    /// Returns the configuration of a server that speaks TLS 1.3 and 1.2 with the certificate that is served at each
    /// handshake, to any client or to `callers` only.
    ///
    /// # Errors
    /// If the provider lacks a protocol version, which is fixed at compile time.
    pub fn server_config(&self, callers: Option<&Callers>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(callers.map_or_else(WebPkiClientVerifier::no_client_auth, Callers::verifier))
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // The API server never resumes a session, and a resumed session would not get a new certificate.
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.served.load().as_ref()?.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::tls::{Authority, Validity, testing};

    fn now() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn served(authority: &Authority, days: i64) -> ServingCertificate {
        let validity = Validity::new(now(), SignedDuration::from_hours(24 * days)).unwrap();
        let leaf = authority.issue(&["localhost".parse().unwrap()], validity).unwrap();
        leaf.serving().unwrap()
    }

    #[tokio::test]
    async fn a_new_certificate_is_served_from_the_next_handshake_on() {
        let validity = Validity::new(now(), SignedDuration::from_hours(240)).unwrap();
        let [first, second] = ["first", "second"].map(|name| Authority::new(name, validity).unwrap());
        let resolver = CertificateResolver::default();
        let acceptor = TlsAcceptor::from(Arc::new(resolver.server_config(None).unwrap()));
        let clients = [&first, &second].map(|authority| testing::client(&authority.certificate_pem(), now()));
        resolver.serve(served(&first, 1));
        testing::handshake(&clients[0], &acceptor, "localhost").await.unwrap();
        testing::handshake(&clients[1], &acceptor, "localhost").await.unwrap_err();
        assert_eq!(resolver.expiry().unwrap().to_string(), "2026-11-24T12:00:00Z");
        resolver.serve(served(&second, 7));
        testing::handshake(&clients[1], &acceptor, "localhost").await.unwrap();
        testing::handshake(&clients[0], &acceptor, "localhost").await.unwrap_err();
        assert_eq!(resolver.expiry().unwrap().to_string(), "2026-11-30T12:00:00Z");
        assert!(resolver.served().unwrap().chains_to([second.certificate()], now()));
        assert!(!resolver.served().unwrap().chains_to([first.certificate()], now()));
    }

    #[test]
    fn a_new_resolver_has_no_certificate() {
        assert!(CertificateResolver::default().served().is_none() && CertificateResolver::default().expiry().is_none());
    }

    #[test]
    fn sessions_cannot_be_resumed() {
        let config = CertificateResolver::default().server_config(None).unwrap();
        assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
        assert!(!config.session_storage.can_cache() && !config.ticketer.enabled());
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
    }
}
