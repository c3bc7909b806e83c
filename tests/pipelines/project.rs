//! A repository of a user: manifests, a chart, and the storage objects that they depend on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use colocate_harness::{CLAIM, CLASS, DEPLOYMENT, Folder, Run, program, programs, repository};

use crate::page;

/// The line that a Deployment of the project lacks, with its line break.
pub(crate) const SCHEDULER: &str = "      schedulerName: stork\n";

/// A chart with the Deployment and its claim. Its templates are not YAML.
const CHART: [(&str, &str); 3] = [
    ("deploy/chart/Chart.yaml", "{apiVersion: v2, name: mysql, version: 0.1.0}\n"),
    ("deploy/chart/values.yaml", "# No values.\n"),
    ("deploy/chart/templates/labels.yaml", "{{- define \"mysql.labels\" }}\n{app: mysql}\n{{- end }}\n"),
];

/// A temporary git repository. Its programs find `colocate`, `helm`, `kubectl` and `kustomize` in `PATH`.
pub(crate) struct Project {
    folder: Folder,
    /// The folder of the programs, and of everything else that is not part of the repository.
    outside: Folder,
}

impl Project {
    /// Creates a repository with `storage`, `deploy` and `deploy/chart`.
    pub(crate) fn new() -> Self {
        let project = Self {
            folder: Folder::new(&[
                ("storage/class.yaml", CLASS),
                ("deploy/claim.yaml", CLAIM),
                ("deploy/deployment.yaml", DEPLOYMENT),
                ("deploy/chart/templates/claim.yaml", CLAIM),
                ("deploy/chart/templates/deployment.yaml", &template(DEPLOYMENT)),
                (".colocateignore", &page::file(".colocateignore")),
            ]),
            outside: Folder::new(&[("bin/.keep", "")]),
        };
        for (name, text) in CHART {
            project.write(name, text);
        }
        for (name, target) in [("colocate", program::path()), ("helm", programs::folder().join("helm"))] {
            project.link(name, &target);
        }
        project.git("init --quiet");
        project
    }

    /// Adds a program to `PATH`.
    pub(crate) fn link(&self, name: &str, target: &Path) {
        std::os::unix::fs::symlink(target, self.outside.path("bin").join(name)).unwrap();
    }

    /// Replaces cargo by a script that installs the program under test, and records its arguments.
    pub(crate) fn replace_cargo(&self) {
        let (cargo, log, program) = (self.outside("cargo"), self.outside("installed"), program::path());
        let (log, program) = (log.display(), program.display());
        let script = format!(
            "#!/bin/sh
[ \"$1\" = install ] || exit 0
echo \"$*\" >>{log}
while [ $# -gt 1 ] && [ \"$1\" != --root ]; do shift; done
mkdir -p \"$2/bin\" && ln -s {program} \"$2/bin/colocate\"
"
        );
        fs::write(&cargo, script).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        self.link("cargo", &cargo);
    }

    /// Returns the arguments of each call of the script that replaces cargo.
    pub(crate) fn installed(&self) -> Vec<String> {
        let log = fs::read_to_string(self.outside("installed")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// The path of the repository.
    pub(crate) fn root(&self) -> &Path {
        self.folder.root()
    }

    /// A path outside of the repository.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.outside.path(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path(name)).unwrap();
    }

    /// Returns the text of a file.
    pub(crate) fn text(&self, name: &str) -> String {
        self.folder.text(name)
    }

    /// Runs git with the space-separated arguments in `line`.
    pub(crate) fn git(&self, line: &str) {
        let run = self.bash(&format!("git {line}"));
        assert_eq!(run.code, Some(0), "git {line}\n{}", run.err);
    }

    /// Runs a script in the repository.
    pub(crate) fn bash(&self, script: &str) -> Run {
        self.run(Command::new("bash").args(["-euo", "pipefail", "-c", script]))
    }

    /// Runs a command in the repository, independently of the settings of the user who runs the tests.
    pub(crate) fn run(&self, command: &mut Command) -> Run {
        let path = env::var("PATH").unwrap_or_default();
        command
            .current_dir(self.root())
            .env("PATH", format!("{}:{path}", self.outside.path("bin").display()))
            .env("HOME", self.outside.root())
            .env("KUBECONFIG", self.outside.path("kubeconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, self.outside.path("helm"));
        }
        for variable in ["COLOCATE_CONFIG", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "XDG_CONFIG_HOME"] {
            command.env_remove(variable);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Makes a Deployment a template.
fn template(deployment: &str) -> String {
    deployment.replacen("name: mysql", "name: {{ .Release.Name }}", 1)
}

/// Returns the text of a file of colocate's own repository.
pub(crate) fn own(name: &str) -> String {
    fs::read_to_string(repository(name)).unwrap()
}
