//! What a cluster says at one moment about a few claims, to a person who may have no more rights than to get them.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::engine::{Claim, Class, Inventory, Volume, one_line, parse_bool};

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
    #[error("cannot {verb} {resource}: {}", one_line(&.source.to_string(), 512))]
    Unanswered {
        /// What was asked for.
        verb: &'static str,
        /// Of which objects.
        resource: &'static str,
        /// What came back.
        source: kube::Error,
    },
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
        let failed = |verb, resource| move |source| SnapshotError::Unanswered { verb, resource, source };
        let classes = Api::<StorageClass>::all(self.client.clone());
        let classes = classes.list(&ListParams::default()).await.map_err(failed("list", "storageclasses"))?;
        for class in classes {
            inventory.classes().insert(class.name_any(), Class::from(&class));
        }
        let found = stream::iter(claims).map(|(namespace, name)| async move {
            let api = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), &namespace);
            let claim = api.get_opt(&name).await.map_err(failed("get", "persistentvolumeclaims"))?;
            Ok::<_, SnapshotError>(claim.map(|claim| (namespace, name, claim)))
        });
        let found: Vec<_> =
            found.buffer_unordered(AT_ONCE).try_filter_map(|found| async { Ok(found) }).try_collect().await?;
        let mut volumes = BTreeSet::new();
        for (namespace, name, claim) in found {
            volumes.extend(claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()));
            inventory.insert_claim(&namespace, &name, Claim::from(&claim));
        }
        let found = stream::iter(volumes)
            .map(|name| async move { Api::<PersistentVolume>::all(self.client.clone()).get_opt(&name).await });
        let found: Result<Vec<_>, _> = found.buffer_unordered(AT_ONCE).try_collect().await;
        match found {
            Ok(found) => {
                let found = found.into_iter().flatten().map(|volume| (volume.name_any(), Volume::from(&volume)));
                inventory.volumes().extend(found);
            }
            // Volumes belong to the cluster and not to its users; few claims need them to be known.
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            Err(error) => return Err(failed("get", "persistentvolumes")(error)),
        }
        Ok(inventory)
    }

    /// Which of these Namespaces opt out by the label `label`.
    ///
    /// # Errors
    /// Where the cluster does not answer, or refuses to.
    pub async fn opted_out(&self, names: BTreeSet<String>, label: &str) -> Result<Vec<String>, SnapshotError> {
        let failed = |source| SnapshotError::Unanswered { verb: "get", resource: "namespaces", source };
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
