//! `colocate audit` on a cluster of mixed pods: compared with an independent count, and without one permission after another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use colocate_harness::{
    Account, ControlPlane, Folder, Helm, Namespace, OTHER_CLASS, PORTWORX_CLASS, Rule, Run, WAIT_TIMEOUT, fixture,
    repository,
};
use serde_json::{Value, json};

/// The label of each pod that says how it should be counted.
const TRUTH: &str = "audit.test/is";

/// The number of bare pods.
const PODS: usize = 1_000;

type Sort = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, &'static str);

/// The sorts of pod: the result, a namespace, a claim, a scheduler, and other fields of the pod.
const SORTS: [Sort; 13] = [
    ("wrong", "shop", Some("px"), None, "{}"),
    ("as-expected", "shop", Some("px"), Some("stork"), "{}"),
    ("as-expected", "shop", Some("other"), None, "{}"),
    ("as-expected", "shop", None, None, "{}"),
    ("as-expected", "shop", Some("other"), Some("stork"), "{}"),
    ("as-expected", "shop", Some("px"), Some("volcano"), "{}"),
    ("unknown", "shop", Some("missing"), None, "{}"),
    ("wrong", "bank", Some("px"), None, "{}"),
    ("wrong", "bank", Some("static"), None, "{}"),
    (
        "as-expected",
        "bank",
        Some("px"),
        None,
        r#"{"annotations":{"stork.libopenstorage.org/disableHyperconvergence":"true"}}"#,
    ),
    ("as-expected", "bank", Some("px"), None, r#"{"labels":{"colocate/ignore":"true"}}"#),
    ("as-expected", "opted-out", Some("px"), None, "{}"),
    ("not-sent", "excluded", Some("px"), None, "{}"),
];

/// Everything that an audit reads.
const ALL: [(&str, &str); 14] = [
    ("", "pods"),
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("", "namespaces"),
    ("", "replicationcontrollers"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("storage.k8s.io", "storageclasses"),
    ("portworx.io", "volumeplacementstrategies"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
];

/// A control plane with the pods, for all tests of this module.
static CLUSTER: LazyLock<ControlPlane> = LazyLock::new(|| {
    let cluster = ControlPlane::own(&[]);
    let kubectl = cluster.kubectl();
    for name in ["shop", "bank", "opted-out", "excluded"] {
        let namespace = Namespace::within(&cluster, name);
        namespace.add_claim("px", PORTWORX_CLASS);
        namespace.add_claim("other", OTHER_CLASS);
    }
    kubectl.run("label namespace opted-out stork.libopenstorage.org/disable-admission-controller=true");
    kubectl.feed("create -f -", STATIC);
    let node = kubectl.list("nodes")[0].name().to_owned();
    let bare: Vec<_> = (0..PODS).map(|number| bare_pod(number).to_string()).collect();
    let placed = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "placed", "namespace": "shop", "labels": {TRUTH: "as-expected"}},
        "spec": {"nodeName": node, "containers": [{"name": "a", "image": "a"}], "volumes": volumes(Some("px"))},
    });
    let pods = bare.join("\n---\n");
    kubectl.feed(
        "create -f -",
        &format!(
            "{pods}\n---\n{placed}\n---\n{}\n---\n{}",
            workload("Deployment", "web", 3, "wrong", None),
            workload("StatefulSet", "db", 2, "as-expected", Some("stork"))
        ),
    );
    let began = Instant::now();
    while kubectl.list("pods -A --show-managed-fields").len() < PODS + 6 {
        assert!(began.elapsed() < WAIT_TIMEOUT, "the controllers do not create their pods");
    }
    // Registered after the pods, so that none of them is sent to it.
    kubectl.feed("create -f -", REGISTRATION);
    cluster
});

/// A claim whose driver only its volume names.
const STATIC: &str = "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: static, namespace: bank}
spec: {storageClassName: '', volumeName: bank-static, accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: bank-static, annotations: {pv.kubernetes.io/provisioned-by: pxd.portworx.com}}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 2Gi}
  claimRef: {namespace: bank, name: static}
  csi: {driver: pxd.portworx.com, volumeHandle: bank-static}
";

