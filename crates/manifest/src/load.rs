//! Claims, classes and volumes in files as one inventory, for a server.

use super::description::{Described, KnownClaim, KnownClass, bound};
use super::known_objects::{FileRole, KnownObjects};
use super::position::{ParseError, Position};
use super::source::Source;
use super::sources::ReadError;
use colocate_engine::{ClassFacts, Inventory, VolumeFacts};

/// The namespace of an object that has none, as for `kubectl apply`.
const DEFAULT_NAMESPACE: &str = "default";

/// An error while loading manifests.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file cannot be read.
    #[error(transparent)]
    Files(#[from] ReadError),
    /// A file is neither YAML nor JSON, or a mapping has a duplicate key.
    #[error("{file}:{error}")]
    Unparsable {
        /// The file.
        file: String,
        /// The error with its position and an excerpt.
        error: ParseError,
    },
    /// An object does not have the structure of its kind.
    #[error("{file}:{position}: invalid {kind}: {what}")]
    WrongShape {
        /// The file.
        file: String,
        /// The position of the object.
        position: Position,
        /// Its kind.
        kind: String,
        /// The error.
        what: String,
    },
    /// An object is described twice, in different ways.
    #[error("{second}: {kind} `{name}` is described differently in {first}: remove one of them")]
    Ambiguous {
        /// Its kind.
        kind: &'static str,
        /// Its name, after its namespace if it has one.
        name: String,
        /// The place of the first description.
        first: String,
        /// The place of the second one.
        second: String,
    },
    /// The `claimRef` of two volumes with different provisioners names one claim, which names no volume itself.
    #[error(
        "{second}: the claimRef of PersistentVolume `{name}` names the claim `{claim}`, as does that of `{other}` in {first}, which \
         has another provisioner: remove one of them"
    )]
    Reservations {
        /// The claim, after its namespace.
        claim: String,
        /// The name of the second volume.
        name: String,
        /// The name of the first volume.
        other: String,
        /// The place of the first volume.
        first: String,
        /// The place of the second volume.
        second: String,
    },
    /// Two default classes differ, and no creation time says which of them Kubernetes would choose.
    #[error(
        "{second}: StorageClass `{name}` is marked as default, as is `{other}` in {first}, which has another provisioner or \
         other parameters: mark only one of them"
    )]
    DefaultClasses {
        /// The name of the second class.
        name: String,
        /// The name of the first class.
        other: String,
        /// The place of the first class.
        first: String,
        /// The place of the second class.
        second: String,
    },
}

/// Parses the claims, classes and volumes in files, and skips other objects. The classes that Portworx creates by itself are known
/// too.
///
/// A server's pods do not come from a file, so no description is nearer than another. All descriptions of an object must be the
/// same, and so must all default classes without a creation time, apart from their names.
///
/// # Errors
/// A file is neither YAML nor JSON or has a duplicate key, an object does not have the structure of its kind, or is described
/// in two ways.
pub fn load(sources: &[Source]) -> Result<Inventory, ManifestError> {
    let mut known = KnownObjects::default();
    for source in sources {
        let unparsable = |error| ManifestError::Unparsable { file: source.name.clone(), error };
        let file = known.add_file(&source.name, source.path.as_deref(), FileRole::Description);
        for chunk in source.chunks()? {
            for document in chunk?.manifest().documents() {
                let document = document.map_err(unparsable)?;
                if let Some(error) = document.duplicate {
                    return Err(unparsable(error));
                }
                if let Some(unusable) = known.add(file, &document, DEFAULT_NAMESPACE, "").into_iter().next() {
                    let (position, kind, what) = (unusable.position, unusable.kind, unusable.what);
                    return Err(ManifestError::WrongShape { file: source.name.clone(), position, kind, what });
                }
            }
        }
    }
    known.add_portworx_classes();
    inventory(&known)
}

