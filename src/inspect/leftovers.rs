//! Templates of a live cluster that name a driver's scheduler.

use std::collections::BTreeSet;

use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;

use super::access::{Access, Found};
use super::audit::{ConfigSource, CustomKind, Rules};
use super::cluster::Cluster;
use super::helm_release::HelmRelease;
use super::helm_releases::HelmReleases;
use super::kinds::{self, ResourceKind};
use super::why::Reader;
use crate::api::{ApiClient, ApiError, FIELD_MANAGER};
use crate::config::Config;
use crate::engine::{Policy, Source, Workload};
use crate::insight::Leftover;
use crate::manifest::{Manifest, ManifestObject};

/// The built-in kinds with a pod template.
const WORKLOADS: [(ResourceKind, &str); 8] = [
    (kinds::DEPLOYMENTS, "Deployment"),
    (kinds::STATEFUL_SETS, "StatefulSet"),
    (kinds::DAEMON_SETS, "DaemonSet"),
    (kinds::REPLICA_SETS, "ReplicaSet"),
    (kinds::REPLICATION_CONTROLLERS, "ReplicationController"),
    (kinds::CRON_JOBS, "CronJob"),
    (kinds::JOBS, "Job"),
    (kinds::POD_TEMPLATES, "PodTemplate"),
];

/// The templates that name a driver's scheduler.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Whether the namespace does not exist. This is only checked if no template was found.
    pub(crate) is_namespace_missing: bool,
    /// In the order of namespace, kind and name.
    pub(crate) found: Vec<FoundLeftover>,
    /// The resources with templates that were read.
    pub(crate) seen: Vec<String>,
    /// The origin of the configuration.
    pub(crate) config: ConfigSource,
    /// The schedulers of the drivers, each once.
    pub(crate) schedulers: BTreeSet<String>,
}

/// A template, and the kind of its object.
#[derive(Clone, Debug)]
pub(crate) struct FoundLeftover {
    /// The kind, for the paths of its API.
    pub(crate) kind: ResourceKind,
    /// The template.
    pub(crate) leftover: Leftover,
}

impl Leftovers {
    /// Reads the templates of one namespace, or of all. Without a `config`, that of the cluster's colocate applies. Helm's manifests
    /// are read only for templates whose objects record no source.
    ///
    /// # Errors
    /// If the API server does not answer. What the user may not read is in [`Access::not_seen`].
    pub(crate) async fn read(
        reader: &mut Reader,
        config: Option<&Config>,
        namespace: Option<&str>,
    ) -> Result<Self, ApiError> {
        let cluster = match config {
            Some(_) => Cluster::default(),
            None => Cluster { webhooks: webhooks(&mut reader.access).await?, ..Cluster::default() },
        };
        let Rules { policy, custom, source, .. } = Rules::read(reader, config, namespace, &cluster).await?;
        let (policy, access) = (&policy, &mut reader.access);
        let built_in = WORKLOADS.map(|(kind, name)| (kind, policy.workloads.find(kind.resource.group, "v1", name)));
        let custom = custom.iter().map(|CustomKind { kind, version, name }| {
            (*kind, policy.workloads.find(kind.resource.group, version, name))
        });
        let schedulers = policy.drivers.0.iter().map(|driver| driver.scheduler.to_string()).collect();
        let mut leftovers = Self { config: source, schedulers, ..Self::default() };
        let mut releases = HelmReleases::default();
        for (kind, workload) in built_in.into_iter().chain(custom) {
            let Some(workload) = workload else { continue };
            let hides = format!("templates of {} that name a driver's scheduler", kind.resource);
            let listed = access.list(kind, namespace, hides, |list: &mut Vec<Leftover>, item| {
                list.extend(Leftover::read(policy, workload, item)?);
                Ok(())
            });
            let Some(listed) = listed.await? else { continue };
            leftovers.seen.push(kind.resource.to_string());
            for mut leftover in listed {
                if leftover.source == Source::Unknown
                    && let Some(name) = leftover.helm_release.clone()
                    && let Some(release) = releases.get(access, &name).await?
                    && let Some(manifest) = manifest_of(&leftover, policy, workload, release)
                {
                    leftover.add_manifest(workload, &manifest, release.revision);
                }
                leftovers.found.push(FoundLeftover { kind, leftover });
            }
        }
        if let (Some(name), true) = (namespace, leftovers.found.is_empty()) {
            let found = access.get(kinds::NAMESPACES, None, name, "whether the namespace exists").await?;
            leftovers.is_namespace_missing = matches!(found, Found::Absent);
        }
        leftovers.found.sort_by(|one, other| one.key().cmp(&other.key()));
        Ok(leftovers)
    }
}

