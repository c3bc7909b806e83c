//! Layouts of repositories, and what an object in each file sees.

use std::path::Path;

use super::*;
use crate::{FileId, FileRole, Manifest};
use colocate_engine::{ClassFacts, Policy};

mod kustomizations;

/// Objects in files.
#[derive(Default)]
struct Files {
    known: KnownObjects,
    ids: Vec<(String, FileId)>,
    /// The start of the names of files that were read from a directory.
    prefix: String,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        Self::with_role(files, FileRole::Input)
    }

    /// Files that were named to describe objects.
    fn of_manifests(files: &[(&str, &str)]) -> Self {
        Self::with_role(files, FileRole::Description)
    }

    fn with_role(files: &[(&str, &str)], role: FileRole) -> Self {
        Self::default().add(Path::new("/repository"), files, role)
    }

    fn add(self, directory: &Path, files: &[(&str, &str)], role: FileRole) -> Self {
        let mut own = self;
        for (name, text) in files {
            let id = own.known.add_file(name, Some(&directory.join(name)), role);
            own.ids.push(((*name).to_owned(), id));
            for document in Manifest::new(text).parse().unwrap() {
                assert_eq!(own.known.add(id, &document, "default", "opt-out"), []);
                own.known.add_claim_templates(id, &document, &Policy::default());
            }
        }
        own.known.visibility = Visibility::of_files();
        own
    }

    fn view(&self, file: &str, purpose: Purpose) -> FileView<'_> {
        let id = self.ids.iter().find(|(name, _)| name == file).unwrap().1;
        self.known.seen_from(id, purpose)
    }

    /// Returns the provisioner of the claim `data` as an object in `file` sees it, or the reason why it is not known.
    fn data(&self, file: &str) -> String {
        let text = owner(self.view(file, Purpose::Mutate).owner("default", "data"));
        if self.prefix.is_empty() { text } else { text.replace(&self.prefix, "") }
    }
}

fn owner(owner: Owner) -> String {
    match owner {
        Owner::Provisioner { provisioner, .. } => provisioner.to_string(),
        Owner::Unknown(Unknown::Ambiguous(text) | Unknown::Elsewhere(text)) => text.to_string(),
        other => format!("{other:?}"),
    }
}

fn claim(class: &str) -> String {
    format!("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\nspec: {{{class}}}\n")
}

fn of_class(class: &str) -> String {
    claim(&format!("storageClassName: {class}"))
}

fn class(name: &str, provisioner: &str) -> String {
    format!(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: {name}}}\nprovisioner: {provisioner}\n"
    )
}

fn default_class(name: &str, provisioner: &str) -> String {
    let annotations = "annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}";
    class(name, provisioner).replace("metadata: {", &format!("metadata: {{{annotations}, "))
}

#[test]
fn each_environment_sees_its_own_claim() {
    let classes = format!("{}---\n{}", class("px", "pxd"), class("local", "local"));
    let files = Files::new(&[
        ("classes.yaml", &classes),
        ("dev/all.yaml", &of_class("local")),
        ("prod/all.yaml", &of_class("px")),
        ("prod/app/pod.yaml", ""),
        ("pod.yaml", ""),
        ("stage/pod.yaml", ""),
    ]);
    assert_eq!(files.data("dev/all.yaml"), "local");
    assert_eq!(files.data("prod/all.yaml"), "pxd");
    assert_eq!(files.data("prod/app/pod.yaml"), "pxd");
    let elsewhere = |places| {
        format!(
            "it is described only in other folders ({places}), which may be another environment: name the right file with --manifests"
        )
    };
    assert_eq!(files.data("pod.yaml"), elsewhere("dev/all.yaml:1:1, prod/all.yaml:1:1"));
    assert_eq!(files.data("stage/pod.yaml"), elsewhere("dev/all.yaml:1:1, prod/all.yaml:1:1"));
    let only = Files::new(&[("classes.yaml", &classes), ("prod/all.yaml", &of_class("px")), ("dev/pod.yaml", "")]);
    assert_eq!(only.data("dev/pod.yaml"), elsewhere("prod/all.yaml:1:1"));
}

