//! The controller with a scripted API server that has a Secret, two configurations and other writers.

mod clocks;
mod secret;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::header::DATE;
use jiff::SignedDuration;
use jiff::fmt::rfc2822::DateTimePrinter;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower_test::mock;

use super::*;
use crate::process::clock::Clock;
use crate::process::readiness::Readiness;
use crate::tls::Validity;
use crate::trust::CaSettings;
use crate::trust::rotation::{CaState, Lifetimes, RotationStep};
use crate::trust::secret_data::SecretData;

const SECRET: &str = "/api/v1/namespaces/storage/secrets/colocate-ca";
const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/zz-colocate";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/zz-colocate";

type Interference = Box<dyn FnOnce(&mut Objects) + Send>;

/// The objects of the API server, by path.
#[derive(Default)]
struct Objects {
    by_path: BTreeMap<String, Value>,
    version: u64,
    /// Each write request and the status of its response.
    writes: Vec<(Method, String, u16)>,
    /// A change by another client just before the next write.
    interference: Option<Interference>,
    /// The time that each write takes.
    write_time: Duration,
    /// The number of times that the Secret was read.
    secret_reads: usize,
}

impl Objects {
    fn put(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.by_path.insert(path.to_owned(), object.clone());
        object
    }

    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        if method == Method::GET {
            self.secret_reads += usize::from(path == SECRET);
            let object = self.by_path.get(path).cloned();
            return object.map_or((404, Value::Null), |object| (200, object));
        }
        if let Some(interference) = self.interference.take() {
            interference(self);
        }
        let answer = self.write(method, path, body);
        self.writes.push((method.clone(), path.to_owned(), answer.0));
        answer
    }

    fn write(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        if method == Method::POST {
            let object: Value = serde_json::from_slice(body).unwrap();
            let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
            if self.by_path.contains_key(&path) {
                return (409, Value::Null);
            }
            return (201, self.put(&path, object));
        }
        let Some(current) = self.by_path.get(path).cloned() else { return (404, Value::Null) };
        if method == Method::PUT {
            let object: Value = serde_json::from_slice(body).unwrap();
            if object["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"] {
                return (409, Value::Null);
            }
            return (200, self.put(path, object));
        }
        assert_eq!(method, Method::PATCH);
        let operations: json_patch::Patch = serde_json::from_slice(body).unwrap();
        let mut patched = current;
        match json_patch::patch(&mut patched, &operations) {
            Ok(()) => (200, self.put(path, patched)),
            Err(_) => (422, Value::Null),
        }
    }

    fn bundle(&self, path: &str) -> Vec<Certificate> {
        WebhookConfiguration::from_json(self.by_path[path].to_string().as_bytes()).unwrap().carried_by_all()
    }

    fn state(&self) -> CaState {
        let data = self.by_path[SECRET]["data"].as_object().unwrap();
        let decoded = data.iter().map(|(key, value)| (key.clone(), STANDARD.decode(value.as_str().unwrap()).unwrap()));
        CaState::from_data(&decoded.collect(), "x").unwrap().unwrap()
    }

    fn hold(&mut self, state: &CaState) {
        let mut data = SecretData::new();
        state.write_to(&mut data);
        let data: BTreeMap<_, _> = data.into_iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        self.put(SECRET, secret(Some(json!(data))));
    }
}

fn secret(data: Option<Value>) -> Value {
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "colocate-ca", "namespace": "storage", "labels": { "app": "x" } },
    });
    if let Some(data) = data {
        secret["data"] = data;
    }
    secret
}

/// Returns a configuration with two entries without a bundle.
fn configuration() -> Value {
    let entry = |name| json!({ "name": name, "clientConfig": { "service": { "name": "colocate" } } });
    json!({ "metadata": { "name": "zz-colocate" }, "webhooks": [entry("a.example.com"), entry("b.example.com")] })
}

/// The clock of the API server, and how far that of the replicas is ahead, in seconds.
struct TestClocks {
    begun: (Timestamp, Instant),
    ahead: AtomicI64,
}

impl TestClocks {
    fn server(&self) -> Timestamp {
        let (now, at) = self.begun;
        now + at.elapsed()
    }

    fn local(&self) -> Timestamp {
        self.server() + SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed))
    }
}

struct TestCluster {
    objects: Arc<Mutex<Objects>>,
    clocks: Arc<TestClocks>,
    client: ApiClient,
    server: JoinHandle<()>,
}

