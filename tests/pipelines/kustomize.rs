//! The KRM function, run by the real kustomize.

use colocate_harness::{CLAIM, CLASS, DEPLOYMENT, Folder, programs};

use crate::page;
use crate::project::{Project, SCHEDULER};

/// Returns a project whose `deploy` is the documented kustomization.
fn kustomization() -> Project {
    let project = Project::new();
    project.link("kustomize", &programs::tools().join("kustomize"));
    project.link("kubectl", &programs::folder().join("kubectl"));
    for name in ["kustomization.yaml", "colocate.yaml"] {
        project.write(&format!("deploy/{name}"), &page::file(name));
    }
    project
}

/// Removes the transformer.
fn without_function(project: &Project) {
    let text = page::file("kustomization.yaml").replace("transformers: [colocate.yaml]\n", "");
    project.write("deploy/kustomization.yaml", &text);
}

#[test]
fn the_function_adds_the_scheduler_and_changes_nothing_else() {
    let project = kustomization();
    let command = page::command("kustomize build");
    let run = project.bash(command);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));

    without_function(&project);
    let unchanged = project.bash(command);
    assert_eq!(unchanged.code, Some(0), "{}", unchanged.err);
    assert!(run.out.contains(SCHEDULER), "{}", run.out);
    assert_eq!(run.out.replacen(SCHEDULER, "", 1), unchanged.out);
}

#[test]
fn a_resource_list_keeps_every_other_byte() {
    let item = |text: &str| format!("- {}\n", text.trim_end().replace('\n', "\n  "));
    let list = format!(
        "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\n# In order.\nitems:\n{}{}{}\
         functionConfig:\n  apiVersion: colocate/v1\n  kind: Mutate\nresults: []\n",
        item(CLASS),
        item(CLAIM),
        item(DEPLOYMENT),
    );
    let run = Folder::new(&[]).run_with("mutate --strict -", &list);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let scheduler = format!("  {SCHEDULER}");
    assert!(run.out.contains(&scheduler), "{}", run.out);
    assert_eq!(run.out.replacen(&scheduler, "", 1), list);
}

#[test]
fn the_function_fails_if_a_claim_is_unresolved() {
    let project = kustomization();
    // Portworx creates the class `px-db` by itself, so that it is known without a file.
    project.write("deploy/claim.yaml", &CLAIM.replace("px-db", "px-own"));
    project.remove("storage/class.yaml");
    project.write("storage/other.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n");
    let run = project.bash(page::command("kustomize build"));
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(run.err.contains("Deployment default/mysql: claim-unknown: "), "{}", run.err);
}

#[test]
fn the_output_of_kustomize_can_be_piped() {
    let project = kustomization();
    without_function(&project);
    let run = project.bash(page::command("kubectl kustomize"));
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert!(run.out.contains(SCHEDULER), "{}", run.out);

    let plugin: serde_json::Value = serde_saphyr::from_str(&page::file("plugin.yaml")).unwrap();
    let command = plugin["spec"]["generate"]["command"].as_array().unwrap();
    let mut arguments = command.iter().map(|argument| argument.as_str().unwrap());
    let mut generate = std::process::Command::new("env");
    // Argo CD runs the command in the folder of the application.
    generate.args(["--chdir=deploy"]).args(arguments.by_ref());
    let generated = project.run(&mut generate);
    assert_eq!((generated.code, generated.err.as_str()), (Some(0), ""));
    assert_eq!(generated.out, run.out);
}
