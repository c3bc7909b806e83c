//! Claims, classes and volumes from manifests: the same questions that a cluster answers, answered from documents.

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::files;
use crate::engine::{Claim, Class, Inventory, Volume};

/// The namespace of a claim that names none, as `kubectl apply` has it.
const DEFAULT_NAMESPACE: &str = "default";

/// Manifests that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path cannot be read.
    #[error(transparent)]
    Path(#[from] files::Error),
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no YAML; the text holds place and excerpt.
    #[error("{}: {message}", .path.display())]
    NotYaml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A document names a kind that it is not built as.
    #[error("{}: document {document} is no {kind}", .path.display())]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The document in the file, from 1.
        document: usize,
        /// The kind that it names.
        kind: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Reads the claims, classes and volumes in files and directories; documents of other kinds are passed over.
///
/// # Errors
/// A path that cannot be read, a file that is no YAML, or a claim, class or volume that is not built as one.
pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Inventory, Error> {
    let mut inventory = Inventory::default();
    for path in paths {
        for file in files::expand(path.as_ref())? {
            load_file(&file, &mut inventory)?;
        }
    }
    Ok(inventory)
}

fn load_file(path: &Path, inventory: &mut Inventory) -> Result<(), Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|error| Error::NotYaml { path: path.to_owned(), message: error.render() })?;
    for (index, document) in documents.into_iter().enumerate() {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        add(document, inventory).map_err(|source| Error::WrongShape {
            path: path.to_owned(),
            document: index + 1,
            kind,
            source,
        })?;
    }
    Ok(())
}

fn add(mut document: Value, inventory: &mut Inventory) -> Result<(), serde_json::Error> {
    match (document["apiVersion"].as_str(), document["kind"].as_str()) {
        (Some("v1"), Some("PersistentVolumeClaim")) => {
            let claim: PersistentVolumeClaim = decode(document)?;
            let namespace = claim.namespace().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
            inventory.insert_claim(&namespace, &claim.name_any(), Claim::from(&claim));
        }
        (Some("v1"), Some("PersistentVolume")) => {
            let volume: PersistentVolume = decode(document)?;
            inventory.volumes().insert(volume.name_any(), Volume::from(&volume));
        }
        (Some("storage.k8s.io/v1"), Some("StorageClass")) => {
            let class: StorageClass = decode(document)?;
            inventory.classes().insert(class.name_any(), Class::from(&class));
        }
        (_, Some(kind)) if kind.ends_with("List") => {
            if let Value::Array(items) = document["items"].take() {
                return items.into_iter().try_for_each(|item| add(item, inventory));
            }
        }
        _ => {}
    }
    Ok(())
}

fn decode<T: DeserializeOwned>(document: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Owner;

    fn load_text(text: &str) -> Result<Inventory, Error> {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        fs::write(file.path(), text).unwrap();
        load(&[file.path()])
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
    fn a_list_is_its_items() {
        let items = format!("- {}- {}", CLASS.replace('\n', "\n  "), CLAIM.replace('\n', "\n  "));
        let text = format!("apiVersion: v1\nkind: List\nitems:\n{}", items.replace("  - ", "- "));
        assert!(matches!(load_text(&text).unwrap().owner("default", "data"), Owner::Provisioner { .. }));
    }

    #[test]
    fn a_file_that_does_not_parse_is_named_with_its_line() {
        let error = load_text("a: 1\nb: [\n").unwrap_err().to_string();
        assert!(error.contains(".yaml") && error.contains('2'), "{error}");
    }

    #[test]
    fn a_claim_that_is_none_is_named_with_its_document() {
        let text = format!("{CLASS}---\n{}", CLAIM.replace("{storageClassName: px}", "[]"));
        let error = load_text(&text).unwrap_err().to_string();
        assert!(error.contains("document 2 is no PersistentVolumeClaim"), "{error}");
    }
}
