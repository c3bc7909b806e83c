//! The facts of a cluster on which expectations are based: claims, classes, volumes, the labels of Namespaces, and the
//! configurations of mutating webhooks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::access::{Access, Found};
use super::kinds;
use crate::api::ApiError;
use crate::engine::storage::{HasMetadata as _, PersistentVolume, PersistentVolumeClaim, StorageClass};
use crate::engine::{
    Absence, Evidence, Inventory, Policy, StorageView as _, Text, VolumeFacts, amount, object, parse_bool,
};
use crate::insight::{Labels, ManagedFields};

/// The facts of a cluster, or of one of its namespaces.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// The claims, classes and volumes. Volumes are read only if a claim needs one.
    pub(crate) inventory: Inventory,
    /// The Namespaces; `None` if they cannot be read.
    pub(crate) namespaces: Option<Namespaces>,
    /// The configurations of mutating webhooks; `None` if they cannot be read.
    pub(crate) webhooks: Option<Vec<Value>>,
}

/// The Namespaces of a cluster, or one of them.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    labels: HashMap<String, Labels>,
    /// The managers of the fields of those with a label that is true, which may be an opt-out.
    fields: HashMap<String, ManagedFields>,
}

/// A list of claims.
#[derive(Default)]
struct ClaimList {
    inventory: Inventory,
    /// The volumes that must be read to decide about the claims.
    volumes: BTreeSet<Arc<str>>,
}

/// The name of a volume, and the provisioner that it names.
type VolumeEntry = (Box<str>, Option<(Box<str>, Evidence)>);

#[derive(Deserialize)]
struct Namespace<'a> {
    #[serde(borrow, default, deserialize_with = "object")]
    metadata: Option<NamespaceMetadata<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamespaceMetadata<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default)]
    labels: Option<Labels>,
    #[serde(default)]
    managed_fields: ManagedFields,
}

impl Cluster {
    /// Reads the facts about the objects of one namespace, or of all.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn read(access: &mut Access, policy: &Policy, namespace: Option<&str>) -> Result<Self, ApiError> {
        let mut cluster = Self::without_storage(access, namespace).await?;
        cluster.inventory = read_storage(access, policy, namespace).await?;
        Ok(cluster)
    }

    /// Reads what does not depend on the configuration of colocate: the labels of Namespaces, and the webhooks.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn without_storage(access: &mut Access, namespace: Option<&str>) -> Result<Self, ApiError> {
        let namespaces = read_namespaces(access, namespace).await?;
        let hides = "which pods API servers send to colocate, and the other webhooks for pods, such as Stork's own";
        let webhooks = access.list(kinds::MUTATING_WEBHOOKS, None, hides, |list: &mut Vec<Value>, item| {
            list.push(serde_json::from_str(item)?);
            Ok(())
        });
        Ok(Self { inventory: Inventory::default(), namespaces, webhooks: webhooks.await? })
    }

    /// Returns true if a Namespace does not exist. One that cannot be read may exist.
    pub(crate) fn lacks(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_some_and(|all| all.labels(namespace).is_none())
    }

    /// Returns whether a Namespace opts out by `label`; `None` if its labels are not known.
    pub(crate) fn opts_out(&self, namespace: &str, label: &str) -> Option<bool> {
        let labels = self.namespaces.as_ref()?.labels(namespace)?;
        Some(labels.get(label).and_then(|value| parse_bool(value)) == Some(true))
    }
}

impl Namespaces {
    /// Returns the labels of a Namespace; `None` if it does not exist.
    pub(crate) fn labels(&self, name: &str) -> Option<&Labels> {
        self.labels.get(name)
    }

    /// Returns the managers of the fields of a Namespace, if it may opt out.
    pub(crate) fn managed_fields(&self, name: &str) -> Option<&ManagedFields> {
        self.fields.get(name)
    }