const REGISTRATION: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: zz-colocate}
webhooks:
- name: pods.mutate.colocate
  clientConfig: {url: 'https://localhost:1/mutate'}
  namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [excluded]}]}
  rules: [{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
  failurePolicy: Ignore
  sideEffects: None
  admissionReviewVersions: [v1]
";

fn volumes(claim: Option<&str>) -> Value {
    claim.iter().map(|claim| json!({"name": "data", "persistentVolumeClaim": {"claimName": claim}})).collect()
}

fn bare_pod(number: usize) -> Value {
    let (truth, namespace, claim, scheduler, metadata) = SORTS[number % SORTS.len()];
    let mut metadata: Value = serde_json::from_str(metadata).unwrap();
    metadata["name"] = format!("pod-{number}").into();
    metadata["namespace"] = namespace.into();
    metadata["labels"][TRUTH] = truth.into();
    let mut spec = json!({"containers": [{"name": "a", "image": "a"}], "volumes": volumes(claim)});
    if let Some(scheduler) = scheduler {
        spec["schedulerName"] = scheduler.into();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

fn workload(kind: &str, name: &str, replicas: u32, truth: &str, scheduler: Option<&str>) -> Value {
    let labels = json!({"app": name, TRUTH: truth});
    let mut spec = json!({"containers": [{"name": "a", "image": "a"}], "volumes": volumes(Some("px"))});
    if let Some(scheduler) = scheduler {
        spec["schedulerName"] = scheduler.into();
    }
    let template = json!({"metadata": {"labels": labels}, "spec": spec});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, "podManagementPolicy": "Parallel", "serviceName": name});
    let mut workload =
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    if kind == "Deployment" {
        for field in ["podManagementPolicy", "serviceName"] {
            workload["spec"].as_object_mut().unwrap().remove(field);
        }
    }
    workload
}

/// Runs an audit. colocate was not installed by the chart, so its configuration is not found.
fn run(arguments: &str) -> Run {
    let folder = Folder::new(&[("colocate.yaml", "mode: inject\n")]);
    folder.run(format!("audit --config colocate.yaml {arguments}").trim_end())
}

/// Runs an audit, and returns its document, which matches the schema.
fn audit(kubeconfig: &Path, arguments: &str) -> (Option<i32>, Value) {
    let run = run(&format!("-o json --kubeconfig {} {arguments}", kubeconfig.display()));
    let document: Value =
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err));
    let schema: Value = serde_json::from_str(include_str!("../../docs/schemas/audit.json")).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    (run.code, document)
}

/// As expected, wrong, unknown and not sent.
type Counts = [u64; 4];

fn counts(entry: &Value) -> Counts {
    ["asExpected", "wrong", "unknown", "notSent"].map(|key| entry[key].as_u64().unwrap())
}

/// Counts the pods by their labels: in total, by namespace, and those of the Deployment that are wrong.
fn truth() -> (Counts, BTreeMap<String, Counts>) {
    let (mut total, mut namespaces) = (Counts::default(), BTreeMap::<String, Counts>::new());
    for pod in CLUSTER.kubectl().list("pods -A") {
        let index = ["as-expected", "wrong", "unknown", "not-sent"]
            .iter()
            .position(|truth| *truth == pod.label(TRUTH))
            .unwrap();
        total[index] += 1;
        namespaces.entry(pod.text("/metadata/namespace").to_owned()).or_default()[index] += 1;
    }
    (total, namespaces)
}

