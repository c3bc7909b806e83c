//! Repositories in which a name is described several times.

use colocate_harness::{ApiServer, Folder};

const CLASSES: &str = "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: px}
provisioner: pxd.portworx.com
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: hostpath}
provisioner: rancher.io/local-path
";

fn claim(class: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\nspec: {{storageClassName: {class}}}\n"
    )
}

fn pod(name: &str) -> String {
    let volumes = "volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]";
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  {volumes}\n")
}

#[test]
fn each_environment_is_decided_by_its_own_claim() {
    let all = |class: &str, name: &str| format!("{}---\n{}", claim(class), pod(name));
    let folder = Folder::new(&[
        ("classes.yaml", CLASSES),
        ("dev/all.yaml", &all("hostpath", "p-dev")),
        ("prod/all.yaml", &all("px", "p-prod")),
    ]);
    for paths in [".", "prod dev classes.yaml", "dev prod --manifests classes.yaml"] {
        let run = folder.run(&format!("mutate {paths} --strict --explain --check"));
        assert_eq!(run.code, Some(4), "{paths}: {}", run.err);
        let reason = |name: &str| {
            let line = run.err.lines().find(|line| line.contains(&format!("default/{name}: "))).unwrap();
            line.split(": ").nth(2).unwrap().to_owned()
        };
        assert_eq!(
            (reason("p-dev").as_str(), reason("p-prod").as_str()),
            ("no-driver; claim `data`", "injected -> stork; claim `data`")
        );
    }
}

#[test]
fn equally_near_claims_that_differ_leave_a_pod_unresolved() {
    let overlay = "resources: [../../base, pvc.yaml]\n";
    let folder = Folder::new(&[
        ("base/kustomization.yaml", "resources: [classes.yaml, pod.yaml]\n"),
        ("base/classes.yaml", CLASSES),
        ("base/pod.yaml", &pod("p")),
        ("overlays/dev/kustomization.yaml", overlay),
        ("overlays/dev/pvc.yaml", &claim("hostpath")),
        ("overlays/prod/kustomization.yaml", overlay),
        ("overlays/prod/pvc.yaml", &claim("px")),
    ]);
    let run = folder.run("mutate . --strict -o diff");
    assert_eq!((run.code, run.out.as_str()), (Some(3), ""));
    let expected = "./base/pod.yaml:1:1: Pod default/p: claim-unknown: claim `data`: unknown: it is described differently in \
                    ./overlays/dev/pvc.yaml:1:1 and in ./overlays/prod/pvc.yaml:1:1, and kustomizations build the \
                    file with each of them\n";
    assert!(run.err.starts_with(expected), "{}", run.err);
    let key = "metadata: {annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"true\"}, ";
    std::fs::write(folder.path("base/pod.yaml"), pod("p").replace("metadata: {", key)).unwrap();
    let run = folder.run("validate . --strict");
    assert_eq!((run.code, run.out.as_str()), (Some(3), ""));
    let why =
        "claim `data`: it is described differently in ./overlays/dev/pvc.yaml:1:1 and in ./overlays/prod/pvc.yaml:1:1";
    assert!(run.err.contains("./base/pod.yaml:3:26: unchecked[HC013]") && run.err.contains(why), "{}", run.err);
    // A claim in the same folder is nearer, and so is one environment alone.
    let base = |resources: &str| {
        let path = folder.path("base/kustomization.yaml");
        std::fs::write(path, format!("resources: [classes.yaml, pod.yaml{resources}]\n")).unwrap();
    };
    std::fs::write(folder.path("base/pvc.yaml"), claim("px")).unwrap();
    base(", pvc.yaml");
    assert_eq!(folder.run("mutate . --strict --check").code, Some(4));
    std::fs::remove_file(folder.path("base/pvc.yaml")).unwrap();
    base("");
    assert_eq!(folder.run("mutate base overlays/dev --strict --check").code, Some(0));
    assert_eq!(folder.run("mutate base overlays/prod --strict --check").code, Some(4));
}

#[test]
fn two_default_classes_that_differ_leave_a_pod_unresolved() {
    let default = "metadata: {annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}, ";
    let classes = CLASSES.replace("metadata: {", default);
    let (px, hostpath) = classes.split_once("---\n").unwrap();
    let key = "metadata: {annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"true\"}, ";
    let all = format!(
        "{}---\n{}",
        claim("px").replace("storageClassName: px", "accessModes: [ReadWriteOnce]"),
        pod("p").replace("metadata: {", key)
    );
    // The first by name must not decide, whichever that is.
    for name in ["px", "a"] {
        let classes = classes.replace("name: px", &format!("name: {name}"));
        let folder = Folder::new(&[("classes.yaml", &classes), ("pod.yaml", &all)]);
        let why = "it names no StorageClass, and the default StorageClass is described differently in ./classes.yaml:1:1 and in \
                   ./classes.yaml:6:1";
        let run = folder.run("mutate . --check --strict");
        assert!(run.code == Some(3) && run.err.contains(&format!("claim `data`: unknown: {why}")), "{}", run.err);
        let run = folder.run("validate . --strict");
        assert!(run.code == Some(3) && run.err.contains(&format!("claim `data`: {why}")), "{}", run.err);
    }
    // The same in two files.
    let folder = Folder::new(&[("a.yaml", px), ("b.yaml", hostpath), ("pod.yaml", &all)]);
    let run = folder.run("mutate . --check --strict");
    assert!(run.code == Some(3) && run.err.contains("./a.yaml:1:1 and in ./b.yaml:1:1"), "{}", run.err);
}

