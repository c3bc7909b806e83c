//! One watch: a list, then its changes, into the inventory.

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::pin;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::Cluster;
use crate::engine::{Claim, Class, Inventory, Volume};
use crate::readiness::Condition;

/// A kind of object that is watched and kept, reduced, in the inventory.
pub(super) trait Watched:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static
{
    /// The objects' name in requests and rights.
    const RESOURCE: &'static str;

    fn api(client: Client) -> Api<Self>;
    fn insert(&self, inventory: &mut Inventory);
    fn remove(&self, inventory: &mut Inventory);
    /// Forgets all but these.
    fn retain(inventory: &mut Inventory, kept: &HashSet<Key>);
}

/// The namespace (empty for a cluster's object) and name.
type Key = (String, String);

fn key(object: &impl ResourceExt) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Follows one kind until the process ends. `listed` is met by the first complete list.
pub(super) async fn follow<K: Watched>(cluster: Cluster, listed: Condition) {
    let mut listed = Some(listed);
    let mut events =
        pin!(watcher::watcher(K::api(cluster.client.clone()), watcher::Config::default()).default_backoff());
    // What a list has brought so far; what it did not bring is forgotten when it is complete, and not before, so that
    // there is no moment without an answer.
    let mut seen = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                cluster.update(|inventory| object.insert(inventory));
                seen.insert(key(&object));
            }
            Ok(Event::InitDone) => {
                let kept = std::mem::take(&mut seen);
                cluster.update(|inventory| K::retain(inventory, &kept));
                if let Some(listed) = listed.take() {
                    tracing::info!(resource = K::RESOURCE, count = kept.len(), "listed");
                    listed.met();
                }
                cluster.claims_changed.send_replace(());
            }
            Ok(Event::Apply(object)) => {
                cluster.update(|inventory| object.insert(inventory));
                cluster.claims_changed.send_replace(());
            }
            Ok(Event::Delete(object)) => cluster.update(|inventory| object.remove(inventory)),
            Err(error) => tracing::warn!(error = %Chain(&error), "cannot list or watch {}; trying again", K::RESOURCE),
        }
    }
}

/// An error with its causes, on one line.
struct Chain<'e>(&'e dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Watched for PersistentVolumeClaim {
    const RESOURCE: &'static str = "persistentvolumeclaims";

    fn api(client: Client) -> Api<Self> {
        Api::all(client)
    }

    fn insert(&self, inventory: &mut Inventory) {
        let (namespace, name) = key(self);
        inventory.insert_claim(&namespace, &name, Claim::from(self));
    }

    fn remove(&self, inventory: &mut Inventory) {
        let (namespace, name) = key(self);
        inventory.remove_claim(&namespace, &name);
    }

    fn retain(inventory: &mut Inventory, kept: &HashSet<Key>) {
        inventory.retain_claims(|namespace, name| kept.contains(&(namespace.to_owned(), name.to_owned())));
    }
}

impl Watched for StorageClass {
    const RESOURCE: &'static str = "storageclasses";

    fn api(client: Client) -> Api<Self> {
        Api::all(client)
    }

    fn insert(&self, inventory: &mut Inventory) {
        inventory.classes().insert(self.name_any(), Class::from(self));
    }

    fn remove(&self, inventory: &mut Inventory) {
        inventory.classes().remove(&self.name_any());
    }

    fn retain(inventory: &mut Inventory, kept: &HashSet<Key>) {
        inventory.classes().retain(|name, _| kept.contains(&(String::new(), name.clone())));
    }
}

impl Watched for PersistentVolume {
    const RESOURCE: &'static str = "persistentvolumes";

    fn api(client: Client) -> Api<Self> {
        Api::all(client)
    }

    fn insert(&self, inventory: &mut Inventory) {
        inventory.volumes().insert(self.name_any(), Volume::from(self));
    }

    fn remove(&self, inventory: &mut Inventory) {
        inventory.volumes().remove(&self.name_any());
    }

    fn retain(inventory: &mut Inventory, kept: &HashSet<Key>) {
        inventory.volumes().retain(|name, _| kept.contains(&(String::new(), name.clone())));
    }
}
