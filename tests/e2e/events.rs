//! Events on the controllers of pods.

use colocate_harness::{Account, AuditLog, COLOCATE, Colocate, ControlPlane, Namespace, Namespaces, Object, Rule};
use serde_json::Value;

const ON: &str = "missingClaim: {wait: 0s}\nevents: {enabled: true}\n";

/// Three pods with one claim, which are created together.
const STATEFUL_SET: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: example}
spec:
  serviceName: example
  replicas: 3
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: example}}
  template:
    metadata: {labels: {app: example}}
    spec:
      containers: [{name: main, image: example.test/main:1}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
";

/// Starts a colocate with these permissions in addition to those that it always needs.
fn start(namespace: &Namespace, rules: &[Rule]) -> Colocate {
    let control_plane = ControlPlane::shared();
    let account = Account::new(control_plane, namespace.name(), "colocate", &[COLOCATE, rules].concat());
    let colocate = Colocate::start_as(&account, control_plane, namespace.name(), ON);
    colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));
    colocate
}

fn is_ours(event: &Object) -> bool {
    event.text("/reportingController") == "colocate"
}

/// Waits until all pods were decided about without their claim.
fn wait_for_decisions(colocate: &Colocate) {
    for pod in ["example-0", "example-1", "example-2"] {
        assert_eq!(colocate.reason_at_create("Pod", pod), "claim-missing");
    }
}

/// Returns the verb and the status of each request about Events that colocate has sent so far.
fn requests(namespace: &Namespace) -> Vec<(String, u64)> {
    let user = format!("system:serviceaccount:{}:colocate", namespace.name());
    namespace.run("create configmap the-end");
    let events = AuditLog::follow().events_until("create", "configmaps", namespace.name(), "the-end");
    let own = events.iter().filter(|event| event["user"]["username"] == *user);
    let about_events = own.filter(|event| event["objectRef"]["resource"] == "events");
    let request = |event: &Value| {
        (
            event["verb"].as_str().unwrap_or_default().to_owned(),
            event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        )
    };
    about_events.map(request).collect()
}

#[test]
fn a_stateful_set_without_its_claim_gets_one_event_with_a_count() {
    let namespace = Namespace::new("events");
    let colocate = start(&namespace, &[Rule::new("events.k8s.io", "events", &["create", "patch"])]);

    let wait_for_event = |count: u64| {
        let is_wanted = |event: &Object| is_ours(event) && event.number("/series/count") == count;
        namespace.kubectl().watch("events.events.k8s.io", |event| is_wanted(&event).then_some(event))
    };
    namespace.apply(&STATEFUL_SET.replace("replicas: 3", "replicas: 1"));
    // The first occurrence is no series yet.
    wait_for_event(0);
    namespace.run("scale statefulset/example --replicas=3");
    let event = wait_for_event(3);

    let set = namespace.get("statefulset/example");
    assert_eq!(event.0["regarding"]["uid"], set.uid());
    assert_eq!(event.0["regarding"]["apiVersion"], "apps/v1");
    assert_eq!(
        [event.text("/type"), event.text("/reason"), event.text("/action")],
        ["Warning", "ClaimMissing", "Admit"]
    );
    let note = "claim `data` does not exist; the pod keeps scheduler default-scheduler, which cannot be changed later: \
        fix this, then create the pod again; see `colocate why` and docs/reasons.md#reason-claim-missing";
    assert_eq!(event.text("/note"), note);
    assert_eq!(namespace.list("events.events.k8s.io").into_iter().filter(is_ours).count(), 1);
    let described = namespace.run("describe statefulset/example").stdout;
    let line = described.lines().find(|line| line.contains("ClaimMissing")).unwrap_or_else(|| panic!("{described}"));
    assert!(line.contains("(x3 over ") && line.contains(" colocate ") && line.contains(note), "{line}");

    // Both permissions are needed, and no other. Between the two other pods, the Event may be patched, too.
    let requests = requests(&namespace);
    let verbs: Vec<_> = requests.iter().map(|(verb, _)| verb.as_str()).collect();
    assert!(matches!(verbs[..], ["create", "patch"] | ["create", "patch", "patch"]), "{requests:?}");
    assert!(requests.iter().all(|(_, code)| (200..300).contains(code)), "{requests:?}");
    assert_eq!(colocate.metric("colocate_events_total"), requests.len() as u64);
}

#[test]
fn without_the_key_no_event_is_written() {
    let namespace = Namespace::new("events-off");
    let colocate = Colocate::register(&namespace, "missingClaim: {wait: 0s}\n");

    namespace.apply(STATEFUL_SET);

    wait_for_decisions(&colocate);
    assert_eq!(colocate.metric("colocate_events_total"), 0);
    assert_eq!(requests(&namespace), []);
    assert_eq!(namespace.list("events.events.k8s.io").into_iter().filter(is_ours).count(), 0);
}

#[test]
fn without_the_permission_pods_are_admitted_and_one_event_is_tried() {
    let namespace = Namespace::new("events-right-missing");
    let colocate = start(&namespace, &[]);

    namespace.apply(STATEFUL_SET);

    wait_for_decisions(&colocate);
    let line = colocate.wait_for_line("(grant the verb `create` on `events.events.k8s.io`)");
    assert!(line.contains("cannot create events.events.k8s.io: ") && line.contains("WARN"), "{line}");
    let ready = colocate.admin("/readyz");
    assert!(
        ready.starts_with("HTTP/1.1 200 ") && ready.contains("events: cannot create events.events.k8s.io: "),
        "{ready}"
    );
    assert_eq!(requests(&namespace), [("create".to_owned(), 403)]);
}
