//! A colocate process, with its log and what it answers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use colocate::probe::Client;
use serde::Deserialize;

use super::control_plane::ControlPlane;
use super::kubectl::Kubectl;
use super::launch::{Certificate, Launch};
use super::lines::Lines;
use super::webhook::{Authority, Namespaces, Webhook};
use super::{Account, COLOCATE, Namespace, PATIENCE};

/// A colocate that runs for as long as this value lives.
pub(crate) struct Colocate {
    /// The namespace of the Service that its certificate is for.
    pub(super) home: String,
    pub(super) port: u16,
    /// Where it answers probes and scrapes.
    pub(super) admin: SocketAddr,
    /// Whom its clients trust.
    pub(super) authority: Authority,
    pub(super) log: Lines,
    pub(super) process: Child,
}

/// The line of its log that tells of a decision.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) reason: String,
    pub(crate) operation: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Whether nothing is kept.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// What was set, or would have been.
    #[serde(default)]
    pub(crate) scheduler: Option<String>,
    /// What was found of each claim.
    #[serde(default)]
    pub(crate) claims: String,
}

impl Colocate {
    /// One that decides, with this configuration, about all that comes into `namespace`.
    pub(crate) fn register(namespace: &Namespace, config: &str) -> Self {
        Self::register_in(ControlPlane::shared(), namespace, config)
    }

    /// The same in a control plane of the test's own.
    pub(crate) fn register_in(control_plane: &ControlPlane, namespace: &Namespace, config: &str) -> Self {
        let colocate = Self::start(control_plane, namespace.name(), config);
        colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));
        colocate
    }

    /// One whose certificate is for the Service in the namespace `home`, which exists, and that nobody calls yet. It is a
    /// `ServiceAccount` there, with the rights that it needs.
    pub(crate) fn start(control_plane: &ControlPlane, home: &str, config: &str) -> Self {
        let account = Account::new(control_plane, home, "colocate", COLOCATE);
        Self::start_as(&account, control_plane, home, config)
    }

    /// The same as an account that there is already. The API server may be away.
    pub(crate) fn start_as(account: &Account, control_plane: &ControlPlane, home: &str, config: &str) -> Self {
        Self::launch(account, control_plane, home, config, "debug")
    }

    /// One that logs no decisions, to be measured; nobody calls it.
    pub(crate) fn start_quietly(control_plane: &ControlPlane, home: &str) -> Self {
        let account = Account::new(control_plane, home, "colocate", COLOCATE);
        Self::launch(&account, control_plane, home, "", "info")
    }

    fn launch(account: &Account, control_plane: &ControlPlane, home: &str, config: &str, log_level: &str) -> Self {
        let launch = Launch {
            control_plane,
            account,
            home,
            replica: "one",
            config,
            log_level,
            certificate: Certificate::Issued,
        };
        launch.go()
    }

    /// Registers it for these namespaces, that of `kubectl` among them, and returns when the API server asks it and it
    /// has an answer. One that keeps the `caBundle` itself is registered without one.
    pub(crate) fn admit(&self, kubectl: &Kubectl, namespaces: Namespaces<'_>) {
        let bundle = self.authority.told();
        let webhook = Webhook { home: &self.home, namespaces, port: self.port, bundle: bundle.as_deref() };
        kubectl.feed("create -f -", &webhook.manifest());
        let began = Instant::now();
        while !self.decisions().iter().any(Decided::is_probe) {
            // The API server hears of a new configuration some time after it is made, and colocate of the claims.
            let output = kubectl.attempt("create --dry-run=server -f -", &probe());
            assert!(began.elapsed() < PATIENCE, "the API server does not call colocate:\n{}", output.stderr);
        }
    }

    /// Registers it to validate what is in the namespace of `kubectl`, and objects of no namespace whose names begin with
    /// that one's; returns when the API server asks it.
    pub(crate) fn validate(&self, kubectl: &Kubectl, namespace: &str) {
        let bundle = self.authority.told();
        let only = Namespaces::Only(&[namespace]);
        let webhook = Webhook { home: &self.home, namespaces: only, port: self.port, bundle: bundle.as_deref() };
        kubectl.feed("create -f -", &webhook.validating_manifest(namespace));
        let began = Instant::now();
        while self.metric("colocate_validations_total") == 0 {
            let output = kubectl.attempt("create --dry-run=server -f -", &probe());
            assert!(began.elapsed() < PATIENCE, "the API server does not call colocate:\n{}", output.stderr);
        }
    }

    /// The sum of all series of a counter whose line in a scrape begins so.
    pub(crate) fn metric(&self, prefix: &str) -> u64 {
        metric(self.admin, prefix)
    }

    /// The decisions so far.
    pub(crate) fn decisions(&self) -> Vec<Decided> {
        self.log.so_far().iter().filter_map(|line| Decided::parse(line)).collect()
    }

    /// The reason for which the first object of that kind whose name begins with `name` was made as it was, once that is
    /// decided.
    pub(crate) fn reason_at_create(&self, kind: &str, name: &str) -> String {
        let what = format!("a decision about a new {kind} {name}");
        self.log.wait_for(&what, |line| {
            let decided = Decided::parse(line).filter(|decided| decided.is_about("CREATE", kind, name))?;
            Some(decided.reason)
        })
    }

    /// Returns when an update of such an object was decided for this reason. There are other updates than a test's own:
    /// controllers write annotations and finalizers.
    pub(crate) fn wait_for_update(&self, kind: &str, name: &str, reason: &str) {
        let what = format!("an update of {kind} {name} that is {reason}");
        self.log.wait_for(&what, |line| {
            let decided = Decided::parse(line).filter(|decided| decided.is_about("UPDATE", kind, name))?;
            (decided.reason == reason).then_some(())
        });
    }

    /// What its admin port answers to a GET, with the headers.
    pub(crate) fn admin(&self, path: &str) -> String {
        ask(self.admin, path)
    }

    /// How often claims were found so (`cached`, `fetched`, `waited`, `missing`).
    pub(crate) fn lookups(&self, result: &str) -> u64 {
        let prefix = format!("colocate_claim_lookups_total{{result=\"{result}\"}} ");
        let metrics = self.admin("/metrics");
        metrics.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok()).unwrap_or_default()
    }

    /// Where it answers reviews, on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where it answers probes and scrapes.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Whoever asks it directly, as the API server does: with the trust of this moment.
    pub(crate) fn client(&self, timeout: Duration) -> Client {
        self.authority.client(self.port, timeout)
    }

    /// Whether it says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.admin("/readyz").starts_with("HTTP/1.1 200 ")
    }

    /// Returns when it is ready.
    pub(crate) fn wait_until_ready(&self) {
        self.wait_for_message("ready", 1);
    }

    /// Returns when what it says of its readiness has that text in it.
    pub(crate) fn wait_for_readiness(&self, text: &str) {
        let began = Instant::now();
        loop {
            let said = self.admin("/readyz");
            if said.contains(text) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "it never said {text:?}, but {said}");
        }
    }

    /// Sends a signal to it, by its name: `TERM`, `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.pid()]).status().expect("every Linux has it");
        assert!(status.success(), "kill -s {signal}: {status}");
    }

    /// Its exit code, once it has ended; of one that a signal ended, 128 and the number of the signal.
    pub(crate) fn wait(&mut self) -> i32 {
        self.log.wait_for_end("colocate");
        let status = self.process.wait().expect("it is a child of ours");
        status.code().expect("who started it tells of signals as exit codes")
    }

    /// The memory that it has in RAM, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB")?.trim().parse().ok());
        size.map(|kilobytes: u64| kilobytes * 1024).expect("a process that runs has memory")
    }

    /// Returns when its log has `count` lines with that message.
    pub(crate) fn wait_for_message(&self, text: &str, count: usize) {
        self.log.wait_for_message(text, count);
    }

    /// The program runs as the one child of a process that ends it in time.
    fn pid(&self) -> String {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("it runs");
        let children = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
        children.collect::<String>().trim().to_owned()
    }

    /// Returns when its log has a line with that text in it.
    pub(crate) fn wait_for_line(&self, text: &str) -> String {
        self.log.wait_for(&format!("{text:?}"), |line| line.contains(text).then(|| line.to_owned()))
    }

    /// Whether its process has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Its log.
    pub(crate) fn log(&self) -> &Lines {
        &self.log
    }
}

