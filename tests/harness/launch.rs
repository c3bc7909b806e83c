//! How a colocate is started: as whom, with which configuration, and where its certificate comes from.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::Account;
use super::colocate::{Colocate, message};
use super::control_plane::ControlPlane;
use super::lines::Lines;
use super::webhook::{Authority, SERVICE, configuration};

/// What one process is started with.
pub(crate) struct Launch<'a> {
    pub(crate) control_plane: &'a ControlPlane,
    pub(crate) account: &'a Account,
    /// The namespace of the Service that its certificate is for.
    pub(crate) home: &'a str,
    /// Its name among those of the same home.
    pub(crate) replica: &'a str,
    /// The text of its configuration file.
    pub(crate) config: &'a str,
    pub(crate) log_level: &'a str,
    pub(crate) certificate: Certificate<'a>,
}

/// Where its certificate comes from, and who writes the `caBundle`.
#[derive(Clone, Copy)]
pub(crate) enum Certificate<'a> {
    /// From files that `colocate certs` issues for it now; whoever registers it writes the bundle.
    Issued,
    /// From the files of this folder, `ca.crt` among them: it keeps the bundle.
    Files(&'a Path),
    /// From itself: its CA is in a Secret, and it keeps the bundle.
    Managed,
}

/// The line of its log that tells where it listens.
#[derive(Deserialize)]
pub(super) struct Addresses {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Launch<'_> {
    /// Starts it, on ports that are free, and returns when it listens.
    pub(crate) fn go(&self) -> Colocate {
        let folder = self.control_plane.dir().join("colocate").join(self.home).join(self.replica);
        fs::create_dir_all(&folder).expect("the control plane's folder is ours");
        let config = folder.join("config.yaml");
        fs::write(&config, self.config).expect("the folder is there");
        let mut command = self.control_plane.command(&program());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--log-format", "json", "--log-level", self.log_level])
            .arg("--config")
            .arg(config)
            .env("KUBECONFIG", self.account.kubeconfig())
            .stderr(Stdio::piped());
        let authority = self.certify(&mut command, &folder);

        let mut process = command.spawn().expect("the control plane was built");
        let log = Lines::of(process.stderr.take().expect("it is piped"));
        let Addresses { listen, admin } = log.wait_for("colocate's address", |line| message(line, "serving"));
        Colocate { home: self.home.to_owned(), port: listen.port(), admin, authority, log, process }
    }

    /// Adds the arguments about its certificate, and says whom its clients trust.
    fn certify(&self, command: &mut Command, folder: &Path) -> Authority {
        let mut files = |folder: &Path| {
            command.arg("--tls-cert").arg(folder.join("tls.crt")).arg("--tls-key").arg(folder.join("tls.key"));
        };
        match self.certificate {
            Certificate::Issued => {
                issue(folder, self.home);
                files(folder);
                return Authority::Told(folder.join("ca.crt"));
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

/// Puts a new CA and a certificate of it, for the Service in the namespace `home`, into a folder.
pub(crate) fn issue(folder: &Path, home: &str) {
    let output = Command::new(program())
        .args(["certs", "--name", &format!("{SERVICE}.{home}.svc"), "--dir"])
        .arg(folder)
        .output()
        .expect("colocate was built");
    assert!(output.status.success(), "colocate certs: {}", String::from_utf8_lossy(&output.stderr));
}

/// The program under test. Cargo tells tests where it is; an example lies in a folder beside it.
pub(super) fn program() -> PathBuf {
    if let Some(path) = option_env!("CARGO_BIN_EXE_colocate") {
        return path.into();
    }
    let example = std::env::current_exe().expect("Linux tells where a program is");
    let profile = example.ancestors().nth(2).expect("an example is in the folder `examples`");
    profile.join("colocate")
}
