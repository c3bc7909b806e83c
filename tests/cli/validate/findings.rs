//! The text format and the exit codes.

use std::fs;

use colocate_harness::Folder;

use super::{CLASS, DISABLE, LOCAL_ONLY, claim, deployment};

#[test]
fn a_finding_shows_the_problem_the_position_and_the_remedy() {
    let text = deployment(&format!("{LOCAL_ONLY}: \"yes\""));
    let run = Folder::new(&[("deploy/mysql.yaml", &text)]).run("validate -f deploy");
    let expected = "\
deploy/mysql.yaml:9:67: error[HC001] `yes` is not a boolean (Stork accepts 1 t T TRUE true True, 0 f F FALSE false False), so Stork uses its default, false (at spec.template.metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly])
  9 | ...     annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"yes\"}
    |                                                                     ^^^^^
    = help: use \"true\" or \"false\"
";
    assert_eq!((run.code, run.out.as_str()), (Some(1), expected));
    assert_eq!(run.err, "colocate: 1 error in 1 object of 1 file\n");
}

#[test]
fn a_misplaced_key_is_found_with_its_place_and_the_right_one() {
    let key = format!("{{{LOCAL_ONLY}: \"true\"}}");
    let template = |metadata: &str, other: &str, pod: &str| {
        format!(
            "{{template: {{metadata: {{{metadata}}}, {other} spec: {{{pod} containers: [{{name: a, image: b}}]}}}}}}"
        )
    };
    let object = |kind: &str, metadata: &str, spec: &str| {
        let version = if kind == "Deployment" { "apps/v1" } else { "v1" };
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a{metadata}}}\nspec: {spec}\n")
    };
    let deployment = |spec: &str| object("Deployment", "", spec);
    let right = "move it to spec.template.metadata.annotations";
    let of_pod = "move it to the annotations of the pod (for a workload: spec.template.metadata.annotations)";
    let service = object("Service", &format!(", annotations: {key}"), "{}");
    let labels = object("Node", &format!(", labels: {key}"), "{}");
    let in_metadata = deployment(&template(&format!("{LOCAL_ONLY}: \"true\""), "", ""));
    for (text, place, remedy) in [
        (
            deployment(&template("", &format!("annotations: {key},"), "")),
            "spec.template.annotations of a Deployment",
            right,
        ),
        (
            deployment(&template("", "", &format!("annotations: {key},"))),
            "spec.template.spec.annotations of a Deployment",
            right,
        ),
        (deployment(&format!("{{annotations: {key}, template: {{}}}}")), "spec.annotations of a Deployment", right),
        (format!("{}annotations: {key}\n", deployment("{}")), "the top-level field annotations of a Deployment", right),
        (in_metadata, "spec.template.metadata of a Deployment", right),
        (
            deployment(&template(&format!("annotation: {key}"), "", "")),
            "spec.template.metadata.annotation of a Deployment",
            "rename `annotation` to `annotations`",
        ),
        (service, "metadata.annotations of a Service", of_pod),
        (labels, "metadata.labels of a Node", of_pod),
    ] {
        let run = Folder::new(&[("a.yaml", &text)]).run("validate -f a.yaml");
        let message = format!("error[HC036] Stork does not read `{LOCAL_ONLY}` from {place} (at ");
        assert!(run.out.contains(&message) && run.out.ends_with(&format!("= help: {remedy}\n")), "{text}{}", run.out);
        assert_eq!((run.code, run.out.matches("error[").count()), (Some(1), 1), "{}", run.out);
    }
}

