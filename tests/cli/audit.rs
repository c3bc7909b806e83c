//! `colocate audit` on scripted clusters: its formats, its exit codes, and what it cannot read.

mod audit_log;

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use colocate_harness::{ApiServer, Folder, Run, program};
use serde_json::{Value, json};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const PODS: &str = "/api/v1/pods";
const CLAIMS: &str = "/api/v1/persistentvolumeclaims";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const NAMESPACES: &str = "/api/v1/namespaces";
const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";
const OTHER_WORKLOADS: [&str; 5] = [
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/api/v1/replicationcontrollers",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
];
const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

type Objects = Vec<(&'static str, Value)>;

fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
}

fn pod(name: &str, scheduler: &str, claim: &str, metadata: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "db", "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]},
        "spec": {
            "schedulerName": scheduler,
            "nodeName": "node-1",
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
        "status": {"phase": "Running"},
    });
    pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    pod
}

/// A cluster with a claim of Portworx, `px`, one of another driver, and the chart's release `colocate` with the default
/// configuration. One of its five pods is wrong, and one is unknown.
fn cluster() -> Objects {
    let mut objects = without_release();
    let webhooks = objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
    let own = &mut webhooks.1["items"][0];
    own["metadata"]["labels"] = release_labels();
    own["webhooks"][0]["clientConfig"] = json!({"service": {"namespace": "system", "name": "colocate"}});
    let volumes = json!([{"name": "config", "configMap": {"name": "colocate"}}]);
    let deployment = json!({
        "metadata": {"name": "colocate", "namespace": "system", "labels": release_labels()},
        "spec": {"template": {"spec": {"volumes": volumes}}},
    });
    objects.push((RELEASE, list(&[deployment])));
    objects.push((CONFIG_MAP, json!({"data": {"config.yaml": "{}"}})));
    objects
}

fn release_labels() -> Value {
    json!({"app.kubernetes.io/name": "colocate", "app.kubernetes.io/instance": "colocate"})
}

/// The cluster with a webhook of colocate that is not of the chart.
fn without_release() -> Objects {
    let claim = |name: &str, class: &str| json!({"metadata": {"name": name, "namespace": "db"}, "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"]}});
    let class = |name: &str, provisioner: &str| json!({"metadata": {"name": name}, "provisioner": provisioner});
    let of_set = json!({
        "labels": {"pod-template-hash": "5d4"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4", "uid": "1", "controller": true}],
    });
    let mut ended = pod("done", "default-scheduler", "px", &json!({}));
    ended["status"]["phase"] = "Succeeded".into();
    let annotations = json!({"annotations": {"stork.libopenstorage.org/preferLocalNodeOnly": "yes"}});
    let template = json!({
        "metadata": {"name": "web", "namespace": "db"},
        "spec": {"template": {"metadata": annotations, "spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "px"}}]}}},
    });
    let hook = |name: &str| {
        let rules =
            json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]);
        json!({"name": name, "failurePolicy": "Ignore", "rules": rules})
    };
    let mut own = hook("pods.mutate.colocate");
    own["namespaceSelector"] = json!({"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]},
    ]});
    let mut system = pod("system", "default-scheduler", "px", &json!({}));
    system["metadata"]["namespace"] = "kube-system".into();
    let mut system_claim = claim("px", "px-db");
    system_claim["metadata"]["namespace"] = "kube-system".into();
    let named = |name: &str| json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}});
    let mut objects = vec![
        (REVIEWS, json!({"status": {"allowed": true}})),
        (
            PODS,
            list(&[
                pod("web-5d4-a", "default-scheduler", "px", &of_set),
                pod("fine", "stork", "px", &json!({})),
                pod("other", "default-scheduler", "other", &json!({})),
                pod("open", "default-scheduler", "missing", &json!({})),
                system,
                ended,
            ]),
        ),
        (CLAIMS, list(&[claim("px", "px-db"), claim("other", "other"), system_claim])),
        (CLASSES, list(&[class("px-db", "pxd.portworx.com"), class("other", "other.example.com")])),
        (NAMESPACES, list(&[named("db"), named("kube-system")])),
        (DEPLOYMENTS, list(&[template])),
        (
            WEBHOOKS,
            list(&[
                json!({"metadata": {"name": "zz-colocate"}, "webhooks": [own]}),
                json!({"metadata": {"name": "stork-webhooks-cfg"}, "webhooks": [hook("webhook.stork.libopenstorage.org")]}),
            ]),
        ),
    ];
    objects.extend(OTHER_WORKLOADS.map(|path| (path, list(&[]))));
    objects
}

fn run_on(objects: &Objects, otherwise: u16, arguments: &str) -> Run {
    let folder = Folder::new(&[]);
    ApiServer::new(objects, otherwise).run_command(&folder, arguments)
}

/// Returns the document of an audit, which matches its schema.
fn document(run: &Run) -> Value {
    valid_document(run, include_str!("../../docs/schemas/audit.json"))
}

/// Returns the document, which matches the schema.
fn valid_document(run: &Run, schema: &str) -> Value {
    let document: Value =
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err));
    let schema: Value = serde_json::from_str(schema).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    document
}

