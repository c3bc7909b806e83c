//! A colocate process on one core, and what it uses.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::machine;

/// The claim of the sample, beside those of the example: its class is the example's.
const CLAIM: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: demo}
spec: {storageClassName: px-db}
";

/// A server that ends with this value, or with this process if that is killed.
pub(crate) struct Server {
    folder: TempDir,
    process: Child,
    address: String,
}

impl Server {
    /// One on `core`, on free ports, that knows the claim of the sample.
    pub(crate) fn start(core: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |file: &str| folder.path().join(file);
        let program = program()?;
        let mut certs = Command::new(&program);
        let issued = certs.args(["certs", "--name", "127.0.0.1", "--dir"]).arg(folder.path()).output()?;
        ensure!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
        fs::write(path("claim.yaml"), CLAIM)?;

        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/mysql");
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "taskset", "--cpu-list", &core.to_string()])
            .arg(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"])
            .args([Path::new("--tls-cert"), &path("tls.crt"), Path::new("--tls-key"), &path("tls.key")])
            .args([Path::new("--manifests"), &example, &path("claim.yaml")])
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run setpriv and taskset (util-linux)")?;
        let log = process.stderr.take().context("its log is piped")?;
        let mut server = Self { folder, process, address: String::new() };
        server.address = listening(BufReader::new(log))?;
        Ok(server)
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate of the authority that issued its own, as PEM.
    pub(crate) fn authority(&self) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.folder.path().join("ca.crt"))?)
    }

    /// The time that it has run on its core so far.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        machine::cpu_time(&self.proc("stat")?).context("/proc/PID/stat is not as it was")
    }

    /// The memory that it has in RAM, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        machine::resident(&self.proc("status")?).context("the server has ended")
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, which lies beside the folder of this one.
fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let program = own.ancestors().nth(2).context("this program is in no folder")?.join("colocate");
    ensure!(program.exists(), "{} was not built", program.display());
    Ok(program)
}

/// The address that the log of a server tells of.
fn listening(mut log: impl BufRead + Send + 'static) -> anyhow::Result<String> {
    let mut line = String::new();
    while log.read_line(&mut line)? > 0 {
        let event: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if let (Some("serving"), Some(address)) = (event["message"].as_str(), event["listen"].as_str()) {
            // The server would wait for whoever does not read its log.
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return Ok(address.to_owned());
        }
        line.clear();
    }
    bail!("the server ended before it served")
}
