//! An outage: colocate is killed under a steady load of new pods, workloads are scaled, pods are deleted, and colocate starts again.
//!
//! Afterwards, `audit` and `audit --audit-log` find exactly the pods that it missed. What they should find is computed from the
//! API server's audit log and the list of pods, by rules that are written here and do not use the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use colocate_harness::{
    Api, AuditLog, ControlPlane, Folder, Namespace, OTHER_CLASS, Object, PORTWORX_CLASS, Release, background, pair,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::interval;

use super::plan;

const NAMESPACE: &str = "outage";

/// The load: 50 pods per second, for 20 s.
const PODS: usize = 1_000;
const PACE: Duration = Duration::from_millis(20);

/// The numbers of the pods that are created while colocate is unavailable. It is killed and started again while the pods before and
/// after them are created.
const UNAVAILABLE: Range<usize> = 350..500;

/// The number of pods that are created while colocate is killed, and while it starts.
const OVERLAP: usize = 100;

/// The smallest number of ready pods of the Deployment that its budget permits.
const MIN_AVAILABLE: u32 = 4;

/// The object of an operator, which controls some of the pods.
const OPERATOR: &str = "---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: operator}
spec: {template: {spec: {containers: []}}}
";

/// The configuration. An audit plans evictions of the operator's pods only if its kind is configured.
const CONFIG: &str = "{customWorkloads: [{group: argoproj.io, version: v1alpha1, resource: rollouts, kind: Rollout, path: /spec/template}]}";

/// The events about new pods of the controllers: of the Deployment 4, then 2 in place of deleted ones, and 2 when it is scaled; of
/// the `StatefulSet` 2, then 1 in place of a deleted one.
const PODS_OF_CONTROLLERS: usize = 8 + 3;

/// The events about the other new pods: the load, the one that was deleted, the one that was created again, and the last one.
const OTHER_PODS: usize = PODS + 1 + 2 + 1;

/// The objects of the outage.
struct Outage {
    control_plane: &'static ControlPlane,
    release: Release,
    namespace: Namespace,
    api: Api,
    /// The UID of the object that controls pods, for which the test acts as the operator.
    operator: String,
}

/// The results of `audit`.
struct AuditResults {
    /// The pods in the plan.
    planned: BTreeSet<String>,
    /// The pods that are not in the plan, all for the lack of a controller.
    left_out: BTreeSet<String>,
    /// The commands of each round.
    rounds: Vec<Vec<String>>,
    /// The document.
    audit: Value,
}

impl Outage {
    /// Installs colocate, and creates the workloads and their first pods, which it does not miss.
    fn begin() -> Self {
        let control_plane = ControlPlane::shared();
        let namespace = Namespace::new(NAMESPACE);
        namespace.add_claim("px", PORTWORX_CLASS);
        namespace.add_claim("other", OTHER_CLASS);
        // The workloads exist before colocate, so that their templates do not name the scheduler. They have no pods yet.
        namespace.apply(&(plan::workloads(0, MIN_AVAILABLE, 0) + OPERATOR));
        let release = Release::prepare(control_plane, "interrupted");
        release.install(&format!(
            "replicaCount: 1\nconfig: {CONFIG}\nwebhook: {{failurePolicy: Ignore, namespaces: {{include: [{NAMESPACE}]}}}}\n"
        ));
        release.wait_until_called(NAMESPACE);
        let api = background().block_on(Api::administrator(control_plane));
        let operator = namespace.get("rollout/operator").uid().to_owned();
        let outage = Self { control_plane, release, namespace, api, operator };
        outage.namespace.run("scale deployment/web --replicas=4");
        outage.namespace.run("scale statefulset/db --replicas=2");
        let pods = outage.namespace.running_pods("", 6);
        assert!(pods.iter().all(|pod| pod.scheduler() == "stork"), "{pods:?}");
        outage
    }

