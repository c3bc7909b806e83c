//! Output formats.

use std::fs;
use std::process::Command;

use colocate_harness::{DEPLOYMENT, Folder, program};
use serde_json::{Value, json};

#[test]
fn json_stays_json() {
    let deployment: Value = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": {
        "spec": {"containers": [], "volumes": [{"name": "v", "csi": {"driver": "pxd.portworx.com"}}]}}}});
    for text in [deployment.to_string(), serde_json::to_string_pretty(&deployment).unwrap()] {
        let run = Folder::new(&[("d.json", &text)]).run("mutate -f d.json");
        let mut expected = deployment.clone();
        expected["spec"]["template"]["spec"]["schedulerName"] = json!("stork");
        assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap(), expected);
        assert!(run.out.lines().count() <= text.lines().count() + 1, "{}", run.out);
    }
}

#[test]
fn all_formats_show_the_same_change() {
    let folder = Folder::mysql();
    let diff = folder.run("mutate -f . -o diff");
    let hunk = "+      schedulerName: stork";
    assert!(diff.out.starts_with("--- a/deployment.yaml\n+++ b/deployment.yaml\n@@ "), "{}", diff.out);
    assert_eq!(diff.out.lines().filter(|line| line.starts_with(['+', '-'])).skip(2).collect::<Vec<_>>(), [hunk]);
    assert_eq!(diff.out.lines().count(), 2 + 1 + 3 + 1 + 3, "a hunk has three lines of context: {}", diff.out);

    let patch: Value = serde_json::from_str(&folder.run("mutate -f . -o patch").out).unwrap();
    let operation = json!({"op": "add", "path": "/spec/template/spec/schedulerName", "value": "stork"});
    let name = json!({"file": "./deployment.yaml", "document": 1, "kind": "Deployment", "namespace": "default", "name": "mysql", "patch": [operation]});
    assert_eq!(patch, name);

    let list: Value = serde_json::from_str(&folder.run("mutate -f . -o json").out).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("List"), 1));
    assert_eq!(list["items"][0]["spec"]["template"]["spec"]["schedulerName"], "stork");
}

#[test]
fn the_patch_of_an_object_in_a_list_applies_to_the_list() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"volumes": [{"name": "v", "portworxVolume": {}}]}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": "Other"}, pod]});
    let folder = Folder::new(&[("list.json", &list.to_string())]);
    let line: Value = serde_json::from_str(&folder.run("mutate -f list.json -o patch").out).unwrap();
    let mut patched = list.clone();
    let patch: json_patch::Patch = serde_json::from_value(line["patch"].clone()).unwrap();
    json_patch::patch(&mut patched, &patch).unwrap();
    assert_eq!(patched["items"][1]["spec"]["schedulerName"], "stork");
    assert_eq!(serde_json::from_str::<Value>(&folder.run("mutate -f list.json").out).unwrap(), patched);
}

#[test]
fn a_diff_turns_the_old_files_into_the_new_ones() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  volumes: [{name: v, portworxVolume: {}}]";
    let json = r#"{"apiVersion":"v1","kind":"Pod","spec":{"volumes":[{"name":"v","portworxVolume":{}}]}}"#;
    let texts = [
        format!("{pod}\n"),
        pod.to_owned(),
        format!("\u{feff}{pod}\n").replace('\n', "\r\n"),
        format!("{pod}\n").replace('\n', "\r"),
        json.to_owned(),
        format!("{pod}\n# --- a\n#\n#\n#\n--- # +++ b\n{pod}\n--- {json}\n"),
        pod.replace("spec:\n", "spec:\n  schedulerName: ''\n"),
    ];
    let names: Vec<_> = (0..texts.len()).map(|number| format!("d/{number} of.yaml")).collect();
    let files: Vec<_> = names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = Folder::new(&files);
    let difference = folder.run("mutate -f d -o diff").out;
    fs::write(folder.path("changes.diff"), &difference).unwrap();
    let applied = Command::new("git")
        .args(["apply", "--whitespace=nowarn", "changes.diff"])
        .env("GIT_CEILING_DIRECTORIES", folder.root())
        .current_dir(folder.root())
        .output()
        .unwrap();
    assert!(applied.status.success(), "{}\n{difference}", String::from_utf8_lossy(&applied.stderr));
    let patched: Vec<_> = names.iter().map(|name| folder.text(name)).collect();
    for (name, text) in &files {
        fs::write(folder.path(name), text).unwrap();
    }
    assert_eq!(folder.run("mutate -f d --in-place").code, Some(0));
    let written: Vec<_> = names.iter().map(|name| folder.text(name)).collect();
    assert_eq!(patched, written);
    assert!(written.iter().zip(&texts).all(|(new, old)| new != old));
}

#[test]
fn completions_and_the_man_page_list_every_command() {
    let run = |arguments: &[&str]| {
        let output = program::command().args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = run(&["completions", shell]);
        assert!(text.contains("mutate") && text.contains("in-place"), "{shell}");
    }
    for (arguments, words) in [
        (&["man"][..], ["colocate\\-serve", "colocate\\-mutate", "EXIT STATUS", "EXAMPLES"]),
        (&["man", "mutate"], ["in\\-place", "129, 130, 131, 143", "EXIT STATUS", "EXAMPLES"]),
        (&["man", "serve"], ["tls\\-cert", "129, 130, 131, 143", "EXIT STATUS", "EXAMPLES"]),
    ] {
        let page = run(arguments);
        assert!(words.iter().all(|word| page.contains(word)), "{arguments:?}: {page}");
    }
}

#[test]
fn file_names_in_a_diff_are_escaped() {
    let folder = Folder::mysql();
    for (name, header) in [
        (".argo.yaml", "--- a/.argo.yaml\n"),
        ("with space.yaml", "--- a/with space.yaml\t\n"),
        ("line\nbreak.yaml", "--- \"a/line\\nbreak.yaml\"\n"),
    ] {
        fs::write(folder.path(name), DEPLOYMENT).unwrap();
        let output = program::command()
            .args(["mutate", "-o", "diff", "--manifests", "claim.yaml", "class.yaml", "-f", &format!("./{name}")])
            .current_dir(folder.root())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.starts_with(header), "{out}");
    }
}

/// If each of the objects searched the ends of the line, the time would grow with the square of their number: this test would take
/// minutes.
#[test]
fn a_long_line_with_many_objects_is_decided_shown_and_checked() {
    const PODS: usize = 8_000;
    let pod = |number: usize| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p{number}"), "annotations": {"stork.libopenstorage.org/preferLocalNodeOnly": "yes"}},
            "spec": {"volumes": [{"name": "v", "csi": {"driver": "pxd.portworx.com"}}]}})
    };
    let list = json!({"apiVersion": "v1", "kind": "List", "items": (0..PODS).map(pod).collect::<Vec<_>>()});
    let folder = Folder::new(&[("pods.json", &list.to_string())]);
    let diff = folder.run("mutate . -o diff");
    assert_eq!(diff.out.matches(r#""schedulerName":"stork""#).count(), PODS);
    assert_eq!(diff.out.lines().filter(|line| line.starts_with("@@")).count(), 1);
    let found = folder.run("validate . -o github");
    assert_eq!(found.out.lines().filter(|line| line.starts_with("::error ")).count(), PODS, "{}", found.err);
}
