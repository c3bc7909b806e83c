//! What a cluster says at one moment about a few claims, to a person who may have no more rights than to get them.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;

use super::kind::{Claims, Classes, Kind as _};
use super::request::{self, Cause, Unanswered};
use crate::engine::{Inventory, one_line, parse_bool};
use crate::storage::{Object as _, PersistentVolume, PersistentVolumeClaim, StorageClass};

/// How many objects are asked for at once.
const AT_ONCE: usize = 8;

/// A cluster, to be asked once.
pub struct Snapshot {
    client: Client,
    namespace: String,
}

/// A cluster that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No kubeconfig, or one that cannot be used.
    #[error("no cluster can be asked: {0}")]
    NotConfigured(String),
    /// A question that was not answered.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

#[derive(Deserialize)]
struct ClassList<'a> {
    #[serde(borrow)]
    items: Vec<StorageClass<'a>>,
}

fn odd(verb: &'static str, resource: &str, error: &serde_json::Error) -> SnapshotError {
    Unanswered::new(verb, resource, "", Cause::Undecodable(error.to_string())).into()
}

impl Snapshot {
    /// The cluster that kubectl would talk to.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn infer() -> Result<Self, SnapshotError> {
        let refused = |error: &dyn std::error::Error| SnapshotError::NotConfigured(one_line(&error.to_string(), 512));
        let config = kube::Config::infer().await.map_err(|error| refused(&error))?;
        let namespace = config.default_namespace.clone();
        Ok(Self { client: Client::try_from(config).map_err(|error| refused(&error))?, namespace })
    }

    /// The namespace of the kubeconfig's context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// These claims (a namespace and a name each), the volumes that they are bound to, and all classes.
    ///
    /// # Errors
    /// Where the cluster does not answer, or refuses to.
    pub async fn inventory(&self, claims: BTreeSet<(String, String)>) -> Result<Inventory, SnapshotError> {
        let mut inventory = Inventory::default();
        let mut list = Vec::new();
        self.read("list", "storageclasses", &Classes::path(None), &mut list).await?;
        let list: ClassList<'_> =
            serde_json::from_slice(&list).map_err(|error| odd("list", "storageclasses", &error))?;
        for class in &list.items {
            inventory.insert_class(class.name().unwrap_or_default(), class.facts());
        }
        let claims = stream::iter(claims).map(|(namespace, name)| async move {
            let json = self.get("persistentvolumeclaims", &Claims::object_path(&namespace, &name)).await?;
            Ok::<_, SnapshotError>(json.map(|json| (namespace, name, json)))
        });
        let claims: Vec<_> = claims.buffer_unordered(AT_ONCE).try_collect().await?;
        let mut volumes = BTreeSet::new();
        for (namespace, name, json) in claims.into_iter().flatten() {
            let claim: PersistentVolumeClaim<'_> =
                serde_json::from_slice(&json).map_err(|error| odd("get", "persistentvolumeclaims", &error))?;
            volumes.extend(claim.volume_name().map(str::to_owned));
            inventory.insert_claim(&namespace, &name, &claim.facts());
        }
        let volumes = stream::iter(volumes).map(|name| async move {
            let path = format!("/api/v1/persistentvolumes/{name}");
            Ok((name, self.get("persistentvolumes", &path).await?))
        });
        let found: Result<Vec<_>, _> = volumes.buffer_unordered(AT_ONCE).try_collect().await;
        match found {
            Ok(found) => {
                for (name, json) in found.into_iter().filter_map(|(name, json)| Some((name, json?))) {
                    let volume: PersistentVolume<'_> =
                        serde_json::from_slice(&json).map_err(|error| odd("get", "persistentvolumes", &error))?;
                    inventory.insert_volume(&name, volume.facts());
                }
            }
            // Volumes belong to the cluster and not to its users; few claims need them to be known.
            Err(SnapshotError::Unanswered(unanswered)) if unanswered.code() == Some(403) => {}
            Err(error) => return Err(error),
        }
        Ok(inventory)
    }

    async fn read(
        &self,
        verb: &'static str,
        resource: &'static str,
        path: &str,
        body: &mut Vec<u8>,
    ) -> Result<(), SnapshotError> {
        request::read(&self.client, path, body).await.map_err(|cause| Unanswered::new(verb, resource, "", cause).into())
    }

    async fn get(&self, resource: &'static str, path: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        let mut body = Vec::new();
        match self.read("get", resource, path, &mut body).await {
            Ok(()) => Ok(Some(body)),
            Err(SnapshotError::Unanswered(unanswered)) if unanswered.code() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Which of these Namespaces opt out by the label `label`.
    ///
    /// # Errors
    /// Where the cluster does not answer, or refuses to.
    pub async fn opted_out(&self, names: BTreeSet<String>, label: &str) -> Result<Vec<String>, SnapshotError> {
        let failed = |error| Unanswered::new("get", "namespaces", "", error);
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let mut opted_out = Vec::new();
        for name in names {
            let namespace = namespaces.get_opt(&name).await.map_err(failed)?;
            let value = namespace.as_ref().and_then(|namespace| namespace.labels().get(label));
            if value.is_some_and(|value| parse_bool(value) == Some(true)) {
                opted_out.push(name);
            }
        }
        Ok(opted_out)
    }
}
