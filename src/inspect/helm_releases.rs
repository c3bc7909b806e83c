//! Helm releases in a live cluster: the manifests that Helm 3 records nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::access::Access;
use super::helm_release::HelmRelease;
use super::kinds;
use crate::api::ApiError;
use crate::engine::dns;
use crate::insight::HelmReleaseName;

/// The longest time that the read of a release may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The releases that were read. Their Secrets hold the values of charts, so that only those are read that are needed.
#[derive(Default)]
pub(super) struct HelmReleases {
    /// The last manifest that Helm deployed; `None` if it is not known.
    releases: BTreeMap<HelmReleaseName, Option<HelmRelease>>,
    /// The namespaces whose Secrets cannot be read.
    hidden: BTreeSet<String>,
}

#[derive(Deserialize)]
struct SecretList<'a> {
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

impl HelmReleases {
    /// Returns the revision of a release that Helm deployed last. Returns `None` if there is none, or if it cannot be read.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(super) async fn get(
        &mut self,
        access: &mut Access,
        release: &HelmReleaseName,
    ) -> Result<Option<&HelmRelease>, ApiError> {
        if !self.releases.contains_key(release) {
            let read = self.read(access, release).await?;
            self.releases.insert(release.clone(), read);
        }
        Ok(self.releases.get(release).and_then(Option::as_ref))
    }

    async fn read(&mut self, access: &mut Access, release: &HelmReleaseName) -> Result<Option<HelmRelease>, ApiError> {
        let HelmReleaseName { namespace, name } = release;
        // The name comes from an annotation, which anyone may write.
        if !dns::is_label(namespace) || self.hidden.contains(namespace) {
            return Ok(None);
        }
        let kind = kinds::SECRETS;
        let mut readable = access.may("list", kind, Some(namespace)).await?;
        let mut body = Vec::new();
        if readable {
            let selector = format!("owner=helm,status=deployed,name={name}");
            let selector = percent_encode(selector.as_bytes(), NON_ALPHANUMERIC);
            let path = format!("{}?limit=10&labelSelector={selector}", kind.path(Some(namespace)));
            match access.client.list(kind.resource, &path, TIMEOUT, &mut body).await {
                Ok(()) => {}
                Err(error) if error.code() == Some(403) => readable = false,
                // The name is not the value of a label, so that there is no such release.
                Err(error) if error.code() == Some(400) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        if !readable {
            access.denied("list", kind, Some(namespace), "whether the manifests of Helm releases name a scheduler");
            self.hidden.insert(namespace.clone());
            return Ok(None);
        }
        let list: SecretList<'_> = kind.resource.decode("list", &body)?;
        let (mut latest, mut failure) = (None::<HelmRelease>, None);
        for secret in list.items.unwrap_or_default() {
            match HelmRelease::from_secret(secret.get()) {
                Ok(read) if latest.as_ref().is_none_or(|latest| latest.revision < read.revision) => latest = Some(read),
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        if let (None, Some(error)) = (&latest, failure) {
            let hides = format!("whether the manifest of the Helm release {name} names a scheduler");
            access.unreadable(kind, Some(namespace), &error, hides);
        }
        Ok(latest)
    }
}