#[test]
fn patches_and_kustomizations_are_checked() {
    let escaped = LOCAL_ONLY.replace('/', "~1");
    let patch = format!("- {{op: add, path: /spec/template/annotations/{escaped}, value: \"true\"}}\n");
    let kustomization = format!(
        "commonAnnotations: {{{LOCAL_ONLY}: \"true\"}}\nresources: [a.yaml]\npatches:\n- target: {{kind: Deployment}}\n  \
         patch: |-\n    - {{op: add, path: /metadata/annotations/{escaped}, value: \"true\"}}\n"
    );
    // kustomize adds the type if there is none.
    let typed = format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n{kustomization}");
    let folder = Folder::new(&[("patch.yaml", &patch), ("kustomization.yaml", &kustomization), ("typed.yaml", &typed)]);
    for (file, line) in [("kustomization.yaml", 1), ("typed.yaml", 3)] {
        let run = folder.run(&format!("validate -f {file} --strict"));
        let [common, patch] = [
            format!(
                "{file}:{line}:21: warning[HC037] kustomize adds `{LOCAL_ONLY}` to every object, but Stork reads this annotation only on pods "
            ),
            format!(
                "{file}:{}:5: error[HC005] in this patch, at metadata.annotations[{LOCAL_ONLY}]: Stork does not read `{LOCAL_ONLY}` \
                 from a Deployment's own metadata (at patches[0].patch)\n",
                line + 5
            ),
        ];
        assert!(run.out.starts_with(&common) && run.out.contains(&patch), "{}{}", run.out, run.err);
        assert_eq!((run.code, run.err), (Some(1), "colocate: 1 error, 1 warning in 1 object of 1 file\n".to_owned()));
    }
    let run = folder.run("validate -f patch.yaml -o json");
    let findings: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let expected = serde_json::json!({ "kind": "JSON patch", "namespace": null, "name": "" });
    assert_eq!((&findings[0]["rule"], &findings[0]["object"]), (&"HC036".into(), &expected), "{findings}");
    assert_eq!((&findings[0]["line"], &findings[0]["path"]), (&1.into(), &"[0].path".into()), "{findings}");
}

#[test]
fn objects_of_kinds_that_stork_does_not_read_are_not_counted() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {example.com/a: b}}\n";
    let run = Folder::new(&[("a.yaml", service)]).run("validate -f a.yaml");
    assert_eq!((run.code, run.err.as_str()), (Some(0), "colocate: no findings in 0 objects of 1 file\n"));
}

/// The rules of openstorage (`resolveSharedSpec`): a volume on a storage array or a file server is not a sharedv4 volume. For other
/// volumes, the access modes override the parameter `sharedv4`, whether it is true or false.
#[test]
fn access_modes_decide_which_volumes_are_sharedv4() {
    for (mode, parameters, expected) in [
        ("ReadWriteMany", "{backend: pure_file}", "HC027"),
        ("ReadWriteMany", "{proxy_endpoint: \"nfs://server\"}", "HC027"),
        ("ReadWriteMany", "{shared: \"true\"}", ""),
        ("ReadOnlyMany", "{repl: \"2\"}", "HC014"),
        ("ReadWriteOnce", "{sharedv4: \"true\"}", ""),
        ("ReadWriteMany", "{sharedv4: \"false\"}", "HC014"),
        ("ReadWriteOnce", "{sharedv4: \"yes\"}", "HC034"),
        ("ReadWriteOnce", "{sharedv4_svc_type: clusterip}", "HC034"),
        ("ReadWriteOnce", "{sharedv4_svc_type: clusterIP}", ""),
    ] {
        let class = format!(
            "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: px}}\nprovisioner: pxd.portworx.com\n\
             parameters: {parameters}\n"
        );
        let text = [deployment(&format!("{LOCAL_ONLY}: \"true\"")), claim(mode), class].join("---\n");
        let run = Folder::new(&[("a.yaml", &text)]).run("validate -f a.yaml --strict -o json");
        let findings: Vec<serde_json::Value> = serde_json::from_str(&run.out).unwrap();
        let found: Vec<_> = findings.iter().filter_map(|finding| finding["rule"].as_str()).collect();
        assert_eq!(found.join(" "), expected, "{mode} {parameters}: {}", run.err);
    }
}

