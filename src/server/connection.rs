//! A connection, from its handshake to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::FutureExt;
use hyper::body::Body as _;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::connection_table::{ConnectionSlot, ConnectionTable};
use super::handler::{HttpResponse, RequestHandler, text};
use super::limits::ServerLimits;
use super::request_body::RequestBody;
use super::stream::{Phase, SharedPhase, Stream};
use crate::tls::{Callers, NotAllowed};

/// The largest TLS record. rustls reads 4 KiB at a time: without a buffer, a review of 9 kB takes three reads instead of one.
const TLS_RECORD: usize = 5 + 16_384 + 256;

/// The buffer for a header, and for one read of a body. The API server's header has 300 bytes. hyper's default of 400 kB
/// would let a thousand connections fill 400 MB.
const BUFFER: usize = 64 * 1024;

/// The TLS configuration of a server, and the clients that it accepts.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Certificates, versions and the verification of clients.
    pub config: Arc<ServerConfig>,
    /// The clients whose requests are answered; `None` accepts all that can connect.
    pub callers: Option<Callers>,
}

/// The state that the connections of a server share.
#[derive(Debug)]
pub(super) struct ServerState<S> {
    pub(super) service: S,
    pub(super) tls: Option<TlsSettings>,
    pub(super) limits: ServerLimits,
    /// The slots of the open connections.
    pub(super) table: Arc<ConnectionTable>,
    /// Permits to compute a TLS handshake.
    pub(super) handshakes: Semaphore,
    /// The open connections.
    pub(super) open: TaskTracker,
    /// Everything in flight: handshakes, requests, and connections before their first request.
    pub(super) busy: TaskTracker,
    /// Cancelled when each response must close its connection.
    pub(super) draining: CancellationToken,
    /// Cancelled when connections must end after the request in flight.
    pub(super) ending: CancellationToken,
}

/// The mark of a connection whose first request has not arrived.
type InFlight = Mutex<Option<TaskTrackerToken>>;

