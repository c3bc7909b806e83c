//! What a cluster says at one moment about a few claims, to a person who may have no more rights than to get them.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;

use super::kind::{Claims, Classes, Kind as _};
use super::request::{self, Unanswered};
use super::strategies;
use crate::companion::Strategies;
use crate::engine::storage::{Object as _, PersistentVolume, PersistentVolumeClaim, StorageClass, is_object_name};
use crate::engine::{Inventory, one_line, parse_bool};

/// How many objects are asked for at once.
const AT_ONCE: usize = 8;

/// A cluster, to be asked once.
pub struct Snapshot {
    client: Client,
    namespace: String,
}

/// Claims that there is no right to get.
#[derive(Debug)]
pub struct Refused {
    /// Which: a namespace and a name each.
    pub names: BTreeSet<(String, String)>,
    /// What was answered to the first of them.
    pub why: Unanswered,
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

    /// Adds those of these claims (a namespace and a name each) that exist; says of which there is no right to get them.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn claims(
        &self,
        names: BTreeSet<(String, String)>,
        inventory: &mut Inventory,
    ) -> Result<Option<Refused>, SnapshotError> {
        // What cannot be a name is nobody's, and must not become a path.
        let names = names.into_iter().filter(|(namespace, name)| is_object_name(namespace) && is_object_name(name));
        let answers = stream::iter(names).map(|(namespace, name)| async move {
            let path = Claims::object_path(&namespace, &name);
            let answer = self.get(Claims::RESOURCE, &path).await;
            (namespace, name, answer)
        });
        let answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
        let mut refused: Option<Refused> = None;
        for (namespace, name, answer) in answers {
            match answer {
                Ok(None) => {}
                Ok(Some(json)) => {
                    let claim: PersistentVolumeClaim<'_> = decode("get", Claims::RESOURCE, &json)?;
                    inventory.insert_claim(&namespace, &name, &claim.facts());
                }
                Err(SnapshotError::Unanswered(why)) if why.code() == Some(403) => {
                    let refused = refused.get_or_insert(Refused { names: BTreeSet::new(), why });
                    refused.names.insert((namespace, name));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }

    /// Adds all classes that the inventory does not have; `false`, if there is no right to list them.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn classes(&self, inventory: &mut Inventory) -> Result<bool, SnapshotError> {
        let mut json = Vec::new();
        let list = request::read(&self.client, &Classes::path(None), &mut json).await;
        let list = list.map_err(|cause| Unanswered::new("list", Classes::RESOURCE, Classes::GROUP, cause).into());
        if permitted(list)?.is_none() {
            return Ok(false);
        }
        let list: ClassList<'_> = decode("list", Classes::RESOURCE, &json)?;
        for class in list.items {
            let name = class.name().unwrap_or_default();
            if inventory.class_parameters(name).is_none() {
                inventory.insert_class(name, class.facts());
            }
        }
        Ok(true)
    }

    /// Adds those of these volumes that exist; `false`, if there is no right to get one.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn volumes(&self, names: BTreeSet<String>, inventory: &mut Inventory) -> Result<bool, SnapshotError> {
        let names = names.into_iter().filter(|name| is_object_name(name));
        let found = stream::iter(names).map(|name| async move {
            let json = self.get("persistentvolumes", &format!("/api/v1/persistentvolumes/{name}")).await?;
            Ok((name, json))
        });
        let found = permitted(found.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await)?;
        for (name, json) in found.iter().flatten() {
            if let Some(json) = json {
                let volume: PersistentVolume<'_> = decode("get", "persistentvolumes", json)?;
                inventory.insert_volume(name, volume.facts());
            }
        }
        Ok(found.is_some())
    }

    /// Whether each of these Namespaces opts out by the label `label`; none, if there is no right to get it.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn opted_out(
        &self,
        names: BTreeSet<String>,
        label: &str,
    ) -> Result<Vec<(String, Option<bool>)>, SnapshotError> {
        let answers = stream::iter(names).map(|name| async move {
            let namespace = Api::<Namespace>::all(self.client.clone()).get_opt(&name).await;
            let namespace = namespace.map_err(|error| Unanswered::new("get", "namespaces", "", error).into());
            let opts_out = |namespace: &Namespace| namespace.labels().get(label).and_then(|value| parse_bool(value));
            let answer = permitted(namespace)?.map(|found| found.as_ref().and_then(opts_out) == Some(true));
            Ok((name, answer))
        });
        answers.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// The `VolumePlacementStrategies` that there are; none, if there is no right to list them.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn strategies(&self) -> Result<Option<Strategies>, SnapshotError> {
        permitted(strategies::list(&self.client).await.map_err(Into::into))
    }

    /// An object as JSON, if there is one.
    async fn get(&self, resource: &'static str, path: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        let mut json = Vec::new();
        match request::read(&self.client, path, &mut json).await {
            Ok(()) => Ok(Some(json)),
            Err(cause) => match Unanswered::new("get", resource, "", cause) {
                absent if absent.code() == Some(404) => Ok(None),
                failed => Err(failed.into()),
            },
        }
    }
}

#[derive(Deserialize)]
struct ClassList<'a> {
    #[serde(borrow)]
    items: Vec<StorageClass<'a>>,
}

fn decode<'j, T: Deserialize<'j>>(
    verb: &'static str,
    resource: &'static str,
    json: &'j [u8],
) -> Result<T, SnapshotError> {
    serde_json::from_slice(json).map_err(|error| Unanswered::new(verb, resource, "", error).into())
}

/// An answer; none, if there is no right to it.
fn permitted<T>(answer: Result<T, SnapshotError>) -> Result<Option<T>, SnapshotError> {
    match answer {
        Err(SnapshotError::Unanswered(unanswered)) if unanswered.code() == Some(403) => Ok(None),
        answer => answer.map(Some),
    }
}