/// Counts the pods by the rules of the documentation, from what kubectl shows: in total, and by namespace.
fn by_hand() -> (Counts, BTreeMap<String, Counts>) {
    let kubectl = CLUSTER.kubectl();
    let by_name = |what: &str| -> BTreeMap<String, Value> {
        let objects = kubectl.list(what).into_iter();
        objects.map(|object| (format!("{}/{}", object.text("/metadata/namespace"), object.name()), object.0)).collect()
    };
    let [claims, classes, volumes, namespaces] =
        ["pvc -A", "storageclasses", "persistentvolumes", "namespaces"].map(by_name);
    let text =
        |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_portworx = |claim: &Value| {
        let class = classes.get(&format!("/{}", text(claim, "/spec/storageClassName")));
        let volume = volumes.get(&format!("/{}", text(claim, "/spec/volumeName")));
        let by_class = class.map(|class| text(class, "/provisioner"));
        let by_volume = volume.map(|volume| text(volume, "/spec/csi/driver"));
        by_class.or(by_volume).as_deref() == Some("pxd.portworx.com")
    };
    let (mut total, mut counts) = (Counts::default(), BTreeMap::<String, Counts>::new());
    for pod in kubectl.list("pods -A --show-managed-fields") {
        let namespace = pod.text("/metadata/namespace");
        let opts_out = |object: &Value, field: &str, key: &str| object["metadata"][field][key] == "true";
        let creator_chose_node = pod.0["metadata"]["managedFields"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|entry| entry["subresource"].is_null() && entry["fieldsV1"]["f:spec"].get("f:nodeName").is_some());
        let is_left = opts_out(
            &namespaces[&format!("/{namespace}")],
            "labels",
            "stork.libopenstorage.org/disable-admission-controller",
        ) || opts_out(&pod.0, "annotations", "stork.libopenstorage.org/disableHyperconvergence")
            || opts_out(&pod.0, "labels", "colocate/ignore")
            || creator_chose_node
            || pod.scheduler() != "default-scheduler";
        let mounted = pod.text("/spec/volumes/0/persistentVolumeClaim/claimName");
        let index = match claims.get(&format!("{namespace}/{mounted}")) {
            _ if is_left || mounted.is_empty() => 0,
            Some(claim) if !is_portworx(claim) => 0,
            Some(_) if namespace == "excluded" => 3,
            Some(_) => 1,
            None => 2,
        };
        total[index] += 1;
        counts.entry(namespace.to_owned()).or_default()[index] += 1;
    }
    (total, counts)
}

fn by_namespace(pods: &Value) -> BTreeMap<String, Counts> {
    let rows = pods["namespaces"].as_array().unwrap().iter();
    rows.map(|row| (row["namespace"].as_str().unwrap().to_owned(), counts(row))).collect()
}

#[test]
fn a_cluster_of_mixed_pods_is_counted_like_by_hand() {
    let (code, document) = audit(CLUSTER.kubeconfig(), "--strict");
    let pods = &document["clusters"][0]["pods"];
    let (total, namespaces) = truth();
    assert_eq!(by_hand(), (total, namespaces.clone()));
    assert_eq!(total.iter().sum::<u64>(), PODS as u64 + 6);
    assert_eq!((counts(pods), by_namespace(pods)), (total, namespaces));
    assert_eq!((code, &document["notSeen"]), (Some(0), &json!([])));
    let workloads = pods["workloads"].as_array().unwrap();
    let web = workloads.iter().find(|row| row["kind"] == "Deployment").unwrap();
    assert_eq!((&web["name"], counts(web)), (&json!("web"), [0, 3, 0, 0]));
    let reason = |word: &str| {
        let rows = pods["reasons"].as_array().unwrap();
        rows.iter().find(|row| row["reason"] == word).map_or([0; 4], counts)
    };
    let of_sort = |index: usize| (0..PODS).filter(|number| number % SORTS.len() == index).count() as u64;
    assert_eq!(reason("not-sent"), [0, 0, 0, of_sort(12)]);
    assert_eq!(reason("node-name-set"), [1, 0, 0, 0]);
    assert_eq!(reason("namespace-opted-out"), [of_sort(11), 0, 0, 0]);
    assert_eq!(reason("claim-missing"), [0, 0, of_sort(6), 0]);
    assert_eq!(counts(&document["clusters"][0]["templates"]), [1, 1, 0, 0]);
}

#[test]
fn one_namespace_has_the_same_numbers_as_in_the_whole() {
    let (_, namespaces) = truth();
    for (namespace, expected) in namespaces {
        let (_, document) = audit(CLUSTER.kubeconfig(), &format!("-n {namespace}"));
        assert_eq!(counts(&document["clusters"][0]["pods"]), expected, "{namespace}");
    }
}