/// Serves a connection to its end, or until it gives way to a new one.
pub(super) async fn serve<S: RequestHandler>(
    state: Arc<ServerState<S>>,
    stream: TcpStream,
    slot: ConnectionSlot,
    in_flight: TaskTrackerToken,
) {
    // A response is one small write, which must not wait for a full packet.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let Some(tls) = &state.tls else { return converse(state, stream, None, slot, in_flight).await };
    let shaken = tokio::select! {
        shaken = timeout(state.limits.handshake, handshake(tls, &state.handshakes, stream)) => shaken,
        () = slot.evicted() => return tracing::debug!("closed a connection in its TLS handshake for a new one"),
    };
    match shaken {
        Ok(Ok((stream, refused))) => converse(state, stream, refused, slot, in_flight).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

type TlsStream = tokio_rustls::server::TlsStream<BufReader<TcpStream>>;

/// Accepts a TLS connection. Returns the reason to refuse its client, if there is one.
async fn handshake(
    tls: &TlsSettings,
    permits: &Semaphore,
    stream: TcpStream,
) -> std::io::Result<(TlsStream, Option<NotAllowed>)> {
    let stream = BufReader::with_capacity(TLS_RECORD, stream);
    // The permit is taken when there is something to compute, so a silent client does not hold one.
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let permit = permits.acquire().await;
    let mut answered = std::pin::pin!(hello.into_stream(tls.config.clone()));
    // The permit is released when the answer to the hello is sent, so a client that stops there does not hold one.
    let stream = match poll_fn(|context| Poll::Ready(answered.as_mut().poll(context))).await {
        Poll::Ready(stream) => stream?,
        Poll::Pending => {
            drop(permit);
            answered.await?
        }
    };
    let refused = tls.callers.as_ref().and_then(|callers| callers.check(stream.get_ref().1.peer_certificates()).err());
    Ok((stream, refused))
}

/// Answers the requests of a connection, or refuses them all for the reason `refused`.
pub(super) async fn converse<S: RequestHandler>(
    state: Arc<ServerState<S>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    refused: Option<NotAllowed>,
    slot: ConnectionSlot,
    in_flight: TaskTrackerToken,
) {
    let limits = state.limits;
    let phase = SharedPhase::new(slot);
    let stream = Stream::new(stream, phase.clone(), &limits);
    // A new connection is about to send a request, so the process must not end before it arrives.
    let first: InFlight = Mutex::new(Some(in_flight));
    let service = service_fn(|request: Request<_>| {
        phase.set(Phase::Answer);
        let in_flight = settle(&first).unwrap_or_else(|| state.busy.token());
        let (mut head, body) = request.into_parts();
        if let Some(refused) = &refused {
            head.extensions.insert(refused.clone());
        }
        let (state, phase) = (state.clone(), phase.clone());
        async move {
            let mut body = RequestBody::new(body);
            let answered = AssertUnwindSafe(state.service.answer(&head, &mut body)).catch_unwind().await;
            let mut response = answered.unwrap_or_else(|_| broken());
            let unread = !body.is_end_stream();
            if unread || state.draining.is_cancelled() || phase.slot().must_close() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            phase.set(Phase::Sending { unread });
            drop(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            // `Stream` has the timers: hyper would count the time between two requests as part of the header's.
            .header_read_timeout(None)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut unused = std::pin::pin!(sleep(limits.header));
    let (mut closing, mut waiting) = (false, true);
    let ended = loop {
        tokio::select! {
            // A request that has arrived is answered first.
            biased;
            ended = connection.as_mut() => break ended,
            () = phase.slot().evicted(), if !closing => {
                if !phase.slot().is_in_flight() {
                    return tracing::debug!("closed a connection without a request for a new one");
                }
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = state.ending.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = unused.as_mut(), if waiting => {
                waiting = false;
                settle(&first);
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = cause(&error), "a connection ended early");
    }
}

fn settle(first: &InFlight) -> Option<TaskTrackerToken> {
    first.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Returns the response after a panic of the handler. It has no `Retry-After`, because a retry would panic again.
fn broken() -> HttpResponse {
    tracing::error!("a request handler panicked; please report this with the log lines above");
    text(StatusCode::INTERNAL_SERVER_ERROR, "internal error: see the server's log")
}

fn cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::http::request::Parts;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;
    use crate::server::connection_table::Stage;

    /// Panics at `/panic`, waits at `/wait`, and answers every other path at once. Does not read bodies.
    #[derive(Default)]
    struct Scripted {
        waiting: Notify,
        released: Notify,
    }

    impl RequestHandler for Scripted {
        async fn answer(&self, head: &Parts, _: &mut RequestBody) -> HttpResponse {
            assert!(head.uri.path() != "/panic", "scripted");
            if head.uri.path() == "/wait" {
                self.waiting.notify_one();
                self.released.notified().await;
            }
            let refused = head.extensions.get::<NotAllowed>().map(ToString::to_string);
            text(StatusCode::OK, &refused.unwrap_or_default())
        }
    }

    fn new_state(limits: ServerLimits) -> Arc<ServerState<Scripted>> {
        Arc::new(ServerState::new(Scripted::default(), None, limits, CancellationToken::new()))
    }

    struct Client {
        stream: DuplexStream,
        ended: JoinHandle<()>,
    }

    fn connect(state: &Arc<ServerState<Scripted>>) -> Client {
        let (near, far) = duplex(64 * 1024);
        let slot = state.table.admit().now_or_never().expect("a free slot");
        let ended = state.open.spawn(converse(state.clone(), far, None, slot, state.busy.token()));
        Client { stream: near, ended }
    }

    impl Client {
        async fn ask(&mut self, path: &str) -> String {
            self.send(path).await;
            self.answer().await
        }

        async fn send(&mut self, path: &str) {
            self.stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        }

        async fn answer(&mut self) -> String {
            let mut answer = vec![0; 4096];
            let count = self.stream.read(&mut answer).await.unwrap();
            answer.truncate(count);
            String::from_utf8(answer).unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_arrives_within_seconds_on_the_admin_port() {
        for (limits, seconds) in [(ServerLimits::admin(), 5), (ServerLimits::reviews(), 130)] {
            let began = Instant::now();
            let Client { stream: _silent, ended } = connect(&new_state(limits));
            ended.await.unwrap();
            assert_eq!(began.elapsed(), Duration::from_secs(seconds));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_header_ends_the_connection_but_a_pause_does_not() {
        let state = new_state(ServerLimits::reviews());
        let mut client = connect(&state);
        for _ in 0..3 {
            assert!(client.ask("/").await.starts_with("HTTP/1.1 200"));
            tokio::time::advance(Duration::from_secs(100)).await;
        }
        client.stream.write_all(b"GET / HT").await.unwrap();
        let began = Instant::now();
        client.ended.await.unwrap();
        assert_eq!(began.elapsed(), state.limits.header);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_it_has_been_idle_for_too_long() {
        let state = new_state(ServerLimits::reviews());
        let began = Instant::now();
        let client = connect(&state);
        client.ended.await.unwrap();
        assert_eq!(began.elapsed(), state.limits.idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_is_in_flight_until_an_answer_or_timeout() {
        let state = new_state(ServerLimits::reviews());
        state.busy.close();
        let mut client = connect(&state);
        let _silent = connect(&state);
        assert!(client.ask("/").await.starts_with("HTTP/1.1 200"));
        assert_eq!(state.busy.len(), 1);
        let began = Instant::now();
        state.busy.wait().await;
        assert_eq!(began.elapsed(), state.limits.header);
    }

    #[tokio::test]
    async fn a_panic_fails_one_request_but_not_the_connection() {
        let state = new_state(ServerLimits::reviews());
        let mut client = connect(&state);
        assert!(client.ask("/panic").await.starts_with("HTTP/1.1 500"));
        assert!(client.ask("/").await.starts_with("HTTP/1.1 200"));
        state.busy.close();
        state.busy.wait().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_unused_connection_gives_way_before_an_idle_one() {
        let state = new_state(ServerLimits { connections: 2, ..ServerLimits::reviews() });
        let mut idle = connect(&state);
        assert!(!idle.ask("/").await.contains("connection: close"));
        let unused = connect(&state);
        tokio::time::advance(Duration::from_secs(1)).await;
        let slot = state.table.admit().await;
        slot.enter(Stage::InFlight);
        unused.ended.await.unwrap();
        assert!(!idle.ask("/").await.contains("connection: close"), "a full server closes nothing by itself");
        let _next = state.table.admit().await;
        idle.ended.await.unwrap();
        drop(slot);
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_before_its_connection_gives_way() {
        let state = new_state(ServerLimits { connections: 1, ..ServerLimits::reviews() });
        let mut client = connect(&state);
        client.send("/wait").await;
        state.service.waiting.notified().await;
        let mut new = std::pin::pin!(state.table.admit());
        assert!(new.as_mut().now_or_never().is_none());
        state.service.released.notify_one();
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
        new.await;
        client.ended.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_an_unread_body_closes_after_the_answer() {
        let state = new_state(ServerLimits::reviews());
        let began = Instant::now();
        for (header, closes) in [
            ("Content-Length: 0", false),
            ("Content-Length: 100", true),
            ("Transfer-Encoding: chunked", true),
            ("Content-Length: 100\r\nExpect: 100-continue", true),
        ] {
            let mut client = connect(&state);
            client
                .stream
                .write_all(format!("POST / HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let answer = client.answer().await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(answer.contains("connection: close"), closes, "{header}: {answer}");
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "the answer does not wait for the body");
    }

    #[tokio::test]
    async fn shutdown_closes_idle_connections_and_answers_requests() {
        let state = new_state(ServerLimits::reviews());
        let (idle, mut partial) = (connect(&state), connect(&state));
        partial.stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        // Lets the server read both connections before it ends.
        tokio::task::yield_now().await;
        state.ending.cancel();
        idle.ended.await.unwrap();
        partial.stream.write_all(b"Host: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        partial.stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
