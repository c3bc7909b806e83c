//! Kustomizations: they are not built, so what they may change stays unresolved, and the place is named.

use colocate_harness::{Folder, TWO_CLASSES};

const CLAIM: &str = "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: px, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers: [{name: c, image: x}]
      volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]
";

/// A kustomization of classes, a claim and a Deployment, with these fields.
fn folder(name: &str, fields: &str, others: &[(&str, &str)]) -> Folder {
    let kustomization = format!("resources: [sc.yaml, pvc.yaml, dep.yaml]\n{fields}\n");
    let mut files =
        vec![(name, kustomization.as_str()), ("sc.yaml", TWO_CLASSES), ("pvc.yaml", CLAIM), ("dep.yaml", DEPLOYMENT)];
    files.extend(others);
    Folder::new(&files)
}

/// A patch with a target and one operation.
fn operation(target: &str, operation: &str) -> String {
    format!("patches:\n- target: {{{target}}}\n  patch: |\n    - {operation}")
}

/// Checks that the Deployment is unresolved, and that a line names this place.
fn assert_unresolved(folder: &Folder, place: &str, what: &str) {
    let run = folder.run("mutate . --strict --check");
    assert!(run.code == Some(3) && run.err.contains(place), "{what}: {:?} {}", run.code, run.err);
}

#[test]
fn what_may_change_a_decision_leaves_it_unresolved() {
    let claims = "kind: PersistentVolumeClaim";
    let class = "{op: replace, path: /spec/storageClassName, value: ebs}";
    let merge = |body: &str| format!("patches:\n- patch: |\n    {}", body.replace('\n', "\n    "));
    let of_claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n";
    let of_web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";
    let of_volumes = |volumes: &str| merge(&format!("{of_web}spec: {{template: {{spec: {{volumes: {volumes}}}}}}}"));
    let deployments = |text: &str| operation("kind: Deployment", text);
    let replacement = "replacements:\n- source: {kind: StorageClass, name: ebs}\n  targets:\n  - select: {kind: PersistentVolumeClaim}\n    \
                       fieldPaths: [spec.storageClassName]";
    for (fields, column) in [
        (operation(claims, class), "3:3"),
        (operation("labelSelector: a=b", class), "3:3"),
        (operation("name: da.*", class), "3:3"),
        (operation(&format!("{claims}, namespace: elsewhere"), class), "3:3"),
        (operation(claims, "{op: replace, path: spec/storageClassName, value: ebs}"), "3:3"),
        (operation(claims, "{op: replace, path: '', value: 5}"), "3:3"),
        (operation(claims, "{op: copy, from: /spec/resources, path: /metadata/annotations}"), "3:3"),
        (operation(&format!("{claims}, name: data"), "{op: replace, path: /metadata/namespace, value: other}"), "3:3"),
        (operation("kind: StorageClass, name: px", "{op: replace, path: /provisioner, value: x.y}"), "3:3"),
        (merge(&format!("{of_claim}spec: {{storageClassName: ebs}}")), "3:3"),
        (merge(&format!("{of_claim}$patch: delete")), "3:3"),
        (merge(&format!("{of_claim}$patch: replace\nspec: {{volumeName: x}}")), "3:3"),
        (merge("# a comment\n---\nspec: {storageClassName: ebs}"), "3:3"),
        (of_volumes("[{name: v, $retainKeys: [name, emptyDir], emptyDir: {}}]"), "3:3"),
        (of_volumes("[{$patch: replace}, {name: v, emptyDir: {}}]"), "3:3"),
        (of_volumes("null"), "3:3"),
        (deployments("{op: add, path: /metadata/namespace, value: other}"), "3:3"),
        (deployments("{op: remove, path: /metadata/labels}"), "3:3"),
        (deployments("{op: replace, path: /spec/template/metadata, value: {labels: {a: b}}}"), "3:3"),
        (deployments("{op: copy, from: /spec/selector/matchLabels, path: /metadata/labels}"), "3:3"),
        (deployments("{op: remove, path: /spec/template/spec/schedulerName}"), "3:3"),
        ("patches: [{path: 'https://x.test/p.yaml'}]".to_owned(), "2:11"),
        ("patches: [{path: missing.yaml}]".to_owned(), "2:11"),
        ("patches: [{target: {kind: Deployment}, path: p.txt}]".to_owned(), "p.txt:1:1"),
        ("patchesStrategicMerge: [missing.yaml]".to_owned(), "2:25"),
        ("commonLabels: {colocate/ignore: 'true'}".to_owned(), "2:15"),
        ("labels: [{pairs: {stork.libopenstorage.org/disable-admission-controller: 'true'}}]".to_owned(), "2:9"),
        ("commonAnnotations: {volume.beta.kubernetes.io/storage-class: ebs}".to_owned(), "2:20"),
        (replacement.to_owned(), "3:3"),
        ("replacements: [{path: missing.yaml}]".to_owned(), "2:16"),
        ("transformers: [t.yaml]".to_owned(), "2:15"),
        ("components: ['https://x.test/y']".to_owned(), "2:14"),
    ] {
        let folder = folder("kustomization.yaml", &fields, &[("p.txt", "[]"), ("t.yaml", "")]);
        let place = if column.contains("p.txt") { column.to_owned() } else { format!("kustomization.yaml:{column}") };
        assert_unresolved(&folder, &place, &fields);
    }
    let without_extension = folder("Kustomization", &operation(claims, class), &[]);
    assert_unresolved(&without_extension, "./Kustomization:3:3", "Kustomization");
}

