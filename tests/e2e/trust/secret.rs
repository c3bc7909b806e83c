//! The Secret with the CA: absent, corrupt, or emptied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use colocate::tls::{Authority, Validity};
use colocate_harness::{ControlPlane, Installation, Namespace, Namespaces, Object, Rule, SECRET, empty_secret, rights};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::requests::Request;
use super::{authority, times_written, value};

/// With this setting, the Secret is read ten times a second.
const OFTEN: &str = "lifetimes: {settle: 400ms}";

#[test]
fn an_absent_secret_is_reported_with_the_fix() {
    let namespace = Namespace::new("trust-absent");
    let name = namespace.name();
    let installation = Installation::without_secret(ControlPlane::shared(), &namespace, "", &rights(name));
    let colocate = installation.start("one");
    let problem = format!(
        "Secret {name}/{SECRET} does not exist: create it without data, as the chart does, or set tls.secret.create and grant the verb `create` on `secrets`"
    );

    colocate.wait_for_line(&problem);
    colocate.wait_for_readiness(&problem);
    assert!(!colocate.is_ready());

    // colocate keeps retrying the read.
    namespace.kubectl().feed("create -f -", &empty_secret());
    colocate.admit(namespace.kubectl(), Namespaces::Only(&[name]));
    colocate.wait_until_ready();
}

#[test]
fn secret_create_creates_an_absent_secret_without_release_labels() {
    let namespace = Namespace::new("trust-create");
    let rights = rights(namespace.name());
    let tls = "secret: {create: true}";
    let installation = Installation::without_secret(ControlPlane::shared(), &namespace, tls, &rights);
    let colocate = installation.start("one");

    let line = colocate.wait_for_line("(grant the verb `create` on `secrets`)");
    assert!(line.contains("cannot create secrets: "), "{line}");
    let create = Rule::new("", "secrets", &["create"]).in_own_namespace();
    installation.account().grant(&[&rights[..], &[create]].concat());
    colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));
    colocate.wait_until_ready();

    let secret = installation.secret();
    assert_eq!(secret.text("/type"), "Opaque");
    for part in ["labels", "annotations", "ownerReferences", "finalizers"] {
        assert_eq!(secret.0["metadata"].get(part), None, "{secret:?}");
    }
    assert_eq!(installation.bundles(), [Some(value(&secret, "ca.crt"))]);
    let created = Request::of_colocate(&namespace).into_iter().filter(|request| request.verb == "create");
    assert_eq!(created.filter(Request::writes).map(|request| request.resource).collect::<Vec<_>>(), ["secrets"]);
}

#[test]
fn a_corrupt_secret_is_reported_with_its_key_and_never_written() {
    let namespace = Namespace::new("trust-corrupt");
    let installation = Installation::new(ControlPlane::shared(), &namespace, OFTEN);
    let (ca, other) = (authority(), authority());
    let leaf = ca.issue(&["localhost".parse().expect("localhost is a valid name")], ca.certificate().validity());
    let leaf = leaf.expect("a leaf can be issued");
    let (ca_pem, key) = (ca.certificate_pem(), ca.key_pem());
    let cases = [
        (json!({"ca.crt": "hello", "ca.key": key}), "key `ca.crt`: it is not a certificate in PEM form"),
        (json!({"ca.crt": ca_pem, "ca.key": "hello"}), "key `ca.key`: it is not a usable private key in PEM form"),
        (json!({"ca.crt": ca_pem, "ca.key": other.key_pem()}), "key `ca.key`: it is not the key of the certificate"),
        (
            json!({"ca.crt": leaf.certificate_pem(), "ca.key": leaf.key_pem()}),
            "key `ca.crt`: it is not a CA certificate: its basicConstraints do not say CA:TRUE",
        ),
        (json!({"password": "hunter2"}), "key `ca.crt` is missing; the Secret has only `password`"),
    ];
    let running = installation.start("running");
    // The configuration matches no request: this test only looks at the bundle.
    let webhook = installation.webhook(running.port(), Namespaces::Only(&["nowhere"]));
    namespace.kubectl().feed("create -f -", &webhook);
    running.wait_until_ready();
    let bundle = installation.bundles();
    for (data, problem) in &cases {
        let corrupt = put(&installation, data);
        let problem = format!("Secret {}/{SECRET}: {problem}", namespace.name());

        running.wait_for_line(&problem);
        running.wait_for_readiness(&problem);
        assert!(running.is_ready());
        // A running replica continues with its current CA.
        namespace.kubectl().feed("replace -f -", &webhook);
        installation.wait_for_bundles(&bundle);
        // A replica that starts now has no CA, and writes nothing.
        let starting = installation.start("starting");
        starting.wait_for_line(&problem);
        starting.wait_for_readiness(&problem);
        assert!(!starting.is_ready());

        assert_eq!(installation.secret(), corrupt);
    }
    assert_eq!(times_written(&namespace), 1, "only the empty Secret was filled");
}