fn counts(census: &Value) -> [u64; 4] {
    ["asExpected", "wrong", "unknown", "ended"].map(|key| census[key].as_u64().unwrap())
}

fn not_sent(census: &Value) -> u64 {
    census["notSent"].as_u64().unwrap()
}

#[test]
fn pods_are_counted_by_reason_namespace_and_workload() {
    let run = run_on(&cluster(), 404, "audit -o json");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let document = document(&run);
    let cluster = &document["clusters"][0];
    let pods = &cluster["pods"];
    assert_eq!((counts(pods), not_sent(pods)), ([2, 1, 1, 1], 1));
    assert_eq!(pods["percentAsExpected"], 50.0);
    let system = pods["namespaces"].as_array().unwrap().iter().find(|row| row["namespace"] == "kube-system").unwrap();
    assert_eq!((counts(system), not_sent(system)), ([0, 0, 0, 0], 1));
    let reasons: Vec<_> =
        pods["reasons"].as_array().unwrap().iter().map(|row| (row["reason"].as_str().unwrap(), counts(row))).collect();
    assert_eq!(
        reasons,
        [
            ("claim-missing", [0, 0, 1, 0]),
            ("injected", [1, 1, 0, 0]),
            ("no-driver", [1, 0, 0, 0]),
            ("not-sent", [0, 0, 0, 0]),
        ]
    );
    let workload = &pods["workloads"][0];
    assert_eq!(
        (&workload["kind"], &workload["name"], counts(workload)),
        (&json!("Deployment"), &json!("web"), [0, 1, 0, 0])
    );
    let example =
        json!({"pod": "web-5d4-a", "reason": "injected", "scheduler": "default-scheduler", "expected": "stork"});
    assert_eq!(workload["example"], example);
    assert_eq!(pods["workloads"][1]["kind"], "Pod");
    assert_eq!(counts(&cluster["templates"]), [0, 1, 0, 0]);
    assert_eq!(cluster["storage"], json!({"claims": 3, "classes": 2}));
    assert_eq!((&cluster["installed"], &cluster["mode"]), (&json!(true), &json!("inject")));
    assert_eq!(document["notSeen"], json!([]));
}

/// The cluster with this configuration of colocate. The list of all Deployments includes that of colocate.
fn with_release(config: &str) -> Objects {
    let mut objects = cluster();
    let object = |objects: &Objects, path| objects.iter().position(|(other, _)| *other == path).unwrap();
    let (all, own) = (object(&objects, DEPLOYMENTS), object(&objects, RELEASE));
    let deployment = objects[own].1["items"][0].clone();
    objects[all].1["items"].as_array_mut().unwrap().push(deployment);
    let map = object(&objects, CONFIG_MAP);
    objects[map].1["data"]["config.yaml"] = config.into();
    objects
}

const CONFIG_MAP: &str = "/api/v1/namespaces/system/configmaps/colocate";
const RELEASE: &str = "/apis/apps/v1/namespaces/system/deployments";

#[test]
fn the_configuration_of_the_cluster_s_colocate_decides() {
    let other = "drivers: [{name: other, provisioners: [other.example.com], scheduler: other-scheduler}]";
    let objects = with_release(other);
    let document = document(&run_on(&objects, 404, "audit -o json"));
    let found = &document["clusters"][0];
    assert_eq!(found["configuration"], json!({"source": "cluster", "configMap": "system/colocate"}));
    let pods: Vec<_> = found["pods"]["workloads"].as_array().unwrap().iter().map(|row| row["name"].as_str()).collect();
    assert_eq!((counts(&found["pods"]), pods), ([3, 1, 1, 1], vec![Some("open"), Some("other")]));
    assert!(run_on(&objects, 404, "audit").out.contains("configuration: ConfigMap system/colocate, mode: inject"));

    // A file of the user precedes.
    let folder = Folder::new(&[("own.yaml", "mode: audit\n")]);
    let run = ApiServer::new(&objects, 404).run_command(&folder, "audit -o json --config own.yaml");
    let found = &self::document(&run)["clusters"][0];
    assert_eq!((&found["configuration"]["source"], &found["mode"]), (&json!("file"), &json!("audit")));
    assert_eq!(found["pods"]["workloads"][0]["name"], "web");
}

