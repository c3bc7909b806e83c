//! A load generator that sends one review repeatedly, each time as soon as the previous response arrives.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use hyper::StatusCode;

use ::colocate::probe::{Answer, Client, Connection, ProbeError};

/// Open connections over which one review is sent. Each connection has one request in flight, so a slow webhook gets fewer
/// requests.
pub struct Load {
    review: Bytes,
    /// The required response to every request.
    expected: Bytes,
    connections: Vec<Connection>,
}

/// The durations of many operations.
#[derive(Debug)]
pub struct Timings {
    /// The time from the start of the first operation to the end of the last one.
    elapsed: Duration,
    /// The durations, in ascending order.
    took: Vec<Duration>,
}

/// The reason why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A request got no response.
    #[error(transparent)]
    NoAnswer(#[from] ProbeError),
    /// A request got an HTTP error.
    #[error("the webhook responded with HTTP {0}")]
    Refused(StatusCode),
    /// A response differs from the previous ones.
    #[error("the webhook sent two different responses to one review")]
    OtherAnswer,
}

impl Load {
    /// Opens `connections` connections, and sends the review once over a separate one.
    ///
    /// # Errors
    /// Fails if a connection cannot be opened, or if the request gets an error or no response.
    pub async fn open(client: &Client, review: Bytes, connections: usize) -> Result<Self, LoadError> {
        let expected = body(client.ask(review.clone()).await?)?;
        let connections = try_join_all((0..connections).map(|_| client.connect())).await?;
        Ok(Self { review, expected, connections })
    }

    /// Sends requests for `duration`, at least one over each connection. Everything runs in the caller's task, and therefore on
    /// one core.
    ///
    /// # Errors
    /// Fails at the first request that gets an error, no response, or a response that differs from the previous ones.
    pub async fn run(&mut self, duration: Duration) -> Result<Timings, LoadError> {
        let begun = Instant::now();
        let (review, expected, end) = (&self.review, &self.expected, begun + duration);
        let askers = self.connections.iter_mut().map(|connection| ask(connection, review, expected, end));
        Ok(Timings::new(try_join_all(askers).await?.concat(), begun.elapsed()))
    }
}

impl Timings {
    /// Opens and closes connections for `duration`, `concurrent` at a time and at least once each, and sends no request. The
    /// durations are those of the TCP connection and the TLS handshake.
    ///
    /// # Errors
    /// Fails at the first connection that cannot be opened.
    pub async fn of_handshakes(client: &Client, concurrent: usize, duration: Duration) -> Result<Self, ProbeError> {
        let begun = Instant::now();
        let openers = (0..concurrent).map(|_| open(client, begun + duration));
        Ok(Self::new(try_join_all(openers).await?.concat(), begun.elapsed()))
    }

    /// Takes durations in any order. `elapsed` is the time from the start of the first operation to the end of the last one.
    pub fn new(mut took: Vec<Duration>, elapsed: Duration) -> Self {
        took.sort_unstable();
        Self { elapsed, took }
    }

    /// The number of operations.
    pub fn count(&self) -> usize {
        self.took.len()
    }