    /// A pod of the load. The gate keeps it Pending, and the schedulers idle.
    fn pod(&self, name: &str, number: usize) -> Value {
        let mut pod = pair::pod(if matches!(number % 10, 5 | 6) { "other" } else { "px" });
        pod["metadata"]["name"] = name.into();
        pod["spec"]["schedulingGates"] = json!([{"name": "colocate.test/outage"}]);
        match number % 10 {
            7 => pod["metadata"]["labels"] = json!({"colocate/ignore": "true"}),
            8 | 9 => {
                let owner = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "operator", "uid": self.operator});
                pod["metadata"]["ownerReferences"] = json!([owner]);
                pod["metadata"]["ownerReferences"][0]["controller"] = true.into();
            }
            _ => {}
        }
        pod
    }

    fn create(&self, name: &str, number: usize) {
        let reply = background().block_on(self.api.create(&pair::pods(NAMESPACE), &self.pod(name, number)));
        assert_eq!(reply.status, 201, "{name}: {reply:?}");
    }

    /// Creates these pods of the load at their pace. The receiver has the number of requests so far.
    fn load(&self, numbers: Range<usize>) -> (watch::Receiver<usize>, JoinHandle<()>) {
        let pods: Vec<_> = numbers.map(|number| self.pod(&format!("pod-{number}"), number)).collect();
        let (sent, progress) = watch::channel(0);
        let api = self.api.clone();
        let load = background().spawn(async move {
            let (mut ticks, mut requests) = (interval(PACE), JoinSet::new());
            for pod in pods {
                ticks.tick().await;
                let api = api.clone();
                requests.spawn(async move {
                    let reply = api.create(&pair::pods(NAMESPACE), &pod).await;
                    assert_eq!(reply.status, 201, "{reply:?}");
                });
                sent.send_modify(|sent| *sent += 1);
            }
            requests.join_all().await;
        });
        (progress, load)
    }

    /// Kills colocate under load, changes workloads and pods, and starts it again under load.
    fn kill_and_restart(&self) {
        let (mut progress, before) = self.load(0..UNAVAILABLE.start);
        let at_kill = UNAVAILABLE.start - OVERLAP;
        background()
            .block_on(async { progress.wait_for(|sent| *sent >= at_kill).await.map(|_| ()) })
            .expect("it loads");
        let replicas = self.release.kubelet().running();
        assert_eq!(replicas.len(), 1);
        replicas[0].kill();
        self.release.kubelet().wait_until_all_have_ended();

        let (_, during) = self.load(UNAVAILABLE);
        let web = self.namespace.list("pods -l app=web");
        self.namespace.run(&format!("delete pods {} {} db-0 --wait=false", web[0].name(), web[1].name()));
        self.namespace.run("scale deployment/web --replicas=6");
        self.create("gone", 0);
        self.create("again", 0);
        self.namespace.run("delete pods gone again");
        self.namespace.running_pods("-l app=web", 6);
        self.namespace.running_pods("-l app=db", 2);
        background().block_on(async { tokio::try_join!(before, during) }).expect("all pods are admitted");

        let (_, start) = self.load(UNAVAILABLE.end..UNAVAILABLE.end + OVERLAP);
        self.release.namespace().run("delete pods --all --wait=false");
        self.release.wait_until_called(NAMESPACE);
        self.create("again", 0);
        let (_, after) = self.load(UNAVAILABLE.end + OVERLAP..PODS);
        background().block_on(async { tokio::try_join!(start, after) }).expect("all pods are admitted");
        self.create("last", 0);
    }

    /// Waits for the events about all new pods of the outage, and returns them.
    fn events() -> Vec<Value> {
        let mut events = Vec::new();
        let mut left = PODS_OF_CONTROLLERS + OTHER_PODS;
        let log = AuditLog::follow();
        log.wait_for("the events about all pods", |line| {
            if line.contains(r#""namespace":"outage""#) && line.contains(r#""verb":"create""#) {
                let event: Value = serde_json::from_str(line).expect("the API server logs JSON");
                if creates_pod(&event) {
                    events.push(event);
                    left -= 1;
                }
            }
            (left == 0).then_some(())
        });
        events
    }

    fn pods(&self) -> BTreeMap<String, Object> {
        let pods = self.namespace.list("pods").into_iter();
        pods.map(|pod| (pod.name().to_owned(), pod)).collect()
    }

    fn run(&self, arguments: &str) -> String {
        let kubeconfig = self.control_plane.kubeconfig().display();
        let run = Folder::new(&[]).run(&format!("audit -n {NAMESPACE} --kubeconfig {kubeconfig} {arguments}"));
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{arguments}: {}", run.out);
        run.out
    }

    fn audit(&self) -> AuditResults {
        let plan = self.run("--repair-plan");
        let rounds = plan::rounds(&plan);
        let of_command = |line: &String| -> String {
            let (_, rest) = line.split_once("/pods/").expect("the path has the name");
            rest.split('/').next().unwrap_or_default().to_owned()
        };
        let (_, left_out) = plan.split_once("\n# not in the plan\n").unwrap_or_default();
        let left_out = left_out.lines().map(|line| {
            let (name, reason) = line.split_once(": ").expect("a reason follows");
            assert!(reason.contains("delete it, and create it from its manifest"), "{reason}");
            name.trim_start_matches("# outage/").to_owned()
        });
        AuditResults {
            planned: rounds.iter().flatten().map(of_command).collect(),
            left_out: left_out.collect(),
            rounds,
            audit: serde_json::from_str(&self.run("-o json --strict")).expect("the document is JSON"),
        }
    }

    /// Reads the log in two files, of which the first is compressed.
    fn audit_log(&self) -> Value {
        let log = fs::read(self.control_plane.audit_log()).expect("the API server writes a log");
        let middle = log.len() / 2;
        let cut = middle + log[middle..].iter().position(|byte| *byte == b'\n').expect("there are lines") + 1;
        let folder = Folder::new(&[]);
        let rotated = fs::File::create(folder.path("audit-1.log.gz")).expect("the folder is writable");
        let mut rotated = GzEncoder::new(rotated, Compression::fast());
        rotated.write_all(&log[..cut]).and_then(|()| rotated.try_finish()).expect("the folder is writable");
        fs::write(folder.path("audit.log"), &log[cut..]).expect("the folder is writable");
        let kubeconfig = self.control_plane.kubeconfig().display();
        let line = format!(
            "audit -n {NAMESPACE} --kubeconfig {kubeconfig} -o json --strict --audit-log audit.log audit-1.log.gz"
        );
        let run = folder.run(&line);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{}", run.out);
        serde_json::from_str(&run.out).expect("the document is JSON")
    }

    /// Runs the commands of a round, and acts as the operator, which creates its pods again.
    fn evict(&self, round: &[String]) {
        let before = self.pods();
        plan::run(self.control_plane, round);
        let after = self.pods();
        let is_of_operator = |pod: &Object| pod.text("/metadata/ownerReferences/0/kind") == "Rollout";
        let evicted = before.values().filter(|pod| is_of_operator(pod) && !after.contains_key(pod.name()));
        for pod in evicted {
            self.create(pod.name(), 8);
        }
        plan::wait_until_ready(&self.namespace, 8, 8);
    }

    /// Watches the ready pods of the Deployment. The number is the smallest one since its 6 pods were ready.
    fn watch_availability(&self) -> (Arc<AtomicU64>, AbortHandle) {
        let smallest = Arc::new(AtomicU64::new(u64::MAX));
        let (api, seen) = (self.api.clone(), smallest.clone());
        let watch = background().spawn(async move {
            let mut watch = api.watch(&format!("{}?watch=true&labelSelector=app%3Dweb", pair::pods(NAMESPACE))).await;
            let mut ready = BTreeSet::new();
            let mut complete = false;
            while let Some((kind, pod)) = watch.next().await {
                let name = pod.name().to_owned();
                let _ = if kind != "DELETED" && pod.runs() { ready.insert(name) } else { ready.remove(&name) };
                complete |= ready.len() == 6;
                if complete {
                    seen.fetch_min(ready.len() as u64, Ordering::Relaxed);
                }
            }
        });
        (smallest, watch.abort_handle())
    }
}