#[test]
fn a_configuration_that_cannot_be_read_makes_pods_unknown() {
    let unreadable = with_release("newerKey: 1");
    let mut absent = with_release("");
    absent.retain(|(path, _)| *path != CONFIG_MAP);
    let mut several = with_release("mode: off");
    several.retain(|(path, _)| *path != WEBHOOKS);
    // Its webhook exists, and its configuration may be anywhere.
    let elsewhere = without_release();
    let mut renamed = without_release();
    let webhooks = renamed.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
    webhooks.1["items"][0]["metadata"]["name"] = "zz-other".into();
    let deployments = several.iter_mut().find(|(path, _)| *path == DEPLOYMENTS).unwrap();
    let copy = deployments.1["items"][1].clone();
    deployments.1["items"].as_array_mut().unwrap().push(copy);
    for (objects, otherwise, unknown_with_file, why) in [
        (&unreadable, 404, 1, "system/colocate is of another version of colocate"),
        (&absent, 403, 1, "configmaps: no right to get in system"),
        (&several, 403, 3, "2 are of colocate"),
        (&elsewhere, 404, 1, "none of the chart belongs to MutatingWebhookConfiguration zz-colocate"),
        (&renamed, 404, 1, "none of the chart belongs to MutatingWebhookConfiguration zz-other"),
    ] {
        let run = run_on(objects, otherwise, "audit");
        let hides = "(hides the configuration of colocate, and so the schedulers that it sets: pass it with --config)";
        assert!(run.out.lines().any(|line| line.contains(why) && line.ends_with(hides)), "{why}: {}", run.out);
        let document = document(&run_on(objects, otherwise, "audit -o json"));
        let found = &document["clusters"][0];
        assert_eq!((counts(&found["pods"]), &found["configuration"]["source"]), ([0, 0, 5, 1], &json!("not-seen")));
        // A configuration of the user makes them known.
        let folder = Folder::new(&[("own.yaml", "mode: inject\n")]);
        let run = ApiServer::new(objects, otherwise).run_command(&folder, "audit -o json --config own.yaml");
        assert_eq!(counts(&self::document(&run)["clusters"][0]["pods"])[2], unknown_with_file);
    }
}

#[test]
fn without_webhook_configurations_the_labels_lead_to_the_configuration() {
    let mut objects = with_release("mode: off");
    objects.retain(|(path, _)| *path != WEBHOOKS);
    let document = document(&run_on(&objects, 403, "audit -o json"));
    let found = &document["clusters"][0];
    assert_eq!(found["configuration"], json!({"source": "cluster", "configMap": "system/colocate"}));
    assert_eq!(found["mode"], "off");
}

#[test]
fn findings_of_the_companion_are_counted() {
    let document = document(&run_on(&cluster(), 404, "audit -o json"));
    let findings = &document["clusters"][0]["findings"];
    let [finding] = &findings["items"].as_array().unwrap()[..] else { panic!("{findings:#}") };
    assert_eq!((&finding["rule"], &finding["severity"]), (&json!("HC001"), &json!("error")), "{finding}");
    assert_eq!(finding["object"], json!({"kind": "Deployment", "namespace": "db", "name": "web"}));
    assert_eq!(findings["rules"][0]["count"], 1);
}

#[test]
fn stork_s_own_webhook_and_its_arguments_are_found() {
    let stork = |objects: &Objects| document(&run_on(objects, 404, "audit -o json"))["clusters"][0]["stork"].clone();
    let mut objects = cluster();
    let found = stork(&objects);
    assert_eq!((&found["active"], &found["retainsExternalSchedulers"]), (&json!(true), &Value::Null));
    let hooks = objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
    hooks.1["items"][1]["webhooks"][0]["clientConfig"] =
        json!({"service": {"namespace": "portworx", "name": "stork-service"}});
    let mut hidden = objects.clone();
    hidden.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap().1["items"].as_array_mut().unwrap().pop();
    for (arguments, retains) in [
        (json!(["/stork", "--retain-external-schedulers=true"]), true),
        (json!(["--retain-external-schedulers"]), true),
        (json!(["--retain-external-schedulers=false", "--verbose"]), false),
    ] {
        let containers = json!([{"command": arguments}]);
        let deployment = json!({"metadata": {"name": "stork", "namespace": "portworx"}, "spec": {"template": {"spec": {"containers": containers}}}});
        objects.iter_mut().find(|(path, _)| *path == DEPLOYMENTS).unwrap().1 = list(&[deployment]);
        let found = stork(&objects);
        assert_eq!((&found["active"], &found["retainsExternalSchedulers"]), (&json!(true), &json!(retains)));
        // With one namespace, the Deployment is in another one.
        let mut objects = objects.clone();
        let deployment = objects.iter().find(|(path, _)| *path == DEPLOYMENTS).unwrap().1["items"][0].clone();
        objects.push(("/apis/apps/v1/namespaces/portworx/deployments/stork", deployment));
        let of_db = objects.clone().into_iter().filter(|(path, _)| !path.contains("/namespaces"));
        objects.push(("/api/v1/namespaces/db", json!({"metadata": {"name": "db"}})));
        objects.extend(of_db.map(|(path, value)| (&*path.replace("/v1/", "/v1/namespaces/db/").leak(), value)));
        objects.push(("/apis/apps/v1/namespaces/db/deployments", list(&[])));
        let one = document(&run_on(&objects, 404, "audit -n db -o json"))["clusters"][0]["stork"].clone();
        assert_eq!(one["retainsExternalSchedulers"], json!(retains));
    }
    assert_eq!(stork(&hidden)["active"], false);
}

