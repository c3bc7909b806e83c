//! Starts a colocate process with its account, configuration and certificate.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::SignedDuration;
use serde::Deserialize;

use super::colocate::{Colocate, message};
use super::control_plane::ControlPlane;
use super::lines::Lines;
use super::webhook::{Authority, SERVICE, configuration};
use super::{Account, program};

/// The parameters of a process.
pub struct Launch<'a> {
    /// The control plane to connect to.
    pub control_plane: &'a ControlPlane,
    /// The account that the process uses.
    pub account: &'a Account,
    /// The namespace of the Service that the certificate is for.
    pub home: &'a str,
    /// The name of the replica, unique in its namespace.
    pub replica: &'a str,
    /// The text of the configuration file.
    pub config: &'a str,
    /// The value of `--log-level`.
    pub log_level: &'a str,
    /// The source of the certificate.
    pub certificate: Certificate<'a>,
    /// The time by which the clock of the process is set ahead.
    pub clock_ahead: SignedDuration,
}

/// The source of the certificate, and the writer of the `caBundle`.
#[derive(Clone, Copy)]
pub enum Certificate<'a> {
    /// Issued by `colocate certs`. The registration contains the bundle.
    Issued,
    /// Read from this folder, including `ca.crt`. colocate maintains the bundle.
    Files(&'a Path),
    /// Managed by colocate, with the CA in a Secret. colocate maintains the bundle.
    Managed,
}

/// The addresses in the log line `serving`.
#[derive(Deserialize)]
pub(crate) struct Addresses {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Launch<'_> {
    /// Starts the process on free ports, and waits until it listens.
    pub fn go(&self) -> Colocate {
        let folder = self.control_plane.dir().join("colocate").join(self.home).join(self.replica);
        fs::create_dir_all(&folder).expect("the control plane's folder is writable");
        let config = folder.join("config.yaml");
        let text = if self.config.is_empty() { "{}" } else { self.config };
        fs::write(&config, text).expect("the folder exists");
        let mut command = self.control_plane.command(&program::path());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--log-format", "json", "--log-level", self.log_level])
            .arg("--config")
            .arg(config)
            .env("KUBECONFIG", self.account.kubeconfig())
            .env("COLOCATE_TEST_CLOCK_AHEAD", self.clock_ahead.as_secs().to_string())
            .stderr(Stdio::piped());
        let authority = self.certify(&mut command, &folder);

        let mut process = command.spawn().expect("the control plane was built");
        let log = Lines::of(process.stderr.take().expect("the stream is piped"));
        let Addresses { listen, admin } = log.wait_for("colocate's address", |line| message(line, "serving"));
        Colocate { home: self.home.to_owned(), port: listen.port(), admin, authority, log, process }
    }

    /// Adds the arguments for the certificate, and returns the CA for clients.
    fn certify(&self, command: &mut Command, folder: &Path) -> Authority {
        let mut files = |folder: &Path| {
            command.arg("--tls-cert").arg(folder.join("tls.crt")).arg("--tls-key").arg(folder.join("tls.key"));
        };
        match self.certificate {
            Certificate::Issued => {
                issue(folder, self.home);
                files(folder);
                return Authority::File(folder.join("ca.crt"));
            }
            Certificate::Files(folder) => {
                files(folder);
                command.arg("--tls-ca").arg(folder.join("ca.crt"));
            }
            Certificate::Managed => {}
        }
        Authority::Live { kubectl: self.control_plane.kubectl(), configuration: configuration(self.home) }
    }
}

/// Writes a new CA, and a certificate for the Service in the namespace `home`, to a folder.
pub fn issue(folder: &Path, home: &str) {
    let output = program::command()
        .args(["certs", "--name", &format!("{SERVICE}.{home}.svc"), "--dir"])
        .arg(folder)
        .output()
        .expect("colocate was built");
    assert!(output.status.success(), "colocate certs: {}", String::from_utf8_lossy(&output.stderr));
}
