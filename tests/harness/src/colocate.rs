//! A colocate process in front of a control plane, with its log and metrics.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ::colocate::probe::Client;
use serde::Deserialize;

use super::control_plane::ControlPlane;
use super::kubectl::Kubectl;
use super::launch::{Certificate, Launch};
use super::lines::Lines;
use super::webhook::{Authority, Namespaces, Webhook};
use super::{Account, COLOCATE, Namespace, PATIENCE};

/// A colocate that runs for as long as this value lives.
pub struct Colocate {
    /// The namespace of the Service that its certificate is for.
    pub(crate) home: String,
    pub(crate) port: u16,
    /// The address of probes and metrics.
    pub(crate) admin: SocketAddr,
    /// The CA of its certificate.
    pub(crate) authority: Authority,
    pub(crate) log: Lines,
    pub(crate) process: Child,
}

/// The log line of a decision.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Decided {
    /// The reason's word.
    pub reason: String,
    /// The operation: `CREATE` or `UPDATE`.
    pub operation: String,
    /// The kind of the object.
    pub kind: String,
    /// The namespace of the object.
    pub namespace: String,
    /// The name, or the prefix of a generated one.
    pub name: String,
    /// Whether it is a dry run.
    #[serde(default)]
    pub dry_run: bool,
    /// The scheduler that was set, or would have been.
    #[serde(default)]
    pub scheduler: Option<String>,
    /// The findings about each claim.
    #[serde(default)]
    pub claims: String,
}

impl Colocate {
    /// Starts one with this configuration, and registers it for all objects in `namespace`.
    pub fn register(namespace: &Namespace, config: &str) -> Self {
        Self::register_in(ControlPlane::shared(), namespace, config)
    }

