//! `colocate why`: each verdict is produced for real, with the chart's colocate, and explained correctly.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use colocate_harness::{
    Account, Colocate, ControlPlane, Namespace, Namespaces, OTHER_CLASS, Object, PORTWORX_CLASS, Release, Rule,
    WAIT_TIMEOUT, fixture, pair, repository,
};
use serde_json::{Value, json};

/// The namespaces of this test: that of most pods, one with a second webhook, and one that colocate is not registered for.
const APPS: &str = "why";
const CONTESTED: &str = "why-contested";
const EXCLUDED: &str = "why-excluded";

/// The name of the release and of its namespace.
const RELEASE: &str = "explained";

const OPT_OUT: &str = "stork.libopenstorage.org/disableHyperconvergence";
const NAMESPACE_OPT_OUT: &str = "stork.libopenstorage.org/disable-admission-controller";

/// The Events about the sizes of the `ReplicaSets` of a Deployment.
const SCALINGS: &str = "events --field-selector=reason=ScalingReplicaSet";

/// The configuration of the second webhook.
const CONTENDER: &str = "mutatingwebhookconfiguration/zz-colocate-why-contested";

const RESTORED: &str = "stork.libopenstorage.org/restore-in-progress";
const LOCAL_ONLY: &str = "stork.libopenstorage.org/preferLocalNodeOnly";
const REMOTE_ONLY: &str = "stork.libopenstorage.org/preferRemoteNodeOnly";

/// Everything that `colocate why` reads.
const READER: [Rule; 18] = [
    Rule::new("", "pods", &["get", "list"]),
    Rule::new("", "namespaces", &["get"]),
    Rule::new("", "events", &["list"]),
    Rule::new("", "configmaps", &["get"]),
    Rule::new("", "persistentvolumeclaims", &["get", "list"]),
    Rule::new("", "persistentvolumes", &["list"]),
    Rule::new("", "replicationcontrollers", &["get"]),
    Rule::new("storage.k8s.io", "storageclasses", &["get", "list"]),
    Rule::new("admissionregistration.k8s.io", "mutatingwebhookconfigurations", &["list"]),
    Rule::new("apps", "deployments", &["get", "list"]),
    Rule::new("apps", "replicasets", &["get", "list"]),
    Rule::new("apps", "statefulsets", &["get"]),
    Rule::new("apps", "daemonsets", &["get"]),
    Rule::new("batch", "jobs", &["get", "list"]),
    Rule::new("batch", "cronjobs", &["get"]),
    Rule::new("policy", "poddisruptionbudgets", &["list"]),
    Rule::new("coordination.k8s.io", "leases", &["get"]),
    Rule::new("discovery.k8s.io", "endpointslices", &["list"]),
];

/// An answer of `colocate why`.
struct Answer {
    code: Option<i32>,
    text: String,
    json: Value,
}

impl Answer {
    fn verdict(&self) -> &str {
        self.json["verdict"].as_str().unwrap_or_default()
    }

    /// Returns all evidence as one text.
    fn evidence(&self) -> String {
        self.json["evidence"].to_string()
    }
}

