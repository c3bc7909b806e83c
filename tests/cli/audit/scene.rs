//! A cluster for `colocate audit`, as a scripted API server shows it.

use colocate_harness::{ApiServer, Folder, Run};
use serde_json::{Value, json};

pub(super) const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
pub(super) const PODS: &str = "/api/v1/pods";
pub(super) const CLAIMS: &str = "/api/v1/persistentvolumeclaims";
pub(super) const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
pub(super) const NAMESPACES: &str = "/api/v1/namespaces";
pub(super) const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";
pub(super) const OTHER_WORKLOADS: [&str; 6] = [
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/replicasets",
    "/api/v1/replicationcontrollers",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
];
pub(super) const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

pub(super) const CONFIG_MAP: &str = "/api/v1/namespaces/system/configmaps/colocate";
pub(super) const RELEASE: &str = "/apis/apps/v1/namespaces/system/deployments";

pub(super) type Objects = Vec<(&'static str, Value)>;

pub(super) fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
}

pub(super) fn pod(name: &str, scheduler: &str, claim: &str, metadata: &Value) -> Value {
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
pub(super) fn cluster() -> Objects {
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

pub(super) fn release_labels() -> Value {
    json!({"app.kubernetes.io/name": "colocate", "app.kubernetes.io/instance": "colocate"})
}

/// The cluster with a webhook of colocate that is not of the chart.
pub(super) fn without_release() -> Objects {
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

pub(super) fn run_on(objects: &Objects, otherwise: u16, arguments: &str) -> Run {
    let folder = Folder::new(&[]);
    ApiServer::new(objects, otherwise).run_command(&folder, arguments)
}

/// Returns the document of an audit, which matches its schema.
pub(super) fn document(run: &Run) -> Value {
    valid_document(run, include_str!("../../../docs/schemas/audit.json"))
}

/// Returns the document, which matches the schema.
pub(super) fn valid_document(run: &Run, schema: &str) -> Value {
    let document: Value =
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err));
    let schema: Value = serde_json::from_str(schema).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    document
}

pub(super) fn counts(census: &Value) -> [u64; 4] {
    ["asExpected", "wrong", "unknown", "ended"].map(|key| census[key].as_u64().unwrap())
}

pub(super) fn not_sent(census: &Value) -> u64 {
    census["notSent"].as_u64().unwrap()
}

/// The cluster with this configuration of colocate. The list of all Deployments includes that of colocate.
pub(super) fn with_release(config: &str) -> Objects {
    let mut objects = cluster();
    let object = |objects: &Objects, path| objects.iter().position(|(other, _)| *other == path).unwrap();
    let (all, own) = (object(&objects, DEPLOYMENTS), object(&objects, RELEASE));
    let deployment = objects[own].1["items"][0].clone();
    objects[all].1["items"].as_array_mut().unwrap().push(deployment);
    let map = object(&objects, CONFIG_MAP);
    objects[map].1["data"]["config.yaml"] = config.into();
    objects
}
