//! A temporary folder with files, and commands that run in it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use super::program;

/// The MySQL example's `StorageClass`.
pub const CLASS: &str = include_str!("../../../examples/mysql/storageclass.yaml");
/// The MySQL example's claim.
pub const CLAIM: &str = include_str!("../../../examples/mysql/claim.yaml");
/// The MySQL example's Deployment.
pub const DEPLOYMENT: &str = include_str!("../../../examples/mysql/deployment.yaml");

/// Two `StorageClass`es: `px` of Portworx, and `ebs` of a driver that is not configured.
pub const TWO_CLASSES: &str = "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: px}
provisioner: pxd.portworx.com
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: ebs}
provisioner: ebs.csi.aws.com
";

/// A temporary folder in which commands of colocate run.
pub struct Folder(TempDir);

/// The result of a command.
pub struct Run {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// The standard output.
    pub out: String,
    /// The standard error.
    pub err: String,
}

impl Folder {
    /// Creates a folder with these files, given as paths and texts.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = folder.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    /// Creates a folder with the MySQL example.
    pub fn mysql() -> Self {
        Self::new(&[("class.yaml", CLASS), ("claim.yaml", CLAIM), ("deployment.yaml", DEPLOYMENT)])
    }

    /// The path.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The text of a file in it.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `colocate` with these space-separated arguments.
    pub fn run(&self, arguments: &str) -> Run {
        self.run_with(arguments, "")
    }

    /// Runs `colocate` in a directory of the folder.
    pub fn run_in(&self, directory: &str, arguments: &str) -> Run {
        self.start(&self.path(directory), arguments, "")
    }

    /// Runs `colocate` with these arguments and this standard input.
    pub fn run_with(&self, arguments: &str, stdin: &str) -> Run {
        self.start(self.root(), arguments, stdin)
    }

    fn start(&self, directory: &Path, arguments: &str, stdin: &str) -> Run {
        let mut child = program::command()
            .args(arguments.split(' '))
            .current_dir(directory)
            .env("KUBECONFIG", self.path("kubeconfig"))
            .env("HOME", self.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails early closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Run {
    /// Returns the start of each finding of `colocate validate`, including its rule: `a.yaml:1:2: error[HC001]`.
    pub fn places(&self) -> Vec<&str> {
        let heads = self.out.lines().filter(|line| line.contains(": ") && !line.starts_with(' '));
        heads.filter_map(|line| Some(&line[..=line.find(']')?])).collect()
    }
}