    fn add(&mut self, item: &str) -> serde_json::Result<()> {
        let read: Namespace<'_> = serde_json::from_str(item)?;
        if let Some(NamespaceMetadata { name, labels, managed_fields }) = read.metadata {
            let (name, labels) = (name.into_cow().into_owned(), labels.unwrap_or_default());
            if labels.values().any(|value| parse_bool(value) == Some(true)) {
                self.fields.insert(name.clone(), managed_fields);
            }
            self.labels.insert(name, labels);
        }
        Ok(())
    }
}

/// Reads classes and claims, and volumes if a claim needs one.
pub(super) async fn read_storage(
    access: &mut Access,
    policy: &Policy,
    namespace: Option<&str>,
) -> Result<Inventory, ApiError> {
    let hides = "the drivers of claims that only a StorageClass names, and findings in StorageClasses";
    let classes = access.list(kinds::CLASSES, None, hides, |list: &mut Vec<Box<str>>, item| {
        serde_json::from_str::<StorageClass<'_>>(item)?;
        list.push(item.into());
        Ok(())
    });
    let classes = classes.await?;
    let add_classes = |inventory: &mut Inventory| {
        for json in classes.iter().flatten() {
            let Ok(class) = serde_json::from_str::<StorageClass<'_>>(json) else { continue };
            inventory.insert_class(class.name().unwrap_or_default(), class.facts());
        }
    };
    let mut only_classes = Inventory::default();
    add_classes(&mut only_classes);

    let hides = "the drivers of all claims, the expected schedulers of their pods, and findings in claims";
    let claims = access.list(kinds::CLAIMS, namespace, hides, |list: &mut ClaimList, item| {
        let claim: PersistentVolumeClaim<'_> = serde_json::from_str(item)?;
        let facts = claim.facts();
        let owner = only_classes.owner_of(&facts);
        list.volumes.extend(policy.volume_to_read(&owner).cloned());
        list.inventory.insert_claim(claim.namespace().unwrap_or_default(), claim.name().unwrap_or_default(), &facts);
        Ok(())
    });
    let claims = claims.await?;
    let claims_visible = claims.is_some();
    let ClaimList { mut inventory, volumes } = claims.unwrap_or_default();
    add_classes(&mut inventory);

    let mut volumes_visible = true;
    if !volumes.is_empty() {
        let hides =
            format!("the drivers of claims that only a PersistentVolume names ({})", amount(volumes.len(), "volume"));
        let listed = access.list(kinds::VOLUMES, None, hides, |list: &mut Vec<VolumeEntry>, item| {
            let volume: PersistentVolume<'_> = serde_json::from_str(item)?;
            let Some(name) = volume.name().filter(|name| volumes.contains(*name)) else { return Ok(()) };
            list.push((name.into(), volume.facts().provisioner.map(|(by, evidence)| ((*by).into(), evidence))));
            Ok(())
        });
        let listed = listed.await?;
        volumes_visible = listed.is_some();
        for (name, provisioner) in listed.iter().flatten() {
            let provisioner = provisioner.as_ref().map(|(by, evidence)| ((&**by).into(), *evidence));
            inventory.insert_volume(name, VolumeFacts { provisioner });
        }
    }
    let absence = |visible| if visible { Absence::Nonexistent } else { Absence::Hidden };
    inventory.visibility.claims = absence(claims_visible);
    inventory.visibility.classes = absence(classes.is_some());
    inventory.visibility.volumes = absence(volumes_visible);
    Ok(inventory)
}

/// Reads one Namespace, or all.
async fn read_namespaces(access: &mut Access, namespace: Option<&str>) -> Result<Option<Namespaces>, ApiError> {
    let hides = "whether a Namespace opts its pods out or is not sent to colocate, and findings in Namespaces";
    let Some(name) = namespace else { return access.list(kinds::NAMESPACES, None, hides, Namespaces::add).await };
    let mut all = Namespaces::default();
    match access.get(kinds::NAMESPACES, None, name, hides).await? {
        Found::Object(json) => {
            all.add(&json).map_err(|error| kinds::NAMESPACES.resource.failed("get", error))?;
            Ok(Some(all))
        }
        Found::Absent => Ok(Some(all)),
        Found::NotSeen => Ok(None),
    }
}
