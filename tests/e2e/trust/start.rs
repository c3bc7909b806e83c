//! The start of a single replica, and of several at once.

use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use colocate_harness::{
    COLOCATE, Colocate, ControlPlane, Helm, Installation, Namespace, Namespaces, PORTWORX_CLASS, Rule, SECRET, Webhook,
    bundles, empty_secret, pair, rights,
};

use super::requests::Request;
use super::{KINDS, authority, metric, value};

const TIMEOUT: Duration = Duration::from_secs(5);

#[test]
fn a_replica_fills_its_secret_and_serves_calls() {
    let namespace = Namespace::new("trust");
    let installation = Installation::new(ControlPlane::shared(), &namespace, "");
    let colocate = installation.start("one");
    assert!(!colocate.is_ready());

    colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));

    colocate.wait_until_ready();
    assert!(colocate.is_ready());
    let ca = value(&installation.secret(), "ca.crt");
    assert_eq!(installation.bundles(), [Some(ca)]);
    namespace.add_claim("data", PORTWORX_CLASS);
    namespace.apply(&pair::pod("data").to_string());
    assert_eq!(namespace.get("pod/data").scheduler(), "stork");

    let requests = Request::of_colocate(&namespace);
    let filled = requests.iter().filter(|request| request.resource == "secrets" && request.writes());
    assert_eq!(filled.map(|request| &*request.verb).collect::<Vec<_>>(), ["update"]);
    assert_eq!(requests.iter().filter(|request| request.code == 403).count(), 0);
    let day = f64::from(24 * 60 * 60);
    for (certificate, days) in [("leaf", 7.0), ("ca", 365.0)] {
        let metric = |name| metric(&colocate, &format!("colocate_certificate_{name}{{certificate=\"{certificate}\"}}"));
        assert_eq!(metric("rotations_total"), Some(1.0));
        let left = metric("expiry_seconds").expect("the series exists");
        assert!(left > (days - 1.0) * day && left <= days * day, "{certificate}: {left} s");
        assert_eq!(metric("valid"), Some(1.0));
    }
    let skew = metric(&colocate, "colocate_clock_skew_seconds").expect("the API server has answered");
    assert!(skew.abs() < 1.0, "both are on this machine: {skew} s");
    let in_sync = |kind| {
        let name = installation.configuration_name();
        metric(&colocate, &format!("colocate_ca_bundle_in_sync{{configuration=\"{kind}/{name}\"}}"))
    };
    assert_eq!(in_sync("MutatingWebhookConfiguration"), Some(1.0));
    assert_eq!(in_sync("ValidatingWebhookConfiguration"), None, "the configuration does not exist");
}