impl TestCluster {
    fn new() -> Self {
        let (service, mut handle) = mock::pair::<hyper::Request<Body>, hyper::Response<Body>>();
        let objects = Arc::<Mutex<Objects>>::default();
        let clocks = Arc::new(TestClocks { begun: (Timestamp::now(), Instant::now()), ahead: AtomicI64::new(0) });
        let (shared, dating) = (objects.clone(), clocks.clone());
        let server = tokio::spawn(async move {
            while let Some((request, send)) = handle.next_request().await {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                if head.method != Method::GET {
                    let time = shared.lock().unwrap().write_time;
                    tokio::time::sleep(time).await;
                }
                let (status, object) = shared.lock().unwrap().answer(&head.method, head.uri.path(), &body);
                let object = if status < 400 {
                    object
                } else {
                    json!({ "kind": "Status", "status": "Failure", "code": status })
                };
                let body = Body::from(object.to_string().into_bytes());
                let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&dating.server()).unwrap();
                send.send_response(hyper::Response::builder().status(status).header(DATE, date).body(body).unwrap());
            }
        });
        let local = clocks.clone();
        let clock = Clock::new(move || local.local());
        let client = ApiClient::for_test_with_clock(Client::new(service, "storage"), clock);
        Self { objects, clocks, client, server }
    }

    /// Creates a cluster with an empty Secret and a configuration.
    fn installed() -> Self {
        let cluster = Self::new();
        cluster.change(|objects| {
            objects.put(SECRET, secret(None));
            objects.put(MUTATING, configuration());
        });
        cluster
    }

    fn change<T>(&self, change: impl FnOnce(&mut Objects) -> T) -> T {
        change(&mut self.objects.lock().unwrap())
    }

    fn writes(&self) -> Vec<(Method, String, u16)> {
        self.change(|objects| std::mem::take(&mut objects.writes))
    }

    fn interfere(&self, interference: impl FnOnce(&mut Objects) + Send + 'static) {
        self.change(|objects| objects.interference = Some(Box::new(interference)));
    }

    fn replica(&self) -> (TrustController, Readiness) {
        self.replica_with(false, Lifetimes::default())
    }

    fn replica_with(&self, create: bool, lifetimes: Lifetimes) -> (TrustController, Readiness) {
        let names = vec!["colocate.storage.svc".parse().unwrap()];
        let name = "colocate-ca".to_owned();
        let process = Process::default();
        let settings = CaSettings { namespace: None, name, create, names, lifetimes };
        let managed = ManagedCa::new(&self.client, settings, &process.readiness);
        self.controller(TrustSource::Managed(Box::new(managed)), process)
    }

    fn controller(&self, source: TrustSource, process: Process) -> (TrustController, Readiness) {
        let webhooks = WebhookNames { mutating: "zz-colocate".to_owned(), validating: "zz-colocate".to_owned() };
        let controller =
            TrustController::new(&self.client, source, &webhooks, &CertificateResolver::default(), &process);
        let readiness = process.readiness;
        (controller, readiness)
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl TrustController {
    /// Reads the configurations like the watches, and does a round.
    async fn read_and_go_round(&mut self) -> Duration {
        self.live.read().await.unwrap();
        self.round().await
    }

    fn leaf_chains_to(&self, certificates: &[Certificate]) -> bool {
        self.resolver.served().unwrap().chains_to(certificates, self.clock.read().now())
    }
}

fn wrote(method: &Method, path: &str, status: u16) -> (Method, String, u16) {
    (method.clone(), path.to_owned(), status)
}

#[tokio::test(start_paused = true)]
async fn it_becomes_ready_when_the_secret_and_the_bundle_are_written() {
    let cluster = TestCluster::installed();
    let (mut controller, readiness) = cluster.replica();
    assert_eq!(readiness.obstacles(), ["certificate"]);
    controller.round().await;
    assert_eq!(readiness.obstacles(), ["certificate"], "the configurations have not been read");
    controller.read_and_go_round().await;
    assert!(readiness.obstacles().is_empty(), "{:?}", readiness.details());
    assert_eq!(cluster.writes(), [wrote(&Method::PUT, SECRET, 200), wrote(&Method::PATCH, MUTATING, 200)]);
    cluster.change(|objects| {
        let ca = objects.state().current.certificate().clone();
        assert_eq!(objects.bundle(MUTATING), [ca]);
        assert!(controller.leaf_chains_to(&objects.bundle(MUTATING)));
        // Other fields of the Secret stay.
        assert_eq!(objects.by_path[SECRET]["metadata"]["labels"], json!({ "app": "x" }));
    });
    controller.read_and_go_round().await;
    assert_eq!(cluster.writes(), [], "nothing is left to do");
    let metrics = controller.metrics.encode();
    for line in [
        r#"colocate_certificate_rotations_total{certificate="ca"} 1"#,
        r#"colocate_certificate_rotations_total{certificate="leaf"} 1"#,
        r#"colocate_ca_bundle_in_sync{configuration="MutatingWebhookConfiguration/zz-colocate"} 1"#,
        r#"colocate_certificate_expiry_seconds{certificate="leaf"} 604"#,
        r#"colocate_certificate_expiry_seconds{certificate="ca"} 31"#,
        r#"colocate_certificate_valid{certificate="leaf"} 1"#,
        r#"colocate_certificate_valid{certificate="ca"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains("Validating"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_leaf_is_renewed_although_no_write_is_answered() {
    let cluster = TestCluster::installed();
    let (mut controller, _) = cluster.replica();
    controller.read_and_go_round().await;
    cluster.change(|objects| objects.write_time = Duration::from_hours(1));
    // The next CA is due, and the leaf has expired.
    tokio::time::advance(Duration::from_hours(250 * 24)).await;
    let read = cluster.change(|objects| objects.secret_reads);
    tokio::time::timeout(Duration::from_millis(1), controller.round()).await.unwrap_err();
    assert_eq!(cluster.change(|objects| objects.secret_reads), read + 1);
    let bundle = cluster.change(|objects| objects.bundle(MUTATING));
    assert!(controller.leaf_chains_to(&bundle), "{:?}", controller.resolver.validity());
}

#[tokio::test(start_paused = true)]
async fn updates_do_not_postpone_a_round() {
    let cluster = TestCluster::installed();
    let (controller, _) = cluster.replica();
    let (sender, updates) = channel(16);
    // Another writer removes the bundle again and again, and each repair takes a second.
    cluster.change(|objects| objects.write_time = Duration::from_secs(1));
    let objects = cluster.objects.clone();
    let fight = tokio::spawn(async move {
        loop {
            let kind = WebhookKind::Mutating;
            let removed = objects.lock().unwrap().put(MUTATING, configuration());
            let configuration = WebhookConfiguration::from_json(removed.to_string().as_bytes()).ok();
            sender.send(ConfigurationUpdate { kind, configuration, unbroken: true }).await.unwrap();
        }
    });
    let keeping = tokio::spawn(controller.run(updates));
    tokio::time::sleep(Duration::from_mins(10)).await;
    // A round starts at most 10 s after the one before, and takes a few seconds longer here.
    let reads = cluster.change(|objects| objects.secret_reads);
    assert!(reads > 20, "the Secret was read {reads} times");
    keeping.abort();
    fight.abort();
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_does_not_wait_for_the_next_round() {
    let cluster = TestCluster::new();
    let (controller, _) = cluster.replica();
    let reference = controller.live.of(WebhookKind::Mutating).reference.clone();
    let (sender, updates) = channel(16);
    let keeping = tokio::spawn(controller.run(updates));
    // After many failures, it retries only every 10 s.
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(cluster.writes(), []);
    cluster.change(|objects| {
        objects.put(SECRET, secret(None));
        objects.put(MUTATING, configuration());
    });
    let start = Instant::now();
    tokio::spawn(api::follow(reference.client.clone(), ConfigurationWatch::new(reference, sender)));
    while cluster.change(|objects| objects.bundle(MUTATING)).is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(start.elapsed() < FIRST_RETRY, "{:?}", start.elapsed());
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_conflicts_is_computed_again() {
    let cluster = TestCluster::installed();
    let (mut controller, readiness) = cluster.replica();
    controller.round().await;
    cluster.writes();
    controller.live.read().await.unwrap();
    cluster.interfere(|objects| {
        let mut renamed = configuration();
        renamed["webhooks"][0]["name"] = "c.example.com".into();
        objects.put(MUTATING, renamed);
    });
    controller.reconcile().await.unwrap();
    assert_eq!(cluster.writes(), [wrote(&Method::PATCH, MUTATING, 422), wrote(&Method::PATCH, MUTATING, 200)]);
    assert!(readiness.obstacles().is_empty());
    cluster.change(|objects| objects.put(MUTATING, configuration()));
    controller.live.read().await.unwrap();
    cluster.interfere(|objects| {
        objects.by_path.remove(MUTATING);
    });
    controller.reconcile().await.unwrap();
    assert_eq!(
        cluster.writes(),
        [wrote(&Method::PATCH, MUTATING, 404)],
        "a deleted configuration is not created again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rotation_waits_for_the_live_configurations() {
    let cluster = TestCluster::installed();
    let (mut controller, _) = cluster.replica();
    // A CA after three quarters of its life.
    let life = Lifetimes::default();
    let born = Timestamp::now() - life.ca / 4 * 3;
    let first = CaState::first(born, &life).unwrap();
    cluster.change(|objects| objects.hold(&first));
    controller.read_and_go_round().await;
    let published = cluster.change(|objects| objects.state());
    let next = published.next.clone().unwrap();
    assert_eq!(cluster.change(|objects| objects.bundle(MUTATING)).len(), 2);
    assert!(controller.leaf_chains_to(std::slice::from_ref(first.current.certificate())));
    tokio::time::advance(Duration::from_secs(59)).await;
    // The bundle is removed, which restarts the time.
    cluster.change(|objects| objects.put(MUTATING, configuration()));
    controller.read_and_go_round().await;
    tokio::time::advance(Duration::from_secs(59)).await;
    controller.read_and_go_round().await;
    assert!(cluster.change(|objects| objects.state()).next.is_some());
    // The bundle is removed again, without an update to this replica.
    cluster.change(|objects| objects.put(MUTATING, configuration()));
    tokio::time::advance(Duration::from_secs(1)).await;
    controller.round().await;
    assert!(cluster.change(|objects| objects.state()).next.is_some());
    tokio::time::advance(Duration::from_mins(1)).await;
    controller.read_and_go_round().await;
    let switched = cluster.change(|objects| objects.state());
    assert_eq!(switched.current.certificate(), next.certificate());
    assert_eq!(&switched.old.unwrap().certificate, first.current.certificate());
    assert!(controller.leaf_chains_to(std::slice::from_ref(next.certificate())));
    assert_eq!(cluster.change(|objects| objects.bundle(MUTATING)).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_interval_follows_from_the_lifetimes() {
    let cluster = TestCluster::new();
    let interval = |ca, leaf, settle| {
        let seconds = SignedDuration::from_secs;
        let lifetimes = Lifetimes { ca: seconds(ca), leaf: seconds(leaf), settle: seconds(settle) };
        match cluster.replica_with(false, lifetimes).0.source {
            TrustSource::Managed(managed) => managed.interval(),
            TrustSource::Mounted(_) => unreachable!(),
        }
    };
    assert_eq!(interval(31_536_000, 604_800, 60), Duration::from_secs(10));
    assert_eq!(interval(16, 4, 1), Duration::from_millis(250));
    assert_eq!(interval(16, 4, 0), Duration::from_millis(100));
    assert_eq!(interval(1000, 2, 100), Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn with_cas_from_a_file_the_certificate_must_chain_to_them() {
    let cluster = TestCluster::new();
    cluster.change(|objects| objects.put(MUTATING, configuration()));
    let folder = tempfile::tempdir().unwrap();
    let state = CaState::first(Timestamp::now(), &Lifetimes::default()).unwrap();
    std::fs::write(folder.path().join("ca.crt"), state.current.certificate_pem()).unwrap();
    let (mut controller, readiness) =
        cluster.controller(TrustSource::Mounted(MountedCa::new(folder.path().join("ca.crt"))), Process::default());
    controller.read_and_go_round().await;
    assert_eq!(cluster.change(|objects| objects.bundle(MUTATING)), std::slice::from_ref(state.current.certificate()));
    assert_eq!(readiness.obstacles(), ["certificate"]);
    let validity = Validity::new(Timestamp::now(), SignedDuration::from_hours(1)).unwrap();
    let leaf = state.current.issue(&["a.example".parse().unwrap()], validity).unwrap();
    controller.resolver.serve(leaf.serving().unwrap());
    controller.read_and_go_round().await;
    assert!(readiness.obstacles().is_empty());
}

impl TestCluster {
    /// Sets the clock of the replicas this far ahead of the API server's.
    fn set_ahead(&self, ahead: SignedDuration) {
        self.clocks.ahead.store(ahead.as_secs(), Ordering::Relaxed);
    }

    /// Checks that API servers accept what this replica serves.
    fn assert_accepted(&self, controller: &TrustController) {
        let bundle = self.change(|objects| objects.bundle(MUTATING));
        let served = controller.resolver.served().unwrap();
        assert!(served.chains_to(&bundle, self.clocks.server()), "{served:?}\n{bundle:?}");
    }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);