#[test]
fn a_base_with_overlays_is_ambiguous_only_where_they_differ() {
    let files = |dev: &str, base: Option<&str>| {
        let base = base.map(of_class).unwrap_or_default();
        let classes = format!("{}---\n{}---\n{}", class("px", "pxd"), class("px-fast", "pxd"), class("local", "local"));
        Files::of_manifests(&[
            ("classes/all.yaml", &classes),
            ("base/pod.yaml", ""),
            ("base/claim.yaml", &base),
            ("overlays/dev/pvc.yaml", &of_class(dev)),
            ("overlays/dev/pod.yaml", ""),
            ("overlays/prod/pvc.yaml", &of_class("px")),
        ])
    };
    let open = files("local", None);
    assert!(open.data("base/pod.yaml").contains("overlays/dev/pvc.yaml:1:1 and in overlays/prod/pvc.yaml:1:1"));
    assert_eq!(open.data("overlays/dev/pod.yaml"), "local");
    assert_eq!(files("local", Some("px")).data("base/pod.yaml"), "pxd", "the claim in the same folder is nearer");
    assert_eq!(files("px-fast", None).data("base/pod.yaml"), "pxd", "both have the same driver");
}

#[test]
fn a_description_in_the_same_file_comes_first() {
    let stream = |class: &str| format!("# a pod\n---\n{}", of_class(class));
    let files = Files::new(&[
        ("a.yaml", &stream("a")),
        ("b.yaml", &stream("b")),
        ("c.yaml", ""),
        ("twice.yaml", &format!("{}---\n{}", of_class("a"), of_class("b"))),
        ("classes.yaml", &format!("{}---\n{}", class("a", "pa"), class("b", "pb"))),
    ]);
    assert_eq!((files.data("a.yaml"), files.data("b.yaml")), ("pa".to_owned(), "pb".to_owned()));
    assert!(files.data("c.yaml").contains("a.yaml:3:1 and in b.yaml:3:1"), "{}", files.data("c.yaml"));
    assert!(files.data("twice.yaml").contains("twice.yaml:1:1 and in twice.yaml:6:1"), "{}", files.data("twice.yaml"));
}

#[test]
fn classes_volumes_and_default_classes_are_the_nearest_ones() {
    let volume = |driver: &str| {
        format!("apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: pv}}\nspec: {{csi: {{driver: {driver}}}}}\n")
    };
    let bound = claim("storageClassName: '', volumeName: pv");
    let files = Files::of_manifests(&[
        ("dev/storage/class.yaml", &class("px", "dev")),
        ("dev/pod.yaml", &of_class("px")),
        ("prod/class.yaml", &class("px", "prod")),
        ("prod/pod.yaml", &of_class("px")),
        ("pod.yaml", &of_class("px")),
        ("a/volume.yaml", &volume("pa")),
        ("a/pod.yaml", &bound),
        ("b/volume.yaml", &volume("pb")),
        ("c/pod.yaml", &bound),
        ("d/default.yaml", &default_class("d", "pd")),
        ("d/pod.yaml", &claim("accessModes: [ReadWriteOnce]")),
        ("e/default.yaml", &default_class("e", "pe")),
        ("g/pod.yaml", &claim("accessModes: [ReadWriteOnce]")),
    ]);
    assert_eq!((files.data("dev/pod.yaml"), files.data("prod/pod.yaml")), ("dev".to_owned(), "prod".to_owned()));
    let text =
        "its StorageClass `px` is described differently in dev/storage/class.yaml:1:1 and in prod/class.yaml:1:1";
    assert!(files.data("pod.yaml").starts_with(text), "{}", files.data("pod.yaml"));
    assert_eq!(files.data("a/pod.yaml"), "pa");
    assert!(
        files.data("c/pod.yaml").starts_with("its PersistentVolume `pv` is described differently in a/volume.yaml")
    );
    assert_eq!(files.data("d/pod.yaml"), "pd");
    let text = "it names no StorageClass, and the default StorageClass is described differently in d/default.yaml:1:1";
    assert!(files.data("g/pod.yaml").starts_with(text), "{}", files.data("g/pod.yaml"));
}

