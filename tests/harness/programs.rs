//! The programs of the control plane: kubectl, helm and the rest.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder that they are in. They are built if that was not done before: what it says meanwhile is on the terminal at once.
pub(crate) fn folder() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/build");
    let output = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert!(output.status.success(), "{} failed: why stands above", script.display());
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}
