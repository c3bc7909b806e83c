//! A connection to a server, and what comes over it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, StreamOwned};

use super::PATIENCE;

/// Between two bytes of a client that drips: often enough to be no silence.
const DRIP: Duration = Duration::from_millis(200);

/// A connection that is kept open between requests.
pub(crate) struct Connection(BufReader<Box<dyn Stream>>);

/// What a connection goes over.
trait Stream: Read + Write + Send {
    fn socket(&self) -> &TcpStream;
    fn tls_version(&self) -> Option<ProtocolVersion>;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }

    fn tls_version(&self) -> Option<ProtocolVersion> {
        None
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }

    fn tls_version(&self) -> Option<ProtocolVersion> {
        self.conn.protocol_version()
    }
}

impl Connection {
    /// One without TLS.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self(BufReader::new(Box::new(connect(address))))
    }

    /// One with TLS, to a server of this name.
    pub(crate) fn tls(address: SocketAddr, config: ClientConfig, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        Self(BufReader::new(Box::new(StreamOwned::new(session, connect(address)))))
    }

    /// Sends one request: its method and path, and a JSON body.
    pub(crate) fn send(&mut self, head: &str, body: &[u8]) -> Answer {
        self.send_raw(&format!("{head} HTTP/1.1\r\nContent-Type: application/json\r\nHost: colocate.test.svc"), body)
    }

    /// Sends one request with these header lines, whatever they are.
    pub(crate) fn send_raw(&mut self, head: &str, body: &[u8]) -> Answer {
        self.write(format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
        // A server that refuses a body may close before it was sent.
        self.offer(body);
        self.answer()
    }

    /// Sends one request, and returns its answer unless the server is gone first.
    pub(crate) fn attempt(&mut self, head: &str, body: &[u8]) -> Option<Answer> {
        let head = format!("{head} HTTP/1.1\r\nContent-Type: application/json\r\nHost: colocate.test.svc");
        self.offer(format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
        self.offer(body);
        self.read_answer().ok()
    }

    /// Sends these bytes, whatever they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Sends these bytes, as far as the server takes them.
    pub(crate) fn offer(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes);
    }

    /// Sends these bytes one by one, each when the server has said nothing to the one before for a while, until it closes.
    pub(crate) fn drip(&mut self, bytes: &[u8]) {
        self.0.get_ref().socket().set_read_timeout(Some(DRIP)).unwrap();
        for byte in bytes {
            self.offer(&[*byte]);
            match self.0.fill_buf() {
                Err(error) if is_late(&error) => {}
                _ => break,
            }
        }
        self.0.get_ref().socket().set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Begins a review of so many bytes, and returns when the server has room for it and asks for them; or else its answer.
    pub(crate) fn begin(&mut self, length: usize) -> Result<(), Answer> {
        let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue";
        self.write(format!("{head}\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        let answer = self.answer();
        if answer.status == 100 { Ok(()) } else { Err(answer) }
    }

    /// The answer to what was begun.
    pub(crate) fn answer(&mut self) -> Answer {
        self.read_answer().expect("an answer")
    }

    /// The next answer, if one comes.
    pub(crate) fn read_answer(&mut self) -> std::io::Result<Answer> {
        let mut answer = self.read_head()?;
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        answer.body = String::from_utf8(body).expect("an answer in UTF-8");
        Ok(answer)
    }

    /// The next answer without its body, which is all that there is of an answer to HEAD.
    pub(crate) fn read_head(&mut self) -> std::io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                let message = format!("closed after {head:?}");
                return Err(std::io::Error::new(ErrorKind::UnexpectedEof, message));
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer of HTTP: {head:?}"));
        Ok(Answer { status, head, body: String::new() })
    }

    /// So many bytes, whatever they are.
    pub(crate) fn read(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Says that nothing more will come.
    pub(crate) fn shut(&mut self) {
        let _ = self.0.get_mut().socket().shutdown(Shutdown::Write);
    }

    /// Whether a request gets no answer at all.
    pub(crate) fn is_refused(&mut self) -> bool {
        self.offer(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        self.is_closed()
    }

    /// Whether the server closes it, whatever comes before.
    pub(crate) fn ends(&mut self) -> bool {
        !std::io::copy(&mut self.0, &mut std::io::sink()).is_err_and(|error| is_late(&error))
    }

    /// Whether the server has closed it, which it may be about to do.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(count) => count == 0,
            // What was left open until now would be open for ever.
            Err(error) => !is_late(&error),
        }
    }

    pub(crate) fn tls_version(&self) -> Option<ProtocolVersion> {
        self.0.get_ref().tls_version()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    // Header and body are two writes; the second would wait for the first to be acknowledged.
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
