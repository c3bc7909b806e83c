//! colocate as a plugin of kubectl, and the example files for krew, completion and k9s.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use colocate_harness::{program, programs, repository};
use serde::Deserialize;

use crate::page;
use crate::project::{Project, own};

/// A kubeconfig of a cluster that does not answer. It has no current context.
const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
clusters: [{name: west, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: admin}]
contexts: [{name: west, context: {cluster: west, user: admin, namespace: shop}}]
";

/// Returns a project whose programs find kubectl, and colocate as its plugin.
fn with_plugin() -> Project {
    let project = Project::new();
    project.link("kubectl", &programs::folder().join("kubectl"));
    project.link("kubectl-colocate", &program::path());
    project
}

#[test]
fn the_plugin_says_kubectl_colocate() {
    let project = with_plugin();

    let run = project.bash("kubectl plugin list");
    assert!(run.code == Some(0) && run.out.contains("/kubectl-colocate\n"), "{}{}", run.out, run.err);
    assert!(!run.err.contains("warning"), "{}", run.err);
    let run = project.bash("kubectl colocate why --help");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    for part in
        ["\nUsage: kubectl colocate why [OPTIONS] <KIND/NAME> [NAME]\n", "\n      kubectl colocate why pod/mysql-0 "]
    {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    assert_eq!(run.out.matches("colocate why").count(), run.out.matches("kubectl colocate why").count(), "{}", run.out);

    let run = project.bash("kubectl colocate why");
    assert_eq!((run.code, run.out.as_str()), (Some(2), ""));
    assert!(run.err.contains("\nUsage: kubectl colocate why <KIND/NAME> [NAME]\n"), "{}", run.err);
    let run = project.bash("kubectl colocate mutate -k deploy");
    assert_eq!(run.code, Some(2));
    assert!(run.err.ends_with("kubectl kustomize deploy | kubectl colocate mutate -\n"), "{}", run.err);
    let run = project.bash("kubectl colocate man why");
    assert!(run.out.contains("kubectl\\-colocate\\-why \\- Explain"), "{}", run.out);
}

#[test]
fn the_documented_link_makes_a_plugin() {
    let project = Project::new();
    project.link("kubectl", &programs::folder().join("kubectl"));
    let (link, why) = page::command("ln -s").split_once('\n').unwrap();
    let script = format!("mkdir -p ~/.local/bin && {link} && PATH=~/.local/bin:$PATH {why}");
    let run = project.bash(&script);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.starts_with("colocate: "), "no cluster is configured: {}", run.err);
}

/// kubectl's command `__complete` is what the completion scripts of all shells run.
#[test]
fn kubectl_completes_the_words_of_the_plugin() {
    let project = with_plugin();
    project.link("kubectl_complete-colocate", &repository("examples/kubectl_complete-colocate"));
    let complete = |words: &str| {
        let run = project.bash(&format!("kubectl __complete colocate {words}"));
        assert_eq!(run.code, Some(0), "{}", run.err);
        let lines: Vec<_> = run.out.lines().filter(|line| !line.starts_with(':')).map(str::to_owned).collect();
        lines
    };
    assert_eq!(complete("wh"), ["why"]);
    assert_eq!(complete("why --con"), ["--context", "--config"]);
    assert_eq!(complete("why pod/a --color n"), ["never"]);
    assert_eq!(complete("why pod/a --output ''"), ["text", "json"]);
    assert_eq!(complete("mutate --manifests deploy/d"), ["deploy/deployment.yaml"]);
    let commands = complete("''");
    assert!(
        ["serve", "mutate", "audit", "man"].iter().all(|name| commands.iter().any(|word| word == name)),
        "{commands:?}"
    );
    assert!(!commands.iter().chain(&complete("mutate ''")).any(|word| word.starts_with(['[', '<'])), "{commands:?}");
}

