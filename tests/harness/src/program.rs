//! The program under test, `colocate`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Returns the path of `colocate`.
///
/// Cargo sets an environment variable when it runs integration tests. Examples, and test binaries that are run directly, find the
/// program in the parent of their own folder (`examples` or `deps`).
pub fn path() -> PathBuf {
    if let Some(path) = env::var_os("CARGO_BIN_EXE_colocate") {
        return path.into();
    }
    let own = env::current_exe().expect("Linux provides the path of the running program");
    let profile = own.ancestors().nth(2).expect("cargo builds into a subfolder of the profile's folder");
    profile.join("colocate")
}

/// Creates a command that runs `colocate`.
pub fn command() -> Command {
    Command::new(path())
}
