//! The pods that are created: some that belong on `stork`, and some that do not.

use serde_json::{Value, json};

/// A claim of Portworx'.
pub(super) const PORTWORX_CLAIM: &str = "data";

/// A claim of nobody's.
pub(super) const OTHER_CLAIM: &str = "scratch";

/// Pods of one sort.
pub(super) struct Pod {
    /// What sort that is.
    pub(super) sort: &'static str,
    /// The scheduler that they are to get.
    pub(super) scheduler: &'static str,
    annotations: Value,
    volumes: Value,
}

impl Pod {
    /// One of each sort.
    pub(super) fn all() -> Vec<Self> {
        let claim = |name| json!([{"name": "data", "persistentVolumeClaim": {"claimName": name}}]);
        let driver = json!([{"name": "data", "csi": {"driver": "pxd.portworx.com"}}]);
        let opt_out = json!({"stork.libopenstorage.org/disableHyperconvergence": "true"});
        let pod = |sort, scheduler, volumes| Self { sort, scheduler, annotations: json!({}), volumes };
        vec![
            pod("a claim of Portworx'", "stork", claim(PORTWORX_CLAIM)),
            pod("an inline volume of Portworx'", "stork", driver),
            pod("another claim", "default-scheduler", claim(OTHER_CLAIM)),
            pod("no volume", "default-scheduler", json!([])),
            Self { annotations: opt_out, ..pod("an opt-out", "default-scheduler", claim(PORTWORX_CLAIM)) },
        ]
    }

    /// The first of these.
    pub(super) fn of_portworx() -> Self {
        Self::all().remove(0)
    }

    /// One of that name. Its gate keeps it from every scheduler: it costs nothing but to be created.
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
