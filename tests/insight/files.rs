//! `colocate audit -f`: what it predicts is what happens when the files are applied.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Instant;

use colocate_harness::{
    Colocate, ControlPlane, Folder, Namespace, OTHER_CLASS, Object, PORTWORX_CLASS, WAIT_TIMEOUT, fixture,
};
use serde_json::{Value, json};

/// A control plane without the webhooks of other tests.
static CLUSTER: LazyLock<ControlPlane> = LazyLock::new(|| ControlPlane::own(&[]));

/// The number of running pods of `kinds.yaml` on two nodes. That of the Job ends at once.
const PODS: usize = 7;

/// Selects them.
const RUNNING: &str = "pods -l app!=job";

/// Runs `audit -f -` in a namespace, and returns what it predicts.
fn predict(namespace: &Namespace, manifest: &str) -> Value {
    let kubeconfig = CLUSTER.kubeconfig().display();
    let folder = Folder::new(&[("files.yaml", manifest)]);
    let command = format!("audit -o json --strict -n {} --kubeconfig {kubeconfig} -f files.yaml", namespace.name());
    let run = folder.run(&command);
    let document: Value = serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.err));
    assert_eq!(run.code, Some(0), "{}", document["notSeen"]);
    document["clusters"][0]["files"].clone()
}

/// The schedulers of templates by kind.
fn templates(namespace: &Namespace) -> BTreeMap<String, String> {
    let kinds =
        "pods,deployments,replicasets,statefulsets,daemonsets,replicationcontrollers,podtemplates,jobs,cronjobs";
    let examples = namespace.list(kinds).into_iter().filter(|object| object.name() == "example");
    examples.map(|object| (object.kind().to_owned(), object.scheduler().to_owned())).collect()
}

/// The schedulers of the live pods by the label `app`.
fn schedulers(pods: &[Object]) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    for pod in pods {
        all.entry(pod.label("app").to_owned()).or_default().push(pod.scheduler().to_owned());
    }
    for schedulers in all.values_mut() {
        schedulers.sort();
    }
    all
}

/// Waits until all pods have ended that a rollout or a deletion replaces, and returns the pods.
fn settled(namespace: &Namespace) -> Vec<Object> {
    let began = Instant::now();
    loop {
        let ready = |what: &str, desired: &str, current: &[&str]| {
            namespace.list(what).iter().all(|object| {
                let wanted = object.number(desired);
                object.number("/status/observedGeneration") == object.generation()
                    && current.iter().all(|pointer| object.number(pointer) == wanted)
            })
        };
        let is_settled =
            ready(
                "deployments",
                "/spec/replicas",
                &["/status/updatedReplicas", "/status/replicas", "/status/availableReplicas"],
            ) && ready("statefulsets", "/spec/replicas", &["/status/updatedReplicas", "/status/readyReplicas"])
                && ready(
                    "daemonsets",
                    "/status/desiredNumberScheduled",
                    &["/status/updatedNumberScheduled", "/status/numberAvailable"],
                );
        let pods = namespace.list(RUNNING);
        let ends = |pod: &Object| !pod.text("/metadata/deletionTimestamp").is_empty();
        if is_settled && pods.len() == PODS && !pods.iter().any(ends) && pods.iter().all(Object::runs) {
            return pods;
        }
        assert!(began.elapsed() < WAIT_TIMEOUT, "{:#?}", schedulers(&pods));
    }
}

/// The pods of `before` after what the audit predicts.
fn predicted(before: &[Object], files: &Value, compared: Compared) -> BTreeMap<String, Vec<String>> {
    let today = schedulers(before);
    let mut pods = today.clone();
    if let Compared::RecreatedOn(scheduler) = compared {
        for schedulers in pods.values_mut() {
            schedulers.fill(scheduler.to_owned());
        }
    }
    for change in files["pods"].as_array().unwrap() {
        let app = change["kind"].as_str().unwrap().to_lowercase();
        let found = &today[&app];
        assert_eq!(change["pods"].as_u64().unwrap(), found.len() as u64, "{change}");
        assert!(found.iter().all(|scheduler| *scheduler == change["today"]), "{change} of {found:?}");
        if compared != Compared::Running || change["when"] == "rollout" {
            pods.insert(app, vec![change["after"].as_str().unwrap().to_owned(); found.len()]);
        }
    }
    pods
}

/// The pods that are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    Running,
    /// Also those that replace all pods later. Pods that the files do not affect keep their scheduler.
    Recreated,
    /// The same, but pods that the files do not affect were created before colocate, and get this scheduler.
    RecreatedOn(&'static str),
}

