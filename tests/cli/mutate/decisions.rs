//! Decisions and the messages about them.

use std::fs;

use colocate_harness::{CLAIM, CLASS, DEPLOYMENT, Folder};

use super::mutated;

#[test]
fn one_line_is_inserted_and_all_other_bytes_are_kept() {
    let folder = Folder::mysql();
    let run = folder.run("mutate -f deployment.yaml --manifests class.yaml claim.yaml");
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), mutated(DEPLOYMENT).as_str(), ""));
    // A second run changes nothing.
    let again = folder.run_with("mutate -f - --manifests class.yaml claim.yaml", &run.out);
    assert_eq!((again.code, again.out), (Some(0), run.out));
}

#[test]
fn an_invalid_namespace_name_is_a_usage_error() {
    let folder = Folder::mysql();
    let long = "a".repeat(64);
    for name in ["", "Shop", "a_b", "-a", "a-", "a.b", long.as_str()] {
        let run = folder.run(&format!("mutate -f deployment.yaml --namespace={name}"));
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{name}");
        assert!(run.err.contains("1 to 63 characters a-z, 0-9 and `-`"), "{}", run.err);
    }
    assert_eq!(folder.run(&format!("mutate -f deployment.yaml -n {}", &long[..63])).code, Some(0));
}

#[test]
fn a_helm_template_is_recognized() {
    let broken = "kind: Deployment\nspec:\n{{- if .Values.db }}\n  replicas: 1\n{{- end }}\n";
    let run = Folder::new(&[("a.yaml", broken)]).run("mutate -f a.yaml");
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("a.yaml:3:3: ") && run.err.contains("`helm template`"), "{}", run.err);
    // A template that is valid YAML.
    let whole = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  nodeName: {{ .Values.node }}\n";
    let folder = Folder::new(&[("a.yaml", whole)]);
    let run = folder.run("mutate -f a.yaml");
    assert_eq!((run.code, run.out.as_str()), (Some(0), whole));
    assert!(run.err.starts_with("a.yaml:5:13: left unchanged: ") && run.err.contains("`helm template`"), "{}", run.err);
    assert_eq!(folder.run("mutate -f a.yaml --strict").code, Some(3));
}

#[test]
fn an_unreadable_object_is_explained_too() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: odd}\nspec: {schedulerName: 3, volumes: []}\n";
    let run = Folder::new(&[("pod.yaml", pod)]).run("mutate -f pod.yaml --explain");
    assert!(run.err.contains("expected a string"), "{}", run.err);
}

#[test]
fn a_list_on_the_path_of_a_custom_workload_is_explained() {
    let group = "{template: {spec: {volumes: [{name: v, portworxVolume: {volumeID: '1'}}]}}}";
    let farm = format!("apiVersion: example.com/v1\nkind: Farm\nmetadata: {{name: f}}\nspec: {{groups: [{group}]}}\n");
    let config = "customWorkloads: [{group: example.com, version: v1, resource: farms, kind: Farm, path: /spec/groups/template}]\n";
    let folder = Folder::new(&[("farm.yaml", &farm), ("config.txt", config)]);
    for options in ["--explain", "--strict"] {
        let run = folder.run(&format!("mutate -f farm.yaml --config config.txt {options}"));
        let expected = "`/spec/groups` is a list, which customWorkloads cannot describe: remove Farm from it";
        assert!(run.err.contains("unreadable") && run.err.contains(expected), "{}", run.err);
        assert_eq!(run.out, farm);
    }
}

#[test]
fn a_kind_without_decisions_is_named_and_strict_exits_with_3() {
    let spec = "{containers: [{name: a, image: b}], volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}";
    let config = format!(
        "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata: {{name: web}}\nspec: {{template: {{spec: {spec}}}}}\n"
    );
    let folder = Folder::new(&[("a.yaml", &config)]);
    let said = "a.yaml:4:18: left unchanged: DeploymentConfig web of apps.openshift.io/v1 has a pod template with volumes at \
                spec.template, for which no decision is made: add the kind to customWorkloads of the configuration, with the path \
                /spec/template\n";
    for (options, code, err) in [("", 0, ""), (" --explain", 0, said), (" --strict", 3, said)] {
        let run = folder.run(&format!("mutate -f a.yaml{options}"));
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(code), config.as_str(), err), "{options}");
    }
    let run = folder.run("validate -f a.yaml --strict");
    assert!(run.err.starts_with("a.yaml:4:18: unchecked: DeploymentConfig web "), "{}", run.err);
    assert_eq!(run.code, Some(3));
}

