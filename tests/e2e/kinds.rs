//! Every kind that creates pods, and every way in which a pod gets a claim.

use colocate_harness::{Colocate, Namespace, Object, PORTWORX_CLASS, fixture};

#[test]
fn all_nine_kinds_and_their_pods_get_stork() {
    let namespace = Namespace::new("kinds");
    let _colocate = Colocate::register(&namespace, "");
    namespace.add_claim("data", PORTWORX_CLASS);

    let kinds = fixture("kinds.yaml");
    namespace.apply(&kinds);
    let objects = namespace.kubectl().feed("get -f - -o json", &kinds).stdout;
    let objects: serde_json::Value = serde_json::from_str(&objects).expect("kubectl prints JSON");
    let objects: Vec<_> =
        objects["items"].as_array().expect("kubectl prints a List").iter().cloned().map(Object).collect();
    assert_eq!(objects.len(), 9);
    for object in objects {
        assert_eq!(object.scheduler(), "stork", "{}", object.kind());
    }

    for pod in namespace.running_pods("-l app!=cronjob", PODS_OF_KINDS) {
        assert_stork(&namespace, &pod);
    }

    namespace.run("create job --from=cronjob/example by-hand");
    assert_stork(&namespace, &namespace.running_pod("-l app=cronjob"));
}

/// Returns the workloads of `kinds.yaml` and the `ReplicaSet` of its Deployment.
pub(crate) fn workloads(namespace: &Namespace) -> Vec<Object> {
    let workloads = namespace
        .list("deployments,replicasets,statefulsets,daemonsets,replicationcontrollers,podtemplates,jobs,cronjobs");
    assert!(workloads.len() >= 8, "expected one of each kind: {workloads:?}");
    workloads
}

/// The number of pods of `kinds.yaml` on two nodes. The `DaemonSet` has two; the `PodTemplate` and the `CronJob` have
/// none.
pub(crate) const PODS_OF_KINDS: usize = 8;

#[test]
fn a_stateful_set_with_two_claim_templates_runs_on_stork() {
    let namespace = Namespace::new("claim-templates");
    let colocate = Colocate::register(&namespace, "");
    namespace.add_volumes(&["data-db-0", "log-db-0", "data-db-1", "log-db-1"], PORTWORX_CLASS);

    // No claim exists yet. The template gets its scheduler from its storage classes, and the pods from claims created moments earlier.
    namespace.apply(
        "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: main, image: example.test/main:1}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {storageClassName: px-db, accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
  - metadata: {name: log}
    spec: {storageClassName: px-db, accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
",
    );

    assert_eq!(namespace.get("statefulset/db").scheduler(), "stork");
    assert_eq!(colocate.reason_at_create("StatefulSet", "db"), "injected");
    for pod in namespace.running_pods("-l app=db", 2) {
        assert_stork(&namespace, &pod);
    }
}

#[test]
fn stateful_set_pods_find_claims_created_moments_before() {
    let namespace = Namespace::new("claims-moments-old");
    // The pods arrive without the driver's scheduler, each right after its claim.
    let colocate = Colocate::register(&namespace, "templates: leave\n");
    let names: Vec<_> = (0..10).map(|number| format!("data-db-{number}")).collect();
    namespace.add_volumes(&names.iter().map(String::as_str).collect::<Vec<_>>(), PORTWORX_CLASS);

    namespace.apply(
        "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 10
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: main, image: example.test/main:1}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {storageClassName: px-db, accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
",
    );

    for pod in namespace.running_pods("-l app=db", 10) {
        assert_eq!(pod.scheduler(), "stork", "{}", pod.name());
    }
    let reasons = colocate.decisions().into_iter().filter(|decided| decided.name.starts_with("db-"));
    assert!(reasons.clone().all(|decided| decided.reason == "injected"), "{:?}", reasons.collect::<Vec<_>>());
}

#[test]
fn a_pod_with_a_generic_ephemeral_volume_runs_on_stork() {
    let namespace = Namespace::new("ephemeral");
    let colocate = Colocate::register(&namespace, "");
    namespace.add_volumes(&["example-scratch"], PORTWORX_CLASS);

    namespace.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: example, labels: {app: example}}
spec:
  containers: [{name: main, image: example.test/main:1}]
  volumes:
  - name: scratch
    ephemeral:
      volumeClaimTemplate:
        spec: {storageClassName: px-db, accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
",
    );

    assert_eq!(colocate.reason_at_create("Pod", "example"), "injected");
    assert_stork(&namespace, &namespace.running_pod("-l app=example"));
}

fn assert_stork(namespace: &Namespace, pod: &Object) {
    assert_eq!(pod.scheduler(), "stork", "{}", pod.name());
    assert_eq!(namespace.bound_by(pod), "stork", "{}", pod.name());
}
