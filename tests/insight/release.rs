//! `colocate release`: what colocate set is found, explained and removed, and nothing else is touched.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use colocate_harness::{
    Account, Colocate, ControlPlane, Folder, Helm, Namespace, PORTWORX_CLASS, Rule, Run, WAIT_TIMEOUT, fixture,
};
use serde_json::Value;

const CONFIG: &str = "
customWorkloads:
- {group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template, update: true}
";

/// A Job that has not ended. That of `kinds.yaml` ends at once.
const SUSPENDED_JOB: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: waiting}
spec:
  suspend: true
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: 'example.test/main:1'}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

/// Everything that the command lists.
const KINDS: [(&str, &str); 9] = [
    ("", "replicationcontrollers"),
    ("", "podtemplates"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("argoproj.io", "rollouts"),
];

/// A Deployment whose pod spec has these further fields.
fn deployment(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      {spec}
      containers: [{{name: main, image: 'example.test/main:1'}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
"
    )
}

/// Installs a chart with these Deployments like Helm 3, which records its manifests in Secrets only.
fn install(control_plane: &ControlPlane, namespace: &Namespace, release: &str, deployments: &[&str]) {
    let chart = Folder::new(&[
        ("Chart.yaml", "{apiVersion: v2, name: shop, version: 1.0.0}"),
        ("templates/all.yaml", &deployments.join("---\n")),
    ]);
    let line = format!("install {release} {} --server-side=false", chart.root().display());
    Helm::new(control_plane, namespace).run(&line);
}

fn release(kubeconfig: &Path, arguments: &str) -> Run {
    let folder = Folder::new(&[("colocate.yaml", CONFIG)]);
    folder.run(&format!("release --config colocate.yaml --kubeconfig {} {arguments}", kubeconfig.display()))
}

/// Runs the command for its document, which matches the schema.
fn document(kubeconfig: &Path, arguments: &str) -> (Option<i32>, Value) {
    let run = release(kubeconfig, &format!("-o json {arguments}"));
    let document: Value =
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err));
    let schema: Value = serde_json::from_str(include_str!("../../docs/schemas/release.json")).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> =
        schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    (run.code, document)
}

/// Returns the action for each object, by kind and name.
fn actions(document: &Value) -> BTreeMap<String, String> {
    let word = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    let templates = document["templates"].as_array().unwrap().iter();
    templates.map(|entry| (format!("{}/{}", word(entry, "kind"), word(entry, "name")), word(entry, "action"))).collect()
}

fn map(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    rows.iter().map(|(object, action)| ((*object).to_owned(), (*action).to_owned())).collect()
}

#[test]
fn release_leaves_no_template_behind() {
    let control_plane = ControlPlane::shared();
    let kubeconfig = control_plane.kubeconfig();
    let namespace = Namespace::new("release");
    namespace.add_claim("data", PORTWORX_CLASS);
    let _colocate = Colocate::register(&namespace, CONFIG);
    namespace.apply(&fixture("kinds.yaml"));
    namespace.run("wait job/example --for=condition=complete --timeout=60s");
    namespace.apply(SUSPENDED_JOB);
    namespace.apply(&fixture("argo/rollout.yaml"));
    namespace.apply(&deployment("named", "schedulerName: stork"));
    namespace.kubectl().feed("apply --server-side -f -", &deployment("declared", ""));
    namespace.kubectl().feed("create -f -", &deployment("created", ""));
    let named_by_helm = deployment("named-by-helm", "schedulerName: stork");
    install(control_plane, &namespace, "shop", &[&deployment("helmed", ""), &named_by_helm]);
    let rollout = namespace.get("rollouts.argoproj.io/example");
    let running = namespace.running_pods("", 11);
    assert!(running.iter().all(|pod| pod.scheduler() == "stork"), "{running:?}");

    let found = map(&[
        ("CronJob/example", "release"),
        ("DaemonSet/example", "release"),
        ("Deployment/created", "unknown"),
        ("Deployment/declared", "release"),
        ("Deployment/example", "release"),
        ("Deployment/helmed", "release"),
        ("Deployment/named", "keep"),
        ("Deployment/named-by-helm", "keep"),
        ("Job/waiting", "reject"),
        ("PodTemplate/example", "release"),
        ("ReplicaSet/example", "release"),
        ("ReplicationController/example", "release"),
        ("Rollout/example", "release"),
        ("StatefulSet/example", "release"),
    ]);
    let (code, before) = document(kubeconfig, "-n release --check --strict");
    assert_eq!((code, actions(&before)), (Some(4), found.clone()), "{before:#}");
    let helmed = before["templates"].as_array().unwrap().iter().find(|entry| entry["name"] == "helmed").unwrap();
    assert_eq!(helmed["helmRelease"]["revision"], 1);

    // While colocate is registered, it would set the scheduler again.
    let run = release(kubeconfig, "-n release --apply --yes");
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    assert!(run.err.contains("nothing was changed: a webhook would set the scheduler of "), "{}", run.err);
    assert_eq!(actions(&document(kubeconfig, "-n release").1), found);

    namespace.run("delete mutatingwebhookconfigurations zz-colocate-release");
    let began = Instant::now();
    let probe = deployment("probe", "");
    let show = "create --dry-run=server -f - -o jsonpath={.spec.template.spec.schedulerName}";
    while namespace.kubectl().attempt(show, &probe).stdout != "default-scheduler" {
        assert!(began.elapsed() < WAIT_TIMEOUT, "the API server still calls colocate");
    }
    let run = release(kubeconfig, "-n release --apply --yes --strict --timeout 60s");
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.out.contains("5 of these changes cause a rollout"), "{}", run.out);
    for line in [
        "CronJob release/example: released\n",
        "Deployment release/helmed: released, and its pods have been replaced\n",
        "StatefulSet release/example: released, and its pods have been replaced\n",
    ] {
        assert!(run.out.contains(line), "{line}: {}", run.out);
    }

    let left = map(&[
        ("Deployment/created", "unknown"),
        ("Deployment/named", "keep"),
        ("Deployment/named-by-helm", "keep"),
        ("Job/waiting", "reject"),
    ]);
    let (code, after) = document(kubeconfig, "-n release --check");
    assert_eq!((code, actions(&after)), (Some(0), left), "{after:#}");
    for selector in ["deployment", "statefulset", "daemonset", "declared", "helmed"] {
        let pods = namespace.list(&format!("pods -l app={selector}"));
        let mut running = pods.iter().filter(|pod| pod.runs());
        assert!(running.all(|pod| pod.scheduler() == "default-scheduler"), "{selector}: {pods:?}");
    }
    // Nothing else in the objects has changed.
    let mut expected = rollout.0["spec"].clone();
    expected["template"]["spec"].as_object_mut().unwrap().remove("schedulerName");
    assert_eq!(namespace.get("rollouts.argoproj.io/example").0["spec"], expected);
    assert_eq!(namespace.get("deployment/named").scheduler(), "stork");

    let run = release(kubeconfig, "deploy/created -n release --apply --yes");
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert_eq!(namespace.get("deployment/created").scheduler(), "default-scheduler");
    let run = release(kubeconfig, "deploy/created -n release --apply --yes");
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    assert!(run.err.contains("deploy/created in namespace release has no template to release"), "{}", run.err);
}