#[test]
fn an_encrypted_object_is_left_unchanged_with_a_reason() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  volumes: [{name: v, portworxVolume: {volumeID: c}}]\n\
               sops: {mac: \"ENC[x]\", lastmodified: \"2024-01-01T00:00:00Z\"}\n";
    let run = Folder::new(&[("a.yaml", pod)]).run("mutate -f a.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(3), pod));
    assert!(
        run.err.starts_with("a.yaml:6:8: Pod default/p: left unchanged: `sops.mac` is SOPS' checksum"),
        "{}",
        run.err
    );
}

#[test]
fn kinds_of_removed_api_versions_are_read_as_their_successors() {
    let spec = "{containers: [{name: a, image: b}], volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}";
    let template = format!("{{template: {{spec: {spec}}}}}");
    let class =
        "apiVersion: storage.k8s.io/v1beta1\nkind: StorageClass\nmetadata: {name: px}\nprovisioner: pxd.portworx.com\n";
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {storageClassName: px}\n";
    for (version, kind, spec) in [
        ("extensions/v1beta1", "Deployment", template.clone()),
        ("apps/v1beta1", "StatefulSet", template.clone()),
        ("apps/v1beta2", "DaemonSet", template.clone()),
        ("batch/v1beta1", "CronJob", format!("{{jobTemplate: {{spec: {template}}}}}")),
    ] {
        let object = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
        let folder = Folder::new(&[("a.yaml", &object), ("class.yaml", class), ("claim.yaml", claim)]);
        let run = folder.run("mutate -f a.yaml --manifests class.yaml claim.yaml --strict");
        let expected = object.replace("{containers", "{schedulerName: stork, containers");
        assert_eq!(
            (run.code, run.out.as_str(), run.err.as_str()),
            (Some(0), expected.as_str(), ""),
            "{version} {kind}"
        );
    }
}

#[test]
fn unresolved_claims_are_reported_and_strict_exits_with_3() {
    let folder = Folder::mysql();
    let run = folder.run("mutate -f deployment.yaml");
    assert_eq!((run.code, run.out.as_str()), (Some(0), DEPLOYMENT));
    assert!(run.err.starts_with("deployment.yaml:1:1: Deployment default/mysql: claim-missing: "), "{}", run.err);
    let advice = "colocate: the claims of 1 object are not resolved: pass the files that define the claims and classes with \
                  --manifests, or query a cluster with --cluster\n";
    assert!(run.err.ends_with(advice), "{}", run.err);
    assert_eq!(folder.run("mutate -f deployment.yaml --strict").code, Some(3));
    assert_eq!(folder.run("mutate -f . --strict").code, Some(0));
    // If several exit codes apply, the first of 2, 1, 3, 4 wins.
    fs::write(folder.path("other.yaml"), DEPLOYMENT.replace("mysql-data", "absent")).unwrap();
    assert_eq!(folder.run("mutate -f . --strict --check").code, Some(3));
    assert_eq!(folder.run("mutate -f absent.yaml --strict --check").code, Some(1));
    assert_eq!(folder.run("mutate -f - --in-place --strict").code, Some(2));
}

#[test]
fn a_shared_spec_is_left_unchanged_and_unresolved() {
    let pod = |name: &str, spec: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {spec}\n");
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}- {}",
        pod("a", "&spec\n    volumes: [{name: v, portworxVolume: {}}]")
            .replace("\nkind", "\n  kind")
            .replace("\nmeta", "\n  meta")
            .replace("\nspec", "\n  spec"),
        pod("b", "*spec").replace("\nkind", "\n  kind").replace("\nmeta", "\n  meta").replace("\nspec", "\n  spec"),
    );
    let run = Folder::new(&[("list.yaml", &list)]).run("mutate -f list.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(3), list.as_str()), "{}", run.err);
    assert!(run.err.contains("Pod default/a: left unchanged: ") && run.err.contains("anchor"), "{}", run.err);
    assert!(run.err.contains("Pod default/b: left unchanged: ") && run.err.contains("alias"), "{}", run.err);
}

