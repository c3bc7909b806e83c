//! HTTP/1.1 servers: the one with TLS that the API server calls, and the plain one for probes and metrics.

mod admission;
mod routes;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

pub use admission::Admission;
pub use routes::Routes;
pub(crate) use routes::{response, text};

use crate::shutdown::Shutdown;

/// The API server keeps idle connections for 90 s, and takes one that was closed under it for a failed call.
const IDLE: Duration = Duration::from_secs(130);

/// How long a client may take for its half of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The largest TLS record: rustls asks for 4 KiB at a time, and a review of 9 kB would be three reads instead of one.
const TLS_RECORD: usize = 5 + 16_384 + 256;

/// How long to wait after a failed accept: the usual cause is that no file descriptor is left, which only time mends.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// An answer whose body is complete.
pub(crate) type Response = hyper::Response<Full<Bytes>>;

/// Something that answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answers one request.
    fn answer(&self, request: hyper::Request<Incoming>) -> impl Future<Output = Response> + Send;
}

/// A listener and what answers on it.
pub struct Server<S> {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Arc<S>,
}

impl<S> Server<S> {
    /// A server on `address`; with `tls`, nothing else is spoken there.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn bind(address: SocketAddr, tls: Option<TlsAcceptor>, service: S) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, tls, service: Arc::new(service) })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[allow(private_bounds)]
impl<S: Service> Server<S> {
    /// Serves until `shutdown` closes, and then until nothing is in flight.
    pub async fn run(self, shutdown: Shutdown) {
        let connections = TaskTracker::new();
        while let Some(accepted) = shutdown.closing.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, self.tls.clone(), self.service.clone(), shutdown.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_BACK_OFF).await;
                }
            }
        }
        drop(self.listener);
        connections.close();
        connections.wait().await;
    }
}

async fn connection<S: Service>(stream: TcpStream, tls: Option<TlsAcceptor>, service: Arc<S>, shutdown: Shutdown) {
    // Answers are one small write each; waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let Some(tls) = tls else { return converse(stream, service, shutdown).await };
    let handshake = tokio::time::timeout(HANDSHAKE, tls.accept(BufReader::with_capacity(TLS_RECORD, stream)));
    match shutdown.closing.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => converse(stream, service, shutdown).await,
        Some(Ok(Err(error))) => tracing::debug!(%error, "a TLS handshake failed"),
        Some(Err(_)) => tracing::debug!("a TLS handshake took too long"),
        None => {}
    }
}

async fn converse<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Arc<S>,
    shutdown: Shutdown,
) {
    let draining = shutdown.draining.clone();
    let service = service_fn(move |request| {
        let (service, draining) = (service.clone(), draining.clone());
        async move {
            let mut response = service.answer(request).await;
            if draining.is_cancelled() {
                let close = hyper::header::HeaderValue::from_static("close");
                response.headers_mut().insert(hyper::header::CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            // hyper counts the time between two requests as time for the header.
            .header_read_timeout(IDLE)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