#[test]
fn the_commands_change_only_what_has_not_changed_since() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("release-commands");
    for name in ["one", "two", "three"] {
        namespace.apply(&deployment(name, "").replace("replicas: 1", "replicas: 0"));
        // The object is as after an injection: the manifest that was applied last does not name the scheduler.
        set_scheduler(&namespace, name, "stork");
    }
    let run = release(control_plane.kubeconfig(), "-n release-commands -o commands");
    assert_eq!((run.code, &*run.err), (Some(0), ""));
    let commands: Vec<_> = run.out.lines().collect();
    assert_eq!(commands.len(), 3, "{}", run.out);

    set_scheduler(&namespace, "two", "volcano");
    namespace.run("delete deployment/three");
    namespace.apply(&deployment("three", "schedulerName: stork").replace("replicas: 1", "replicas: 0"));
    let results = commands.iter().map(|command| bash(control_plane, command));
    assert_eq!(results.collect::<Vec<_>>(), [true, false, false]);
    let scheduler = |name: &str| namespace.get(&format!("deployment/{name}")).scheduler().to_owned();
    assert_eq!(["one", "two", "three"].map(scheduler), ["default-scheduler", "volcano", "stork"]);
}

#[test]
fn without_a_right_nothing_is_released_by_mistake() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("release-rights");
    namespace.add_claim("data", PORTWORX_CLASS);
    install(control_plane, &namespace, "shop", &[&deployment("helmed", "").replace("replicas: 1", "replicas: 0")]);
    set_scheduler(&namespace, "helmed", "stork");
    let rules: Vec<_> = KINDS.iter().map(|(group, resource)| Rule::new(group, resource, &["list"])).collect();
    let account = Account::new(control_plane, namespace.name(), "leaver", &rules);

    let (code, document) = document(account.kubeconfig(), "-n release-rights --strict");
    assert_eq!((code, actions(&document)), (Some(3), map(&[("Deployment/helmed", "unknown")])));
    assert_eq!(document["notSeen"].as_array().unwrap().len(), 1, "{document:#}");
    assert_eq!(
        (&document["notSeen"][0]["resource"], &document["notSeen"][0]["verb"]),
        (&"secrets".into(), &"list".into())
    );

    let run = release(account.kubeconfig(), "-n release-rights --apply --yes --all");
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    assert!(run.out.contains("grant the verb `patch` on `deployments.apps`"), "{}{}", run.out, run.err);
    assert_eq!(namespace.get("deployment/helmed").scheduler(), "stork");
}

fn set_scheduler(namespace: &Namespace, deployment: &str, scheduler: &str) {
    let patch = format!(r#"{{"spec":{{"template":{{"spec":{{"schedulerName":"{scheduler}"}}}}}}}}"#);
    namespace.run(&format!("patch deployment/{deployment} --patch={patch}"));
}

/// Runs a command in a shell with kubectl, and returns whether it succeeded.
fn bash(control_plane: &ControlPlane, command: &str) -> bool {
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-c", command])
        .env("KUBECACHEDIR", control_plane.dir().join("kubectl-cache"))
        .env("PATH", format!("{}:{path}", control_plane.programs.display()))
        .output();
    output.unwrap().status.success()
}
