//! How the API server reaches colocate, and whom it trusts.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::{ControlPlane, Namespace, Release, bundles, issue};

#[test]
fn at_its_service_by_the_services_name() {
    let control_plane = ControlPlane::shared();
    let release = Release::prepare_with_service(control_plane, "service");
    let _apps = Namespace::new("service-apps");
    release.install("webhook: {failurePolicy: Fail, namespaces: {include: [service-apps]}}");
    release.lead_service();
    release.wait_until_called("service-apps");
    let output = release.test();
    assert!(output.succeeded, "{output:?}");
}

#[test]
fn with_a_certificate_from_a_secret_which_may_change() {
    let control_plane = ControlPlane::shared();
    let release = Release::prepare(control_plane, "secret");
    let _apps = Namespace::new("secret-apps");
    let [first, second] = ["first", "second"].map(|name| {
        let folder = control_plane.dir().join("certificates").join(name);
        issue(&folder, "secret");
        folder
    });
    release.namespace().kubectl().feed("create -f -", &secret(&first));

    release.install(
        "
fullnameOverride: colocate
tls: {source: existingSecret, existingSecret: {name: own}}
webhook: {failurePolicy: Fail, namespaces: {include: [secret-apps]}}
",
    );
    release.wait_until_called("secret-apps");
    assert!(release.test().succeeded);

    // The kubelet swaps the files, and colocate looks at them every 10 s.
    release.namespace().kubectl().feed("replace -f -", &secret(&second));
    let authority = fs::read_to_string(second.join("ca.crt")).expect("it was issued");
    let configuration = format!("mutatingwebhookconfiguration/{}", release.configuration());
    release.namespace().kubectl().watch(&configuration, |configuration| {
        let bundles = bundles(&configuration);
        bundles
            .iter()
            .all(|bundle| bundle.as_ref().is_some_and(|bundle| bundle.contains(authority.trim())))
            .then_some(())
    });
    release.wait_until_called("secret-apps");
    assert!(release.test().succeeded);
}

/// The Secret with a certificate.
fn secret(folder: &Path) -> String {
    let data = ["tls.crt", "tls.key", "ca.crt"].map(|name| {
        let content = fs::read(folder.join(name)).expect("it was issued");
        (name.to_owned(), json!(STANDARD.encode(content)))
    });
    let data = serde_json::Map::from_iter(data);
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "data": data}).to_string()
}
