//! The real kubectl CLI.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Object, WAIT_TIMEOUT};

/// kubectl as the administrator of one cluster.
#[derive(Clone)]
pub struct Kubectl {
    pub(crate) program: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    /// The folder for caches, used instead of the user's home.
    pub(crate) cache: PathBuf,
    /// The namespace of all objects. If `None`, it is the one in each object, or `default`.
    pub(crate) namespace: Option<String>,
}

/// The result of a command.
#[derive(Debug)]
pub struct Output {
    /// Whether its exit code is 0.
    pub succeeded: bool,
    /// The standard output.
    pub stdout: String,
    /// The standard error, with the warnings of webhooks.
    pub stderr: String,
}

impl Output {
    /// Waits until a command exits, and returns its output.
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("the command was started");
        Self {
            succeeded: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Kubectl {
    /// Returns a kubectl for that namespace.
    pub fn within(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// Runs kubectl with the space-separated arguments in `line`, and with `manifest` as standard input, which `-f -` reads.
    pub fn attempt(&self, line: &str, manifest: &str) -> Output {
        let mut child = self.spawn(line);
        if let Some(mut stdin) = child.stdin.take() {
            // kubectl may exit before it has read everything. Its output then explains why.
            let _ = stdin.write_all(manifest.as_bytes());
        }
        Output::of(child)
    }

    /// Like [`attempt`](Self::attempt), but panics if the command fails.
    pub fn feed(&self, line: &str, manifest: &str) -> Output {
        let output = self.attempt(line, manifest);
        assert!(output.succeeded, "kubectl {line}\n{}{}\n{manifest}", output.stdout, output.stderr);
        output
    }

    /// Runs kubectl with the arguments in `line`, and panics if it fails.
    pub fn run(&self, line: &str) -> Output {
        self.feed(line, "")
    }

    /// Returns the object that `line` prints.
    pub fn object(&self, line: &str) -> Object {
        Object(serde_json::from_str(&self.run(&format!("{line} -o json")).stdout).expect("kubectl prints JSON"))
    }

    /// Returns the objects that `get WHAT` finds.
    pub fn list(&self, what: &str) -> Vec<Object> {
        match self.object(&format!("get {what}")).0["items"].take() {
            Value::Array(items) => items.into_iter().map(Object).collect(),
            other => panic!("kubectl get {what} printed {other} instead of a list"),
        }
    }

    /// Watches what `get WHAT` finds, including the existing objects, until `done` returns a value.
    pub fn watch<T>(&self, what: &str, mut done: impl FnMut(Object) -> Option<T>) -> T {
        let line = format!("get {what} --watch -o json --request-timeout={}s", WAIT_TIMEOUT.as_secs());
        let mut child = self.spawn(&line);
        let stdout = child.stdout.take().expect("the stream is piped");
        let objects = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
        let result = objects.map_while(Result::ok).find_map(|object| done(Object(object)));
        // kubectl may have exited already.
        let _ = child.kill();
        let output = child.wait_with_output().expect("kubectl was started");
        result.unwrap_or_else(|| {
            let now = self.attempt(&format!("get {what} -o yaml"), "").stdout;
            panic!(
                "kubectl {line}: the expected object did not appear.\n{}{now}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// Creates a kubectl command with the arguments in `line`.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(self.namespace.iter().map(|namespace| format!("--namespace={namespace}")))
            .args(line.split_whitespace())
            .env("KUBECACHEDIR", &self.cache);
        command
    }

    fn spawn(&self, line: &str) -> Child {
        let mut command = self.command(line);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        spawned.unwrap_or_else(|error| panic!("{}: {error}", self.program.display()))
    }
}