impl FoundLeftover {
    /// Removes the scheduler, or with `dry_run` asks the API server for the result only. Returns the changed object.
    ///
    /// # Errors
    /// If the API server does not answer, or rejects the patch: with 422, the object has changed since it was read.
    pub(crate) async fn patch(&self, client: &ApiClient, dry_run: bool) -> Result<Value, ApiError> {
        let query = if dry_run { "&dryRun=All" } else { "" };
        let request = Request::patch(format!("{}?{FIELD_MANAGER}{query}", self.object_path()));
        let request = request.header(CONTENT_TYPE, "application/json-patch+json");
        let body = self.leftover.patch().to_string().into_bytes();
        let answer = client.call(("patch", self.kind.resource), request, body).await?;
        self.kind.resource.decode("patch", &answer)
    }

    /// Reads the object; `None` if it does not exist any more.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub(crate) async fn get(&self, client: &ApiClient) -> Result<Option<Value>, ApiError> {
        let object = client.get_opt(self.kind.resource, &self.object_path()).await?;
        object.map(|object| self.kind.resource.decode("get", &object)).transpose()
    }

    /// The path of the object.
    fn object_path(&self) -> String {
        self.kind.object_path(Some(&self.leftover.namespace), &self.leftover.name)
    }

    fn key(&self) -> [&str; 3] {
        let Leftover { namespace, kind, name, .. } = &self.leftover;
        [namespace, kind, name]
    }
}

/// Lists the webhook configurations, which lead to the configuration of the cluster's colocate.
async fn webhooks(access: &mut Access) -> Result<Option<Vec<Value>>, ApiError> {
    let hides = "which colocate is installed, whose configuration names the schedulers: pass it with --config";
    let listed = access.list(kinds::MUTATING_WEBHOOKS, None, hides, |list: &mut Vec<Value>, item| {
        list.push(serde_json::from_str(item)?);
        Ok(())
    });
    listed.await
}

/// Finds the manifest of an object in a release, as JSON.
fn manifest_of(leftover: &Leftover, policy: &Policy, workload: &Workload, release: &HelmRelease) -> Option<String> {
    let is_same = |object: &ManifestObject<'_>| {
        policy.workloads.find_object(object.api_version, object.kind) == Some(workload)
            && object.name() == leftover.name
            && object.namespace_or(&release.namespace) == leftover.namespace
    };
    let manifest = Manifest::new(&release.manifest);
    // A document that cannot be parsed was not deployed.
    manifest.documents().flatten().find_map(|document| {
        document.objects().iter().find(|object| is_same(object)).map(|object| object.value.to_string())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_manifest_is_that_of_the_same_kind_namespace_and_name() {
        let (policy, object) = (
            Policy::default(),
            json!({
                "metadata": {"namespace": "apps", "name": "web"},
                "spec": {"template": {"spec": {"schedulerName": "stork"}}},
            }),
        );
        let workload = policy.workloads.find("apps", "v1", "Deployment").unwrap();
        let leftover = Leftover::read(&policy, workload, &object.to_string()).unwrap().unwrap();
        let found = |manifest: &str| {
            let manifest = manifest.replace("| ", "\n");
            let release = HelmRelease { name: "web".into(), namespace: "apps".into(), revision: 1, manifest };
            manifest_of(&leftover, &policy, workload, &release)
        };
        for (manifest, is_found) in [
            ("---| # Source: a.yaml| apiVersion: apps/v1| kind: Deployment| metadata: {name: web}", true),
            ("a: [| ---| apiVersion: apps/v1| kind: Deployment| metadata: {name: web, namespace: apps}", true),
            ("apiVersion: extensions/v1beta1| kind: Deployment| metadata: {name: web}", true),
            ("apiVersion: apps/v1| kind: Deployment| metadata: {name: web, namespace: other}", false),
            ("apiVersion: apps/v1| kind: Deployment| metadata: {name: other}", false),
            ("apiVersion: apps/v1| kind: StatefulSet| metadata: {name: web}", false),
        ] {
            assert_eq!(found(manifest).is_some(), is_found, "{manifest}");
        }
    }
}
