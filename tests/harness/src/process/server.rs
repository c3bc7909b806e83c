//! A server process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Connection, WAIT_TIMEOUT, allow_files, manifests, program};

/// The name in the certificate.
pub const NAME: &str = "colocate.test.svc";

/// A server with its own certificate on free ports. It is killed when it is dropped and when the test is killed.
pub struct Server {
    /// The address of reviews.
    pub listen: SocketAddr,
    /// The address of probes and metrics.
    pub admin: SocketAddr,
    folder: TempDir,
    process: Child,
    log: Mutex<Receiver<String>>,
    /// Whether the log is not read.
    held: Arc<(Mutex<bool>, Condvar)>,
}

impl Server {
    /// Starts a server with this configuration and the manifests of the MySQL example.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, |command| {
            command.arg("--manifests").arg(manifests());
        })
    }

    /// Starts a server with the arguments that `prepare` adds, such as the source of claims.
    pub fn start_with(config: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::launch(&[], config, prepare)
    }

    /// Starts a server whose limits of open files are these, such as `64:4096`: the current one, and the highest that it may
    /// set.
    pub fn start_with_files(limits: &str) -> Self {
        Self::launch(&["prlimit", &format!("--nofile={limits}")], "", |command| {
            command.arg("--manifests").arg(manifests());
        })
    }

    /// Starts a server that `wrapper` starts.
    fn launch(wrapper: &[&str], config: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issued = program::command().args(["certs", "--name", NAME, "--dir"]).arg(folder.path()).output().unwrap();
        assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
        let config = if config.is_empty() { "{}" } else { config };
        std::fs::write(folder.path().join("config.yaml"), config).unwrap();

        // Without this, the server would outlive a killed test.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(wrapper).arg(program::path());
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
        let held = Arc::new((Mutex::new(false), Condvar::new()));
        let (gate, released) = (held.clone(), |held: &mut bool| *held);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                drop(gate.1.wait_while(gate.0.lock().unwrap(), released).unwrap());
                if lines.send(line).is_err() {
                    break;
                }
            }
        });

        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { listen: unknown, admin: unknown, folder, process, log: Mutex::new(log), held };
        let serving = server.logged("serving");
        let address = |field: &str| serving[field].as_str().unwrap().parse().unwrap();
        (server.listen, server.admin) = (address("listen"), address("admin"));
        server
    }

    /// Stops or continues to read the log.
    pub fn hold_log(&self, held: bool) {
        *self.held.0.lock().unwrap() = held;
        self.held.1.notify_all();
    }

    /// The current limit of open files.
    pub fn files(&self) -> usize {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.process.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Replaces a file, such as `tls.key`, by a pipe that no one writes to.
    pub fn replace_by_pipe(&self, name: &str) {
        let new = self.folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&new).status().unwrap().success());
        std::fs::rename(new, self.folder.path().join(name)).unwrap();
    }

    /// Waits for the next log line with this message.
    pub fn logged(&self, message: &str) -> Value {
        self.next_line(message, |line| line == message)
    }

    /// Waits for the next log line whose message starts like this.
    pub fn logged_with(&self, start: &str) -> Value {
        self.next_line(start, |line| line.starts_with(start))
    }

    fn next_line(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> Value {
        let log = self.log.lock().unwrap();
        loop {
            let line = log.recv_timeout(WAIT_TIMEOUT).unwrap_or_else(|_| panic!("the server did not log {what:?}"));
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if line["message"].as_str().is_some_and(&is_wanted) {
                return line;
            }
        }
    }

    /// Sets the limit of open files to `more` above the current number.
    pub fn allow_files_more(&self, more: usize) {
        let process = self.process.id();
        let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        allow_files(process, open + more);
    }

    /// Replaces the configuration file atomically.
    pub fn configure(&self, config: &str) {
        let (new, file) = (self.folder.path().join("new.yaml"), self.folder.path().join("config.yaml"));
        std::fs::write(&new, config).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// The peak resident memory in kB.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The CA of the server certificate.
    pub fn certificate_authority(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.folder.path().join("ca.crt")).unwrap()
    }

    /// Opens a TLS connection like the API server.
    pub fn connect(&self) -> Connection {
        self.connect_with(rustls::DEFAULT_VERSIONS)
    }

    /// Opens a TLS connection with one of these versions.
    pub fn connect_with(&self, versions: &[&'static SupportedProtocolVersion]) -> Connection {
        self.connect_as(versions, None)
    }

    /// Opens a TLS connection with an optional client certificate.
    pub fn connect_as(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Connection {
        let config = self.trusting(versions);
        let config = match certificate {
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => config.with_no_client_auth(),
        };
        Connection::tls(self.listen, config, NAME)
    }

    /// The TLS configuration of a client that trusts the server.
    pub fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate_authority()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        config.with_protocol_versions(versions).unwrap().with_root_certificates(roots)
    }

    /// Returns a complete `ClientHello`.
    pub fn hello(&self) -> Vec<u8> {
        let config = self.trusting(rustls::DEFAULT_VERSIONS).with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    /// Sends a request over a new connection.
    pub fn send(&self, head: &str, body: &[u8]) -> Answer {
        self.connect().send(head, body)
    }

    /// Sends a review, and returns the field `response` of the result.
    pub fn review(&self, review: &[u8]) -> Value {
        let answer = self.send("POST /mutate?timeout=5s", review);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut answer: Value = serde_json::from_str(&answer.body).unwrap();
        answer["response"].take()
    }

    /// Sends a GET to the admin port, and returns the response.
    pub fn admin(&self, path: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\nHost: colocate.test.svc");
        Connection::plain(self.admin).send_raw(&head, b"")
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Returns the remaining log lines, after the process has exited.
    pub fn rest_of_log(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().collect()
    }

    /// Waits until the process exits.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
