//! A process that serves.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Connection, PATIENCE, allow_files, manifests, program};

/// The name in its certificate.
pub(crate) const NAME: &str = "colocate.test.svc";

/// A server with a certificate of its own, on free ports, that ends with this value, or with the test if it is killed.
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    folder: TempDir,
    process: Child,
    log: Mutex<Receiver<String>>,
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
        let issued = program().args(["certs", "--name", NAME, "--dir"]).arg(folder.path()).output().unwrap();
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
        let mut server = Self { listen: unknown, admin: unknown, folder, process, log: Mutex::new(log) };
        let serving = server.logged("serving");
        let address = |field: &str| serving[field].as_str().unwrap().parse().unwrap();
        (server.listen, server.admin) = (address("listen"), address("admin"));
        server
    }

    /// The next line of the log with this message.
    pub(crate) fn logged(&self, message: &str) -> Value {
        let log = self.log.lock().unwrap();
        loop {
            let line = log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it never logged {message:?}"));
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            if line["message"] == message {
                return line;
            }
        }
    }

    /// Lets it open so many files more than it has open now.
    pub(crate) fn allow_files_more(&self, more: usize) {
        let process = self.process.id();
        let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        allow_files(process, open + more);
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
        let config = self.trusting(versions);
        let config = match certificate {
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => config.with_no_client_auth(),
        };
        Connection::tls(self.listen, config, NAME)
    }

    /// How a client speaks TLS that trusts the server.
    pub(crate) fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate_authority()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        config.with_protocol_versions(versions).unwrap().with_root_certificates(roots)
    }

    /// The first bytes that a client sends, whole.
    pub(crate) fn hello(&self) -> Vec<u8> {
        let config = self.trusting(rustls::DEFAULT_VERSIONS).with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
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
        let head = format!("GET {path} HTTP/1.1\r\nHost: colocate.test.svc");
        Connection::plain(self.admin).send_raw(&head, b"")
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// What it logs until it ends.
    pub(crate) fn rest_of_log(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().collect()
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
