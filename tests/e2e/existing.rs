//! Workloads older than colocate: they change when their owner changes them, and not before.

use colocate_harness::{Colocate, Namespace, PORTWORX_CLASS, example};

#[test]
fn an_existing_deployment_is_only_injected_with_its_next_rollout() {
    let namespace = Namespace::new("existing");
    namespace.add_claim("mysql-data", PORTWORX_CLASS);
    namespace.apply(&example("mysql/deployment.yaml"));
    let old_pod = namespace.running_pod("-l app=mysql");
    assert_eq!(namespace.bound_by(&old_pod), "default-scheduler");
    let colocate = Colocate::register(&namespace, "");

    namespace.run("label deployment/mysql touched=yes");
    namespace.run("scale deployment/mysql --replicas=2");
    namespace.run("rollout status deployment/mysql --timeout=60s");

    assert_eq!(namespace.get("deployment/mysql").scheduler(), "default-scheduler");
    let replica_sets = namespace.list("replicasets");
    assert_eq!(replica_sets.len(), 1, "a label and a scale do not trigger a rollout");
    assert_eq!(replica_sets[0].number("/spec/replicas"), 2);
    colocate.wait_for_update("Deployment", "mysql", "template-unchanged");
    let pods = namespace.running_pods("-l app=mysql", 2);
    let new_pod = pods.iter().find(|pod| pod.uid() != old_pod.uid()).expect("there is a new pod");
    assert!(pods.iter().any(|pod| pod.uid() == old_pod.uid()), "the old pod keeps running");
    assert_eq!(namespace.bound_by(new_pod), "stork", "a new pod gets its scheduler, whatever its template says");

    namespace.run("set image deployment/mysql mysql=mysql:5.7");
    namespace.run("rollout status deployment/mysql --timeout=60s");

    assert_eq!(namespace.get("deployment/mysql").scheduler(), "stork");
    let mut replica_sets = namespace.list("replicasets");
    replica_sets.sort_by_key(|set| set.annotation("deployment.kubernetes.io/revision").parse().unwrap_or(0_u32));
    let [old, new] = &replica_sets[..] else { panic!("expected one new ReplicaSet: {replica_sets:?}") };
    assert_eq!((old.image(), old.scheduler(), old.number("/spec/replicas")), ("mysql:5.6", "default-scheduler", 0));
    assert_eq!((new.image(), new.scheduler(), new.number("/spec/replicas")), ("mysql:5.7", "stork", 2));
    for pod in namespace.running_pods(&format!("-l pod-template-hash={}", new.label("pod-template-hash")), 2) {
        assert_eq!(pod.scheduler(), "stork");
        assert_eq!(namespace.bound_by(&pod), "stork");
    }
}

#[test]
fn a_dry_run_shows_the_change_without_making_it() {
    let namespace = Namespace::new("dry-run");
    namespace.add_claim("mysql-data", PORTWORX_CLASS);
    let _colocate = Colocate::register(&namespace, "");
    let deployment = example("mysql/deployment.yaml");
    let template = "-o jsonpath={.spec.template.spec.schedulerName}";

    let shown = namespace.kubectl().feed(&format!("apply --dry-run=server -f - {template}"), &deployment);
    assert_eq!(shown.stdout, "stork");
    assert!(namespace.list("deployments,pods").is_empty());

    namespace.apply(&deployment);
    namespace.run("rollout status deployment/mysql --timeout=60s");
    let before = namespace.get("deployment/mysql");
    let shown = namespace.run(&format!("set image deployment/mysql mysql=mysql:5.7 --dry-run=server {template}"));
    assert_eq!(shown.stdout, "stork");
    let diff = namespace.kubectl().attempt("diff -f -", &deployment);
    assert!(diff.succeeded, "the file and the cluster do not differ:\n{}{}", diff.stdout, diff.stderr);
    assert_eq!(namespace.get("deployment/mysql"), before);
}
