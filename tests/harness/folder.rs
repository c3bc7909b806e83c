//! A folder with files, in which a command of colocate's runs.

#![allow(dead_code, reason = "each of its users uses a part of it")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::COMMAND;

pub(crate) const CLASS: &str = include_str!("../../examples/mysql/storageclass.yaml");
pub(crate) const CLAIM: &str = include_str!("../../examples/mysql/claim.yaml");
pub(crate) const DEPLOYMENT: &str = include_str!("../../examples/mysql/deployment.yaml");

/// A folder with files, in which the command of these tests runs.
pub(crate) struct Folder(TempDir);

pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = folder.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    pub(crate) fn mysql() -> Self {
        Self::new(&[("class.yaml", CLASS), ("claim.yaml", CLAIM), ("deployment.yaml", DEPLOYMENT)])
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn run(&self, arguments: &str) -> Run {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with(&self, arguments: &str, stdin: &str) -> Run {
        let mut child = Command::new(env!("CARGO_BIN_EXE_colocate"))
            .arg(COMMAND)
            .args(arguments.split(' '))
            .current_dir(self.root())
            .env("KUBECONFIG", self.path("kubeconfig"))
            .env("HOME", self.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails before it reads closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}