/// Predicts, applies the files, and compares templates and pods. Returns the prediction.
fn assert_prediction(namespace: &Namespace, manifest: &str, compared: Compared) -> Value {
    let before = settled(namespace);
    let versions = |namespace: &Namespace| -> Vec<_> { templates_and_versions(namespace) };
    let before_prediction = versions(namespace);
    let files = predict(namespace, manifest);
    assert_eq!(versions(namespace), before_prediction, "an audit writes nothing");
    let expected_templates: BTreeMap<_, _> = files["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["kind"].as_str().unwrap().to_owned(), row["after"].as_str().unwrap().to_owned()))
        .collect();

    let output = namespace.kubectl().attempt("apply -f -", manifest);
    let rejected: Vec<_> =
        output.stderr.lines().filter(|line| line.contains("is invalid") || line.contains("is forbidden")).collect();
    let expected_rejections =
        files["workloads"].as_array().unwrap().iter().filter(|row| row["when"] == "rejected").count();
    assert_eq!(rejected.len(), expected_rejections, "{}", output.stderr);

    let after = settled(namespace);
    assert_eq!(templates(namespace), expected_templates, "templates");
    assert_eq!(schedulers(&after), predicted(&before, &files, Compared::Running), "running pods: {files:#}");
    if compared != Compared::Running {
        // No controller creates the bare pod again, and that of the Job has ended.
        namespace.run("delete pods -l app!=pod,app!=job --wait=false");
        let again = settled(namespace);
        let without_bare = |mut pods: BTreeMap<String, Vec<String>>| {
            pods.remove("pod");
            pods
        };
        let expected = without_bare(predicted(&before, &files, compared));
        assert_eq!(without_bare(schedulers(&again)), expected, "pods that are created again: {files:#}");
    }
    files
}

fn templates_and_versions(namespace: &Namespace) -> Vec<(String, String)> {
    let objects = namespace.list(
        "deployments,statefulsets,daemonsets,replicationcontrollers,podtemplates,jobs,cronjobs,persistentvolumeclaims",
    );
    objects
        .into_iter()
        .map(|object| (object.name().to_owned(), object.uid().to_owned() + &object.generation().to_string()))
        .collect()
}

/// A namespace with all kinds, whose pods were created without colocate, and with colocate.
fn kinds_without_colocate(name: &str) -> (Namespace, Colocate) {
    let namespace = Namespace::within(&CLUSTER, name);
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.add_claim("other", OTHER_CLASS);
    namespace.apply(&fixture("kinds.yaml"));
    settled(&namespace);
    let colocate = Colocate::register_in(&CLUSTER, &namespace, "");
    (namespace, colocate)
}

#[test]
fn the_same_files_change_nothing() {
    let (namespace, _colocate) = kinds_without_colocate("files-same");
    let files = assert_prediction(&namespace, &fixture("kinds.yaml"), Compared::Running);
    assert_eq!(files["pods"], json!([]));
    let when: Vec<_> = files["workloads"].as_array().unwrap().iter().map(|row| row["when"].as_str().unwrap()).collect();
    assert_eq!(when, ["unchanged"; 9]);
}

#[test]
fn a_changed_template_moves_pods_to_stork_by_a_rollout() {
    let (namespace, _colocate) = kinds_without_colocate("files-rollout");
    let manifest = fixture("kinds.yaml").replace("example.test/main:1", "example.test/main:2");
    let files = assert_prediction(&namespace, &manifest, Compared::RecreatedOn("stork"));
    let rows: BTreeMap<_, _> = files["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["kind"].as_str().unwrap().to_owned(), row["when"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!((&*rows["Deployment"], &*rows["Job"], &*rows["CronJob"]), ("rollout", "rejected", "next-run"));
    assert_eq!((&*rows["ReplicaSet"], &*rows["Pod"]), ("re-creation", "unchanged"));
}

#[test]
fn pods_of_another_claim_keep_the_scheduler_of_their_template() {
    let namespace = Namespace::within(&CLUSTER, "files-claim");
    let _colocate = Colocate::register_in(&CLUSTER, &namespace, "");
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.add_claim("other", OTHER_CLASS);
    namespace.apply(&fixture("kinds.yaml"));
    let manifest = fixture("kinds.yaml").replace("claimName: data", "claimName: other");
    assert_prediction(&namespace, &manifest, Compared::Recreated);
}

#[test]
fn a_claim_of_portworx_in_the_files_moves_pods() {
    let namespace = Namespace::within(&CLUSTER, "files-driver");
    let _colocate = Colocate::register_in(&CLUSTER, &namespace, "");
    namespace.add_claim("data", OTHER_CLASS);
    namespace.apply(&fixture("kinds.yaml"));
    let claim = format!(
        "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: px}}
spec: {{storageClassName: {PORTWORX_CLASS}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
"
    );
    let manifest = claim + &fixture("kinds.yaml").replace("claimName: data", "claimName: px");
    namespace.add_volumes(&["px"], PORTWORX_CLASS);
    let files = assert_prediction(&namespace, &manifest, Compared::Recreated);
    let stork = files["pods"].as_array().unwrap().iter().filter(|change| change["after"] == "stork").count();
    assert_eq!(stork, 5, "{files:#}");
}
