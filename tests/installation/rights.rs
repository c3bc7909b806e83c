//! colocate uses all of its permissions and needs no others, according to the API server's audit log and the roles of the
//! installed chart.

use std::collections::BTreeSet;
use std::time::Instant;

use colocate_harness::{
    AuditLog, ControlPlane, Namespace, PORTWORX_CLASS, Release, WAIT_TIMEOUT, fixture, pair, volume,
};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// One verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    group: String,
    resource: String,
    verb: String,
    /// The object's name, if the permission is limited to one.
    name: Option<String>,
    /// The namespace, if the permission is limited to one.
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
fn all_permissions_are_used_and_sufficient() {
    check("rights", "");
}

#[test]
fn permissions_for_some_namespaces_are_used_and_sufficient() {
    check("rights-of-some", "namespaces: [rights-of-some-apps], validation: {mode: off}");
}

/// Installs the chart with these values below `config`, and compares requests and permissions.
fn check(name: &str, config: &str) {
    let validates = !config.contains("validation");
    let control_plane = ControlPlane::shared();
    let release = Release::prepare(control_plane, name);
    let apps = Namespace::new(&format!("{name}-apps"));
    release.install(&format!("config: {{{config}}}\nwebhook: {{namespaces: {{include: [{name}-apps]}}}}"));
    release.wait_until_called(apps.name());

    // A missing claim is fetched, and then waited for.
    apps.apply(&pair::pod("absent").to_string());
    // For a claim that was bound by hand, only the volume shows the driver.
    let mut claim = pair::claim("bound");
    claim["spec"]["storageClassName"] = "".into();
    let bound = volume(apps.name(), "bound", PORTWORX_CLASS).replace("storageClassName: px-db", "storageClassName: ''");
    apps.kubectl().feed("create -f -", &format!("{claim}---\n{bound}"));
    apps.run("wait --for=jsonpath={.status.phase}=Bound pvc/bound --timeout=60s");
    apps.apply(&pair::pod("bound").to_string());
    assert_eq!(apps.get("pod/bound").scheduler(), "stork");
    if validates {
        create_class_with_strategy(&apps);
    }
    assert!(release.test().succeeded);

    for (account, part) in [(release.full_name(), "colocate"), (format!("{}-test", release.full_name()), "the test")] {
        let requests = requests(&release, &account);
        if part == "colocate" {
            let dispatched = dispatched(&release);
            let [(level, count)] = &dispatched[..] else { panic!("{dispatched:?}") };
            assert_eq!(level, "system");
            assert!(*count >= requests.len(), "{count} of {} requests have their own priority level", requests.len());
        }
        let refused: Vec<_> = requests.iter().filter(|request| request.code == 403).map(Request::text).collect();
        assert!(refused.is_empty(), "{part} lacks permissions: {refused:#?}");
        let rights = rights(&release, &account);
        assert!(!rights.is_empty());
        let unused: Vec<_> = rights.iter().filter(|right| !requests.iter().any(|own| right.covers(own))).collect();
        assert!(unused.is_empty(), "{part} has unused permissions: {unused:#?}");
    }
}

/// Creates a class that names a placement strategy, which colocate then looks up.
fn create_class_with_strategy(apps: &Namespace) {
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
        // Classes are cluster-scoped: the release of another test is called, too, until it is uninstalled.
        let stderr = kubectl.attempt("create --dry-run=server -f -", &class.to_string()).stderr;
        if stderr.contains("VolumePlacementStrategy `togther` does not exist") {
            return;
        }
        // The API server needs some time to serve a new CRD.
        assert!(began.elapsed() < WAIT_TIMEOUT, "{stderr}");
    }
}

/// Returns the requests of an account so far.
fn requests(release: &Release, account: &str) -> Vec<Request> {
    let home = release.name();
    let user = format!("system:serviceaccount:{home}:{account}");
    let mark = format!("all-of-{account}");
    release.namespace().run(&format!("create configmap {mark}"));
    let is_last = |event: &Value| event["objectRef"]["name"] == *mark && event["verb"] == "create";
    let events = AuditLog::follow().events_mentioning(home, is_last);
    events.iter().filter(|event| event["user"]["username"] == *user).filter_map(Request::of).collect()
}

/// Returns the priority levels of the requests that matched the release's `FlowSchema`, with their numbers.
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

/// Returns the permissions in the roles of an account. The roles of the test are deleted after it, so they are taken from the
/// chart's hooks.
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
    /// Returns true if the request needs this permission.
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
