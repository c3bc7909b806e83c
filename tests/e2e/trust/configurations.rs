//! The `caBundle` while other clients change the configurations.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use colocate_harness::{Colocate, ControlPlane, Helm, Installation, Namespace, Object, PORTWORX_CLASS, pair, rights};
use serde_json::{Value, json};

use super::requests::Request;
use super::steps::Steps;
use super::{KINDS, authority, times_written};

#[test]
fn helm_never_fails_and_every_entry_keeps_its_bundle() {
    helm("trust-helm", "");
}

#[test]
fn client_side_helm_never_fails_and_every_entry_keeps_its_bundle() {
    helm("trust-client-helm", "--server-side=false");
}

fn helm(name: &str, flag: &str) {
    let site = Site::new(name);
    let Site { namespace, installation, replicas, helm, values } = &site;
    let mut steps = Steps::begin(installation);

    steps.step("install", || helm.run(&format!("install {name} CHART {values} {flag}")));

    for replica in replicas {
        replica.wait_until_ready();
    }
    let filled = installation.secret().0["data"].take();
    assert_eq!(filled["ca.crt"], STANDARD.encode(steps.bundle()));
    for (step, line) in [
        ("nothing", format!("upgrade {name} CHART {values}")),
        ("timeout", format!("upgrade {name} CHART {values} --set timeoutSeconds=6")),
        ("removed", format!("upgrade {name} CHART {values} --set mutating={{two}}")),
        ("restored", format!("upgrade {name} CHART {values}")),
        ("renamed", format!("upgrade {name} CHART {values} --set mutating={{two,three}},validating={{two}}")),
        ("rollback", format!("rollback {name} 3")),
        ("another rollback", format!("rollback {name} 1")),
    ] {
        steps.step(step, || helm.run(&format!("{line} {flag}")));
    }
    assert_eq!(installation.secret().0["data"], filled);
    assert_eq!(times_written(namespace), 1, "no step may empty the Secret");
    site.assert_only_the_bundle_is_owned();
    site.assert_pods_are_decided();
    steps.step("uninstall", || helm.run(&format!("uninstall {name}")));

    // The Secret is gone, and no object was created that looks like a part of the release.
    let left = namespace.list(&format!("secret,service,configmap,lease -l app.kubernetes.io/instance={name}"));
    assert!(left.is_empty(), "{left:?}");
    let brought = ["install: m", "install: v", "restored: m", "renamed: m", "renamed: v", "rollback: m", "rollback: v"];
    assert_eq!(steps.end(), brought);
    site.assert_nothing_created_and_no_permission_missing();
}

#[test]
fn kubectl_never_fails_and_every_entry_keeps_its_bundle() {
    let site = Site::new("trust-kubectl");
    let Site { namespace, installation, helm, values, .. } = &site;
    let manifest = |values_of_step: &str| helm.run(&format!("template release CHART {values} {values_of_step}"));
    let timeout = "--set timeoutSeconds=6";
    let removed = "--set mutating={two}";
    let renamed = "--set mutating={two,three},validating={two}";
    let mut steps = Steps::begin(installation);

    for (step, line, values_of_step) in [
        ("apply", "apply -f -", ""),
        ("apply again", "apply -f -", ""),
        ("apply timeout", "apply -f -", timeout),
        ("apply removed", "apply -f -", removed),
        ("apply restored", "apply -f -", ""),
        ("apply renamed", "apply -f -", renamed),
        ("server side", "apply --server-side -f -", ""),
        ("server side again", "apply --server-side -f -", ""),
        ("server side timeout", "apply --server-side -f -", timeout),
        ("server side removed", "apply --server-side -f -", removed),
        ("server side restored", "apply --server-side -f -", ""),
        ("server side renamed", "apply --server-side -f -", renamed),
        ("replace", "replace -f -", ""),
        ("replace by force", "replace --force -f -", ""),
        ("back to the client", "apply -f -", ""),
    ] {
        steps.step(step, || namespace.kubectl().feed(line, &manifest(values_of_step)));
    }

    site.assert_only_the_bundle_is_owned();
    site.assert_pods_are_decided();
    let brought = [
        "apply: m",
        "apply: v",
        "apply restored: m",
        "apply renamed: m",
        "apply renamed: v",
        "server side: m",
        "server side: v",
        "server side restored: m",
        "server side renamed: m",
        "server side renamed: v",
        "replace: m",
        "replace: v",
        "replace by force: m",
        "replace by force: v",
    ];
    assert_eq!(steps.end(), brought);
    site.assert_nothing_created_and_no_permission_missing();
}