#[test]
fn the_webhooks_for_pods_are_listed_in_the_order_of_their_calls() {
    let document = document(&run_on(&cluster(), 404, "audit -o json"));
    let of: Vec<_> = document["clusters"][0]["webhooks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hook| hook["of"].as_str().unwrap())
        .collect();
    assert_eq!(of, ["stork", "colocate"]);
}

#[test]
fn tables_show_the_numbers_and_what_needs_attention() {
    let run = run_on(&cluster(), 404, "audit");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(run.out, include_str!("audit/table.txt"), "\n{}", run.out);
    let wide = run_on(&cluster(), 404, "audit -o wide -A");
    // The reasons of templates are of less interest.
    assert!(wide.out.contains("TEMPLATES BY REASON") && !run.out.contains("TEMPLATES BY REASON"), "{}", wide.out);
}

#[test]
fn exit_codes_are_those_of_the_documentation() {
    let mut denied = cluster();
    denied.retain(|(path, _)| *path != NAMESPACES);
    for (objects, otherwise, arguments, code) in [
        (&cluster(), 404, "audit --fail-under 50", 0),
        (&cluster(), 404, "audit --fail-under 50.1%", 4),
        (&cluster(), 404, "audit --fail-under 50.1 -o json", 4),
        (&cluster(), 404, "audit --strict", 0),
        (&denied, 403, "audit", 0),
        (&denied, 403, "audit --strict", 3),
        (&denied, 403, "audit --strict --fail-under 100", 3),
        (&cluster(), 500, "audit", 1),
        (&cluster(), 404, "audit --fail-under 101", 2),
        (&cluster(), 404, "audit -A -n db", 2),
        (&cluster(), 404, "audit --context none", 1),
        (&cluster(), 404, "audit --context c --context none", 1),
    ] {
        let run = run_on(objects, otherwise, arguments);
        assert_eq!(run.code, Some(code), "{arguments}: {}{}", run.out, run.err);
    }
}

#[test]
fn a_server_without_the_api_of_kubernetes_is_not_a_clean_cluster() {
    let nothing = Objects::new();
    let folder = Folder::new(&[("audit.log", &missed_pod("v1"))]);
    for arguments in [
        "audit --strict --fail-under 100",
        "audit --audit-log audit.log",
        "release --strict --check",
        "why pod/web-0 --namespace db",
    ] {
        let run = ApiServer::new(&nothing, 404).run_command(&folder, arguments);
        assert_eq!(run.code, Some(1), "{arguments}: {}{}", run.out, run.err);
        assert!(run.err.contains("check the server of the kubeconfig"), "{arguments}: {}{}", run.out, run.err);
        assert!(!run.out.contains("gone"), "{}", run.out);
    }
}

/// An audit log with a pod that colocate missed, requested in this version.
fn missed_pod(version: &str) -> String {
    let called = json!({"configuration": "zz-colocate", "webhook": "pods.mutate.colocate", "mutated": false});
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "1", "stage": "ResponseComplete",
        "requestURI": format!("/api/{version}/namespaces/db/pods"), "verb": "create", "user": {"username": "someone"},
        "objectRef": {"resource": "pods", "namespace": "db", "name": "web-0", "apiVersion": version},
        "responseStatus": {"code": 201},
        "requestReceivedTimestamp": "2026-11-30T02:14:07.000000Z", "stageTimestamp": "2026-11-30T02:14:07.100000Z",
        "annotations": {
            "mutation.webhook.admission.k8s.io/round_0_index_0": called.to_string(),
            "failed-open.mutation.webhook.admission.k8s.io/round_0_index_0": "pods.mutate.colocate",
        },
    });
    format!("{event}\n")
}

#[test]
fn a_missed_object_of_a_version_that_is_not_served_is_not_known_to_be_gone() {
    let folder = Folder::new(&[("audit.log", &missed_pod("v1beta1"))]);
    let server = ApiServer::new(&cluster(), 404);
    let run = server.run_command(&folder, "audit --audit-log audit.log --strict");
    assert_eq!(run.code, Some(3), "{}{}", run.out, run.err);
    assert!(run.out.contains("0 of them still exist, 1 are unknown"), "{}", run.out);
    let line = "pods: the API server does not serve the version v1beta1 of the log (hides which of the missed pods still exist)";
    assert!(run.out.contains(line), "{}", run.out);
}

#[test]
fn without_rights_no_result_is_stated() {
    let mut nothing = Objects::new();
    nothing.push((REVIEWS, json!({"status": {"allowed": false}})));
    let run = run_on(&nothing, 403, "audit");
    assert!(run.out.starts_with("pods       cannot be listed\ntemplates  cannot be listed\n"), "{}", run.out);
    assert_eq!(document(&run_on(&nothing, 403, "audit -o json"))["clusters"][0]["templates"], Value::Null);
    let run = run_on(&nothing, 403, "release");
    assert!(run.out.starts_with("Templates cannot be listed.\n"), "{}", run.out);
    let run = run_on(&nothing, 403, "release --check");
    assert_eq!(run.code, Some(1), "{}", run.out);
    assert!(run.err.contains("--check cannot be evaluated: no templates can be listed"), "{}", run.err);
    let mut some = cluster();
    some.retain(|(path, _)| *path != OTHER_WORKLOADS[0]);
    let run = run_on(&some, 403, "audit");
    assert!(run.out.contains(" name it too (0.0 %), 1 wrong; some kinds cannot be listed\n"), "{}", run.out);
    let run = run_on(&some, 403, "release --check");
    assert!(
        run.out.starts_with("None of the templates that could be read names a driver's scheduler.\n"),
        "{}",
        run.out
    );
}

