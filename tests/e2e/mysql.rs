//! The main use case: a database whose owner does not know about schedulers.

use colocate_harness::{Colocate, Namespace, PORTWORX_CLASS, example};

#[test]
fn a_deployment_of_mysql_with_a_portworx_claim_runs_on_stork() {
    let namespace = Namespace::new("mysql");
    let colocate = Colocate::register(&namespace, "");
    // The claim of the fixture, and the volume that Portworx would create for it.
    namespace.add_volumes(&["mysql-data"], PORTWORX_CLASS);
    namespace.apply(&example("mysql/claim.yaml"));

    let deployment = example("mysql/deployment.yaml");
    assert!(!deployment.contains("schedulerName"));
    namespace.apply(&deployment);
    namespace.run("rollout status deployment/mysql --timeout=60s");

    assert_eq!(namespace.get("deployment/mysql").scheduler(), "stork");
    let replica_sets = namespace.list("replicasets");
    assert_eq!(replica_sets.len(), 1);
    assert_eq!(replica_sets[0].scheduler(), "stork");

    let pod = namespace.running_pod("-l app=mysql");
    assert_eq!(pod.scheduler(), "stork");
    assert!(pod.text("/spec/nodeName").starts_with("node-"));
    assert_eq!(namespace.bound_by(&pod), "stork");

    assert_eq!(colocate.reason_at_create("Deployment", "mysql"), "injected");
    assert_eq!(colocate.reason_at_create("ReplicaSet", "mysql-"), "controller-owned");
    assert_eq!(colocate.reason_at_create("Pod", "mysql-"), "already-set");
}
