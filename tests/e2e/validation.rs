//! Warnings at `kubectl apply` about annotations that Stork would not read as intended.

use colocate_harness::{
    Account, AuditLog, COLOCATE, Colocate, ControlPlane, Namespace, Namespaces, OTHER_CLASS, PORTWORX_CLASS, Rule,
    VALIDATING_WEBHOOK,
};
use serde_json::json;

const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";

/// A Deployment with these annotations on itself and on its template. It mounts the claim `data`.
fn deployment(own: &str, template: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, annotations: {{{own}}}}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}, annotations: {{{template}}}}}
    spec:
      containers: [{{name: main, image: example.test/main:1}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
"
    )
}

/// Starts a colocate that validates and mutates the objects of the namespace, as it does in a cluster.
fn register(namespace: &Namespace, config: &str) -> Colocate {
    let colocate = Colocate::register(namespace, config);
    colocate.validate(namespace.kubectl(), namespace.name());
    colocate
}

#[test]
fn findings_are_reported_once_with_their_place_and_fix() {
    let namespace = Namespace::new("validate-warn");
    namespace.add_claim("data", PORTWORX_CLASS);
    let colocate = register(&namespace, "");
    let disabled = "stork.libopenstorage.org/disableHyperconvergence: 'true'";

    let stderr = namespace.apply(&deployment(disabled, &format!("{LOCAL_ONLY}: 'yes'"))).stderr;

    for part in [
        "Warning: colocate: HC001: spec.template.metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]: `yes` is not a boolean",
        "use \"true\" or \"false\"",
        "Warning: colocate: HC005: metadata.annotations[stork.libopenstorage.org/disableHyperconvergence]: ",
        "move it to spec.template.metadata.annotations",
    ] {
        assert!(stderr.contains(part), "{part}\n{stderr}");
    }
    assert_eq!(stderr.lines().count(), 2, "{stderr}");

    // Its ReplicaSet and its pod were reviewed too, but created by a controller, so neither causes a warning.
    let pod = namespace.running_pod("-l app=web");
    assert_eq!((pod.scheduler(), pod.annotation(LOCAL_ONLY)), ("stork", "yes"));
    let passed = |why: &str| colocate.metric(&format!("colocate_validations_total{{result=\"{why}\"}}"));
    assert!(passed("control-plane") >= 2);
    assert_eq!(passed("warned"), 1);
    assert_eq!(colocate.metric("colocate_findings_total{rule=\"HC001\",severity=\"error\"}"), 1);

    // A finding that existed before the change is not repeated; a new one is reported.
    let stderr = namespace.run("set image deployment/web main=example.test/main:2").stderr;
    assert_eq!(stderr, "");
    let stderr = namespace.apply(&deployment("", &format!("{LOCAL_ONLY}: 'no'"))).stderr;
    assert!(stderr.contains("HC001") && stderr.contains("`no`") && !stderr.contains("HC005"), "{stderr}");

    let event = AuditLog::follow().event("create", "deployments", namespace.name(), "web", 201);
    assert_eq!(event["annotations"][&format!("{VALIDATING_WEBHOOK}/findings")], "HC001 HC005");
}