#[test]
fn release_searches_for_the_schedulers_of_the_cluster_s_colocate() {
    let other = "drivers: [{name: other, provisioners: [other.example.com], scheduler: other-scheduler}]";
    let mut objects = with_release(other);
    for path in ["/apis/apps/v1/replicasets", "/api/v1/podtemplates"] {
        objects.push((path, list(&[])));
    }
    let none = run_on(&objects, 404, "release --check --strict");
    assert_eq!(none.code, Some(0), "{}{}", none.out, none.err);
    let line = "No template names a driver's scheduler.\nSchedulers: other-scheduler (configuration: ConfigMap system/colocate)\n";
    assert!(none.out.starts_with(line), "{}", none.out);
    let deployments = objects.iter_mut().find(|(path, _)| *path == DEPLOYMENTS).unwrap();
    deployments.1["items"][0]["spec"]["template"]["spec"]["schedulerName"] = "other-scheduler".into();
    let run = run_on(&objects, 404, "release -o json");
    let found = valid_document(&run, include_str!("../../docs/schemas/release.json"));
    assert_eq!(found["templates"][0]["scheduler"], "other-scheduler", "{found:#}");
    assert_eq!(found["configuration"], json!({"source": "cluster", "configMap": "system/colocate"}));
    // A file of the user precedes.
    let folder = Folder::new(&[("own.yaml", "mode: audit\n")]);
    let run = ApiServer::new(&objects, 404).run_command(&folder, "release --config own.yaml");
    assert!(run.out.contains("Schedulers: stork (configuration: as given)\n"), "{}", run.out);
}

#[test]
fn without_pods_there_is_no_percentage() {
    let mut empty = cluster();
    for path in [PODS, DEPLOYMENTS] {
        empty.retain(|(other, _)| *other != path);
        empty.push((path, list(&[])));
    }
    let run = run_on(&empty, 404, "audit --fail-under 100");
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains("0 of 0 name the scheduler that they should name (- %)\n"), "{}", run.out);
    assert_eq!(
        document(&run_on(&empty, 404, "audit -o json"))["clusters"][0]["pods"]["percentAsExpected"],
        Value::Null
    );
}

#[test]
fn pods_that_are_not_sent_are_not_as_expected() {
    let mut objects = cluster();
    let hooks = objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
    hooks.1["items"][0]["webhooks"][0]["namespaceSelector"] = json!({"matchLabels": {"typo": "true"}});
    let pods = objects.iter_mut().find(|(path, _)| *path == PODS).unwrap();
    let wrong = pods.1["items"][0].clone();
    pods.1 = list(&[wrong]);
    let run = run_on(&objects, 404, "audit --fail-under 100");
    assert_eq!(run.code, Some(1), "{}", run.out);
    assert!(run.err.contains("API servers send none of the pods to colocate (1 should be on another"), "{}", run.err);
    assert!(run.out.contains("(- %), 1 not sent to colocate and not counted\n"), "{}", run.out);
    let found = document(&run_on(&objects, 404, "audit -o json"));
    for census in ["pods", "templates"] {
        let census = &found["clusters"][0][census];
        assert_eq!((counts(census), not_sent(census)), ([0, 0, 0, 0], 1), "{found:#}");
    }
}

#[test]
fn pods_that_cannot_be_listed_do_not_pass_a_check() {
    let mut denied = cluster();
    denied.retain(|(path, _)| *path != PODS);
    let run = run_on(&denied, 403, "audit --fail-under 1");
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("--fail-under cannot be evaluated: the pods cannot be listed"), "{}", run.err);
    assert_eq!(document(&run_on(&denied, 403, "audit -o json"))["clusters"][0]["pods"], Value::Null);
}

#[test]
fn a_cluster_that_does_not_answer_does_not_hide_the_others() {
    let run = run_on(&cluster(), 404, "audit --context none --context c -o json");
    let document = document(&run);
    assert!(document["clusters"][0]["error"].as_str().unwrap().contains("none"), "{document}");
    assert_eq!(counts(&document["clusters"][1]["pods"]), [2, 1, 1, 1]);
    assert!(document["seen"].as_array().unwrap().iter().all(|seen| seen["context"] == "c"));
}

#[test]
fn a_missing_right_is_one_line_and_never_a_wrong_count() {
    for (path, resource, expected) in [
        (CLAIMS, "persistentvolumeclaims", [1, 0, 4, 1]),
        (CLASSES, "storageclasses.storage.k8s.io", [1, 0, 4, 1]),
        (NAMESPACES, "namespaces", [2, 0, 3, 1]),
        (WEBHOOKS, "mutatingwebhookconfigurations.admissionregistration.k8s.io", [2, 0, 3, 1]),
        (DEPLOYMENTS, "deployments.apps", [2, 1, 1, 1]),
    ] {
        let mut denied = cluster();
        denied.retain(|(other, _)| *other != path);
        // The other kinds are not served.
        denied.push((path, json!("denied")));
        let run = run_denying(&denied, path);
        let document = document(&run);
        let not_seen = document["notSeen"].as_array().unwrap();
        assert!(not_seen.iter().any(|entry| entry["resource"] == resource && entry["verb"] == "list"), "{not_seen:?}");
        assert_eq!(not_seen.iter().filter(|entry| entry["resource"] == resource).count(), 1, "{not_seen:?}");
        assert_eq!(counts(&document["clusters"][0]["pods"]), expected, "without {resource}: {document:#}");
        // A template is as unknown as its pods.
        let templates = match path {
            CLAIMS | CLASSES | NAMESPACES | WEBHOOKS => [0, 0, 1, 0],
            _ => [0; 4],
        };
        assert_eq!(counts(&document["clusters"][0]["templates"]), templates, "without {resource}: {document:#}");
        // The Deployment of colocate is read in its namespace.
        let is_seen = document["seen"].as_array().unwrap().iter().any(|entry| entry["resource"] == resource);
        assert_eq!(is_seen, path == DEPLOYMENTS, "{resource}");
    }
}