#[test]
fn the_claim_of_another_environment_does_not_decide() {
    let folder =
        Folder::new(&[("classes.yaml", CLASSES), ("dev/pod.yaml", &pod("p")), ("prod/claim.yaml", &claim("px"))]);
    let run = folder.run("mutate . --strict --check");
    let expected = "./dev/pod.yaml:1:1: Pod default/p: claim-unknown: claim `data`: unknown: it is described only in other \
                    folders (./prod/claim.yaml:1:1), which may be another environment: name the right file with --manifests\n";
    assert!(run.code == Some(3) && run.err.starts_with(expected), "{}", run.err);
    assert_eq!(folder.run("mutate dev classes.yaml --manifests prod --strict --check").code, Some(4));
}

#[test]
fn objects_have_the_namespace_of_their_kustomization() {
    let label = "labels: {stork.libopenstorage.org/disable-admission-controller: \"true\"}";
    let folder = Folder::new(&[
        ("classes.yaml", CLASSES),
        ("a/kustomization.yaml", "namespace: a\nresources: [claim.yaml, pod.yaml]\n"),
        ("a/claim.yaml", &claim("px").replace("name: data", "name: data, namespace: a")),
        ("a/pod.yaml", &pod("p")),
        ("b/kustomization.yaml", "namespace: b\nresources: [claim.yaml, pod.yaml, namespace.yaml]\n"),
        ("b/claim.yaml", &claim("px")),
        ("b/pod.yaml", &pod("p")),
        ("b/namespace.yaml", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: b, {label}}}\n")),
        ("c/claim.yaml", &claim("hostpath")),
    ]);
    let run = folder.run("mutate . --strict --check --explain");
    assert_eq!(run.code, Some(4), "{}", run.err);
    let decided = |start: &str| run.err.lines().any(|line| line.starts_with(start));
    assert!(decided("./a/pod.yaml:1:1: Pod a/p: injected -> stork; claim `data`"), "{}", run.err);
    assert!(decided("./b/pod.yaml:1:1: Pod b/p: namespace-opted-out"), "{}", run.err);
    // The claim is in a file that is not passed, and may exist.
    let server = ApiServer::new(&[], 404);
    let run = server.run(&folder, "mutate a/kustomization.yaml a/pod.yaml");
    assert!(server.asked().contains(&"/api/v1/namespaces/a/persistentvolumeclaims/data".to_owned()), "{}", run.err);
}

#[test]
fn a_namespace_that_opts_out_in_only_one_overlay_is_unresolved() {
    let namespace = |value: &str| {
        let label = format!("stork.libopenstorage.org/disable-admission-controller: \"{value}\"");
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{{label}}}}}\n")
    };
    let key = "metadata: {annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"true\"}, ";
    let folder = Folder::new(&[
        ("base/all.yaml", &format!("{CLASSES}---\n{}---\n{}", claim("px"), pod("p").replace("metadata: {", key))),
        ("overlays/dev/namespace.yaml", &namespace("true")),
        ("overlays/prod/namespace.yaml", &namespace("false")),
    ]);
    let run = folder.run("mutate . -n shop --strict -o diff");
    assert_eq!((run.code, run.out.as_str()), (Some(3), ""));
    let why = "the Namespace `shop` opts out in ./overlays/dev/namespace.yaml:1:1, but not in ./overlays/prod/namespace.yaml:1:1";
    assert!(run.err.contains(&format!("Pod shop/p: left unchanged: {why}, and both are equally near")), "{}", run.err);
    let run = folder.run("validate . -n shop --strict");
    assert!(run.code == Some(3) && run.err.contains(&format!("unchecked: Pod p: {why}")), "{}", run.err);
    assert_eq!(folder.run("mutate base overlays/prod -n shop --strict --check").code, Some(4));
    assert_eq!(folder.run("mutate base overlays/dev -n shop --strict --check").code, Some(0));
}