/// Runs the command twice, for people and as JSON, with these arguments after the object.
fn why(kubeconfig: &Path, namespace: &str, object: &str, arguments: &[&str]) -> Answer {
    let run = |output: &str| {
        Command::new(env!("CARGO_BIN_EXE_colocate"))
            .args(["why", object, "-n", namespace, "-o", output])
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .output()
            .expect("the colocate binary is built")
    };
    let (text, document) = (run("text"), run("json"));
    let stderr = String::from_utf8_lossy(&document.stderr).into_owned();
    assert_eq!(text.status.code(), document.status.code(), "-o must not change the exit code: {stderr}");
    let text = String::from_utf8(text.stdout).expect("the text is UTF-8");
    let json = serde_json::from_slice(&document.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let answer = Answer { code: document.status.code(), text, json };
    println!("$ colocate why {object} -n {namespace} {}\n{}", arguments.join(" "), answer.text);
    check_schema(&answer.json);
    answer
}

fn check_schema(document: &Value) {
    let schema = fs::read(repository("docs/schemas/why.json")).expect("the schema exists");
    let schema: Value = serde_json::from_slice(&schema).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is valid");
    let errors: Vec<_> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

/// The cluster of the test, with a release of the chart.
struct Scene<'c> {
    control_plane: &'c ControlPlane,
    release: Release,
    apps: Namespace,
    contested: Namespace,
    excluded: Namespace,
}

impl<'c> Scene<'c> {
    /// Creates the namespaces, a pod from before the release, and the release.
    fn new(control_plane: &'c ControlPlane) -> Self {
        let [apps, contested, excluded] =
            [APPS, CONTESTED, EXCLUDED].map(|name| Namespace::within(control_plane, name));
        let scene =
            Self { control_plane, release: Release::prepare(control_plane, RELEASE), apps, contested, excluded };
        create_pod_with_claim(&scene.apps, "before");
        // The registration must be younger.
        wait_until_after(&scene.apps, scene.apps.get("pod/before").text("/metadata/creationTimestamp"));
        control_plane.kubectl().feed("create -f -", &fixture("crds/things.yaml"));
        control_plane.kubectl().run("wait --for=condition=Established crd/things.example.test --timeout=60s");
        let owners = "optOut: {owners: [{group: apps, kind: DaemonSet}]}";
        let thing = "{group: example.test, version: v1, resource: things, kind: Thing, path: /spec/template}";
        let config = format!("{{{owners}, customWorkloads: [{thing}]}}");
        let webhook = format!("{{failurePolicy: Ignore, namespaces: {{include: [{APPS}, {CONTESTED}]}}}}");
        let reader = "{reader: {create: true}}";
        scene.release.install(&format!("replicaCount: 1\nconfig: {config}\nwebhook: {webhook}\nrbac: {reader}\n"));
        scene.release.wait_until_called(APPS);
        scene
    }

    fn ask(&self, namespace: &str, object: &str) -> Answer {
        self.ask_with(namespace, object, &[])
    }

    fn ask_with(&self, namespace: &str, object: &str, arguments: &[&str]) -> Answer {
        why(self.control_plane.kubeconfig(), namespace, object, arguments)
    }

    /// Returns the configuration of the release.
    fn config(&self) -> String {
        let map = self.release.namespace().get(&format!("configmap/{}", self.release.full_name()));
        map.text("/data/config.yaml").to_owned()
    }

    /// Writes a file, and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.control_plane.dir().join(name);
        fs::write(&path, text).expect("the folder is writable");
        path.display().to_string()
    }

    /// Scales colocate, and waits until this number of replicas is ready and no others exist.
    fn scale(&self, replicas: usize) {
        let namespace = self.release.namespace();
        let name = self.release.full_name();
        namespace.run(&format!("scale deployment/{name} --replicas={replicas}"));
        let began = Instant::now();
        loop {
            let ready = namespace.get(&format!("deployment/{name}")).number("/status/readyReplicas");
            if ready == replicas as u64 && namespace.list("pods").len() == replicas {
                return;
            }
            assert!(began.elapsed() < WAIT_TIMEOUT, "{ready} replicas are ready");
        }
    }
}

/// Calls `create` until the object is younger than that time. Times in Kubernetes have a resolution of one second.
fn create_after(namespace: &Namespace, what: &str, time: &str, mut create: impl FnMut(), mut remove: impl FnMut()) {
    let began = Instant::now();
    loop {
        create();
        if namespace.get(what).text("/metadata/creationTimestamp") > time {
            return;
        }
        assert!(began.elapsed() < WAIT_TIMEOUT, "{what} is not younger than {time}");
        remove();
    }
}

/// Waits until new objects are younger than that time.
fn wait_until_after(namespace: &Namespace, time: &str) {
    let create = || drop(namespace.run("create configmap later"));
    let remove = || drop(namespace.run("delete configmap later"));
    create_after(namespace, "configmap/later", time, create, remove);
    remove();
}

#[test]
fn each_verdict_is_explained_from_the_live_cluster() {
    let scene = Scene::new(ControlPlane::shared());
    scene.explains_a_pod_from_before_colocate();
    scene.explains_a_pod_that_is_as_expected();
    scene.explains_claims_that_came_later_or_never();
    scene.explains_opt_outs();
    scene.explains_a_template_that_was_injected_earlier();
    scene.explains_a_pod_that_is_not_sent();
    scene.explains_a_pod_that_another_webhook_changed();
    scene.explains_a_custom_workload_and_what_its_operator_changed();
    scene.explains_a_pod_that_was_missed();
    scene.explains_what_a_pending_pod_waits_for();
    scene.explains_a_pod_that_was_created_while_colocate_was_away();
    scene.explains_pods_that_a_part_of_the_configuration_excluded();
    scene.the_reader_of_the_chart_sees_everything();
    scene.is_weaker_and_never_wrong_without_a_right();
    scene.explains_an_absence_by_the_endpoints_of_the_service();
}

/// Creates a pod with a Portworx claim, which has its name.
fn create_pod_with_claim(namespace: &Namespace, name: &str) {
    namespace.add_claim(name, PORTWORX_CLASS);
    create_pod(namespace, name);
}

/// Creates a workload whose pod mounts a claim.
fn create_workload(namespace: &Namespace, kind: &str, name: &str, claim: &str) {
    let labels = json!({"app": name});
    let template = json!({"metadata": {"labels": labels}, "spec": pair::pod(claim)["spec"]});
    let workload = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    });
    namespace.apply(&workload.to_string());
}

/// Returns the first pod of a workload.
fn pod_of(namespace: &Namespace, name: &str) -> String {
    namespace.kubectl().watch(&format!("pods -l app={name}"), |pod| Some(pod.name().to_owned()))
}

