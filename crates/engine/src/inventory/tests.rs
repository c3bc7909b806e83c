//! Tests of stored objects and the owners of claims.

use serde_json::{Value, json};

use super::super::driver::{NO_PROVISIONER, PORTWORX_IN_TREE};
use super::super::evidence::EvidenceSet;
use super::super::setting::Setting;
use super::super::storage::{PersistentVolume, PersistentVolumeClaim, StorageClass};
use super::super::storage_facts::AccessModes;
use super::*;

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const BETA_DEFAULT_CLASS: &str = "storageclass.beta.kubernetes.io/is-default-class";
const BETA_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const BETA_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

type Keys<'a> = &'a [(&'a str, &'a str)];

fn metadata(keys: Keys<'_>) -> Value {
    let annotations: serde_json::Map<_, _> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({"annotations": annotations})
}

fn claim(keys: Keys<'_>, class: Option<&str>, volume: Option<&str>) -> ClaimFacts<'static> {
    let json = json!({"metadata": metadata(keys), "spec": {"storageClassName": class, "volumeName": volume}});
    serde_json::from_str::<PersistentVolumeClaim<'_>>(&json.to_string()).unwrap().facts().into_owned()
}

fn class<'a>(keys: Keys<'_>, provisioner: &'a str, created: i64) -> ClassFacts<'a> {
    let json = json!({"metadata": metadata(keys)}).to_string();
    let default = serde_json::from_str::<StorageClass<'_>>(&json).unwrap().facts().default;
    ClassFacts { provisioner: provisioner.into(), default, created, ..ClassFacts::default() }
}

fn volume(keys: Keys<'_>, portworx: bool, csi: Option<&str>) -> VolumeFacts<'static> {
    let portworx = portworx.then(|| json!({"volumeID": "1"}));
    let spec = json!({"portworxVolume": portworx, "csi": csi.map(|driver| json!({"driver": driver}))});
    let json = json!({"metadata": metadata(keys), "spec": spec}).to_string();
    let facts = serde_json::from_str::<PersistentVolume<'_>>(&json).unwrap().facts();
    VolumeFacts { provisioner: facts.provisioner.map(|(name, evidence)| (name.into_owned(), evidence)) }
}

fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    for (name, keys, provisioner, created) in [
        ("px", &[][..], "pxd.portworx.com", 1),
        ("old-default", &[(DEFAULT_CLASS, "true")], "old.example.test", 1),
        ("default-b", &[(DEFAULT_CLASS, "true")], "b.example.test", 2),
        ("default-a", &[(BETA_DEFAULT_CLASS, "true")], "a.example.test", 2),
        ("not-default", &[(DEFAULT_CLASS, "True")], "c.example.test", 3),
        ("static", &[], NO_PROVISIONER, 1),
    ] {
        inventory.insert_class(name, class(keys, provisioner, created));
    }
    for (name, keys, portworx, csi) in [
        ("annotated", &[(PROVISIONED_BY, "pxd.portworx.com")][..], true, Some("x.example.test")),
        ("in-tree", &[], true, None),
        ("csi", &[], false, Some("pxd.portworx.com")),
        ("by-hand", &[], false, None),
    ] {
        inventory.insert_volume(name, volume(keys, portworx, csi));
    }
    inventory
}

fn volume_missing(volume: &str) -> Unknown {
    Unknown::VolumeMissing { volume: volume.into(), no_provisioner: false }
}

fn provisioner(claim: &ClaimFacts<'_>) -> String {
    owner(&inventory(), claim)
}

/// The provisioner of a claim. It must be the same for the claim itself and for its stored record.
fn owner(inventory: &Inventory, claim: &ClaimFacts<'_>) -> String {
    let mut kept = Records::default();
    kept.insert("a", "data", claim, 0);
    let kept = kept.get("a", "data").map(|record| kept.hints(record).owner(inventory));
    let owner = inventory.owner_of(claim);
    assert_eq!(kept.as_ref(), Some(&owner), "{claim:?}");
    match owner {
        Owner::Provisioner { provisioner, .. } => provisioner.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_beta_class_annotation_overrides_the_field_even_if_empty() {
    assert_eq!(provisioner(&claim(&[(BETA_STORAGE_CLASS, "px")], Some("default-a"), None)), "pxd.portworx.com");
    let static_only = claim(&[(BETA_STORAGE_CLASS, "")], Some("px"), None);
    assert_eq!(inventory().owner_of(&static_only), Owner::Unknown(Unknown::Unbound));
}

#[test]
fn the_provisioner_annotation_overrides_the_class() {
    let both = [(PROVISIONER, "ga.example.test"), (BETA_PROVISIONER, "beta.example.test")];
    assert_eq!(provisioner(&claim(&both, Some("px"), None)), "beta.example.test");
    assert_eq!(provisioner(&claim(&both[..1], Some("px"), None)), "ga.example.test");
    let class = |annotated| match inventory().owner_of(&claim(&[(BETA_PROVISIONER, annotated)], Some("px"), None)) {
        Owner::Provisioner { class, .. } => class.map(|class| (class.name.to_string(), class.provisioner.to_string())),
        other => panic!("{other:?}"),
    };
    let px = Some(("px".to_owned(), "pxd.portworx.com".to_owned()));
    assert_eq!(class("pxd.portworx.com"), px);
    assert_eq!(class("other.example.test"), px, "the class of the claim, whose provisioner is another one");
}

#[test]
fn a_claim_of_a_deleted_class_keeps_its_owner() {
    let gone = Some("deleted");
    assert_eq!(provisioner(&claim(&[(BETA_PROVISIONER, "pxd.portworx.com")], gone, None)), "pxd.portworx.com");
    assert_eq!(provisioner(&claim(&[], gone, Some("annotated"))), "pxd.portworx.com");
    assert_eq!(inventory().owner_of(&claim(&[], gone, None)), Owner::Unknown(Unknown::ClassMissing("deleted".into())));
}

#[test]
fn a_bound_volume_is_resolved_by_its_annotation_or_its_source() {
    assert_eq!(provisioner(&claim(&[], Some(""), Some("annotated"))), "pxd.portworx.com");
    assert_eq!(provisioner(&claim(&[], Some(""), Some("in-tree"))), PORTWORX_IN_TREE);
    assert_eq!(provisioner(&claim(&[], None, Some("csi"))), "pxd.portworx.com");
    assert_eq!(inventory().owner_of(&claim(&[], Some(""), Some("by-hand"))), Owner::NoProvisioner);
    assert_eq!(inventory().owner_of(&claim(&[], Some(""), Some("absent"))), Owner::Unknown(volume_missing("absent")));
}

#[test]
fn the_fields_that_name_the_provisioner_are_kept() {
    use Evidence::{BetaProvisionerAnnotation as Beta, Class, GaProvisionerAnnotation as Ga};
    use Evidence::{InTree, NoProvisioner, ProvisionedBy, StaticCsi};

    let beta = (BETA_PROVISIONER, "pxd.portworx.com");
    let ga = (PROVISIONER, "pxd.portworx.com");
    let other_ga = (PROVISIONER, "other.example.test");
    let nothing = |key| (key, NO_PROVISIONER);
    for (claim, expected) in [
        (claim(&[], Some("px"), None), &[Class][..]),
        (claim(&[beta, ga], Some("px"), None), &[Class, Beta, Ga]),
        (claim(&[beta, other_ga], Some("px"), None), &[Class, Beta]),
        (claim(&[ga], Some("px"), None), &[Class, Ga]),
        (claim(&[beta, ga], Some("deleted"), Some("annotated")), &[Beta, Ga]),
        (claim(&[beta], Some("deleted"), Some("annotated")), &[Beta]),
        (claim(&[ga], Some("deleted"), Some("annotated")), &[Ga, ProvisionedBy]),
        (claim(&[ga], Some(""), Some("in-tree")), &[Ga, InTree]),
        (claim(&[ga], Some(""), Some("csi")), &[Ga, StaticCsi]),
        (claim(&[ga], Some(""), Some("by-hand")), &[Ga]),
        (claim(&[ga], Some(""), Some("absent")), &[Ga]),
        (claim(&[other_ga], Some(""), Some("annotated")), &[Ga]),
        // Stork reads the class, and not the volume.
        (claim(&[ga], Some("static"), Some("annotated")), &[Ga]),
        (claim(&[(BETA_PROVISIONER, "")], Some(""), Some("csi")), &[StaticCsi]),
        (claim(&[(PROVISIONER, "")], Some(""), Some("annotated")), &[ProvisionedBy]),
        (claim(&[], Some(""), Some("annotated")), &[ProvisionedBy]),
        (claim(&[], Some(""), Some("in-tree")), &[InTree]),
        (claim(&[], Some(""), Some("csi")), &[StaticCsi]),
        // Stork stops at the name of the class or of the beta annotation, and does not read the volume.
        (claim(&[], Some("static"), Some("annotated")), &[NoProvisioner]),
        (claim(&[], Some("static"), Some("in-tree")), &[NoProvisioner]),
        (claim(&[], Some("static"), Some("csi")), &[NoProvisioner]),
        (claim(&[nothing(BETA_PROVISIONER)], Some(""), Some("annotated")), &[NoProvisioner]),
        (claim(&[nothing(PROVISIONER)], Some(""), Some("annotated")), &[ProvisionedBy]),
    ] {
        let expected = expected.iter().fold(EvidenceSet::default(), |set, evidence| set.with(*evidence));
        // Checks the stored record, too.
        owner(&inventory(), &claim);
        let Owner::Provisioner { evidence, .. } = inventory().owner_of(&claim) else { panic!("{claim:?}") };
        assert_eq!(evidence, expected, "{claim:?}");
    }
}

#[test]
fn the_bound_volume_owns_a_claim_whose_class_provisions_nothing() {
    for volume in ["annotated", "csi"] {
        assert_eq!(provisioner(&claim(&[], Some("static"), Some(volume))), "pxd.portworx.com", "{volume}");
    }
    assert_eq!(provisioner(&claim(&[], Some("static"), Some("in-tree"))), PORTWORX_IN_TREE);
    assert_eq!(provisioner(&claim(&[], Some("static"), Some("by-hand"))), "NoProvisioner");
    assert_eq!(
        provisioner(&claim(&[], Some("static"), Some("absent"))),
        r#"Unknown(VolumeMissing { volume: "absent", no_provisioner: true })"#
    );
    for key in [PROVISIONER, BETA_PROVISIONER] {
        let annotated = claim(&[(key, NO_PROVISIONER)], Some("static"), Some("csi"));
        assert_eq!(provisioner(&annotated), "pxd.portworx.com", "{key}");
        let deleted = claim(&[(key, NO_PROVISIONER)], Some("deleted"), Some("csi"));
        assert_eq!(provisioner(&deleted), "pxd.portworx.com", "{key}");
    }
}

#[test]
fn a_volume_that_was_read_later_keeps_its_field() {
    let mut inventory = Inventory::default();
    for (name, evidence) in [
        ("a", Evidence::ProvisionedBy),
        ("b", Evidence::StaticCsi),
        ("c", Evidence::InTree),
        ("d", Evidence::StaticCsi),
    ] {
        let bound = claim(&[], Some(""), Some(name));
        inventory.insert_claim("ns", name, &bound);
        let facts = VolumeFacts { provisioner: Some(("pxd.portworx.com".into(), evidence)) };
        let evidence = evidence.into();
        inventory.set_volume_provisioner("ns", name, name, &facts);
        // An update of the claim keeps what is known of its volume.
        inventory.insert_claim("ns", name, &ClaimFacts { bound: true, ..bound });
        let expected =
            Owner::Provisioner { class: None, provisioner: "pxd.portworx.com".into(), evidence, unread_volume: None };
        assert_eq!(inventory.owner("ns", name), expected);
        assert!(
            inventory.claim_use("ns", name).is_some_and(|known| known.bound && !known.access.contains("ReadWriteOnce"))
        );
    }
}

/// Every sort of claim that is bound to `volume`.
fn sorts_of_claim(volume: &str) -> Vec<ClaimFacts<'static>> {
    let annotations = ["", "pxd.portworx.com", NO_PROVISIONER];
    let keys = annotations.into_iter().flat_map(|value| {
        [vec![], vec![BETA_PROVISIONER], vec![PROVISIONER], vec![BETA_PROVISIONER, PROVISIONER]]
            .map(|keys| keys.into_iter().map(|key| (key, value)).collect::<Vec<_>>())
    });
    let classes = [None, Some(""), Some("static"), Some("px"), Some("deleted")];
    keys.flat_map(|keys| classes.map(|class| claim(&keys, class, Some(volume)))).collect()
}

/// Returns true if the owner depends on a volume that has not been read.
fn needs_volume(owner: &Owner) -> bool {
    matches!(owner, Owner::Unknown(Unknown::VolumeMissing { .. }) | Owner::Provisioner { unread_volume: Some(_), .. })
}

#[test]
fn a_changed_claim_has_the_owner_of_a_new_one() {
    let known = inventory();
    for name in ["annotated", "csi", "in-tree", "by-hand"] {
        let provisioner = known.volumes[name].as_ref().map(|(name, evidence)| (&**name, *evidence));
        let facts = VolumeFacts { provisioner: provisioner.map(|(name, evidence)| (name.into(), evidence)) };
        let sorts = sorts_of_claim(name);
        let mut inventory = Inventory { volumes: HashMap::new(), ..inventory() };
        for (before, after) in sorts.iter().flat_map(|before| sorts.iter().map(move |after| (before, after))) {
            // The volume is read before the change, or while the claim changes.
            for is_early in [true, false] {
                inventory.remove_claim("ns", "data");
                inventory.insert_claim("ns", "data", before);
                if is_early {
                    inventory.set_volume_provisioner("ns", "data", name, &facts);
                }
                inventory.insert_claim("ns", "data", after);
                if !is_early {
                    inventory.set_volume_provisioner("ns", "data", name, &facts);
                }
                let owner = inventory.owner("ns", "data");
                if needs_volume(&owner) {
                    // The claim did not need its volume when that was read, and does not keep what it does not need.
                    let needed = needs_volume(&inventory.owner_of(before));
                    assert!(is_early && !needed, "{name}: {before:?} -> {after:?}");
                } else {
                    assert_eq!(owner, known.owner_of(after), "{name}: {before:?} -> {after:?}");
                }
            }
        }
    }
}

#[test]
fn a_claim_of_such_a_class_is_unknown_until_bound_unless_it_binds_late() {
    let unbound = claim(&[], Some("static"), None);
    assert_eq!(provisioner(&unbound), r#"Unknown(NotProvisioned("static"))"#);
    for key in [PROVISIONER, BETA_PROVISIONER] {
        let annotated = |class| provisioner(&claim(&[(key, NO_PROVISIONER)], Some(class), None));
        assert_eq!(annotated("static"), r#"Unknown(NotProvisioned("static"))"#, "{key}");
        assert_eq!(annotated("deleted"), r#"Unknown(ClassMissing("deleted"))"#, "{key}");
        assert_eq!(annotated(""), "Unknown(Unbound)", "{key}");
        assert_eq!(annotated("px"), "pxd.portworx.com", "{key}: the class will provision its volume");
    }
    let read = |mode: &str| {
        let json = json!({"provisioner": NO_PROVISIONER, "volumeBindingMode": mode}).to_string();
        serde_json::from_str::<StorageClass<'_>>(&json).unwrap().facts().binds_late
    };
    assert!(read("WaitForFirstConsumer") && !read("Immediate"));
    let late = ClassFacts { binds_late: true, ..class(&[], NO_PROVISIONER, 1) };
    let mut inventory = inventory();
    inventory.insert_class("static", late);
    assert_eq!(owner(&inventory, &unbound), NO_PROVISIONER);
    assert_eq!(owner(&inventory, &claim(&[], Some("static"), Some("csi"))), "pxd.portworx.com");
}

#[test]
fn the_default_class_is_the_newest_then_the_first_by_name() {
    let unnamed = claim(&[], None, None);
    assert_eq!(provisioner(&unnamed), "a.example.test");
    let mut inventory = inventory();
    inventory.remove_class("default-a");
    inventory.remove_class("default-b");
    assert_eq!(owner(&inventory, &unnamed), "old.example.test");
    inventory.remove_class("old-default");
    assert_eq!(inventory.owner_of(&unnamed), Owner::Unknown(Unknown::NoDefaultClass));
}

#[test]
fn claims_are_found_by_namespace_and_name() {
    let mut inventory = inventory();
    inventory.insert_claim("a", "data", &claim(&[], Some("px"), None));
    assert!(matches!(inventory.owner("a", "data"), Owner::Provisioner { .. }));
    assert_eq!(inventory.owner("b", "data"), Owner::Missing);
    assert_eq!(inventory.owner("a", "other"), Owner::Missing);
    inventory.remove_claim("a", "data");
    assert_eq!(inventory.owner("a", "data"), Owner::Missing);
    assert_eq!(inventory.claim_count(), 0);
}

#[test]
fn objects_missing_from_a_list_are_removed_at_its_end() {
    let mut inventory = inventory();
    let px = claim(&[], Some("px"), None);
    for namespace in ["a", "b"] {
        for name in ["kept", "gone", "odd"] {
            inventory.insert_claim(namespace, name, &px);
        }
    }
    let listing = inventory.list(Some("a"));
    inventory.insert_listed_claim(&listing, "a", "kept", &px);
    inventory.insert_listed_claim(&listing, "a", "new", &px);
    inventory.keep_listed_claim(&listing, "a", "odd");
    assert!(matches!(inventory.owner("a", "gone"), Owner::Provisioner { .. }));
    inventory.end_claims(&listing);
    assert_eq!(inventory.owner("a", "gone"), Owner::Missing);
    assert_eq!(inventory.claim_count(), 6);

    // An interrupted list keeps the objects it added until the next list ends.
    let interrupted = inventory.list(None);
    inventory.insert_listed_claim(&interrupted, "a", "kept", &px);
    let listing = inventory.list(None);
    inventory.insert_listed_claim(&listing, "b", "gone", &px);
    inventory.end_claims(&listing);
    assert_eq!(inventory.claim_count(), 1);

    let listing = inventory.list(None);
    inventory.insert_listed_class(&listing, "px", class(&[], "pxd.portworx.com", 1));
    inventory.keep_listed_class(&listing, "old-default");
    inventory.end_classes(&listing);
    assert_eq!(inventory.class_count(), 2);
    assert_eq!(owner(&inventory, &claim(&[], None, None)), "old.example.test");
}

#[test]
fn a_volumes_provisioner_is_kept_while_the_claim_is_bound_to_it() {
    let mut inventory = Inventory::default();
    let bound = |volume| claim(&[], Some("manual"), Some(volume));
    inventory.insert_claim("a", "data", &bound("pv-1"));
    let missing = Owner::Unknown(volume_missing("pv-1"));
    assert_eq!(inventory.owner("a", "data"), missing);
    let portworx = volume(&[], false, Some("pxd.portworx.com"));
    inventory.set_volume_provisioner("a", "data", "pv-1", &portworx);
    inventory.set_volume_provisioner("a", "absent", "pv-1", &portworx);
    assert!(matches!(inventory.owner("a", "data"), Owner::Provisioner { .. }));
    inventory.insert_claim("a", "data", &bound("pv-1"));
    assert!(matches!(inventory.owner("a", "data"), Owner::Provisioner { .. }), "an unrelated change");
    inventory.set_volume_provisioner("a", "data", "pv-1", &VolumeFacts::default());
    assert_eq!(inventory.owner("a", "data"), Owner::NoProvisioner);
    inventory.insert_claim("a", "data", &bound("pv-2"));
    assert_eq!(inventory.owner("a", "data"), Owner::Unknown(volume_missing("pv-2")));
}

#[test]
fn access_modes_and_settings_of_a_claim_are_kept() {
    let mut inventory = Inventory::default();
    let modes: AccessModes = ["ReadWriteMany"].into_iter().collect();
    let keys = [("placement_strategy", "spread")];
    inventory.insert_claim("a", "plain", &claim(&[], None, None));
    inventory.insert_claim("a", "data", &ClaimFacts { access: modes, bound: true, ..claim(&keys, None, None) });
    let plain = inventory.claim_use("a", "plain").unwrap();
    assert_eq!(plain, ClaimUse { class: None, access: AccessModes::default(), bound: false, settings: None });
    inventory.insert_claim("a", "static", &claim(&[], Some(""), Some("pv")));
    let by_hand = inventory.claim_use("a", "static").unwrap();
    assert_eq!((by_hand.class, by_hand.bound), (Some(""), true));
    let data = inventory.claim_use("a", "data").unwrap();
    assert!(data.bound && data.access == modes);
    assert_eq!(data.settings.unwrap().get(Setting::PlacementStrategy), Some("spread"));
    assert_eq!(inventory.claim_use("a", "absent"), None);
    let parameters = Settings::read(|key| (key == "sharedv4").then_some("true"));
    let shared = ClassFacts { parameters, ..class(&[], "pxd.portworx.com", 1) };
    inventory.insert_class("shared", shared);
    let shared = inventory.class("shared").unwrap();
    assert_eq!((shared.parameters.get(Setting::Sharedv4), shared.binds_late), (Some("true"), false));
}

#[test]
fn the_access_modes_of_a_class_are_those_of_its_claims() {
    let mut inventory = Inventory::default();
    let modes = |names: &[&str]| names.iter().collect::<AccessModes>();
    for (namespace, class, access) in
        [("a", "px", "ReadWriteOnce"), ("b", "px", "ReadOnlyMany"), ("a", "other", "ReadWriteMany")]
    {
        let access = modes(&[access]);
        inventory.insert_claim(namespace, class, &ClaimFacts { access, ..claim(&[], Some(class), None) });
    }
    inventory.insert_claim("a", "unnamed", &claim(&[], None, None));
    assert_eq!(inventory.access_of_class("px", &[]), Some(modes(&["ReadWriteOnce", "ReadOnlyMany"])));
    assert_eq!(inventory.access_of_class("absent", &[]), None);
    inventory.remove_claim("b", "px");
    assert_eq!(inventory.access_of_class("px", &[]), Some(modes(&["ReadWriteOnce"])));
    let templates = [Some("px"), None].map(|class| {
        let access = modes(&[if class.is_some() { "ReadWriteMany" } else { "ReadOnlyMany" }]);
        ClaimFacts { access, ..claim(&[], class, None) }
    });
    assert_eq!(inventory.access_of_class("px", &templates), Some(modes(&["ReadWriteOnce", "ReadWriteMany"])));
    let default = ClassFacts { default: true, ..class(&[], "pxd.portworx.com", 1) };
    inventory.insert_class("px", default);
    let access = modes(&["ReadWriteOncePod"]);
    inventory.insert_claim("a", "unnamed", &ClaimFacts { access, ..claim(&[], None, None) });
    let bound = ClaimFacts { access: modes(&["ReadWriteMany"]), ..claim(&[], None, Some("pv")) };
    inventory.insert_claim("a", "bound", &bound);
    assert_eq!(inventory.access_of_class("px", &[]), Some(modes(&["ReadWriteOnce", "ReadWriteOncePod"])));
    let all = modes(&["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"]);
    assert_eq!(inventory.access_of_class("px", &templates), Some(all));
}

/// The inventory does not keep which annotation names `kubernetes.io/no-provisioner`. A claim in a file still has it.
#[test]
fn no_provisioner_never_names_the_owner_of_a_claim_without_a_class() {
    let mut inventory = Inventory::default();
    let driver = ("pxd.portworx.com".into(), Evidence::ProvisionedBy);
    inventory.insert_volume("pv", VolumeFacts { provisioner: Some(driver) });
    for class in ["", "deleted"] {
        let claim = ClaimFacts {
            class: Some(class.into()),
            provisioner: Some((NO_PROVISIONER.into(), Evidence::GaProvisionerAnnotation.into())),
            volume: Some("pv".into()),
            ..ClaimFacts::default()
        };
        inventory.insert_claim("ns", "data", &claim);
        let owner = Owner::of_volume("pxd.portworx.com".into(), Evidence::NoProvisioner);
        assert_eq!((inventory.owner_of(&claim), inventory.owner("ns", "data")), (owner.clone(), owner), "{class:?}");
    }
}
