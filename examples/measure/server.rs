//! The process of a webhook and its resource use.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use colocate_harness::program;

use super::machine;

/// The precision of the time until a server is ready.
const TICK: Duration = Duration::from_millis(5);

/// A limit far above any time that is measured here.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);

/// The interval between two readings of the memory that must be equal. An idle server does nothing in between, but its
/// allocator may still release pages.
const REST: Duration = Duration::from_secs(1);

/// The maximum number of readings.
const RESTS: usize = 60;

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
    /// Starts colocate on free ports. `wrapper` is a command that executes the server, or empty; `prepare` adds arguments,
    /// such as the source of claims.
    pub(crate) fn start(wrapper: &[&str], prepare: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let program = program::path();
        ensure!(program.exists(), "{} was not built", program.display());
        Self::start_program(&program, wrapper, |command| {
            command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"]);
            prepare(command);
        })
    }

    /// Starts any webhook that accepts `--tls-cert` and `--tls-key`, and logs its addresses as colocate does.
    pub(crate) fn start_program(
        program: &Path,
        wrapper: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |file: &str| folder.path().join(file);
        let mut certs = program::command();
        let issued = certs.args(["certs", "--name", "127.0.0.1", "--dir"]).arg(folder.path()).output()?;
        ensure!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));

        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(wrapper).arg(program);
        prepare(&mut command);
        command.args([Path::new("--tls-cert"), &path("tls.crt"), Path::new("--tls-key"), &path("tls.key")]);
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

    /// Waits until it is ready. Returns the time since its start.
    pub(crate) fn wait_until_ready(&self) -> anyhow::Result<Duration> {
        wait(TICK, || self.is_ready())?;
        Ok(self.started.elapsed())
    }

    /// Returns whether it is ready.
    fn is_ready(&self) -> anyhow::Result<bool> {
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

    /// Its resident memory in bytes, once two readings are equal.
    pub(crate) fn resident_at_rest(&self) -> anyhow::Result<u64> {
        let mut before = self.resident()?;
        for _ in 0..RESTS {
            sleep(REST);
            let now = self.resident()?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
        bail!("the server's memory was not stable within {RESTS} readings")
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

/// Waits until a server has reached a state.
pub(crate) fn wait(between: Duration, mut reached: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let began = Instant::now();
    while !reached()? {
        ensure!(began.elapsed() < PATIENCE, "the server did not reach the expected state within {PATIENCE:?}");
        sleep(between);
    }
    Ok(())
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
