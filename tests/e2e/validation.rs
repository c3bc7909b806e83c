//! What a person is told at `kubectl apply` about annotations that Stork would not read as they were meant.

use colocate_harness::{
    Account, AuditLog, COLOCATE, Colocate, ControlPlane, Namespace, Namespaces, OTHER_CLASS, PORTWORX_CLASS, Rule,
    VALIDATING_WEBHOOK,
};
use serde_json::json;

const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";

/// A Deployment with these annotations of its own and of its template, that mounts the claim `data`.
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

/// One that validates what comes into the namespace, and mutates it too, as it does in a cluster.
fn register(namespace: &Namespace, config: &str) -> Colocate {
    let colocate = Colocate::register(namespace, config);
    colocate.validate(namespace.kubectl(), namespace.name());
    colocate
}

#[test]
fn a_mistyped_value_and_a_misplaced_key_are_warned_of_once_with_their_place_and_remedy() {
    let namespace = Namespace::new("validate-warn");
    namespace.add_claim("data", PORTWORX_CLASS);
    let colocate = register(&namespace, "");
    let disabled = "stork.libopenstorage.org/disableHyperconvergence: 'true'";

    let told = namespace.apply(&deployment(disabled, &format!("{LOCAL_ONLY}: 'yes'"))).stderr;

    for part in [
        "Warning: colocate: HC001: spec.template.metadata.annotations[stork.libopenstorage.org/preferLocalNodeOnly]: `yes` is no boolean to Stork",
        "write \"true\" or \"false\"",
        "Warning: colocate: HC005: metadata.annotations[stork.libopenstorage.org/disableHyperconvergence]: ",
        "write it in spec.template.metadata.annotations",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert_eq!(told.lines().count(), 2, "{told}");

    // Its ReplicaSet and its pod were asked about, and are nobody's business.
    let pod = namespace.running_pod("-l app=web");
    assert_eq!((pod.scheduler(), pod.annotation(LOCAL_ONLY)), ("stork", "yes"));
    let passed = |why: &str| colocate.metric(&format!("colocate_validations_total{{result=\"{why}\"}}"));
    assert!(passed("control-plane") >= 2);
    assert_eq!(passed("warned"), 1);
    assert_eq!(colocate.metric("colocate_findings_total{rule=\"HC001\",severity=\"error\"}"), 1);

    // What is no news is not said again, and what is, is.
    let told = namespace.run("set image deployment/web main=example.test/main:2").stderr;
    assert_eq!(told, "");
    let told = namespace.apply(&deployment("", &format!("{LOCAL_ONLY}: 'no'"))).stderr;
    assert!(told.contains("HC001") && told.contains("`no`") && !told.contains("HC005"), "{told}");

    let event = AuditLog::follow().event("create", "deployments", namespace.name(), "web", 201);
    assert_eq!(event["annotations"][&format!("{VALIDATING_WEBHOOK}/findings")], "HC001 HC005");
}

#[test]
fn where_findings_are_enforced_all_of_them_deny_together_and_nothing_that_runs_is_stopped() {
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

    // A warning denies nothing, and a good one is told nothing.
    let unknown = deployment("", "stork.libopenstorage.org/scheduling-weight: '3'");
    assert!(namespace.apply(&unknown).stderr.contains("HC004"));
    assert_eq!(namespace.apply(&deployment("", &format!("{LOCAL_ONLY}: 'true'"))).stderr, "");

    // What was there before goes on, changes in other ways, and goes.
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
fn claims_classes_and_namespaces_are_validated_where_they_are_made() {
    let namespace = Namespace::new("validate-storage");
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.add_claim("logs", PORTWORX_CLASS);
    let colocate = register(&namespace, "");
    let remote_only = "stork.libopenstorage.org/preferRemoteNodeOnly: 'true'";

    let class = |name: &str, provisioner: &str| {
        format!(
            "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: validate-storage-{name}}}\nprovisioner: {provisioner}\nparameters: {{{remote_only}}}\n"
        )
    };
    let told = namespace.apply(&class("px", "pxd.portworx.com")).stderr;
    assert!(told.contains("HC018: parameters[stork.libopenstorage.org/preferRemoteNodeOnly]"), "{told}");
    let told = namespace.apply(&class("other", "other.example.test")).stderr;
    assert!(told.contains("HC019") && told.contains("the provisioner is `other.example.test`"), "{told}");

    let claim = |class: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {class}, annotations: {{{remote_only}}}}}\nspec: {{storageClassName: {class}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
        )
    };
    let told = namespace.apply(&claim(PORTWORX_CLASS)).stderr;
    assert!(told.contains("HC018: metadata.annotations["), "{told}");
    let told = namespace.apply(&claim(OTHER_CLASS)).stderr;
    assert!(told.contains("HC019"), "{told}");

    let told =
        namespace.run("label namespace validate-storage stork.libopenstorage.org/disable-admission-controller=yes");
    assert!(told.stderr.contains("HC024: metadata.labels["), "{}", told.stderr);

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
    let told = namespace.apply(&stateful).stderr;
    assert!(told.contains("HC007: spec.volumeClaimTemplates[0].metadata.annotations["), "{told}");
    assert!(told.contains("HC015: spec.template.metadata.annotations["), "{told}");
    // The claim that the controller makes of it carries the annotation, and nobody is told again.
    namespace.run("wait --for=create pvc/own-db-0 --timeout=60s");
    assert_eq!(colocate.metric("colocate_findings_total{rule=\"HC007\""), 1);
}

#[test]
fn what_is_not_known_is_said_and_the_right_that_is_missing_is_named() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("validate-unknown");
    let rights: Vec<Rule> = COLOCATE.iter().filter(|rule| !rule.is_on("volumeplacementstrategies")).cloned().collect();
    let account = Account::new(control_plane, namespace.name(), "colocate", &rights);
    let colocate = Colocate::start_as(&account, control_plane, namespace.name(), "");
    colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));
    colocate.validate(namespace.kubectl(), namespace.name());

    let told = namespace.apply(&deployment("", &format!("{LOCAL_ONLY}: 'true'"))).stderr;
    assert!(told.contains("HC013: spec.template.metadata.annotations["), "{told}");
    assert!(told.contains("could not be checked: claim `data` does not exist"), "{told}");

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
    let told = namespace.apply(&class("forbidden", "together")).stderr;
    assert!(told.contains("HC020: parameters[placement_strategy]: could not be checked"), "{told}");
    colocate.wait_for_line("(grant the verb `list` on `volumeplacementstrategies.portworx.io`)");

    account.grant(COLOCATE);
    // Without the kind there is nothing to say, which is also how the right is seen to have come.
    let mut made = 0;
    while !namespace.apply(&class(&format!("no-kind-{made}"), "together")).stderr.is_empty() {
        made += 1;
        assert!(made < 200, "the right never came");
    }

    namespace.run("create -f tests/fixtures/portworx/volumeplacementstrategies-crd.yaml");
    namespace.run("wait --for=condition=Established crd/volumeplacementstrategies.portworx.io --timeout=60s");
    let strategy =
        "apiVersion: portworx.io/v1beta2\nkind: VolumePlacementStrategy\nmetadata: {name: together}\nspec: {}\n";
    while !namespace.kubectl().attempt("apply -f -", strategy).succeeded {}
    let told = namespace.apply(&class("missing", "togther")).stderr;
    assert!(
        told.contains("HC020: parameters[placement_strategy]: there is no VolumePlacementStrategy `togther`"),
        "{told}"
    );
    assert!(told.contains("such as together"), "{told}");
    assert_eq!(namespace.apply(&class("there", "together")).stderr, "");
}
