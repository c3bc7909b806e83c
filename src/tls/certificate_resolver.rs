//! The certificate that is served. It is replaced while it is in use, and read without a lock.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;

use super::callers::Callers;
use super::serving_certificate::ServingCertificate;
use super::validity::Validity;
use crate::process::clock::Clock;

/// The certificate in use, shared by clones. Without one, or before it is valid, every handshake fails.
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

    /// Returns the validity of the certificate that is served now.
    pub fn validity(&self) -> Option<Validity> {
        Some(self.served.load().as_ref()?.certificate.validity())
    }

    /// Returns the configuration of a server that speaks TLS 1.3 and 1.2 with the certificate that is served at each
    /// handshake, to any client or to `callers` only. `clock` judges whether their certificates are valid.
    ///
    /// # Errors
    /// If the provider lacks a protocol version, which is fixed at compile time.
    pub fn server_config(&self, callers: Option<&Callers>, clock: &Clock) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(clock.clone()))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(callers.map_or_else(WebPkiClientVerifier::no_client_auth, Callers::verifier))
            .with_cert_resolver(Arc::new(ServedByClock { resolver: self.clone(), clock: clock.clone() }));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // The API server never resumes a session, and a resumed session would not get a new certificate.
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }
}

/// The API server's certificate is valid by its own clock, like everything else that it sends and accepts.
impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.read().now().as_second().try_into().ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The served certificate, unless it is not valid yet.
#[derive(Debug)]
struct ServedByClock {
    resolver: CertificateResolver,
    clock: Clock,
}

impl ResolvesServerCert for ServedByClock {
    // A certificate that is not valid yet was issued by a clock that was ahead, and is being replaced. An expired one is still
    // served: the client then names the cause, and one whose clock is behind accepts it.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let served = self.resolver.served.load();
        let served = served.as_ref()?;
        let is_valid_later = served.certificate.validity().not_before() > self.clock.read().now();
        (!is_valid_later).then(|| served.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    use tokio::time::Instant;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::tls::{Authority, Validity, testing};

    const DAY: SignedDuration = SignedDuration::from_hours(24);

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
        let acceptor = TlsAcceptor::from(Arc::new(resolver.server_config(None, &Clock::new(now)).unwrap()));
        let clients = [&first, &second].map(|authority| testing::client(&authority.certificate_pem(), now()));
        resolver.serve(served(&first, 1));
        testing::handshake(&clients[0], &acceptor, "localhost").await.unwrap();
        testing::handshake(&clients[1], &acceptor, "localhost").await.unwrap_err();
        assert_eq!(resolver.validity().unwrap().not_after().to_string(), "2026-11-24T12:00:00Z");
        resolver.serve(served(&second, 7));
        testing::handshake(&clients[1], &acceptor, "localhost").await.unwrap();
        testing::handshake(&clients[0], &acceptor, "localhost").await.unwrap_err();
        assert_eq!(resolver.validity().unwrap().not_after().to_string(), "2026-11-30T12:00:00Z");
        assert!(resolver.served().unwrap().chains_to([second.certificate()], now()));
        assert!(!resolver.served().unwrap().chains_to([first.certificate()], now()));
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_valid_yet_is_not_served() {
        let validity = Validity::new(now(), SignedDuration::from_hours(240)).unwrap();
        let authority = Authority::new("a", validity).unwrap();
        let resolver = CertificateResolver::default();
        resolver.serve(served(&authority, 1));
        let client = testing::client(&authority.certificate_pem(), now());
        let start = resolver.served().unwrap().certificate.validity().not_before();
        for (time, is_served) in [(start - SignedDuration::from_secs(1), false), (start, true), (now() + DAY * 2, true)]
        {
            let clock = Clock::new(move || time);
            let acceptor = TlsAcceptor::from(Arc::new(resolver.server_config(None, &clock).unwrap()));
            assert_eq!(testing::accept(&client, &acceptor, "localhost").await.is_ok(), is_served, "{time}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn certificates_of_callers_are_judged_by_the_api_servers_clock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let validity = Validity::new(now(), SignedDuration::from_hours(240)).unwrap();
        let authority = Authority::new("a", validity).unwrap();
        // Its own authority, and without an extended key usage, as `openssl req -x509` makes it.
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["kube-apiserver".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 11, 23), date_time_ymd(2026, 11, 24));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Issuer::from_params(&params, &key);
        std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        let caller_key = KeyPair::generate().unwrap();
        let mut caller = params.clone();
        caller.is_ca = IsCa::NoCa;
        let caller = caller.signed_by(&caller_key, &issuer).unwrap();
        let callers = Callers::load(&path, &[]).await.unwrap();
        let resolver = CertificateResolver::default();
        resolver.serve(served(&authority, 1));
        for (local, server, accepted) in [
            (now(), None, true),
            (now() - DAY, Some(now()), true),
            (now() + DAY * 400, Some(now()), true),
            (now() + DAY * 2, None, false),
            (now(), Some(now() + DAY * 2), false),
        ] {
            let clock = Clock::new(move || local);
            if let Some(server) = server {
                clock.record(server, Instant::now());
            }
            let acceptor = TlsAcceptor::from(Arc::new(resolver.server_config(Some(&callers), &clock).unwrap()));
            let client = testing::client_with(&authority.certificate_pem(), now(), &caller, &caller_key);
            let verdict = testing::accept(&client, &acceptor, "localhost").await;
            assert_eq!(verdict.is_ok(), accepted, "{local} {server:?}: {verdict:?}");
        }
    }

    #[test]
    fn a_new_resolver_has_no_certificate() {
        assert!(
            CertificateResolver::default().served().is_none() && CertificateResolver::default().validity().is_none()
        );
    }

    #[test]
    fn sessions_cannot_be_resumed() {
        let config = CertificateResolver::default().server_config(None, &Clock::system()).unwrap();
        assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
        assert!(!config.session_storage.can_cache() && !config.ticketer.enabled());
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
    }
}
