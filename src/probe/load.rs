//! Load: the same review again and again, as fast as the answers come.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use hyper::StatusCode;

use super::{Answer, Client, Connection, ProbeError};

/// Open connections over which one review is asked. Over each, the next question is asked when the last one is answered:
/// a webhook that is slow is asked less.
pub struct Load {
    review: Bytes,
    /// What every question has to be answered.
    expected: Bytes,
    connections: Vec<Connection>,
}

/// How long each of many things took.
#[derive(Debug)]
pub struct Timings {
    /// From the first one's begin to the last one's end.
    elapsed: Duration,
    /// The shortest first.
    took: Vec<Duration>,
}

/// Why asking ended early.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A question got no answer.
    #[error(transparent)]
    NoAnswer(#[from] ProbeError),
    /// A question got an error for an answer.
    #[error("the webhook answered HTTP {0}")]
    Refused(StatusCode),
    /// A question got another answer than it got before.
    #[error("the webhook answered one review in two ways")]
    OtherAnswer,
}

impl Load {
    /// Opens `connections` connections, and asks the review once, over another.
    ///
    /// # Errors
    /// A connection that cannot be opened; no answer, or an error for one.
    pub async fn open(client: &Client, review: Bytes, connections: usize) -> Result<Self, LoadError> {
        let expected = body(client.ask(review.clone()).await?)?;
        let connections = try_join_all((0..connections).map(|_| client.connect())).await?;
        Ok(Self { review, expected, connections })
    }

    /// Asks for `duration`, and over each connection at least once. All of it runs in the caller's task, and so on one
    /// core.
    ///
    /// # Errors
    /// The first question that gets no answer, an error, or another answer than it got before.
    pub async fn run(&mut self, duration: Duration) -> Result<Timings, LoadError> {
        let begun = Instant::now();
        let (review, expected, end) = (&self.review, &self.expected, begun + duration);
        let askers = self.connections.iter_mut().map(|connection| ask(connection, review, expected, end));
        Ok(Timings::new(try_join_all(askers).await?.concat(), begun.elapsed()))
    }
}

impl Timings {
    /// Opens and closes connections for `duration`, `concurrent` at a time and at least once each, and asks nothing over
    /// them. What is timed is the TCP connection and the TLS handshake.
    ///
    /// # Errors
    /// The first connection that cannot be opened.
    pub async fn of_handshakes(client: &Client, concurrent: usize, duration: Duration) -> Result<Self, ProbeError> {
        let begun = Instant::now();
        let openers = (0..concurrent).map(|_| open(client, begun + duration));
        Ok(Self::new(try_join_all(openers).await?.concat(), begun.elapsed()))
    }

    /// What took so long each, in any order, and `elapsed` from the first one's begin to the last one's end.
    pub fn new(mut took: Vec<Duration>, elapsed: Duration) -> Self {
        took.sort_unstable();
        Self { elapsed, took }
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.took.len()
    }

    /// How long all of them took together.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How many there were in a second.
    #[expect(clippy::cast_precision_loss, reason = "2^52 of anything take centuries")]
    pub fn per_second(&self) -> f64 {
        self.count() as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which `percent` of them ended; zero where there were none.
    pub fn percentile(&self, percent: usize) -> Duration {
        // The nearest rank: a time that was measured, and never one between two.
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

    use http_body_util::{BodyExt as _, Full};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use tokio::task::JoinSet;

    use super::super::tests::{Certificates, PATIENT, listen};
    use super::*;
    use crate::tls::testing;

    /// What comes of `load` against a webhook that gives its nth answer with `answer`; and how many it gave.
    async fn loaded<F: Future<Output = Result<Timings, LoadError>>>(
        answer: fn(usize) -> (u16, &'static str),
        load: impl FnOnce(Client) -> F,
    ) -> (Result<Timings, LoadError>, usize) {
        let certificates = Certificates::new();
        let (listener, url) = listen().await;
        let acceptor = testing::server(certificates.leaf());
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
            result = load(certificates.client(&url, PATIENT)) => result,
        };
        (result, answers.load(Ordering::Relaxed))
    }

    async fn run(client: Client) -> Result<Timings, LoadError> {
        Load::open(&client, Bytes::from_static(b"review"), 3).await?.run(Duration::from_millis(20)).await
    }

    #[tokio::test]
    async fn every_answer_is_counted_but_the_one_that_the_others_are_held_against() {
        let (timings, answers) = loaded(|_| (200, "an answer"), run).await;
        let timings = timings.unwrap();
        assert!(timings.count() >= 3, "{timings:?}");
        assert_eq!(timings.count() + 1, answers);
        assert!(timings.took.is_sorted() && timings.per_second() > 0.0);
    }

    #[tokio::test]
    async fn an_error_or_another_answer_ends_it() {
        let (load, _) = loaded(|_| (500, "an answer"), run).await;
        assert!(matches!(load, Err(LoadError::Refused(StatusCode::INTERNAL_SERVER_ERROR))), "{load:?}");
        let (load, _) = loaded(|nth| (if nth == 2 { 503 } else { 200 }, "an answer"), run).await;
        assert!(matches!(load, Err(LoadError::Refused(StatusCode::SERVICE_UNAVAILABLE))), "{load:?}");
        let (load, _) = loaded(|nth| (200, if nth == 2 { "another" } else { "an answer" }), run).await;
        assert!(matches!(load, Err(LoadError::OtherAnswer)), "{load:?}");
    }

    #[tokio::test]
    async fn handshakes_ask_nothing() {
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
