//! The pods that are created: some belong on `stork`, and some do not.

use serde_json::{Value, json};

/// A Portworx claim.
pub(super) const PORTWORX_CLAIM: &str = "data";

/// A claim of another provisioner.
pub(super) const OTHER_CLAIM: &str = "scratch";

/// Pods of one sort.
pub(super) struct Pod {
    /// The name of the sort.
    pub(super) sort: &'static str,
    /// The scheduler that they must get.
    pub(super) scheduler: &'static str,
    annotations: Value,
    volumes: Value,
}

impl Pod {
    /// Returns a pod of each sort.
    pub(super) fn all() -> Vec<Self> {
        let claim = |name| json!([{"name": "data", "persistentVolumeClaim": {"claimName": name}}]);
        let driver = json!([{"name": "data", "csi": {"driver": "pxd.portworx.com"}}]);
        let opt_out = json!({"stork.libopenstorage.org/disableHyperconvergence": "true"});
        let pod = |sort, scheduler, volumes| Self { sort, scheduler, annotations: json!({}), volumes };
        vec![
            pod("a Portworx claim", "stork", claim(PORTWORX_CLAIM)),
            pod("an inline Portworx volume", "stork", driver),
            pod("another claim", "default-scheduler", claim(OTHER_CLAIM)),
            pod("no volume", "default-scheduler", json!([])),
            Self { annotations: opt_out, ..pod("an opt-out", "default-scheduler", claim(PORTWORX_CLAIM)) },
        ]
    }

    /// Returns the pod with a Portworx claim.
    pub(super) fn of_portworx() -> Self {
        Self::all().remove(0)
    }

    /// Returns the pod with that name. Its scheduling gate keeps it from every scheduler, so that its only cost is its
    /// creation.
    pub(super) fn named(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": self.annotations},
            "spec": {
                "schedulingGates": [{"name": "colocate.test/torture"}],
                "containers": [{"name": "main", "image": "example.test/main:1"}],
                "volumes": self.volumes,
            },
        })
    }
}
