//! HTTP/1.1 servers: one with TLS for the API server, and a plain one for probes and metrics.

mod admin;
mod bodies;
mod budget;
mod connection;
mod handler;
mod limits;
mod mutate;
mod routes;
mod shared_config;
mod stream;
mod validate;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use admin::Admin;
pub use mutate::MutateHandler;
pub use routes::Routes;
pub use shared_config::{RequestConfig, SharedConfig};
pub use validate::ValidateHandler;

pub use connection::TlsSettings;

use connection::ServerState;
use handler::RequestHandler;
use limits::ServerLimits;

use crate::process::shutdown::Shutdown;

/// The pause after a failed accept. The usual cause is that no file descriptor is left, which only time can fix.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// A listener and the handler of its requests.
pub struct HttpServer<S> {
    listener: TcpListener,
    tls: Option<TlsSettings>,
    service: S,
    limits: ServerLimits,
}

impl<S> HttpServer<S> {
    /// Binds a server to `address`. With `tls`, it accepts TLS only.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(address: SocketAddr, tls: Option<TlsSettings>, service: S) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, tls, service, limits: ServerLimits::default() })
    }

    /// Returns the address that the server listens on.
    ///
    /// # Errors
    /// The errors of `getsockname`.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[allow(private_bounds)]
impl<S: RequestHandler> HttpServer<S> {
    /// Serves until `shutdown` closes and nothing is in flight. New connections are accepted until then, so that the
    /// handler can redirect late requests.
    pub async fn run(self, shutdown: Shutdown) {
        let state = Arc::new(ServerState::new(self.service, self.tls, self.limits, shutdown.draining));
        let nothing_in_flight = async {
            shutdown.closing.cancelled().await;
            state.busy.close();
            state.busy.wait().await;
        };
        tokio::select! {
            () = accept(&self.listener, &state) => {}
            () = nothing_in_flight => {}
        }
        drop(self.listener);
        state.ending.cancel();
        state.open.close();
        state.open.wait().await;
    }
}

/// Accepts connections forever.
///
/// Connections beyond the limit are queued in the kernel. The API server counts a closed connection as a failed call and does
/// not retry, but a queued one is served as soon as another ends. While the limit is reached, each response closes its
/// connection.
async fn accept<S: RequestHandler>(listener: &TcpListener, state: &Arc<ServerState<S>>) {
    let places = Arc::new(Semaphore::new(state.limits.connections));
    // The semaphore is never closed.
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = connection::serve(state.clone(), stream, state.busy.token());
                state.open.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

impl<S> ServerState<S> {
    fn new(service: S, tls: Option<TlsSettings>, limits: ServerLimits, draining: CancellationToken) -> Self {
        Self {
            service,
            tls,
            limits,
            handshakes: Semaphore::new(limits.handshakes),
            open: TaskTracker::new(),
            busy: TaskTracker::new(),
            draining,
            ending: CancellationToken::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use hyper::body::Incoming;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::yield_now;

    use super::handler::{HttpResponse, text};
    use super::*;

    struct Scripted;

    impl RequestHandler for Scripted {
        async fn answer(&self, _: hyper::Request<Incoming>) -> HttpResponse {
            text(StatusCode::OK, "scripted")
        }
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_is_queued_until_another_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = ServerLimits { connections: 2, ..ServerLimits::default() };
        let state = Arc::new(ServerState::new(Scripted, None, limits, CancellationToken::new()));
        let accepting = state.clone();
        let accepting = tokio::spawn(async move { accept(&listener, &accepting).await });

        let (one, two) = (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let mut three = TcpStream::connect(address).await.unwrap();
        while state.open.len() < 2 {
            yield_now().await;
        }
        // Long enough for the third one to be accepted without the limit.
        for _ in 0..1000 {
            yield_now().await;
            assert_eq!(state.open.len(), 2);
        }
        drop(one);
        three.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        three.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        accepting.abort();
        drop(two);
    }
}
