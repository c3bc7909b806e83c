//! A colocate process, and what it uses.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::machine;

/// A server that ends with this value, or with this process if that is killed.
pub(crate) struct Server {
    folder: TempDir,
    process: Child,
    started: Instant,
    /// Where it answers reviews, and where probes.
    listen: String,
    admin: String,
}

impl Server {
    /// One on free ports. `wrapper` is a command that becomes the server, or nothing; `prepare` says where its claims come
    /// from.
    pub(crate) fn start(wrapper: &[&str], prepare: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |file: &str| folder.path().join(file);
        let program = program()?;
        let mut certs = Command::new(&program);
        let issued = certs.args(["certs", "--name", "127.0.0.1", "--dir"]).arg(folder.path()).output()?;
        ensure!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));

        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .args(wrapper)
            .arg(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"])
            .args([Path::new("--tls-cert"), &path("tls.crt"), Path::new("--tls-key"), &path("tls.key")]);
        prepare(&mut command);
        let started = Instant::now();
        let spawned = command.stderr(Stdio::piped()).spawn();
        let mut process = spawned.context("cannot run setpriv (util-linux)")?;
        let log = process.stderr.take().context("its log is piped")?;
        let mut server = Self { folder, process, started, listen: String::new(), admin: String::new() };
        (server.listen, server.admin) = serving(BufReader::new(log))?;
        Ok(server)
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.listen)
    }

    /// The certificate of the authority that issued its own, as PEM.
    pub(crate) fn authority(&self) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.folder.path().join("ca.crt"))?)
    }

    /// The time since its process was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether it says that it has all that it needs.
    pub(crate) fn is_ready(&self) -> anyhow::Result<bool> {
        let mut connection = TcpStream::connect(&self.admin).context("the server has ended")?;
        connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: colocate\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer.split(' ').nth(1) == Some("200"))
    }

    /// The time that it has run so far, on all cores.
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

/// The addresses that the log of a server tells of.
fn serving(mut log: impl BufRead + Send + 'static) -> anyhow::Result<(String, String)> {
    let mut line = String::new();
    while log.read_line(&mut line)? > 0 {
        let event: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if let (Some("serving"), Some(listen), Some(admin)) =
            (event["message"].as_str(), event["listen"].as_str(), event["admin"].as_str())
        {
            // The server would wait for whoever does not read its log.
            std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| pass_on(&line)));
            return Ok((listen.to_owned(), admin.to_owned()));
        }
        pass_on(&line);
        line.clear();
    }
    bail!("the server ended before it served")
}

/// Shows a line of the log if it tells of something that is wrong.
fn pass_on(line: &str) {
    if line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#) {
        eprintln!("{}", line.trim_end());
    }
}
