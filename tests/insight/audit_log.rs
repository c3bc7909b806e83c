//! `colocate audit --audit-log` on the log of a real API server: it finds the objects that colocate missed during an outage, and
//! compares its decisions with those of Stork's webhook.

use std::collections::BTreeSet;
use std::time::Instant;

use colocate_harness::{
    Account, AuditLog, Colocate, ControlPlane, Folder, Namespace, Object, PORTWORX_CLASS, WAIT_TIMEOUT,
};
use serde_json::{Value, json};

/// The namespace of the pods.
const NAMESPACE: &str = "audit-log";

fn pod(name: &str, claim: &str, labels: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {labels}}}
spec:
  containers: [{{name: main, image: 'example.test/main:1'}}]
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: {claim}}}}}]
"
    )
}

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: main, image: 'example.test/main:1'}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

/// Reads the log of the shared control plane as its administrator. The document matches the schema.
fn report(arguments: &str) -> Value {
    let kubeconfig = ControlPlane::shared().kubeconfig().display();
    report_with(&format!("--kubeconfig {kubeconfig} {arguments}"), 0)
}

/// Like [`report`], with the kubeconfig in the arguments, and another exit code.
fn report_with(arguments: &str, code: i32) -> Value {
    let log = ControlPlane::shared().audit_log().display();
    let run = Folder::new(&[]).run(&format!("audit --audit-log {log} -o json {arguments}"));
    assert_eq!(run.code, Some(code), "{}{}", run.out, run.err);
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../docs/schemas/audit-log.json")).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    document
}

/// Registers a colocate that takes the place of Stork's webhook: it does not know the opt-outs.
fn register_stork(namespace: &Namespace) -> Colocate {
    let home = Namespace::new("audit-log-stork");
    let stork = Colocate::register(&home, "optOut: {annotations: [], labels: []}\n");
    let mut configuration = namespace.get("mutatingwebhookconfiguration/zz-colocate-audit-log-stork").0;
    configuration["metadata"] = json!({"name": "stork-webhooks-cfg"});
    let webhook = &mut configuration["webhooks"][0];
    webhook["name"] = "webhook.stork.libopenstorage.org".into();
    webhook["namespaceSelector"]["matchExpressions"][0]["values"] = json!([NAMESPACE]);
    webhook["rules"] =
        json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]);
    namespace.kubectl().feed("create -f -", &configuration.to_string());
    stork
}

