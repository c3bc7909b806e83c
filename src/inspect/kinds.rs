//! The kinds that are read.

use crate::api::Resource;

/// A resource and a version of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ResourceKind {
    /// The resource, as Roles name it.
    pub(crate) resource: Resource,
    /// The version.
    pub(crate) version: &'static str,
    /// Whether its objects belong to namespaces.
    pub(crate) namespaced: bool,
}

pub(crate) const REPLICA_SETS: ResourceKind = ResourceKind::namespaced("apps", "v1", "replicasets");
pub(crate) const POD_TEMPLATES: ResourceKind = ResourceKind::namespaced("", "v1", "podtemplates");
pub(crate) const SECRETS: ResourceKind = ResourceKind::namespaced("", "v1", "secrets");
pub(crate) const PODS: ResourceKind = ResourceKind::namespaced("", "v1", "pods");
pub(crate) const CLAIMS: ResourceKind = ResourceKind::namespaced("", "v1", "persistentvolumeclaims");
pub(crate) const VOLUMES: ResourceKind = ResourceKind::cluster_scoped("", "v1", "persistentvolumes");
pub(crate) const CLASSES: ResourceKind = ResourceKind::cluster_scoped("storage.k8s.io", "v1", "storageclasses");
pub(crate) const STRATEGIES: ResourceKind =
    ResourceKind::cluster_scoped("portworx.io", "v1beta2", "volumeplacementstrategies");
pub(crate) const NAMESPACES: ResourceKind = ResourceKind::cluster_scoped("", "v1", "namespaces");
pub(crate) const MUTATING_WEBHOOKS: ResourceKind =
    ResourceKind::cluster_scoped("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations");
pub(crate) const DEPLOYMENTS: ResourceKind = ResourceKind::namespaced("apps", "v1", "deployments");
pub(crate) const STATEFUL_SETS: ResourceKind = ResourceKind::namespaced("apps", "v1", "statefulsets");
pub(crate) const DAEMON_SETS: ResourceKind = ResourceKind::namespaced("apps", "v1", "daemonsets");
pub(crate) const CONTROLLER_REVISIONS: ResourceKind = ResourceKind::namespaced("apps", "v1", "controllerrevisions");
pub(crate) const REPLICATION_CONTROLLERS: ResourceKind = ResourceKind::namespaced("", "v1", "replicationcontrollers");
pub(crate) const JOBS: ResourceKind = ResourceKind::namespaced("batch", "v1", "jobs");
pub(crate) const CRON_JOBS: ResourceKind = ResourceKind::namespaced("batch", "v1", "cronjobs");
pub(crate) const CONFIG_MAPS: ResourceKind = ResourceKind::namespaced("", "v1", "configmaps");
pub(crate) const EVENTS: ResourceKind = ResourceKind::namespaced("", "v1", "events");
pub(crate) const BUDGETS: ResourceKind = ResourceKind::namespaced("policy", "v1", "poddisruptionbudgets");
pub(crate) const ENDPOINT_SLICES: ResourceKind = ResourceKind::namespaced("discovery.k8s.io", "v1", "endpointslices");
pub(crate) const NODES: ResourceKind = ResourceKind::cluster_scoped("", "v1", "nodes");
pub(crate) const SERVICE_PROXY: ResourceKind = ResourceKind::namespaced("", "v1", "services/proxy");
pub(crate) const LEASES: ResourceKind = ResourceKind::namespaced("coordination.k8s.io", "v1", "leases");

impl ResourceKind {
    /// A namespaced kind.
    pub(crate) const fn namespaced(group: &'static str, version: &'static str, name: &'static str) -> Self {
        Self { resource: Resource::new(group, name), version, namespaced: true }
    }

    /// A cluster-scoped kind.
    pub(crate) const fn cluster_scoped(group: &'static str, version: &'static str, name: &'static str) -> Self {
        Self { resource: Resource::new(group, name), version, namespaced: false }
    }

    /// The kind of a custom resource. The names live until the process exits: a configuration has few.
    pub(crate) fn of_custom(group: &str, version: &str, name: &str) -> Self {
        let [group, version, name] = [group, version, name].map(|name| &*name.to_owned().leak());
        Self::namespaced(group, version, name)
    }

    /// The version of its API.
    pub(crate) const fn version(self) -> &'static str {
        self.version
    }

    /// Returns whether every API server serves it.
    pub(crate) fn is_always_served(self) -> bool {
        let group = self.resource.group;
        self.version == "v1" && ["", "apps", "batch", "storage.k8s.io", "admissionregistration.k8s.io"].contains(&group)
    }

    /// The path of the collection: in a namespace, or else in all. The namespace must be a DNS label.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let Self { resource: Resource { group, name }, version, namespaced } = self;
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        match namespace.filter(|_| *namespaced) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{name}"),
            None => format!("{root}/{name}"),
        }
    }

    /// The path of one object. The names must be legal.
    pub(crate) fn object_path(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{name}", self.path(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_the_group_and_the_namespace() {
        assert_eq!(PODS.path(None), "/api/v1/pods");
        assert_eq!(PODS.object_path(Some("db"), "mysql-0"), "/api/v1/namespaces/db/pods/mysql-0");
        assert_eq!(CLASSES.path(Some("db")), "/apis/storage.k8s.io/v1/storageclasses");
    }
}
