//! Decisions about files, compared with decisions about what the real kustomize builds of them.
//!
//! colocate does not build kustomizations: a decision that a build may change is left open. So each decision that it makes
//! has to be right for every build.

use std::process::Command;

use colocate_harness::{Folder, Run, TWO_CLASSES, programs, scramble};

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers: [{name: c, image: x}]
      volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]
";

const NAMESPACE: &str = "apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {stork.libopenstorage.org/disable-admission-controller: 'true'}}
";

/// The trees that are built.
const TREES: u64 = 120;

/// Fields of an overlay. Some of them change the decision about the Deployment, if there is something to change.
const FIELDS: [&str; 22] = [
    "",
    "namespace: shop",
    "namespace: other",
    "namePrefix: dev-",
    "nameSuffix: -x",
    "commonLabels: {team: a}",
    "labels: [{pairs: {team: a}}]",
    "labels: [{pairs: {stork.libopenstorage.org/disable-admission-controller: 'true'}}]",
    "commonAnnotations: {team: a}",
    "commonAnnotations: {volume.beta.kubernetes.io/storage-class: ebs}",
    "images: [{name: x, newTag: '2'}]",
    "replicas: [{name: web, count: 3}]",
    "configMapGenerator: [{name: settings, literals: [a=b]}]",
    "patches: [{target: {kind: PersistentVolumeClaim}, patch: '[{op: replace, path: /spec/storageClassName, value: ebs}]'}]",
    "patches: [{target: {kind: PersistentVolumeClaim}, patch: '[{op: add, path: /metadata/labels, value: {a: b}}]'}]",
    "patches: [{target: {kind: StorageClass, name: px}, patch: '[{op: replace, path: /provisioner, value: x.example}]'}]",
    "patches: [{target: {kind: Deployment}, patch: '[{op: replace, path: /spec/template/spec/volumes/0, value: {name: v, emptyDir: {}}}]'}]",
    "patches: [{target: {kind: Deployment}, patch: '[{op: add, path: /spec/template/spec/schedulerName, value: mine}]'}]",
    "patches: [{target: {labelSelector: app=web}, patch: '[{op: add, path: /spec/replicas, value: 3}]'}]",
    "patches: [{patch: '{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, $patch: delete}'}]",
    "patches: [{patch: '{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {storageClassName: px}}'}]",
    "replacements: [{source: {kind: StorageClass, name: ebs}, targets: [{select: {kind: PersistentVolumeClaim}, fieldPaths: [spec.storageClassName]}]}]",
];

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = scramble(self.0);
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn one_of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len())]
    }
}

fn claim(class: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\n\
         spec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
    )
}

/// A base with a Deployment, and overlays of it: their names, and all files. The claim, the classes and the Namespace are
/// parts of the base or of overlays.
fn tree(numbers: &mut Numbers) -> (Vec<&'static str>, Vec<(String, String)>) {
    let overlays = ["dev", "prod", "stage"][..=numbers.below(3)].to_vec();
    let mut files = vec![("base/deployment.yaml".to_owned(), DEPLOYMENT.to_owned())];
    let mut base = vec!["deployment.yaml"];
    let (base_has_claim, base_has_classes) = (numbers.below(2) == 0, numbers.below(4) > 0);
    if base_has_claim {
        base.push("claim.yaml");
        files.push(("base/claim.yaml".to_owned(), claim(numbers.one_of(&["px", "ebs"]))));
    }
    if base_has_classes {
        base.push("classes.yaml");
        files.push(("base/classes.yaml".to_owned(), TWO_CLASSES.to_owned()));
    }
    let field = if numbers.below(3) == 0 { numbers.one_of(&FIELDS) } else { "" };
    files.push(("base/kustomization.yaml".to_owned(), format!("resources: [{}]\n{field}\n", base.join(", "))));
    for overlay in &overlays {
        let mut resources = vec!["../base"];
        let mut add = |name: &'static str, text: String| {
            resources.push(name);
            files.push((format!("{overlay}/{name}"), text));
        };
        if !base_has_claim && numbers.below(4) > 0 {
            add("claim.yaml", claim(numbers.one_of(&["px", "px", "ebs"])));
        }
        if !base_has_classes {
            add("classes.yaml", TWO_CLASSES.to_owned());
        }
        if numbers.below(4) == 0 {
            add("namespace.yaml", NAMESPACE.to_owned());
        }
        let field = numbers.one_of(&FIELDS);
        files.push((
            format!("{overlay}/kustomization.yaml"),
            format!("resources: [{}]\n{field}\n", resources.join(", ")),
        ));
    }
    (overlays, files)
}

/// Builds a kustomization; `None` if kustomize refuses it.
fn build(folder: &Folder, overlay: &str) -> Option<String> {
    let kustomize = programs::tools().join("kustomize");
    let output = Command::new(kustomize).args(["build", overlay]).current_dir(folder.root()).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Returns whether the Deployment gets the scheduler; `None` if that is unresolved.
fn decision(run: &Run) -> Option<bool> {
    match run.code {
        Some(0) => Some(false),
        Some(3) => None,
        Some(4) => Some(true),
        _ => panic!("{:?}: {}", run.code, run.err),
    }
}

#[test]
fn a_decision_about_files_is_right_for_every_build() {
    let (mut decided, mut unresolved, mut contradictions) = ((0, 0), 0, Vec::new());
    for seed in 0..TREES {
        let (overlays, files) = tree(&mut Numbers(seed));
        let files: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
        let folder = Folder::new(&files);
        let of_builds: Vec<_> = overlays.iter().filter_map(|overlay| build(&folder, overlay)).collect();
        if of_builds.len() < overlays.len() {
            continue;
        }
        let Some(of_files) = decision(&folder.run("mutate . --strict --check")) else {
            unresolved += 1;
            continue;
        };
        for (overlay, built) in overlays.iter().zip(&of_builds) {
            // All builds are for one cluster, so that a Namespace of one of them counts for all.
            let others = of_builds.iter().filter(|other| *other != built);
            let namespaces =
                others.flat_map(|other| other.split("---\n")).filter(|text| text.contains("kind: Namespace"));
            let all: Vec<_> = std::iter::once(&**built).chain(namespaces).collect();
            let of_build = decision(&folder.run_with("mutate - --strict --check", &all.join("---\n")));
            if of_build.is_some_and(|of_build| of_build != of_files) {
                contradictions.push(format!(
                    "tree {seed}, overlay {overlay}: {of_files} for files, {of_build:?} for the build: {files:#?}"
                ));
            }
        }
        *(if of_files { &mut decided.0 } else { &mut decided.1 }) += 1;
    }
    assert!(contradictions.is_empty(), "{} contradictions, the first: {}", contradictions.len(), contradictions[0]);
    let (injected, unchanged) = decided;
    println!("{injected} injected, {unchanged} unchanged, {unresolved} unresolved");
    assert!(injected >= 5 && unchanged >= 5 && unresolved >= 5, "{injected}, {unchanged}, {unresolved}");
}
