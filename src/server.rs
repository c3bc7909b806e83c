//! HTTP/1.1 servers: one with TLS for the API server, and a plain one for probes and metrics.

mod admin;
mod bodies;
mod budget;
mod connection;
mod connection_table;
mod handler;
mod limits;
mod mutate;
mod request_body;
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
pub use limits::{ServerLimits, TooFewFiles};

use connection::ServerState;
use connection_table::ConnectionTable;
use handler::RequestHandler;

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
    pub async fn bind(
        address: SocketAddr,
        tls: Option<TlsSettings>,
        service: S,
        limits: ServerLimits,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, tls, service, limits })
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
    /// handler can tell the senders of late requests to retry.
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

/// Accepts connections forever. At the limit, an old connection gives way to each new one ([`ConnectionTable`]).
async fn accept<S: RequestHandler>(listener: &TcpListener, state: &Arc<ServerState<S>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let in_flight = state.busy.token();
                let slot = state.table.admit().await;
                state.open.spawn(connection::serve(state.clone(), stream, slot, in_flight));
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
            table: Arc::new(ConnectionTable::new(limits.connections)),
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
    use hyper::http::request::Parts;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::handler::{HttpResponse, text};
    use super::request_body::RequestBody;
    use super::*;

    struct Scripted;

    impl RequestHandler for Scripted {
        async fn answer(&self, _: &Parts, _: &mut RequestBody) -> HttpResponse {
            text(StatusCode::OK, "scripted")
        }
    }

    #[tokio::test]
    async fn at_the_limit_a_new_connection_takes_the_place_of_the_oldest() {
        let limits = ServerLimits { connections: 2, ..ServerLimits::reviews() };
        let server = HttpServer::bind(([127, 0, 0, 1], 0).into(), None, Scripted, limits).await.unwrap();
        let address = server.address().unwrap();
        let shutdown = Shutdown::default();
        let serving = tokio::spawn(server.run(shutdown.clone()));
        let mut connections = Vec::new();
        for _ in 0..4 {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut answer = [0; 1024];
            let count = connection.read(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer[..count]);
            assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("close"), "{answer}");
            connections.push(connection);
        }
        for closed in &mut connections[..2] {
            assert_eq!(closed.read(&mut [0]).await.unwrap(), 0);
        }
        shutdown.closing.cancel();
        serving.await.unwrap();
    }
}