fn inventory(known: &KnownObjects) -> Result<Inventory, ManifestError> {
    let mut inventory = Inventory::default();
    for (namespace, name, claims) in known.all_claims() {
        let name_in = || format!("{namespace}/{name}");
        let claim = only(known, "PersistentVolumeClaim", name_in, claims)?;
        let volume = reserved_volume(known, namespace, name, claim)?;
        inventory.insert_claim(namespace, name, &bound(claim, volume));
    }
    for (name, classes) in &known.classes {
        let class = only(known, "StorageClass", || name.to_string(), classes)?;
        let facts = ClassFacts {
            provisioner: (&*class.provisioner).into(),
            default: class.default,
            binds_late: class.binds_late,
            created: class.created,
            parameters: class.parameters.clone(),
        };
        inventory.insert_class(name, facts);
    }
    check_default_classes(known)?;
    for (name, volumes) in &known.volumes {
        let volume = only(known, "PersistentVolume", || name.to_string(), volumes)?;
        let provisioner = volume.as_ref().map(|(name, evidence)| ((&**name).into(), *evidence));
        inventory.insert_volume(name, VolumeFacts { provisioner });
    }
    Ok(inventory)
}

/// The volume whose `claimRef` names a claim that names no volume itself. It must not matter which of several it is.
fn reserved_volume<'k>(
    known: &'k KnownObjects,
    namespace: &str,
    name: &str,
    claim: &KnownClaim,
) -> Result<Option<&'k str>, ManifestError> {
    let reserved = known.reservations(namespace, name);
    let Some(first) = reserved.first().filter(|_| claim.volume.is_none()) else { return Ok(None) };
    let provisioner = |volume: &str| known.volumes.get(volume).and_then(|volumes| volumes.first()?.facts.as_ref());
    match reserved.iter().find(|other| provisioner(&other.facts) != provisioner(&first.facts)) {
        None => Ok(Some(&first.facts)),
        Some(other) => Err(ManifestError::Reservations {
            claim: format!("{namespace}/{name}"),
            name: other.facts.to_string(),
            other: first.facts.to_string(),
            first: known.place(first).to_string(),
            second: known.place(other).to_string(),
        }),
    }
}

/// Checks that it does not matter which of several default classes Kubernetes would choose.
fn check_default_classes(known: &KnownObjects) -> Result<(), ManifestError> {
    let Some((first, others)) = known.default_classes.split_first() else { return Ok(()) };
    let decides = |class: &KnownClass| (class.provisioner.clone(), class.binds_late, class.parameters.clone());
    let are_created = known.default_classes.iter().all(|class| class.facts.created != 0);
    match others.iter().find(|other| !are_created && decides(&other.facts) != decides(&first.facts)) {
        None => Ok(()),
        Some(other) => {
            let [first_place, second] = [first, other].map(|described| known.place(described).to_string());
            let [other, name] = [first, other].map(|described| described.facts.name.to_string());
            Err(ManifestError::DefaultClasses { name, other, first: first_place, second })
        }
    }
}

