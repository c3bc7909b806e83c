//! The post-renderer, run by the real Helm.

use serde_json::Value;

use colocate_harness::{CLAIM, repository};

use crate::page;
use crate::project::{Project, SCHEDULER, own};

/// A plugin that returns the manifests unchanged. Helm formats all manifests again if there is a post-renderer.
const UNCHANGED: &str = "
apiVersion: v1
type: postrenderer/v1
name: unchanged
version: 0.1.0
runtime: subprocess
runtimeConfig: {platformCommand: [{command: cat}]}
";

/// Returns a project in which the plugin is installed as documented.
fn installed() -> Project {
    let project = Project::new();
    let command = page::command("helm plugin install").lines().next().unwrap();
    let plugin = repository("plugins").canonicalize().unwrap();
    let run = project.bash(&command.replace("plugins", plugin.to_str().unwrap()));
    assert_eq!(run.code, Some(0), "{}", run.err);
    project
}

/// Returns the documented command, which renders the release instead of installing it.
fn command() -> String {
    let command = page::command("helm plugin install").lines().nth(1).unwrap();
    let rendering = command.replacen("helm upgrade --install", "helm template", 1);
    assert_ne!(rendering, command);
    rendering
}

#[test]
fn the_post_renderer_adds_the_scheduler_and_changes_nothing_else() {
    let project = installed();
    let plugin = project.outside("helm/plugins/unchanged");
    std::fs::create_dir(&plugin).unwrap();
    std::fs::write(plugin.join("plugin.yaml"), UNCHANGED).unwrap();

    let run = project.bash(&command());
    assert_eq!(run.code, Some(0), "{}", run.err);
    let unchanged = project.bash("helm template mysql deploy/chart --post-renderer unchanged");
    assert_eq!(unchanged.code, Some(0), "{}", unchanged.err);
    assert!(run.out.contains(SCHEDULER), "{}", run.out);
    assert_eq!(run.out.replacen(SCHEDULER, "", 1), unchanged.out);
}

#[test]
fn a_release_with_an_unresolved_claim_is_not_installed() {
    let project = installed();
    // Portworx creates the class `px-db` by itself, so that it is known without a file.
    project.write("deploy/chart/templates/claim.yaml", &CLAIM.replace("px-db", "px-own"));
    let run = project.bash(&command().replace(" --post-renderer-args=--manifests=storage", ""));
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(run.err.contains("plugin \"colocate\" exited with error"), "{}", run.err);
}

#[test]
fn the_arguments_for_helm_3_are_accepted() {
    let project = Project::new();
    let command = page::command("helm3 upgrade");
    assert!(command.contains(" --post-renderer colocate "), "{command}");
    let words = command.split_whitespace();
    let arguments: Vec<_> = words.filter_map(|word| word.strip_prefix("--post-renderer-args=")).collect();
    let arguments = arguments.join(" ");
    let run = project.bash(&format!("helm template mysql deploy/chart | colocate {arguments}"));
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains(SCHEDULER), "{}", run.out);
}

#[test]
fn the_plugin_has_the_version_of_colocate() {
    let plugin: Value = serde_saphyr::from_str(&own("plugins/colocate/plugin.yaml")).unwrap();
    assert_eq!(plugin["version"], env!("CARGO_PKG_VERSION"));
}
