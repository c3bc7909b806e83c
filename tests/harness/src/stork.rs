//! Stork's own process, as far as colocate observes it: the Lease that it renews.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::{Api, background};

/// More often than Stork does, for tests that shorten `staleAfter`.
const RENEWED_EVERY: Duration = Duration::from_millis(500);

/// Stork's Lease, and the permissions for that of its kube-scheduler, as manifests.
pub(crate) fn objects() -> String {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "stork", "namespace": "kube-system"},
        "spec": {"holderIdentity": "stork", "renewTime": now()},
    });
    let metadata = json!({"name": "stork-scheduler", "namespace": "kube-system"});
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": [{
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["stork-scheduler"],
            "verbs": ["get", "update"],
        }],
    });
    // Before 1.31, kube-scheduler may only use the Lease `kube-scheduler`.
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "stork-scheduler"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:kube-scheduler"}],
    });
    [lease, role, binding].map(|object| format!("{object}\n")).concat()
}

/// Starts to renew the Lease, until it is aborted. Does not mind an API server that is unavailable.
pub(crate) fn renew(api: impl Future<Output = Api> + Send + 'static) -> AbortHandle {
    let renewals = async {
        let api = api.await;
        let mut ticks = interval(RENEWED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let renewal = json!({"spec": {"renewTime": now()}});
            let _ = api.try_merge("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/stork", &renewal).await;
        }
    };
    background().spawn(renewals).abort_handle()
}

/// The time as a `MicroTime`.
fn now() -> String {
    format!("{:.6}", Timestamp::now())
}