#[test]
fn two_default_classes_in_one_file_that_differ_decide_nothing() {
    let created = |name: &str, provisioner: &str, time: &str| {
        default_class(name, provisioner).replace("metadata: {", &format!("metadata: {{creationTimestamp: \"{time}\", "))
    };
    let data = |a: &str, b: &str| {
        let classes = format!("{a}---\n{b}");
        let files = Files::new(&[("classes.yaml", &classes), ("pod.yaml", &claim("accessModes: [ReadWriteOnce]"))]);
        files.data("pod.yaml")
    };
    let text = "it names no StorageClass, and the default StorageClass is described differently in classes.yaml:1:1 and in \
                classes.yaml:6:1, which are equally near";
    for (a, b) in [("f", "e"), ("e", "f")] {
        assert_eq!(data(&default_class(a, "pa"), &default_class(b, "pb")), text, "{a}, {b}");
        assert_eq!(data(&default_class(a, "pd"), &default_class(b, "pd")), "pd", "{a}, {b}");
    }
    // A file that a cluster wrote has the times by which Kubernetes chooses: the newest, then the first by name.
    let (old, new) = ("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
    assert_eq!(data(&created("e", "pe", old), &created("f", "pf", new)), "pf");
    assert_eq!(data(&created("f", "pf", old), &created("e", "pe", old)), "pe");
    assert_eq!(data(&created("e", "pe", old), &default_class("f", "pf")), text);
}

#[test]
fn the_nearest_volume_with_a_claim_reference_binds_a_claim() {
    let reserved = |name: &str, driver: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec: {{csi: {{driver: {driver}}}, claimRef: {{namespace: default, name: data}}}}\n"
        )
    };
    let files = Files::new(&[
        ("claim.yaml", &claim("storageClassName: ''")),
        ("dev/volume.yaml", &reserved("pv", "dev")),
        ("dev/pod.yaml", ""),
        ("prod/volume.yaml", &reserved("pv-prod", "prod")),
        ("prod/pod.yaml", ""),
        ("two/volume.yaml", &format!("{}---\n{}", reserved("a", "pa"), reserved("b", "pb"))),
        ("two/pod.yaml", ""),
        ("two/bound/claim.yaml", &claim("storageClassName: '', volumeName: b")),
    ]);
    assert_eq!((files.data("dev/pod.yaml"), files.data("prod/pod.yaml")), ("dev".to_owned(), "prod".to_owned()));
    for (file, bound) in [("dev/pod.yaml", true), ("claim.yaml", false)] {
        let view = files.view(file, Purpose::Validate);
        assert_eq!(view.claim_use("default", "data").map(|claim| claim.bound), Some(bound), "{file}");
    }
    assert_eq!(files.data("claim.yaml"), "Unknown(Unbound)", "several volumes are equally near");
    assert_eq!(files.data("two/bound/claim.yaml"), "pb", "the claim names its volume");
}

#[test]
fn a_nearer_description_of_a_volume_replaces_its_claim_reference() {
    let volume = |driver: &str, reference: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: pv}}\nspec: {{csi: {{driver: {driver}}}{reference}}}\n"
        )
    };
    let to = |name: &str| format!(", claimRef: {{namespace: default, name: {name}}}");
    let files = Files::new(&[
        ("base/claim.yaml", &claim("storageClassName: ''")),
        ("base/volume.yaml", &volume("base", &to("data"))),
        ("base/pod.yaml", ""),
        ("base/same/volume.yaml", &volume("same", &to("data"))),
        ("base/same/pod.yaml", ""),
        ("base/other/volume.yaml", &volume("other", &to("another"))),
        ("base/other/pod.yaml", ""),
        ("base/free/volume.yaml", &volume("free", "")),
        ("base/free/pod.yaml", ""),
    ]);
    let unbound = "Unknown(Unbound)";
    for (folder, expected) in [("base", "base"), ("base/same", "same"), ("base/other", unbound), ("base/free", unbound)]
    {
        assert_eq!(files.data(&format!("{folder}/pod.yaml")), expected, "{folder}");
    }
}

#[test]
fn settings_matter_only_to_a_validation() {
    let shared = of_class("px").replace("spec: {", "spec: {accessModes: [ReadWriteMany], ");
    let files = Files::of_manifests(&[
        ("class.yaml", &class("px", "pxd")),
        ("a/claim.yaml", &of_class("px")),
        ("b/claim.yaml", &shared),
        ("pod.yaml", ""),
        ("c/class.yaml", &format!("{}parameters: {{repl: \"2\"}}\n", class("px", "pxd"))),
        ("d/class.yaml", &class("px", "pxd")),
        ("e/pod.yaml", ""),
    ]);
    assert_eq!(files.data("pod.yaml"), "pxd");
    let view = files.view("pod.yaml", Purpose::Validate);
    assert!(owner(view.owner("default", "data")).starts_with("it is described differently in a/claim.yaml:1:1"));
    assert_eq!(view.claim_use("default", "data"), None);
    assert!(view.class("px").is_some(), "the class in the same folder is nearer");
    let far = files.view("e/pod.yaml", Purpose::Validate);
    assert!(far.class("px").is_some_and(|class| class.parameters.is_empty()), "class.yaml is in a parent folder");
}