#[test]
fn the_log_shows_what_colocate_missed() {
    let namespace = Namespace::new(NAMESPACE);
    namespace.add_claim("data", PORTWORX_CLASS);
    // The claims of these pods belong to the namespace of the fake webhook's watch, too.
    let colocate = Colocate::register(&namespace, "");
    let policy = r#"[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]"#;
    namespace.run(&format!("patch mutatingwebhookconfiguration zz-colocate-{NAMESPACE} --type=json -p {policy}"));
    let create = |manifest: &str| namespace.kubectl().feed("create -f -", manifest);
    for number in 0..3 {
        create(&pod(&format!("answered-{number}"), "data", "{}"));
    }

    drop(colocate);
    // Until the API server knows the new policy, it rejects the pod.
    let began = Instant::now();
    while !namespace.kubectl().attempt("create -f -", &pod("missed-0", "data", "{}")).succeeded {
        assert!(began.elapsed() < WAIT_TIMEOUT, "the API server still rejects pods");
    }
    create(&pod("missed-1", "data", "{}"));
    // The API server logs it as a patch.
    namespace.kubectl().feed("apply --server-side -f -", &pod("applied", "data", "{}"));
    create(DEPLOYMENT);
    namespace.running_pods("-l app=web", 3);
    namespace.kubectl().feed("create --dry-run=server -f -", &pod("dry-run", "data", "{}"));
    assert!(!namespace.kubectl().attempt("create -f -", &pod("missed-1", "data", "{}")).succeeded, "it exists");
    let stork = register_stork(&namespace);
    let began = Instant::now();
    let probe = pod("probe", "data", "{}");
    while namespace.kubectl().attempt("create --dry-run=server -f - -o jsonpath={.spec.schedulerName}", &probe).stdout
        != "stork"
    {
        assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not call Stork's webhook");
    }
    create(&pod("missed-but-set", "data", "{}"));
    AuditLog::follow().event("create", "pods", NAMESPACE, "missed-but-set", 201);

    let document = report(&format!("-n {NAMESPACE}"));
    let missed = document["missed"].as_array().unwrap();
    let of = |resource: &str| -> Vec<&Value> { missed.iter().filter(|entry| entry["resource"] == resource).collect() };
    let named = |entries: &[&Value]| -> BTreeSet<String> {
        let names = entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned());
        names.filter(|name| !name.ends_with('*')).collect()
    };
    // Every pod on the default scheduler was missed, and no other, except for the one that Stork's webhook has set.
    let pods = namespace.list("pods");
    let unset: BTreeSet<_> = pods
        .iter()
        .filter(|pod| pod.scheduler() == "default-scheduler" && pod.label("app") != "web")
        .map(|pod| pod.name().to_owned())
        .collect();
    assert_eq!(unset, BTreeSet::from(["applied", "missed-0", "missed-1"].map(str::to_owned)));
    let found = of("pods");
    let applied = found.iter().find(|entry| entry["name"] == "applied");
    assert_eq!(applied.map(|entry| &entry["verb"]), Some(&json!("patch")), "{document:#}");
    let mut expected = unset;
    expected.insert("missed-but-set".to_owned());
    assert_eq!(named(&found), expected, "{document:#}");
    let of_set: Vec<_> = found.iter().filter(|entry| entry["name"].as_str().unwrap().ends_with('*')).collect();
    assert_eq!(of_set.len(), 3, "{of_set:#?}");
    for entry in of_set {
        assert_eq!(entry["user"], "system:serviceaccount:kube-system:replicaset-controller", "{entry}");
    }
    assert_eq!(named(&of("deployments.apps")), BTreeSet::from(["web".to_owned()]));
    for entry in &found {
        let set_by =
            if entry["name"] == "missed-but-set" { "webhook.stork.libopenstorage.org".into() } else { Value::Null };
        assert_eq!(entry["setBy"], set_by, "{entry}");
    }
    // All of them exist. Those that the API server named are the pods of the Deployment.
    let live: BTreeSet<_> = found.iter().map(|entry| entry["live"]["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(live, pods.iter().filter(|pod| !pod.name().starts_with("answered-")).map(Object::name).collect());
    let fates = |document: &Value| -> BTreeSet<String> {
        document["missed"].as_array().unwrap().iter().map(|entry| entry["fate"].to_string()).collect()
    };
    assert_eq!(fates(&document), BTreeSet::from(["\"exists\"".to_owned()]), "{document:#}");
    // Nothing is said about what is not asked or not seen.
    assert_eq!(
        fates(&report_with(&format!("-n {NAMESPACE} --offline --strict"), 0)),
        BTreeSet::from(["null".to_owned()])
    );
    let account = Account::new(ControlPlane::shared(), NAMESPACE, "nobody", &[]);
    let stranger = format!("-n {NAMESPACE} --strict --kubeconfig {}", account.kubeconfig().display());
    let unseen = report_with(&stranger, 3);
    assert_eq!(fates(&unseen), BTreeSet::from(["\"unknown\"".to_owned()]));
    let not_seen = unseen["notSeen"].as_array().unwrap().iter().map(|entry| entry["resource"].as_str().unwrap());
    assert_eq!(not_seen.collect::<Vec<_>>(), ["deployments.apps", "pods", "replicasets.apps"], "{unseen:#}");
    let webhooks = document["webhooks"].as_array().unwrap();
    let ours = webhooks.iter().find(|entry| entry["configuration"] == format!("zz-colocate-{NAMESPACE}")).unwrap();
    assert_eq!(ours["failedOpen"], missed.len(), "{ours}");
    assert_eq!(document["unreadableLines"], 0, "{:#}", document["unreadable"]);

    compare_both_webhooks();
    drop(stork);
}

/// Checks the comparison of colocate with Stork's webhook while both answer.
fn compare_both_webhooks() {
    let again = Namespace::new("audit-log-again");
    again.add_claim("data", PORTWORX_CLASS);
    let _colocate = Colocate::register(&again, "");
    let values = r#"[{"op":"replace","path":"/webhooks/0/namespaceSelector/matchExpressions/0/values","value":["audit-log-again"]}]"#;
    again.run(&format!("patch mutatingwebhookconfiguration stork-webhooks-cfg --type=json -p {values}"));
    let began = Instant::now();
    let probe = pod("probe", "data", "{colocate/ignore: 'true'}");
    while again.kubectl().attempt("create --dry-run=server -f - -o jsonpath={.spec.schedulerName}", &probe).stdout
        != "stork"
    {
        assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not call Stork's webhook");
    }
    again.kubectl().feed("create -f -", &pod("both", "data", "{}"));
    again.kubectl().feed("create -f -", &pod("opted-out", "data", "{colocate/ignore: 'true'}"));
    again.kubectl().feed("create -f -", DEPLOYMENT);
    again.kubectl().feed("create -f -", &pod("last", "data", "{}"));
    AuditLog::follow().event("create", "pods", "audit-log-again", "last", 201);
    let document = report("-n audit-log-again");
    assert_eq!(document["missed"], json!([]));
    let compared = |word: &str| {
        let rows = document["comparison"].as_array().unwrap();
        rows.iter().find(|row| row["result"] == word).cloned().unwrap_or_default()
    };
    // The Deployment, which Stork's webhook is not asked about.
    assert_eq!(compared("only-colocate")["example"]["resource"], "deployments.apps", "{document:#}");
    assert_eq!(compared("only-stork")["objects"], 1, "{document:#}");
    assert_eq!(compared("only-stork")["example"]["name"], "opted-out", "{document:#}");
    assert!(compared("both")["objects"].as_u64().unwrap() >= 2, "{document:#}");
}