#[test]
fn an_emptied_secret_gets_the_same_ca_again() {
    let namespace = Namespace::new("trust-emptied");
    let installation = Installation::new(ControlPlane::shared(), &namespace, OFTEN);
    let replicas = ["one", "two"].map(|replica| installation.start(replica));
    replicas[0].admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));
    for replica in &replicas {
        replica.wait_until_ready();
    }
    let (before, bundles) = (installation.secret(), installation.bundles());

    put(&installation, &json!({}));

    let is_filled = |secret: Object| secret.0.get("data").is_some().then_some(secret);
    let after = namespace.kubectl().watch(&format!("secret/{SECRET}"), is_filled);
    assert_eq!(after.0["data"], before.0["data"]);
    assert_eq!(installation.bundles(), bundles);
    assert_eq!(times_written(&namespace), 2, "one write at the start and one after the Secret was emptied");
}

#[test]
fn a_ca_of_the_future_is_replaced_before_it_signs() {
    let namespace = Namespace::new("trust-future");
    let installation = Installation::new(ControlPlane::shared(), &namespace, OFTEN);
    let later = Timestamp::now() + SignedDuration::from_hours(400 * 24);
    let validity = Validity::new(later, SignedDuration::from_hours(365 * 24)).expect("it is in the calendar");
    let future = Authority::new("colocate CA", validity).expect("a key can be generated");
    let data = json!({
        "ca.crt": future.certificate_pem(),
        "ca.key": future.key_pem(),
        "old-ca.crt": authority().certificate_pem(),
        "old-ca.until": "9999-12-31T23:59:59Z",
    });
    put(&installation, &data);

    let colocate = installation.start("one");
    // It returns when the API server has called the webhook.
    colocate.admit(namespace.kubectl(), Namespaces::Only(&[namespace.name()]));

    colocate.wait_for_line("replaced the CA, which was not valid");
    colocate.wait_until_ready();
    let secret = installation.secret();
    assert_ne!(value(&secret, "ca.crt"), future.certificate_pem());
    let until: Timestamp = value(&secret, "old-ca.until").parse().expect("colocate wrote it");
    assert!(until < Timestamp::now() + SignedDuration::from_hours(7 * 24 + 2), "{until}");
    assert!(installation.bundles().iter().flatten().all(|bundle| !bundle.contains(&future.certificate_pem())));
}

/// Replaces the contents of the Secret, and returns it as it is then.
fn put(installation: &Installation<'_>, values: &Value) -> Object {
    let mut secret = installation.secret();
    let values = values.as_object().into_iter().flatten();
    let encoded = values.map(|(key, value)| (key.clone(), STANDARD.encode(value.as_str().unwrap_or_default()).into()));
    secret.0["data"] = Value::Object(encoded.collect());
    // Overwrites concurrent changes.
    if let Some(metadata) = secret.0["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    installation.kubectl().feed("replace -f -", &secret.0.to_string());
    installation.secret()
}