impl Scene<'_> {
    fn explains_a_pod_from_before_colocate(&self) {
        let answer = self.ask(APPS, "pod/before");
        assert_eq!(answer.verdict(), "before-colocate");
        let first = "Pod why/before   ✗ on default-scheduler, should be on stork   before-colocate\n";
        assert!(answer.text.starts_with(first), "{}", answer.text);
        assert!(answer.evidence().contains("MutatingWebhookConfiguration zz-explained was created later"));
        let claim = &answer.json["claims"][0];
        assert_eq!([&claim["class"], &claim["provisioner"]], [&json!("px-db"), &json!("pxd.portworx.com")]);
        assert_eq!(claim["from"], "class, annotation of the claim");
        let again = self.ask_with(APPS, "pod/before", &["--dry-run", "--check", "--strict"]);
        assert_eq!((again.code, &again.json["dryRun"]["scheduler"]), (Some(4), &json!("stork")));
        // The configuration decides.
        let config = self.config();
        let config = config.lines().filter(|line| !line.starts_with("mode:"));
        let config = config.fold("mode: audit\n".to_owned(), |all, line| all + line + "\n");
        let file = self.file("why-audit.yaml", &config);
        assert_eq!(self.ask_with(APPS, "pod/before", &["--config", &file]).verdict(), "audit-mode");
    }

    fn explains_a_pod_that_is_as_expected(&self) {
        create_pod_with_claim(&self.apps, "after");
        let answer = self.ask(APPS, "po/after");
        assert_eq!((answer.verdict(), answer.code), ("as-expected", Some(0)));
        let own = answer.json["webhooks"].as_array().expect("a list").iter().find(|row| row["colocate"] == true);
        let own = own.expect("colocate's webhook has a row");
        assert_eq!((&own["called"]["answer"], &own["failurePolicy"]), (&json!("yes"), &json!("Ignore")));
        assert_eq!(own["conditionsTrue"], own["conditionsTotal"]);
        assert!(own["conditionsTotal"].as_u64() >= Some(4), "{own}");
    }

    fn explains_claims_that_came_later_or_never(&self) {
        let apps = &self.apps;
        for name in ["younger", "absent"] {
            apps.kubectl().feed("create -f -", &pair::pod(name).to_string());
        }
        let created = apps.get("pod/younger").text("/metadata/creationTimestamp").to_owned();
        let create = || apps.add_claim("younger", PORTWORX_CLASS);
        let remove = || {
            apps.remove_claim("younger");
            apps.run("delete pv/why-younger --wait=false");
        };
        create_after(apps, "pvc/younger", &created, create, remove);
        let answer = self.ask(APPS, "pod/younger");
        assert_eq!(answer.verdict(), "claim-younger");
        assert!(answer.evidence().contains("claim younger was created later"));
        // The scheduler says why it cannot bind the pod.
        apps.run("wait --for=condition=PodScheduled=False pod/absent --timeout=60s");
        let answer = self.ask(APPS, "pod/absent");
        assert_eq!(answer.verdict(), "unknown");
        assert!(answer.evidence().contains("claim `absent` does not exist"));
        assert_eq!(answer.json["pending"]["claims"], json!(["claim absent does not exist"]));
        assert!(answer.json["pending"]["lastMessage"].as_str().expect("a message").contains("absent"));
    }

    fn explains_opt_outs(&self) {
        let apps = &self.apps;
        apps.run(&format!("annotate pod/after {OPT_OUT}=true"));
        let answer = self.ask(APPS, "pod/after");
        assert_eq!(answer.verdict(), "opted-out-later");
        assert!(answer.evidence().contains(&format!("kubectl-annotate added {OPT_OUT} after the pod was created")));

        apps.add_claim("daemon", PORTWORX_CLASS);
        create_workload(apps, "DaemonSet", "daemon", "daemon");
        let answer = self.ask(APPS, &format!("pod/{}", pod_of(apps, "daemon")));
        assert_eq!(answer.verdict(), "owner-opted-out");
    }

    fn explains_a_template_that_was_injected_earlier(&self) {
        let apps = &self.apps;
        apps.add_claim("moved", PORTWORX_CLASS);
        create_workload(apps, "Deployment", "moved", "moved");
        let moved = pod_of(apps, "moved");
        assert_eq!(self.ask(APPS, &format!("pod/{moved}")).verdict(), "as-expected");
        let workload = self.ask(APPS, "deploy/moved");
        assert_eq!((workload.verdict(), &workload.json["pods"][0]["name"]), ("as-expected", &json!(moved)));
        // The data moves to another driver.
        apps.remove_claim("moved");
        apps.run("wait --for=delete pvc/moved --timeout=60s");
        apps.kubectl().feed("create -f -", &claim("moved", OTHER_CLASS));
        let answer = self.ask(APPS, &format!("pod/{moved}"));
        assert_eq!(answer.verdict(), "injected-earlier");
        assert!(answer.evidence().contains("names stork, and its source does not"));
        assert_eq!(self.ask(APPS, "deployment.apps/moved").verdict(), "injected-earlier");
    }

    fn explains_a_pod_that_is_not_sent(&self) {
        create_pod_with_claim(&self.excluded, "excluded");
        // No release is for this namespace, so the configuration names the one to ask about.
        let file = self.file("why.yaml", &self.config());
        let answer = self.ask_with(EXCLUDED, "pod/excluded", &["--config", &file]);
        assert_eq!(answer.verdict(), "not-sent");
        let selector = "the selector requires `kubernetes.io/metadata.name in (why, why-contested)`";
        assert!(answer.evidence().contains(selector), "{}", answer.evidence());
    }

    fn explains_a_pod_that_another_webhook_changed(&self) {
        let contested = &self.contested;
        let config = "templates: leave\nreplaceableSchedulers: [default-scheduler, stork]\n\
                      drivers: [{name: other, provisioners: [pxd.portworx.com], scheduler: other-scheduler}]\n";
        let other = Colocate::start(self.control_plane, CONTESTED, config);
        other.admit(contested.kubectl(), Namespaces::Only(&[CONTESTED]));
        contested.add_claim("taken", PORTWORX_CLASS);
        create_workload(contested, "Deployment", "taken", "taken");
        let answer = self.ask(CONTESTED, &format!("pod/{}", pod_of(contested, "taken")));
        assert_eq!(answer.verdict(), "set-by-another");
        let evidence = answer.evidence();
        assert!(evidence.contains("names stork, and the pod other-scheduler"), "{evidence}");
        assert!(evidence.contains("zz-colocate-why-contested (mutate.colocate.test)"), "{evidence}");
        assert!(!evidence.contains("zz-explained"), "{evidence}");

        // What a live object does not show is not guessed.
        let condition = r#"[{"name":"user","expression":"request.userInfo.username!=''"}]"#;
        let patch = format!(r#"[{{"op":"add","path":"/webhooks/0/matchConditions","value":{condition}}}]"#);
        contested.run(&format!("patch {CONTENDER} --type=json -p {patch}"));
        let answer = self.ask(CONTESTED, &format!("pod/{}", pod_of(contested, "taken")));
        let rows = answer.json["webhooks"].as_array().expect("a list");
        let row = rows.iter().find(|row| row["configuration"] == "zz-colocate-why-contested").expect("it has a row");
        let cause = "the match condition `user` uses `request.userInfo`";
        assert_eq!(row["called"], json!({"answer": "not-evaluated", "cause": cause}));
        assert_eq!(answer.verdict(), "set-by-another");
        assert!(answer.text.contains("  ? 0 of 1  "), "{}", answer.text);
    }

    fn explains_a_custom_workload_and_what_its_operator_changed(&self) {
        let apps = &self.apps;
        apps.add_claim("thing", PORTWORX_CLASS);
        let thing = json!({
            "apiVersion": "example.test/v1",
            "kind": "Thing",
            "metadata": {"name": "thing"},
            "spec": {"template": {"spec": pair::pod("thing")["spec"]}},
        });
        apps.apply(&thing.to_string());
        let thing = apps.get("thing/thing");
        let owner = json!({
            "apiVersion": "example.test/v1",
            "kind": "Thing",
            "name": "thing",
            "uid": thing.uid(),
            "controller": true,
        });
        let create = |name: &str, scheduler: &str| {
            let mut pod = pair::pod("thing");
            pod["metadata"] = json!({"name": name, "ownerReferences": [owner]});
            pod["spec"]["schedulerName"] = scheduler.into();
            apps.kubectl().feed("create -f - --field-manager=thing-operator", &pod.to_string());
        };
        create("thing-0", thing.scheduler());
        create("thing-1", "yunikorn");
        let answer = self.ask(APPS, "things.example.test/thing");
        assert_eq!((answer.verdict(), &answer.json["object"]["kind"]), ("as-expected", &json!("Thing")));
        let pods = answer.json["pods"].as_array().expect("a list");
        let verdict = |name: &str| {
            let pod = pods.iter().find(|pod| pod["name"] == name).expect("the pod is listed");
            (pod["verdict"].as_str().expect("a word"), pod["differsFromTemplate"].as_bool().expect("a boolean"))
        };
        assert_eq!(verdict("thing-0"), ("as-expected", false));
        assert_eq!(verdict("thing-1"), ("set-by-another", true));
        let evidence = self.ask(APPS, "pod/thing-1").evidence();
        let names = format!("the template of Thing thing names {}, and the pod yunikorn", thing.scheduler());
        assert!(evidence.contains(&names), "{evidence}");
        assert!(evidence.contains("no other webhook is called for it, and thing-operator created it"), "{evidence}");
    }

    fn explains_what_a_pending_pod_waits_for(&self) {
        let apps = &self.apps;
        let mut claim = pair::claim("waiting");
        claim["metadata"]["annotations"] = json!({RESTORED: "true", REMOTE_ONLY: "true"});
        let mut pod = pair::pod("waiting");
        pod["metadata"]["annotations"] = json!({LOCAL_ONLY: "true"});
        apps.kubectl().feed("create -f -", &format!("{claim}{pod}"));
        apps.run("wait --for=condition=PodScheduled=False pod/waiting --timeout=60s");
        let lease = |name: &str, renewed: &str| {
            json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name},
                "spec": {"holderIdentity": name, "renewTime": renewed},
            })
        };
        let leases = [lease("alive", "2099-01-01T00:00:00.000000Z"), lease("ended", "2026-01-01T00:00:00.000000Z")];
        apps.kubectl().feed("create -f -", &leases.map(|lease| lease.to_string()).concat());
        let leases = ["alive", "ended", "never"].map(|name| format!("{{name: {name}, namespaces: [{APPS}]}}"));
        let drivers =
            format!("drivers: [{{name: portworx, scheduler: {{name: stork, leases: [{}]}}}}]", leases.join(", "));
        let file = self.file("why-leases.yaml", &drivers);
        let answer = self.ask_with(APPS, "pod/waiting", &["--config", &file]);
        assert_eq!(answer.verdict(), "as-expected");
        let pending = &answer.json["pending"];
        let expected = [
            "stork is alive: Lease why/alive was renewed at 2099-01-01T00:00:00Z",
            "stork is not running: Lease why/ended was last renewed at 2026-01-01T00:00:00Z",
            "stork has no Lease never: it was never started here",
        ];
        assert_eq!(pending["scheduler"], json!(expected));
        let restored = format!("claim waiting is being restored ({RESTORED})");
        assert_eq!(pending["claims"], json!(["claim waiting is Pending", restored]));
        let rules = [
            format!("{LOCAL_ONLY} of the pod: only nodes with a replica of each of its volumes"),
            format!("{REMOTE_ONLY} of claim waiting: only nodes without a replica, for a sharedv4 service volume"),
        ];
        assert_eq!(pending["hardRules"], json!(rules));
        let message = pending["lastMessage"].as_str().expect("a message");
        assert!(message.contains("unbound immediate PersistentVolumeClaims"), "{message}");
        for line in expected {
            assert!(answer.text.contains(line), "{}", answer.text);
        }
        // The Leases of the built-in driver may be in the namespace of colocate, which is known from the cluster.
        let built_in = self.ask(APPS, "pod/waiting");
        let scheduler = built_in.json["pending"]["scheduler"].to_string();
        assert!(scheduler.contains("stork is alive: Lease kube-system/stork-scheduler"), "{scheduler}");
        assert!(scheduler.contains("Lease kube-system/stork was"), "{scheduler}");
    }

    /// A rule, an object selector and a match condition, each of which excludes pods for a while.
    fn explains_pods_that_a_part_of_the_configuration_excluded(&self) {
        let rules =
            json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["UPDATE"]}]);
        let selector = json!({"matchLabels": {"colocate.test/sent": "yes"}});
        let condition = json!([{"name": "sent", "expression": "has(object.metadata.annotations)"}]);
        let by_rule = "no rule includes CREATE of pods in version v1";
        let by_selector = "the selector requires `colocate.test/sent=yes`, and there is no label `colocate.test/sent`";
        let by_condition = "the match condition `sent` is false";
        for (name, field, value, why) in [
            ("by-rule", "rules", rules, by_rule),
            ("by-selector", "objectSelector", selector, by_selector),
            ("by-condition", "matchConditions", condition, by_condition),
        ] {
            self.excludes(name, field, &value, why);
        }
        // The configuration was written since then, so that it may have been another one.
        let answer = self.ask(APPS, "pod/by-rule");
        assert_eq!(answer.verdict(), "missed");
        let file = self.file("why.yaml", &self.config());
        let answer = self.ask_with(EXCLUDED, "pod/excluded", &["--config", &file]);
        assert_eq!(answer.verdict(), "missed");
        let evidence = answer.evidence();
        assert!(evidence.contains("it would not be sent now (zz-explained: the selector requires"), "{evidence}");
        assert!(evidence.contains("zz-explained changed at"), "{evidence}");
        // A new pod would not be sent either.
        let fix = &answer.json["fix"];
        assert!(fix["advice"].as_str().expect("an advice").contains("Change the named rule"), "{fix}");
        assert_eq!(fix["command"], Value::Null);
    }

    /// Replaces a field of colocate's webhook for pods, creates a pod that it excludes, and restores the field.
    fn excludes(&self, name: &str, field: &str, value: &Value, why: &str) {
        let apps = &self.apps;
        let configuration = format!("mutatingwebhookconfiguration/{}", self.release.configuration());
        let patch = |value: &Value| {
            let entries = apps.get(&configuration).0["webhooks"].take();
            let mut entries = entries.as_array().expect("a list").iter().enumerate();
            let (index, entry) =
                entries.find(|(_, entry)| entry["name"] == "pods.mutate.colocate").expect("an entry for pods");
            let target = format!("/webhooks/{index}/{field}");
            let patch = json!([{"op": "add", "path": target, "value": value}]).to_string();
            apps.run(&format!("patch {configuration} --type=json -p {}", patch.replace(' ', r"\u0020")));
            entry[field].clone()
        };
        apps.add_claim(name, PORTWORX_CLASS);
        let before = patch(value);
        wait_until_after(apps, &last_write(&apps.get(&format!("{configuration} --show-managed-fields"))));
        let began = Instant::now();
        while create_pod(apps, name) != "default-scheduler" {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not know {field}");
            delete_pod(apps, name);
        }
        let answer = self.ask(APPS, &format!("pod/{name}"));
        assert_eq!(answer.verdict(), "not-sent", "{}", answer.evidence());
        assert!(answer.evidence().contains(&format!("zz-explained: {why}")), "{}", answer.evidence());
        assert_eq!(answer.json["fix"]["command"], Value::Null);
        patch(&before);
        self.release.wait_until_called(APPS);
    }

    /// The Events about the scaling have expired, and the Service shows that colocate has been away since then.
    fn explains_an_absence_by_the_endpoints_of_the_service(&self) {
        let (apps, home) = (&self.apps, self.release.namespace());
        let service = self.release.full_name();
        let configuration = format!("mutatingwebhookconfiguration/{}", self.release.configuration());
        let count = apps.get(&configuration).0["webhooks"].as_array().expect("a list").len();
        let reference = json!({"service": {"namespace": home.name(), "name": service, "path": "/mutate"}});
        let patches = (0..count).map(|index| {
            let path = format!("/webhooks/{index}");
            let config = format!("{path}/clientConfig");
            json!([
                {"op": "add", "path": config, "value": reference},
                {"op": "add", "path": format!("{path}/timeoutSeconds"), "value": 1},
            ])
        });
        let patch: Vec<Value> = patches.flat_map(|patch| patch.as_array().cloned().unwrap_or_default()).collect();
        apps.run(&format!("patch {configuration} --type=json -p {}", json!(patch)));
        let slices = format!("endpointslices -l kubernetes.io/service-name={service} --show-managed-fields");
        let is_ready = |slice: &Object| slice.0["endpoints"][0]["conditions"]["ready"] == true;
        home.kubectl().watch(&slices, |slice| is_ready(&slice).then_some(()));
        self.scale(0);
        let away = home.kubectl().watch(&slices, |slice| {
            slice.0["endpoints"].as_array().is_none_or(Vec::is_empty).then(|| last_write(&slice))
        });
        home.run("delete events --all");
        apps.add_claim("unreachable", PORTWORX_CLASS);
        wait_until_after(apps, &away);
        create_pod(apps, "unreachable");
        let answer = self.ask(APPS, "pod/unreachable");
        assert_eq!(answer.verdict(), "colocate-away", "{}", answer.evidence());
        let evidence = format!("Service explained/{service} has had no ready endpoint since {away} (EndpointSlices)");
        assert!(answer.evidence().contains(&evidence), "{}", answer.evidence());
        let rules: Vec<_> = READER.iter().filter(|rule| !rule.is_on("endpointslices")).cloned().collect();
        let account = Account::new(self.control_plane, APPS, "without-endpoints", &rules);
        let answer = why(account.kubeconfig(), APPS, "pod/unreachable", &["--strict"]);
        assert_eq!((answer.verdict(), answer.code), ("missed", Some(3)));
    }

    /// The Namespace opts out for a while, which nothing records.
    fn explains_a_pod_that_was_missed(&self) {
        let apps = &self.apps;
        apps.run(&format!("label namespace {APPS} {NAMESPACE_OPT_OUT}=true"));
        apps.add_claim("missed", PORTWORX_CLASS);
        let began = Instant::now();
        while create_pod(apps, "missed") != "default-scheduler" {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the API server does not know the label");
            delete_pod(apps, "missed");
        }
        apps.add_claim("evicted", PORTWORX_CLASS);
        create_workload(apps, "Deployment", "evicted", "evicted");
        let evicted = apps.running_pod("-l app=evicted").name().to_owned();
        let answer = self.ask(APPS, "pod/missed");
        assert_eq!((answer.verdict(), &answer.json["reason"]), ("as-expected", &json!("namespace-opted-out")));
        assert!(answer.evidence().contains(&format!("its Namespace opts out by the label {NAMESPACE_OPT_OUT}")));
        apps.run(&format!("label namespace {APPS} {NAMESPACE_OPT_OUT}-"));
        let answer = self.ask(APPS, "pod/missed");
        assert_eq!(answer.verdict(), "missed");
        assert!(answer.evidence().contains("has been ready since"), "{}", answer.evidence());
        // The template has the default scheduler, too, and its newest pod differs from it once it is created again.
        let workload = self.ask(APPS, "deploy/evicted");
        assert_eq!(workload.json["pods"][0]["differsFromTemplate"], false);
        // The API server learns of the label late.
        self.release.wait_until_called(APPS);
        self.fixes_by_an_eviction(&evicted);
    }

    /// The fix is a command that works as it is printed, within the budget.
    fn fixes_by_an_eviction(&self, evicted: &str) {
        let apps = &self.apps;
        apps.run("create poddisruptionbudget evicted --selector=app=evicted --max-unavailable=1");
        apps.run("wait --for=jsonpath={.status.disruptionsAllowed}=1 poddisruptionbudget/evicted --timeout=60s");
        let answer = self.ask(APPS, &format!("pod/{evicted}"));
        assert_eq!(answer.verdict(), "missed");
        let fix = &answer.json["fix"];
        assert_eq!(fix["notes"], json!(["PodDisruptionBudget why/evicted allows 1"]));
        let command = fix["command"].as_str().expect("the fix has a command");
        assert!(answer.text.contains(&format!("             {command}\n")), "the command is one line");
        let shell = Command::new("bash")
            .args(["-c", command])
            .env("KUBECONFIG", self.control_plane.kubeconfig())
            .env("PATH", format!("{}:/usr/bin:/bin", self.control_plane.programs.display()))
            .output()
            .expect("bash runs");
        assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
        let next =
            apps.kubectl().watch("pods -l app=evicted", |pod| (pod.name() != evicted && pod.runs()).then_some(pod));
        assert_eq!(next.scheduler(), "stork");
        assert_eq!(self.ask(APPS, &format!("pod/{}", next.name())).verdict(), "as-expected");
        let workload = self.ask(APPS, "deploy/evicted");
        let newest = &workload.json["pods"][0];
        assert_eq!((&newest["name"], &newest["differsFromTemplate"]), (&json!(next.name()), &json!(true)));
        assert!(workload.text.contains("stork (not the template's)"), "{}", workload.text);
    }

    fn explains_a_pod_that_was_created_while_colocate_was_away(&self) {
        let apps = &self.apps;
        self.scale(0);
        // The process still answers while it drains.
        self.release.kubelet().wait_until_all_have_ended();
        // The Event is written after the replicas were removed.
        let last = self.release.namespace().kubectl().watch(SCALINGS, |event| {
            let message = event.text("/message");
            let is_last = message.starts_with("Scaled down") && message.split(' ').any(|word| word == "0");
            is_last.then(|| event.text("/lastTimestamp").to_owned())
        });
        apps.add_claim("away", PORTWORX_CLASS);
        create_after(apps, "pod/away", &last, || drop(create_pod(apps, "away")), || delete_pod(apps, "away"));
        // The next replica must be younger than the pod.
        wait_until_after(apps, apps.get("pod/away").text("/metadata/creationTimestamp"));
        self.scale(1);
        let answer = self.ask(APPS, "pod/away");
        assert_eq!(answer.verdict(), "colocate-away", "{}", answer.evidence());
        assert!(answer.evidence().contains(&format!("no replica of colocate was ready from {last}")));
    }

    /// Of `ConfigMaps`, it may get only that of colocate.
    fn the_reader_of_the_chart_sees_everything(&self) {
        let account = Account::new(self.control_plane, APPS, "reader", &[]);
        let subject = format!("serviceaccount {APPS}:reader");
        let role = format!("{}-reader", self.release.full_name());
        let kubectl = self.control_plane.kubectl();
        kubectl.run(&format!(
            "create clusterrolebinding why-reads-all --clusterrole={role} --{}",
            subject.replace(' ', "=")
        ));
        let began = Instant::now();
        while !kubectl
            .attempt(&format!("auth can-i list pods -A --as=system:serviceaccount:{APPS}:reader"), "")
            .succeeded
        {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the reader has no permissions");
        }
        for (object, expected) in
            [("pod/away", "colocate-away"), ("pod/waiting", "as-expected"), ("deploy/moved", "injected-earlier")]
        {
            let answer = why(account.kubeconfig(), APPS, object, &["--strict"]);
            assert_eq!((answer.verdict(), &answer.json["notSeen"]), (expected, &json!([])), "{object}");
            assert_eq!(answer.code, Some(0));
        }
    }

    /// Takes each right away, and asks again about pods with all sorts of verdicts.
    fn is_weaker_and_never_wrong_without_a_right(&self) {
        let (moved, taken) = (pod_of(&self.apps, "moved"), pod_of(&self.contested, "taken"));
        let objects = [
            (APPS, "pod/away".to_owned(), "colocate-away"),
            (APPS, "pod/younger".to_owned(), "claim-younger"),
            (APPS, "pod/after".to_owned(), "opted-out-later"),
            (APPS, format!("pod/{moved}"), "injected-earlier"),
            (APPS, "pod/waiting".to_owned(), "as-expected"),
            (CONTESTED, format!("pod/{taken}"), "set-by-another"),
            (APPS, "deploy/moved".to_owned(), "injected-earlier"),
        ];
        for (index, missing) in std::iter::once("").chain(READER.iter().map(Rule::resource)).enumerate() {
            let rules: Vec<_> = READER.iter().filter(|rule| !rule.is_on(missing)).cloned().collect();
            let account = Account::new(self.control_plane, APPS, &format!("without-{index}"), &rules);
            std::thread::scope(|scope| {
                for (namespace, object, expected) in &objects {
                    let kubeconfig = account.kubeconfig();
                    scope.spawn(move || is_not_wrong(answer(kubeconfig, namespace, object), object, missing, expected));
                }
            });
        }
        for (missing, expected) in [
            ("persistentvolumeclaims", "unknown"),
            // An annotation of the claim names the provisioner, too.
            ("storageclasses", "colocate-away"),
            ("namespaces", "unknown"),
            ("events", "missed"),
            ("replicasets", "missed"),
            // These show the configuration of colocate.
            ("deployments", "unknown"),
            ("mutatingwebhookconfigurations", "unknown"),
            ("configmaps", "unknown"),
            ("persistentvolumes", "colocate-away"),
        ] {
            let index = 1 + READER.iter().position(|rule| rule.is_on(missing)).expect("it is read");
            let kubeconfig = self.control_plane.dir().join(format!("accounts/{APPS}-without-{index}.kubeconfig"));
            let answer = why(&kubeconfig, APPS, "pod/away", &["--strict"]);
            assert_eq!(answer.verdict(), expected, "without {missing}: {}", answer.evidence());
            let assumed = answer.evidence().contains("with its defaults, the verdict is");
            assert_eq!(assumed, ["deployments", "mutatingwebhookconfigurations", "configmaps"].contains(&missing));
            let needed = missing != "persistentvolumes";
            assert_eq!(answer.code, Some(if needed { 3 } else { 0 }), "{missing}: {}", answer.json["notSeen"]);
        }
    }
}

