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
    #[error("{}: document {document} is no {kind}: {what}", .path.display())]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The document in the file, from 1.
        document: usize,
        /// The kind that it names.
        kind: String,
        /// What is wrong.
        what: String,
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
    // The limits of the library are for text from strangers; these are the operator's own files.
    let options = serde_saphyr::options! { budget: None };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options)
        .map_err(|error| Error::NotYaml { path: path.to_owned(), message: error.render() })?;
    for (index, document) in documents.into_iter().enumerate() {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        add(document, inventory).map_err(|what| Error::WrongShape {
            path: path.to_owned(),
            document: index + 1,
            kind,
            what,
        })?;
    }
    Ok(())
}

/// Adds what a document describes; of two that describe the same object, the last counts, as with `kubectl apply`.
fn add(mut document: Value, inventory: &mut Inventory) -> Result<(), String> {
    let (version, kind) =
        (document["apiVersion"].as_str().unwrap_or_default(), document["kind"].as_str().unwrap_or_default());
    match (version, kind) {
        ("v1", "PersistentVolumeClaim") => {
            let (name, claim): (_, PersistentVolumeClaim) = decode(document)?;
            let namespace = claim.namespace().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
            inventory.insert_claim(&namespace, &name, Claim::from(&claim));
        }
        ("v1", "PersistentVolume") => {
            let (name, volume): (_, PersistentVolume) = decode(document)?;
            inventory.volumes().insert(name, Volume::from(&volume));
        }
        ("storage.k8s.io/v1", "StorageClass") => {
            let (name, class): (_, StorageClass) = decode(document)?;
            if class.provisioner.is_empty() {
                return Err("it names no provisioner".to_owned());
            }
            inventory.classes().insert(name, Class::from(&class));
        }
        (version, list) => {
            let Some(item) = list.strip_suffix("List").map(str::to_owned) else { return Ok(()) };
            let version = version.to_owned();
            if let Value::Array(items) = document["items"].take() {
                return items.into_iter().try_for_each(|document| add(typed(document, &version, &item), inventory));
            }
        }
    }
    Ok(())
}

/// The item of a list: in a `PersistentVolumeClaimList`, as the API server writes it, it does not name its own kind.
fn typed(mut item: Value, version: &str, kind: &str) -> Value {
    if let (Value::Object(fields), false) = (&mut item, kind.is_empty()) {
        fields.entry("apiVersion").or_insert_with(|| version.into());
        fields.entry("kind").or_insert_with(|| kind.into());
    }
    item
}

fn decode<T: DeserializeOwned + ResourceExt>(document: Value) -> Result<(String, T), String> {
    let object: T = serde_json::from_value(document).map_err(|error| error.to_string())?;
    match object.meta().name.as_deref() {
        Some(name) if !name.is_empty() => Ok((name.to_owned(), object)),
        _ => Err("it has no metadata.name".to_owned()),
    }
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

    #[test]
    fn a_claim_without_a_name_and_a_class_without_a_provisioner_are_refused() {
        let nameless = CLAIM.replace("{name: data}", "{}");
        assert!(load_text(&nameless).unwrap_err().to_string().contains("it has no metadata.name"));
        let empty = CLASS.replace("pxd.portworx.com", "''");
        assert!(load_text(&empty).unwrap_err().to_string().contains("it names no provisioner"));
    }

    #[test]
    fn the_items_of_a_typed_list_are_of_its_kind() {
        let item = "{metadata: {name: data, namespace: demo}, spec: {storageClassName: px}}";
        let text = format!("{CLASS}---\napiVersion: v1\nkind: PersistentVolumeClaimList\nitems: [{item}]\n");
        assert!(matches!(load_text(&text).unwrap().owner("demo", "data"), Owner::Provisioner { .. }));
    }

    #[test]
    fn files_may_be_large() {
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