#[test]
fn the_users_of_a_class_are_the_claims_that_see_it() {
    let with = |mode: &str| of_class("px").replace("spec: {", &format!("spec: {{accessModes: [{mode}], "));
    let files = Files::new(&[
        ("dev/class.yaml", &class("px", "pxd")),
        ("dev/claim.yaml", &with("ReadWriteOnce")),
        ("prod/class.yaml", &class("px", "pxd")),
        ("prod/claim.yaml", &with("ReadWriteMany")),
    ]);
    let access = |file| files.view(file, Purpose::Validate).access_of_class("px").unwrap();
    assert!(access("dev/class.yaml").contains("ReadWriteOnce") && !access("dev/class.yaml").contains("ReadWriteMany"));
    assert!(access("prod/class.yaml").contains("ReadWriteMany"));
    assert_eq!(files.view("dev/class.yaml", Purpose::Validate).access_of_class("other"), None);
}

#[test]
fn claim_templates_and_claims_without_a_class_use_classes_too() {
    let set = |spec: &str| {
        format!(
            "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: web}}\nspec: {{template: {{spec: {{}}}}, volumeClaimTemplates: [{{metadata: {{name: logs}}, spec: {{{spec}}}}}]}}\n"
        )
    };
    let ephemeral = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {storageClassName: px, accessModes: [ReadWriteOncePod]}}}}]}\n";
    let files = Files::new(&[
        ("dev/class.yaml", &default_class("px", "pxd")),
        ("dev/set.yaml", &set("storageClassName: px, accessModes: [ReadWriteMany]")),
        ("dev/pod.yaml", ephemeral),
        ("prod/class.yaml", &format!("{}---\n{}", default_class("px", "pxd"), class("z", "pxd"))),
        ("prod/set.yaml", &set("accessModes: [ReadOnlyMany]")),
        ("prod/claim.yaml", &claim("accessModes: [ReadWriteOnce]")),
        ("prod/bound.yaml", &claim("accessModes: [ReadWriteMany], volumeName: pv")),
    ]);
    let access = |file, name| files.view(file, Purpose::Validate).access_of_class(name);
    let modes = |modes: &[&'static str]| Some(modes.iter().copied().collect::<AccessModes>());
    assert_eq!(access("dev/class.yaml", "px"), modes(&["ReadWriteMany", "ReadWriteOncePod"]));
    assert_eq!(access("prod/class.yaml", "px"), modes(&["ReadOnlyMany", "ReadWriteOnce"]));
    assert_eq!(access("prod/class.yaml", "z"), None, "`px` is the default class");
}

