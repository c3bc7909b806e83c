//! Counters for the traffic of a backend. The traffic is encrypted, so only the sender, the size of the data, and the end that
//! closes first are known.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Backend;

/// The size of the TLS 1.3 record with a `close_notify` alert. No request or response is shorter.
const CLOSE_NOTIFY: usize = 5 + 2 + 1 + 16;

/// The size of a copy buffer.
const BUFFER: usize = 64 * 1024;

/// The counters of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The number of opened connections.
    pub opened: u64,
    /// The number of connections that the backend refused.
    pub refused: u64,
    /// The number of open connections.
    pub open: u64,
    /// The number of connections that the backend, not the client, closed with no request in flight.
    pub ended: u64,
    /// The number of connections that the backend closed before it responded, even if the request had not arrived yet.
    pub broken: u64,
    /// The largest number of calls that started on one connection since the last call of `Backend::mark`. A TLS
    /// handshake counts as one.
    pub calls_since_mark: u64,
    /// The number of marks.
    marks: u64,
}

impl Counters {
    pub(crate) fn mark(&mut self) {
        self.marks += 1;
        self.calls_since_mark = 0;
    }
}

/// One connection.
pub(crate) struct ProxiedConnection<'b> {
    backend: &'b Backend,
    /// Whether a request is in flight.
    in_flight: bool,
    /// The end that closed first.
    ended: Option<End>,
    /// The number of calls since the mark with the number `mark`.
    calls: u64,
    mark: u64,
}

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

impl<'b> ProxiedConnection<'b> {
    pub(crate) fn open(backend: &'b Backend) -> Self {
        backend.record(|counters| {
            counters.opened += 1;
            counters.open += 1;
        });
        Self { backend, in_flight: false, ended: None, calls: 0, mark: 0 }
    }

    /// Copies bytes in both directions until both ends have closed or one fails.
    pub(crate) async fn copy(mut self, mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
        let (mut up, mut down) = (vec![0; BUFFER], vec![0; BUFFER]);
        let (mut client_open, mut server_open) = (true, true);
        while client_open || server_open {
            tokio::select! {
                read = from_client.read(&mut up), if client_open => match read? {
                    0 => {
                        client_open = false;
                        self.client_ended();
                        to_server.shutdown().await?;
                    }
                    count => {
                        self.client_sent(count);
                        to_server.write_all(&up[..count]).await?;
                    }
                },
                read = from_server.read(&mut down), if server_open => match read {
                    Ok(0) | Err(_) => {
                        server_open = false;
                        self.server_ended();
                        to_client.shutdown().await?;
                    }
                    Ok(count) => {
                        self.server_sent(count);
                        to_client.write_all(&down[..count]).await?;
                    }
                },
            }
        }
        Ok(())
    }

    fn client_sent(&mut self, bytes: usize) {
        if bytes <= CLOSE_NOTIFY {
            if bytes == CLOSE_NOTIFY {
                self.client_ended();
            }
            return;
        }
        let begins = !std::mem::replace(&mut self.in_flight, true);
        self.backend.record_activity();
        self.backend.record(|counters| {
            if self.mark != counters.marks {
                (self.mark, self.calls) = (counters.marks, 0);
            }
            self.calls += u64::from(begins);
            counters.calls_since_mark = counters.calls_since_mark.max(self.calls);
            if begins && self.ended == Some(End::Server) {
                counters.ended -= 1;
                counters.broken += 1;
            }
        });
    }

    fn server_sent(&mut self, bytes: usize) {
        if bytes > CLOSE_NOTIFY {
            self.in_flight = false;
            self.backend.record_activity();
        } else if bytes == CLOSE_NOTIFY {
            self.server_ended();
        }
    }

    fn client_ended(&mut self) {
        self.ended.get_or_insert(End::Client);
    }

