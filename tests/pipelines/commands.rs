//! The commands for any pipeline.

use crate::page;
use crate::project::{Project, SCHEDULER};

#[test]
fn a_pipeline_checks_that_manifests_name_their_scheduler() {
    let project = Project::new();
    let command = page::command("colocate mutate deploy");
    let run = project.bash(command);
    assert_eq!((run.code, run.out.as_str()), (Some(4), ""), "{}", run.err);
    assert!(run.err.contains("deploy/deployment.yaml:1:1: Deployment default/mysql: injected"), "{}", run.err);

    project.bash("colocate mutate deploy --manifests=storage --in-place");
    assert!(project.text("deploy/deployment.yaml").contains(SCHEDULER));
    assert_eq!(project.bash(command).code, Some(0));
}

#[test]
fn a_chart_is_rendered_instead_of_checked_as_files() {
    let project = Project::new();
    let command = page::command("colocate validate deploy");
    assert_eq!(project.bash(command).code, Some(0));

    project.remove(".colocateignore");
    let run = project.bash(command);
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert!(run.err.contains("helm template deploy/chart | colocate validate -"), "{}", run.err);

    let rendered = page::command("helm template deploy/chart |");
    let run = project.bash(rendered);
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{}", run.err);
    let template = "deploy/chart/templates/deployment.yaml";
    let wrong = "metadata: {annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"true\"}, ";
    project.write(template, &project.text(template).replacen("metadata: {", wrong, 1));
    let run = project.bash(rendered);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.out.contains(": error[HC005] "), "{}", run.out);
}