/// Returns true for the last event of a request that created a pod.
fn creates_pod(event: &Value) -> bool {
    let object = &event["objectRef"];
    let is_dry_run = event["requestURI"].as_str().unwrap_or_default().contains("dryRun=All");
    object["resource"] == "pods"
        && object["namespace"] == NAMESPACE
        && object["subresource"].is_null()
        && event["stage"] == "ResponseComplete"
        && event["responseStatus"]["code"] == 201
        && !is_dry_run
}

/// Returns true if the API server admitted the pod although colocate did not answer.
fn failed_open(event: &Value) -> bool {
    let annotations = event["annotations"].as_object().into_iter().flatten();
    let mut failures = annotations.filter(|(key, _)| key.starts_with("failed-open.mutation.webhook.admission.k8s.io/"));
    failures.any(|(_, webhook)| webhook.as_str().is_some_and(|webhook| webhook.ends_with(".mutate.colocate")))
}

/// Returns true if a pod mounts the claim of Portworx, has no opt-out, and is not on Stork's scheduler.
fn is_wrong(pod: &Object) -> bool {
    let claim = pod.text("/spec/volumes/0/persistentVolumeClaim/claimName");
    claim == "px" && pod.label("colocate/ignore") != "true" && pod.scheduler() != "stork"
}

/// Returns the names of pods.
fn names<'p>(pods: impl Iterator<Item = &'p Object>) -> BTreeSet<String> {
    pods.map(|pod| pod.name().to_owned()).collect()
}