/// Runs an audit in which the API server denies one path and does not serve others.
fn run_denying(objects: &Objects, denied: &str) -> Run {
    let mut objects: Objects = objects.iter().filter(|(path, _)| *path != denied).cloned().collect();
    objects.push(("/apis/portworx.io/v1beta2/volumeplacementstrategies", list(&[])));
    run_on(&objects, 403, "audit -o json")
}

#[test]
fn an_invalid_percentage_is_a_usage_error() {
    for wrong in ["-1", "x", "100.1", "NaN", ""] {
        let run = run_on(&cluster(), 404, &format!("audit --fail-under={wrong}"));
        assert_eq!(run.code, Some(2), "{wrong}");
        assert!(run.err.contains("such as 99.5") || wrong.is_empty(), "{}", run.err);
    }
}

#[test]
fn one_namespace_is_audited_with_the_rights_of_a_namespace() {
    let namespaced = |path: &str| path.replace("/v1/", "/v1/namespaces/db/");
    let objects: Objects = cluster()
        .into_iter()
        .map(|(path, value)| match path {
            PODS | CLAIMS | DEPLOYMENTS => (&*namespaced(path).leak(), value),
            _ if OTHER_WORKLOADS.contains(&path) => (&*namespaced(path).leak(), value),
            NAMESPACES => (
                "/api/v1/namespaces/db",
                json!({"metadata": {"name": "db", "labels": {"kubernetes.io/metadata.name": "db"}}}),
            ),
            _ => (path, value),
        })
        .collect();
    let document = document(&run_on(&objects, 404, "audit -n db -o json"));
    assert_eq!(document["clusters"][0]["namespace"], "db");
    // The pod of kube-system, whose Namespace was not read, is in the scripted list, too.
    assert_eq!(counts(&document["clusters"][0]["pods"]), [2, 1, 2, 1]);
    assert_eq!(document["notSeen"], json!([]));
}

/// Runs `audit -f` with these files on the scripted cluster, with the `ReplicaSets` that it also lists.
fn run_with_files(files: &[(&str, &str)], arguments: &str) -> Run {
    let mut objects = cluster();
    objects.push(("/apis/apps/v1/replicasets", list(&[])));
    let folder = Folder::new(files);
    ApiServer::new(&objects, 404).run_command(&folder, &format!("audit {arguments}"))
}

/// The file of the Deployment `web`, with another image and this claim.
fn web(claim: &str) -> String {
    let volumes = json!([{"name": "d", "persistentVolumeClaim": {"claimName": claim}}]);
    let spec = json!({"containers": [{"name": "main", "image": "a:2"}], "volumes": volumes});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "db"},
        "spec": {"template": {"metadata": {}, "spec": spec}},
    });
    object.to_string()
}

#[test]
fn files_are_laid_over_the_cluster() {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: missing, namespace: db}\nspec: {storageClassName: px-db, accessModes: [ReadWriteOnce]}\n";
    let class =
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: other}\nprovisioner: pxd.portworx.com\n";
    let run = run_with_files(
        &[("a/web.json", &web("px")), ("a/claim.yaml", claim), ("a/class.yaml", class)],
        "-A -o json -f a",
    );
    let document = document(&run);
    let files = &document["clusters"][0]["files"];
    let pods: Vec<_> = files["pods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ["kind", "name", "when", "today", "after"].map(|key| row[key].as_str().unwrap_or("?")))
        .collect();
    let stork = |kind, name, when| [kind, name, when, "default-scheduler", "stork"];
    assert_eq!(pods, [stork("Deployment", "web", "rollout"), stork("Pod", "open", "re-creation")]);
    let workload = &files["workloads"][0];
    // The webhooks are registered for pods only, so the template keeps its scheduler.
    assert_eq!((&workload["when"], &workload["after"]), (&json!("rollout"), &json!("default-scheduler")));
    // The API server would not accept another provisioner, so the pod `other` stays on its scheduler.
    let note = files["notes"][0].as_str().unwrap();
    assert!(note.starts_with("a/class.yaml:1:1: the API server rejects the change of StorageClass other"), "{note}");
    let table = run_with_files(&[("web.json", &web("px"))], "-A -f web.json").out;
    assert!(
        table.contains("\n  db         Deployment/web     1  default-scheduler  stork  rollout  injected\n"),
        "{table}"
    );
}

