//! The GitHub Action and the documented workflows.

use std::fs;

use serde_json::Value;

use colocate_harness::programs;

use crate::page;
use crate::project::{Project, SCHEDULER, own};
use crate::runner::{ACTION, Job};

/// The documented workflows.
const WORKFLOWS: [&str; 4] = ["annotations.yml", "alerts.yml", "scheduler.yml", "program.yml"];

fn workflow(name: &str) -> String {
    page::file(&format!(".github/workflows/{name}"))
}

/// Returns a project in which compiling colocate takes no time.
fn project() -> Project {
    let project = Project::new();
    project.replace_cargo();
    project
}

/// Puts an annotation that Stork does not read into the Deployment of a project.
fn misplace(project: &Project) {
    let wrong = "metadata: {annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"true\"}, ";
    let name = "deploy/deployment.yaml";
    project.write(name, &project.text(name).replacen("metadata: {", wrong, 1));
}

#[test]
fn findings_are_annotations() {
    let project = project();
    let passed = Job::run(&project, &workflow("annotations.yml"));
    assert_eq!(passed.failed, None, "{}", passed.log);

    misplace(&project);
    let job = Job::run(&project, &workflow("annotations.yml"));
    assert_eq!(job.failed, Some(1), "{}", job.log);
    assert!(job.log.contains("::error file=deploy/deployment.yaml,line=3,"), "{}", job.log);
}

#[test]
fn findings_are_uploaded_although_the_job_fails() {
    let project = project();
    misplace(&project);
    for name in ["alerts.yml", "program.yml"] {
        let job = Job::run(&project, &workflow(name));
        assert_eq!(job.failed, Some(1), "{}", job.log);
        let (action, inputs) = job.used.last().expect("the job uses other actions");
        assert!(action.starts_with("github/codeql-action/upload-sarif@"), "{action}");
        let report = fs::read_to_string(project.root().join(&inputs["sarif_file"])).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["runs"][0]["results"][0]["ruleId"], "HC005", "{name}");
    }
}

#[test]
fn a_workload_without_its_scheduler_fails_the_job() {
    let project = project();
    let job = Job::run(&project, &workflow("scheduler.yml"));
    assert_eq!(job.failed, Some(4), "{}", job.log);
    assert!(
        job.log.contains("deploy/deployment.yaml:1:1: Deployment default/mysql: would be set to stork"),
        "{}",
        job.log
    );
    assert!(!project.text("deploy/deployment.yaml").contains(SCHEDULER));

    project.bash("colocate mutate deploy --manifests=storage --in-place");
    assert_eq!(Job::run(&project, &workflow("scheduler.yml")).failed, None);
}

#[test]
fn colocate_is_compiled_once_and_cached() {
    let project = project();
    let job = Job::run(&project, &workflow("annotations.yml"));
    let (_, cache) =
        job.used.iter().find(|(action, _)| action.starts_with("actions/cache@")).expect("there is a cache");
    assert!(cache["key"].starts_with("colocate-Linux-X64-") && cache["key"].len() > 30, "{}", cache["key"]);
    Job::run(&project, &workflow("annotations.yml"));
    let installed = project.installed();
    assert_eq!(installed.len(), 1, "{installed:?}");
    assert!(installed[0].starts_with("install --locked --path "), "{installed:?}");

    // A program of the user's own is used as it is.
    let project = self::project();
    let own = workflow("annotations.yml").replace("paths: deploy,", "paths: deploy, binary: colocate,");
    let job = Job::run(&project, &own);
    assert_eq!((job.failed, project.installed().len()), (None, 0), "{}", job.log);
}

#[test]
fn an_input_cannot_inject_a_command() {
    let project = project();
    let hostile = "$(touch injected)\"; touch injected; \"\n--help\n";
    for input in ["command", "paths", "manifests", "strict", "args", "sarif", "binary"] {
        let with = serde_json::json!({ input: hostile });
        let steps = serde_json::json!([{"uses": ACTION, "with": with}]);
        Job::run(&project, &serde_json::json!({"jobs": {"job": {"steps": steps}}}).to_string());
        assert!(!project.root().join("injected").exists(), "{input}");
    }
}

#[test]
fn an_invalid_command_is_an_error() {
    let project = project();
    let invalid = workflow("scheduler.yml").replace("command: mutate", "command: delete");
    let job = Job::run(&project, &invalid);
    assert_eq!(job.failed, Some(2), "{}", job.log);
    assert!(job.log.contains("invalid input command: delete"), "{}", job.log);
}

#[test]
fn the_documented_inputs_are_those_of_the_action() {
    let action: Value = serde_saphyr::from_str(&own("action.yml")).unwrap();
    let row = |(name, input): (&String, &Value)| {
        let default =
            input["default"].as_str().map(|text| if text.is_empty() { String::new() } else { format!("`{text}`") });
        let (default, description) = (default.unwrap(), input["description"].as_str().unwrap());
        format!("| `{name}` | {default} | {description} |")
    };
    let mut expected: Vec<_> = action["inputs"].as_object().unwrap().iter().map(row).collect();
    let mut documented = page::inputs();
    expected.sort();
    documented.sort_unstable();
    assert_eq!(documented, expected);
}

#[test]
fn actionlint_accepts_the_workflows_and_knows_the_inputs() {
    let project = Project::new();
    project.link("actionlint", &programs::tools().join("actionlint"));
    project.write("action/action.yml", &own("action.yml"));
    for name in WORKFLOWS {
        let text = workflow(name).replace(ACTION, "./action");
        project.write(&format!(".github/workflows/{name}"), &text);
    }
    let run = project.bash("actionlint -no-color");
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{}", run.err);

    let wrong = workflow("annotations.yml").replace(ACTION, "./action").replace("paths: deploy", "path: deploy");
    project.write(".github/workflows/wrong.yml", &wrong);
    let run = project.bash("actionlint -no-color");
    assert_eq!(run.code, Some(1));
    assert!(run.out.contains("wrong.yml:11:14: input \"path\" is not defined in action"), "{}", run.out);
}