#[test]
fn audit_finds_exactly_the_pods_missed_in_an_outage() {
    let outage = Outage::begin();
    outage.kill_and_restart();

    let events = Outage::events();
    let pods = outage.pods();
    let wrong = names(pods.values().filter(|pod| is_wrong(pod)));
    let missed: Vec<_> = events.iter().filter(|event| failed_open(event)).collect();
    let name_of = |event: &Value| event["requestObject"]["metadata"]["name"].as_str().map(str::to_owned);
    // The last pod of a name is the one that exists.
    let last: BTreeMap<_, _> = events.iter().filter_map(|event| Some((name_of(event)?, failed_open(event)))).collect();
    let named = last.iter().filter(|(name, missed)| **missed && pods.contains_key(*name)).map(|(name, _)| name.clone());
    // The log has no names of the Deployment's pods.
    let of_web = names(pods.values().filter(|pod| pod.label("app") == "web" && is_wrong(pod)));
    assert_eq!(of_web.len(), 4, "two were deleted, and two were added");
    let existing: BTreeSet<_> = named.chain(of_web.iter().cloned()).collect();
    // The scene itself: only missed pods are wrong, and of the missed ones, those of another class are not.
    assert!(wrong.is_subset(&existing) && wrong.len() < existing.len(), "{wrong:?} {existing:?}");
    for number in UNAVAILABLE {
        // API servers do not send pods that have opted out.
        assert_eq!(last[&format!("pod-{number}")], number % 10 != 7, "pod-{number}");
    }
    assert_eq!((last["last"], last["again"]), (false, false));

    let document = outage.audit_log();
    let entries = document["missed"].as_array().unwrap();
    let ids = |values: &mut dyn Iterator<Item = &Value>| -> BTreeSet<String> {
        values.map(|value| value["auditID"].as_str().unwrap().to_owned()).collect()
    };
    let of_pods: Vec<_> = entries.iter().filter(|entry| entry["resource"] == "pods").collect();
    assert_eq!(of_pods.len(), entries.len(), "{document:#}");
    assert_eq!(ids(&mut of_pods.iter().copied()), ids(&mut missed.iter().copied()));
    let live = |entry: &&Value| (entry["fate"] == "exists").then(|| entry["live"]["name"].as_str().unwrap().to_owned());
    let found: Vec<_> = of_pods.iter().filter_map(live).collect();
    assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), existing);
    assert_eq!(found.len(), existing.len(), "each is found once");
    for entry in &of_pods {
        let Some(pod) = entry["live"]["name"].as_str().map(|name| &pods[name]) else { continue };
        assert_eq!((&entry["live"]["uid"], &entry["live"]["scheduler"]), (&pod.uid().into(), &pod.scheduler().into()));
    }
    let fate = |name: &str| of_pods.iter().find(|entry| entry["name"] == name).map(|entry| &entry["fate"]);
    assert_eq!((fate("gone"), fate("again"), fate("last")), (Some(&json!("gone")), Some(&json!("recreated")), None));

    let results = outage.audit();
    let counts = &results.audit["clusters"][0]["pods"];
    assert_eq!((&counts["wrong"], &counts["unknown"]), (&wrong.len().into(), &0.into()));
    assert_eq!(results.planned.union(&results.left_out).cloned().collect::<BTreeSet<_>>(), wrong);
    let uncontrolled = |pod: &&Object| pod.0["metadata"]["ownerReferences"].is_null();
    let bare = names(pods.values().filter(|pod| is_wrong(pod)).filter(uncontrolled));
    assert_eq!(results.left_out, bare);

    // Pending pods come first; then, of the Deployment as many as its budget allows, and of the StatefulSet one.
    let (smallest, watch) = outage.watch_availability();
    let pending = wrong.difference(&bare).filter(|name| pods[*name].text("/status/phase") == "Pending").count();
    let sizes: Vec<_> = results.rounds.iter().map(Vec::len).collect();
    assert_eq!(sizes, [pending + 2 + 1, 2], "{:?}", results.rounds);
    for round in &results.rounds {
        outage.evict(round);
    }
    watch.abort();
    let smallest = smallest.load(Ordering::Relaxed);
    assert!((u64::from(MIN_AVAILABLE)..=6).contains(&smallest), "{smallest} pods were ready");

    let results = outage.audit();
    assert_eq!(results.audit["clusters"][0]["pods"]["wrong"], bare.len());
    assert_eq!((results.rounds.len(), &results.left_out), (0, &bare));
    // What the plan says about pods without a controller.
    outage.namespace.run(&format!("delete pods {} --wait=false", bare.iter().cloned().collect::<Vec<_>>().join(" ")));
    for name in &bare {
        outage.create(name, 0);
    }
    outage.run("--strict --fail-under 100");
}
