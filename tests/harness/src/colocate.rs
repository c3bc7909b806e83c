//! A colocate process in front of a control plane, with its log and metrics.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ::colocate::probe::Client;
use jiff::SignedDuration;
use serde::Deserialize;

use super::control_plane::ControlPlane;
use super::kubectl::Kubectl;
use super::launch::{Certificate, Launch};
use super::lines::Lines;
use super::webhook::{Authority, Namespaces, Webhook};
use super::{Account, COLOCATE, Namespace, WAIT_TIMEOUT};

/// A colocate process that runs until it is dropped.
pub struct Colocate {
    /// The namespace of the Service that the certificate is for.
    pub(crate) home: String,
    pub(crate) port: u16,
    /// The address of probes and metrics.
    pub(crate) admin: SocketAddr,
    /// The CA of the certificate.
    pub(crate) authority: Authority,
    pub(crate) log: Lines,
    pub(crate) process: Child,
}

/// The log line of a decision.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Decided {
    /// The reason, such as `injected`.
    pub reason: String,
    /// The operation: `CREATE` or `UPDATE`.
    pub operation: String,
    /// The kind of the object.
    pub kind: String,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object, or its `generateName`.
    pub name: String,
    /// Whether the request is a dry run.
    #[serde(default)]
    pub dry_run: bool,
    /// The scheduler that was set, or that would have been set.
    #[serde(default)]
    pub scheduler: Option<String>,
    /// The findings about each claim.
    #[serde(default)]
    pub claims: String,
}

impl Colocate {
    /// Starts a colocate with this configuration, and registers it for all objects in `namespace`.
    pub fn register(namespace: &Namespace, config: &str) -> Self {
        Self::register_in(ControlPlane::shared(), namespace, config)
    }

    /// Like [`register`](Self::register), in the given control plane.
    pub fn register_in(control_plane: &ControlPlane, namespace: &Namespace, config: &str) -> Self {
        let colocate = Self::start(control_plane, namespace.name(), config);
        colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));
        colocate
    }

    /// Starts a colocate that is not registered. Its certificate is for the Service in the existing namespace `home`, where it
    /// gets a `ServiceAccount` with the permissions that it needs.
    pub fn start(control_plane: &ControlPlane, home: &str, config: &str) -> Self {
        let account = Account::new(control_plane, home, "colocate", COLOCATE);
        Self::start_as(&account, control_plane, home, config)
    }

    /// Like [`start`](Self::start), as an existing account. The API server may be unavailable.
    pub fn start_as(account: &Account, control_plane: &ControlPlane, home: &str, config: &str) -> Self {
        Self::launch(account, control_plane, home, config, "debug")
    }

    /// Like [`start`](Self::start), but does not log decisions, for measurements.
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
            clock_ahead: SignedDuration::ZERO,
        };
        launch.go()
    }

    /// Registers the webhook for these namespaces, including that of `kubectl`, and waits until the API server calls it. If
    /// colocate maintains the `caBundle` itself, the registration has none.
    pub fn admit(&self, kubectl: &Kubectl, namespaces: Namespaces<'_>) {
        let bundle = self.authority.bundle();
        let webhook = Webhook { home: &self.home, namespaces, port: self.port, bundle: bundle.as_deref() };
        kubectl.feed("create -f -", &webhook.manifest());
        let began = Instant::now();
        while !self.decisions().iter().any(Decided::is_probe) {
            // The API server learns about a new configuration late, and colocate about the claims late.
            let output = kubectl.attempt("create --dry-run=server -f -", &probe());
            assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not call colocate:\n{}", output.stderr);
        }
    }

    /// Registers the webhook to validate the objects in the namespace of `kubectl`, and cluster-wide objects whose names start
    /// with the name of the namespace. Waits until the API server calls it.
    pub fn validate(&self, kubectl: &Kubectl, namespace: &str) {
        let bundle = self.authority.bundle();
        let only = Namespaces::Only(&[namespace]);
        let webhook = Webhook { home: &self.home, namespaces: only, port: self.port, bundle: bundle.as_deref() };
        kubectl.feed("create -f -", &webhook.validating_manifest(namespace));
        let began = Instant::now();
        while self.metric("colocate_validations_total") == 0 {
            let output = kubectl.attempt("create --dry-run=server -f -", &probe());
            assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not call colocate:\n{}", output.stderr);
        }
    }

    /// Returns the sum of all series whose lines in a scrape start with `prefix`.
    pub fn metric(&self, prefix: &str) -> u64 {
        metric(self.admin, prefix)
    }

    /// Returns the decisions so far.
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

    /// Waits for an update of such an object with this reason. Controllers also update objects, to write annotations and
    /// finalizers.
    pub fn wait_for_update(&self, kind: &str, name: &str, reason: &str) {
        let what = format!("an update of {kind} {name} that is {reason}");
        self.log.wait_for(&what, |line| {
            let decided = Decided::parse(line).filter(|decided| decided.is_about("UPDATE", kind, name))?;
            (decided.reason == reason).then_some(())
        });
    }

    /// Sends a GET to the admin port, and returns the response with its headers.
    pub fn admin(&self, path: &str) -> String {
        ask(self.admin, "HTTP/1.1", path)
    }

    /// Returns the number of claim lookups with this result (`cached`, `fetched`, `waited`, `missing`).
    pub fn lookups(&self, result: &str) -> u64 {
        let prefix = format!("colocate_claim_lookups_total{{result=\"{result}\"}} ");
        let metrics = self.admin("/metrics");
        metrics.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok()).unwrap_or_default()
    }

    /// The local port for reviews.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of probes and metrics.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Creates a client that calls it like the API server does, and trusts the current CA.
    pub fn client(&self, timeout: Duration) -> Client {
        self.authority.client(self.port, timeout)
    }

    /// Returns whether the readiness probe succeeds.
    pub fn is_ready(&self) -> bool {
        self.admin("/readyz").starts_with("HTTP/1.1 200 ")
    }

    /// Waits until the log says that it is ready.
    pub fn wait_until_ready(&self) {
        self.wait_for_message("ready", 1);
    }

    /// Waits until the response of its readiness probe contains that text.
    pub fn wait_for_readiness(&self, text: &str) {
        let began = Instant::now();
        loop {
            let response = self.admin("/readyz");
            if response.contains(text) {
                return;
            }
            assert!(began.elapsed() < WAIT_TIMEOUT, "/readyz never contained {text:?}: {response}");
        }
    }

    /// Sends a signal to the process: `TERM` or `KILL`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.pid()]).status().expect("`kill` is installed");
        assert!(status.success(), "kill -s {signal}: {status}");
    }

    /// Waits until the process exits, and returns the exit code; after a signal, 128 plus the number of the signal.
    pub fn wait(&mut self) -> i32 {
        self.log.wait_for_end("colocate");
        let status = self.process.wait().expect("the process is a child of this one");
        status.code().expect("the wrapper reports signals as exit codes")
    }

    /// The resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process runs");
        let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB")?.trim().parse().ok());
        size.map(|kilobytes: u64| kilobytes * 1024).expect("/proc/PID/status has VmRSS")
    }

    /// Waits until the log has `count` lines with that message.
    pub fn wait_for_message(&self, text: &str, count: usize) {
        self.log.wait_for_message(text, count);
    }

    /// Returns the PID of colocate, the only child of the wrapper that stops it when this process ends.
    fn pid(&self) -> String {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("the wrapper runs");
        let children = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
        children.collect::<String>().trim().to_owned()
    }

    /// Waits for a log line that contains that text, and returns the line.
    pub fn wait_for_line(&self, text: &str) -> String {
        self.log.wait_for(&format!("{text:?}"), |line| line.contains(text).then(|| line.to_owned()))
    }

    /// Returns whether the process runs.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// The log.
    pub fn log(&self) -> &Lines {
        &self.log
    }
}

