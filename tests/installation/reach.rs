//! The connection from the API server to colocate, and its trust.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use colocate_harness::{ControlPlane, Namespace, Release, bundles, issue};
use serde_json::json;

#[test]
fn the_service_is_reached_by_its_dns_name() {
    let control_plane = ControlPlane::shared();
    let release = Release::prepare_with_service(control_plane, "service");
    let _apps = Namespace::new("service-apps");
    release.install("webhook: {failurePolicy: Fail, namespaces: {include: [service-apps]}}");
    release.redirect_service();
    release.wait_until_called("service-apps");
    let output = release.test();
    assert!(output.succeeded, "{output:?}");
}

#[test]
fn namespaces_that_opt_out_are_not_reviewed() {
    const LABEL: &str = "stork.libopenstorage.org/disable-admission-controller";
    let control_plane = ControlPlane::shared();
    let release = Release::prepare(control_plane, "opting");
    let labels = [("opting-no", None), ("opting-false", Some("false")), ("opting-yes", Some("yes"))];
    let opting_out = [("opting-1", Some("1")), ("opting-true", Some("true")), ("opting-t", Some("T"))];
    let namespaces = [labels, opting_out].concat().into_iter().map(|(name, value)| {
        let namespace = Namespace::new(name);
        if let Some(value) = value {
            namespace.run(&format!("label namespace {name} {LABEL}={value}"));
        }
        (namespace, opting_out.iter().any(|(own, _)| *own == name))
    });
    let namespaces: Vec<_> = namespaces.collect();
    let names: Vec<_> = namespaces.iter().map(|(namespace, _)| namespace.name()).collect();
    release.install(&format!("webhook: {{failurePolicy: Fail, namespaces: {{include: [{}]}}}}", names.join(", ")));
    release.wait_until_called("opting-no");

    for (namespace, opts_out) in &namespaces {
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: a}], \
            volumes: [{name: data, csi: {driver: pxd.portworx.com}}]}}";
        namespace.apply(pod);
        let scheduler = if *opts_out { "default-scheduler" } else { "stork" };
        assert_eq!(namespace.get("pod/a").scheduler(), scheduler, "{}", namespace.name());
    }
}

/// Objects that control-plane controllers create are skipped, because they were validated as a part of the object that
/// they come from. Objects of other clients are validated themselves.
#[test]
fn annotations_are_validated_except_for_controllers() {
    let release = Release::prepare(ControlPlane::shared(), "authors");
    let apps = Namespace::new("authors-apps");
    release.install("webhook: {failurePolicy: Fail, namespaces: {include: [authors-apps]}}");
    release.wait_until_called("authors-apps");
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a, annotations: {stork.libopenstorage.org/preferLocalNodeOnly: 'yes'}}, \
        spec: {containers: [{name: a, image: a}]}}";
    for (author, warned) in [
        ("system:serviceaccount:argocd:application-controller", true),
        ("system:serviceaccount:flux-system:kustomize-controller", true),
        ("some-user", true),
        ("system:serviceaccount:kube-system:replicaset-controller", false),
    ] {
        let line = format!("create --dry-run=server --as={author} --as-group=system:masters -f -");
        let output = apps.kubectl().feed(&line, pod);
        assert_eq!(output.stderr.contains("HC001"), warned, "{author}: {}", output.stderr);
    }
}

#[test]
fn a_certificate_from_a_secret_may_be_replaced() {
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

    // The kubelet swaps the files, and colocate polls them every 10 s.
    release.namespace().kubectl().feed("replace -f -", &secret(&second));
    let authority = fs::read_to_string(second.join("ca.crt")).expect("ca.crt was written");
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

/// Returns the Secret with a certificate.
fn secret(folder: &Path) -> String {
    let data = ["tls.crt", "tls.key", "ca.crt"].map(|name| {
        let content = fs::read(folder.join(name)).expect("the file was written");
        (name.to_owned(), json!(STANDARD.encode(content)))
    });
    let data = serde_json::Map::from_iter(data);
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "data": data}).to_string()
}