#[test]
fn enforce_denies_new_errors_and_leaves_existing_objects_alone() {
    let namespace = Namespace::new("validate-enforce");
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.apply(&deployment("", &format!("{LOCAL_ONLY}: 'yes'")).replace("name: web", "name: before"));
    namespace.run(r#"patch deployment/before --type=merge -p {"metadata":{"finalizers":["example.test/hold"]}}"#);
    let colocate = register(&namespace, "validation: {mode: enforce}\n");

    let bad = deployment(
        &format!("{LOCAL_ONLY}: 'true'"),
        "stork.libopenstorage.org/preferlocalNodeOnly: 'true', stork.libopenstorage.org/preferRemoteNode: 'false'",
    );
    let denied = namespace.kubectl().attempt("apply -f -", &bad);

    assert!(!denied.succeeded);
    for part in [
        "denied the request: 3 problems in the hyperconvergence annotations:",
        "- error: HC003: spec.template.metadata.annotations[stork.libopenstorage.org/preferlocalNodeOnly]: ",
        "did you mean stork.libopenstorage.org/preferLocalNodeOnly?",
        "- error: HC005: metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]: ",
        "- error: HC006: spec.template.metadata.annotations[stork.libopenstorage.org/preferRemoteNode]: ",
    ] {
        assert!(denied.stderr.contains(part), "{part}\n{}", denied.stderr);
    }
    assert!(namespace.list("deployments").iter().all(|deployment| deployment.name() == "before"));
    assert_eq!(colocate.metric("colocate_validations_total{result=\"denied\"}"), 1);

    // A warning does not deny, and a correct object causes no warnings.
    let unknown = deployment("", "stork.libopenstorage.org/scheduling-weight: '3'");
    assert!(namespace.apply(&unknown).stderr.contains("HC004"));
    assert_eq!(namespace.apply(&deployment("", &format!("{LOCAL_ONLY}: 'true'"))).stderr, "");

    // Existing objects keep running, can be changed in other ways, and can be deleted.
    namespace.run("label deployment/before touched=yes");
    namespace.run("set image deployment/before main=example.test/main:2");
    namespace.run("scale deployment/before --replicas=2");
    namespace.run("rollout status deployment/before --timeout=60s");
    let worse = r#"patch deployment/before --type=json -p [{"op":"add","path":"/spec/template/metadata/annotations/stork.libopenstorage.org~1preferLocalNodeOnly","value":"no"}]"#;
    assert!(!namespace.kubectl().attempt(worse, "").succeeded);
    namespace.run("delete deployment/before --wait=false --cascade=background");
    namespace.run(r#"patch deployment/before --type=merge -p {"metadata":{"finalizers":null}}"#);
    namespace.run("wait --for=delete deployment/before --timeout=60s");
}

#[test]
fn claims_classes_and_namespaces_are_validated_at_creation() {
    let namespace = Namespace::new("validate-storage");
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.add_claim("logs", PORTWORX_CLASS);
    let colocate = register(&namespace, "");
    let remote_only = "stork.libopenstorage.org/preferRemoteNodeOnly: 'true'";

    let class = |name: &str, provisioner: &str| {
        format!(
            "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: validate-storage-{name}}}\nprovisioner: {provisioner}\nparameters: {{shared: 'true', {remote_only}}}\n"
        )
    };
    let stderr = namespace.apply(&class("px", "pxd.portworx.com")).stderr;
    assert!(stderr.contains("HC018: parameters[stork.libopenstorage.org/preferRemoteNodeOnly]"), "{stderr}");
    let stderr = namespace.apply(&class("other", "other.example.test")).stderr;
    assert!(stderr.contains("HC019") && stderr.contains("the provisioner is `other.example.test`"), "{stderr}");

    let claim = |class: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {class}, annotations: {{{remote_only}}}}}\nspec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
        )
    };
    let stderr = namespace.apply(&claim(PORTWORX_CLASS)).stderr;
    assert!(stderr.contains("HC018: metadata.annotations["), "{stderr}");
    let stderr = namespace.apply(&claim(OTHER_CLASS)).stderr;
    assert!(stderr.contains("HC019"), "{stderr}");

    let output =
        namespace.run("label namespace validate-storage stork.libopenstorage.org/disable-admission-controller=yes");
    assert!(output.stderr.contains("HC024: metadata.labels["), "{}", output.stderr);

    let stateful = format!(
        "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}, annotations: {{{LOCAL_ONLY}: 'true'}}}}
    spec:
      containers: [{{name: main, image: example.test/main:1}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
  volumeClaimTemplates:
  - metadata: {{name: own, annotations: {{{LOCAL_ONLY}: 'true'}}}}
    spec: {{storageClassName: {PORTWORX_CLASS}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
"
    );
    let stderr = namespace.apply(&stateful).stderr;
    assert!(stderr.contains("HC007: spec.volumeClaimTemplates[0].metadata.annotations["), "{stderr}");
    assert!(stderr.contains("HC015: spec.template.metadata.annotations["), "{stderr}");
    // The claim that the controller creates from the template has the annotation too, and does not cause another warning.
    namespace.run("wait --for=create pvc/own-db-0 --timeout=60s");
    assert_eq!(colocate.metric("colocate_findings_total{rule=\"HC007\""), 1);
}

#[test]
fn unchecked_findings_name_the_missing_permission() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("validate-unknown");
    let rights: Vec<Rule> = COLOCATE.iter().filter(|rule| !rule.is_on("volumeplacementstrategies")).cloned().collect();
    let account = Account::new(control_plane, namespace.name(), "colocate", &rights);
    let colocate = Colocate::start_as(&account, control_plane, namespace.name(), "");
    colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));
    colocate.validate(namespace.kubectl(), namespace.name());

    let stderr = namespace.apply(&deployment("", &format!("{LOCAL_ONLY}: 'true'"))).stderr;
    assert!(stderr.contains("HC013: spec.template.metadata.annotations["), "{stderr}");
    assert!(stderr.contains("could not be checked: claim `data` does not exist"), "{stderr}");

    let class = |name: &str, strategy: &str| {
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": format!("validate-unknown-{name}")},
            "provisioner": "pxd.portworx.com",
            "parameters": {"placement_strategy": strategy},
        })
        .to_string()
    };
    let stderr = namespace.apply(&class("forbidden", "together")).stderr;
    assert!(stderr.contains("HC020: parameters[placement_strategy]: could not be checked"), "{stderr}");
    colocate.wait_for_line("(grant the verb `list` on `volumeplacementstrategies.portworx.io`)");

    account.grant(COLOCATE);
    // As long as the CRD does not exist, nothing is reported, which also shows that the permission is in effect.
    let mut attempts = 0;
    while !namespace.apply(&class(&format!("no-kind-{attempts}"), "together")).stderr.is_empty() {
        attempts += 1;
        assert!(attempts < 200, "the permission never took effect");
    }

    namespace.run("create -f tests/fixtures/portworx/volumeplacementstrategies-crd.yaml");
    namespace.run("wait --for=condition=Established crd/volumeplacementstrategies.portworx.io --timeout=60s");
    let strategy =
        "apiVersion: portworx.io/v1beta2\nkind: VolumePlacementStrategy\nmetadata: {name: together}\nspec: {}\n";
    while !namespace.kubectl().attempt("apply -f -", strategy).succeeded {}
    let stderr = namespace.apply(&class("missing", "togther")).stderr;
    assert!(
        stderr.contains("HC020: parameters[placement_strategy]: VolumePlacementStrategy `togther` does not exist"),
        "{stderr}"
    );
    assert!(stderr.contains("such as together"), "{stderr}");
    assert_eq!(namespace.apply(&class("there", "together")).stderr, "");
}