impl Drop for Colocate {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        if std::thread::panicking() {
            // The test runner shows the output of a failed test.
            eprintln!("colocate's log:\n{}", self.log.so_far().join("\n"));
        }
    }
}

impl Decided {
    /// Parses a log line. Returns `None` if the line is not about a decision.
    pub fn parse(line: &str) -> Option<Self> {
        message(line, "decided")
    }

    /// Returns whether the decision is about the probe of [`Colocate::admit`].
    pub fn is_probe(&self) -> bool {
        self.name == PROBE
    }

    fn is_about(&self, operation: &str, kind: &str, name: &str) -> bool {
        self.operation == operation && self.kind == kind && self.name.starts_with(name) && !self.is_probe()
    }
}

/// Sends a GET in that version of HTTP to that address, and returns the response with its headers.
pub(crate) fn ask(address: SocketAddr, version: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("the port accepts connections");
    socket.set_read_timeout(Some(WAIT_TIMEOUT)).expect("the timeout is not zero");
    write!(socket, "GET {path} {version}\r\nHost: colocate.test\r\nConnection: close\r\n\r\n")
        .expect("the server reads the request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("the server responds");
    answer
}

/// Returns the sum of all series whose lines in a scrape start with `prefix`.
pub(crate) fn metric(admin: SocketAddr, prefix: &str) -> u64 {
    let metrics = ask(admin, "HTTP/1.1", "/metrics");
    let series = metrics.lines().filter(|line| line.starts_with(prefix));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// Parses the fields of a log line. Returns `None` if the line has another message.
pub(crate) fn message<T: for<'de> Deserialize<'de>>(line: &str, message: &str) -> Option<T> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["message"] == message).then(|| serde_json::from_value(line)).and_then(Result::ok)
}

const PROBE: &str = "probe";

/// A pod that needs a decision, regardless of which claims exist.
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
