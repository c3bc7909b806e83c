//! Objects in manifests that decisions depend on: claims, classes, volumes, placement strategies and Namespaces.

use std::collections::HashMap;

use serde::Deserialize;

use super::document::{Manifest, ManifestObject};
use super::json_parser::without_position;
use super::position::{ParseError, Position};
use super::sources::Source;
use colocate_companion::Strategies;
use colocate_engine::storage::{self, HasMetadata as _, PersistentVolume, PersistentVolumeClaim, StorageClass};
use colocate_engine::{Inventory, parse_bool};

/// The namespace of an object that has none, as for `kubectl apply`.
const DEFAULT_NAMESPACE: &str = "default";

/// An error while loading manifests.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file is neither YAML nor JSON.
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
}

/// The objects of manifests. If two have the same name, the last one wins, as with `kubectl apply`.
#[derive(Debug, Default)]
pub struct KnownObjects {
    /// The claims, classes and volumes.
    pub inventory: Inventory,
    /// The placement strategies that exist or will exist.
    pub strategies: Strategies,
    /// The opt-out of each known Namespace.
    namespaces: HashMap<String, bool>,
}

/// Parses the claims, classes and volumes in files, and skips other objects.
///
/// # Errors
/// A file is neither YAML nor JSON, or an object does not have the structure of its kind.
pub fn load(sources: &[Source]) -> Result<Inventory, ManifestError> {
    let mut known = KnownObjects::default();
    for source in sources {
        let unparsable = |error| ManifestError::Unparsable { file: source.name.clone(), error };
        let manifest = Manifest::parse(&source.text).map_err(unparsable)?;
        known.add(&source.name, &manifest, DEFAULT_NAMESPACE, "")?;
    }
    Ok(known.inventory)
}

impl KnownObjects {
    /// Adds the objects of a manifest that was read from `file`. `namespace` is the namespace of objects that name none, and
    /// `opt_out` is the label that opts a Namespace out.
    ///
    /// # Errors
    /// A claim, class or volume does not have the structure of its kind.
    pub fn add(
        &mut self,
        file: &str,
        manifest: &Manifest<'_>,
        namespace: &str,
        opt_out: &str,
    ) -> Result<(), ManifestError> {
        match self.add_readable(manifest, namespace, opt_out).into_iter().next() {
            None => Ok(()),
            Some((object, what)) => {
                let (position, kind) = (object.position, object.kind.to_owned());
                Err(ManifestError::WrongShape { file: file.to_owned(), position, kind, what })
            }
        }
    }

    /// Adds the objects of a manifest. Returns those that do not have the structure of their kind, each with its error.
    pub fn add_readable<'m>(
        &mut self,
        manifest: &'m Manifest<'_>,
        namespace: &str,
        opt_out: &str,
    ) -> Vec<(ManifestObject<'m>, String)> {
        let objects = manifest.objects().into_iter();
        let invalid = objects.filter_map(|object| {
            let what = self.add_object(&object, namespace, opt_out).err()?;
            Some((object, what))
        });
        invalid.collect()
    }

    fn add_object(&mut self, object: &ManifestObject<'_>, namespace: &str, opt_out: &str) -> Result<(), String> {
        match (object.api_version, object.kind) {
            ("v1", "PersistentVolumeClaim") => {
                if object.value["metadata"]["generateName"].is_string() {
                    // No pod can refer to it before its name is generated.
                    return Ok(());
                }
                let text = object.value.to_string();
                let claim: PersistentVolumeClaim<'_> = decode(&text)?;
                let namespace = claim.namespace().unwrap_or(namespace);
                self.inventory.insert_claim(namespace, named(&claim)?, &claim.facts());
            }
            ("v1", "PersistentVolume") => {
                let text = object.value.to_string();
                let volume: PersistentVolume<'_> = decode(&text)?;
                self.inventory.insert_volume(named(&volume)?, volume.facts());
            }
            ("storage.k8s.io/v1", "StorageClass") => {
                let text = object.value.to_string();
                let class: StorageClass<'_> = decode(&text)?;
                if class.provisioner().is_empty() {
                    return Err("it has no provisioner".to_owned());
                }
                self.inventory.insert_class(named(&class)?, class.facts());
            }
            ("portworx.io/v1beta2", "VolumePlacementStrategy") => {
                if let Some(name) = object.value["metadata"]["name"].as_str() {
                    self.strategies.insert(name.to_owned());
                }
            }
            ("v1", "Namespace") => {
                let metadata = &object.value["metadata"];
                let label = metadata["labels"][opt_out].as_str().and_then(parse_bool);
                if let Some(name) = metadata["name"].as_str() {
                    self.insert_namespace(name.to_owned(), label == Some(true));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns true if the Namespace is known.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains_key(name)
    }

    /// Adds or replaces a Namespace.
    pub fn insert_namespace(&mut self, name: String, opts_out: bool) {
        self.namespaces.insert(name, opts_out);
    }

    /// Returns true if the Namespace is known to opt out.
    pub fn opted_out(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).copied().unwrap_or(false)
    }
}

fn decode<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| without_position(&error))
}

fn named(object: &impl storage::HasMetadata) -> Result<&str, String> {
    object.name().ok_or_else(|| "it has no metadata.name".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use colocate_engine::{Owner, StorageView as _};

    fn load_text(text: &str) -> Result<Inventory, ManifestError> {
        load(&[Source { name: "claims.yaml".to_owned(), path: None, text: text.to_owned() }])
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