#[test]
fn every_workload_is_explained_on_one_line() {
    let folder = Folder::mysql();
    let run = folder.run("mutate -f . --explain --check");
    for part in [
        "deployment.yaml:1:1: Deployment default/mysql: injected -> stork; ",
        "mysql-data",
        "px-db",
        "pxd.portworx.com",
        "portworx",
    ] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
}

#[test]
fn the_object_or_the_flag_sets_the_namespace_which_may_opt_out() {
    let folder = Folder::mysql();
    let claim = CLAIM.replace("{name: mysql-data}", "{name: mysql-data, namespace: shop}");
    fs::write(folder.path("claim.yaml"), &claim).unwrap();
    assert_eq!(folder.run("mutate -f . --check").code, Some(0));
    assert_eq!(folder.run("mutate -f . --check -n shop").code, Some(4));
    for (value, code) in [("true", 0), ("1", 0), ("false", 4), ("yes", 4)] {
        let label = format!("stork.libopenstorage.org/disable-admission-controller: \"{value}\"");
        let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{{label}}}}}\n");
        fs::write(folder.path("namespace.yaml"), namespace).unwrap();
        assert_eq!(folder.run("mutate -f . --check -n shop").code, Some(code), "{value}");
    }
}

#[test]
fn the_configuration_is_applied() {
    let folder = Folder::mysql();
    for (key, code) in [("templates: leave", 3), ("mode: audit", 3), ("mode: off", 3), ("mode: inject", 4)] {
        fs::write(folder.path("config.txt"), format!("{key}\n")).unwrap();
        let run = folder.run("mutate -f . --check --config config.txt");
        assert_eq!(run.code, Some(code), "{key}");
        // What the configuration prevents must not pass silently.
        let note = format!("colocate: 1 object left unchanged because the configuration has `{key}`: ");
        assert_eq!(run.err.contains(&note), code == 3, "{}", run.err);
    }
    fs::write(
        folder.path("config.txt"),
        "drivers: [{name: other, provisioners: [pxd.portworx.com], scheduler: other}]\n",
    )
    .unwrap();
    let run = folder.run("mutate -f deployment.yaml --manifests class.yaml claim.yaml --config config.txt");
    assert_eq!(run.out, mutated(DEPLOYMENT).replace("schedulerName: stork", "schedulerName: other"));
    fs::write(folder.path("config.txt"), "template: leave\n").unwrap();
    let run = folder.run("mutate -f . --config config.txt");
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("config.txt:1:1: unknown key `template`; did you mean `templates`?"), "{}", run.err);
}

