//! Raw connections to a server.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, StreamOwned};

use super::WAIT_TIMEOUT;

/// The interval between two bytes of a slow client.
const DRIP_INTERVAL: Duration = Duration::from_millis(200);

/// A persistent connection.
pub struct Connection(BufReader<Box<dyn Stream>>);

/// The transport of a connection.
trait Stream: Read + Write + Send {
    fn socket(&self) -> &TcpStream;
    fn tls_version(&self) -> Option<ProtocolVersion>;
    fn complete_handshake(&mut self) -> std::io::Result<()>;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }

    fn tls_version(&self) -> Option<ProtocolVersion> {
        None
    }

    fn complete_handshake(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }

    fn tls_version(&self) -> Option<ProtocolVersion> {
        self.conn.protocol_version()
    }

    fn complete_handshake(&mut self) -> std::io::Result<()> {
        while self.conn.is_handshaking() {
            self.conn.complete_io(&mut self.sock)?;
        }
        Ok(())
    }
}

impl Connection {
    /// Opens a connection without TLS.
    pub fn plain(address: SocketAddr) -> Self {
        Self(BufReader::new(Box::new(connect(address))))
    }

    /// Opens a connection with TLS to a server with this name.
    pub fn tls(address: SocketAddr, config: ClientConfig, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        Self(BufReader::new(Box::new(StreamOwned::new(session, connect(address)))))
    }

    /// Completes the TLS handshake, which otherwise happens with the first request.
    pub fn establish(&mut self) {
        self.0.get_mut().complete_handshake().unwrap();
    }

    /// Sends a request with this method and path and a JSON body.
    pub fn send(&mut self, head: &str, body: &[u8]) -> Answer {
        self.send_raw(&format!("{head} HTTP/1.1\r\nContent-Type: application/json\r\nHost: colocate.test.svc"), body)
    }

    /// Sends a request with these header lines, which may be malformed.
    pub fn send_raw(&mut self, head: &str, body: &[u8]) -> Answer {
        self.write(format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
        // A server that rejects the body may close the connection early.
        self.offer(body);
        self.answer()
    }

    /// Sends a request, and returns the response; `None` if the server closes the connection.
    pub fn attempt(&mut self, head: &str, body: &[u8]) -> Option<Answer> {
        let head = format!("{head} HTTP/1.1\r\nContent-Type: application/json\r\nHost: colocate.test.svc");
        self.offer(format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
        self.offer(body);
        self.read_answer().ok()
    }

    /// Sends raw bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Sends raw bytes, and ignores errors.
    pub fn offer(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes);
    }

    /// Sends bytes slowly, one at a time, until the server responds or closes the connection.
    pub fn drip(&mut self, bytes: &[u8]) {
        self.0.get_ref().socket().set_read_timeout(Some(DRIP_INTERVAL)).unwrap();
        for byte in bytes {
            self.offer(&[*byte]);
            match self.0.fill_buf() {
                Err(error) if is_late(&error) => {}
                _ => break,
            }
        }
        self.0.get_ref().socket().set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    }

    /// Starts a review of this length with `Expect: 100-continue`. Returns the response if it is not `100 Continue`.
    pub fn begin(&mut self, length: usize) -> Result<(), Answer> {
        let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue";
        self.write(format!("{head}\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        let answer = self.answer();
        if answer.status == 100 { Ok(()) } else { Err(answer) }
    }

    /// Reads the response to the current request.
    pub fn answer(&mut self) -> Answer {
        self.read_answer().expect("the server sends a response")
    }

    /// Reads the next response.
    pub fn read_answer(&mut self) -> std::io::Result<Answer> {
        let mut answer = self.read_head()?;
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).expect("the response is UTF-8");
        Ok(answer)
    }

    /// Reads the next response without a body, as for a HEAD request.
    pub fn read_head(&mut self) -> std::io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                let message = format!("closed after {head:?}");
                return Err(std::io::Error::new(ErrorKind::UnexpectedEof, message));
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not an HTTP response: {head:?}"));
        Ok(Answer { status, head, body: String::new() })
    }

    /// Reads raw bytes.
    pub fn read(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Closes the sending side.
    pub fn shut(&mut self) {
        let _ = self.0.get_mut().socket().shutdown(Shutdown::Write);
    }

    /// Sends a request, and returns whether the server closes the connection without a response.
    pub fn is_refused(&mut self) -> bool {
        self.offer(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        self.is_closed()
    }

    /// Reads everything, and returns whether the server closes the connection.
    pub fn ends(&mut self) -> bool {
        !std::io::copy(&mut self.0, &mut std::io::sink()).is_err_and(|error| is_late(&error))
    }

    /// Returns whether the server has closed the connection, or closes it soon.
    pub fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(count) => count == 0,
            // After this time, the server would keep the connection open indefinitely.
            Err(error) => !is_late(&error),
        }
    }

    /// The TLS version of the connection; `None` if it does not use TLS.
    pub fn tls_version(&self) -> Option<ProtocolVersion> {
        self.0.get_ref().tls_version()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    // Nagle's algorithm would delay the body until the header is acknowledged.
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    socket
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// An HTTP response.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