#[test]
fn findings_are_sorted_by_position_and_separated_by_blank_lines() {
    let wrong = "stork.libopenstorage.org/preferlocalnodeonly";
    let text = deployment(&format!("{LOCAL_ONLY}: \"true\", {DISABLE}: \"true\", {wrong}: \"true\""));
    let folder = Folder::new(&[
        ("b.yaml", &text),
        ("a.yaml", &text),
        ("claim.yaml", &claim("ReadWriteOnce")),
        ("class.yaml", CLASS),
    ]);
    let run = folder.run("validate -f b.yaml a.yaml --manifests claim.yaml class.yaml");
    let expected = ["9:21: error[HC011]", "9:75: info[HC022]", "9:75: info[HC023]", "9:133: error[HC003]"];
    let expected: Vec<_> = ["b", "a"].iter().flat_map(|file| expected.map(|at| format!("{file}.yaml:{at}"))).collect();
    assert_eq!(run.places(), expected, "{}", run.out);
    assert_eq!(run.out.lines().filter(|line| line.is_empty()).count(), expected.len() - 1);
    assert_eq!(run.err, "colocate: 4 errors, 4 info in 2 objects of 2 files\n");
}

#[test]
fn only_errors_fail() {
    let folder = Folder::new(&[
        ("good.yaml", &deployment(&format!("{LOCAL_ONLY}: \"true\""))),
        ("unknown.yaml", &deployment("stork.libopenstorage.org/somethingElse: \"true\"")),
        ("claim.yaml", &claim("ReadWriteOnce")),
        ("class.yaml", CLASS),
        ("config.txt", "validation: {rules: {HC004: error}}"),
        ("off.txt", "validation: {mode: off, rules: {HC004: off}}"),
    ]);
    let run = folder.run("validate -f good.yaml claim.yaml class.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""));
    assert_eq!(run.err, "colocate: no findings in 3 objects of 3 files\n");

    let run = folder.run("validate -f unknown.yaml --strict");
    assert_eq!((run.code, run.places()), (Some(0), vec!["unknown.yaml:9:21: warning[HC004]"]));
    let run = folder.run("validate -f unknown.yaml --config config.txt");
    assert_eq!((run.code, run.places()), (Some(1), vec!["unknown.yaml:9:21: error[HC004]"]));
    let run = folder.run("validate -f unknown.yaml --config off.txt");
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""));
}

