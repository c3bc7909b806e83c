//! What colocate may do, it does, and nothing else: by the API server's audit log, and the roles of the chart as it installed
//! them.

use std::collections::BTreeSet;
use std::time::Instant;

use colocate_harness::{AuditLog, ControlPlane, Namespace, PATIENCE, PORTWORX_CLASS, Release, fixture, pair, volume};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// One verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    group: String,
    resource: String,
    verb: String,
    /// Of an object, where rights are given by name.
    name: Option<String>,
    /// Where rights are given in one namespace.
    namespace: Option<String>,
}

/// A request that was answered.
struct Request {
    group: String,
    resource: String,
    verb: String,
    name: String,
    namespace: String,
    code: u64,
}

#[test]
fn all_rights_are_used_and_none_is_missed() {
    check("rights", "");
}

#[test]
fn so_are_those_for_some_namespaces_alone_without_validation() {
    check("rights-of-some", "namespaces: [rights-of-some-apps], validation: {mode: off}");
}

/// With what is below `config`.
fn check(name: &str, config: &str) {
    let validates = !config.contains("validation");
    let control_plane = ControlPlane::shared();
    let release = Release::prepare(control_plane, name);
    let apps = Namespace::new(&format!("{name}-apps"));
    release.install(&format!("config: {{{config}}}\nwebhook: {{namespaces: {{include: [{name}-apps]}}}}"));
    release.wait_until_called(apps.name());

    // A claim that is not there is asked for, and then waited for.
    apps.apply(&pair::pod("absent").to_string());
    // Of a claim that was bound by hand only its volume tells.
    let mut claim = pair::claim("bound");
    claim["spec"]["storageClassName"] = "".into();
    let bound = volume(apps.name(), "bound", PORTWORX_CLASS).replace("storageClassName: px-db", "storageClassName: ''");
    apps.kubectl().feed("create -f -", &format!("{claim}---\n{bound}"));
    apps.run("wait --for=jsonpath={.status.phase}=Bound pvc/bound --timeout=60s");
    apps.apply(&pair::pod("bound").to_string());
    assert_eq!(apps.get("pod/bound").scheduler(), "stork");
    if validates {
        name_a_strategy(&apps);
    }
    assert!(release.test().succeeded);

    for (account, part) in [(release.full_name(), "colocate"), (format!("{}-test", release.full_name()), "the test")] {
        let requests = requests(&release, &account);
        if part == "colocate" {
            let dispatched = dispatched(&release);
            let [(level, count)] = &dispatched[..] else { panic!("{dispatched:?}") };
            assert_eq!(level, "system");
            assert!(*count >= requests.len(), "{count} of {} requests go before those of others", requests.len());
        }
        let refused: Vec<_> = requests.iter().filter(|request| request.code == 403).map(Request::text).collect();
        assert!(refused.is_empty(), "{part} may not: {refused:#?}");
        let rights = rights(&release, &account);
        assert!(!rights.is_empty());
        let unused: Vec<_> = rights.iter().filter(|right| !requests.iter().any(|own| right.covers(own))).collect();
        assert!(unused.is_empty(), "{part} never does: {unused:#?}");
    }
}

/// What a class names is looked for.
fn name_a_strategy(apps: &Namespace) {
    let kubectl = apps.kubectl();
    kubectl.feed("create -f -", &fixture("portworx/volumeplacementstrategies-crd.yaml"));
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "strategic"},
        "provisioner": "pxd.portworx.com",
        "parameters": {"placement_strategy": "togther"},
    });
    let began = Instant::now();
    loop {
        // A class belongs to no namespace: until another test's release has gone, that one is asked, too.
        let told = kubectl.attempt("create --dry-run=server -f -", &class.to_string()).stderr;
        if told.contains("there is no VolumePlacementStrategy `togther`") {
            return;
        }
        // An API server takes its time with a new kind.
        assert!(began.elapsed() < PATIENCE, "{told}");
    }
}

/// What an account asked so far.
fn requests(release: &Release, account: &str) -> Vec<Request> {
    let home = release.name();
    let user = format!("system:serviceaccount:{home}:{account}");
    let mark = format!("all-of-{account}");
    release.namespace().run(&format!("create configmap {mark}"));
    let is_last = |event: &Value| event["objectRef"]["name"] == *mark && event["verb"] == "create";
    let events = AuditLog::follow().mentioning(home, is_last);
    events.iter().filter(|event| event["user"]["username"] == *user).filter_map(Request::of).collect()
}

/// The priority levels into which the API server put what came by the release's `FlowSchema`, and how often it did.
fn dispatched(release: &Release) -> Vec<(String, usize)> {
    let metrics = release.namespace().kubectl().run("get --raw /metrics").stdout;
    let own = format!("flow_schema=\"{}\"", release.full_name());
    let series = metrics.lines().filter(|line| line.starts_with("apiserver_flowcontrol_dispatched_requests_total{"));
    let read = |line: &str| {
        let (labels, count) = line.rsplit_once(' ')?;
        let level = labels.split_once("priority_level=\"")?.1.split('"').next()?;
        Some((level.to_owned(), count.parse().ok()?))
    };
    series.filter(|line| line.contains(&own)).filter_map(read).collect()
}

/// What the roles of an account allow. Those of the test are gone with it, and stand in the chart.
fn rights(release: &Release, account: &str) -> BTreeSet<Right> {
    let manifest = if account.ends_with("-test") { "hooks" } else { "manifest" };
    let manifest = release.helm().run(&format!("get {manifest} {}", release.name()));
    let mut rights = BTreeSet::new();
    for role in
        documents(&manifest).iter().filter(|object| ["Role", "ClusterRole"].iter().any(|kind| object["kind"] == **kind))
    {
        let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
        for rule in role["rules"].as_array().into_iter().flatten() {
            let names = texts(&rule["resourceNames"]);
            let names = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
            for (group, resource, verb, name) in product(rule, &names) {
                rights.insert(Right { group, resource, verb, name, namespace: namespace.clone() });
            }
        }
    }
    rights
}

fn product(rule: &Value, names: &[Option<String>]) -> Vec<(String, String, String, Option<String>)> {
    let mut all = Vec::new();
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                all.extend(names.iter().map(|name| (group.clone(), resource.clone(), verb.clone(), name.clone())));
            }
        }
    }
    all
}

fn texts(array: &Value) -> Vec<String> {
    array.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn documents(manifest: &str) -> Vec<Value> {
    let documents = yaml_serde::Deserializer::from_str(manifest).map(Value::deserialize);
    documents.map(|document| document.expect("Helm writes YAML")).collect()
}

impl Right {
    /// Whether it is what that request took.
    fn covers(&self, request: &Request) -> bool {
        let Self { group, resource, verb, name, namespace } = self;
        (group, resource, verb) == (&request.group, &request.resource, &request.verb)
            && name.as_ref().is_none_or(|name| *name == request.name)
            && namespace.as_ref().is_none_or(|namespace| *namespace == request.namespace)
    }
}

impl Request {
    fn of(event: &Value) -> Option<Self> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64)?;
        Some(Self {
            group: text("/objectRef/apiGroup"),
            resource: text("/objectRef/resource"),
            verb: text("/verb"),
            name: text("/objectRef/name"),
            namespace: text("/objectRef/namespace"),
            code,
        })
    }

    fn text(&self) -> String {
        let Self { group, resource, verb, name, namespace, code } = self;
        format!("{verb} {resource}.{group} {namespace}/{name}: {code}")
    }
}