#[test]
fn a_claim_that_two_volumes_are_reserved_for_is_decided_if_they_agree() {
    let volume = |name: &str, driver: &str| {
        format!(
            "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec: {{csi: {{driver: {driver}}}, claimRef: {{namespace: default, name: data}}}}\n"
        )
    };
    let key = "metadata: {annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"true\"}, ";
    let all = |driver: &str| {
        let claim = claim("''").replace("spec: {", "spec: {accessModes: [ReadWriteOnce], ");
        let pod = pod("p").replace("metadata: {", key);
        Folder::new(&[(
            "a.yaml",
            &format!("{claim}{}{}---\n{pod}", volume("a", "pxd.portworx.com"), volume("b", driver)),
        )])
    };
    assert_eq!(all("pxd.portworx.com").run("mutate . --strict --check").code, Some(4));
    let why = "it may be bound to the PersistentVolume `a`, whose claimRef names it in ./a.yaml:6:1, or to `b` in ./a.yaml:11:1, and \
               their provisioners differ";
    for command in ["mutate . --strict --check", "validate . --strict"] {
        let run = all("other.example.test").run(command);
        assert!(run.code == Some(3) && run.err.contains(why), "{command}: {}", run.err);
    }
}

#[test]
fn a_base_for_two_namespaces_that_differ_names_the_places() {
    let overlay = |name: &str| format!("namespace: {name}\nresources: [../base, c.yaml]\n");
    let key = "metadata: {annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"true\"}, ";
    let shared = claim("px").replace("spec: {", "spec: {accessModes: [ReadWriteMany], ");
    let folder = Folder::new(&[
        ("classes.yaml", CLASSES),
        ("base/kustomization.yaml", "resources: [a.yaml]\n"),
        ("base/a.yaml", &pod("p").replace("metadata: {", key)),
        ("dev/kustomization.yaml", &overlay("dev")),
        ("dev/c.yaml", &claim("px")),
        ("prod/kustomization.yaml", &overlay("prod")),
        ("prod/c.yaml", &shared),
    ]);
    let why = "it differs between the namespaces `dev` (./dev/c.yaml:1:1) and `prod` (./prod/c.yaml:1:1), and kustomizations build \
               the file for both";
    // Only the access modes differ, on which the scheduler does not depend.
    assert_eq!(folder.run("mutate . --strict --check").code, Some(4));
    let run = folder.run("validate . --strict");
    assert!(run.code == Some(3) && run.err.contains(&format!("claim `data`: {why}")), "{}", run.err);
    std::fs::write(folder.path("prod/c.yaml"), claim("hostpath")).unwrap();
    let run = folder.run("mutate . --strict --check");
    assert!(run.code == Some(3) && run.err.contains(&format!("claim `data`: unknown: {why}")), "{}", run.err);
    let run = folder.run("validate . --strict");
    assert!(run.code == Some(3) && run.err.contains(&format!("claim `data`: {why}")), "{}", run.err);
    // The same for a Namespace that opts out.
    std::fs::write(folder.path("prod/c.yaml"), claim("px")).unwrap();
    let label = "labels: {stork.libopenstorage.org/disable-admission-controller: \"true\"}";
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: dev, {label}}}\n");
    std::fs::write(folder.path("namespace.yaml"), namespace).unwrap();
    let why = "the Namespace `dev` opts out in ./namespace.yaml:1:1, but `prod`, which is not in the files, does not, and \
               kustomizations build the file for both";
    for command in ["mutate . --strict --check", "validate . --strict"] {
        let run = folder.run(command);
        assert!(run.code == Some(3) && run.err.contains(why), "{command}: {}", run.err);
    }
}

#[test]
fn the_cluster_is_not_asked_about_what_files_describe() {
    let folder = Folder::new(&[
        ("classes.yaml", CLASSES),
        ("pod.yaml", &pod("p")),
        ("dev/pvc.yaml", &claim("hostpath")),
        ("prod/pvc.yaml", &claim("px")),
    ]);
    let server = ApiServer::new(&[], 404);
    let run = server.run(&folder, "mutate pod.yaml --manifests classes.yaml dev prod --strict -n shop");
    assert_eq!((run.code, server.asked()), (Some(3), vec!["/api/v1/namespaces/shop".to_owned()]), "{}", run.err);
    assert!(run.err.contains("dev/pvc.yaml:1:1 and in prod/pvc.yaml:1:1"), "{}", run.err);
}

#[test]
fn a_controller_of_another_environment_hides_no_finding() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, controller: true}]\n  \
               annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"yes\"}\n";
    let set = "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: r}\nspec: {template: {metadata: {annotations: {stork.libopenstorage.org/preferLocalNodeOnly: \"yes\"}}}}\n";
    let places = |controller: &str| {
        let folder = Folder::new(&[("dev/pod.yaml", pod), (controller, set)]);
        folder.run("validate .").places().len()
    };
    assert_eq!((places("prod/set.yaml"), places("dev/set.yaml"), places("set.yaml")), (2, 1, 1));
}