/// A check passes only if nothing would change without the restrictions of the configuration.
#[test]
fn a_check_does_not_pass_because_the_configuration_prevents_changes() {
    let folder = Folder::mysql();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {volumes: [{name: v, portworxVolume: {}}]}\n";
    let pods = pod.replace("portworxVolume", "emptyDir");
    for (name, text) in [("pod.yaml", pod), ("other.yaml", &pods), ("set.yaml", &mutated(DEPLOYMENT))] {
        fs::write(folder.path(name), text).unwrap();
    }
    let workload = "deployment.yaml --manifests class.yaml claim.yaml";
    for (configuration, files, code, objects) in [
        ("mode: audit", workload, 3, "1 object"),
        ("mode: audit", "pod.yaml", 3, "1 object"),
        ("mode: audit", "other.yaml set.yaml", 0, ""),
        ("mode: off", workload, 3, "1 object"),
        ("mode: off", "pod.yaml other.yaml set.yaml", 3, "1 object"),
        ("mode: off", "other.yaml set.yaml", 0, ""),
        ("mode: off", "pod.yaml deployment.yaml --manifests class.yaml claim.yaml", 3, "2 objects"),
        ("templates: leave", workload, 3, "1 object"),
        ("templates: leave", "pod.yaml", 4, ""),
        ("templates: leave", "pod.yaml deployment.yaml --manifests class.yaml claim.yaml", 3, "1 object"),
        ("templates: leave", "other.yaml set.yaml", 0, ""),
    ] {
        fs::write(folder.path("config.txt"), configuration).unwrap();
        let run = folder.run(&format!("mutate --check --config config.txt {files}"));
        assert_eq!(run.code, Some(code), "{configuration}, {files}: {}", run.err);
        let note = format!("colocate: {objects} left unchanged because the configuration has `{configuration}`: ");
        assert_eq!(run.err.contains("left unchanged"), !objects.is_empty(), "{configuration}, {files}: {}", run.err);
        assert!(objects.is_empty() || run.err.contains(&note), "{configuration}, {files}: {}", run.err);
        // Without --check, nothing fails, and the same objects are left unchanged.
        assert_eq!(
            folder.run(&format!("mutate --config config.txt {files}")).code,
            Some(0),
            "{configuration}, {files}"
        );
    }
    fs::write(folder.path("config.txt"), "{mode: audit, templates: leave}").unwrap();
    let run = folder.run(&format!("mutate --check --config config.txt {workload}"));
    assert!(run.code == Some(3) && run.err.contains(" has `mode: audit` and `templates: leave`: "), "{}", run.err);
}

#[test]
fn documents_that_are_not_objects_pass_through() {
    let text = "# nothing\n---\n- a list\n---\nplain text\n--- # empty\n...\n---\nkind: Deployment\n";
    let run = Folder::new(&[("a.yaml", text)]).run("mutate -f a.yaml --strict");
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), text, ""));
}

#[test]
fn an_unreadable_object_is_reported_with_its_name_and_reason() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: odd}\nspec: {schedulerName: 3, volumes: []}\n";
    let run = Folder::new(&[("pod.yaml", pod)]).run("mutate -f pod.yaml --strict");
    assert_eq!(run.code, Some(3));
    assert!(
        run.err.starts_with("pod.yaml:1:1: Pod default/odd: unreadable: ") && run.err.contains("expected a string"),
        "{}",
        run.err
    );
}

#[test]
fn text_that_yaml_parsers_read_differently_is_left_unchanged() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  # see\u{2028}  schedulerName: mine\n  volumes: [{name: v, portworxVolume: {}}]\n";
    let run = Folder::new(&[("pod.yaml", pod)]).run("mutate -f pod.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(3), pod));
    assert!(
        run.err.starts_with("pod.yaml:5:8: Pod default/p: left unchanged: ") && run.err.contains("U+2028"),
        "{}",
        run.err
    );
}