#[test]
fn harmless_fields_decide_as_without_them() {
    let container = "{name: c, image: y, resources: {limits: {cpu: 1}}, volumeMounts: [{name: v, mountPath: /x}]}";
    let of_web = "apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web, labels: {x: y}}";
    for fields in [
        "namespace: shop".to_owned(),
        "namePrefix: dev-".to_owned(),
        "commonLabels: {app: web}\nimages: [{name: x, newTag: '2'}]\nreplicas: [{name: web, count: 3}]".to_owned(),
        "configMapGenerator: [{name: c, literals: [a=b]}]".to_owned(),
        operation("kind: Deployment", "{op: replace, path: /spec/replicas, value: 3}"),
        operation("kind: Deployment", "{op: add, path: /spec/template/spec/volumes/-, value: {name: w, emptyDir: {}}}"),
        operation("kind: PersistentVolumeClaim", "{op: replace, path: /spec/resources/requests/storage, value: 2Gi}"),
        operation("kind: PersistentVolumeClaim, name: other", "{op: remove, path: /spec}"),
        operation("kind: StorageClass, name: ebs", "{op: remove, path: /provisioner}"),
        format!(
            "patches:\n- patch: |\n    {of_web}\n    spec: {{replicas: 3, template: {{spec: {{containers: [{container}], volumes: [{{name: w, configMap: {{name: x}}}}]}}}}}}"
        ),
    ] {
        let run = folder("kustomization.yaml", &fields, &[]).run("mutate . --strict --check");
        assert_eq!(run.code, Some(4), "{fields}: {}", run.err);
    }
}

#[test]
fn what_may_come_from_elsewhere_leaves_a_workload_unresolved() {
    // Both environments have the namespace `shop`, so that the claim of the other one has the same name.
    let url = "https://x.test/storage";
    for (name, fields) in [
        (url, "resources: [dep.yaml, 'https://x.test/storage']"),
        ("pvc.txt", "resources: [dep.yaml, pvc.txt]"),
        ("generators", "resources: [dep.yaml]\ngenerators: [g.yaml]"),
        ("helmCharts", "resources: [dep.yaml]\nhelmCharts: [{name: a}]"),
    ] {
        let folder = Folder::new(&[
            ("sc.yaml", TWO_CLASSES),
            ("dev/kustomization.yaml", "namespace: shop\nresources: [pvc.yaml, dep.yaml]\n"),
            ("dev/pvc.yaml", CLAIM),
            ("dev/dep.yaml", DEPLOYMENT),
            ("prod/kustomization.yaml", &format!("namespace: shop\n{fields}\n")),
            ("prod/dep.yaml", DEPLOYMENT),
            ("prod/pvc.txt", CLAIM),
        ]);
        let run = folder.run("mutate . --strict --check");
        let is_named = run.err.contains("./prod/dep.yaml:1:1") && run.err.contains(name);
        assert!(run.code == Some(3) && is_named && run.err.contains("kustomize build ./prod"), "{name}: {}", run.err);
        assert!(!run.err.contains("./dev/dep.yaml:1:1: Deployment shop/web: claim"), "{}", run.err);
    }
}

