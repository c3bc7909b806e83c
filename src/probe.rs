//! A client that calls an admission webhook the way the API server does.
//!
//! It sends an `AdmissionReview` over TLS and HTTP/1.1, to any webhook. A [`Client`] opens connections to a [`Target`],
//! and each [`Connection`] can be reused. A [`Verdict`] is the meaning of an [`Answer`], or the reason why the API
//! server would not accept it.

mod connection;
mod probe_error;
mod target;
mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use connection::Connection;
pub use probe_error::ProbeError;
pub use rustls::ProtocolVersion;
pub use target::Target;
pub use verdict::Verdict;

/// The HTTP answer of a webhook, valid or not.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The header `Retry-After`: with it, the API server retries after a 429 or a 5xx.
    pub retry_after: Option<String>,
    /// The whole body.
    pub body: Bytes,
    /// The time from the request's first byte to the answer's last, on an open connection.
    pub took: Duration,
    /// The TLS version of the connection.
    pub tls: ProtocolVersion,
}

/// Opens connections to one webhook.
#[derive(Clone)]
pub struct Client {
    target: Target,
    connector: TlsConnector,
    timeout: Duration,
}

impl Client {
    /// Creates a client that trusts only the certificates in `authorities` (PEM, one or more). Each method takes at
    /// most `timeout`, which is sent to the webhook in the query, as `?timeout=`.
    ///
    /// # Errors
    /// [`ProbeError::NoAuthority`], [`ProbeError::Pem`] and [`ProbeError::Authority`], if `authorities` cannot be used.
    pub fn new(target: Target, authorities: &[u8], timeout: Duration) -> Result<Self, ProbeError> {
        // Certificates are judged by this machine's clock, because the probe knows no API server's.
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(ProbeError::Setup)?
            .with_root_certificates(roots(authorities)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { target: target.with_timeout(timeout), connector: Arc::new(config).into(), timeout })
    }

    /// Returns the webhook, with the query that is sent.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Opens a connection that can be used more than once.
    ///
    /// # Errors
    /// If the connection cannot be opened within the timeout.
    pub async fn connect(&self) -> Result<Connection, ProbeError> {
        self.open(Instant::now()).await
    }

    /// Sends one review over a connection of its own: all of it, from the first packet to the last, within the timeout.
    ///
    /// # Errors
    /// If the connection cannot be opened, or the webhook does not answer. An HTTP error counts as an answer.
    pub async fn ask(&self, review: Bytes) -> Result<Answer, ProbeError> {
        let since = Instant::now();
        let mut connection = self.open(since).await?;
        let answer = connection.exchange(review, since).await?;
        connection.close(since).await;
        Ok(answer)
    }

    async fn open(&self, since: Instant) -> Result<Connection, ProbeError> {
        let failed = |source| ProbeError::Connect(self.target.host_and_port.clone(), source);
        let address = (&*self.target.server_name.to_str(), self.target.port);
        let tcp = self.hold("connection", since, TcpStream::connect(address)).await?.map_err(failed)?;
        // A review is a few packets. Without this, the last one would wait up to 40 ms for more data.
        tcp.set_nodelay(true).map_err(failed)?;
        let handshake = self.connector.connect(self.target.server_name.clone(), tcp);
        let tls = self.hold("TLS handshake", since, handshake).await?;
        let tls = tls.map_err(|source| ProbeError::handshake(self.target.host_and_port.clone(), source))?;
        Connection::new(self.clone(), tls).await
    }

