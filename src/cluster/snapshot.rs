//! What a cluster says at one moment about a few claims, to a person who may have no more rights than to get them.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::engine::{Claim, Class, Volume, one_line, parse_bool};

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

    /// Those of these claims that exist: a namespace and a name each.
    ///
    /// # Errors
    /// Where the cluster does not answer, or refuses to.
    pub async fn claims(
        &self,
        names: BTreeSet<(String, String)>,
    ) -> Result<Vec<(String, String, Claim)>, SnapshotError> {
        let found = stream::iter(names).map(|(namespace, name)| async move {
            let api = Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), &namespace);
            let claim = api.get_opt(&name).await.map_err(failed("get", "persistentvolumeclaims"))?;
            Ok::<_, SnapshotError>(claim.map(|claim| (namespace, name, Claim::from(&claim))))
        });
        found.buffer_unordered(AT_ONCE).try_filter_map(|found| async { Ok(found) }).try_collect().await
    }

    /// All classes by their names; none, if there is no right to list them.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn classes(&self) -> Result<Option<Vec<(String, Class)>>, SnapshotError> {
        let classes = Api::<StorageClass>::all(self.client.clone());
        let classes =
            permitted(classes.list(&ListParams::default()).await).map_err(failed("list", "storageclasses"))?;
        Ok(classes.map(|classes| classes.iter().map(|class| (class.name_any(), Class::from(class))).collect()))
    }

    /// Those of these volumes that exist, by their names; none, if there is no right to get one.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub async fn volumes(&self, names: BTreeSet<String>) -> Result<Option<Vec<(String, Volume)>>, SnapshotError> {
        let found = stream::iter(names).map(|name| async move {
            let volume = Api::<PersistentVolume>::all(self.client.clone()).get_opt(&name).await?;
            Ok(volume.map(|volume| (name, Volume::from(&volume))))
        });
        let found = found.buffer_unordered(AT_ONCE).try_filter_map(|found| async { Ok(found) }).try_collect().await;
        permitted(found).map_err(failed("get", "persistentvolumes"))
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
            let namespace = permitted(namespace).map_err(failed("get", "namespaces"))?;
            let opts_out = |namespace: &Namespace| namespace.labels().get(label).and_then(|value| parse_bool(value));
            let answer = namespace.map(|found| found.as_ref().and_then(opts_out) == Some(true));
            Ok((name, answer))
        });
        answers.buffer_unordered(AT_ONCE).try_collect().await
    }
}

fn failed(verb: &'static str, resource: &'static str) -> impl Fn(kube::Error) -> SnapshotError {
    move |source| SnapshotError::Unanswered { verb, resource, source }
}

/// An answer; none, if there is no right to it.
fn permitted<T>(answer: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        answer => answer.map(Some),
    }
}
