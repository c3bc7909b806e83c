//! The programs of the control plane: kubectl, helm and others.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::repository;

/// Returns the folder of the programs. Builds them if necessary, and prints the output of the build on the terminal.
pub fn folder() -> PathBuf {
    let script = repository("tests/controlplane/build");
    let output = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert!(output.status.success(), "{} failed: see its output above", script.display());
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}