    /// The time from the start of the first operation to the end of the last one.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The number of operations per second.
    #[expect(clippy::cast_precision_loss, reason = "a count never reaches 2^52")]
    pub fn per_second(&self) -> f64 {
        self.count() as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns a percentile of the durations; zero if there are no durations.
    pub fn percentile(&self, percent: usize) -> Duration {
        // The nearest rank, without interpolation.
        let rank = (self.count() * percent).div_ceil(100);
        self.took.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

fn body(answer: Answer) -> Result<Bytes, LoadError> {
    if answer.status.is_success() { Ok(answer.body) } else { Err(LoadError::Refused(answer.status)) }
}

async fn ask(
    connection: &mut Connection,
    review: &Bytes,
    expected: &Bytes,
    end: Instant,
) -> Result<Vec<Duration>, LoadError> {
    let mut took = Vec::new();
    loop {
        let answer = connection.ask(review.clone()).await?;
        took.push(answer.took);
        if body(answer)? != *expected {
            return Err(LoadError::OtherAnswer);
        }
        if Instant::now() >= end {
            return Ok(took);
        }
    }
}

async fn open(client: &Client, end: Instant) -> Result<Vec<Duration>, ProbeError> {
    let mut took = Vec::new();
    loop {
        let begun = Instant::now();
        let connection = client.connect().await?;
        took.push(begun.elapsed());
        connection.close(Instant::now()).await;
        if Instant::now() >= end {
            return Ok(took);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ::colocate::tls::{Authority, Validity};
    use http_body_util::{BodyExt as _, Full};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use jiff::{SignedDuration, Timestamp};
    use rustls::ServerConfig;
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::WAIT_TIMEOUT;

    /// Creates a server with a new certificate for `localhost`. Returns it with the PEM of its CA.
    fn acceptor() -> (TlsAcceptor, String) {
        let validity = Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).unwrap();
        let authority = Authority::new("an authority", validity).unwrap();
        let leaf = authority.issue(&["localhost".parse().unwrap()], validity).unwrap();
        let certificate = CertificateDer::from_pem_slice(leaf.certificate_pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        (Arc::new(config).into(), authority.certificate_pem())
    }

    /// Runs `load` against a webhook that makes its nth response with `answer`. Returns the result and the number of responses.
    async fn loaded<F: Future<Output = Result<Timings, LoadError>>>(
        answer: fn(usize) -> (u16, &'static str),
        load: impl FnOnce(Client) -> F,
    ) -> (Result<Timings, LoadError>, usize) {
        let (acceptor, authority) = acceptor();
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let client = Client::new(url.parse().unwrap(), authority.as_bytes(), WAIT_TIMEOUT).unwrap();
        let answers = Arc::new(AtomicUsize::new(0));
        let given = answers.clone();
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let (status, body) = answer(given.fetch_add(1, Ordering::Relaxed));
            async move {
                assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), "review");
                Ok::<_, Infallible>(Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap())
            }
        });
        let server = async {
            let mut connections = JoinSet::new();
            loop {
                let tls = acceptor.accept(listener.accept().await.unwrap().0);
                let service = service.clone();
                connections.spawn(async move {
                    http1::Builder::new().serve_connection(TokioIo::new(tls.await.unwrap()), service).await
                });
            }
        };
        let result = tokio::select! {
            () = server => unreachable!(),
            result = load(client) => result,
        };
        (result, answers.load(Ordering::Relaxed))
    }

    async fn run(client: Client) -> Result<Timings, LoadError> {
        Load::open(&client, Bytes::from_static(b"review"), 3).await?.run(Duration::from_millis(20)).await
    }

    #[tokio::test]
    async fn every_response_but_the_reference_is_counted() {
        let (timings, answers) = loaded(|_| (200, "an answer"), run).await;
        let timings = timings.unwrap();
        assert!(timings.count() >= 3, "{timings:?}");
        assert_eq!(timings.count() + 1, answers);
        assert!(timings.took.is_sorted() && timings.per_second() > 0.0);
    }

    #[tokio::test]
    async fn an_error_or_a_different_response_ends_the_run() {
        let (load, _) = loaded(|_| (500, "an answer"), run).await;
        assert!(matches!(load, Err(LoadError::Refused(StatusCode::INTERNAL_SERVER_ERROR))), "{load:?}");
        let (load, _) = loaded(|nth| (if nth == 2 { 503 } else { 200 }, "an answer"), run).await;
        assert!(matches!(load, Err(LoadError::Refused(StatusCode::SERVICE_UNAVAILABLE))), "{load:?}");
        let (load, _) = loaded(|nth| (200, if nth == 2 { "another" } else { "an answer" }), run).await;
        assert!(matches!(load, Err(LoadError::OtherAnswer)), "{load:?}");
    }

    #[tokio::test]
    async fn handshakes_send_no_request() {
        let handshakes = async |client: Client| Ok(Timings::of_handshakes(&client, 2, Duration::ZERO).await?);
        let (timings, answers) = loaded(|_| (200, "an answer"), handshakes).await;
        assert_eq!((timings.unwrap().count(), answers), (2, 0));
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let millis = |took: &[u64]| Timings {
            elapsed: Duration::from_secs(2),
            took: took.iter().copied().map(Duration::from_millis).collect(),
        };
        let hundred: Vec<_> = (1..=100).collect();
        let many = millis(&hundred);
        assert_eq!([50, 99, 100].map(|percent| many.percentile(percent).as_millis()), [50, 99, 100]);
        let few = millis(&[1, 2, 9]);
        assert_eq!([0, 50, 67, 99].map(|percent| few.percentile(percent).as_millis()), [1, 2, 9, 9]);
        assert_eq!(millis(&[]).percentile(99), Duration::ZERO);
        assert!((many.per_second() - 50.0).abs() < f64::EPSILON);
    }
}
