//! Objects and rules that could not be checked.

use colocate_harness::Folder;

use super::{CLASS, DISABLE, LOCAL_ONLY, claim, deployment};

#[test]
fn a_rule_that_needs_an_unknown_claim_is_reported_as_unchecked() {
    let folder = Folder::new(&[
        ("a.yaml", &deployment(&format!("{LOCAL_ONLY}: \"true\""))),
        ("claim.yaml", &claim("ReadWriteOnce")),
        ("class.yaml", CLASS),
        ("config.txt", "validation: {rules: {HC013: off}}"),
    ]);
    let why = |why: &str| {
        let at = |rule: &str, title: &str| {
            format!(
                "a.yaml:9:21: unchecked[{rule}] {title}: {why} (at spec.template.metadata.annotations[{LOCAL_ONLY}])\n"
            )
        };
        [
            at("HC013", "preferLocalNodeOnly on a pod without a Portworx claim"),
            at("HC014", "preferLocalNodeOnly has no effect on a shared volume"),
        ]
    };
    let [first, second] = why("claim `data` is not in the files");
    let advice =
        ": pass the files that define the claims and classes with --manifests, or query a cluster with --cluster\n";
    let run = folder.run("validate -f a.yaml");
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""));
    assert_eq!(
        run.err,
        format!("{first}{second}colocate: no findings in 1 object of 1 file; 2 items could not be checked{advice}")
    );

    let run = folder.run("validate -f a.yaml --config config.txt");
    assert_eq!(
        run.err,
        format!("{second}colocate: no findings in 1 object of 1 file; 1 item could not be checked{advice}")
    );

    let [first, second] = why("claim `data`: its StorageClass `px` is not in the files");
    let run = folder.run("validate -f a.yaml --manifests claim.yaml");
    assert!(run.err.starts_with(&format!("{first}{second}")), "{}", run.err);
}

#[test]
fn a_missing_default_class_or_volume_is_named() {
    let local = deployment(&format!("{DISABLE}: \"true\""));
    let unnamed = claim("ReadWriteOnce").replace("storageClassName: px, ", "");
    let bound = claim("ReadWriteOnce").replace("px,", "\"\", volumeName: pv-1,");
    for (claim, why) in [
        (unnamed, "it names no StorageClass, and the files contain no default StorageClass"),
        (bound, "its PersistentVolume `pv-1` is not in the files"),
    ] {
        let run =
            Folder::new(&[("a.yaml", &local), ("claim.yaml", &claim)]).run("validate -f a.yaml --manifests claim.yaml");
        assert!(run.err.contains("unchecked[HC022] ") && run.err.contains(why), "{}", run.err);
    }
}

#[test]
fn an_unreadable_object_is_reported_and_the_others_are_checked() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: odd}\nspec: []\n";
    let class = CLASS.replace("provisioner: pxd.portworx.com\n", "");
    let claim = claim("ReadWriteOnce").replace("{name: data}", "{}");
    let good = deployment(&format!("{LOCAL_ONLY}: \"yes\""));
    let text = format!("{pod}---\n{class}---\n{claim}---\n{good}");
    let folder = Folder::new(&[("a.yaml", &text), ("pod.yaml", pod), ("class.yaml", &class)]);
    let run = folder.run("validate -f a.yaml");
    assert_eq!((run.code, run.places()), (Some(1), vec!["a.yaml:24:67: error[HC001]"]), "{}", run.err);
    let expected = "\
a.yaml:1:1: unchecked: Pod odd: the object does not have the structure of its kind: invalid type: sequence, expected an object or null
a.yaml:6:1: unchecked: StorageClass px: it cannot be used: it has no provisioner
a.yaml:11:1: unchecked: PersistentVolumeClaim: it cannot be used: it has no metadata.name
colocate: 1 error in 4 objects of 1 file; 3 items could not be checked
";
    assert_eq!(run.err, expected);
    assert_eq!(folder.run("validate -f pod.yaml").code, Some(0));
    assert_eq!(folder.run("validate -f pod.yaml --strict").code, Some(3));
    // An unreadable object in --manifests is skipped too.
    let run = folder.run("validate pod.yaml --manifests class.yaml");
    let line = "class.yaml:1:1: skipped: StorageClass px: it cannot be used: it has no provisioner";
    assert!(run.code == Some(0) && run.err.contains(line), "{}", run.err);
}