#[test]
fn a_claim_that_a_volume_is_reserved_for_does_not_use_the_default_class() {
    let claim = |name: &str, mode: &str| {
        claim(&format!("accessModes: [{mode}]")).replace("{name: data}", &format!("{{name: {name}}}"))
    };
    let reserved = |name: &str| {
        format!(
            "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: pv-{name}}}\nspec: {{csi: {{driver: pxd}}, claimRef: {{namespace: default, name: {name}}}}}\n"
        )
    };
    let access = |claims: &str, elsewhere: &str| {
        let files = Files::new(&[
            ("dev/class.yaml", &default_class("px", "pxd")),
            ("dev/claims.yaml", claims),
            ("volume.yaml", elsewhere),
        ]);
        files.view("dev/class.yaml", Purpose::Validate).access_of_class("px")
    };
    let modes = |modes: &[&'static str]| Some(modes.iter().copied().collect::<AccessModes>());
    let (a, b) = (claim("a", "ReadWriteMany"), claim("b", "ReadWriteOnce"));
    let both = format!("{a}---\n{b}");
    assert_eq!(access(&both, ""), modes(&["ReadWriteMany", "ReadWriteOnce"]));
    assert_eq!(access(&format!("{both}{}", reserved("a")), ""), modes(&["ReadWriteOnce"]));
    assert_eq!(access(&both, &reserved("b")), modes(&["ReadWriteMany"]));
    assert_eq!(access(&format!("{both}{}{}", reserved("a"), reserved("b")), ""), None);
    // Another claim of the same file with the same modes still uses the class.
    let third = format!("{both}---\n{}{}", claim("c", "ReadWriteMany"), reserved("a"));
    assert_eq!(access(&third, ""), modes(&["ReadWriteMany", "ReadWriteOnce"]));
}

#[test]
fn equally_near_claims_are_alike_if_their_volumes_are() {
    let volume = |name: &str, annotation: &str| {
        format!("apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}{annotation}}}\nspec: {{}}\n")
    };
    let annotated = ", annotations: {pv.kubernetes.io/provisioned-by: pxd}";
    let claim = |volume: &str| {
        let annotations = "annotations: {volume.kubernetes.io/storage-provisioner: pxd}";
        let text = claim(&format!("storageClassName: '', volumeName: {volume}"));
        text.replace("metadata: {", &format!("metadata: {{{annotations}, "))
    };
    let files = |a: &str, b: &str| {
        Files::of_manifests(&[
            ("a/claim.yaml", &claim("pv-a")),
            ("a/volume.yaml", a),
            ("b/claim.yaml", &claim("pv-b")),
            ("b/volume.yaml", b),
            ("pod.yaml", ""),
        ])
    };
    let (a, b) = (volume("pv-a", annotated), volume("pv-b", annotated));
    assert_eq!(files(&a, &b).data("pod.yaml"), "pxd");
    assert_eq!(files("", "").data("pod.yaml"), "pxd", "neither volume is known");
    let mut half = files(&a, "");
    assert!(half.data("pod.yaml").starts_with("it is described differently"), "{}", half.data("pod.yaml"));
    half.known.visibility = Visibility::default();
    let owner = half.view("pod.yaml", Purpose::Mutate).owner("default", "data");
    let Owner::Provisioner { unread_volume: Some(volume), .. } = &owner else { panic!("{owner:?}") };
    assert_eq!(**volume, *"pv-b", "the cluster may have it");
}

#[test]
fn a_namespace_opts_out_where_its_nearest_description_does() {
    let namespace = |value: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{opt-out: \"{value}\"}}}}\n")
    };
    let files = Files::new(&[
        ("dev/namespace.yaml", &namespace("true")),
        ("prod/namespace.yaml", &namespace("false")),
        ("pod.yaml", ""),
    ]);
    let opted_out = |file, name| files.view(file, Purpose::Mutate).opted_out(name);
    assert_eq!(opted_out("dev/namespace.yaml", "shop"), Ok(true));
    assert_eq!(opted_out("prod/namespace.yaml", "shop"), Ok(false));
    assert_eq!(opted_out("pod.yaml", "other"), Ok(false));
    let text = "the Namespace `shop` opts out in dev/namespace.yaml:1:1, but not in prod/namespace.yaml:1:1, and both are equally near";
    assert_eq!(opted_out("pod.yaml", "shop"), Err(text.to_owned()));
}

#[test]
fn the_cluster_comes_last() {
    let mut files = Files::of_manifests(&[
        ("dev/claim.yaml", &of_class("px")),
        ("pod.yaml", ""),
        ("other.yaml", &class("x", "px")),
    ]);
    files.known.visibility = Visibility::default();
    assert_eq!(files.data("pod.yaml"), "Unknown(ClassMissing(\"px\"))");
    let of_cluster =
        |provisioner: &str| ClassFacts { provisioner: provisioner.to_owned().into(), ..ClassFacts::default() };
    files.known.add_class_of_cluster("px", of_cluster("pxd"));
    files.known.add_class_of_cluster("x", of_cluster("other"));
    files.known.add_claim_of_cluster("default", "data", ClaimFacts::default());
    assert_eq!(files.data("pod.yaml"), "pxd");
    assert_eq!(&**files.view("pod.yaml", Purpose::Mutate).find_class("x").unwrap().provisioner, "px");
}

