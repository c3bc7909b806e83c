//! A colocate process and the two ways to talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything takes, and shorter than a person waits for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_colocate"))
}

pub(crate) fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/mysql")
}

/// A server with a certificate of its own, on free ports, that ends with this value, or with the test if it is killed.
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    folder: TempDir,
    process: Child,
    log: Receiver<String>,
}

impl Server {
    /// One that knows the MySQL example's claim, with this configuration.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, |command| {
            command.arg("--manifests").arg(manifests());
        })
    }

    /// One with whatever source of claims `prepare` adds to its command.
    pub(crate) fn start_with(config: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issued =
            program().args(["certs", "--name", "colocate.test.svc", "--dir"]).arg(folder.path()).output().unwrap();
        assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
        std::fs::write(folder.path().join("config.yaml"), config).unwrap();

        // Without this, a test that is killed would leave the server behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_colocate")]);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"])
            .args(["--log-level", "debug", "--config"])
            .arg(folder.path().join("config.yaml"))
            .arg("--tls-cert")
            .arg(folder.path().join("tls.crt"))
            .arg("--tls-key")
            .arg(folder.path().join("tls.key"));
        prepare(&mut command);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));

        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { listen: unknown, admin: unknown, folder, process, log };
        let serving = server.logged("serving");
        let address = |field: &str| serving[field].as_str().unwrap().parse().unwrap();
        (server.listen, server.admin) = (address("listen"), address("admin"));
        server
    }

    /// The next line of the log with this message.
    pub(crate) fn logged(&self, message: &str) -> Value {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it never logged {message:?}"));
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            if line["message"] == message {
                return line;
            }
        }
    }

    /// Changes its configuration file, in one step.
    pub(crate) fn configure(&self, config: &str) {
        let (new, file) = (self.folder.path().join("new.yaml"), self.folder.path().join("config.yaml"));
        std::fs::write(&new, config).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// The most memory that it ever had resident, in kB.
    pub(crate) fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn certificate_authority(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.folder.path().join("ca.crt")).unwrap()
    }

    /// A TLS connection as the API server makes it.
    pub(crate) fn connect(&self) -> Connection {
        self.connect_with(rustls::DEFAULT_VERSIONS)
    }

    pub(crate) fn connect_with(&self, versions: &[&'static SupportedProtocolVersion]) -> Connection {
        self.connect_as(versions, None)
    }

    /// A TLS connection of a client with a certificate.
    pub(crate) fn connect_as(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Connection {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate_authority()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => config.with_no_client_auth(),
        };
        let name = ServerName::try_from("colocate.test.svc").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(self.listen).unwrap();
        // Header and body are two writes; the second would wait for the first to be acknowledged.
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection(BufReader::new(StreamOwned::new(session, socket)))
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn send(&self, head: &str, body: &[u8]) -> Answer {
        self.connect().send(head, body)
    }

    /// Sends a review, and returns the answer's `response`.
    pub(crate) fn review(&self, review: &[u8]) -> Value {
        let answer = self.send("POST /mutate?timeout=5s", review);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut answer: Value = serde_json::from_str(&answer.body).unwrap();
        answer["response"].take()
    }

    /// What the admin port answers to a GET.
    pub(crate) fn admin(&self, path: &str) -> Answer {
        let socket = TcpStream::connect(self.admin).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(&mut BufReader::new(socket), &format!("GET {path}"), b"")
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A TLS connection that is kept open between requests.
pub(crate) struct Connection(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Connection {
    /// Sends one request: its method and path, and a JSON body.
    pub(crate) fn send(&mut self, head: &str, body: &[u8]) -> Answer {
        exchange(
            &mut self.0,
            &format!("{head} HTTP/1.1\r\nContent-Type: application/json\r\nHost: colocate.test.svc"),
            body,
        )
    }

    /// Sends one request with these header lines, whatever they are.
    pub(crate) fn send_raw(&mut self, head: &str, body: &[u8]) -> Answer {
        exchange(&mut self.0, head, body)
    }

    /// Sends one request, and returns its answer unless the server is gone first.
    pub(crate) fn attempt(&mut self, head: &str, body: &[u8]) -> Option<Answer> {
        let head = format!("{head} HTTP/1.1\r\nContent-Type: application/json\r\nHost: colocate.test.svc");
        let _ = write!(self.0.get_mut(), "{head}\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = self.0.get_mut().write_all(body);
        self.0.fill_buf().is_ok_and(|answer| !answer.is_empty()).then(|| self.answer())
    }

    /// Sends these bytes, whatever they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Begins a review of so many bytes, and returns when the server has room for it and asks for them; or else its answer.
    pub(crate) fn begin(&mut self, length: usize) -> Result<(), Answer> {
        let head = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue";
        self.write(format!("{head}\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        match read_head(&mut self.0) {
            head if head.starts_with("HTTP/1.1 100 ") => Ok(()),
            head => Err(read_body(&mut self.0, head)),
        }
    }

    /// The answer to what was begun.
    pub(crate) fn answer(&mut self) -> Answer {
        let head = read_head(&mut self.0);
        read_body(&mut self.0, head)
    }

    /// Says that nothing more will come.
    pub(crate) fn shut(&mut self) {
        self.0.get_mut().sock.shutdown(Shutdown::Write).unwrap();
    }

    /// Whether a request gets no answer at all.
    pub(crate) fn is_refused(&mut self) -> bool {
        let _ = self.0.get_mut().write_all(b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        self.is_closed()
    }

    /// Whether the server has closed it.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }

    pub(crate) fn tls_version(&self) -> Option<rustls::ProtocolVersion> {
        self.0.get_ref().conn.protocol_version()
    }
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

fn exchange<S: Read + Write>(stream: &mut BufReader<S>, head: &str, body: &[u8]) -> Answer {
    let version = if head.contains(" HTTP/") { "" } else { " HTTP/1.1\r\nHost: colocate.test.svc" };
    let length = format!("Content-Length: {}", body.len());
    stream.get_mut().write_all(format!("{head}{version}\r\n{length}\r\n\r\n").as_bytes()).unwrap();
    // A server that refuses a body may close before it was sent.
    let _ = stream.get_mut().write_all(body);
    let head = read_head(stream);
    read_body(stream, head)
}

fn read_head(stream: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).expect("an answer") > 0, "closed after {head:?}");
    }
    head
}

fn read_body(stream: &mut impl BufRead, head: String) -> Answer {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    let mut answer = Answer { status, head, body: String::new() };
    let length = answer.header("content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    answer.body = String::from_utf8(body).unwrap();
    answer
}