#[tokio::test]
async fn replicas_that_start_together_agree_on_one_ca() {
    const ROUNDS: usize = 6;
    let control_plane = ControlPlane::shared();
    let namespace = Namespace::new("trust-together");
    let installation = Installation::without_secret(control_plane, &namespace, "", &rights(namespace.name()));
    let name = installation.configuration_name();
    // The webhook is never called: this test creates no pods.
    let chart = format!("template release CHART --set name={name},port=1");
    let manifest = Helm::new(control_plane, &namespace).run(&chart);
    for round in 0..ROUNDS {
        // In even rounds, the Secret and the configurations exist before the replicas start. In odd rounds, they are created
        // afterwards, so the replicas act even closer together.
        let replicas = if round % 2 == 0 {
            namespace.kubectl().feed("create -f -", &manifest);
            start_together(&installation)
        } else {
            let replicas = start_together(&installation);
            namespace.kubectl().feed("create -f -", &manifest);
            replicas
        };
        for replica in &replicas {
            replica.wait_until_ready();
        }

        let secret = installation.secret();
        let keys: Vec<_> = secret.0["data"].as_object().into_iter().flatten().map(|(key, _)| key).collect();
        assert_eq!(keys, ["ca.crt", "ca.key"]);
        let ca = value(&secret, "ca.crt");
        for kind in KINDS {
            let bundles = bundles(&namespace.get(&format!("{kind}/{name}")));
            assert!(bundles.iter().all(|bundle| bundle.as_ref() == Some(&ca)), "round {round}: {bundles:#?}");
        }
        for replica in &replicas {
            replica.client(TIMEOUT).connect().await.expect("the certificate chains to the CA in the bundle");
        }
        let rotations = "colocate_certificate_rotations_total";
        let issued = |certificate: &str| {
            let series = format!("{rotations}{{certificate=\"{certificate}\"}}");
            replicas.iter().map(|replica| metric(replica, &series).unwrap_or_default()).sum::<f64>()
        };
        assert_eq!((issued("ca"), issued("leaf")), (1.0, 4.0));
        drop(replicas);
        namespace.kubectl().feed("delete -f -", &manifest);
    }
    let updates: Vec<_> = Request::of_colocate(&namespace)
        .into_iter()
        .filter(|request| request.resource == "secrets" && request.verb == "update")
        .collect();
    let with = |code| updates.iter().filter(|request| request.code == code).count();
    println!("of {} updates of the Secret, in {ROUNDS} rounds, {} got a conflict", updates.len(), with(409));
    assert_eq!((with(200), with(200) + with(409)), (ROUNDS, updates.len()));
    assert!(with(409) > 0, "the replicas never raced");
}

fn start_together(installation: &Installation<'_>) -> Vec<Colocate> {
    thread::scope(|scope| {
        let starts = ["one", "two", "three", "four"].map(|replica| scope.spawn(move || installation.start(replica)));
        starts.into_iter().map(|start| start.join().expect("the replica starts")).collect()
    })
}

#[test]
fn a_replica_becomes_ready_when_the_live_bundle_has_its_ca() {
    let namespace = Namespace::new("trust-ready");
    let name = format!("zz-colocate-{}", namespace.name());
    let look = |resource| Rule::new("admissionregistration.k8s.io", resource, &["get", "watch"]).named(&name);
    let without_patch = [
        Rule::new("", "secrets", &["get", "update"]).named(SECRET).in_own_namespace(),
        look("mutatingwebhookconfigurations"),
        look("validatingwebhookconfigurations"),
    ];
    let without_patch = [COLOCATE, &without_patch].concat();
    let installation = Installation::without_secret(ControlPlane::shared(), &namespace, "", &without_patch);
    namespace.kubectl().feed("create -f -", &empty_secret());
    let colocate = installation.start("one");
    let in_sync = format!("colocate_ca_bundle_in_sync{{configuration=\"MutatingWebhookConfiguration/{name}\"}}");

    colocate.wait_for_line("serving a new certificate");
    colocate.wait_for_readiness("not ready: waiting for certificate\n");
    colocate.wait_for_readiness(&format!("certificate: neither MutatingWebhookConfiguration/{name} nor "));
    assert_eq!(metric(&colocate, &in_sync), None);

    let foreign = authority().certificate_pem();
    let namespaces = Namespaces::Only(&[namespace.name()]);
    let webhook = Webhook { home: namespace.name(), namespaces, port: colocate.port(), bundle: Some(&foreign) };
    namespace.kubectl().feed("create -f -", &webhook.manifest());
    colocate
        .wait_for_readiness("(grant the verb `patch` on `mutatingwebhookconfigurations.admissionregistration.k8s.io`)");
    assert!(!colocate.is_ready());
    assert_eq!(metric(&colocate, &in_sync), Some(0.0));

    let ca = value(&installation.secret(), "ca.crt");
    let bundle = STANDARD.encode(&ca);
    let patch = serde_json::json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]);
    namespace.run(&format!("patch {}/{name} --type=json -p {patch}", KINDS[0]));

    colocate.wait_until_ready();
    assert!(colocate.is_ready());
    assert_eq!(metric(&colocate, &in_sync), Some(1.0));
}