#[test]
fn the_first_of_exit_codes_2_1_3_that_applies_wins() {
    let folder = Folder::new(&[
        ("wrong.yaml", &deployment(&format!("{LOCAL_ONLY}: \"yes\""))),
        ("open.yaml", &deployment(&format!("{LOCAL_ONLY}: \"true\""))),
        ("bad.yaml", "a: [\n"),
    ]);
    assert_eq!(folder.run("validate -f open.yaml").code, Some(0));
    assert_eq!(folder.run("validate -f open.yaml --strict").code, Some(3));
    assert_eq!(folder.run("validate -f open.yaml wrong.yaml --strict").code, Some(1));
    let run = folder.run("validate -f open.yaml bad.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(run.err.starts_with("bad.yaml:1:4: ") && run.err.contains("a: ["), "{}", run.err);
    assert_eq!(folder.run("validate -f - --manifests - --strict").code, Some(2));
}

#[test]
fn usage_errors_are_reported_with_a_remedy() {
    let folder = Folder::new(&[("a.yaml", CLASS)]);
    for (arguments, part) in [
        ("validate -f - --manifests -", "standard input can be read only once: use - once"),
        ("validate -f - -f -", "standard input can be read only once: use - once"),
        ("validate -o json", "FILE|DIR|-"),
        ("validate -f a.yaml -o xml", "sarif"),
        ("validate -f a.yaml -n Shop", "1 to 63 characters a-z, 0-9 and `-`"),
        ("validate --list-rules -f a.yaml", "cannot be used with"),
        ("validate --list-rules -o sarif", "remove -o, or use -o json"),
    ] {
        let run = folder.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{arguments}");
        assert!(run.err.contains(part), "{arguments}: {}", run.err);
    }
}

#[test]
fn input_without_a_document_is_a_failure() {
    let folder = Folder::new(&[("empty/notes.txt", "x"), ("comment.yaml", "# nothing\n---\n")]);
    for (arguments, name) in [
        ("validate -f -", "standard input"),
        ("validate -f empty", "empty"),
        ("validate comment.yaml empty", "comment.yaml, empty"),
    ] {
        let run = folder.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{arguments}");
        assert_eq!(run.err, format!("colocate: no YAML document found in {name}\n"));
    }
    let run = folder.run("validate -f absent.yaml");
    assert_eq!(run.code, Some(1));
    assert!(run.err.ends_with("no findings in 0 objects of 0 files; 1 failure\n"), "{}", run.err);
    assert!(run.err.starts_with("colocate: cannot read absent.yaml"), "{}", run.err);
}

#[test]
fn standard_input_is_validated_too() {
    let text = deployment(&format!("{LOCAL_ONLY}: \"yes\""));
    let run = Folder::new(&[]).run_with("validate -f -", &text);
    assert_eq!((run.code, run.places()), (Some(1), vec!["standard input:9:67: error[HC001]"]));
}

#[test]
fn documents_without_a_rule_have_no_findings() {
    let text = "# nothing\n---\n- a list\n---\nplain text\n---\nkind: Deployment\n---\napiVersion: v1\nkind: Secret\n";
    let run = Folder::new(&[("a.yaml", text)]).run("validate -f a.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""));
    assert_eq!(run.err, "colocate: no findings in 0 objects of 1 file\n");
}

#[test]
fn claims_and_strategies_come_from_all_files() {
    let local = deployment(&format!("{LOCAL_ONLY}: \"true\""));
    let class = format!("{}\n", CLASS.replace("repl: \"2\"", "placement_strategy: together"));
    let strategy = "apiVersion: portworx.io/v1beta2\nkind: VolumePlacementStrategy\nmetadata: {name: together}\n";
    let folder =
        Folder::new(&[("local.yaml", &local), ("claim.yaml", &claim("ReadWriteMany")), ("class.yaml", &class)]);
    let run = folder.run("validate -f local.yaml --manifests claim.yaml class.yaml --strict");
    assert_eq!((run.code, run.places()), (Some(0), vec!["local.yaml:9:21: warning[HC014]"]));
    let run = folder.run("validate -f local.yaml claim.yaml --manifests class.yaml --strict");
    assert_eq!((run.code, run.places()), (Some(0), vec!["local.yaml:9:21: warning[HC014]"]));

    let run = folder.run("validate -f class.yaml --strict");
    assert_eq!(run.code, Some(3));
    assert!(
        run.err.starts_with("class.yaml:5:14: unchecked[HC020] ") && run.err.contains("no cluster was queried"),
        "{}",
        run.err
    );
    fs::write(folder.path("strategy.yaml"), strategy).unwrap();
    assert_eq!(folder.run("validate -f class.yaml --manifests strategy.yaml --strict").code, Some(0));
}

#[test]
fn a_class_is_judged_by_the_claims_in_the_files() {
    let class = CLASS.replace("repl: \"2\"", "stork.libopenstorage.org/preferRemoteNodeOnly: \"true\"");
    let folder = Folder::new(&[
        ("class.yaml", &class),
        ("once.yaml", &claim("ReadWriteOnce")),
        ("many.yaml", &claim("ReadOnlyMany").replace("name: data", "name: shared")),
    ]);
    for (arguments, findings) in [
        ("validate -f class.yaml --strict", &[][..]),
        ("validate -f class.yaml --strict --manifests once.yaml", &["class.yaml:5:14: warning[HC018]"]),
        ("validate -f class.yaml --strict --manifests once.yaml many.yaml", &[]),
    ] {
        let run = folder.run(arguments);
        assert_eq!((run.code, run.places()), (Some(0), findings.to_vec()), "{arguments}: {}", run.err);
    }
}

#[test]
fn the_object_or_the_flag_sets_the_namespace_which_may_opt_out() {
    let claim = claim("ReadWriteOnce").replace("{name: data}", "{name: data, namespace: shop}");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {stork.libopenstorage.org/disable-admission-controller: \"true\"}}\n";
    let local = deployment(&format!("{LOCAL_ONLY}: \"true\""));
    let folder = Folder::new(&[("a.yaml", &local), ("claim.yaml", &claim), ("class.yaml", CLASS)]);
    assert_eq!(folder.run("validate -f . --strict").code, Some(3));
    assert_eq!(folder.run("validate -f . --strict -n shop").code, Some(0));
    fs::write(folder.path("namespace.yaml"), namespace).unwrap();
    let run = folder.run("validate -f . --strict -n shop");
    assert_eq!((run.code, run.places()), (Some(1), vec!["./a.yaml:9:21: error[HC012]"]));
}
