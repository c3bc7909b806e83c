//! The real Helm, as a person would type it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Namespace;
use super::control_plane::ControlPlane;
use super::kubectl::Output;

/// Helm as the administrator of a control plane, in one namespace.
pub(crate) struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Where it keeps what it keeps: not in the home of whoever runs the tests.
    home: PathBuf,
    namespace: String,
}

impl Helm {
    pub(crate) fn new(control_plane: &ControlPlane, namespace: &Namespace) -> Self {
        Self {
            program: control_plane.programs.join("helm"),
            kubeconfig: control_plane.kubeconfig().to_owned(),
            home: control_plane.dir().join("helm"),
            namespace: namespace.name().to_owned(),
        }
    }

    /// Runs `line`, whose words are separated by spaces, where only success will do; `CHART` stands for the chart under
    /// `tests/fixtures`.
    pub(crate) fn run(&self, line: &str) -> String {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chart");
        self.feed(&line.replace("CHART", chart.to_str().expect("the path is text")), "")
    }

    /// The same with a text as standard input, which `--values -` reads.
    pub(crate) fn feed(&self, line: &str, input: &str) -> String {
        let Output { succeeded, stdout, stderr } = self.attempt(line, input);
        assert!(succeeded, "helm {line}\n{stdout}{stderr}\n{input}");
        stdout
    }

    /// The same, whatever comes of it.
    pub(crate) fn attempt(&self, line: &str, input: &str) -> Output {
        let mut command = Command::new(&self.program);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, &self.home);
        }
        command.env("KUBECONFIG", &self.kubeconfig).arg("--namespace").arg(&self.namespace);
        command.args(line.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        if let Some(mut stdin) = child.stdin.take() {
            // helm may end before it has read all; what it says then is what counts.
            let _ = stdin.write_all(input.as_bytes());
        }
        Output::of(child)
    }
}