impl Drop for Colocate {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        if std::thread::panicking() {
            // The test runner shows it with the test that failed.
            eprintln!("colocate's log:\n{}", self.log.so_far().join("\n"));
        }
    }
}

impl Decided {
    /// The decision that a line of the log tells of, if it does.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        message(line, "decided")
    }

    /// Whether it is of the probe by which [`Colocate::admit`] finds out whether it is called.
    pub(crate) fn is_probe(&self) -> bool {
        self.name == PROBE
    }

    fn is_about(&self, operation: &str, kind: &str, name: &str) -> bool {
        self.operation == operation && self.kind == kind && self.name.starts_with(name) && !self.is_probe()
    }
}

/// What is answered at that address to a GET, with the headers.
fn ask(admin: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(admin).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is a timeout");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: colocate.test\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    answer
}

/// The sum of all series of a counter whose line in a scrape begins so.
pub(super) fn metric(admin: SocketAddr, prefix: &str) -> u64 {
    let metrics = ask(admin, "/metrics");
    let series = metrics.lines().filter(|line| line.starts_with(prefix));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// The fields of a line of the log with that message.
pub(super) fn message<T: for<'de> Deserialize<'de>>(line: &str, message: &str) -> Option<T> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["message"] == message).then(|| serde_json::from_value(line)).and_then(Result::ok)
}

const PROBE: &str = "probe";

/// A pod about which there is something to decide, whatever claims there are.
fn probe() -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {PROBE}}}
spec:
  containers: [{{name: main, image: example.test/main:1}}]
  volumes: [{{name: data, csi: {{driver: pxd.portworx.com}}}}]
"
    )
}