/// Returns what all descriptions of an object say.
fn only<'k, T: PartialEq>(
    known: &KnownObjects,
    kind: &'static str,
    name: impl Fn() -> String,
    descriptions: &'k [Described<T>],
) -> Result<&'k T, ManifestError> {
    // Every name has at least one description.
    let first = &descriptions[0];
    match descriptions.iter().find(|other| other.facts != first.facts) {
        None => Ok(&first.facts),
        Some(other) => {
            let [first, second] = [first, other].map(|described| known.place(described).to_string());
            Err(ManifestError::Ambiguous { kind, name: name(), first, second })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Manifest, Purpose};
    use colocate_engine::{Owner, StorageView as _, Unknown};

    fn load_text(text: &str) -> Result<Inventory, ManifestError> {
        load(&[Source::of_text("claims.yaml", text)])
    }

    const CLASS: &str =
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: px}\nprovisioner: pxd.portworx.com\n";
    const CLAIM: &str =
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {storageClassName: px}\n";

    #[test]
    fn claims_and_classes_are_found_among_other_documents() {
        let text = format!("{CLASS}---\n# nothing\n---\nkind: Deployment\n---\n{CLAIM}");
        let inventory = load_text(&text).unwrap();
        assert!(matches!(
            inventory.owner("default", "data"),
            Owner::Provisioner { provisioner, .. } if *provisioner == *"pxd.portworx.com"
        ));
        assert_eq!(inventory.owner("other", "data"), Owner::Missing);
    }

    #[test]
    fn without_a_cluster_the_classes_of_portworx_are_known() {
        let of = |text: &str| {
            let mut known = KnownObjects::default();
            let file = known.add_file("claims.yaml", None, FileRole::Input);
            for document in Manifest::new(text).parse().unwrap() {
                assert_eq!(known.add(file, &document, "default", ""), []);
            }
            known.complete_without_cluster();
            known.seen_from(file, Purpose::Mutate).owner("default", "data")
        };
        let owned_by = |owner: &Owner, expected: &str| matches!(owner, Owner::Provisioner { provisioner, .. } if **provisioner == *expected);
        let claim = CLAIM.replace(": px", ": px-csi-db");
        assert!(owned_by(&of(&claim), "pxd.portworx.com"));
        assert!(owned_by(&of(&CLAIM.replace(": px", ": px-replicated")), "kubernetes.io/portworx-volume"));
        // A description in a file wins.
        let class = CLASS.replace("name: px", "name: px-csi-db").replace("pxd.portworx.com", "other.example.test");
        assert!(owned_by(&of(&format!("{class}---\n{claim}")), "other.example.test"));
        assert_eq!(of(CLAIM), Owner::Unknown(Unknown::ClassMissing("px".into())));
        // A server with files knows them too.
        assert!(owned_by(&load_text(&claim).unwrap().owner("default", "data"), "pxd.portworx.com"));
    }

    #[test]
    fn a_volume_with_a_claim_reference_binds_the_claim() {
        let volume = |name: &str, driver: &str, claim: &str| {
            format!(
                "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\n\
                 spec: {{csi: {{driver: {driver}}}, claimRef: {claim}}}\n"
            )
        };
        let claim = |spec: &str| {
            format!("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\nspec: {spec}\n")
        };
        let owner = |text: String| match load_text(&text).unwrap().owner("default", "data") {
            Owner::Provisioner { provisioner, .. } => provisioner.to_string(),
            other => format!("{other:?}"),
        };
        let static_claim = claim("{storageClassName: ''}");
        let reserved = volume("a", "pxd.portworx.com", "{namespace: default, name: data}");
        assert_eq!(owner(format!("{static_claim}{reserved}")), "pxd.portworx.com");
        assert_eq!(owner(format!("{reserved}---\n{static_claim}")), "pxd.portworx.com");
        let known = load_text(&format!("{static_claim}{reserved}")).unwrap();
        assert!(known.claim_use("default", "data").unwrap().bound);
        // A bound claim that names no class does not get the default class, as with `volumeName`.
        assert_eq!(owner(format!("{}{reserved}", claim("{accessModes: [ReadWriteOnce]}"))), "pxd.portworx.com");
        // The claim names another volume.
        let other = volume("b", "other.example.test", "{namespace: default, name: someone}");
        let bound = claim("{storageClassName: '', volumeName: b}");
        assert_eq!(owner(format!("{bound}{reserved}{other}")), "other.example.test");
        // A choice of two volumes.
        let second = |driver: &str| volume("b", driver, "{namespace: default, name: data}");
        let text = |driver: &str| format!("{static_claim}{reserved}{}", second(driver));
        assert_eq!(owner(text("pxd.portworx.com")), "pxd.portworx.com");
        let error = load_text(&text("other.example.test")).unwrap_err().to_string();
        let expected = "claims.yaml:11:1: the claimRef of PersistentVolume `b` names the claim `default/data`, as does that of `a` in \
                        claims.yaml:6:1, which has another provisioner: remove one of them";
        assert_eq!(error, expected);
        assert_eq!(
            owner(format!("{bound}{reserved}{other}{}", second("third.example.test").replace("name: b", "name: c"))),
            "other.example.test"
        );
        // Another namespace, and no namespace.
        for volumes in [
            volume("a", "pxd.portworx.com", "{namespace: other, name: data}"),
            volume("a", "pxd.portworx.com", "{name: data}"),
        ] {
            assert_eq!(owner(format!("{static_claim}{volumes}")), "Unknown(Unbound)", "{volumes}");
        }
    }

    #[test]
    fn the_items_of_a_list_are_read() {
        let items = format!("- {}- {}", CLASS.replace('\n', "\n  "), CLAIM.replace('\n', "\n  "));
        let text = format!("apiVersion: v1\nkind: List\nitems:\n{}", items.replace("  - ", "- "));
        assert!(matches!(load_text(&text).unwrap().owner("default", "data"), Owner::Provisioner { .. }));
    }

    #[test]
    fn a_syntax_error_names_the_file_and_line() {
        let error = load_text("a: 1\nb: [\n").unwrap_err().to_string();
        assert!(error.contains(".yaml") && error.contains('2'), "{error}");
    }

    #[test]
    fn an_invalid_claim_is_reported_with_its_position() {
        let text = format!("{CLASS}---\n{}", CLAIM.replace("{storageClassName: px}", "[]"));
        let error = load_text(&text).unwrap_err().to_string();
        assert!(error.contains(".yaml:6:1: invalid PersistentVolumeClaim"), "{error}");
    }

    #[test]
    fn an_object_that_is_described_in_two_ways_is_an_error() {
        let other = CLASS.replace("pxd.portworx.com", "other.example.test");
        let error = load_text(&format!("{CLASS}---\n{other}")).unwrap_err().to_string();
        assert!(error.contains(".yaml:6:1: StorageClass `px` is described differently in "), "{error}");
        assert!(error.ends_with(".yaml:1:1: remove one of them"), "{error}");
        let error = load_text(&format!("{CLAIM}---\n{}", CLAIM.replace("px", "other"))).unwrap_err().to_string();
        assert!(error.contains("PersistentVolumeClaim `default/data` is described differently"), "{error}");
        assert_eq!(load_text(&format!("{CLAIM}---\n{CLAIM}")).unwrap().claim_count(), 1);
        assert!(load_text("kind: a\nkind: b\n").unwrap_err().to_string().contains("2:1: duplicate key `kind`"));
    }

    #[test]
    fn two_default_classes_that_differ_are_an_error() {
        let default = "metadata: {annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}, ";
        let class = CLASS.replace("metadata: {", default);
        let other = class.replace("name: px", "name: a");
        let differs = other.replace("pxd.portworx.com", "other.example.test");
        let claim = CLAIM.replace("storageClassName: px", "accessModes: [ReadWriteOnce]");
        let owner = |text: String| load_text(&text).map(|known| known.owner("default", "data"));
        let error = owner(format!("{class}---\n{differs}---\n{claim}")).unwrap_err().to_string();
        let expected = "claims.yaml:6:1: StorageClass `a` is marked as default, as is `px` in claims.yaml:1:1, which has another \
                        provisioner or other parameters: mark only one of them";
        assert_eq!(error, expected);
        let is_owner = |text, expected: &str| matches!(owner(text), Ok(Owner::Provisioner { provisioner, .. }) if *provisioner == *expected);
        assert!(is_owner(format!("{class}---\n{other}---\n{claim}"), "pxd.portworx.com"));
        // A file that a cluster wrote has the times by which Kubernetes chooses.
        let created =
            |text: &str, time| text.replace("metadata: {", &format!("metadata: {{creationTimestamp: \"{time}\", "));
        let (old, new) = ("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        let text = |of_class, of_other| {
            format!("{}---\n{}---\n{claim}", created(&class, of_class), created(&differs, of_other))
        };
        assert!(is_owner(text(new, old), "pxd.portworx.com"));
        assert!(is_owner(text(old, new), "other.example.test"));
    }

    #[test]
    fn incomplete_claims_and_classes_are_rejected() {
        let nameless = CLAIM.replace("{name: data}", "{}");
        assert!(load_text(&nameless).unwrap_err().to_string().contains("it has no metadata.name"));
        let empty = CLASS.replace("pxd.portworx.com", "''");
        assert!(load_text(&empty).unwrap_err().to_string().contains("it has no provisioner"));
    }

    #[test]
    fn the_items_of_a_typed_list_have_its_type() {
        let item = "{metadata: {name: data, namespace: demo}, spec: {storageClassName: px}}";
        let text = format!("{CLASS}---\napiVersion: v1\nkind: PersistentVolumeClaimList\nitems: [{item}]\n");
        assert!(matches!(load_text(&text).unwrap().owner("demo", "data"), Owner::Provisioner { .. }));
    }

    #[test]
    fn large_files_are_read() {
        let claims = (0..3_000).map(|n| CLAIM.replace("name: data", &format!("name: data-{n}")));
        let text: Vec<_> = claims.chain([CLASS.to_owned()]).collect();
        assert_eq!(load_text(&text.join("---\n")).unwrap().claim_count(), 3_000);
        let item =
            |n| format!("- {{metadata: {{name: data-{n}}}, spec: {{storageClassName: px, volumeMode: Filesystem}}}}\n");
        let list: String = (0..20_000).map(item).collect();
        let text = format!("apiVersion: v1\nkind: PersistentVolumeClaimList\nitems:\n{list}");
        assert_eq!(load_text(&text).unwrap().claim_count(), 20_000);
    }
}
