//! What an object in a file that kustomizations build sees.

use super::*;
use crate::kustomizations::tests::read;

/// Files in a directory of their own, with their kustomizations.
fn built(files: &[(&str, &str)]) -> Files {
    let (directory, kustomizations) = read(files);
    let known = KnownObjects::new(kustomizations);
    let prefix = format!("{}/", directory.path().display());
    Files { known, ids: Vec::new(), prefix }.add(directory.path(), files, FileRole::Input)
}

#[test]
fn a_kustomization_gives_its_files_a_namespace() {
    let namespaced = of_class("px").replace("name: data", "name: data, namespace: a");
    let classes = format!("{}---\n{}", class("px", "pxd"), class("local", "local"));
    let opted_out = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {opt-out: \"true\"}}\n";
    let files = built(&[
        ("classes.yaml", &classes),
        ("a/kustomization.yaml", "namespace: a\nresources: [claim.yaml, pod.yaml, namespace.yaml]\n"),
        ("a/namespace.yaml", opted_out),
        ("a/claim.yaml", &namespaced),
        ("a/pod.yaml", ""),
        ("b/kustomization.yaml", "namespace: b\nresources: [claim.yaml]\n"),
        ("b/claim.yaml", &of_class("local")),
        ("b/unlisted.yaml", ""),
    ]);
    assert_eq!(files.data("a/pod.yaml"), "pxd");
    assert_eq!(files.data("b/claim.yaml"), "local");
    assert_eq!(files.data("b/unlisted.yaml"), "Missing", "it is in the namespace `default`");
    assert_eq!(files.view("a/pod.yaml", Purpose::Mutate).opted_out("default"), Ok(true));
    assert_eq!(files.view("b/claim.yaml", Purpose::Mutate).opted_out("default"), Ok(false));
    assert_eq!(files.view("a/pod.yaml", Purpose::Mutate).namespaces("default"), ["a".into()]);
}

#[test]
fn files_of_one_kustomization_are_one_stream_in_any_folder() {
    let overlay = "resources: [../../base, claim.yaml]\n";
    let classes = format!("{}---\n{}", class("px", "pxd"), class("local", "local"));
    let files = |dev: &str, prod: &str| {
        built(&[
            ("classes.yaml", &classes),
            ("overlays/claim.yaml", &of_class("none")),
            ("base/kustomization.yaml", "resources: [pod.yaml]\n"),
            ("base/pod.yaml", ""),
            ("overlays/dev/kustomization.yaml", overlay),
            ("overlays/dev/claim.yaml", &of_class(dev)),
            ("overlays/prod/kustomization.yaml", overlay),
            ("overlays/prod/claim.yaml", &of_class(prod)),
        ])
    };
    assert_eq!(files("px", "px").data("base/pod.yaml"), "pxd");
    let text = "it is described differently in overlays/dev/claim.yaml:1:1 and in overlays/prod/claim.yaml:1:1";
    assert!(
        files("px", "local").data("base/pod.yaml").starts_with(text),
        "{}",
        files("px", "local").data("base/pod.yaml")
    );
    let in_two_namespaces = built(&[
        ("classes.yaml", &classes),
        ("base/kustomization.yaml", "resources: [pod.yaml]\n"),
        ("base/pod.yaml", ""),
        ("dev/kustomization.yaml", "namespace: dev\nresources: [../base, claim.yaml]\n"),
        ("dev/claim.yaml", &of_class("px")),
        ("prod/kustomization.yaml", "namespace: prod\nresources: [../base, claim.yaml]\n"),
        ("prod/claim.yaml", &of_class("local")),
    ]);
    let text = "it differs between the namespaces `dev` (dev/claim.yaml:1:1) and `prod` (prod/claim.yaml:1:1), and kustomizations \
                build the file for both";
    assert_eq!(in_two_namespaces.data("base/pod.yaml"), text);
}

#[test]
fn a_difference_between_namespaces_names_the_places() {
    let classes = format!("{}---\n{}", class("px", "pxd"), class("local", "local"));
    let kustomization = |name: &str| format!("namespace: {name}\nresources: [../base, all.yaml]\n");
    let files = |base: &str, dev: &str, prod: &str| {
        built(&[
            ("classes.yaml", &classes),
            ("base/kustomization.yaml", "resources: [all.yaml]\n"),
            ("base/all.yaml", base),
            ("dev/kustomization.yaml", &kustomization("dev")),
            ("dev/all.yaml", dev),
            ("prod/kustomization.yaml", &kustomization("prod")),
            ("prod/all.yaml", prod),
        ])
    };
    let differs = |subject: &str, dev: &str, prod: &str| {
        format!(
            "{subject} differs between the namespaces `dev` ({dev}) and `prod` ({prod}), and kustomizations build the file for both"
        )
    };
    let (dev, prod) = ("dev/all.yaml:1:1", "prod/all.yaml:1:1");
    let data = |base: &str, dev: &str, prod: &str| files(base, dev, prod).data("base/all.yaml");
    assert_eq!(data("", &of_class("px"), &of_class("local")), differs("it", dev, prod));
    assert_eq!(data("", &of_class("px"), ""), differs("it", dev, "not in the files"));
    assert_eq!(data("", &of_class("px"), &of_class("px")), "pxd");
    // The same claim in both, of a class that they describe in different ways.
    let class_differs = differs("its StorageClass `own`", dev, prod);
    assert_eq!(data(&of_class("own"), &class("own", "a"), &class("own", "b")), class_differs);
    let default = "it names no StorageClass, and the default StorageClass";
    let unnamed = claim("accessModes: [ReadWriteOnce]");
    assert_eq!(data(&unnamed, &default_class("a", "a"), &default_class("b", "b")), differs(default, dev, prod));
    let volume = |driver: &str| {
        format!("apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: pv}}\nspec: {{csi: {{driver: {driver}}}}}\n")
    };
    let bound = claim("storageClassName: '', volumeName: pv");
    assert_eq!(data(&bound, &volume("a"), &volume("b")), differs("its PersistentVolume `pv`", dev, prod));
    // Claim templates have no name to look up.
    let own = files("", &class("own", "a"), &class("own", "b"));
    let template = ClaimFacts { class: Some("own".into()), ..ClaimFacts::default() };
    assert_eq!(owner(own.view("base/all.yaml", Purpose::Mutate).owner_of(&template)), class_differs);
    // Only the rules about annotations depend on the access modes.
    let of_mode = |mode: &str| claim(&format!("storageClassName: px, accessModes: [{mode}]"));
    let modes = files("", &of_mode("ReadWriteOnce"), &of_mode("ReadWriteMany"));
    assert_eq!(modes.data("base/all.yaml"), "pxd");
    let of_rules = modes.view("base/all.yaml", Purpose::Validate).owner("default", "data");
    assert_eq!(owner(of_rules), differs("it", dev, prod));
}

#[test]
fn a_namespace_that_opts_out_is_named_with_its_place() {
    let namespace = |name: &str, value: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{opt-out: \"{value}\"}}}}\n")
    };
    let opted_out = |namespaces: &str| {
        let files = built(&[
            ("namespaces.yaml", namespaces),
            ("base/kustomization.yaml", "resources: [pod.yaml]\n"),
            ("base/pod.yaml", ""),
            ("dev/kustomization.yaml", "namespace: dev\nresources: [../base]\n"),
            ("prod/kustomization.yaml", "namespace: prod\nresources: [../base]\n"),
        ]);
        files.view("base/pod.yaml", Purpose::Mutate).opted_out("default")
    };
    let text = "the Namespace `dev` opts out in namespaces.yaml:1:1, but `prod`, which is not in the files, does not, and \
                kustomizations build the file for both";
    assert_eq!(opted_out(&namespace("dev", "true")), Err(text.to_owned()));
    let both = |dev, prod| format!("{}---\n{}", namespace("dev", dev), namespace("prod", prod));
    let text = "the Namespace `prod` opts out in namespaces.yaml:5:1, but `dev` does not in namespaces.yaml:1:1, and \
                kustomizations build the file for both";
    assert_eq!(opted_out(&both("false", "true")), Err(text.to_owned()));
    assert_eq!((opted_out(&both("true", "true")), opted_out(&both("false", "false"))), (Ok(true), Ok(false)));
}

#[test]
fn a_patch_without_a_class_does_not_describe_a_claim() {
    let size = claim("accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}");
    let files = |patch: &str| {
        built(&[
            (
                "classes.yaml",
                &format!("{}---\n{}---\n{}", class("px", "pxd"), class("x", "px"), default_class("d", "pd")),
            ),
            ("base/kustomization.yaml", "resources: [claim.yaml]\n"),
            ("base/claim.yaml", &of_class("px")),
            ("prod/kustomization.yaml", "resources: [../base, pod.yaml]\npatches: [{path: patch.yaml}]\n"),
            ("prod/pod.yaml", ""),
            ("prod/patch.yaml", patch),
        ])
    };
    assert_eq!(files(&size).data("prod/pod.yaml"), "pxd");
    let text = "it has a description that cannot be used, in base/claim.yaml:1:1: the patch in ";
    assert!(files(&of_class("x")).data("prod/pod.yaml").starts_with(text));
}