    /// Waits for one stage of a call that began at `since`.
    async fn hold<T>(
        &self,
        stage: &'static str,
        since: Instant,
        future: impl Future<Output = T>,
    ) -> Result<T, ProbeError> {
        let late = |_| ProbeError::TimedOut(stage, self.target.host_and_port.clone(), self.timeout);
        tokio::time::timeout(self.timeout.saturating_sub(since.elapsed()), future).await.map_err(late)
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, ProbeError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(ProbeError::Pem)?).map_err(ProbeError::Authority)?;
    }
    if roots.is_empty() { Err(ProbeError::NoAuthority) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Method, Request, Response};
    use hyper_util::rt::TokioIo;
    use jiff::{SignedDuration, Timestamp};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::WebPkiClientVerifier;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::server::TlsStream;

    use super::*;
    use crate::tls::{Authority, Leaf, Validity, testing};

    pub(super) const PATIENT: Duration = Duration::from_mins(1);

    pub(super) struct Certificates {
        authority: Authority,
        leaf: Leaf,
    }

    impl Certificates {
        pub(super) fn new() -> Self {
            let validity = Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).unwrap();
            let authority = Authority::new("an authority", validity).unwrap();
            let leaf = authority.issue(&["localhost".parse().unwrap()], validity).unwrap();
            Self { authority, leaf }
        }

        pub(super) fn client(&self, url: &str, timeout: Duration) -> Client {
            Client::new(url.parse().unwrap(), self.authority.certificate_pem().as_bytes(), timeout).unwrap()
        }
    }

    pub(super) async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        (listener, url)
    }

    async fn respond(request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (head, body) = request.into_parts();
        assert_eq!(head.method, Method::POST);
        assert_eq!(head.headers["content-type"], "application/json");
        assert!(head.headers["host"].to_str().unwrap().starts_with("localhost:"));
        let body = body.collect().await?.to_bytes();
        assert_eq!(head.headers["content-length"], body.len().to_string().as_str());
        let response = Response::builder().status(StatusCode::TOO_MANY_REQUESTS).header("retry-after", "1");
        Ok(response.body(Full::new([head.uri.to_string().as_bytes(), b" ", &body].concat().into())).unwrap())
    }

    #[tokio::test]
    async fn a_connection_can_be_used_again() {
        let certificates = Certificates::new();
        let (listener, url) = listen().await;
        let acceptor = testing::server(&certificates.leaf);
        let server = async {
            let tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            http1::Builder::new().serve_connection(TokioIo::new(tls), service_fn(respond)).await.unwrap();
        };
        let client = async {
            let mut connection = certificates.client(&url, PATIENT).connect().await.unwrap();
            for body in ["one", "two"] {
                let answer = connection.ask(body.into()).await.unwrap();
                assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
                assert_eq!(answer.retry_after.as_deref(), Some("1"));
                assert_eq!(answer.body, format!("/mutate?timeout=60s {body}"));
                assert_eq!(answer.tls, ProtocolVersion::TLSv1_3);
            }
            assert!(!connection.is_closed());
        };
        tokio::join!(server, client);
    }

    #[tokio::test]
    async fn tls_1_2_is_supported() {
        let certificates = Certificates::new();
        let (listener, url) = listen().await;
        let certificate = CertificateDer::from_pem_slice(certificates.leaf.certificate_pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certificates.leaf.key_pem().as_bytes()).unwrap();
        let acceptor = testing::acceptor(certificate, key, &[&rustls::version::TLS12]);
        let server = async {
            let tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            http1::Builder::new().serve_connection(TokioIo::new(tls), service_fn(respond)).await.unwrap();
        };
        let client = certificates.client(&url, PATIENT);
        let ((), answer) = tokio::join!(server, client.ask("review".into()));
        assert_eq!(answer.unwrap().tls, ProtocolVersion::TLSv1_2);
    }

    /// Returns the client's result from a server that reads the request, sends `text`, and runs `then`.
    async fn answer_to<F: Future<Output = ()>>(
        text: &[u8],
        then: impl FnOnce(TlsStream<TcpStream>) -> F,
    ) -> Result<Answer, ProbeError> {
        let certificates = Certificates::new();
        let (listener, url) = listen().await;
        let client = certificates.client(&url, PATIENT);
        let acceptor = testing::server(&certificates.leaf);
        let server = async {
            let mut tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let _ = tls.read(&mut [0; 4096]).await.unwrap();
            // A client that has read enough ends the connection.
            let _ = tls.write_all(text).await;
            let _ = tls.flush().await;
            then(tls).await;
        };
        tokio::join!(server, client.ask("review".into())).1
    }

    #[tokio::test]
    async fn a_connection_is_closed_cleanly() {
        let answer = answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", async |mut tls| {
            // An end without `close_notify` is an error.
            tls.read_to_end(&mut Vec::new()).await.unwrap();
        });
        assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    }

    #[tokio::test]
    async fn an_answer_without_a_length_ends_with_its_connection() {
        let answer = answer_to(b"HTTP/1.1 200 OK\r\n\r\nall of it", async |mut tls| tls.shutdown().await.unwrap());
        assert_eq!(answer.await.unwrap().body, "all of it");
    }

    #[tokio::test]
    async fn a_truncated_or_non_http_answer_is_an_error() {
        for text in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "SSH-2.0-OpenSSH\r\n"] {
            let answer = answer_to(text.as_bytes(), async |mut tls| tls.shutdown().await.unwrap()).await;
            assert!(matches!(answer, Err(ProbeError::Http { .. })), "{text}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_past_the_limit_is_an_error() {
        let answer = async |length: usize| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            answer_to(&[head.into_bytes(), vec![b' '; length]].concat(), async |_| ()).await
        };
        assert_eq!(answer(probe_error::MAX_ANSWER).await.unwrap().body.len(), probe_error::MAX_ANSWER);
        let longer = answer(probe_error::MAX_ANSWER + 1).await;
        assert!(matches!(longer, Err(ProbeError::TooLong)), "{longer:?}");
    }

    #[tokio::test]
    async fn a_connection_that_ended_is_closed() {
        let certificates = Certificates::new();
        let (listener, url) = listen().await;
        let client = certificates.client(&url, PATIENT);
        let acceptor = testing::server(&certificates.leaf);
        let server = async {
            let mut tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let _ = tls.read(&mut [0; 4096]).await.unwrap();
            tls.shutdown().await.unwrap();
        };
        let ((), connection) = tokio::join!(server, async {
            let mut connection = client.connect().await.unwrap();
            connection.ask("review".into()).await.unwrap_err();
            connection
        });
        let mut connection = connection;
        assert!(connection.is_closed());
        let again = connection.ask("review".into()).await;
        assert!(matches!(again, Err(ProbeError::Http { .. })), "{again:?}");
    }

    /// Returns the client's error from a server that runs `serve` on the first TCP connection.
    async fn error_of<F: Future>(serve: impl FnOnce(TcpStream) -> F, timeout: Duration) -> ProbeError {
        let certificates = Certificates::new();
        let (listener, url) = listen().await;
        let client = certificates.client(&url, timeout);
        let server = async { serve(listener.accept().await.unwrap().0).await };
        let (_, error) = tokio::join!(server, client.ask("review".into()));
        error.unwrap_err()
    }

    #[tokio::test]
    async fn a_server_that_does_not_speak_tls_is_an_error() {
        let error = error_of(
            async |mut tcp| tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.unwrap(),
            PATIENT,
        );
        let error = error.await;
        assert!(matches!(error, ProbeError::NoTls { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn another_authority_is_untrusted_even_with_the_same_name() {
        for name in ["an authority", "another authority"] {
            let validity = Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).unwrap();
            let other = Authority::new(name, validity).unwrap();
            let leaf = other.issue(&["localhost".parse().unwrap()], validity).unwrap();
            let error = error_of(async |tcp| testing::server(&leaf).accept(tcp).await.map(drop), PATIENT).await;
            assert!(matches!(error, ProbeError::Untrusted { .. }), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_certificate_for_another_name_is_refused_with_both_names() {
        let certificates = Certificates::new();
        let (listener, url) = listen().await;
        let url = url.replace("localhost", &listener.local_addr().unwrap().ip().to_string());
        let client = certificates.client(&url, PATIENT);
        let acceptor = testing::server(&certificates.leaf);
        let server = async { acceptor.accept(listener.accept().await.unwrap().0).await };
        let (_, answer) = tokio::join!(server, client.ask("review".into()));
        let Err(ProbeError::Handshake(_, source)) = answer else { panic!("{answer:?}") };
        let text = source.to_string();
        assert!(text.contains("localhost") && text.contains("not valid for name"), "{text}");
    }

    #[tokio::test]
    async fn each_stage_ends_at_the_timeout() {
        let short = Duration::from_millis(50);
        let silent = async |tcp: TcpStream| {
            let mut tcp = tcp;
            tcp.read_to_end(&mut Vec::new()).await
        };
        let error = error_of(silent, short).await;
        assert!(matches!(error, ProbeError::TimedOut(.., after) if after == short), "{error:?}");
    }

    #[tokio::test]
    async fn a_server_that_requires_a_client_certificate_is_an_error() {
        let certificates = Certificates::new();
        let (listener, url) = listen().await;
        let client = certificates.client(&url, PATIENT);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let authorities = roots(certificates.authority.certificate_pem().as_bytes()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone());
        let certificate = CertificateDer::from_pem_slice(certificates.leaf.certificate_pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(certificates.leaf.key_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = async { acceptor.accept(listener.accept().await.unwrap().0).await.map(drop) };
        let (_, answer) = tokio::join!(server, client.ask("review".into()));
        let Err(ProbeError::Http(_, source)) = answer else { panic!("{answer:?}") };
        let cause = source.source().map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("received fatal alert: CertificateRequired"), "{source:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_an_error() {
        let (listener, url) = listen().await;
        drop(listener);
        let error = Certificates::new().client(&url, PATIENT).ask("review".into()).await.unwrap_err();
        assert!(matches!(error, ProbeError::Connect { .. }), "{error:?}");
    }

    #[test]
    fn each_unusable_authority_has_its_error() {
        let error =
            |pem: &str| Client::new("https://localhost".parse().unwrap(), pem.as_bytes(), PATIENT).err().unwrap();
        assert!(matches!(error(""), ProbeError::NoAuthority));
        assert!(matches!(error(&Certificates::new().leaf.key_pem()), ProbeError::NoAuthority));
        assert!(matches!(error("-----BEGIN CERTIFICATE-----\n"), ProbeError::Pem(_)));
        let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(error(no_x509), ProbeError::Authority(_)));
    }
}