#[test]
fn a_prefix_hides_a_name_from_other_files() {
    let hidden = Folder::new(&[
        ("sc.yaml", TWO_CLASSES),
        ("a/kustomization.yaml", "namePrefix: a-\nresources: [pvc.yaml]\n"),
        ("a/pvc.yaml", CLAIM),
        ("b/dep.yaml", DEPLOYMENT),
        ("storage/pvc.yaml", &CLAIM.replace(": px", ": ebs")),
        ("kustomization.yaml", "resources: [sc.yaml, a, b/dep.yaml, storage/pvc.yaml]\n"),
    ]);
    assert_unresolved(&hidden, "is described in ./a/pvc.yaml:1:1, where a kustomization changes its name", "one build");
    let elsewhere = Folder::new(&[
        ("infra/kustomization.yaml", "namePrefix: team-\nresources: [sc.yaml]\n"),
        ("infra/sc.yaml", TWO_CLASSES),
        ("app/kustomization.yaml", "resources: [pvc.yaml, dep.yaml]\n"),
        ("app/pvc.yaml", CLAIM),
        ("app/dep.yaml", DEPLOYMENT),
    ]);
    assert_unresolved(&elsewhere, "its StorageClass `px` is not in the files", "two builds");
    let prefixed = Folder::new(&[
        ("app/kustomization.yaml", "resources: [sc.yaml, claims, dep.yaml]\n"),
        ("app/sc.yaml", TWO_CLASSES),
        ("app/claims/kustomization.yaml", "namePrefix: team-\nresources: [pvc.yaml]\n"),
        ("app/claims/pvc.yaml", CLAIM),
        ("app/dep.yaml", &DEPLOYMENT.replace("claimName: data", "claimName: team-data")),
        ("pvc.yaml", &CLAIM.replace("name: data", "name: team-data").replace(": px", ": ebs")),
    ]);
    assert_unresolved(&prefixed, "may get its name by a prefix or suffix", "a name with the prefix");
    let volume = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: pv}\nspec: {claimRef: {namespace: default, name: data}, csi: \
                  {driver: pxd.portworx.com}}\n";
    let reserved = folder("kustomization.yaml", "namePrefix: dev-", &[("pv.yaml", volume)]);
    std::fs::write(reserved.path("pvc.yaml"), CLAIM.replace(": px", ": ''")).unwrap();
    assert_unresolved(&reserved, "a claimRef names it in ./pv.yaml:1:1", "claimRef");
}

#[test]
fn the_namespace_of_a_kustomization_renames_namespaces() {
    let namespace = |name: &str| {
        let label = "stork.libopenstorage.org/disable-admission-controller: 'true'";
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{label}}}}}\n")
    };
    let files = [("ns.yaml", &*namespace("base")), ("names/kustomization.yaml", "resources: [../ns.yaml]\n")];
    let renamed = folder("kustomization.yaml", "namespace: prod\nbases: [names]", &files);
    assert_eq!(renamed.run("mutate . --strict --check").code, Some(0));
    let files =
        [("a/kustomization.yaml", "namespace: stage\nresources: [ns.yaml]\n"), ("a/ns.yaml", &*namespace("prod"))];
    let elsewhere = folder("kustomization.yaml", "namespace: prod", &files);
    assert_eq!(elsewhere.run("mutate . --strict --check").code, Some(4));
}

#[test]
fn a_component_may_change_the_whole_build() {
    let component = "kind: Component\nnamespace: shop\n";
    let namespace = folder("kustomization.yaml", "components: [part]", &[("part/kustomization.yaml", component)]);
    assert_unresolved(&namespace, "the namespace of the component in ./part/kustomization.yaml:1:1", "namespace");
    let patch =
        "kind: Component\npatches:\n- target: {kind: PersistentVolumeClaim}\n  patch: '[{op: remove, path: /spec}]'\n";
    let patched = folder("kustomization.yaml", "components: [part]", &[("part/kustomization.yaml", patch)]);
    assert_unresolved(&patched, "./part/kustomization.yaml:3:3", "patch");
}

#[test]
fn an_existing_claim_is_used_instead_of_a_template() {
    let set = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: web}\nspec:\n  template: {spec: {containers: [{name: c}]}}\n  \
               volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: CLASS}}]\n";
    let run = |class: &str| {
        Folder::new(&[
            ("sc.yaml", TWO_CLASSES),
            ("pvc.yaml", &CLAIM.replace("name: data", "name: data-web-0")),
            ("sts.yaml", &set.replace("CLASS", class)),
        ])
        .run("mutate . --strict --check")
    };
    assert_eq!(run("px").code, Some(4));
    let differs = run("ebs");
    let is_named = differs.err.contains("./sts.yaml:1:1") && differs.err.contains("./pvc.yaml:1:1");
    assert!(differs.code == Some(3) && is_named, "{}", differs.err);
}