    /// Like [`register`](Self::register), in a control plane of the test's own.
    pub fn register_in(control_plane: &ControlPlane, namespace: &Namespace, config: &str) -> Self {
        let colocate = Self::start(control_plane, namespace.name(), config);
        colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));
        colocate
    }

    /// Starts one that is not registered. Its certificate is for the Service in the existing namespace `home`, where it gets a
    /// `ServiceAccount` with the rights that it needs.
    pub fn start(control_plane: &ControlPlane, home: &str, config: &str) -> Self {
        let account = Account::new(control_plane, home, "colocate", COLOCATE);
        Self::start_as(&account, control_plane, home, config)
    }

    /// Like [`start`](Self::start), as an existing account. The API server may be unavailable.
    pub fn start_as(account: &Account, control_plane: &ControlPlane, home: &str, config: &str) -> Self {
        Self::launch(account, control_plane, home, config, "debug")
    }

    /// Like [`start`](Self::start), without decisions in the log, for measurements.
    pub fn start_quietly(control_plane: &ControlPlane, home: &str) -> Self {
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

    /// Registers it for these namespaces, including that of `kubectl`, and waits until it decides for the API server. If it
    /// maintains the `caBundle` itself, it is registered without one.
    pub fn admit(&self, kubectl: &Kubectl, namespaces: Namespaces<'_>) {
        let bundle = self.authority.told();
        let webhook = Webhook { home: &self.home, namespaces, port: self.port, bundle: bundle.as_deref() };
        kubectl.feed("create -f -", &webhook.manifest());
        let began = Instant::now();
        while !self.decisions().iter().any(Decided::is_probe) {
            // The API server learns about a new configuration late, and colocate about the claims.
            let output = kubectl.attempt("create --dry-run=server -f -", &probe());
            assert!(began.elapsed() < PATIENCE, "the API server does not call colocate:\n{}", output.stderr);
        }
    }

    /// Registers it to validate the objects in the namespace of `kubectl`, and cluster-wide objects whose names start with the
    /// namespace's. Waits until the API server calls it.
    pub fn validate(&self, kubectl: &Kubectl, namespace: &str) {
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

    /// The sum of all series of a counter whose lines in a scrape start with `prefix`.
    pub fn metric(&self, prefix: &str) -> u64 {
        metric(self.admin, prefix)
    }

    /// The decisions so far.
    pub fn decisions(&self) -> Vec<Decided> {
        self.log.so_far().iter().filter_map(|line| Decided::parse(line)).collect()
    }

    /// Waits for the decision about the first new object of that kind whose name starts with `name`, and returns its reason.
    pub fn reason_at_create(&self, kind: &str, name: &str) -> String {
        let what = format!("a decision about a new {kind} {name}");
        self.log.wait_for(&what, |line| {
            let decided = Decided::parse(line).filter(|decided| decided.is_about("CREATE", kind, name))?;
            Some(decided.reason)
        })
    }

    /// Waits for an update of such an object with this reason. Controllers, too, update objects: they write annotations and
    /// finalizers.
    pub fn wait_for_update(&self, kind: &str, name: &str, reason: &str) {
        let what = format!("an update of {kind} {name} that is {reason}");
        self.log.wait_for(&what, |line| {
            let decided = Decided::parse(line).filter(|decided| decided.is_about("UPDATE", kind, name))?;
            (decided.reason == reason).then_some(())
        });
    }

    /// The response of its admin port to a GET, with the headers.
    pub fn admin(&self, path: &str) -> String {
        ask(self.admin, path)
    }

    /// The number of claim lookups with this result (`cached`, `fetched`, `waited`, `missing`).
    pub fn lookups(&self, result: &str) -> u64 {
        let prefix = format!("colocate_claim_lookups_total{{result=\"{result}\"}} ");
        let metrics = self.admin("/metrics");
        metrics.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok()).unwrap_or_default()
    }

    /// The local port of reviews.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of probes and metrics.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// A client that calls it like the API server does, with the current trust.
    pub fn client(&self, timeout: Duration) -> Client {
        self.authority.client(self.port, timeout)
    }

    /// Returns whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.admin("/readyz").starts_with("HTTP/1.1 200 ")
    }

    /// Waits until it is ready.
    pub fn wait_until_ready(&self) {
        self.wait_for_message("ready", 1);
    }

    /// Waits until the response of its readiness probe contains that text.
    pub fn wait_for_readiness(&self, text: &str) {
        let began = Instant::now();
        loop {
            let said = self.admin("/readyz");
            if said.contains(text) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "it never said {text:?}, but {said}");
        }
    }

    /// Sends a signal to it: `TERM` or `KILL`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.pid()]).status().expect("every Linux has it");
        assert!(status.success(), "kill -s {signal}: {status}");
    }

    /// Waits for its end, and returns its exit code; after a signal, 128 plus the number of the signal.
    pub fn wait(&mut self) -> i32 {
        self.log.wait_for_end("colocate");
        let status = self.process.wait().expect("it is a child of ours");
        status.code().expect("the wrapper reports signals as exit codes")
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB")?.trim().parse().ok());
        size.map(|kilobytes: u64| kilobytes * 1024).expect("a process that runs has memory")
    }

    /// Waits until its log has `count` lines with that message.
    pub fn wait_for_message(&self, text: &str, count: usize) {
        self.log.wait_for_message(text, count);
    }

    /// Finds the program, which is the one child of the process that ends it with this one.
    fn pid(&self) -> String {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("it runs");
        let children = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
        children.collect::<String>().trim().to_owned()
    }

    /// Waits for a line with that text in its log.
    pub fn wait_for_line(&self, text: &str) -> String {
        self.log.wait_for(&format!("{text:?}"), |line| line.contains(text).then(|| line.to_owned()))
    }

    /// Returns whether its process runs.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Its log.
    pub fn log(&self) -> &Lines {
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
    /// Parses a log line; `None` if it is not about a decision.
    pub fn parse(line: &str) -> Option<Self> {
        message(line, "decided")
    }

    /// Returns whether it is about the probe of [`Colocate::admit`].
    pub fn is_probe(&self) -> bool {
        self.name == PROBE
    }

    fn is_about(&self, operation: &str, kind: &str, name: &str) -> bool {
        self.operation == operation && self.kind == kind && self.name.starts_with(name) && !self.is_probe()
    }
}

/// The response at that address to a GET, with the headers.
fn ask(admin: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(admin).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is a timeout");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: colocate.test\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    answer
}

/// The sum of all series of a counter whose lines in a scrape start with `prefix`.
pub(crate) fn metric(admin: SocketAddr, prefix: &str) -> u64 {
    let metrics = ask(admin, "/metrics");
    let series = metrics.lines().filter(|line| line.starts_with(prefix));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// The fields of a log line with that message.
pub(crate) fn message<T: for<'de> Deserialize<'de>>(line: &str, message: &str) -> Option<T> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["message"] == message).then(|| serde_json::from_value(line)).and_then(Result::ok)
}

const PROBE: &str = "probe";

/// A pod that needs a decision, whichever claims exist.
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