#[test]
fn a_difference_that_the_cluster_may_explain_is_left_open() {
    let mut files = Files::of_manifests(&[
        ("dev/claim.yaml", &of_class("a")),
        ("prod/claim.yaml", &of_class("b")),
        ("pod.yaml", ""),
    ]);
    assert!(files.data("pod.yaml").starts_with("it is described differently"), "{}", files.data("pod.yaml"));
    files.known.visibility = Visibility::default();
    assert_eq!(files.data("pod.yaml"), "Unknown(ClassMissing(\"a\"))");
    for name in ["a", "b"] {
        let class = ClassFacts { provisioner: "pxd".into(), ..ClassFacts::default() };
        files.known.add_class_of_cluster(name, class);
    }
    assert_eq!(files.data("pod.yaml"), "pxd");
}

#[test]
fn a_namespace_that_is_named_identifies_a_claim_in_any_folder() {
    let claim = of_class("px").replace("name: data", "name: data, namespace: shop");
    let files = Files::new(&[("class.yaml", &class("px", "pxd")), ("prod/claim.yaml", &claim), ("dev/pod.yaml", "")]);
    assert_eq!(owner(files.view("dev/pod.yaml", Purpose::Mutate).owner("shop", "data")), "pxd");
    assert_eq!(files.data("dev/pod.yaml"), "Missing");
}

#[test]
fn a_default_class_counts_in_its_folder_and_below() {
    let files = Files::new(&[
        ("a/default.yaml", &default_class("d", "pd")),
        ("a/b/pod.yaml", &claim("accessModes: [ReadWriteOnce]")),
        ("c/pod.yaml", &claim("accessModes: [ReadWriteOnce]")),
        ("c/patch.yaml", ""),
    ]);
    assert_eq!(files.data("a/b/pod.yaml"), "pd");
    let text = "it names no StorageClass, and the default StorageClass is described only in other folders (a/default.yaml:1:1)";
    assert!(files.data("c/pod.yaml").starts_with(text), "{}", files.data("c/pod.yaml"));
}

#[test]
fn a_nearer_description_that_cannot_be_used_hides_the_others() {
    let classes = format!("{}---\n{}", class("px", "pxd"), class("local", "local"));
    let with = |dev: &str| {
        let mut files =
            Files::new(&[("classes.yaml", &classes), ("claim.yaml", &of_class("local")), ("dev/pod.yaml", "")]);
        let id = files.known.add_file("dev/claim.yaml", Some(Path::new("/repository/dev/claim.yaml")), FileRole::Input);
        for document in Manifest::new(dev).parse().unwrap() {
            files.known.add(id, &document, "default", "opt-out");
        }
        files
    };
    let twice = of_class("px").replace("spec:", "spec: {}\nspec:");
    let text = "it has a description that cannot be used, in dev/claim.yaml:1:1: duplicate key `spec`";
    assert!(with(&twice).data("dev/pod.yaml").starts_with(text), "{}", with(&twice).data("dev/pod.yaml"));
    let text = "it has a description that cannot be used, in dev/claim.yaml:1:1: invalid type";
    let invalid = claim("accessModes: [], storageClassName: 1");
    assert!(with(&invalid).data("dev/pod.yaml").starts_with(text), "{}", with(&invalid).data("dev/pod.yaml"));
    let deleted = format!("{}$patch: delete\n", of_class("px"));
    let text = "it has a description that cannot be used, in dev/claim.yaml:1:1: a patch deletes it";
    assert_eq!(with(&deleted).data("dev/pod.yaml"), text);
    // It does not matter to a file for which another description is nearer.
    assert_eq!(with(&twice).data("claim.yaml"), "local");
    // A patch of the claim that does not name a class is not a description.
    assert_eq!(with(&claim("resources: {requests: {storage: 1Gi}}")).data("dev/pod.yaml"), "local");
    assert_eq!(with(&of_class("px")).data("dev/pod.yaml"), "pxd");
    let class_twice = class("px", "other").replace("provisioner:", "provisioner: x\nprovisioner:");
    let text = "its StorageClass `local` has a description that cannot be used";
    let files = with(&class_twice.replace("name: px", "name: local"));
    assert!(files.data("dev/pod.yaml").starts_with(text), "{}", files.data("dev/pod.yaml"));
    let namespace =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, name: shop, labels: {opt-out: \"true\"}}\n";
    let view_of = with(namespace);
    let error = view_of.view("dev/pod.yaml", Purpose::Mutate).opted_out("shop").unwrap_err();
    assert!(
        error.starts_with("the Namespace `shop` has a description that cannot be used, in dev/claim.yaml"),
        "{error}"
    );
}