#[test]
fn reports_are_accepted_by_the_published_structure() {
    let kubectl = CLUSTER.kubectl();
    kubectl.feed("apply -f -", &fixture("crds/openreports.yaml"));
    kubectl.run("wait --for=condition=Established crd/reports.openreports.io crd/clusterreports.openreports.io");
    let run = run(&format!("-o openreports --kubeconfig {}", CLUSTER.kubeconfig().display()));
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let began = Instant::now();
    // The API server publishes the structure of a new kind late.
    let mut applied = kubectl.attempt("apply --validate=strict -f -", &run.out);
    while !applied.succeeded && applied.stderr.contains("no matches for kind") {
        assert!(began.elapsed() < WAIT_TIMEOUT, "{}", applied.stderr);
        applied = kubectl.attempt("apply --validate=strict -f -", &run.out);
    }
    assert_eq!(applied.stderr, "");
    let (_, namespaces) = truth();
    for (namespace, expected) in namespaces {
        let report = kubectl.object(&format!("get report/colocate -n {namespace}"));
        let numbers = ["pass", "fail", "error", "skip"].map(|key| report.number(&format!("/summary/{key}")));
        assert_eq!(numbers, expected, "{namespace}");
    }
    let bank = kubectl.object("get report/colocate -n bank");
    assert_eq!(bank.text("/results/0/policy"), "scheduler");
    assert!(kubectl.object("get clusterreport/colocate").number("/summary/fail") == 0);
    let unknown_field = run.out.replacen("source:", "sources: x\nsource:", 1);
    assert!(!kubectl.attempt("apply --validate=strict -f -", &unknown_field).succeeded, "the check is strict");
}

#[test]
fn a_missing_permission_never_miscounts_a_pod() {
    let home = Namespace::within(&CLUSTER, "auditor");
    let rules = |without: Option<&str>| -> Vec<Rule> {
        let kept = ALL.iter().filter(|(_, resource)| Some(*resource) != without);
        kept.map(|(group, resource)| Rule::new(group, resource, &["list"])).collect()
    };
    let account = Account::new(&CLUSTER, home.name(), "auditor", &rules(None));
    let (total, _) = truth();
    for (group, missing) in ALL {
        account.grant(&rules(Some(missing)));
        let question =
            format!("auth can-i list {missing}.{group} --all-namespaces --as=system:serviceaccount:auditor:auditor");
        let began = Instant::now();
        while CLUSTER.kubectl().attempt(question.trim_end_matches('.'), "").succeeded {
            assert!(began.elapsed() < WAIT_TIMEOUT, "{missing} is still permitted");
        }
        let (code, document) = audit(account.kubeconfig(), "--strict");
        let not_seen = document["notSeen"].as_array().unwrap();
        let lines: Vec<_> = not_seen.iter().map(|entry| entry["resource"].as_str().unwrap()).collect();
        let name = if group.is_empty() { missing.to_owned() } else { format!("{missing}.{group}") };
        assert_eq!((code, lines), (Some(3), vec![name.as_str()]), "{not_seen:#?}");
        let pods = &document["clusters"][0]["pods"];
        if missing == "pods" {
            assert_eq!(pods, &Value::Null);
            continue;
        }
        let found = counts(pods);
        assert_eq!(found.iter().sum::<u64>(), total.iter().sum::<u64>(), "without {missing}");
        // A pod is counted as it is, or as unknown.
        assert!(
            (0..4).all(|index| index == 2 || found[index] <= total[index]),
            "without {missing}: {found:?} of {total:?}"
        );
        let decisive = [
            "persistentvolumeclaims",
            "persistentvolumes",
            "namespaces",
            "storageclasses",
            "mutatingwebhookconfigurations",
        ];
        assert_eq!(found != total, decisive.contains(&missing), "without {missing}: {found:?} of {total:?}");
    }
}

#[test]
fn the_reader_of_the_chart_may_read_everything() {
    let home = Namespace::within(&CLUSTER, "reader");
    let account = Account::new(&CLUSTER, home.name(), "reader", &[]);
    let chart = repository("charts/colocate");
    let render = format!(
        "template colocate {} --set rbac.reader.create=true --show-only templates/reader.yaml",
        chart.display()
    );
    home.kubectl().feed("create -f -", &Helm::new(&CLUSTER, &home).feed(&render, ""));
    home.run("create clusterrolebinding reader --clusterrole=colocate-reader --serviceaccount=reader:reader");
    let began = Instant::now();
    while !CLUSTER.kubectl().attempt("auth can-i list pods -A --as=system:serviceaccount:reader:reader", "").succeeded {
        assert!(began.elapsed() < WAIT_TIMEOUT, "the role has no effect");
    }
    let (code, document) = audit(account.kubeconfig(), "--strict");
    assert_eq!((code, &document["notSeen"]), (Some(0), &json!([])));
}