#[test]
fn a_helm_template_is_recognized() {
    let broken = "kind: Deployment\nspec:\n{{- if .Values.db }}\n  replicas: 1\n{{- end }}\n";
    let whole = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  nodeName: {{ .Values.node }}\n";
    let folder = Folder::new(&[("broken.yaml", broken), ("whole.yaml", whole)]);
    let run = folder.run("validate -f broken.yaml");
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("broken.yaml:3:3: ") && run.err.contains("`helm template`"), "{}", run.err);
    let run = folder.run("validate -f whole.yaml");
    assert_eq!(run.code, Some(0));
    let said =
        "whole.yaml:5:13: unchecked: this looks like a template: render it first (a Helm chart with `helm template`)\n";
    assert!(run.err.starts_with(said), "{}", run.err);
    assert_eq!(folder.run("validate -f whole.yaml --strict").code, Some(3));
    // Several messages are sorted by position.
    let several =
        format!("{whole}---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: odd}}\nspec: []\n");
    let run = Folder::new(&[("several.yaml", &several)]).run("validate -f several.yaml");
    let lines: Vec<_> = run.err.lines().map(|line| line.split(": ").take(3).collect::<Vec<_>>()).collect();
    assert_eq!(lines.len(), 3, "{}", run.err);
    assert_eq!(lines[0][..2], ["several.yaml:5:13", "unchecked"]);
    assert_eq!(lines[1], ["several.yaml:7:1", "unchecked", "PersistentVolumeClaim odd"]);
}

#[test]
fn a_truncated_list_of_findings_is_reported() {
    let keys: Vec<_> = (0..201).map(|n| format!("stork.libopenstorage.org/unknown-{n}: x")).collect();
    let run = Folder::new(&[("a.yaml", &deployment(&keys.join(", ")))]).run("validate -f a.yaml --strict");
    assert_eq!((run.code, run.places().len()), (Some(3), 200));
    let said = "a.yaml:1:1: unchecked: Deployment mysql: it has more findings than are listed: fix these first, and validate again\n";
    assert!(run.err.starts_with(said), "{}", run.err);
}

#[test]
fn only_the_document_with_a_duplicate_key_is_not_checked() {
    let twice = |text: &str| format!("{text}metadata: {{name: twice}}\n");
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  selector: {a: b}\n  selector: {a: b}\n";
    let good = deployment(&format!("{LOCAL_ONLY}: \"yes\""));
    let folder = Folder::new(&[
        ("a.yaml", &format!("{service}---\n{good}")),
        ("b.yaml", &twice(&good)),
        ("claim.yaml", &twice(&claim("ReadWriteOnce"))),
    ]);
    let run = folder.run("validate a.yaml --strict");
    assert_eq!((run.code, run.places()), (Some(1), vec!["a.yaml:16:67: error[HC001]"]));
    let line = "a.yaml:6:3: skipped: duplicate key `selector`: remove it here or on line 5\n";
    assert_eq!(run.err, format!("{line}colocate: 1 error in 1 object of 1 file\n"));
    let run = folder.run("validate b.yaml claim.yaml --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(3), ""));
    let lines: Vec<_> = run.err.lines().collect();
    assert_eq!(
        lines[0],
        "b.yaml:13:1: unchecked: Deployment twice: duplicate key `metadata`: remove it here or on line 3"
    );
    assert!(lines[1].starts_with("claim.yaml:5:1: unchecked: PersistentVolumeClaim twice: duplicate key"), "{lines:?}");
}
