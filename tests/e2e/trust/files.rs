//! A certificate from files, and its `caBundle`.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use colocate::tls::Certificate;
use colocate_harness::{
    COLOCATE, Certificate as From, ControlPlane, Installation, Namespace, Namespaces, issue, rights,
};
use serde_json::{Value, json};

use super::requests::Request;
use super::{KINDS, authority, metric};

/// The path of the bundle of the only entry.
const BUNDLE: &str = "/webhooks/0/clientConfig/caBundle";

#[test]
fn with_a_ca_file_the_bundle_is_written_and_restored() {
    let namespace = Namespace::new("trust-files");
    let home = namespace.name();
    let installation = Installation::without_secret(ControlPlane::shared(), &namespace, "", &rights(home));
    let folder = ControlPlane::shared().dir().join(home);
    issue(&folder, home);
    let colocate = installation.start_with_files("one", &folder);
    colocate.wait_for_readiness("not ready: waiting for certificate\n");
    colocate.wait_for_readiness("certificate: neither MutatingWebhookConfiguration/");

    colocate.admit(namespace.kubectl(), Namespaces::Only(&[home]));

    colocate.wait_until_ready();
    let ca = fs::read_to_string(folder.join("ca.crt")).expect("ca.crt was written");
    assert_eq!(installation.bundles(), [Some(ca.clone())]);

    let patch = |operation: Value| {
        let name = installation.configuration_name();
        namespace.run(&format!("patch {}/{name} --type=json -p {}", KINDS[0], json!([operation])));
    };
    patch(json!({"op": "remove", "path": BUNDLE}));
    installation.wait_for_bundles(&[Some(ca.clone())]);
    patch(json!({"op": "replace", "path": BUNDLE, "value": STANDARD.encode("hello")}));
    installation.wait_for_bundles(&[Some(ca.clone())]);
    // Another CA could be that of a replica with newer files, so it stays for a while.
    let foreign = authority();
    patch(json!({"op": "replace", "path": BUNDLE, "value": STANDARD.encode(foreign.certificate_pem())}));
    let ours = Certificate::from_pem(ca.as_bytes()).expect("ca.crt holds a certificate");
    let mut both = [&ours, foreign.certificate()];
    both.sort_unstable_by(|one, other| one.der().cmp(other.der()));
    installation.wait_for_bundles(&[Some(both.map(Certificate::pem).concat())]);
    assert!(
        Request::of_colocate(&namespace).iter().all(|request| request.resource != "secrets" && request.code != 403)
    );
}

#[test]
fn without_a_ca_file_no_configuration_is_read_or_waited_for() {
    let namespace = Namespace::new("trust-issued");
    let installation = Installation::without_secret(ControlPlane::shared(), &namespace, "", COLOCATE);
    let colocate = installation.launch("one", From::Issued).go();
    let webhook = installation.webhook(colocate.port(), Namespaces::Only(&[namespace.name()]));
    namespace.kubectl().feed("create -f -", &webhook);

    colocate.wait_until_ready();

    assert_eq!(installation.bundles(), [None]);
    let requests = Request::of_colocate(&namespace);
    assert!(!requests.is_empty());
    for Request { verb, resource, .. } in requests {
        assert!(resource != "secrets" && !resource.ends_with("webhookconfigurations"), "{verb} {resource}");
    }
    assert_eq!(metric(&colocate, "colocate_certificate_rotations_total{certificate=\"leaf\"}"), Some(1.0));
    assert!(metric(&colocate, "colocate_certificate_expiry_seconds{certificate=\"leaf\"}").is_some());
    assert!(!colocate.admin("/metrics").contains("colocate_ca_bundle_in_sync{"));
}
