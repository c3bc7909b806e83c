//! The program under test.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The path of `colocate`.
///
/// Cargo tells it to integration tests when it runs them. Examples, and tests that are run by hand, find it in the folder above
/// their own (`examples` or `deps`).
pub fn path() -> PathBuf {
    if let Some(path) = env::var_os("CARGO_BIN_EXE_colocate") {
        return path.into();
    }
    let own = env::current_exe().expect("Linux knows the path of a program");
    let profile = own.ancestors().nth(2).expect("cargo builds into a folder of the profile's");
    profile.join("colocate")
}

/// A command that runs `colocate`.
pub fn command() -> Command {
    Command::new(path())
}