/// The fields of a manifest that krew documents.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KrewManifest {
    api_version: String,
    kind: String,
    metadata: KrewMetadata,
    spec: KrewSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KrewMetadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KrewSpec {
    version: String,
    homepage: String,
    short_description: String,
    description: String,
    caveats: String,
    platforms: Vec<KrewPlatform>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KrewPlatform {
    selector: KrewSelector,
    uri: String,
    sha256: String,
    bin: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KrewSelector {
    match_labels: KrewLabels,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KrewLabels {
    os: String,
    arch: String,
}

#[test]
fn the_manifest_for_krew_has_its_documented_fields() {
    let KrewManifest { api_version, kind, metadata, spec } =
        serde_saphyr::from_str(&own("examples/krew.yaml")).unwrap();
    assert_eq!((api_version.as_str(), kind.as_str()), ("krew.googlecontainertools.github.com/v1alpha2", "Plugin"));
    assert_eq!(metadata.name, "colocate", "kubectl-<name> is the file of the plugin");
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    assert_eq!(spec.version, version);
    assert!(!spec.short_description.contains('\n') && spec.short_description.len() <= 50, "krew truncates longer ones");
    // Names of commands in the texts exist.
    let project = with_plugin();
    for text in [&spec.description, &spec.caveats] {
        for call in text.split('`').filter(|part| part.starts_with("kubectl colocate ")) {
            let command = call.split(' ').nth(2).unwrap();
            assert_eq!(project.bash(&format!("kubectl colocate {command} --help")).code, Some(0), "{call}");
        }
    }
    let platforms: Vec<_> = spec.platforms.iter().map(|platform| &platform.selector.match_labels).collect();
    let platforms: Vec<_> = platforms.iter().map(|labels| (labels.os.as_str(), labels.arch.as_str())).collect();
    assert_eq!(platforms, [("linux", "amd64"), ("linux", "arm64")]);
    for KrewPlatform { uri, sha256, bin, selector } in &spec.platforms {
        let file = format!("/{version}/colocate-{}-{}.tar.gz", selector.match_labels.os, selector.match_labels.arch);
        assert!(uri.starts_with(&spec.homepage) && uri.ends_with(&file), "{uri}");
        assert!(sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{sha256}");
        assert_eq!(bin, "colocate");
    }
}

/// A plugin of k9s, with the fields of its schema that are used.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct K9sPlugin {
    short_cut: String,
    description: String,
    scopes: Vec<String>,
    command: String,
    args: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct K9sPlugins {
    plugins: std::collections::BTreeMap<String, K9sPlugin>,
}

#[test]
fn k9s_runs_commands_that_colocate_accepts() {
    let project = with_plugin();
    let pager = project.outside("pager");
    fs::write(&pager, "#!/bin/sh\nexec cat\n").unwrap();
    fs::set_permissions(&pager, fs::Permissions::from_mode(0o755)).unwrap();
    project.link("less", &pager);
    let kubeconfig = project.outside("k9s-kubeconfig");
    fs::write(&kubeconfig, KUBECONFIG).unwrap();

    let K9sPlugins { plugins } = serde_saphyr::from_str(&own("examples/k9s-plugin.yaml")).unwrap();
    let mut keys = BTreeSet::new();
    let mut calls = BTreeSet::new();
    for (name, K9sPlugin { short_cut, description, scopes, command, args }) in plugins {
        assert!(!description.is_empty(), "{name}");
        for scope in scopes {
            assert!(keys.insert((scope.clone(), short_cut.clone())), "{name}: {short_cut} has two meanings in {scope}");
            // k9s replaces the longest names first, and fails if one is unknown.
            let (object, namespace) =
                if matches!(scope.as_str(), "namespaces" | "nodes") { ("shop", "-") } else { ("mysql-0", "shop") };
            let values = [
                ("$RESOURCE_NAME", scope.as_str()),
                ("$KUBECONFIG", kubeconfig.to_str().unwrap()),
                ("$NAMESPACE", namespace),
                ("$CONTEXT", "west"),
                ("$NAME", object),
            ];
            let replaced =
                |text: &String| values.iter().fold(text.clone(), |text, (name, value)| text.replace(name, value));
            let args: Vec<_> = args.iter().map(replaced).collect();
            let left = args.iter().any(|arg| arg.replace("\"$@\"", "").contains('$'));
            assert!(!left, "{name}: k9s does not know all variables of {args:?}");
            let run = project.run(Command::new(&command).args(&args));
            // The pager shows both streams.
            assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{name}");
            assert!(
                run.out.contains("Connection refused") && !run.out.contains("Usage:"),
                "{name} in {scope}: {}",
                run.out
            );
            let words = args.iter().skip_while(|arg| *arg != "-c").skip(3).cloned().collect::<Vec<_>>().join(" ");
            calls.insert(words);
        }
    }
    for call in [
        "why pods/mysql-0 --namespace=shop --context=west --color=always",
        "why deployments/mysql-0 --namespace=shop --context=west --color=always",
        "why statefulsets/mysql-0 --namespace=shop --context=west --color=always",
        "audit --namespace=shop --context=west --color=always",
        "audit --context=west --color=always",
    ] {
        assert!(calls.contains(call), "{calls:#?}");
    }
}
