//! The real Helm CLI.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::control_plane::ControlPlane;
use super::kubectl::Output;
use super::{Namespace, repository};

/// Helm as the administrator of a control plane, in one namespace.
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// The folder for caches and data, used instead of the user's home.
    home: PathBuf,
    namespace: String,
}

impl Helm {
    /// Creates a Helm for that namespace.
    pub fn new(control_plane: &ControlPlane, namespace: &Namespace) -> Self {
        Self {
            program: control_plane.programs.join("helm"),
            kubeconfig: control_plane.kubeconfig().to_owned(),
            home: control_plane.dir().join("helm"),
            namespace: namespace.name().to_owned(),
        }
    }

    /// Runs Helm with the space-separated arguments in `line`, and panics if it fails. `CHART` stands for the chart under
    /// `tests/fixtures`.
    pub fn run(&self, line: &str) -> String {
        let chart = repository("tests/fixtures/chart");
        self.feed(&line.replace("CHART", chart.to_str().expect("the path is UTF-8")), "")
    }

    /// Like [`run`](Self::run), with a standard input, which `--values -` reads. Returns the standard output.
    pub fn feed(&self, line: &str, input: &str) -> String {
        let Output { succeeded, stdout, stderr } = self.attempt(line, input);
        assert!(succeeded, "helm {line}\n{stdout}{stderr}\n{input}");
        stdout
    }

    /// Like [`feed`](Self::feed), but also returns the output of a failed command.
    pub fn attempt(&self, line: &str, input: &str) -> Output {
        let mut command = Command::new(&self.program);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, &self.home);
        }
        command.env("KUBECONFIG", &self.kubeconfig).arg("--namespace").arg(&self.namespace);
        command.args(line.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        if let Some(mut stdin) = child.stdin.take() {
            // helm may exit before it has read everything. Its output then explains why.
            let _ = stdin.write_all(input.as_bytes());
        }
        Output::of(child)
    }
}