#[test]
fn files_that_are_not_used_are_named() {
    let web = web("px");
    let duplicate = "apiVersion: v1\nkind: Pod\nkind: Pod\nmetadata: {name: a}\n";
    let template = "metadata:\n  name: {{ .Values.name }}\n";
    let files = [("a/web.json", web.as_str()), ("a/duplicate.yaml", duplicate), ("b/twice.json", web.as_str())];
    let run = run_with_files(&files, "-A -f a,b");
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains("a/duplicate.yaml:3:1: skipped: duplicate key"), "{}", run.out);
    assert!(run.out.contains("Deployment web is described in a/web.json:1:1 and in b/twice.json:1:1"), "{}", run.out);
    assert_eq!(run_with_files(&files, "-A --strict -f a,b").code, Some(3));
    assert_eq!(run_with_files(&files, "-A --strict -f a --exclude duplicate.yaml").code, Some(0));
    let run = run_with_files(&[("a.yaml", template)], "-A --strict -f a.yaml");
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert!(run.out.contains("a.yaml:2:9: skipped: this looks like a template"), "{}", run.out);

    for (files, arguments, code, message) in [
        (&[("a.yaml", "a: [")][..], "-f a.yaml", 1, "a.yaml:1:"),
        (&[("a.yaml", "# nothing\n")], "-f .", 1, "no YAML document found in ."),
        (&[], "-f absent.yaml", 1, "absent.yaml"),
        (&[], "-f https://example.test/a.yaml", 2, "colocate audit -f -"),
        (&[("a.yaml", "")], "-o openreports -f a.yaml", 2, "the reports are about the live cluster"),
        (&[], "-o openreports --context a --context b", 2, "the reports are for one cluster"),
    ] {
        let run = run_with_files(files, arguments);
        assert_eq!(run.code, Some(code), "{arguments}: {}{}", run.out, run.err);
        assert!(run.err.contains(message), "{arguments}: {}", run.err);
    }
}

#[test]
fn reports_have_pods_by_workload_and_findings() {
    let run = run_on(&cluster(), 404, "audit -o openreports");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let reports: Vec<Value> =
        run.out.split("---\n").skip(1).map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    let places: Vec<_> = reports.iter().map(|report| (&report["kind"], &report["metadata"]["namespace"])).collect();
    let (report, null) = (json!("Report"), Value::Null);
    let (db, system, of_cluster) = (json!("db"), json!("kube-system"), json!("ClusterReport"));
    assert_eq!(places, [(&report, &db), (&report, &system), (&of_cluster, &null)]);
    assert_eq!(reports[0]["summary"], json!({"pass": 2, "fail": 2, "warn": 0, "error": 1, "skip": 1}));
    assert_eq!(reports[1]["summary"], json!({"pass": 0, "fail": 0, "warn": 0, "error": 0, "skip": 1}));
    let not_sent = &reports[1]["results"][0];
    assert_eq!((&not_sent["rule"], &not_sent["result"]), (&json!("not-sent"), &json!("skip")));
    assert_eq!(not_sent["resources"], json!([{"kind": "Namespace", "name": "kube-system"}]));
    let results: Vec<_> = reports[0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| ["policy", "rule", "result"].map(|key| result[key].as_str().unwrap()))
        .collect();
    let expected =
        [["scheduler", "injected", "fail"], ["scheduler", "claim-missing", "error"], ["annotations", "HC001", "fail"]];
    assert_eq!(results, expected);
    let web = json!([{"kind": "Deployment", "namespace": "db", "name": "web"}]);
    assert_eq!((&reports[0]["results"][0]["resources"], &reports[0]["results"][2]["resources"]), (&web, &web));
}

/// The target for 10,000 pods. The target for their time, 10 s on 2 cores, is for a release build.
const MAX_MEMORY: u64 = 150_000_000;

/// The kernel counts CPU time in ticks of this many milliseconds.
const TICK: u64 = 10;

/// An audit of many pods, one in five of which is wrong.
struct Measured {
    took: Duration,
    cpu: Duration,
    /// The largest resident memory in bytes.
    peak: u64,
}

