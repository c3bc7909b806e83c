//! The programs that tests need besides `colocate`. Scripts build or install them, once for all clones.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::repository;

/// Returns the folder of the control plane's programs: kubectl, helm and others.
pub fn folder() -> PathBuf {
    printed_by("tests/controlplane/build", &[]).expect("the script prints a folder")
}

/// Another Kubernetes release than that of the control plane: its API server, its controllers and its scheduler.
pub(crate) struct Kubernetes {
    /// The folder of the programs.
    pub(crate) folder: PathBuf,
    /// The second number of the version.
    pub(crate) minor: u32,
}

impl Kubernetes {
    /// The variable that `make compat` sets to a version, such as `1.29.6`.
    const VARIABLE: &str = "COLOCATE_KUBERNETES";

    /// Returns the release that the environment selects, after building it if necessary.
    pub(crate) fn selected() -> Option<Self> {
        let version = std::env::var(Self::VARIABLE).ok()?;
        let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
        let minor =
            minor.unwrap_or_else(|| panic!("{} is \"{version}\": use a version such as 1.29.6", Self::VARIABLE));
        let folder = printed_by("tests/compat/build", &[&version]).expect("the script prints a folder");
        Some(Self { folder, minor })
    }
}

/// Returns the folder of the tools for pipelines: kustomize and actionlint.
pub fn tools() -> PathBuf {
    printed_by("tests/pipelines/tools/build", &[]).expect("the script prints a folder")
}

/// Returns the path of pre-commit; `None` if this machine cannot run it. The terminal then shows why.
pub fn pre_commit() -> Option<PathBuf> {
    Some(printed_by("tests/pipelines/python/install", &[])?.join("pre-commit"))
}

/// Returns the folder of prometheus and promtool; `None` if this machine has no packages of Debian. The terminal then shows why.
pub fn prometheus() -> Option<PathBuf> {
    printed_by("tests/prometheus/install", &[])
}

/// Runs a script, and returns the path that it prints. Its messages appear on the terminal.
fn printed_by(script: &str, arguments: &[&str]) -> Option<PathBuf> {
    let path = repository(script);
    let output = Command::new(&path)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(output.status.success(), "{} failed: see its output above", path.display());
    Some(String::from_utf8_lossy(&output.stdout).trim()).filter(|path| !path.is_empty()).map(PathBuf::from)
}
