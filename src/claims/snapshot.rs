//! One-time reads of a cluster, for a user who may only be allowed to get a few objects.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use super::strategies;
use super::watched_kind::{Claims, Classes, VOLUMES, WatchedKind as _, volume_path};
use crate::api::{ApiClient, ApiError, Resource};
use crate::companion::Strategies;
use crate::engine::storage::{HasMetadata as _, PersistentVolume, PersistentVolumeClaim, StorageClass};
use crate::engine::{dns, parse_bool};
use crate::manifest::KnownObjects;

/// The number of objects that are requested at once.
const CONCURRENCY: usize = 8;

/// The longest time that the list of classes may take.
const LIST_TIMEOUT: Duration = Duration::from_mins(1);

const NAMESPACES: Resource = Resource::new("", "namespaces");

/// A cluster that is read once.
pub struct Snapshot {
    /// A client of the cluster.
    pub client: ApiClient,
}

/// Claims that the user is not allowed to get.
#[derive(Debug)]
pub struct Forbidden {
    /// The namespace and name of each.
    pub names: BTreeSet<(String, String)>,
    /// The response for the first of them.
    pub error: ApiError,
}

#[derive(Deserialize)]
struct ClassList<'a> {
    #[serde(borrow)]
    items: Vec<StorageClass<'a>>,
}

impl Snapshot {
    /// Adds the claims (by namespace and name) that exist. Returns those that the user is not allowed to get.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub async fn claims(
        &self,
        names: BTreeSet<(String, String)>,
        known: &mut KnownObjects,
    ) -> Result<Option<Forbidden>, ApiError> {
        // An illegal name cannot exist, and must not become part of a URL path.
        let names = names.into_iter().filter(|(namespace, name)| dns::is_label(namespace) && dns::is_subdomain(name));
        let gets = stream::iter(names).map(|(namespace, name)| async move {
            let found = self.client.get_opt(Claims::RESOURCE, &Claims::object_path(&namespace, &name)).await;
            (namespace, name, found)
        });
        let found: Vec<_> = gets.buffer_unordered(CONCURRENCY).collect().await;
        let mut forbidden: Option<Forbidden> = None;
        for (namespace, name, found) in found {
            match found {
                Ok(None) => {}
                Ok(Some(json)) => {
                    let claim: PersistentVolumeClaim<'_> = Claims::RESOURCE.decode("get", &json)?;
                    known.add_claim_of_cluster(&namespace, &name, claim.facts());
                }
                Err(error) if error.code() == Some(403) => {
                    let forbidden = forbidden.get_or_insert(Forbidden { names: BTreeSet::new(), error });
                    forbidden.names.insert((namespace, name));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(forbidden)
    }

    /// Adds all classes that no file describes. Returns `false` if the user is not allowed to list them.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub async fn classes(&self, known: &mut KnownObjects) -> Result<bool, ApiError> {
        let mut json = Vec::new();
        let list = self.client.list(Classes::RESOURCE, &Classes::path(None), LIST_TIMEOUT, &mut json).await;
        if permitted(list)?.is_none() {
            return Ok(false);
        }
        let list: ClassList<'_> = Classes::RESOURCE.decode("list", &json)?;
        for class in list.items {
            known.add_class_of_cluster(class.name().unwrap_or_default(), class.facts());
        }
        Ok(true)
    }

    /// Adds the volumes that exist. Returns `false` if the user is not allowed to get one.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub async fn volumes(&self, names: BTreeSet<String>, known: &mut KnownObjects) -> Result<bool, ApiError> {
        let names = names.into_iter().filter(|name| dns::is_subdomain(name));
        let gets = stream::iter(names).map(|name| async move {
            let json = self.client.get_opt(VOLUMES, &volume_path(&name)).await?;
            Ok((name, json))
        });
        let found = permitted(gets.buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>().await)?;
        for (name, json) in found.iter().flatten() {
            if let Some(json) = json {
                let volume: PersistentVolume<'_> = VOLUMES.decode("get", json)?;
                known.add_volume_of_cluster(name, &volume.facts());
            }
        }
        Ok(found.is_some())
    }

    /// Returns whether each of these Namespaces opts out by `label`; `None` if the user is not allowed to get it.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub async fn opted_out(
        &self,
        names: BTreeSet<String>,
        label: &str,
    ) -> Result<Vec<(String, Option<bool>)>, ApiError> {
        // An illegal name does not exist, and must not become part of a path.
        let gets = stream::iter(names.into_iter().filter(|name| dns::is_label(name))).map(|name| async move {
            let path = format!("/api/v1/namespaces/{name}");
            let Some(found) = permitted(self.client.get_opt(NAMESPACES, &path).await)? else { return Ok((name, None)) };
            let namespace: Option<Value> = found.map(|json| NAMESPACES.decode("get", &json)).transpose()?;
            let value = namespace.as_ref().and_then(|namespace| namespace["metadata"]["labels"][label].as_str());
            Ok((name, Some(value.and_then(parse_bool) == Some(true))))
        });
        gets.buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// Returns the `VolumePlacementStrategies`; `None` if the user is not allowed to list them.
    ///
    /// # Errors
    /// If the cluster does not answer.
    pub async fn strategies(&self) -> Result<Option<Strategies>, ApiError> {
        permitted(strategies::list(&self.client).await)
    }
}

/// Converts a 403 to `None`.
fn permitted<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Err(error) if error.code() == Some(403) => Ok(None),
        answer => answer.map(Some),
    }
}
