//! The real kubectl, as a person would type it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Object, PATIENCE};

/// kubectl as the administrator of one cluster.
#[derive(Clone)]
pub(crate) struct Kubectl {
    pub(super) program: PathBuf,
    pub(super) kubeconfig: PathBuf,
    /// Where it keeps what it learned of the API: not in the home of whoever runs the tests.
    pub(super) cache: PathBuf,
    /// The namespace of everything that it is given, or else what each object says, or `default`.
    pub(super) namespace: Option<String>,
}

/// What one call said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) succeeded: bool,
    pub(crate) stdout: String,
    /// Errors, and the warnings that webhooks send.
    pub(crate) stderr: String,
}

impl Output {
    /// Of one that was started, once it has ended.
    pub(super) fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("it was started");
        Self {
            succeeded: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Kubectl {
    /// The same in one namespace.
    pub(crate) fn within(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// Runs `line`, whose words are separated by spaces, with `manifest` as standard input, which `-f -` reads.
    pub(crate) fn attempt(&self, line: &str, manifest: &str) -> Output {
        let mut child = self.spawn(line);
        if let Some(mut stdin) = child.stdin.take() {
            // kubectl may end before it has read all; what it says then is what counts.
            let _ = stdin.write_all(manifest.as_bytes());
        }
        Output::of(child)
    }

    /// As [`attempt`](Self::attempt), where only success will do.
    pub(crate) fn feed(&self, line: &str, manifest: &str) -> Output {
        let output = self.attempt(line, manifest);
        assert!(output.succeeded, "kubectl {line}\n{}{}\n{manifest}", output.stdout, output.stderr);
        output
    }

    /// Runs `line`, where only success will do.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.feed(line, "")
    }

    /// The object that `line` prints.
    pub(crate) fn object(&self, line: &str) -> Object {
        Object(serde_json::from_str(&self.run(&format!("{line} -o json")).stdout).expect("kubectl prints JSON"))
    }

    /// The objects that `get WHAT` finds.
    pub(crate) fn list(&self, what: &str) -> Vec<Object> {
        match self.object(&format!("get {what}")).0["items"].take() {
            Value::Array(items) => items.into_iter().map(Object).collect(),
            other => panic!("kubectl get {what} printed no list but {other}"),
        }
    }

    /// Watches what `get WHAT` finds, from what is there already, until `done` has seen enough.
    pub(crate) fn watch<T>(&self, what: &str, mut done: impl FnMut(Object) -> Option<T>) -> T {
        let line = format!("get {what} --watch -o json --request-timeout={}s", PATIENCE.as_secs());
        let mut child = self.spawn(&line);
        let stdout = child.stdout.take().expect("it is piped");
        let objects = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
        let result = objects.map_while(Result::ok).find_map(|object| done(Object(object)));
        // Whether it has ended by itself, or is killed now, it is waited for.
        let _ = child.kill();
        let output = child.wait_with_output().expect("kubectl was started");
        result.unwrap_or_else(|| {
            let now = self.attempt(&format!("get {what} -o yaml"), "").stdout;
            panic!("kubectl {line}: it never came.\n{}{now}", String::from_utf8_lossy(&output.stderr))
        })
    }

    /// kubectl with the words of `line`, to be run in another way than here.
    pub(crate) fn command(&self, line: &str) -> Command {
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