#[test]
fn an_encrypted_value_decides_nothing() {
    let sops = "sops: {mac: \"ENC[x]\", lastmodified: \"2024-01-01T00:00:00Z\"}\n";
    let folder = Folder::mysql();
    fs::write(folder.path("class.yaml"), CLASS.replace("pxd.portworx.com", "ENC[AES256_GCM,data:x]") + sops).unwrap();
    let run = folder.run("mutate . --strict --check");
    assert_eq!(run.code, Some(3), "{}", run.err);
    let why = "its StorageClass `px-db` has a description that cannot be used, in ./class.yaml:1:1: provisioner is encrypted: use the output of `sops decrypt`";
    assert!(run.err.contains(why), "{}", run.err);
    let folder = Folder::new(&[(
        "pod.yaml",
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{volumes: [{{name: v, csi: {{driver: \"ENC[x]\"}}}}]}}\n{sops}"
        ),
    )]);
    let run = folder.run("mutate . --strict --check");
    assert_eq!(run.code, Some(3), "{}", run.err);
    let line = "./pod.yaml:1:1: left unchanged: Pod p: the decision may depend on an encrypted value (spec.volumes[0].csi.driver)";
    assert!(run.err.starts_with(line), "{}", run.err);
}

#[test]
fn an_undecided_kind_with_a_duplicate_key_is_named() {
    let volumes = "volumes: [{name: v, portworxVolume: {volumeID: x}}]";
    let text = format!(
        "apiVersion: apps.openshift.io/v1\nkind: DeploymentConfig\nmetadata: {{name: d, labels: {{a: b, a: c}}}}\n\
         spec: {{template: {{spec: {{{volumes}, containers: []}}}}}}\n"
    );
    let folder = Folder::new(&[("dc.yaml", &text)]);
    for command in ["mutate", "validate"] {
        let run = folder.run(&format!("{command} . --strict"));
        assert_eq!(run.code, Some(3), "{command}: {}", run.err);
        assert!(run.err.contains("DeploymentConfig d of apps.openshift.io/v1 has a pod template"), "{}", run.err);
    }
}

#[test]
fn messages_about_an_object_without_a_name_say_so() {
    let folder = Folder::new(&[
        ("twice.json", r#"{"apiVersion": "v1", "kind": "Pod", "spec": {}, "spec": {}}"#),
        (
            "pod.yaml",
            "apiVersion: v1\nkind: Pod\nspec: {volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]}\n",
        ),
    ]);
    let run = folder.run("mutate . --check --strict");
    let expected = "./pod.yaml:1:1: Pod without a name in default: claim-missing: claim `data`: ";
    assert!(run.code == Some(3) && run.err.starts_with(expected), "{}", run.err);
    let expected =
        "./twice.json:1:49: Pod: left unchanged: duplicate key `spec`: remove it here or on line 1, column 37\n";
    assert!(run.err.contains(expected), "{}", run.err);
    let run = folder.run("validate twice.json");
    assert!(
        run.err.contains("unchecked: Pod: duplicate key `spec`: remove it here or on line 1, column 37"),
        "{}",
        run.err
    );
}

#[test]
fn a_document_with_a_duplicate_key_is_left_unchanged() {
    let folder = Folder::mysql();
    let service = "kind: Service\napiVersion: v1\nspec: {}\nspec: {}\n";
    let twice = format!("{DEPLOYMENT}kind: Deployment\n---\n{DEPLOYMENT}---\n{service}");
    fs::write(folder.path("deployment.yaml"), &twice).unwrap();
    let run = folder.run("mutate . -o diff --strict");
    assert_eq!((run.code, run.out.matches("+      schedulerName: stork").count()), (Some(3), 1), "{}", run.out);
    let lines: Vec<_> = run.err.lines().collect();
    assert!(
        lines[0].contains(": Deployment mysql: left unchanged: duplicate key `kind`: remove it here or on line 2"),
        "{lines:?}"
    );
    assert!(lines[1].contains(": skipped: duplicate key `spec`: remove it here or on line "), "{lines:?}");
    fs::write(folder.path("deployment.yaml"), format!("{DEPLOYMENT}---\n{service}")).unwrap();
    let run = folder.run("mutate . --check --strict");
    assert_eq!(run.code, Some(4), "a document that is not decided about does not matter");
    // A claim with a duplicate key describes nothing, and neither does one without a name.
    let twice = "unknown: it has a description that cannot be used, in claim.yaml:1:1: duplicate key `kind`";
    for (claim, why) in [
        (format!("{CLAIM}kind: PersistentVolumeClaim\n"), twice),
        (CLAIM.replace("name: mysql-data", "labels: {}"), "missing"),
    ] {
        fs::write(folder.path("claim.yaml"), claim).unwrap();
        let run = folder.run("mutate deployment.yaml --manifests claim.yaml class.yaml --strict");
        assert_eq!(run.code, Some(3));
        assert!(run.err.contains("claim.yaml:") && run.err.contains(": skipped: "), "{}", run.err);
        assert!(run.err.contains(&format!("claim `mysql-data`: {why}")), "{}", run.err);
    }
}
