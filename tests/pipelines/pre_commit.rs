//! The hooks, run by the real pre-commit.

use std::path::Path;
use std::process::Command;

use colocate_harness::{Folder, Run, programs};

use crate::page;
use crate::project::{Project, SCHEDULER, own};

/// A Deployment with an annotation that Stork does not read there.
const MISPLACED: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: misplaced, annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"true\"}}
spec:
  selector: {matchLabels: {app: misplaced}}
  template:
    metadata: {labels: {app: misplaced}}
    spec: {containers: [{name: misplaced, image: misplaced}]}
";

/// A project with the documented configuration.
struct Hooks<'p> {
    program: &'p Path,
    project: Project,
    /// colocate's repository, as far as pre-commit reads it.
    _repository: Folder,
}

impl<'p> Hooks<'p> {
    fn new(program: &'p Path) -> Self {
        let project = Project::new();
        let name = ".pre-commit-hooks.yaml";
        let repository = Folder::new(&[(name, &own(name))]);
        let configuration = page::file(".pre-commit-config.yaml");
        let value = |key: &str| {
            let line = configuration.lines().find_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key));
            line.expect("the example has the key").trim().to_owned()
        };
        let folder = repository.root().display();
        project.git(&format!("config --global url.file://{folder}.insteadOf {}", value("repo:")));
        project.git("config --global user.name test");
        project.git("config --global user.email test@example.com");
        let in_repository = |line: &str| project.git(&format!("-C {folder} {line}"));
        in_repository("init --quiet");
        in_repository("add --all");
        in_repository("commit --quiet --message hooks");
        in_repository(&format!("tag {}", value("rev:")));

        project.write(".pre-commit-config.yaml", &configuration);
        project.git("add --all");
        Self { program, project, _repository: repository }
    }

    /// Runs pre-commit with the space-separated arguments in `line`.
    fn run(&self, line: &str) -> Run {
        let mut command = Command::new(self.program);
        let home = self.project.outside("pre-commit");
        self.project.run(command.args(line.split(' ')).env("PRE_COMMIT_HOME", home))
    }
}

/// Returns true if the output says that a hook ended with this result.
fn ended(run: &Run, hook: &str, result: &str) -> bool {
    run.out.lines().any(|line| line.starts_with(hook) && line.ends_with(result))
}

#[test]
fn the_documented_hooks_work_in_a_repository_with_a_chart() {
    let Some(program) = programs::pre_commit() else { return };
    let hooks = Hooks::new(&program);
    let project = &hooks.project;
    project.write("deploy/misplaced.yaml", MISPLACED);
    project.git("add --all");
    let before = project.text("deploy/deployment.yaml");

    let run = hooks.run("run --all-files");
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    assert!(ended(&run, "colocate mutate", "Failed"), "{}", run.out);
    assert!(run.out.contains("files were modified by this hook"), "{}", run.out);
    assert!(ended(&run, "colocate validate", "Failed"), "{}", run.out);
    assert!(run.out.contains("deploy/misplaced.yaml:4:43: error[HC005] "), "{}", run.out);
    assert_eq!(project.text("deploy/deployment.yaml").replacen(SCHEDULER, "", 1), before);

    project.remove("deploy/misplaced.yaml");
    project.git("add --all");
    let run = hooks.run("run --all-files");
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(ended(&run, "colocate mutate", "Passed") && ended(&run, "colocate validate", "Passed"), "{}", run.out);
}

#[test]
fn a_commit_checks_only_the_staged_files() {
    let Some(program) = programs::pre_commit() else { return };
    let hooks = Hooks::new(&program);
    let project = &hooks.project;
    project.git("commit --quiet --message first");

    // The claim and its class are not staged.
    project.write("deploy/deployment.yaml", &format!("# Changed.\n{}", project.text("deploy/deployment.yaml")));
    project.git("add --all");
    let run = hooks.run("run");
    assert!(ended(&run, "colocate mutate", "Failed") && ended(&run, "colocate validate", "Passed"), "{}", run.out);
    assert!(project.text("deploy/deployment.yaml").contains(SCHEDULER));
    project.git("add --all");
    project.git("commit --quiet --message second");

    // Without an object, and left out by .colocateignore.
    project.write("deploy/values.yaml", "# No values yet.\n");
    project.write("deploy/chart/values.yaml", "a: 1\n");
    project.git("add --all");
    let run = hooks.run("run");
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(ended(&run, "colocate mutate", "Passed"), "{}", run.out);
}

#[test]
fn a_strict_hook_names_charts_that_are_not_left_out() {
    let Some(program) = programs::pre_commit() else { return };
    let hooks = Hooks::new(&program);
    hooks.project.remove(".colocateignore");
    hooks.project.git("add --all");
    let run = hooks.run("run colocate-validate --all-files");
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    assert!(run.out.contains("- exit code: 3"), "{}", run.out);
    assert!(run.out.contains("helm template deploy/chart | colocate validate -"), "{}", run.out);
}

#[test]
fn a_hook_without_a_language_compiles_colocate() {
    let Some(program) = programs::pre_commit() else { return };
    let hooks = Hooks::new(&program);
    let project = &hooks.project;
    project.replace_cargo();
    project
        .write(".pre-commit-config.yaml", &page::file(".pre-commit-config.yaml").replace("    language: system\n", ""));
    project.git("add --all");
    let run = hooks.run("run colocate-validate --all-files");
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    let installed = project.installed();
    assert_eq!(installed.len(), 1, "{installed:?}");
    assert!(installed[0].starts_with("install --bins --root "), "{installed:?}");
}

#[test]
fn the_hooks_are_valid() {
    let Some(program) = programs::pre_commit() else { return };
    let project = Project::new();
    project.write(".pre-commit-hooks.yaml", &own(".pre-commit-hooks.yaml"));
    let run = project.run(Command::new(program).args(["validate-manifest", ".pre-commit-hooks.yaml"]));
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", ""));
}