#[test]
fn a_foreign_bundle_is_restored_and_other_fields_are_kept() {
    let site = Site::new("trust-foreign");
    let Site { namespace, installation, helm, values, .. } = &site;
    let manifest = helm.run(&format!("template release CHART {values}"));
    let mut steps = Steps::begin(installation);
    steps.step("created", || namespace.kubectl().feed("create -f -", &manifest));
    let [ours, foreign] = [steps.bundle().to_owned(), authority().certificate_pem()];
    let before = installation.configuration();

    for (step, bundle) in [
        ("of another CA", foreign.clone()),
        ("of another CA too", format!("{ours}{foreign}")),
        ("no PEM", "hello".to_owned()),
        ("empty", String::new()),
    ] {
        let bundle = STANDARD.encode(bundle);
        let line =
            patch(installation, &json!([{"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": bundle}]));
        steps.step(step, || namespace.run(&line));
    }
    let line = patch(
        installation,
        &json!([
            {"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"},
            {"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"},
            {"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 7},
            {"op": "add", "path": "/metadata/annotations", "value": {"example.test/note": "mine"}},
        ]),
    );
    steps.step("taken away", || namespace.run(&line));

    let after = installation.configuration();
    let mut expected = before.0["webhooks"].clone();
    expected[0]["timeoutSeconds"] = 7.into();
    assert_eq!(after.0["webhooks"], expected);
    assert_eq!(after.annotation("example.test/note"), "mine");
    site.assert_only_the_bundle_is_owned();
    let wrong = [
        "created: m",
        "created: v",
        "of another CA: m",
        "of another CA too: m",
        "no PEM: m",
        "empty: m",
        "taken away: m",
    ];
    assert_eq!(steps.end(), wrong);
}

/// Two replicas, and a chart that is not installed yet.
struct Site {
    namespace: Namespace,
    installation: Installation<'static>,
    replicas: [Colocate; 2],
    helm: Helm,
    /// The chart's values for them, as flags.
    values: String,
}

impl Site {
    fn new(name: &str) -> Self {
        let control_plane = ControlPlane::shared();
        let namespace = Namespace::new(name);
        let installation = Installation::without_secret(control_plane, &namespace, "", &rights(name));
        let replicas = ["one", "two"].map(|replica| installation.start(replica));
        let helm = Helm::new(control_plane, &namespace);
        let (configuration, port) = (installation.configuration_name(), replicas[0].port());
        Self { namespace, installation, replicas, helm, values: format!("--set name={configuration},port={port}") }
    }

    fn assert_only_the_bundle_is_owned(&self) {
        for kind in KINDS {
            let line = format!("get {kind}/{} --show-managed-fields", self.installation.configuration_name());
            let ours = BTreeSet::from(["f:caBundle".to_owned()]);
            assert_eq!(owned_by_colocate(&self.namespace.kubectl().object(&line)), ours, "{kind}");
        }
    }

    fn assert_pods_are_decided(&self) {
        self.namespace.add_claim("data", PORTWORX_CLASS);
        assert_eq!(self.namespace.apply(&pair::pod("data").to_string()).stderr, "");
        assert_eq!(self.namespace.get("pod/data").scheduler(), "stork");
    }

    fn assert_nothing_created_and_no_permission_missing(&self) {
        for Request { verb, resource, name, code, .. } in Request::of_colocate(&self.namespace) {
            assert!(verb != "create" && code != 403, "{verb} {resource}/{name}: {code}");
        }
    }
}

/// Returns the kubectl command line that patches the mutating configuration.
fn patch(installation: &Installation<'_>, operations: &Value) -> String {
    format!("patch {}/{} --type=json -p {operations}", KINDS[0], installation.configuration_name())
}

/// Returns the fields that colocate owns, by the last step of each path.
fn owned_by_colocate(object: &Object) -> BTreeSet<String> {
    let entries = object.0["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries.filter(|entry| entry["manager"] == "colocate").flat_map(|entry| leaves("", &entry["fieldsV1"])).collect()
}

fn leaves(key: &str, fields: &Value) -> Vec<String> {
    match fields.as_object().filter(|fields| !fields.is_empty()) {
        Some(fields) => fields.iter().flat_map(|(key, below)| leaves(key, below)).collect(),
        None => vec![key.to_owned()],
    }
}