    fn server_ended(&mut self) {
        if self.ended.is_none() {
            self.ended = Some(End::Server);
            let in_flight = self.in_flight;
            self.backend.record(|counters| if in_flight { counters.broken += 1 } else { counters.ended += 1 });
        }
    }
}

impl Drop for ProxiedConnection<'_> {
    fn drop(&mut self) {
        self.backend.record(|counters| counters.open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Opens a connection through a `ProxiedConnection`, and returns both ends.
    async fn connection(backend: &'static Backend) -> (TcpStream, TcpStream) {
        let pair = async || {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let local = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (local, listener.accept().await.unwrap().0)
        };
        let ((client, client_side), (server_side, server)) = (pair().await, pair().await);
        tokio::spawn(ProxiedConnection::open(backend).copy(client_side, server_side));
        (client, server)
    }

    fn backend() -> &'static Backend {
        Box::leak(Box::new(Backend::new(([127, 0, 0, 1], 0).into())))
    }

    async fn send(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) {
        from.write_all(&vec![b'x'; bytes]).await.unwrap();
        to.read_exact(&mut vec![0; bytes]).await.unwrap();
    }

    /// Closes both ends and reads them to the end of the stream, after which the counters are complete.
    async fn end(mut client: TcpStream, mut server: TcpStream) {
        let _ = client.shutdown().await;
        let _ = server.shutdown().await;
        let mut rest = Vec::new();
        let _ = (client.read_to_end(&mut rest).await, server.read_to_end(&mut rest).await);
    }

    #[tokio::test]
    async fn calls_since_the_mark_exclude_alerts() {
        let backend = backend();
        let ((mut client, mut server), mut other) = (connection(backend).await, connection(backend).await);
        for call in 1..=3 {
            send(&mut client, &mut server, 100).await;
            send(&mut client, &mut server, 100).await;
            assert_eq!(backend.counters().calls_since_mark, call);
            send(&mut server, &mut client, 100).await;
        }
        backend.mark();
        assert_eq!(backend.counters().calls_since_mark, 0);
        send(&mut other.0, &mut other.1, 100).await;
        send(&mut client, &mut server, 100).await;
        send(&mut server, &mut client, 100).await;
        send(&mut client, &mut server, CLOSE_NOTIFY).await;
        assert_eq!(
            (backend.counters().calls_since_mark, backend.counters().opened, backend.counters().open),
            (1, 2, 2)
        );
    }

    #[tokio::test]
    async fn a_connection_is_counted_by_the_side_that_closes_first() {
        let backend = backend();
        let counts = || (backend.counters().ended, backend.counters().broken);
        // The client closes after a request.
        let (mut client, mut server) = connection(backend).await;
        send(&mut client, &mut server, 100).await;
        client.shutdown().await.unwrap();
        server.read_to_end(&mut Vec::new()).await.unwrap();
        end(client, server).await;
        assert_eq!(counts(), (0, 0));
        // The client closes with an alert, before the server.
        let (mut client, mut server) = connection(backend).await;
        send(&mut client, &mut server, CLOSE_NOTIFY).await;
        server.shutdown().await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        end(client, server).await;
        assert_eq!(counts(), (0, 0));
        // The server closes after its response.
        let (mut client, mut server) = connection(backend).await;
        send(&mut client, &mut server, 100).await;
        send(&mut server, &mut client, 100).await;
        send(&mut server, &mut client, CLOSE_NOTIFY).await;
        server.shutdown().await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        end(client, server).await;
        assert_eq!(counts(), (1, 0));
        // The server closes with a request in flight.
        let (mut client, mut server) = connection(backend).await;
        send(&mut client, &mut server, 100).await;
        drop(server);
        client.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(counts(), (1, 1));
        // The server closes while a request is on its way.
        let (mut client, mut server) = connection(backend).await;
        server.shutdown().await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(counts(), (2, 1));
        send(&mut client, &mut server, 100).await;
        assert_eq!(counts(), (1, 2));
    }
}
