//! API versions that clusters no longer serve, but that files still have.

/// The kinds of each removed version, and the version with the same structure that replaced it. See the [deprecated API migration
/// guide](https://kubernetes.io/docs/reference/using-api/deprecation-guide/).
const REMOVED: [(&str, &[&str], &str); 6] = [
    ("extensions/v1beta1", &["Deployment", "DaemonSet", "ReplicaSet"], "apps/v1"),
    ("apps/v1beta1", &["Deployment", "StatefulSet"], "apps/v1"),
    ("apps/v1beta2", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"], "apps/v1"),
    ("batch/v1beta1", &["CronJob"], "batch/v1"),
    ("batch/v2alpha1", &["CronJob"], "batch/v1"),
    ("storage.k8s.io/v1beta1", &["StorageClass"], "storage.k8s.io/v1"),
];

/// Returns the API version whose structure an object has: the successor of a removed version, or the version itself.
pub fn current_api_version<'v>(api_version: &'v str, kind: &str) -> &'v str {
    let mut removed = REMOVED.iter();
    let entry = removed.find(|(removed, kinds, _)| *removed == api_version && kinds.contains(&kind));
    entry.map_or(api_version, |(.., successor)| successor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Workloads;

    #[test]
    fn every_successor_of_a_workload_is_a_built_in_kind() {
        let workloads = Workloads::default();
        for (removed, kinds, successor) in REMOVED {
            for kind in kinds {
                assert_eq!(current_api_version(removed, kind), successor, "{removed} {kind}");
                let found = workloads.find_object(removed, kind).map(|workload| workload.kind.as_str());
                assert_eq!(found, Some(*kind).filter(|kind| *kind != "StorageClass"), "{removed} {kind}");
            }
        }
        for (version, kind) in [("apps/v1beta1", "DaemonSet"), ("extensions/v1beta1", "Ingress"), ("v1", "Pod")] {
            assert_eq!(current_api_version(version, kind), version, "{kind}");
        }
    }
}