/// Returns the document about an object; `None` if it may not be read.
fn answer(kubeconfig: &Path, namespace: &str, object: &str) -> Option<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_colocate"))
        .args(["why", object, "-n", namespace, "-o", "json"])
        .env("KUBECONFIG", kubeconfig)
        .output()
        .expect("the colocate binary is built");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        assert!(stderr.contains("cannot be read (grant the verb `get`"), "{object}: {stderr}");
        return None;
    }
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    check_schema(&document);
    Some(document)
}

/// Checks the answer about an object without a right. The verdict may be weaker than with all rights, and never another one.
fn is_not_wrong(answer: Option<Value>, object: &str, missing: &str, expected: &str) {
    let Some(answer) = answer else {
        // The object itself.
        assert_eq!(object.starts_with("pod/"), missing == "pods", "{object} without {missing}");
        return;
    };
    let verdict = answer["verdict"].as_str().expect("a word");
    let about = format!("{object} without {missing}: {verdict}: {}", answer["evidence"]);
    let not_seen = answer["notSeen"].as_array().expect("a list");
    let is_missing = |one: &Value| one["resource"].as_str().is_some_and(|name| name.split('.').next() == Some(missing));
    assert!(not_seen.iter().all(is_missing), "{about}: {not_seen:#?}");
    let is_missed_possible = ["colocate-away", "claim-younger"].contains(&expected);
    let is_weaker = verdict == "unknown" || (verdict == "missed" && is_missed_possible);
    assert!(verdict == expected || (is_weaker && !not_seen.is_empty()), "{about}: {not_seen:#?}");
}

