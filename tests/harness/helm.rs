//! The real Helm, as a person would type it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Namespace;
use super::control_plane::ControlPlane;

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
        let mut command = Command::new(&self.program);
        for word in line.split_whitespace() {
            if word == "CHART" {
                command.arg(&chart);
            } else {
                command.arg(word);
            }
        }
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, &self.home);
        }
        command.env("KUBECONFIG", &self.kubeconfig).arg("--namespace").arg(&self.namespace);
        let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "helm {line}\n{out}{err}");
        out
    }
}