impl Measured {
    /// Audits that many pods, each with its claim. Their names and Namespaces replace words in `pod`.
    fn new(pod: &Value, pods: u64) -> Self {
        let claim = json!({
            "metadata": {"name": "claim-NUMBER", "namespace": "team-TEAM"},
            "spec": {"storageClassName": "px-db", "accessModes": ["ReadWriteOnce"]},
        });
        let labels = json!({"kubernetes.io/metadata.name": "team-TEAM"});
        let namespace = json!({"metadata": {"name": "team-TEAM", "labels": labels}});
        let many = |object: &Value, count: u64| -> Vec<String> {
            let text = object.to_string();
            let replaced = (0..count).map(|number| {
                let scheduler = if number % 5 == 0 { "default-scheduler" } else { "stork" };
                let text = text.replace("NUMBER", &number.to_string()).replace("SCHEDULER", scheduler);
                text.replace("TEAM", &(number % 300).to_string())
            });
            replaced.collect()
        };
        let lists = vec![(PODS, many(pod, pods)), (CLAIMS, many(&claim, pods)), (NAMESPACES, many(&namespace, 300))];
        let folder = Folder::new(&[]);
        let server = ApiServer::with_lists(&cluster(), lists, 404);
        server.write_kubeconfig(&folder);

        let began = Instant::now();
        let mut child = program::command()
            .args(["audit", "-o", "json", "--kubeconfig"])
            .arg(folder.path("kubeconfig"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        // The document is larger than a pipe, so the process waits until it is read.
        let mut text = vec![0];
        out.read_exact(&mut text).unwrap();
        let took = began.elapsed();
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let peak =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse::<u64>().ok());
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        // The fields after the name, which is in parentheses: user and system time are the 12th and 13th.
        let times = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        let cpu = Duration::from_millis(times.map(|ticks| ticks.parse::<u64>().unwrap() * TICK).sum());
        out.read_to_end(&mut text).unwrap();
        assert!(child.wait().unwrap().success());
        let document: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(counts(&document["clusters"][0]["pods"]), [pods / 5 * 4, pods / 5, 0, 0]);
        Self { took, cpu, peak: peak.expect("the process waits") * 1024 }
    }
}

#[test]
fn memory_does_not_grow_with_the_number_of_pods() {
    // Long, and cheap to read.
    let metadata = json!({"namespace": "team-TEAM", "annotations": {"long": "x".repeat(16_000)}});
    let pod = pod("pod-NUMBER", "SCHEDULER", "claim-NUMBER", &metadata);
    // One page and three.
    let [one, three] = [500, 1_500].map(|pods| Measured::new(&pod, pods).peak);
    println!("500 pods of 16 kB: {} MB, 1,500: {} MB", one / 1_000_000, three / 1_000_000);
    // The objects of the other pages have 16 MB.
    assert!(three < one + 4_000_000, "{one} and {three} bytes");
}

#[test]
#[ignore = "a measurement, of 40 s in a debug build: `make bench-audit`"]
fn ten_thousand_pods_take_little_memory() {
    let managed = |manager: &str, operation: &str| {
        let fields: Value = (0..120)
            .map(|number| (format!("f:field-{number}"), json!({"f:value": {}})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        json!({"manager": manager, "operation": operation, "time": "2026-11-30T00:00:00Z", "fieldsV1": {"f:metadata": fields}})
    };
    let fields = json!([managed("kube-controller-manager", "Update"), managed("kubelet", "Update")]);
    let pod =
        pod("pod-NUMBER", "SCHEDULER", "claim-NUMBER", &json!({"managedFields": fields, "namespace": "team-TEAM"}));
    let size = pod.to_string().len();
    assert!(size > 4_000, "a pod has {size} bytes; real ones have 5 to 10 kB");
    let Measured { took, cpu, peak } = Measured::new(&pod, 10_000);
    println!("10,000 pods of {size} bytes: {took:.1?}, {cpu:.1?} of CPU time, {} MB", peak / 1_000_000);
    assert!(peak < MAX_MEMORY, "{peak} bytes");
}

#[test]
fn a_repair_plan_evicts_only_what_a_new_pod_would_improve() {
    let plan = |objects: &Objects| run_on(objects, 404, "audit --repair-plan --context c").out;
    let eviction = "kubectl --context=c create --raw /api/v1/namespaces/db/pods/web-5d4-a/eviction -f -";
    assert!(plan(&cluster()).contains(eviction), "{}", plan(&cluster()));
    assert!(plan(&cluster()).contains("# 1 pod in 1 round; nothing has been run\n"), "{}", plan(&cluster()));
    // This command has no options for the cluster.
    let probe = "# check first, with KUBECONFIG and the current context of this cluster, that API servers call colocate: colocate probe";
    assert!(plan(&cluster()).contains(probe), "{}", plan(&cluster()));
    for (objects, why) in [
        (with_release("mode: audit"), "# no plan: the configuration says mode: audit,"),
        (with_release("mode: off"), "# no plan: the configuration says mode: off,"),
        (without_release(), "# no plan: the configuration of colocate is not known,"),
        (with_condition("object.metadata.name != 'web-5d4-a'"), "(the match condition `edited` is false)"),
    ] {
        let script = plan(&objects);
        assert!(script.lines().all(|line| line.is_empty() || line.starts_with('#')), "{script}");
        assert!(script.contains(why), "{why}: {script}");
    }
    // A file is what the user says the configuration is, whatever the cluster's colocate says.
    let folder = Folder::new(&[("a.yaml", "mode: inject")]);
    let of_file = ApiServer::new(&with_release("mode: audit"), 404)
        .run_command(&folder, "audit --repair-plan --context c --config a.yaml");
    assert!(of_file.out.contains(eviction), "{}", of_file.out);
    let comment = "# configuration: the file of --config; if colocate runs with another one, new pods may get the same scheduler\n";
    assert!(of_file.out.contains(comment), "{}", of_file.out);
    assert!(plan(&cluster()).contains("# configuration: ConfigMap system/colocate\n"));
    // What cannot be evaluated does not prevent an eviction.
    let unknown = with_condition("request.userInfo.username != 'a'");
    assert!(plan(&unknown).contains(eviction), "{}", plan(&unknown));
}

/// The cluster with a match condition of colocate's webhook.
fn with_condition(expression: &str) -> Objects {
    let mut objects = cluster();
    let webhooks = objects.iter_mut().find(|(path, _)| *path == WEBHOOKS).unwrap();
    webhooks.1["items"][0]["webhooks"][0]["matchConditions"] = json!([{"name": "edited", "expression": expression}]);
    objects
}
