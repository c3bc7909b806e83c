//! `colocate why`: each verdict is produced for real, with the chart's colocate, and explained correctly.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use colocate_harness::{
    Account, Colocate, ControlPlane, Namespace, Namespaces, OTHER_CLASS, PORTWORX_CLASS, Release, Rule, WAIT_TIMEOUT,
    pair, repository,
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

/// Everything that `colocate why` reads.
const READER: [Rule; 17] = [
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
        let owners = "optOut: {owners: [{group: apps, kind: DaemonSet}]}";
        let webhook = format!("{{failurePolicy: Ignore, namespaces: {{include: [{APPS}, {CONTESTED}]}}}}");
        scene.release.install(&format!("replicaCount: 1\nconfig: {{{owners}}}\nwebhook: {webhook}\n"));
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
    scene.explains_a_pod_that_was_missed();
    scene.explains_a_pod_that_was_created_while_colocate_was_away();
    scene.is_weaker_and_never_wrong_without_a_right();
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

    fn is_weaker_and_never_wrong_without_a_right(&self) {
        for (missing, expected) in [
            ("", "colocate-away"),
            ("persistentvolumeclaims", "unknown"),
            // An annotation of the claim names the provisioner, too.
            ("storageclasses", "colocate-away"),
            ("namespaces", "unknown"),
            ("events", "missed"),
            ("replicasets", "missed"),
            ("deployments", "missed"),
            ("mutatingwebhookconfigurations", "missed"),
            ("configmaps", "colocate-away"),
            ("persistentvolumes", "colocate-away"),
        ] {
            let rules: Vec<_> = READER.iter().filter(|rule| !rule.is_on(missing)).cloned().collect();
            let account = Account::new(self.control_plane, APPS, &format!("without-{missing}0"), &rules);
            let answer = why(account.kubeconfig(), APPS, "pod/away", &["--strict"]);
            assert_eq!(answer.verdict(), expected, "without {missing}: {}", answer.evidence());
            let hidden = answer.json["notSeen"].to_string().contains(&format!("\"{missing}"));
            let needed = !["", "persistentvolumes"].contains(&missing);
            let expected = (needed, Some(if needed { 3 } else { 0 }));
            assert_eq!((hidden, answer.code), expected, "without {missing}: {}", answer.json["notSeen"]);
        }
    }
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
