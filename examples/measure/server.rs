//! A colocate process and its resource use.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use colocate_harness::program;

use super::machine;

/// A server that ends when it is dropped, or with this process.
pub(crate) struct Server {
    folder: TempDir,
    process: Child,
    started: Instant,
    /// The addresses of reviews, and of probes.
    listen: String,
    admin: String,
}

impl Server {
    /// Starts a server on free ports. `wrapper` is a command that executes the server, or empty; `prepare` adds arguments,
    /// such as the source of claims.
    pub(crate) fn start(wrapper: &[&str], prepare: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |file: &str| folder.path().join(file);
        let program = program::path();
        ensure!(program.exists(), "{} was not built", program.display());
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
        let log = process.stderr.take().context("stderr is piped")?;
        let mut server = Self { folder, process, started, listen: String::new(), admin: String::new() };
        (server.listen, server.admin) = serving(BufReader::new(log))?;
        Ok(server)
    }

    /// The URL of reviews.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.listen)
    }

    /// Its CA as PEM.
    pub(crate) fn authority(&self) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.folder.path().join("ca.crt"))?)
    }

    /// The time since its start.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns whether it is ready.
    pub(crate) fn is_ready(&self) -> anyhow::Result<bool> {
        let mut connection = TcpStream::connect(&self.admin).context("the server has ended")?;
        connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: colocate\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer.split(' ').nth(1) == Some("200"))
    }

    /// Its CPU time so far, on all cores.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        machine::cpu_time(&self.proc("stat")?).context("/proc/PID/stat has an unknown format")
    }

    /// Its resident memory in bytes.
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

/// Reads the addresses from the log of a server.
fn serving(mut log: impl BufRead + Send + 'static) -> anyhow::Result<(String, String)> {
    let mut line = String::new();
    while log.read_line(&mut line)? > 0 {
        let event: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if let (Some("serving"), Some(listen), Some(admin)) =
            (event["message"].as_str(), event["listen"].as_str(), event["admin"].as_str())
        {
            // The server would block if its log were not read.
            std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| pass_on(&line)));
            return Ok((listen.to_owned(), admin.to_owned()));
        }
        pass_on(&line);
        line.clear();
    }
    bail!("the server ended before it served")
}

/// Prints warnings and errors from the log.
fn pass_on(line: &str) {
    if line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#) {
        eprintln!("{}", line.trim_end());
    }
}