/// Returns the time of the last write that `managedFields` records.
fn last_write(object: &Object) -> String {
    let entries = object.0["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries.filter_map(|entry| entry["time"].as_str()).max().expect("a write").to_owned()
}

/// Creates a pod with the claim of its name, and returns its scheduler.
fn create_pod(namespace: &Namespace, name: &str) -> String {
    namespace.kubectl().feed("create -f -", &pair::pod(name).to_string());
    namespace.get(&format!("pod/{name}")).scheduler().to_owned()
}

fn delete_pod(namespace: &Namespace, name: &str) {
    namespace.run(&format!("delete pod/{name} --wait=false --force"));
    namespace.run(&format!("wait --for=delete pod/{name} --timeout=60s"));
}

/// The manifest of a claim without a volume.
fn claim(name: &str, class: &str) -> String {
    let mut claim = pair::claim(name);
    claim["spec"]["storageClassName"] = class.into();
    claim.to_string()
}

#[test]
fn an_object_that_cannot_be_explained_is_an_error_that_says_what_to_do() {
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("why-errors");
    let account = Account::new(control_plane, namespace.name(), "nobody", &[]);
    let admin = control_plane.kubeconfig();
    let absent = "colocate: Pod why-errors/absent does not exist: check the name and the namespace (-n)\n";
    let forbidden = "colocate: Deployment why-errors/a cannot be read (grant the verb `get` on `deployments.apps`)\n";
    for (kubeconfig, arguments, code, message) in [
        (admin, &["pod/absent"][..], 1, absent),
        (account.kubeconfig(), &["deploy/a"], 1, forbidden),
        (admin, &["deploy/a", "--dry-run"], 2, "--dry-run needs a pod"),
        (admin, &["node/a"], 2, "`node` is not a kind that can be explained"),
        (admin, &["mysql-0"], 2, "use KIND/NAME, such as pod/mysql-0"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_colocate"))
            .arg("why")
            .args(arguments)
            .args(["-n", namespace.name()])
            .env("KUBECONFIG", kubeconfig)
            .output()
            .expect("the colocate binary is built");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(code), true), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}
